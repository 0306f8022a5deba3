//! `windhover replay`: takes dead letters from a running server, and sends each record again.

use std::borrow::Cow;
use std::fmt::{self, Write as _};
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs as _};
use std::time::Duration;

use clap::Args;
use serde_json::Value;
use windhover_client::{Builder, Client, Error, Reservation, block_on};

use super::refused::{FORM, recording};
use super::{DEAD_LETTERS, DeadLetter, LetterError, Origin};
use crate::listen::{ListenAddress, ListenError};
use crate::runtime;

/// How long the server may take for each step.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Longest answer to an HTTP request that is read.
const LONGEST_ANSWER: u64 = 1 << 20;

/// Send dead letters again.
///
/// Takes them from the queue `dead-letters` of a running server, the oldest first: what could not be
/// forwarded is put into its queue again, what a tracking endpoint refused is posted there again. A
/// letter is removed once its record was taken, or refused again (then it is in the queue once more,
/// behind). Whatever else happens ends the replay, and the letter stays.
///
/// To look without sending: `get dead-letters/peek` on the queue's port.
#[derive(Clone, Debug, Args)]
#[non_exhaustive]
pub struct ReplayArgs {
    /// Where the server's queue listens, as given to `serve`
    #[arg(
        long,
        env = "WINDHOVER_QUEUE_LISTEN",
        default_value = "127.0.0.1:22133",
        value_name = "ADDRESS",
        value_parser = |given: &str| ListenAddress::parse(given, 22133)
    )]
    pub queue_listen: ListenAddress,

    /// Where the server's tracker listens, as given to `serve`
    #[arg(
        long,
        env = "WINDHOVER_HTTP",
        default_value = "127.0.0.1:8080",
        value_name = "ADDRESS",
        value_parser = |given: &str| ListenAddress::parse(given, 8080)
    )]
    pub http: ListenAddress,

    /// Most letters to send; all that are there when not given
    #[arg(long, value_name = "N")]
    pub limit: Option<u64>,
}

/// What a replay did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReplayReport {
    /// Records that were taken.
    pub taken: u64,
    /// Records that were refused again.
    pub refused: u64,
}

/// Why a replay ended before its end. The letter that it was at is still in the queue.
#[derive(Debug)]
#[non_exhaustive]
pub enum ReplayError {
    /// The operating system refused what the client needs.
    System(ListenError),
    /// The server listens there, and cannot be connected to from here: a Unix socket, or a name without an
    /// address.
    Address(ListenAddress),
    /// The queue's port did not answer as it should.
    Queue(Error),
    /// The tracker's port did not answer as it should.
    Http(io::Error),
    /// The tracker could not take the record now.
    NotNow {
        /// The answer's status.
        status: u16,
    },
    /// The item in the queue is no dead letter.
    Letter(LetterError),
}

impl fmt::Display for ReplayError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::System(error) => error.fmt(f),
            Self::Address(address) => write!(
                f,
                "{address} cannot be connected to: letters are sent again over TCP, to an address or a \
                 name that has one"
            ),
            Self::Queue(error) => write!(f, "the queue's port: {error}"),
            Self::Http(_) => f.write_str("the tracker's port cannot be used"),
            Self::NotNow { status } => {
                write!(f, "the tracker takes nothing now (status {status}); try again later")
            }
            Self::Letter(_) => write!(
                f,
                "the first item of the queue `{DEAD_LETTERS}` is no dead letter; take it away with `get \
                 {DEAD_LETTERS}`"
            ),
        }
    }
}

impl std::error::Error for ReplayError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::System(error) => error.source(),
            Self::Queue(error) => error.source(),
            Self::Http(error) => Some(error),
            Self::Letter(error) => Some(error),
            Self::NotNow { .. } | Self::Address(_) => None,
        }
    }
}

impl From<Error> for ReplayError {
    fn from(error: Error) -> Self {
        Self::Queue(error)
    }
}

/// What became of a record.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sent {
    Taken,
    Refused,
}

