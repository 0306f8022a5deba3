//! Headers that are the same in every answer of a kind.

use super::encode::{is_own, is_token_byte};

/// Headers that are always the same, as they go over the wire. They are checked when the program is compiled, so
/// that an answer takes them over with one copy.
///
/// ```
/// use windhover_core::http::FixedHeaders;
///
/// const HEADERS: FixedHeaders =
///     FixedHeaders::new("Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n");
///
/// let mut headers = HEADERS.iter();
/// assert_eq!(headers.next(), Some(("Cache-Control", "no-store")));
/// assert_eq!(HEADERS.get("x-content-type-options"), Some("nosniff"));
/// assert_eq!(HEADERS.get("Vary"), None);
/// ```
///
/// What could be read as anything else does not compile:
///
/// ```compile_fail
/// # use windhover_core::http::FixedHeaders;
/// const HEADERS: FixedHeaders = FixedHeaders::new("Vary: Origin\r\nContent-Length: 0\r\n");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FixedHeaders(&'static str);

impl FixedHeaders {
    /// No headers.
    pub const NONE: Self = Self("");

    /// These lines, each of them `Name: value` and CR LF. To be called for a constant.
    ///
    /// # Panics
    /// When a name is not a token or is one of the connection's own ([`Response`](super::Response)), a value has a
    /// control character in it, or a line does not end in CR LF.
    pub const fn new(lines: &'static str) -> Self {
        let mut rest = lines.as_bytes();
        while !rest.is_empty() {
            let length = line(rest);
            assert!(
                length > 0,
                "each line has to be a header that an answer may have, and end in CR LF"
            );
            rest = rest.split_at(length).1;
        }
        Self(lines)
    }

    /// Each of them: name and value.
    pub fn iter(self) -> impl Iterator<Item = (&'static str, &'static str)> {
        self.0.split_terminator("\r\n").filter_map(|line| line.split_once(": "))
    }

    /// The value of the first one of that name, in whatever case.
    pub fn get(self, name: &str) -> Option<&'static str> {
        self.iter().find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// The lines.
    pub(super) const fn as_bytes(self) -> &'static [u8] {
        self.0.as_bytes()
    }
}

/// The length of the header line at the start of `text`, its end included; 0 where there is none that may be sent.
const fn line(text: &[u8]) -> usize {
    let mut at = 0;
    while at < text.len() && is_token_byte(text[at]) {
        at += 1;
    }
    let name = text.split_at(at).0;
    if name.is_empty() || is_own(name) || !begins(text, at, *b": ") {
        return 0;
    }
    while at < text.len() && (text[at] == b'\t' || !text[at].is_ascii_control()) {
        at += 1;
    }
    if begins(text, at, *b"\r\n") { at + 2 } else { 0 }
}

/// Whether those two bytes stand at `at`.
const fn begins(text: &[u8], at: usize, two: [u8; 2]) -> bool {
    text.len() >= at + 2 && text[at] == two[0] && text[at + 1] == two[1]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_are_headers() {
        for text in ["A: b\r\n", "A: \r\n", "A: b\tc: d\r\n", "X-Caf: caf\u{e9}\r\n"] {
            assert_eq!(line(text.as_bytes()), text.len(), "{text:?}");
        }
        assert_eq!(line(b"A: b\r\nC: d\r\n"), 6);
    }

    #[test]
    fn lines_that_are_none() {
        for text in [
            "\r\n",
            ": b\r\n",
            "A\r\n",
            "A:b\r\n",
            "A b: c\r\n",
            "A : b\r\n",
            "A: b",
            "A: b\n",
            "A: b\r",
            "A: \0\r\n",
            "A: b\u{7f}\r\n",
            "date: now\r\n",
            "Transfer-Encoding: chunked\r\n",
        ] {
            assert_eq!(line(text.as_bytes()), 0, "{text:?}");
        }
    }
}
