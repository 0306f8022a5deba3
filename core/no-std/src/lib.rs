//! Each module of `windhover-core` at work in a program without std. If anything that is linked
//! here used std, its panic handler would collide with the one below, and the build would fail.
#![no_std]

mod allocator;
mod steps;

use core::panic::PanicInfo;

unsafe extern "C" {
    /// The C library's, or whatever the embedding program has instead.
    safe fn abort() -> !;
}

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    abort()
}

/// Runs every step: 0, or the number of the first that did not give what it should.
#[unsafe(no_mangle)]
pub extern "C" fn windhover_no_std() -> i32 {
    for (number, step) in (1..).zip(steps::ALL) {
        if step().is_none() {
            return number;
        }
    }
    0
}
