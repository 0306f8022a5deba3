//! What goes wrong.

use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};
use windhover_conformance::{CacheServer, QueueClient, Random, eventually, status_kib};

use crate::load::Load;
use crate::peer::{Peer, Place};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    Hang,
    Kill,
    FullDisk,
    DateJumps,
    NoDescriptors,
    NoMemory,
    CacheHangs,
    CacheKilled,
}

impl Fault {
    const ALL: [Self; 8] = [
        Self::Hang,
        Self::Kill,
        Self::FullDisk,
        Self::DateJumps,
        Self::NoDescriptors,
        Self::NoMemory,
        Self::CacheHangs,
        Self::CacheKilled,
    ];

    /// All of them in some order.
    pub(crate) fn shuffled(random: &mut Random) -> Vec<Self> {
        let mut left = Self::ALL.to_vec();
        let mut order = Vec::new();
        while !left.is_empty() {
            order.push(left.swap_remove(random.below(left.len())));
        }
        order
    }

    /// It happens to one of the processes, and is over when this returns.
    pub(crate) fn happen(self, place: &Place, load: &Load, random: &mut Random) {
        let peer = place.servers()[random.below(3)];
        let lasts = random.millis(300, 1500);
        match self {
            Self::Hang => {
                peer.server().as_ref().expect("it runs").pause();
                thread::sleep(lasts);
                peer.server().as_ref().expect("it runs").resume();
            }
            Self::Kill => {
                peer.kill();
                thread::sleep(lasts / 3);
                peer.start_again();
            }
            Self::FullDisk => {
                // As much as there is: that it ends with an error is what it is for.
                place.disk.shell("head -c 134217728 /dev/zero >$dir/rest");
                thread::sleep(lasts);
                place.disk.shell("rm $dir/rest").expect_code(0);
            }
            Self::DateJumps => {
                for ahead in [3600, -3600, 30 * 86_400, 0] {
                    peer.clock.set_ahead(ahead);
                    thread::sleep(lasts / 4);
                }
            }
            Self::NoDescriptors => {
                let open = open_files(pid(peer)).expect("it runs");
                limited(place, peer, Resource::Nofile, open, || thread::sleep(lasts));
            }
            Self::NoMemory => {
                let taken = status_kib(pid(peer), "VmData").expect("it runs") * 1024;
                limited(place, peer, Resource::Data, taken, || ask_for_memory(place, peer, load));
            }
            Self::CacheHangs => {
                place.cache.pause();
                thread::sleep(lasts);
                place.cache.resume();
            }
            Self::CacheKilled => {
                let mut memcached = place.memcached.lock().expect("no thread panics with it");
                drop(memcached.take());
                thread::sleep(lasts / 3);
                *memcached = Some(CacheServer::memcached_again(place.memcached_at));
            }
        }
    }
}

fn pid(peer: &Peer) -> u32 {
    peer.pid().expect("it runs")
}

/// Has a process take more memory than it has, or end.
fn ask_for_memory(place: &Place, peer: &Peer, load: &Load) {
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                load.send_many(&place.tracker, 1000);
                let Ok(mut client) = QueueClient::connect(peer.queue) else { return };
                let _ = client.set("large", &vec![b'x'; 900_000]);
                let _ = client.command("flush large");
            });
        }
    });
}

/// The process may have so much of that and no more, meanwhile. That may end it.
fn limited(place: &Place, peer: &Peer, what: Resource, most: u64, meanwhile: impl FnOnce()) {
    let process = i32::try_from(pid(peer)).ok().and_then(Pid::from_raw);
    let before = getrlimit(what);
    let limit = Rlimit { current: Some(most), maximum: before.maximum };
    prlimit(process, what, limit).expect("a limit of a child can be set");
    meanwhile();
    // Of one that has ended it cannot be.
    let _ = prlimit(process, what, Rlimit { current: before.maximum, maximum: before.maximum });
    eventually("it answers, or it has ended", Duration::from_secs(60), || {
        if peer.start_again() {
            place.count_ended();
        }
        QueueClient::connect(peer.queue).ok()?.command("version").ok()
    });
}

/// How many descriptors a process has.
pub(crate) fn open_files(pid: u32) -> Option<u64> {
    Some(std::fs::read_dir(format!("/proc/{pid}/fd")).ok()?.count() as u64)
}
