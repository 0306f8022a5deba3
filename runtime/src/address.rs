//! Where to listen, as it is written on the command line.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

/// Whoever may write to a Unix socket's file may connect: only the server's own user, unless it is said
/// otherwise.
const SOCKET_MODE: u32 = 0o600;
/// What can be said of a file's owner, group and others.
const LARGEST_MODE: u32 = 0o777;

/// Where to listen: an IP address, a host name, the path of a Unix socket, or a socket that was handed
/// over.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ListenAddress {
    /// An IP address and a port; port 0 is a free one.
    Ip(SocketAddr),
    /// All addresses of a host name.
    Name {
        /// The name.
        host: String,
        /// The port; 0 is a free one, the same for all addresses.
        port: u16,
    },
    /// A Unix socket.
    Unix {
        /// Its file.
        path: PathBuf,
        /// The file's mode.
        mode: u32,
    },
    /// A socket that listens already, handed over by whoever started the process (`LISTEN_FDS`).
    HandedOver {
        /// Which one, counted from 0.
        number: usize,
    },
}

/// What was given is no place to listen at.
///
/// ```
/// use windhover_runtime::{ListenAddress, ListenAddressError, ListenAddressFault};
///
/// let error: Option<ListenAddressError> = ListenAddress::parse("http://localhost", 8080).err();
/// assert_eq!(error.map(|error| error.kind()), Some(ListenAddressFault::Scheme));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenAddressError {
    given: String,
    kind: ListenAddressFault,
}

/// What is wrong with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ListenAddressFault {
    /// It names no host.
    NoHost,
    /// It is a number, which may be a port or an address.
    Number,
    /// It begins as a URL does.
    Scheme,
    /// It has digits and dots alone, and is no IP address.
    Ip,
    /// What stands in for the host is no name.
    Host,
    /// What follows the host is no port.
    Port,
    /// The path of a Unix socket is missing, or begins with `@`.
    Path,
    /// The mode of a Unix socket is no octal number up to 0777.
    Mode,
    /// What follows the path of a Unix socket is no mode.
    Option,
    /// What follows `fd:` is no small number.
    Descriptor,
}

impl ListenAddressError {
    /// What is wrong with it.
    pub fn kind(&self) -> ListenAddressFault {
        self.kind
    }
}

impl fmt::Display for ListenAddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fault = match self.kind {
            ListenAddressFault::NoHost => {
                "it names no host (0.0.0.0 and [::] are all addresses of this machine)"
            }
            ListenAddressFault::Number => "a number alone may be a port or an address: give both",
            ListenAddressFault::Scheme => "it is a URL: leave its scheme and its path out",
            ListenAddressFault::Ip => "it is no IP address",
            ListenAddressFault::Host => {
                "the host is neither an IP address nor a name (an IPv6 address with a port stands in \
                 brackets)"
            }
            ListenAddressFault::Port => "the port is no number from 0 to 65535",
            ListenAddressFault::Path => "the path of a Unix socket is missing, or begins with `@`",
            ListenAddressFault::Mode => "the mode is no octal number from 0 to 0777",
            ListenAddressFault::Option => "a path can be followed by `?mode=MODE` alone",
            ListenAddressFault::Descriptor => {
                "what follows `fd:` is no place among the sockets that are handed over, counted from 0"
            }
        };
        write!(
            f,
            "cannot listen on `{}`: {fault}; expected an address (127.0.0.1:8080, [::1]:8080), a host \
             name (localhost:8080), either without its port for the default one, or the path of a \
             Unix socket (unix:/run/windhover.sock, unix:/run/windhover.sock?mode=0660), or a socket \
             that is handed over (fd:0)",
            self.given
        )
    }
}

impl std::error::Error for ListenAddressError {}

