//! Addresses for programs that choose no port themselves.

use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener},
    sync::atomic::{AtomicU32, Ordering},
};

/// An address of this machine that nobody listens on.
///
/// Its port is none of those that the system gives to connections and to listeners of port 0: one of these could have been
/// given to another test before the program has it.
#[track_caller]
pub fn free_address() -> SocketAddr {
    static TAKEN: AtomicU32 = AtomicU32::new(0);
    const FIRST: u32 = 12_000;
    const COUNT: u32 = 20_000;
    // Processes at the same time begin in different places.
    let begin = std::process::id().wrapping_mul(61);
    let free = (0..COUNT).find_map(|_| {
        let at = begin.wrapping_add(TAKEN.fetch_add(1, Ordering::Relaxed)) % COUNT;
        let port = u16::try_from(FIRST + at).ok()?;
        TcpListener::bind((Ipv4Addr::LOCALHOST, port)).ok()?.local_addr().ok()
    });
    free.expect("there is a free port")
}
