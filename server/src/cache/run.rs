//! `windhover cache`: listens, and serves until a signal comes.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::num::NonZero;
use std::sync::Arc;
use std::thread::available_parallelism;

use windhover_tokio::{Clock, serve};

use super::{Cache, CacheArgs, Client, Settings};
use crate::listen::{self, ListenError};

/// Serves a cache until SIGTERM or SIGINT.
///
/// # Errors
/// [`ListenError`] when it cannot start.
pub fn run(args: &CacheArgs) -> Result<(), ListenError> {
    listen::raise_descriptor_limit();
    let threads =
        args.threads.map_or_else(|| available_parallelism().map_or(1, NonZero::get), usize::from);
    let clock = Clock::new();
    let mut cache = Cache::new(settings(args, threads), clock.now());
    let mut options = listen::options(args.max_connections, args.shutdown_timeout, clock, "cache");
    options.counters = Arc::clone(&cache.connections);
    cache.settings.connections = options.connections;
    let cache = Arc::new(cache);
    let runtime = listen::runtime(Some(threads))?;
    let report = runtime.block_on(async {
        let listener = listen::bind(args.listen)?;
        let address = listen::address(&listener)?;
        let shutdown = listen::shut_down_on_signal()?;
        say_ready(args, address);
        let accept = move |_peer, now| Client::new(Arc::clone(&cache), now);
        Ok(serve(listener, accept, options, shutdown).await)
    })?;
    listen::log_cut(report.cut);
    Ok(())
}

fn settings(args: &CacheArgs, threads: usize) -> Settings {
    let mut settings = Settings { threads, ..Settings::default() };
    settings.memory = usize::try_from(u64::from(args.memory) << 20).unwrap_or(usize::MAX);
    settings.item = usize::try_from(args.max_item_size).unwrap_or(usize::MAX);
    settings.timeouts.idle = args.idle_timeout;
    settings
}

/// Tells whoever started the server what it is and how to try it.
fn say_ready(args: &CacheArgs, address: SocketAddr) {
    let mut out = io::stdout().lock();
    // Whoever closed standard output does not want to read this.
    let _ = writeln!(
        out,
        "windhover {version} is ready\n  \
         cache    {address} (memcache protocol)\n  \
         memory   {memory} MiB, items up to {item} bytes\n\
         try it   printf 'set k 0 0 5\\r\\nhello\\r\\nget k\\r\\nquit\\r\\n' \
         | curl -s telnet://{address}",
        version = env!("CARGO_PKG_VERSION"),
        memory = args.memory,
        item = args.max_item_size,
    );
    let _ = out.flush();
}