impl ListenAddress {
    /// Parses `HOST[:PORT]`, `unix:PATH[?mode=MODE]` or `fd:NUMBER`; a path that begins with `/`, `./` or `../` needs no
    /// `unix:`.
    ///
    /// ```
    /// use windhover_runtime::ListenAddress;
    ///
    /// let address = ListenAddress::parse("[::1]", 11211)?;
    /// assert_eq!(address.to_string(), "[::1]:11211");
    /// let address = ListenAddress::parse("unix:/run/cache.sock?mode=0660", 11211)?;
    /// assert_eq!(address.to_string(), "unix:/run/cache.sock?mode=0660");
    /// # Ok::<(), windhover_runtime::ListenAddressError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ListenAddressError`] when it is neither.
    pub fn parse(given: &str, default_port: u16) -> Result<Self, ListenAddressError> {
        // An IPv6 address may begin as the place of a socket that is handed over.
        let number = given.strip_prefix("fd:").filter(|_| given.parse::<IpAddr>().is_err());
        let parsed = match (number, path(given)) {
            // As hosts they would be printed as what they are not.
            _ if given == "unix" => Err(ListenAddressFault::Path),
            _ if given == "fd" => Err(ListenAddressFault::Descriptor),
            (Some(number), _) => handed_over(number),
            (None, Some(path)) => unix(path),
            (None, None) => host(given, default_port),
        };
        parsed.map_err(|kind| ListenAddressError { given: given.to_owned(), kind })
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(address) => address.fmt(f),
            Self::Name { host, port } => write!(f, "{host}:{port}"),
            Self::Unix { path, mode } => write!(f, "unix:{}?mode={mode:04o}", path.display()),
            Self::HandedOver { number } => write!(f, "fd:{number}"),
        }
    }
}

/// What follows `unix:`, and what can only be a path.
fn path(given: &str) -> Option<&str> {
    match given.strip_prefix("unix:") {
        // As in a URL, which has an empty host. Further slashes mean nothing.
        Some(path) if path.starts_with("///") => {
            given.get(given.len() - path.trim_start_matches('/').len() - 1..)
        }
        Some(path) => Some(path),
        None => ["/", "./", "../"].iter().any(|start| given.starts_with(start)).then_some(given),
    }
}

fn handed_over(given: &str) -> Result<ListenAddress, ListenAddressFault> {
    let is_number = (1..=4).contains(&given.len()) && given.bytes().all(|it| it.is_ascii_digit());
    let number = is_number.then(|| given.parse().ok()).flatten();
    let number = number.ok_or(ListenAddressFault::Descriptor)?;
    Ok(ListenAddress::HandedOver { number })
}

fn unix(given: &str) -> Result<ListenAddress, ListenAddressFault> {
    let (path, option) = given.split_once('?').map_or((given, None), |(path, o)| (path, Some(o)));
    // `@` begins the name of a socket without a file, which is open to everybody.
    if path.is_empty() || path.starts_with('@') || path.contains('\0') {
        return Err(ListenAddressFault::Path);
    }
    let mode = match option {
        None => SOCKET_MODE,
        Some(option) => {
            let mode = option.strip_prefix("mode=").ok_or(ListenAddressFault::Option)?;
            // `from_str_radix` would take a sign, too.
            mode.bytes()
                .all(|digit| digit.is_ascii_digit())
                .then(|| u32::from_str_radix(mode, 8).ok())
                .flatten()
                .filter(|mode| *mode <= LARGEST_MODE)
                .ok_or(ListenAddressFault::Mode)?
        }
    };
    Ok(ListenAddress::Unix { path: path.into(), mode })
}

fn host(given: &str, default_port: u16) -> Result<ListenAddress, ListenAddressFault> {
    if let Ok(address) = given.parse::<SocketAddr>() {
        return Ok(ListenAddress::Ip(address));
    }
    if let Ok(ip) = given.parse::<IpAddr>() {
        return Ok(ListenAddress::Ip(SocketAddr::new(ip, default_port)));
    }
    if given.contains("://") {
        return Err(ListenAddressFault::Scheme);
    }
    if !given.is_empty() && given.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(ListenAddressFault::Number);
    }
    // An IPv6 address has colons of its own: with a port, or for its clearness, it stands in brackets.
    let (host, port) = match given.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, "")) => (host, None),
        Some((host, rest)) => (host, Some(rest.strip_prefix(':').ok_or(ListenAddressFault::Port)?)),
        None => given.rsplit_once(':').map_or((given, None), |(host, port)| (host, Some(port))),
    };
    if given.starts_with('[') {
        let ip: Ipv6Addr = host.parse().map_err(|_| ListenAddressFault::Ip)?;
        let port = port.map_or(Ok(default_port), parse_port)?;
        return Ok(ListenAddress::Ip(SocketAddr::new(ip.into(), port)));
    }
    if host.is_empty() || host == "*" {
        return Err(ListenAddressFault::NoHost);
    }
    if host.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
        && host.parse::<IpAddr>().is_err()
    {
        return Err(ListenAddressFault::Ip);
    }
    if !is_name(host) {
        return Err(ListenAddressFault::Host);
    }
    let port = port.map_or(Ok(default_port), parse_port)?;
    Ok(ListenAddress::Name { host: host.to_owned(), port })
}

