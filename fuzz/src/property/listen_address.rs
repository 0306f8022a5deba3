//! Where to listen, as it is written on the command line.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use windhover_runtime::{ListenAddress, ListenAddressFault as Fault};

const DEFAULT_PORT: u16 = 11211;

/// Any text is one kind of address or refused with a reason; what the standard library takes for an
/// address is taken for the same one; and what is printed means the same again.
pub fn listen_address(input: &[u8]) {
    let Ok(given) = std::str::from_utf8(input) else { return };
    let parsed = ListenAddress::parse(given, DEFAULT_PORT);
    let ip = given.parse::<SocketAddr>().ok();
    let ip = ip.or_else(|| given.parse::<IpAddr>().ok().map(|ip| (ip, DEFAULT_PORT).into()));
    if let Some(ip) = ip {
        assert_eq!(parsed, Ok(ListenAddress::Ip(ip)));
    }
    let address = match parsed {
        Ok(address) => address,
        Err(error) => {
            let told = error.to_string();
            assert!(told.starts_with(&format!("cannot listen on `{given}`: ")), "{told}");
            assert!(may_be(error.kind(), given), "{told}");
            return;
        }
    };
    let again = ListenAddress::parse(&address.to_string(), 1);
    match &address {
        ListenAddress::Ip(ip) => assert_eq!(Some(*ip), ip_by_hand(given)),
        ListenAddress::Name { host, port } => {
            assert!(given.starts_with(host.as_str()), "{host}");
            let rest = &given[host.len()..];
            let written = rest.strip_prefix(':').map(str::parse::<u16>);
            assert_eq!(written.unwrap_or(Ok(DEFAULT_PORT)), Ok(*port));
            assert!(!host.contains(|it: char| it.is_whitespace() || "/:?@[]".contains(it)));
            assert!(host.contains(|it: char| it.is_ascii_alphabetic() || it == '-' || it == '_'));
        }
        ListenAddress::Unix { path, mode } => {
            assert!(path != Path::new("") && *mode <= 0o777);
            assert!(given.contains(path.to_str().unwrap()));
            assert_eq!(given.contains('?'), given.contains("?mode="));
        }
        ListenAddress::HandedOver { number } => {
            assert_eq!(given.strip_prefix("fd:").map(str::parse), Some(Ok(*number)));
        }
        other => panic!("a kind that this does not know: {other:?}"),
    }
    assert_eq!(again, Ok(address));
}

/// Whether that may be wrong with it.
fn may_be(fault: Fault, given: &str) -> bool {
    let begins = |with: &[&str]| with.iter().any(|with| given.starts_with(with));
    match fault {
        Fault::Number => given.bytes().all(|byte| byte.is_ascii_digit()),
        Fault::Scheme => given.contains("://"),
        Fault::Path => given == "unix" || begins(&["unix:", "/", "./", "../"]),
        Fault::Mode | Fault::Option => given.contains('?'),
        Fault::Descriptor => given == "fd" || given.starts_with("fd:"),
        _ => !begins(&["unix:", "fd:", "/", "./", "../"]),
    }
}

/// An address in brackets may lack its port, which the standard library wants.
fn ip_by_hand(given: &str) -> Option<SocketAddr> {
    let bare = given.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let with_port = || given.parse().ok();
    let without =
        || bare.unwrap_or(given).parse::<IpAddr>().ok().map(|ip| (ip, DEFAULT_PORT).into());
    with_port().or_else(without)
}
