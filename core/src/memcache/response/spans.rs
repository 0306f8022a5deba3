//! A parsed frame that borrows nothing.

#[cfg(feature = "client")]
use super::ItemLine;
use super::{Kind, Response, ValueFrame};
use crate::memcache::meta::{MetaFlags, MetaReply};
use crate::memcache::span::Span;

/// What was found on the line of a frame: numbers by value, texts as offsets into the line.
///
/// A connection keeps it while it waits for the value, and then makes the frame from the same line without
/// parsing it again, as [`RequestSpans`](crate::memcache::request::RequestSpans) do for requests.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ResponseSpans {
    kind: Kind,
    /// The key, a statistic's name, a meta reply's flags, or the only text.
    first: Span,
    /// A statistic's value, the fields of a `ME`.
    second: Span,
    /// The number that is all of the frame, or an item's cas unique.
    number: Option<u64>,
    client_flags: u32,
}

impl ResponseSpans {
    /// Of a frame without its value that was parsed from `line`.
    #[inline]
    pub(crate) fn of(response: &Response<'_>, line: &[u8]) -> Self {
        let kind = response.kind();
        let of = |text| Span::within(line, text);
        let words =
            |first, second| Self { first: of(first), second: of(second), ..Self::word(kind) };
        match *response {
            Response::Value(ValueFrame { key, flags, cas, .. }) => {
                Self { first: of(key), number: cas, client_flags: flags, ..Self::word(kind) }
            }
            Response::Stat { name, value } => words(name, value),
            Response::MetaDebug { key, fields } => words(key, fields),
            Response::Meta(MetaReply { flags, .. }) => words(flags.text(), &[]),
            Response::Number(number) => Self { number: Some(number), ..Self::word(kind) },
            Response::Listing(text)
            | Response::Version(text)
            | Response::Line(text)
            | Response::Error(text)
            | Response::ClientError(text)
            | Response::ServerError(text) => words(text, &[]),
            Response::End
            | Response::Stored
            | Response::NotStored
            | Response::Exists
            | Response::Deleted
            | Response::NotFound
            | Response::Touched
            | Response::Ok
            | Response::Reset
            | Response::MetaNoop => Self::word(kind),
        }
    }

    /// Which frame it is.
    #[cfg(feature = "client")]
    pub(crate) const fn kind(&self) -> Kind {
        self.kind
    }

    /// Of a `VALUE`.
    #[cfg(feature = "client")]
    pub(crate) const fn of_item(line: &ItemLine) -> Self {
        let (first, number, client_flags) = (line.key, line.cas, line.flags);
        Self { first, number, client_flags, ..Self::word(Kind::Value) }
    }

    /// Of a frame that is one word.
    const fn word(kind: Kind) -> Self {
        Self { kind, first: Span::EMPTY, second: Span::EMPTY, number: None, client_flags: 0 }
    }

    /// The frame, borrowed from its line. A value's data is not in it.
    #[inline]
    pub(crate) fn resolve<'a>(&self, line: &'a [u8]) -> Response<'a> {
        let text = self.first.of(line);
        match self.kind {
            Kind::Value => Response::Value(ValueFrame {
                key: text,
                flags: self.client_flags,
                cas: self.number,
                data: &[],
            }),
            Kind::Stat => Response::Stat { name: text, value: self.second.of(line) },
            Kind::MetaDebug => Response::MetaDebug { key: text, fields: self.second.of(line) },
            Kind::Meta(code) => Response::Meta(MetaReply::new(code, MetaFlags::new(text))),
            Kind::Number => Response::Number(self.number.unwrap_or_default()),
            Kind::Listing => Response::Listing(text),
            Kind::Version => Response::Version(text),
            Kind::Line => Response::Line(text),
            Kind::Error => Response::Error(text),
            Kind::ClientError => Response::ClientError(text),
            Kind::ServerError => Response::ServerError(text),
            Kind::End => Response::End,
            Kind::Stored => Response::Stored,
            Kind::NotStored => Response::NotStored,
            Kind::Exists => Response::Exists,
            Kind::Deleted => Response::Deleted,
            Kind::NotFound => Response::NotFound,
            Kind::Touched => Response::Touched,
            Kind::Ok => Response::Ok,
            Kind::Reset => Response::Reset,
            Kind::MetaNoop => Response::MetaNoop,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memcache::response::{ResponseLine, parse_line};
    use crate::memcache::{Dialect, Limits};

    #[test]
    fn a_frame_is_made_again_as_it_was_parsed() {
        for (line, dialect) in [
            (&b"VALUE key 7 5\r\n"[..], Dialect::Memcached),
            (b"VALUE key 4294967295 5 18446744073709551615\r\n", Dialect::Memcached),
            (b"STAT pid 12 3\r\n", Dialect::Memcached),
            (b"STAT empty\r\n", Dialect::Memcached),
            (b"ITEM a [1 b; 0 s]\r\n", Dialect::Memcached),
            (b"END\r\n", Dialect::Memcached),
            (b"STORED\r\n", Dialect::Memcached),
            (b"NOT_STORED\r\n", Dialect::Memcached),
            (b"EXISTS\r\n", Dialect::Memcached),
            (b"DELETED\r\n", Dialect::Memcached),
            (b"NOT_FOUND\r\n", Dialect::Memcached),
            (b"TOUCHED\r\n", Dialect::Memcached),
            (b"OK\r\n", Dialect::Memcached),
            (b"RESET\r\n", Dialect::Memcached),
            (b"VERSION 1.6.18\r\n", Dialect::Memcached),
            (b"18446744073709551615  \r\n", Dialect::Memcached),
            (b"VA 5 f7 c9\r\n", Dialect::Memcached),
            (b"HD  Oabc\r\n", Dialect::Memcached),
            (b"EN\r\n", Dialect::Memcached),
            (b"ME key exp=-1 la=0\r\n", Dialect::Memcached),
            (b"MN\r\n", Dialect::Memcached),
            (b"BUSY currently processing\r\n", Dialect::Memcached),
            (b"UP\r\n", Dialect::Kestrel),
            (b"queue 'jobs' {\r\n", Dialect::Kestrel),
            (b"ERROR\r\n", Dialect::Memcached),
            (b"CLIENT_ERROR bad data chunk\r\n", Dialect::Memcached),
            (b"SERVER_ERROR out of memory storing object\r\n", Dialect::Memcached),
        ] {
            let ResponseLine { response, .. } =
                parse_line(line, dialect, &Limits::default()).unwrap();
            let spans = ResponseSpans::of(&response, line);
            let moved = line.to_vec();
            assert_eq!(spans.resolve(&moved), response, "{}", line.escape_ascii());
        }
    }
}