fn parse_port(given: &str) -> Result<u16, ListenAddressFault> {
    let is_number = !given.is_empty() && given.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| given.parse().ok()).flatten().ok_or(ListenAddressFault::Port)
}

/// Letters, digits, `-`, `_`, in parts with dots between them (RFC 1123; `_` is seen in practice).
fn is_name(host: &str) -> bool {
    let is_part = |part: &str| {
        !part.is_empty()
            && part.len() <= 63
            && !part.starts_with('-')
            && !part.ends_with('-')
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    host.len() <= 253 && host.strip_suffix('.').unwrap_or(host).split('.').all(is_part)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(given: &str) -> Result<String, ListenAddressFault> {
        ListenAddress::parse(given, 11211)
            .map(|address| address.to_string())
            .map_err(|error| error.kind())
    }

    #[test]
    fn addresses_names_and_paths_are_taken() {
        for (given, means) in [
            ("127.0.0.1:8080", "127.0.0.1:8080"),
            ("127.0.0.1", "127.0.0.1:11211"),
            ("0.0.0.0:0", "0.0.0.0:0"),
            ("::1", "[::1]:11211"),
            ("[::1]", "[::1]:11211"),
            ("[::1]:80", "[::1]:80"),
            ("localhost", "localhost:11211"),
            ("localhost:0", "localhost:0"),
            ("cache-1.example.com.:65535", "cache-1.example.com.:65535"),
            ("unix:/run/a b.sock", "unix:/run/a b.sock?mode=0600"),
            ("unix:///run/a.sock", "unix:/run/a.sock?mode=0600"),
            ("unix://///run/a.sock", "unix:/run/a.sock?mode=0600"),
            ("unix:a.sock?mode=0660", "unix:a.sock?mode=0660"),
            ("/run/a.sock?mode=777", "unix:/run/a.sock?mode=0777"),
            ("./a.sock", "unix:./a.sock?mode=0600"),
            ("fd:0", "fd:0"),
            ("fd::1", "[fd::1]:11211"),
            ("fd:012", "fd:12"),
        ] {
            assert_eq!(parsed(given).as_deref(), Ok(means), "{given}");
        }
    }

    #[test]
    fn what_is_printed_means_the_same() {
        for given in ["127.0.0.1:1", "[::1]:1", "a.example:1", "unix:/a?mode=0640"] {
            let address = ListenAddress::parse(given, 2).unwrap();
            assert_eq!(ListenAddress::parse(&address.to_string(), 3), Ok(address));
        }
    }

    #[test]
    fn anything_else_is_told_what_is_wrong() {
        use ListenAddressFault::*;
        for (given, kind) in [
            ("", NoHost),
            (":8080", NoHost),
            ("*:8080", NoHost),
            ("8080", Number),
            ("http://127.0.0.1:8080", Scheme),
            ("127.0.0.256:80", Ip),
            ("127.1", Ip),
            ("[127.0.0.1]:80", Ip),
            ("[::1", Ip),
            ("[::1]80", Port),
            ("localhost:", Port),
            ("localhost:http", Port),
            ("localhost:+80", Port),
            ("localhost:65536", Port),
            ("::1::2", Host),
            ("local host", Host),
            ("a..b", Host),
            ("run/a.sock", Host),
            ("-1", Host),
            ("a.-b:1", Host),
            ("a-.b:1", Host),
            ("unix:", Path),
            ("unix", Path),
            ("fd", Descriptor),
            ("unix:?mode=0600", Path),
            ("unix:@name", Path),
            ("unix:/a?mode=", Mode),
            ("unix:/a?mode=0689", Mode),
            ("unix:/a?mode=+660", Mode),
            ("unix:/a?mode=1777", Mode),
            ("unix:/a?user=me", Option),
        ] {
            assert_eq!(parsed(given), Err(kind), "{given}");
        }
    }

    #[test]
    fn the_message_says_what_was_seen_and_what_is_wanted() {
        let error = ListenAddress::parse("8080", 1).unwrap_err().to_string();
        assert!(error.starts_with("cannot listen on `8080`: a number alone"), "{error}");
        assert!(error.contains("127.0.0.1:8080") && error.contains("unix:/run"), "{error}");
    }
}
