//! `windhover load`: puts load on a server and measures it, compares what was measured, and shows what the machine
//! does to whoever measures on it.
//!
//! Requests are made before they are sent, connections are read and written by loops on non-blocking sockets, one for
//! each thread, and an answer's time is taken when its bytes were read. In an open loop (`--rate`) a request is due
//! whether the server keeps up or not, and its latency counts from then: a server that stalls is charged with all
//! that was due in the meantime.

mod args;
mod compare;
mod connection;
mod error;
mod failure;
mod figures;
mod http_answer;
mod noise;
mod plan;
mod process;
mod progress;
mod record;
mod recording;
mod report;
mod run;
#[cfg(test)]
mod run_tests;
mod svg;
mod wait;
mod worker;
mod workload;

use std::fs;
use std::io::{self, Write as _};
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use windhover_runtime::Report;

pub use self::args::{
    LoadArgs, LoadCacheArgs, LoadCommand, LoadCompareArgs, LoadQueueArgs, LoadTrackArgs, PaceArgs,
    Sizes,
};
pub use self::error::LoadError;
pub use self::noise::LoadNoiseArgs;
pub use self::workload::cache::KeyDistribution;
pub use self::workload::mix::{MixError, MixFault};
pub use self::workload::queue::QueueOperations;

use self::figures::{Run, Saved, What};
use self::run::measure;
use self::workload::Workload;
use self::workload::cache::{CacheWorkload, Items};
use self::workload::queue::QueueWorkload;
use self::workload::track::{Events, TrackWorkload, events};

/// Does it; what the process ends with.
pub fn run(args: &LoadArgs) -> u8 {
    let done = match &args.command {
        LoadCommand::Track(args) => track(args),
        LoadCommand::Cache(args) => cache(args),
        LoadCommand::Queue(args) => queue(args),
        LoadCommand::Compare(args) => compare::run(args),
        LoadCommand::Noise(args) => noise::run(args),
    };
    match done {
        Ok(code) => code,
        Err(error) => {
            eprintln!("windhover: {}", Report::new(&error));
            error.exit_code()
        }
    }
}

fn track(args: &LoadTrackArgs) -> Result<u8, LoadError> {
    let (host, path) = url(&args.url)?;
    let address = resolve(host, 80)?;
    let (requests, what) = match &args.mix {
        Some(file) => {
            let requests = workload::mix::read(file, host).map_err(LoadError::Mix)?;
            let what = format!("{} recorded requests of {}", requests.len(), file.display());
            (requests, what)
        }
        None => {
            let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
            let batch = args.batch.get();
            let token = &args.token;
            let what = Events { host, path, token, batch, gzip: args.gzip, time };
            let requests = events(&what).map_err(LoadError::System)?;
            let words = if args.gzip { "gzipped JSON" } else { "a form in base64" };
            (requests, format!("events in each: {batch}, as {words}"))
        }
    };
    let workload = TrackWorkload::new(requests);
    let what = What {
        protocol: "tracker".to_owned(),
        requests: what,
        events_each: workload.events_each(),
        ..args.pace.what(address)
    };
    measured(&args.pace, what, address, &workload)
}

fn cache(args: &LoadCacheArgs) -> Result<u8, LoadError> {
    let address = resolve(&args.address, 11_211)?;
    let items = Items {
        keys: args.keys.get(),
        distribution: args.distribution,
        size: args.size.0.clone(),
        set_percent: args.set_percent,
        keys_each: args.multiget.get(),
    };
    let what = What {
        protocol: "cache".to_owned(),
        requests: format!(
            "{} % write, keys: {} {:?}, in a read: {}, bytes of a value: {}",
            args.set_percent, args.keys, args.distribution, args.multiget, args.size
        )
        .to_lowercase(),
        events_each: 1.0,
        ..args.pace.what(address)
    };
    let workload = CacheWorkload::new(items);
    if !args.no_fill {
        let filled = workload.fill(address, args.pace.timeout);
        filled.map_err(|source| LoadError::Fill { address, source })?;
    }
    measured(&args.pace, what, address, &workload)
}

fn queue(args: &LoadQueueArgs) -> Result<u8, LoadError> {
    let address = resolve(&args.address, 22_133)?;
    let what = What {
        protocol: "queue".to_owned(),
        requests: format!("{:?}, bytes of an item: {}", args.operations, args.size).to_lowercase(),
        events_each: 1.0,
        ..args.pace.what(address)
    };
    let workload = QueueWorkload::new(args.operations, &args.queue, args.size);
    measured(&args.pace, what, address, &workload)
}

