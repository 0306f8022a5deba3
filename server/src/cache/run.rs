//! `windhover cache`: listens, and serves until a signal comes.

use std::io::{self, Write};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use windhover_runtime::{Clock, ConnectionMemory};

use windhover_cache::{Cache, CacheOptions};
use windhover_core::Timeouts;

use super::CacheArgs;
use crate::listen::{self, ListenError, Place, authenticated};
use crate::memory::{self, GiveBack, give_back};
use crate::runtime::{self, Drain, Listener, Server};
use crate::service_manager;

/// How often it is looked whether there is memory to give back.
const TURN: Duration = Duration::from_millis(250);

/// Serves a cache until SIGTERM or SIGINT.
///
/// # Errors
/// [`ListenError`] when it cannot start.
pub fn run(args: &CacheArgs) -> Result<(), ListenError> {
    memory::join_at_once();
    listen::note_handed_over();
    listen::raise_descriptor_limit();
    let reload = listen::reload_on_signal()?;
    let tls = listen::certificate(args.tls_cert.as_deref(), args.tls_key.as_deref(), &reload)?;
    let users = listen::auth_file(args.auth_file.as_deref(), &reload)?;
    let threads = runtime::threads(args.threads);
    let clock = Clock::new();
    let options = options(args, threads).with_started(clock.now().instant);
    let memory = listen::connection_memory(args.connection_memory);
    let listener = Listener {
        name: "cache",
        address: args.listen.clone(),
        memory: memory.clone(),
        proxies: None,
        tls,
        connections: options.connections,
        shutdown_timeout: args.shutdown_timeout,
        clock,
        counters: Arc::clone(&options.counters),
    };
    let (cache, counters) = (Cache::new(options), Arc::clone(&listener.counters));
    let mut server = Server::start(args.runtime, threads, Drain::none(), None)?;
    let place = server.listen(&listener, move |peer, now| {
        authenticated(cache.accept(now), peer, users.as_ref(), &counters)
    })?;
    say_ready(args, &place);
    start_upkeep(memory).map_err(ListenError::system("start threads"))?;
    service_manager::ready();
    server.run(|| ())
}

/// Gives memory back to the operating system that connections held, for as long as the process runs.
fn start_upkeep(memory: ConnectionMemory) -> io::Result<()> {
    let turns = move || {
        let (mut given_back, mut closed) = (GiveBack::default(), 0);
        loop {
            thread::sleep(TURN);
            given_back.turn(u64::try_from(memory.used()).unwrap_or(u64::MAX));
            // What those held that were closed is not always what others can use.
            let now = memory.closed();
            if std::mem::replace(&mut closed, now) < now {
                give_back();
            }
            service_manager::alive();
        }
    };
    thread::Builder::new().name("upkeep".to_owned()).spawn(turns)?;
    Ok(())
}

fn options(args: &CacheArgs, threads: usize) -> CacheOptions {
    let most = usize::MAX;
    CacheOptions::default()
        .with_memory(usize::try_from(u64::from(args.memory) << 20).unwrap_or(most))
        .with_item(usize::try_from(args.max_item_size).unwrap_or(most))
        .with_threads(threads)
        .with_connections(usize::try_from(args.max_connections).unwrap_or(most))
        .with_timeouts(Timeouts::default().with_idle(args.idle_timeout))
}

/// Tells whoever started the server what it is and how to try it.
fn say_ready(args: &CacheArgs, place: &Place) {
    let mut out = io::stdout().lock();
    // Whoever closed standard output does not want to read this.
    let _ = writeln!(
        out,
        "windhover {version} is ready\n\
         {places}  \
         memory   {memory} MiB, items up to {item} bytes\n\
         try it   printf 'set k 0 0 5\\r\\nhello\\r\\nget k\\r\\nquit\\r\\n' | {curl}",
        version = env!("CARGO_PKG_VERSION"),
        places = place.lines(|address| {
            format!("  cache    {address} (memcache protocol{})", place.over_tls())
        }),
        memory = args.memory,
        item = args.max_item_size,
        curl = place.telnet(),
    );
    let _ = out.flush();
}
