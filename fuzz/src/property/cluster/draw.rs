//! Clusters, servers and calls of any kind.

use windhover_core::client::ring::{HashTag, KeyHash, Naming, Ring};
use windhover_core::client::{
    Backoff, Call, Cluster, ClusterError, ClusterOptions, Credentials, Retry, RetryLimit, Rotation,
    Server, ServerSelection,
};
use windhover_core::memcache::Dialect;
use windhover_core::memcache::command::{self, Command as C, Row};

use super::world::{World, ms};
use crate::Source;
use crate::generate::calls;
use crate::generate::command::Command;

/// A cluster of some servers.
pub(crate) fn world(source: &mut Source<'_>) -> World {
    let dialect = source.pick(&[
        Dialect::Memcached,
        Dialect::Kestrel,
        Dialect::Memcached,
        Dialect::Darner,
        Dialect::Siberite,
    ]);
    let mut options = options(dialect, source);
    let servers: Vec<_> = (0..source.between(1, 4)).map(|number| server(number, source)).collect();
    let seed = source.number();
    // So that values are too large now and then. It is no choice of its own: the inputs of the corpora keep
    // their meaning.
    options.limits.value = match seed % 4 {
        _ if dialect.is_queue() || options.credentials.is_some() => options.limits.value,
        1 => 100,
        2 => 2,
        _ => options.limits.value,
    };
    let mut world = World::new(options, &servers, seed, source.chance(2, 3));
    world.lends = seed / 4 % 2 == 1;
    world
}

fn options(dialect: Dialect, source: &mut Source<'_>) -> ClusterOptions {
    let mut options = match dialect {
        Dialect::Kestrel => ClusterOptions::queues(),
        _ => ClusterOptions::default(),
    };
    options.dialect = dialect;
    options.limits.pipeline = source.pick(&[64, 1, 2, 5]);
    options.timeouts.stall = ms(source.pick(&[300, 30]));
    options.timeouts.write = ms(source.pick(&[200, 50]));
    options.timeouts.idle = ms(source.pick(&[5000, 200]));
    options.connect_timeout = ms(source.pick(&[100, 20, 500]));
    options.attempt_timeout = ms(source.pick(&[50, 10, 250]));
    options.slow = ms(source.pick(&[20, 5, 100]));
    let tag = Some(HashTag { open: b'k', close: b'.' });
    options.selection = source.pick(&[
        ServerSelection::Rendezvous,
        ServerSelection::default(),
        ServerSelection::Ketama { naming: Naming::AsIs, hash: KeyHash::Fnv1a64, tag },
    ]);
    options.rotation = source.pick(&[Rotation::RoundRobin, Rotation::Random]);
    options.health.failures = source.pick(&[3, 1, 0, 2, 10]);
    options.health.backoff = Backoff::new(ms(source.pick(&[20, 1, 100])), ms(400));
    options.health.keep_last = source.chance(1, 2);
    options.attempts = source.pick(&[3, 1, 2, 5]);
    options.retries = source.pick(&[
        RetryLimit::default(),
        RetryLimit::new(0, 0),
        RetryLimit::new(100, 1000),
        RetryLimit::new(50, 1),
    ]);
    options.hedge = source.chance(1, 2).then(|| ms(source.pick(&[5, 1, 20])));
    options.connections = source.pick(&[1, 0, 2, 3]);
    options.opened_in_advance = source.below(3);
    options.exclusive = source.pick(&[4, 1, 2]);
    options.max_age = source.chance(1, 3).then(|| ms(source.pick(&[100, 20, 1000])));
    options.waiting = source.pick(&[1000, 3, 12]);
    if dialect == Dialect::Memcached && source.chance(1, 4) {
        let (user, password) = ("user".into(), "secret".into());
        options.credentials = Some(Credentials { user, password });
        let shown = format!("{options:?}");
        assert!(shown.contains("user") && !shown.contains("secret"), "{shown}");
    }
    options
}

/// Clusters that cannot be are refused, each for its reason.
pub(crate) fn refused(world: &mut World, source: &mut Source<'_>) {
    let now = world.now;
    let bad = |user: &'static str, line| {
        let mut options = ClusterOptions::default();
        options.limits.line = line;
        let password = "secret".into();
        options.credentials = Some(Credentials { user: user.into(), password });
        if line < 10 {
            options.credentials = None;
        }
        let error = Cluster::new(&[], options, 1, now).expect_err("it cannot be sent");
        assert!(matches!(error, ClusterError::Credentials(_)) && crate::property::tells(&error));
        assert!(error.to_string().contains("cannot be sent"));
    };
    match source.below(4) {
        0 => bad("us er", 2048),
        1 => bad("user", 3),
        _ if source.chance(1, 8) => {
            let many = vec![Server::new("a").weight(0); Ring::MAX_MEMBERS + 1];
            let choice = world.cluster.options().selection;
            let before: Vec<_> = world.cluster.servers().map(|(id, _)| id).collect();
            if choice != ServerSelection::Rendezvous {
                let error = world.cluster.set_servers(&many, now).expect_err("too many");
                assert!(error.to_string().contains("65537"), "{error}");
                assert!(world.cluster.servers().map(|(id, _)| id).eq(before));
            }
            let error = Cluster::new(&many, ClusterOptions::default(), 1, now).err();
            assert!(matches!(error, Some(ClusterError::TooManyServers(_))));
            assert!(error.is_some_and(|error| crate::property::tells(&error)));
        }
        _ => {}
    }
}

