//! Any bytes, read as a header of the PROXY protocol.

use windhover_core::proxy_protocol::{MAX_V1, MAX_V2, ParsedProxyHeader, ProxyHeader, parse};

use super::splits;
use crate::reference::proxy_protocol as reference;

/// A header is found where a simple, slow reader finds one, as soon as it is whole, and whatever comes
/// behind it; what is none stays none; and no more is waited for than the longest header has.
pub fn proxy_protocol(input: &[u8]) {
    let most = if input.starts_with(b"P") { MAX_V1 } else { MAX_V2 };
    let whole = parse(input);
    let found = reference::header(input);
    match whole {
        Ok(ParsedProxyHeader::Complete { header, length }) => {
            let (named, expected) = found.expect("the slow reader finds none");
            let ends = match header {
                ProxyHeader::Tcp { source, destination } => Some([source, destination]),
                _ => None,
            };
            assert_eq!((ends, length), (named, expected));
            assert_eq!(header.source(), named.map(|[source, _]| source));
            assert!(length <= most);
        }
        Ok(_) => {
            assert_eq!(found, None);
        }
        Err(error) => {
            // Neither does it become one by what comes behind it.
            let longer = [input, &[0; MAX_V2]].concat();
            assert_eq!((found, reference::header(&longer)), (None, None), "{error}");
            assert!(crate::property::tells(&error));
        }
    }
    let mut places = splits::places(input.len(), splits::seed(input));
    places.extend([MAX_V1, MAX_V2].into_iter().filter(|end| *end <= input.len()));
    places.sort_unstable();
    let mut before = Ok(ParsedProxyHeader::Incomplete);
    for end in places {
        let now = parse(&input[..end]);
        if now == Ok(ParsedProxyHeader::Incomplete) {
            assert!(end < most, "more than the longest header is waited for");
        }
        match before {
            Ok(ParsedProxyHeader::Incomplete) => {}
            // Once it is known what it is, more bytes change nothing.
            known => assert_eq!(now, known, "{end} bytes"),
        }
        before = now;
    }
    if before != Ok(ParsedProxyHeader::Incomplete) {
        assert_eq!(whole, before);
    }
}
