//! A line of the access log.

use std::io::Write;
use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use humantime::format_rfc3339_millis;
use windhover_core::UnixTime;

/// What is told of a request when it is answered.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Entry<'a> {
    /// When it was answered.
    pub time: UnixTime,
    /// Who is connected.
    pub peer: Option<IpAddr>,
    /// Whom trusted proxies name as the sender.
    pub client: Option<IpAddr>,
    /// Its method, `-` when there is none that could be read.
    pub method: &'a str,
    /// Its path, as it came. Not the query: events are in it, and keys.
    pub path: &'a str,
    /// What it is counted for.
    pub endpoint: &'a str,
    /// The status of its answer.
    pub status: u16,
    /// Bytes of its body, as they came.
    pub bytes_in: u64,
    /// Bytes of the answer's body.
    pub bytes_out: u64,
    /// From its last byte until it was answered.
    pub took: Duration,
    /// Whose records it has, masked; empty where it has none.
    pub token: &'a str,
    /// Records that were accepted.
    pub accepted: u64,
    /// Records that were not.
    pub refused: u64,
    /// Why nothing was recorded, or [`ACCEPTED`](crate::metrics::ACCEPTED).
    pub reason: &'a str,
}

/// A value of a line.
enum Value<'a> {
    Text(&'a str),
    Number(u64),
    /// Milliseconds.
    Time(Duration),
    Address(IpAddr),
}

