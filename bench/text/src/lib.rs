//! The codec's four functions as a program without std has them: what is linked here is the codec, what
//! it needs of `core` and `alloc`, and nothing else. `bench/gate` reads the size of it.
#![no_std]

extern crate alloc;

use alloc::alloc::{GlobalAlloc, Layout};
use core::panic::PanicInfo;
use core::ptr::null_mut;

use bytes::BytesMut;
use windhover_core::memcache::{Dialect, Limits, Parsed, request, response};

/// Has no memory: nothing is run.
struct NoMemory;

#[global_allocator]
static ALLOCATOR: NoMemory = NoMemory;

// SAFETY: an allocation that always fails keeps the contract.
unsafe impl GlobalAlloc for NoMemory {
    unsafe fn alloc(&self, _: Layout) -> *mut u8 {
        null_mut()
    }

    unsafe fn dealloc(&self, _: *mut u8, _: Layout) {}
}

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    loop {}
}

/// Parses a request of any dialect, and encodes it again.
#[unsafe(no_mangle)]
pub extern "Rust" fn codec_request(input: &[u8], dialect: Dialect, out: &mut BytesMut) -> usize {
    let limits = Limits::default();
    match request::parse(input, dialect, &limits) {
        Ok(Parsed::Complete { message, consumed }) => {
            let encoded = request::encode(&message.request, message.data, dialect, &limits, out);
            if encoded.is_ok() { consumed } else { 0 }
        }
        _ => 0,
    }
}

/// Parses a reply of any dialect, and encodes it again.
#[unsafe(no_mangle)]
pub extern "Rust" fn codec_reply(input: &[u8], dialect: Dialect, out: &mut BytesMut) -> usize {
    match response::parse(input, dialect, &Limits::default()) {
        Ok(Parsed::Complete { message, consumed }) => {
            response::encode(&message, out);
            consumed
        }
        _ => 0,
    }
}
