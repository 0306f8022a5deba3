//! Many servers as one, under any interleaving of calls, connections, bytes, time, cancels and
//! changes of the servers.

pub(super) mod draw;
pub(super) mod world;

use windhover_core::client::{Call, ConnectFailure, Target};
use windhover_core::memcache::kestrel::{QueueRead, ReadMode};
use windhover_core::memcache::request::{Prepared, Request};
use windhover_core::memcache::{Dialect, Limits, Received};

use self::world::World;
use crate::generate::replies;
use crate::reference::replies::Asked;
use crate::{Script, Source};

/// Every call ends once and in time, with an answer that some server gave to it or with what is
/// known of its effect; it is sent to whom it may be sent, and as often as it may; no more
/// connections and requests are under way than may be; and an end is an end.
pub fn cluster(input: &[u8]) {
    let script = Script::read(input);
    let Some((first, steps)) = script.steps.split_first() else {
        return;
    };
    let mut source = Source::new(first);
    let mut world = draw::world(&mut source);
    let aborts = source.chance(1, 4);
    world.settle();
    for bytes in steps {
        let mut source = Source::new(bytes);
        step(&mut world, &mut source);
        // Not all of them: some take as long as what comes next.
        if bytes.len() % 2 == 0 {
            world.end_writes();
        }
        // An adapter may learn of several things before it asks what to do.
        if !source.chance(1, 6) {
            world.settle();
        }
    }
    world.end_writes();
    world.finish(aborts);
}

fn step(world: &mut World, source: &mut Source<'_>) {
    match source.below(24) {
        0..=3 => {
            for _ in 0..source.between(1, 3) {
                draw::submit(world, source);
            }
        }
        4 | 5 => {
            let coming = world.some(|socket| !socket.is_connected);
            if !coming.is_empty() {
                let id = source.pick_of(&coming);
                let failures = [
                    None,
                    None,
                    Some(ConnectFailure::Refused),
                    Some(ConnectFailure::TimedOut),
                    Some(ConnectFailure::NoAddress),
                    Some(ConnectFailure::Tls),
                    Some(world.failure()),
                ];
                world.connect(id, source.pick(&failures));
            }
        }
        6..=8 => {
            if let Some(id) = open(world, source) {
                let count = source.between(1, 4);
                world.answer(id, count, source);
                let most = if source.chance(1, 4) { source.below(40) } else { usize::MAX };
                world.deliver(id, most);
            }
        }
        9 => {
            // Every server does what it is there for.
            for id in world.some(|socket| !socket.is_connected) {
                world.connect(id, None);
            }
            world.settle();
            for id in world.some(|socket| socket.is_connected) {
                world.answer(id, 64, source);
                world.deliver(id, usize::MAX);
            }
        }
        10..=12 => world.wait(source),
        13 => {
            let at = source.below(8);
            if source.chance(1, 3)
                && let Some(id) = open(world, source)
            {
                world.answer(id, 1, source);
                world.deliver(id, usize::MAX);
                world.end(id, false);
            }
            // It may be over, with nobody told so yet.
            for _ in 0..source.below(4) {
                let _ = world.output();
            }
            world.cancel(at);
        }
        14 => {
            world.write = source.pick(&[usize::MAX, 0, 3, 70]);
            world.unblock();
        }
        15 => {
            if let Some(id) = open(world, source) {
                let broken = source.chance(1, 2);
                world.end(id, broken);
            }
        }
        16 | 22 => reservation(world, source),
        17 => draw::change(world, source),
        18 => {
            if let Some(id) = open(world, source) {
                let said = match source.below(3) {
                    0 => replies::text(source),
                    1 => source.pick_of(replies::DICTIONARY).to_vec(),
                    _ => source.rest().to_vec(),
                };
                world.say(id, &said);
            }
        }
        19 => stale(world, source),
        20 => draw::refused(world, source),
        21 => draw::given_up(world, source),
        _ if source.chance(1, 8) => world.cluster.shut_down(),
        _ => world.prompt = source.chance(1, 2),
    }
}

fn open(world: &World, source: &mut Source<'_>) -> Option<windhover_core::client::ConnectionId> {
    let open = world.some(|socket| socket.is_connected);
    (!open.is_empty()).then(|| source.pick_of(&open))
}

/// What an adapter may tell of a connection when it has not heard yet what became of it.
fn stale(world: &mut World, source: &mut Source<'_>) {
    let all: Vec<_> = world.sockets.keys().copied().collect();
    if all.is_empty() {
        return;
    }
    let id = source.pick_of(&all);
    let open = world.some(|socket| socket.is_connected).contains(&id);
    let coming = world.some(|socket| !socket.is_connected).contains(&id);
    match source.below(4) {
        0 if !open => world.cluster.receive(id, b"END\r\n"),
        1 if !coming => world.cluster.connected(id, world.now),
        2 if open => {
            // Nothing was taken that could be given back; what was is nobody's behind the end.
            let mut received = Received::new();
            world.cluster.return_received(id, &mut received);
            if world.lends {
                world.cluster.take_received(id, &mut received);
            }
            world.end(id, true);
            world.cluster.return_received(id, &mut received);
            world.cluster.connect_failed(id, ConnectFailure::Other, world.now);
        }
        3 if open => world.break_late(id),
        _ if !open => {
            world.cluster.wrote(id, 1);
            world.cluster.end_of_stream(id);
            world.cluster.broke(id, None);
            assert_eq!(world.cluster.unsent(id, &mut [b""]), 0);
        }
        _ => {}
    }
}

/// What a caller does with an item that is open, or was.
fn reservation(world: &mut World, source: &mut Source<'_>) {
    let Some(&reservation) = world.reservations.get(source.below(world.reservations.len().max(1)))
    else {
        return;
    };
    match source.below(4) {
        0 => world.cluster.release_reservation(reservation, world.now),
        1 => world.cluster.abandon_reservation(reservation),
        _ if world.dialect == Dialect::Memcached => {}
        2 if source.chance(1, 3) => {
            let limits = Limits::default();
            let quit = Prepared::new(&Request::Quit, bytes::Bytes::new(), world.dialect, &limits);
            let row = windhover_core::memcache::command::find(b"quit", world.dialect);
            if let (Ok(quit), Some(row)) = (quit, row) {
                let asked = Asked::new(row, b"quit\r\n".to_vec());
                world.submit(Call::on_reservation(quit, reservation), asked, world::ms(100));
            }
        }
        _ => {
            let mode = source.pick(&[ReadMode::Close, ReadMode::Abort, ReadMode::CloseOpen]);
            let words = match mode {
                ReadMode::Close => "get jobs/close\r\n",
                ReadMode::Abort => "get jobs/abort\r\n",
                _ => "get jobs/close/open\r\n",
            };
            let request = Request::QueueRead(QueueRead::new(b"jobs", mode));
            let limits = Limits::default();
            let prepared = Prepared::new(&request, bytes::Bytes::new(), world.dialect, &limits);
            let row = windhover_core::memcache::command::find(b"get", world.dialect);
            let mut asked = Asked::new(row.expect("queues have it"), words.as_bytes().to_vec());
            asked.keys = vec![b"jobs".to_vec()];
            asked.opens = mode == ReadMode::CloseOpen;
            let call = Call::on_reservation(prepared.expect("it can be sent"), reservation);
            assert_eq!(call.target, Target::Reservation(reservation));
            world.submit(call, asked, world::ms(source.between(1, 400) as u64));
        }
    }
}