/// Sends letters again; `told` is told what was done, also when it fails.
///
/// # Errors
/// [`ReplayError`]; what was sent before stays sent.
pub fn replay(args: &ReplayArgs, told: &mut ReplayReport) -> Result<(), ReplayError> {
    let (queue, http) = (tcp(&args.queue_listen)?, tcp(&args.http)?);
    let (client, _runtime) = runtime::connect_alone(builder(queue)).map_err(ReplayError::System)?;
    let letters = client.queue(DEAD_LETTERS);
    // Not for ever: what is refused again comes again behind.
    let there = waiting(queue).map_err(ReplayError::Http)?;
    for _ in 0..args.limit.unwrap_or(u64::MAX).min(there) {
        let Some(reservation) = block_on(letters.reserve())? else {
            break;
        };
        match send(http, &client, &reservation) {
            Ok(sent) => {
                block_on(reservation.confirm())?;
                match sent {
                    Sent::Taken => told.taken += 1,
                    Sent::Refused => told.refused += 1,
                }
            }
            Err(error) => {
                block_on(reservation.abort())?;
                return Err(error);
            }
        }
    }
    Ok(())
}

/// Where to connect to a server that listens there.
fn tcp(address: &ListenAddress) -> Result<SocketAddr, ReplayError> {
    let found = match address {
        ListenAddress::Ip(address) => Some(*address),
        ListenAddress::Name { host, port } => {
            (host.as_str(), *port).to_socket_addrs().ok().and_then(|mut found| found.next())
        }
        _ => None,
    };
    found.ok_or_else(|| ReplayError::Address(address.clone()))
}

fn builder(queue: SocketAddr) -> Builder {
    Client::queue_builder().server(&queue.to_string()).timeout(TIMEOUT)
}

fn send(http: SocketAddr, client: &Client, reservation: &Reservation) -> Result<Sent, ReplayError> {
    let letter = DeadLetter::read(reservation.item()).map_err(ReplayError::Letter)?;
    match &letter.origin {
        Origin::Queue(name) => {
            block_on(client.queue(name.clone()).enqueue(letter.bytes))?;
            Ok(Sent::Taken)
        }
        Origin::Path(path) => {
            match post(http, path, &letter).map_err(ReplayError::Http)? {
                // A redirect is for those whose records were taken.
                (302, _) => Ok(Sent::Taken),
                (200, body) if !says_no(&body) => Ok(Sent::Taken),
                (400, body) if has_imported(&body) => Ok(Sent::Taken),
                // 429 is "too many", a word on the moment.
                (200 | 400..=428 | 430..=499, _) => Ok(Sent::Refused),
                (status, _) => Err(ReplayError::NotNow { status }),
            }
        }
    }
}

/// Whether an answer with the status 200 says that nothing was recorded: `0`, or with `verbose=1` an
/// object with the status 0.
fn says_no(body: &[u8]) -> bool {
    match serde_json::from_slice(body) {
        Ok(Value::Number(number)) => number.as_u64() == Some(0),
        Ok(Value::Object(object)) => object.get("status").and_then(Value::as_u64) == Some(0),
        _ => false,
    }
}

/// Whether an answer of `/import` with the status 400 says that some records of a batch were taken; those that
/// were not are letters of their own by now.
fn has_imported(body: &[u8]) -> bool {
    let answer: Option<Value> = serde_json::from_slice(body).ok();
    let imported = answer.and_then(|answer| answer.get("num_records_imported")?.as_u64());
    imported.is_some_and(|records| records > 0)
}

fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    Ok(stream)
}

/// How many letters a server has.
fn waiting(queue: SocketAddr) -> io::Result<u64> {
    let mut stream = connect(queue)?;
    stream.write_all(b"stats\r\n")?;
    let name = format!("STAT queue_{DEAD_LETTERS}_items ");
    for line in BufReader::new(stream).lines() {
        let line = line?;
        if let Some(items) = line.strip_prefix(&name) {
            return items.parse().map_err(io::Error::other);
        }
        if line == "END" {
            return Ok(0);
        }
    }
    Err(io::ErrorKind::UnexpectedEof.into())
}

/// The bytes to send again: those of a form without what is for its answer.
fn body(letter: &DeadLetter) -> Cow<'_, [u8]> {
    let is_form = letter.content_type.as_deref().is_some_and(|it| it.starts_with(FORM));
    match str::from_utf8(&letter.bytes) {
        Ok(form) if is_form && letter.content_encoding.is_none() && !begins_json(form) => {
            Cow::Owned(recording(form).collect::<Vec<_>>().join("&").into_bytes())
        }
        _ => Cow::Borrowed(&letter.bytes),
    }
}

