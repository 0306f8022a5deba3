//! A file of recorded requests.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use super::track::Prepared;

/// One request, as one line of JSON.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Recorded {
    #[serde(default = "post")]
    method: String,
    /// With its query.
    path: String,
    #[serde(default)]
    headers: std::collections::BTreeMap<String, String>,
    body: Option<String>,
    body_base64: Option<String>,
    /// How often it is sent, beside the others.
    #[serde(default = "one")]
    weight: u32,
    /// Events in it.
    #[serde(default = "one")]
    events: u32,
}

fn post() -> String {
    "POST".to_owned()
}

fn one() -> u32 {
    1
}

/// Why a file of requests cannot be used.
#[derive(Debug)]
#[non_exhaustive]
pub enum MixError {
    /// It cannot be read.
    Read {
        /// The file.
        file: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A line is no request.
    Line {
        /// The file.
        file: PathBuf,
        /// Which one, from 1 on.
        line: usize,
        /// What is wrong.
        fault: MixFault,
    },
    /// There is no request in it with a weight above 0.
    Empty(PathBuf),
}

/// What is wrong with a line.
#[derive(Debug)]
#[non_exhaustive]
pub enum MixFault {
    /// It is not JSON, or not of that shape.
    Json(serde_json::Error),
    /// Base64 that is none.
    Base64(base64::DecodeError),
    /// Both `body` and `body_base64`.
    TwoBodies,
    /// A method, path or header that would not be one on the wire.
    NotSendable(&'static str),
}

impl fmt::Display for MixError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read { file, .. } => write!(f, "{} cannot be read", file.display()),
            Self::Line { file, line, fault } => {
                write!(f, "{}, line {line}: ", file.display())?;
                match fault {
                    MixFault::Json(_) => f.write_str("expected a request as JSON"),
                    MixFault::Base64(_) => f.write_str("`body_base64` is not base64"),
                    MixFault::TwoBodies => f.write_str("`body` and `body_base64`: give one"),
                    MixFault::NotSendable(what) => {
                        write!(f, "{what} has characters that it cannot have on the wire")
                    }
                }
            }
            Self::Empty(file) => {
                write!(f, "{} has no request with a weight above 0", file.display())
            }
        }
    }
}

impl std::error::Error for MixError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Read { source, .. } => Some(source),
            Self::Line { fault: MixFault::Json(source), .. } => Some(source),
            Self::Line { fault: MixFault::Base64(source), .. } => Some(source),
            _ => None,
        }
    }
}

/// The requests of a file.
pub(in super::super) fn read(file: &Path, host: &str) -> Result<Vec<Prepared>, MixError> {
    let text = fs::read_to_string(file)
        .map_err(|source| MixError::Read { file: file.to_owned(), source })?;
    let lines = text.lines().enumerate().filter(|(_, line)| {
        let line = line.trim_start();
        !line.is_empty() && !line.starts_with('#')
    });
    let requests: Result<Vec<_>, _> = lines
        .map(|(at, line)| {
            let failed = |fault| MixError::Line { file: file.to_owned(), line: at + 1, fault };
            prepare(line, host).map_err(failed)
        })
        .collect();
    let requests = requests?;
    if requests.iter().all(|request| request.weight == 0) {
        return Err(MixError::Empty(file.to_owned()));
    }
    Ok(requests)
}

