//! The harness of the conformance tests: it starts the built binary as a process of its own and
//! talks to it over plain sockets, so that the tests hold the program a user runs to its word. The
//! clients under test run on each of the adapters.
//!
//! A harness has nobody to report an error to but the test that runs it: a broken expectation is
//! a panic that says what was expected and what was seen.
#![allow(clippy::panic, clippy::expect_used, clippy::unwrap_used, clippy::missing_panics_doc)]

pub mod attack;
mod capture;
mod certificates;
mod cores;
pub mod differential;
mod directory;
mod fault_proxy;
mod figures;
mod free_address;
mod full_backlog;
mod http;
mod ledger;
mod memcached;
mod namespace;
mod nats;
mod network;
mod peers;
pub mod play;
mod power;
mod preload;
mod process;
mod proxy;
mod queue;
mod queue_ledger;
mod random;
mod recorder;
mod report;
mod runtime;
mod senders;
mod server;
mod slow_disk;
mod until;
pub mod vectors;
mod wall_clock;

pub use capture::Capture;
pub use certificates::{Authority, Certificate};
pub use cores::{Cores, give_way_to_all};
pub use directory::TempDir;
pub use fault_proxy::{Fault, FaultProxy};
pub use free_address::free_address;
pub use full_backlog::FullBacklog;
pub use http::{HttpAnswer, HttpClient};
pub use ledger::{Ledger, Totals};
pub use memcached::{
    CacheServer, DELETE_WITH_A_TIME, memcached_version, memccapable, version_numbers,
};
pub use namespace::MountNamespace;
pub use nats::{NatsCluster, NatsVersion};
pub use network::Network;
pub use peers::{driver, peers, python};
pub use power::Power;
pub use process::{
    Outcome, eventually, memory, processor_time, raise_open_files, run, status_kib, target_dir,
};
pub use proxy::Proxy;
pub use queue::QueueClient;
pub use queue_ledger::{Item, QueueLedger, WRITERS};
pub use random::Random;
pub use recorder::Recorder;
pub use report::report;
pub use runtime::{Runtime, Task, sleep, timeout};
pub use senders::{Load, Sent};
pub use server::{Server, Setup, binary, full_binary};
pub use slow_disk::SlowDisk;
pub use until::{Until, watch_memory};
pub use wall_clock::WallClock;

/// The example in the README of the repository compiles and runs.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
