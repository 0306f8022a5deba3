//! A `curl` command, as browsers' developer tools and bug reports have it, made the request that it sends.

use std::fmt;
use std::io;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use windhover_core::http::Method;

use super::input::{request as on_the_wire, target};

/// Why a `curl` command is not understood.
#[derive(Debug)]
#[non_exhaustive]
pub enum CurlError {
    /// A quote is not closed.
    Quote,
    /// An option that is not known here.
    Option(String),
    /// An option lacks its value.
    Value(String),
    /// There is no URL.
    Url,
    /// A method that HTTP does not have.
    Method(String),
    /// A file of `@FILE` cannot be read.
    File {
        /// Which.
        path: String,
        /// Why not.
        source: io::Error,
    },
}

impl fmt::Display for CurlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Quote => f.write_str("a quote of the curl command is not closed"),
            Self::Option(option) => {
                write!(f, "curl's `{option}` is not known here; leave it out, or give the request")
            }
            Self::Value(option) => write!(f, "curl's `{option}` needs a value"),
            Self::Url => f.write_str("the curl command has no URL"),
            Self::Method(method) => write!(f, "`{method}` is no method of HTTP"),
            Self::File { path, .. } => write!(f, "{path} cannot be read"),
        }
    }
}

impl std::error::Error for CurlError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::File { source, .. } => Some(source),
            _ => None,
        }
    }
}

/// The words of a line, as a POSIX shell takes it apart: quotes of both kinds, `$'…'`, backslashes, lines that go on.
///
/// # Errors
/// [`CurlError::Quote`].
pub fn words(line: &str) -> Result<Vec<String>, CurlError> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut rest = line.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '\\' => match rest.next() {
                Some('\n') => {}
                Some(escaped) => word.get_or_insert_default().push(escaped),
                None => return Err(CurlError::Quote),
            },
            '\'' => quoted(&mut rest, word.get_or_insert_default(), '\'', |_, _| None)?,
            '"' => quoted(&mut rest, word.get_or_insert_default(), '"', |escaped, into| {
                match escaped {
                    '\n' => {}
                    '"' | '\\' | '$' | '`' => into.push(escaped),
                    other => into.extend(['\\', other]),
                }
                Some(())
            })?,
            '$' if rest.peek() == Some(&'\'') => {
                rest.next();
                ansi_c(&mut rest, word.get_or_insert_default())?;
            }
            c if c.is_ascii_whitespace() => words.extend(word.take()),
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    Ok(words)
}

type Rest<'a> = std::iter::Peekable<std::str::Chars<'a>>;

fn quoted(
    rest: &mut Rest<'_>,
    into: &mut String,
    end: char,
    escaped: fn(char, &mut String) -> Option<()>,
) -> Result<(), CurlError> {
    loop {
        match rest.next().ok_or(CurlError::Quote)? {
            c if c == end => return Ok(()),
            '\\' if end == '"' => {
                let c = rest.next().ok_or(CurlError::Quote)?;
                escaped(c, into);
            }
            c => into.push(c),
        }
    }
}

/// What Chrome's "copy as cURL" writes where a body has quotes.
fn ansi_c(rest: &mut Rest<'_>, into: &mut String) -> Result<(), CurlError> {
    loop {
        match rest.next().ok_or(CurlError::Quote)? {
            '\'' => return Ok(()),
            '\\' => match rest.next().ok_or(CurlError::Quote)? {
                'n' => into.push('\n'),
                'r' => into.push('\r'),
                't' => into.push('\t'),
                'u' => {
                    let digits: String = rest.by_ref().take(4).collect();
                    let code = u32::from_str_radix(&digits, 16).ok();
                    into.push(code.and_then(char::from_u32).unwrap_or('\u{fffd}'));
                }
                other => into.push(other),
            },
            c => into.push(c),
        }
    }
}

/// What a command asks for.
#[derive(Default)]
struct Command {
    url: Option<String>,
    method: Option<String>,
    headers: Vec<(String, String)>,
    data: Vec<Vec<u8>>,
    content_type: Option<&'static str>,
    data_to_query: bool,
}

