//! An allocator that needs nothing: it hands out a fixed arena and takes nothing back.

use core::{
    alloc::{GlobalAlloc, Layout},
    cell::UnsafeCell,
    ptr,
    sync::atomic::{AtomicUsize, Ordering},
};

const SIZE: usize = 4 * 1024 * 1024;

/// Aligned for everything that asks for a page or less.
#[repr(C, align(4096))]
struct Arena(UnsafeCell<[u8; SIZE]>);

// SAFETY: the allocator gives out each byte at most once.
unsafe impl Sync for Arena {}

static ARENA: Arena = Arena(UnsafeCell::new([0; SIZE]));
static USED: AtomicUsize = AtomicUsize::new(0);

struct Bump;

#[global_allocator]
static ALLOCATOR: Bump = Bump;

// SAFETY: regions are disjoint, because `USED` only grows, aligned up to a page, and inside the
// arena.
unsafe impl GlobalAlloc for Bump {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if layout.align() > 4096 {
            return ptr::null_mut();
        }
        let taken = USED.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
            let start = used.checked_next_multiple_of(layout.align())?;
            let end = start.checked_add(layout.size())?;
            (end <= SIZE).then_some(end)
        });
        match taken {
            Ok(used) => {
                let start = used.next_multiple_of(layout.align());
                ARENA.0.get().cast::<u8>().wrapping_add(start)
            }
            Err(_) => ptr::null_mut(),
        }
    }

    unsafe fn dealloc(&self, _: *mut u8, _: Layout) {}
}
