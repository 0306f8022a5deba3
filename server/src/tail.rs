//! `windhover tail`: records of a running server as they are accepted.

use std::fmt;
use std::io::{self, BufRead, BufReader, Write};
use std::net::TcpStream;
use std::time::Duration;

use clap::Args;
use serde_json::Value;
use windhover_core::UnixTime;

/// How long a connection may take, and the server be quiet: it says every ten seconds that it is there.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Show records of a running server as they are accepted, without taking them.
///
/// Connects to the listener of `serve --admin`. Nothing waits for this: where it is too slow for the
/// server it misses records, and says how many.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Exit codes: 0 after --count records, 1 when the server ends or cannot be reached.")]
#[non_exhaustive]
pub struct TailArgs {
    /// Where the server listens for operators, as given to `serve`
    #[arg(
        long,
        env = "WINDHOVER_ADMIN",
        default_value = "127.0.0.1:8081",
        value_name = "HOST:PORT"
    )]
    pub admin: String,

    /// Only records of this project
    #[arg(long, value_name = "TOKEN")]
    pub token: Option<String>,

    /// Only events of this name
    #[arg(long, value_name = "NAME")]
    pub event: Option<String>,

    /// Whole records, one line of JSON each, and not columns
    #[arg(long)]
    pub json: bool,

    /// End after so many
    #[arg(long, value_name = "N")]
    pub count: Option<u64>,
}

/// Why there is nothing more to show.
#[derive(Debug)]
#[non_exhaustive]
pub enum TailError {
    /// The server cannot be reached, or ended.
    Server {
        /// Where it was to be.
        admin: String,
        /// Why not.
        source: io::Error,
    },
    /// It answers something else.
    Answer {
        /// The first line of it.
        status: String,
    },
    /// What was found cannot be written.
    Output(io::Error),
}

impl fmt::Display for TailError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Server { admin, .. } => {
                write!(f, "{admin}: no server's --admin listener can be reached there, or it ended")
            }
            Self::Answer { status } => {
                write!(
                    f,
                    "expected a stream of events, got `{status}`: is this a server's --admin listener?"
                )
            }
            Self::Output(_) => f.write_str("the output cannot be written"),
        }
    }
}

impl std::error::Error for TailError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Server { source, .. } | Self::Output(source) => Some(source),
            Self::Answer { .. } => None,
        }
    }
}

/// Shows records until the server ends, or as many as are wanted.
///
/// # Errors
/// [`TailError`].
pub fn tail(args: &TailArgs, out: &mut dyn Write) -> Result<(), TailError> {
    let failed = |source| TailError::Server { admin: args.admin.clone(), source };
    let ended = || failed(io::ErrorKind::UnexpectedEof.into());
    let mut lines = connect(args).map_err(failed)?.lines();
    let status = lines.next().ok_or_else(ended)?.map_err(failed)?;
    if !status.starts_with("HTTP/1.1 200 ") {
        return Err(TailError::Answer { status });
    }
    let mut left = args.count;
    let mut is_missed = false;
    while left != Some(0) {
        let line = lines.next().ok_or_else(ended)?.map_err(failed)?;
        if line == ": ready" {
            eprintln!("windhover: shown from here on");
        } else if line == "event: missed" {
            is_missed = true;
        } else if let Some(data) = line.strip_prefix("data: ") {
            if std::mem::take(&mut is_missed) {
                eprintln!("windhover: {data} records came too fast to be shown");
                continue;
            }
            let shown = if args.json { data.to_owned() } else { columns(data) };
            writeln!(out, "{shown}").and_then(|()| out.flush()).map_err(TailError::Output)?;
            left = left.map(|left| left - 1);
        }
    }
    Ok(())
}

fn connect(args: &TailArgs) -> io::Result<BufReader<TcpStream>> {
    let mut stream = TcpStream::connect(&args.admin)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    let mut query = String::new();
    for (name, value) in [("token", &args.token), ("event", &args.event)] {
        if let Some(value) = value {
            query.push(if query.is_empty() { '?' } else { '&' });
            query.push_str(name);
            query.push('=');
            query.extend(value.bytes().map(|byte| format!("%{byte:02X}")));
        }
    }
    let request = format!("GET /tail{query} HTTP/1.1\r\nHost: {}\r\n\r\n", args.admin);
    stream.write_all(request.as_bytes())?;
    Ok(BufReader::new(stream))
}

/// What a record is, of whom, and the rest of it.
fn columns(record: &str) -> String {
    let Ok(Value::Object(mut record)) = serde_json::from_str(record) else {
        return printable(record);
    };
    let name = match record.remove("event") {
        Some(name) => text(&name),
        None => {
            let is_operation =
                |(name, value): (&String, &Value)| value.is_object().then(|| name.clone());
            record.iter().find_map(is_operation).unwrap_or_default()
        }
    };
    let mut properties = match record.remove("properties") {
        Some(Value::Object(properties)) => properties,
        _ => record,
    };
    let mut take = |names: [&str; 2]| {
        let found = names.iter().find_map(|name| properties.remove(*name));
        found.map_or_else(|| "-".to_owned(), |value| text(&value))
    };
    let received = take(["mp_processing_time_ms", ""]);
    let (token, user) = (take(["token", "$token"]), take(["distinct_id", "$distinct_id"]));
    let rest =
        properties.iter().map(|(name, value)| format!("{}={}", printable(name), text(value)));
    let clock = received.parse().map_or(received, |millis| clock(UnixTime::from_millis(millis)));
    let rest = rest.collect::<Vec<_>>().join(" ");
    format!("{clock}  {name:<24}  {token:<12}  {user:<16}  {rest}").trim_end().to_owned()
}

/// The time of the day in UTC.
fn clock(time: UnixTime) -> String {
    let millis = time.as_millis() % 86_400_000;
    let (seconds, millis) = (millis / 1000, millis % 1000);
    format!("{:02}:{:02}:{:02}.{millis:03}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => printable(text),
        other => printable(&other.to_string()),
    }
}

/// Text that does nothing to a terminal.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_has_columns_that_do_nothing_to_a_terminal() {
        let event = r#"{"event":"buy\u001b[31m","properties":{"token":"t","distinct_id":7,"n":1,"mp_processing_time_ms":1700000000123,"a":"x y"}}"#;
        assert_eq!(
            columns(event),
            "22:13:20.123  buy\u{fffd}[31m                  t             7                 a=x y n=1"
        );
        let update =
            r#"{"$token":"t","$distinct_id":"u","$set":{"a":1},"mp_processing_time_ms":0}"#;
        assert_eq!(
            columns(update),
            "00:00:00.000  $set                      t             u                 $set={\"a\":1}"
        );
        assert_eq!(columns("no JSON\u{7}"), "no JSON\u{fffd}");
    }
}