/// Options whose value says nothing of the request.
const WITH_VALUE: [&str; 10] = [
    "-o",
    "--output",
    "-m",
    "--max-time",
    "--connect-timeout",
    "--cacert",
    "-w",
    "--write-out",
    "--retry",
    "--resolve",
];
/// Options without one.
const SWITCHES: [&str; 19] = [
    "-s",
    "--silent",
    "-S",
    "--show-error",
    "-v",
    "--verbose",
    "-i",
    "--include",
    "-k",
    "--insecure",
    "-L",
    "--location",
    "-f",
    "--fail",
    "--compressed",
    "-sS",
    "--http1.1",
    "-N",
    "--globoff",
];

/// The request of a command; its first word may be `curl`, or a URL alone.
pub(super) fn request(words: &[String]) -> Result<Vec<u8>, CurlError> {
    let mut words = words.iter().map(String::as_str).skip_while(|word| *word == "curl");
    let mut command = Command::default();
    while let Some(word) = words.next() {
        command.take(word, &mut words)?;
    }
    command.finish()
}

impl Command {
    fn take<'a>(
        &mut self,
        word: &'a str,
        words: &mut impl Iterator<Item = &'a str>,
    ) -> Result<(), CurlError> {
        let (option, joined) = split(word);
        let mut value = || {
            let value = joined.or_else(|| words.next());
            value.ok_or_else(|| CurlError::Value(option.to_owned()))
        };
        match option {
            "-X" | "--request" => self.method = Some(value()?.to_owned()),
            "-H" | "--header" => {
                if let Some((name, text)) = value()?.split_once(':') {
                    self.headers.push((name.trim().to_owned(), text.trim().to_owned()));
                }
            }
            "-A" | "--user-agent" => self.header("User-Agent", value()?),
            "-e" | "--referer" => self.header("Referer", value()?),
            "-b" | "--cookie" => self.header("Cookie", value()?),
            "-u" | "--user" => {
                let credentials = format!("Basic {}", BASE64_STANDARD.encode(value()?));
                self.header("Authorization", &credentials);
            }
            "-d" | "--data" | "--data-ascii" => self.data.push(data(value()?, true)?),
            "--data-binary" => self.data.push(data(value()?, false)?),
            "--data-raw" => self.data.push(value()?.as_bytes().to_vec()),
            "--data-urlencode" => self.data.push(url_encoded(value()?)),
            "--json" => {
                self.content_type = Some("application/json");
                self.data.push(data(value()?, false)?);
            }
            "-G" | "--get" => self.data_to_query = true,
            "--url" => self.url = Some(value()?.to_owned()),
            option if WITH_VALUE.contains(&option) => drop(value()?),
            option if SWITCHES.contains(&option) => {}
            option if option.len() > 1 && option.starts_with('-') => {
                return Err(CurlError::Option(option.to_owned()));
            }
            url => self.url = Some(url.to_owned()),
        }
        Ok(())
    }

    fn header(&mut self, name: &str, value: &str) {
        self.headers.push((name.to_owned(), value.to_owned()));
    }

    fn finish(self) -> Result<Vec<u8>, CurlError> {
        let url = self.url.ok_or(CurlError::Url)?;
        let mut target = target(&url).to_owned();
        let mut body = self.data.join(&b'&');
        let has_body = !self.data.is_empty() && !self.data_to_query;
        if self.data_to_query {
            target.push(if target.contains('?') { '&' } else { '?' });
            target.push_str(&String::from_utf8_lossy(&body));
            body.clear();
        }
        let method = match &self.method {
            Some(name) => {
                Method::from_name(name).ok_or_else(|| CurlError::Method(name.to_owned()))?
            }
            None if has_body => Method::Post,
            None => Method::Get,
        };
        let mut headers: Vec<(&str, &str)> =
            self.headers.iter().map(|(name, value)| (&**name, &**value)).collect();
        let has_type = headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type"));
        if has_body && !has_type {
            let form = "application/x-www-form-urlencoded";
            headers.push(("Content-Type", self.content_type.unwrap_or(form)));
        }
        // The body is given as a whole, however it was sent.
        headers.retain(|(name, _)| {
            !["content-length", "transfer-encoding", "expect", "host"]
                .iter()
                .any(|own| name.eq_ignore_ascii_case(own))
        });
        Ok(on_the_wire(method, &target, &headers, &body))
    }
}