impl Entry<'_> {
    /// Whether nothing of it was refused.
    pub fn went_well(&self) -> bool {
        self.status < 400 && self.refused == 0 && self.reason == crate::metrics::ACCEPTED
    }

    /// The values but the time, each with its name.
    fn values(&self, sample: u64) -> impl Iterator<Item = (&'static str, Value<'_>)> {
        let token = Some(self.token).filter(|token| !token.is_empty());
        [
            self.peer.map(|peer| ("peer", Value::Address(peer))),
            self.client
                .filter(|it| Some(*it) != self.peer)
                .map(|it| ("client", Value::Address(it))),
            Some(("method", Value::Text(self.method))),
            Some(("path", Value::Text(self.path))),
            Some(("endpoint", Value::Text(self.endpoint))),
            Some(("status", Value::Number(u64::from(self.status)))),
            Some(("bytes_in", Value::Number(self.bytes_in))),
            Some(("bytes_out", Value::Number(self.bytes_out))),
            Some(("duration_ms", Value::Time(self.took))),
            token.map(|token| ("token", Value::Text(token))),
            Some(("accepted", Value::Number(self.accepted))),
            Some(("refused", Value::Number(self.refused))),
            Some(("reason", Value::Text(self.reason))),
            Some(("sample", Value::Number(sample))).filter(|_| sample > 1),
        ]
        .into_iter()
        .flatten()
    }

    fn time(&self) -> impl std::fmt::Display {
        // The form has four digits for the year.
        const LAST: u64 = 253_402_300_799_999;
        let since = Duration::from_millis(self.time.as_millis().min(LAST));
        format_rfc3339_millis(SystemTime::UNIX_EPOCH + since)
    }

    /// As an object of JSON, and a line end.
    pub(super) fn write_json(&self, sample: u64, out: &mut Vec<u8>) {
        // Writing to memory does not fail.
        let _ = write!(out, r#"{{"timestamp":"{}""#, self.time());
        for (name, value) in self.values(sample) {
            let _ = write!(out, r#","{name}":"#);
            let _ = match value {
                Value::Text(text) => serde_json::to_writer(&mut *out, text).map_err(Into::into),
                Value::Number(number) => write!(out, "{number}"),
                Value::Time(time) => write!(out, "{:.3}", time.as_secs_f64() * 1e3),
                Value::Address(address) => write!(out, r#""{address}""#),
            };
        }
        out.extend_from_slice(b"}\n");
    }

    /// As the time and `name=value`, and a line end. A value with anything but letters, digits and a few signs in it
    /// is quoted.
    pub(super) fn write_text(&self, sample: u64, out: &mut Vec<u8>) {
        let is_plain = |text: &str| {
            let is_plain = |c: char| c.is_alphanumeric() || "-_./%~…".contains(c);
            !text.is_empty() && text.chars().all(is_plain)
        };
        let _ = write!(out, "{}", self.time());
        for (name, value) in self.values(sample) {
            let _ = match value {
                Value::Text(text) if is_plain(text) => write!(out, " {name}={text}"),
                Value::Text(text) => write!(out, " {name}={text:?}"),
                Value::Number(number) => write!(out, " {name}={number}"),
                Value::Time(time) => write!(out, " {name}={:.3}", time.as_secs_f64() * 1e3),
                Value::Address(address) => write!(out, " {name}={address}"),
            };
        }
        out.push(b'\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry() -> Entry<'static> {
        Entry {
            time: UnixTime::from_millis(1_700_000_000_123),
            peer: Some(IpAddr::from([10, 0, 0, 1])),
            client: None,
            method: "POST",
            path: "/track",
            endpoint: "track",
            status: 200,
            bytes_in: 120,
            bytes_out: 1,
            took: Duration::from_micros(1234),
            token: "e3b…c43596d4",
            accepted: 3,
            refused: 0,
            reason: "accepted",
        }
    }

    fn lines(entry: &Entry<'_>, sample: u64) -> [String; 2] {
        let (mut text, mut json) = (Vec::new(), Vec::new());
        entry.write_text(sample, &mut text);
        entry.write_json(sample, &mut json);
        [text, json].map(|line| String::from_utf8(line).unwrap())
    }

    #[test]
    fn a_line_has_the_time_and_values_with_their_names() {
        let [text, json] = lines(&entry(), 1);
        assert_eq!(
            text,
            "2023-11-14T22:13:20.123Z peer=10.0.0.1 method=POST path=/track endpoint=track status=200 \
             bytes_in=120 bytes_out=1 duration_ms=1.234 token=e3b…c43596d4 accepted=3 refused=0 reason=accepted\n"
        );
        assert_eq!(
            json,
            concat!(
                r#"{"timestamp":"2023-11-14T22:13:20.123Z","peer":"10.0.0.1","method":"POST","path":"/track","#,
                r#""endpoint":"track","status":200,"bytes_in":120,"bytes_out":1,"duration_ms":1.234,"#,
                r#""token":"e3b…c43596d4","accepted":3,"refused":0,"reason":"accepted"}"#,
                "\n"
            )
        );
        let other = Entry { client: Some(IpAddr::from([9, 9, 9, 9])), token: "", ..entry() };
        let [text, json] = lines(&other, 100);
        assert!(
            text.contains(" client=9.9.9.9 method") && text.ends_with(" sample=100\n"),
            "{text}"
        );
        assert!(json.contains(r#","client":"9.9.9.9","#) && !json.contains("token"), "{json}");
    }

    /// Whatever a sender puts into a path or a token.
    #[test]
    fn every_character_leaves_one_line_that_reads_back() {
        let all: Vec<char> = ('\0'..='\u{ffff}').chain(['\u{1f600}', char::MAX]).collect();
        for chars in all.chunks(64) {
            let path: String = chars.iter().collect();
            let entry = Entry { path: &path, token: &path, method: &path, ..entry() };
            let [text, json] = lines(&entry, 1);
            for line in [&text, &json] {
                assert!(
                    !line.trim_end_matches('\n').contains(['\n', '\r', '\0', '\u{1b}']),
                    "{line}"
                );
            }
            let read: serde_json::Value = serde_json::from_str(&json).unwrap();
            for name in ["path", "token", "method"] {
                assert_eq!(read[name], *path, "{json}");
            }
        }
    }

    #[test]
    fn what_is_refused_in_part_or_answered_200_did_not_go_well() {
        assert!(entry().went_well());
        for other in [
            Entry { status: 503, reason: "not_durable", ..entry() },
            Entry { refused: 1, ..entry() },
            Entry { reason: "data_missing", accepted: 0, ..entry() },
        ] {
            assert!(!other.went_well(), "{other:?}");
        }
    }
}
