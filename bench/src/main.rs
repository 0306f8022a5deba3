//! A load generator for memcache servers and for the tracker: one thread, any number of connections,
//! every answer compared with what it has to be.
//!
//! ```text
//! windhover-bench 127.0.0.1:11211 --protocol cache --connections 1000 --seconds 10 --process 4711
//! ```
//!
//! Prints one line of `name=value`; `bench/runtimes` makes tables of them.

mod exchange;
mod load;
mod memory;

use std::error::Error;
use std::net::SocketAddr;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use windhover_conformance::{processor_time, raise_open_files};

use crate::exchange::{Exchange, Items};
use crate::load::{Crowd, Pace};

/// What the requests are.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Protocol {
    /// memcache: of ten requests, nine read an item that is there, one writes it.
    Cache,
    /// HTTP: one event in each request.
    Tracker,
}

/// Puts load on a server that is running.
#[derive(Debug, Parser)]
struct Arguments {
    /// Where the server listens.
    address: SocketAddr,
    /// What it speaks.
    #[arg(long)]
    protocol: Protocol,
    /// How many connections, each with one request at a time.
    #[arg(long)]
    connections: usize,
    /// How long to measure.
    #[arg(long)]
    seconds: f64,
    /// How long the same goes on before.
    #[arg(long, default_value_t = 1.0)]
    warm_up: f64,
    /// How long the server is left alone before its memory is read: something may happen after an answer.
    #[arg(long, default_value_t = 0.5)]
    settle: f64,
    /// Bytes of a value, in the cache.
    #[arg(long, default_value_t = 100)]
    size: usize,
    /// Requests of a connection in one write, to the cache; a latency is then that of all of them.
    #[arg(long, default_value_t = 1)]
    pipelined: usize,
    /// Keys in each read of the cache.
    #[arg(long, default_value_t = 1)]
    keys: usize,
    /// Requests a second, evenly spread, each due at its own time: its latency counts from then.
    /// Without it, each connection sends its next request when it has the answer to the last.
    #[arg(long)]
    rate: Option<u64>,
    /// The server's process, to tell its memory and its processor time.
    #[arg(long)]
    process: Option<u32>,
}

// No run has 2^53 requests.
#[allow(clippy::cast_precision_loss)]
fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse();
    raise_open_files(arguments.connections as u64 + 64);
    let exchange = match arguments.protocol {
        Protocol::Cache => Exchange::cache(Items {
            size: arguments.size,
            pipelined: arguments.pipelined,
            keys: arguments.keys,
        }),
        Protocol::Tracker => Exchange::tracker(),
    };
    let server = arguments.process;

    let memory_before = server.map(memory::resident).transpose()?;
    let mut crowd = Crowd::connect(arguments.address, arguments.connections, &exchange)?;
    crowd.each_once()?;
    std::thread::sleep(Duration::try_from_secs_f64(arguments.settle)?);
    let memory = server.map(memory::resident).transpose()?;

    let pace = arguments.rate.map_or(Pace::Closed, Pace::PerSecond);
    crowd.run(pace, Duration::try_from_secs_f64(arguments.warm_up)?)?;
    let times = || (server.map(processor_time), processor_time(std::process::id()));
    let (server_before, own_before) = times();
    let measured = crowd.run(pace, Duration::try_from_secs_f64(arguments.seconds)?)?;
    let (server_after, own_after) = times();

    let latency = |quantile| measured.latencies.value_at_quantile(quantile);
    let seconds = measured.took.as_secs_f64();
    let each = exchange.each as u64;
    let requests = measured.latencies.len() * each;
    print!("requests={requests} per_second={:.0}", requests as f64 / seconds);
    for (name, quantile) in [("p50", 0.5), ("p99", 0.99), ("p999", 0.999), ("max", 1.0)] {
        print!(" {name}_us={}", latency(quantile));
    }
    let busy = own_after.saturating_sub(own_before).as_secs_f64() / seconds * 100.0;
    print!(" generator_percent={busy:.0}");
    if let (Some(before), Some(after)) = (server_before, server_after) {
        let spent = after.saturating_sub(before).as_secs_f64();
        print!(" server_us_each={:.2}", spent * 1e6 / (measured.answers * each).max(1) as f64);
    }
    if let (Some(before), Some(memory)) = (memory_before, memory) {
        print!(" memory_before_kib={before} memory_kib={memory}");
    }
    println!();
    Ok(())
}