/// An option, with a value that is joined to it (`-XPOST`, `--request=POST` is none of curl's).
fn split(word: &str) -> (&str, Option<&str>) {
    match word.as_bytes() {
        [b'-', b'X' | b'H' | b'd' | b'u' | b'A' | b'e' | b'b' | b'o' | b'm', _, ..] => {
            let (option, value) = word.split_at(2);
            (option, Some(value))
        }
        _ => (word, None),
    }
}

/// Data, or what is in `@FILE`.
fn data(value: &str, without_line_ends: bool) -> Result<Vec<u8>, CurlError> {
    let Some(path) = value.strip_prefix('@') else {
        return Ok(value.as_bytes().to_vec());
    };
    let read = std::fs::read(path);
    let mut bytes = read.map_err(|source| CurlError::File { path: path.to_owned(), source })?;
    if without_line_ends {
        bytes.retain(|byte| !matches!(byte, b'\r' | b'\n' | 0));
    }
    Ok(bytes)
}

/// `NAME=CONTENT`, of which the content is encoded, or content alone.
fn url_encoded(value: &str) -> Vec<u8> {
    let (name, content) = value.split_once('=').unwrap_or(("", value));
    let mut text = name.to_owned();
    if !name.is_empty() {
        text.push('=');
    }
    for byte in content.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                text.push(byte.into());
            }
            _ => text.extend(["%", &format!("{byte:02X}")]),
        }
    }
    text.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_taken_apart_as_a_shell_does_it() {
        let line = "curl  -d 'a b' \"c \\\"d\\\" \\e\" f\\ g $'h\\'i\\u0041' \\\n j'k'l ''";
        let expected = ["curl", "-d", "a b", "c \"d\" \\e", "f g", "h'iA", "jkl", ""];
        assert_eq!(words(line).unwrap(), expected);
        for open in ["'a", "\"a", "$'a", "a\\"] {
            assert!(matches!(words(open), Err(CurlError::Quote)), "{open}");
        }
    }

    fn sent(line: &str) -> String {
        String::from_utf8(request(&words(line).unwrap()).unwrap()).unwrap()
    }

    #[test]
    fn a_command_is_the_request_that_it_sends() {
        assert_eq!(
            sent("curl -sS 'http://h:80/track?a=1#x'"),
            "GET /track?a=1 HTTP/1.1\r\nHost: localhost\r\n\r\n"
        );
        assert_eq!(
            sent("curl -XPOST h/import -u key: -d a=1 -d 'b=2' -H 'X-Y:  z' --compressed -o f"),
            "POST /import HTTP/1.1\r\nHost: localhost\r\nAuthorization: Basic a2V5Og==\r\nX-Y: z\r\n\
             Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 7\r\n\r\na=1&b=2"
        );
        assert_eq!(
            sent("curl -G --data-urlencode 'data={\"a\"}' http://h/track"),
            "GET /track?data=%7B%22a%22%7D HTTP/1.1\r\nHost: localhost\r\n\r\n"
        );
        assert!(sent("curl --json [] h/track").contains("Content-Type: application/json\r\n"));
        let fails = |line: &str| request(&words(line).unwrap()).unwrap_err().to_string();
        assert_eq!(
            fails("curl --form a=b h"),
            "curl's `--form` is not known here; leave it out, or give the request"
        );
        assert_eq!(fails("curl -d"), "curl's `-d` needs a value");
        assert_eq!(fails("curl -s"), "the curl command has no URL");
        assert_eq!(fails("curl -X FETCH h"), "`FETCH` is no method of HTTP");
        assert_eq!(fails("curl -d @/nowhere h"), "/nowhere cannot be read");
    }
}
