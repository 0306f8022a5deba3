//! What a client is set to do, and when it counts.

use std::str::FromStr;
use std::time::Instant;

/// Operations under way together, of those that have several.
pub const TOGETHER: usize = 64;
/// Threads, of those that have several.
pub const THREADS: usize = 8;
/// Keys of a `get` that has many.
pub const KEYS: usize = 100;

/// What is done over and over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// A `get`, and the next when it is answered.
    Get,
    /// A `set`, and the next when it is answered.
    Set,
    /// [`TOGETHER`] `get`s at once, and the next when all are answered.
    Gets,
    /// [`TOGETHER`] `set`s at once, and the next when all are answered.
    Sets,
    /// [`TOGETHER`] values stored by one call of a client that has such a one.
    SetMany,
    /// [`TOGETHER`] `get`s, each begun anew when it is answered.
    InFlight,
    /// A `get` of [`KEYS`] keys; a key counts.
    Keys,
    /// [`TOGETHER`] tasks of the runtime, each with a `get` after the other, on one client.
    Tasks,
    /// [`THREADS`] threads, each with a `get` after the other, on one client.
    Threads,
    /// The same, each thread with a client of its own.
    ThreadsApart,
}

impl FromStr for Work {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        Ok(match name {
            "get" => Self::Get,
            "set" => Self::Set,
            "gets" => Self::Gets,
            "sets" => Self::Sets,
            "set-many" => Self::SetMany,
            "in-flight" => Self::InFlight,
            "keys" => Self::Keys,
            "tasks" => Self::Tasks,
            "threads" => Self::Threads,
            "threads-apart" => Self::ThreadsApart,
            _ => return Err(format!("no such work: {name}")),
        })
    }
}

/// When operations count.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    pub begin: Instant,
    pub end: Instant,
}

impl Window {
    /// Counts `done` operations that have just been done, if it is time; whether to go on.
    pub fn goes_on(&self, count: &mut u64, done: usize) -> bool {
        let now = Instant::now();
        if now >= self.begin && now < self.end {
            *count += done as u64;
        }
        now < self.end
    }
}

/// The key of one item.
pub const KEY: &str = "bench:item:0042";

/// The keys of all of them.
pub fn keys() -> Vec<String> {
    (0..KEYS).map(|at| format!("bench:item:{at:04}")).collect()
}

/// The value of each.
pub const VALUE: &[u8; 100] = &[b'v'; 100];