fn prepare(line: &str, host: &str) -> Result<Prepared, MixFault> {
    let recorded: Recorded = serde_json::from_str(line).map_err(MixFault::Json)?;
    let is_token = |text: &str| {
        let in_token =
            |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        !text.is_empty() && text.bytes().all(in_token)
    };
    if !is_token(&recorded.method) {
        return Err(MixFault::NotSendable("`method`"));
    }
    let is_path =
        recorded.path.starts_with('/') && recorded.path.bytes().all(|it| it > 0x20 && it != 0x7f);
    if !is_path {
        return Err(MixFault::NotSendable("`path`"));
    }
    let is_text = |text: &str| text.bytes().all(|it| it >= 0x20 && it != 0x7f || it == b'\t');
    if recorded.headers.iter().any(|(name, value)| !is_token(name) || !is_text(value)) {
        return Err(MixFault::NotSendable("a header"));
    }
    let body = match (recorded.body, recorded.body_base64) {
        (Some(_), Some(_)) => return Err(MixFault::TwoBodies),
        (Some(body), None) => body.into_bytes(),
        (None, Some(body)) => STANDARD.decode(body).map_err(MixFault::Base64)?,
        (None, None) => Vec::new(),
    };
    let mut head = format!("{} {} HTTP/1.1\r\n", recorded.method, recorded.path);
    let mut has_host = false;
    for (name, value) in &recorded.headers {
        // What was recorded of the connection is not true of ours.
        let is_ours = ["content-length", "transfer-encoding", "connection"];
        if is_ours.iter().any(|it| name.eq_ignore_ascii_case(it)) {
            continue;
        }
        has_host |= name.eq_ignore_ascii_case("host");
        head.extend([name, ": ", value, "\r\n"]);
    }
    if !has_host {
        head.extend(["Host: ", host, "\r\n"]);
    }
    if !body.is_empty() || recorded.method != "GET" && recorded.method != "HEAD" {
        head.extend(["Content-Length: ", &body.len().to_string(), "\r\n"]);
    }
    head += "\r\n";
    Ok(Prepared {
        bytes: [head.as_bytes(), &body].concat(),
        weight: recorded.weight,
        events: recorded.events,
        is_head: recorded.method == "HEAD",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(line: &str) -> String {
        String::from_utf8(prepare(line, "h:1").unwrap().bytes).unwrap()
    }

    #[test]
    fn a_line_is_a_request() {
        assert_eq!(
            sent(
                r#"{"path":"/track?ip=1","headers":{"Content-Type":"application/json","content-length":"9"},"body":"[]"}"#
            ),
            "POST /track?ip=1 HTTP/1.1\r\nContent-Type: application/json\r\nHost: h:1\r\nContent-Length: 2\r\n\r\n[]"
        );
        assert_eq!(
            sent(r#"{"method":"GET","path":"/track?data=e30","headers":{"host":"other"}}"#),
            "GET /track?data=e30 HTTP/1.1\r\nhost: other\r\n\r\n"
        );
        assert!(sent(r#"{"path":"/","body_base64":"AQI="}"#).ends_with("\r\n\r\n\x01\x02"));
        let weighted = prepare(r#"{"path":"/","weight":7,"events":50}"#, "h").unwrap();
        assert_eq!((weighted.weight, weighted.events), (7, 50));
    }

    #[test]
    fn what_is_no_request_is_told_with_its_line() {
        for (line, words) in [
            ("{", "expected a request as JSON"),
            (r#"{"path":"/","wieght":1}"#, "expected a request as JSON"),
            (r#"{"path":"/","body":"a","body_base64":"YQ=="}"#, "give one"),
            (r#"{"path":"/","body_base64":"?"}"#, "not base64"),
            (r#"{"path":"track"}"#, "`path` has characters"),
            (r#"{"path":"/a b"}"#, "`path` has characters"),
            (r#"{"method":"PO ST","path":"/"}"#, "`method` has characters"),
            (r#"{"path":"/","headers":{"a":"b\r\nc: d"}}"#, "a header has characters"),
        ] {
            let file = std::env::temp_dir().join(format!("windhover-mix-{}", std::process::id()));
            fs::write(&file, format!("# recorded\n\n{line}\n")).unwrap();
            let error = read(&file, "h").unwrap_err().to_string();
            assert!(error.contains("line 3") && error.contains(words), "{line}: {error}");
            fs::write(&file, "# nothing\n").unwrap();
            assert!(matches!(read(&file, "h"), Err(MixError::Empty(_))));
            fs::remove_file(&file).unwrap();
        }
    }
}