/// Measures, and tells what came of it in every way that was asked for.
fn measured<W: Workload>(
    args: &PaceArgs,
    what: What,
    address: SocketAddr,
    workload: &W,
) -> Result<u8, LoadError> {
    // Before anything is measured that could not be kept.
    let before = match &args.save {
        Some(file) => earlier(file, args.append, &what)?,
        None => Vec::new(),
    };
    let plan = args.plan(address)?;
    let run = measure(&plan, workload, args.process.map(|id| (id, args.settle)), what.events_each)?;
    let code = u8::from(run.failed > 0 || run.ended != figures::COMPLETE);
    let said = if args.json {
        let alone = Saved { format: figures::FORMAT, what: what.clone(), runs: vec![run.clone()] };
        serde_json::to_string(&alone).map_err(|error| LoadError::System(error.into()))?
    } else {
        report::text(&what, &run)
    };
    match writeln!(io::stdout().lock(), "{}", said.trim_end()) {
        // Whoever closed standard output does not want to read this.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            return Err(LoadError::System(error));
        }
        _ => {}
    }
    if let Some(file) = &args.svg {
        let (title, charts) = svg::of_run(&what, &run);
        svg::write(file, &title, &charts)?;
    }
    if let Some(file) = &args.save {
        let runs = before.into_iter().chain([run]).collect();
        save(file, &Saved { format: figures::FORMAT, what, runs })?;
    }
    Ok(code)
}

/// The runs that are in the file to which one is to be added.
fn earlier(file: &Path, append: bool, what: &What) -> Result<Vec<Run>, LoadError> {
    let exists = file.try_exists().map_err(|source| LoadError::file(file, source))?;
    if !exists {
        return Ok(Vec::new());
    }
    if !append {
        return Err(LoadError::Exists(file.to_owned()));
    }
    let saved = Saved::read(file)?;
    if !saved.what.is_like(what) {
        return Err(LoadError::OtherLoad(file.to_owned()));
    }
    Ok(saved.runs)
}

/// All of it or nothing: a file that was there is replaced by one that is whole.
fn save(file: &Path, saved: &Saved) -> Result<(), LoadError> {
    let text = serde_json::to_vec(saved).map_err(|error| LoadError::System(error.into()))?;
    let mut beside = file.as_os_str().to_owned();
    beside.push(".new");
    fs::write(&beside, text)
        .and_then(|()| fs::rename(&beside, file))
        .map_err(|source| LoadError::file(file, source))
}

/// Host (with its port) and path of a URL.
fn url(url: &str) -> Result<(&str, &str), LoadError> {
    let bad = || LoadError::Url(url.to_owned());
    let rest = url.strip_prefix("http://").ok_or_else(bad)?;
    let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let is_sendable = |text: &str| text.bytes().all(|byte| byte > 0x20 && byte != 0x7f);
    if host.is_empty() || host.contains('@') || !is_sendable(host) || !is_sendable(path) {
        return Err(bad());
    }
    Ok((host, if path.is_empty() || path == "/" { "/track" } else { path }))
}

/// The first address of `HOST[:PORT]`.
fn resolve(host: &str, port: u16) -> Result<SocketAddr, LoadError> {
    let failed = |source| LoadError::Address { host: host.to_owned(), source };
    // An IPv6 address has colons of its own.
    let has_port = host.rsplit_once(':').is_some_and(|(before, port)| {
        (!before.contains(':') || before.ends_with(']')) && port.parse::<u16>().is_ok()
    });
    let mut found = if has_port {
        host.to_socket_addrs().map_err(failed)?
    } else {
        let name = host.trim_start_matches('[').trim_end_matches(']');
        (name, port).to_socket_addrs().map_err(failed)?
    };
    found.next().ok_or_else(|| failed(io::ErrorKind::NotFound.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_has_a_host_and_a_path() {
        assert_eq!(url("http://h:8080").unwrap(), ("h:8080", "/track"));
        assert_eq!(url("http://h/").unwrap(), ("h", "/track"));
        assert_eq!(
            url("http://[::1]:80/import?strict=1").unwrap(),
            ("[::1]:80", "/import?strict=1")
        );
        for bad in ["h:80", "https://h", "http://", "http:///track", "http://u@h/", "http://h/a b"]
        {
            assert!(url(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_port_may_be_left_out() {
        let address = |host| resolve(host, 7).unwrap().to_string();
        assert_eq!(address("127.0.0.1"), "127.0.0.1:7");
        assert_eq!(address("127.0.0.1:9"), "127.0.0.1:9");
        assert_eq!(address("::1"), "[::1]:7");
        assert_eq!(address("[::1]"), "[::1]:7");
        assert_eq!(address("[::1]:9"), "[::1]:9");
    }
}