/// A connection of its own is asked for, given up, and wanted again while it comes.
pub(crate) fn given_up(world: &mut World, source: &mut Source<'_>) {
    let servers: Vec<_> = world.cluster.servers().map(|(id, _)| id).collect();
    let row = command::row(C::Version, world.dialect);
    let limits = world.cluster.options().limits.clone();
    let drawn = row.and_then(|row| calls::of_row(row, world.dialect, &limits, source));
    let Some((prepared, asked)) = drawn.filter(|_| !servers.is_empty()) else {
        return;
    };
    world.prompt = false;
    let mut call = Call::to(prepared, source.pick_of(&servers));
    call.exclusive = true;
    world.submit(call.clone(), asked.clone(), ms(300));
    world.settle();
    world.cancel(source.below(8));
    world.submit(call, asked, ms(300));
}

fn server(number: usize, source: &mut Source<'_>) -> Server {
    let server = Server::new(&format!("h{number}"));
    match source.below(8) {
        6 => server.weight(source.pick(&[0, 3])),
        7 => server.named(&format!("other{number}")),
        _ => server,
    }
}

/// Other servers, or the same with other weights.
pub(crate) fn change(world: &mut World, source: &mut Source<'_>) {
    let mut servers = Vec::new();
    for number in 0..4 {
        if source.chance(2, 3) {
            servers.push(server(number, source));
        }
    }
    world.set_servers(&servers);
}

/// Submits a call of any kind.
pub(crate) fn submit(world: &mut World, source: &mut Source<'_>) {
    let limits = world.cluster.options().limits.clone();
    let serial = world.serial();
    let dialect = world.dialect;
    let drawn = match source.below(14) {
        12 if source.chance(1, 2) => {
            // It was made for servers of another kind.
            let other = if dialect.is_queue() { Dialect::Memcached } else { Dialect::Kestrel };
            calls::request(source, other, &limits)
        }
        10 => calls::request(source, dialect, &limits),
        11 if !dialect.is_queue() => calls::batch(source, &limits),
        _ => {
            let row = row(dialect, source);
            let mut command = Command::of_row(row, dialect, source);
            command.noreply = false;
            for (index, key) in command.keys.iter_mut().enumerate() {
                // At times one that was asked for before.
                let number = if source.chance(1, 4) { 0 } else { serial };
                *key = format!("k{number}.{index}").into_bytes();
            }
            command.mark(format!("{serial:04}").as_bytes());
            if dialect.is_queue() {
                command.keys = vec![source.pick(&[&b"jobs"[..], b"mail"]).to_vec()];
            }
            if row.data {
                command.data = serial.to_string().into_bytes();
            }
            calls::prepare(&command, &limits)
        }
    };
    // An empty batch looks like its barrier.
    let Some((prepared, asked)) = drawn.filter(|(_, asked)| asked.batch != Some(0)) else {
        return;
    };
    let is_read = matches!(asked.row.command, C::Get | C::Gets | C::MetaGet);
    let mut call = if dialect.is_queue() && asked.row.command == C::Set {
        Call::enqueue(prepared)
    } else if dialect.is_queue() && is_read {
        Call::reserve(prepared)
    } else if is_read {
        Call::read(prepared)
    } else {
        Call::write(prepared)
    };
    let servers: Vec<_> = world.cluster.servers().map(|(id, _)| id).collect();
    if !servers.is_empty() && source.chance(1, 10) {
        let same = call.prepared.clone();
        call = Call::to(same, source.pick_of(&servers));
    }
    if source.chance(1, 4) {
        call.retry = source.pick(&[Retry::Never, Retry::IfNotSent, Retry::AtLeastOnce]);
    }
    call.failover ^= source.chance(1, 4);
    call.hedged = is_read && source.chance(1, 2);
    call.refusal_moves_on ^= source.chance(1, 10);
    let locked = world.cluster.options().credentials.is_some();
    call.exclusive |= source.chance(1, if locked { 3 } else { 10 });
    let timeout = match source.below(6) {
        0 => source.between(0, 3),
        1 => 1000,
        _ => source.between(20, 400),
    };
    world.submit(call, asked, ms(timeout as u64));
}

/// Some time in which deadlines pass.
pub(crate) fn pause(source: &mut Source<'_>) -> core::time::Duration {
    ms(source.pick(&[1, 5, 20, 50, 200, 400]))
}

fn row(dialect: Dialect, source: &mut Source<'_>) -> &'static Row {
    let of = |command| command::row(command, dialect).expect("its dialect has it");
    if dialect.is_queue() {
        return of(source.pick(&[C::Get, C::Set, C::Get, C::Version, C::Delete]));
    }
    of(source.pick(&[
        C::Get,
        C::Set,
        C::MetaGet,
        C::Gets,
        C::MetaSet,
        C::Delete,
        C::Incr,
        C::Add,
        C::Version,
        C::Stats,
        C::MetaDebug,
    ]))
}