/// What calls itself a form may be JSON.
fn begins_json(form: &str) -> bool {
    form.trim_ascii_start().starts_with(['{', '[', '\u{feff}'])
}

/// Posts a record; the answer's status and body.
fn post(http: SocketAddr, path: &str, letter: &DeadLetter) -> io::Result<(u16, Vec<u8>)> {
    let mut stream = connect(http)?;
    let record = body(letter);
    let mut head = format!(
        "POST {path} HTTP/1.1\r\nHost: {http}\r\nContent-Length: {}\r\nConnection: close\r\n",
        record.len()
    );
    let headers =
        [("Content-Type", &letter.content_type), ("Content-Encoding", &letter.content_encoding)];
    for (name, value) in headers {
        if let Some(value) = value {
            // Writing to memory does not fail.
            let _ = write!(head, "{name}: {value}\r\n");
        }
    }
    head.push_str("\r\n");
    stream.write_all(&[head.as_bytes(), &*record].concat())?;
    let mut answer = Vec::new();
    stream.take(LONGEST_ANSWER).read_to_end(&mut answer)?;
    let unreadable = || io::Error::new(io::ErrorKind::InvalidData, "this is no answer of HTTP/1.1");
    let status = answer.strip_prefix(b"HTTP/1.1 ").and_then(|rest| rest.get(..3));
    let status = status.and_then(|digits| str::from_utf8(digits).ok()?.parse().ok());
    let head = memchr::memmem::find(&answer, b"\r\n\r\n").ok_or_else(unreadable)?;
    let body = answer.get(head + 4..).unwrap_or_default().to_vec();
    Ok((status.ok_or_else(unreadable)?, body))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_reached_by_whatever_tcp_address_it_listens_on() {
        let found = |given: &str| tcp(&ListenAddress::parse(given, 8080).unwrap());
        assert_eq!(found("127.0.0.1:1").unwrap(), "127.0.0.1:1".parse().unwrap());
        assert_eq!(found("localhost").unwrap().port(), 8080);
        let error = found("unix:/run/windhover.sock").unwrap_err().to_string();
        assert!(error.starts_with("unix:/run/windhover.sock?mode=0600 cannot be"), "{error}");
    }

    #[test]
    fn a_no_is_told_from_a_yes() {
        for no in ["0", "0\n", r#"{"status":0,"error":"e"}"#] {
            assert!(says_no(no.as_bytes()), "{no}");
        }
        for yes in ["1", r#"{"status":1,"error":null}"#, r#"{"code":200,"status":"OK"}"#, "", "ok"]
        {
            assert!(!says_no(yes.as_bytes()), "{yes}");
        }
    }

    #[test]
    fn a_batch_that_was_taken_in_part_is_told_from_one_that_was_not() {
        assert!(has_imported(br#"{"code":400,"num_records_imported":1}"#));
        for none in [r#"{"code":400,"num_records_imported":0}"#, r#"{"status":0}"#, "0", ""] {
            assert!(!has_imported(none.as_bytes()), "{none}");
        }
    }

    #[test]
    fn what_is_sent_again_is_what_came_but_for_what_is_for_the_answer() {
        let letter =
            |content_type: Option<&str>, content_encoding: Option<&str>, bytes: &'static [u8]| {
                DeadLetter {
                    reason: "json".to_owned(),
                    detail: String::new(),
                    origin: Origin::Path("/track".to_owned()),
                    token: None,
                    time: windhover_core::UnixTime::from_millis(0),
                    content_type: content_type.map(str::to_owned),
                    content_encoding: content_encoding.map(str::to_owned),
                    bytes: bytes.into(),
                }
            };
        let form = Some("application/x-www-form-urlencoded; charset=utf-8");
        let query: &[u8] = b"ip=1&data=%7B&verbose=1";
        assert_eq!(&*body(&letter(form, None, query)), b"data=%7B");
        let json: &[u8] = b" {\"a\":\"x&img=1\"}";
        for (content_type, content_encoding, bytes) in [
            (form, Some("gzip"), query),
            (form, None, json),
            (Some("application/json"), None, json),
            (None, None, query),
            (form, None, b"\xff&img=1"),
        ] {
            assert_eq!(&*body(&letter(content_type, content_encoding, bytes)), bytes);
        }
    }
}
