//! Where a server is, as an application writes it.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

use windhover_core::client::Server;
use windhover_core::memcache::Dialect;

use crate::Error;

/// memcached's port.
const MEMCACHED: u16 = 11211;
/// Kestrel's port.
const KESTREL: u16 = 22133;

/// Reads a server's address: `HOST`, `HOST:PORT`, `[IPV6]`, `[IPV6]:PORT`, a path with a `/` in it, or
/// `unix:PATH`; and writes it as adapters want it, with its port, or as a path with a `/` in it.
///
/// ```
/// use windhover_client::server_address;
///
/// assert_eq!(server_address("cache-1", 11211)?, "cache-1:11211");
/// assert_eq!(server_address("[::1]:2000", 11211)?, "[::1]:2000");
/// assert_eq!(server_address("unix:/run/cache.sock", 11211)?, "/run/cache.sock");
/// assert!(server_address("memcached://cache-1", 11211).is_err());
/// # Ok::<(), windhover_client::AddressError>(())
/// ```
///
/// # Errors
/// [`AddressError`].
pub fn server_address(address: &str, default_port: u16) -> Result<String, AddressError> {
    let wrong = |fault| AddressError { address: address.to_owned(), fault };
    read(address, default_port).map_err(wrong)
}

/// An address that cannot be understood.
///
/// ```
/// use windhover_client::{AddressError, AddressFault, server_address};
///
/// let error: Option<AddressError> = server_address("memcached://cache-1", 11211).err();
/// let error = error.expect("an address has no scheme");
/// assert_eq!((&*error.address, error.fault), ("memcached://cache-1", AddressFault::Scheme));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AddressError {
    /// The address, as it was given.
    pub address: String,
    /// What is wrong with it.
    pub fault: AddressFault,
}

/// What is wrong with an address.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AddressFault {
    /// It is empty, or nothing stands where the host or the path should.
    NoHost,
    /// White space or a control character.
    Space,
    /// A scheme, such as `memcached://`.
    Scheme,
    /// A comma: more than one server.
    Several,
    /// A user before the host.
    User,
    /// An IPv6 address without brackets around it.
    NoBrackets,
    /// What stands in brackets is no IPv6 address, or what stands behind them is no port.
    Brackets,
    /// More than one colon.
    Colons,
    /// What stands behind the colon is no port from 1 to 65535.
    Port(String),
    /// The zone of an IPv6 address is no number: names of interfaces are this machine's own.
    Zone,
    /// The host is no IPv4 address, and no name that could be looked up.
    Host,
    /// A path that ends in `/`: that of a folder.
    Folder,
}

impl fmt::Display for AddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the server's address '{}' is not understood: ", self.address.escape_debug())?;
        f.write_str(match &self.fault {
            AddressFault::NoHost => "it has no host: write HOST:PORT, or the path of a socket",
            AddressFault::Space => "it has white space in it",
            AddressFault::Scheme => "leave out the scheme, and write HOST:PORT",
            AddressFault::Several => "it names more than one server: add each of them by itself",
            AddressFault::User => {
                "it names a user: who the client is belongs to its options (`credentials`)"
            }
            AddressFault::NoBrackets => "write an IPv6 address in brackets: [::1]:11211",
            AddressFault::Brackets => "write an IPv6 address and a port as [::1]:11211",
            AddressFault::Colons => "it has more than one colon: write HOST:PORT",
            AddressFault::Port(port) => {
                return write!(f, "'{}' is no port from 1 to 65535", port.escape_debug());
            }
            AddressFault::Zone => {
                "write the zone of an IPv6 address as a number (`ip link` shows it): [fe80::1%2]:11211"
            }
            AddressFault::Host => "its host is no IPv4 address, and no name",
            AddressFault::Folder => "it is the path of a folder: write HOST:PORT, or the path of a socket",
        })
    }
}

impl std::error::Error for AddressError {}

fn read(address: &str, default_port: u16) -> Result<String, AddressFault> {
    if address.contains(|it: char| it.is_whitespace() || it.is_control()) {
        return Err(AddressFault::Space);
    }
    if address.contains("://") {
        return Err(AddressFault::Scheme);
    }
    let scheme = address.split_at_checked(5).filter(|(it, _)| it.eq_ignore_ascii_case("unix:"));
    match scheme.map_or(address, |(_, path)| path) {
        "" => return Err(AddressFault::NoHost),
        path if path.ends_with('/') => return Err(AddressFault::Folder),
        path if path.contains('/') => return Ok(path.to_owned()),
        // A path is known by its slash.
        path if scheme.is_some() => return Ok(format!("./{path}")),
        _ => {}
    }
    if address.contains(',') {
        return Err(AddressFault::Several);
    }
    if address.contains('@') {
        return Err(AddressFault::User);
    }
    if let Some(rest) = address.strip_prefix('[') {
        let (host, behind) = rest.split_once(']').ok_or(AddressFault::Brackets)?;
        let (number, zone) = host.split_once('%').unwrap_or((host, "0"));
        if number.parse::<Ipv6Addr>().is_err() {
            return Err(AddressFault::Brackets);
        }
        if !zone.bytes().all(|byte| byte.is_ascii_digit()) || zone.parse::<u32>().is_err() {
            return Err(AddressFault::Zone);
        }
        let port = match behind.strip_prefix(':') {
            Some(port) => read_port(port)?,
            None if behind.is_empty() => default_port,
            None => return Err(AddressFault::Brackets),
        };
        return Ok(format!("[{host}]:{port}"));
    }
    let bare = |text: &str| text.parse::<Ipv6Addr>().is_ok();
    let (host, port) = match address.split_once(':') {
        None => (address, default_port),
        Some(_) if bare(address) || address.rsplit_once(':').is_some_and(|(it, _)| bare(it)) => {
            return Err(AddressFault::NoBrackets);
        }
        Some((_, port)) if port.contains(':') => return Err(AddressFault::Colons),
        Some((host, port)) => (host, read_port(port)?),
    };
    check_host(host)?;
    Ok(format!("{host}:{port}"))
}

fn read_port(port: &str) -> Result<u16, AddressFault> {
    let is_number = port.bytes().all(|byte| byte.is_ascii_digit());
    let number = port.parse().ok().filter(|&number: &u16| is_number && number > 0);
    number.ok_or_else(|| AddressFault::Port(port.to_owned()))
}

fn check_host(host: &str) -> Result<(), AddressFault> {
    if host.is_empty() {
        return Err(AddressFault::NoHost);
    }
    // The dot at the end says that nothing is to be put behind the name.
    let name = host.strip_suffix('.').unwrap_or(host);
    let last = name.rsplit('.').next().unwrap_or(name);
    let fits = if is_number(last) {
        host.parse::<Ipv4Addr>().is_ok()
    } else {
        name.len() <= MAX_NAME && name.split('.').all(is_label)
    };
    if fits { Ok(()) } else { Err(AddressFault::Host) }
}

/// Longest name of a host and longest part of one, in bytes (RFC 1035, 2.3.4).
const MAX_NAME: usize = 253;
const MAX_LABEL: usize = 63;

/// A part of a name, which may be of any language.
fn is_label(label: &str) -> bool {
    let fits = |it: char| it.is_alphanumeric() || matches!(it, '-' | '_');
    (1..=MAX_LABEL).contains(&label.len()) && label.chars().all(fits)
}

/// Whether the last part of a host makes it an address: `127.1` and `0x7f.0x1` would be looked up by some
/// systems as one of another form.
fn is_number(label: &str) -> bool {
    let hex = label.strip_prefix("0x").or_else(|| label.strip_prefix("0X"));
    match hex {
        Some(digits) => digits.bytes().all(|byte| byte.is_ascii_hexdigit()),
        None => !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_digit()),
    }
}

/// The servers with addresses as adapters want them. One that is named after its address is named
/// after what that stands for.
pub(crate) fn read_servers(servers: &[Server], dialect: Dialect) -> Result<Vec<Server>, Error> {
    let default_port = if dialect.is_queue() { KESTREL } else { MEMCACHED };
    let read = |server: &Server| {
        let address = server_address(&server.address, default_port)?;
        let mut read = server.clone();
        if server.name == server.address {
            read.name = address.as_str().into();
        }
        read.address = address.into();
        Ok(read)
    };
    servers.iter().map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use AddressFault as F;

    #[test]
    fn what_can_be_meant_is_understood() {
        for (address, meant) in [
            ("127.0.0.1", "127.0.0.1:11211"),
            ("127.0.0.1:1", "127.0.0.1:1"),
            ("cache-1.example_net", "cache-1.example_net:11211"),
            ("localhost:65535", "localhost:65535"),
            ("bücher.example:80", "bücher.example:80"),
            ("[::1]", "[::1]:11211"),
            ("[::1]:80", "[::1]:80"),
            ("[fe80::1%2]:80", "[fe80::1%2]:80"),
            ("unix:/x", "/x"),
            ("unix:socket", "./socket"),
            ("/run/a,b:c.sock", "/run/a,b:c.sock"),
            ("run/cache.sock", "run/cache.sock"),
            ("UNIX:/x", "/x"),
            ("cache.example.", "cache.example.:11211"),
            ("HOST:1", "HOST:1"),
            ("10-0-0-1.pods", "10-0-0-1.pods:11211"),
            ("1.example", "1.example:11211"),
            ("[::ffff:10.0.0.1]", "[::ffff:10.0.0.1]:11211"),
        ] {
            assert_eq!(server_address(address, 11211).unwrap(), meant, "{address}");
        }
    }

    #[test]
    fn what_cannot_be_meant_is_refused_and_said_to_be_wrong() {
        let port = |port: &str| F::Port(port.to_owned());
        for (address, fault) in [
            ("", F::NoHost),
            ("unix:", F::NoHost),
            (":11211", F::NoHost),
            (" 127.0.0.1:1", F::Space),
            ("127.0.0.1:1\n", F::Space),
            ("/run/my cache", F::Space),
            ("memcached://h:1", F::Scheme),
            ("unix:///run/cache", F::Scheme),
            ("a:1,b:2", F::Several),
            ("u:p@h:1", F::User),
            ("::1", F::NoBrackets),
            ("fe80::1:11211", F::NoBrackets),
            ("[::1", F::Brackets),
            ("[::1]11211", F::Brackets),
            ("[127.0.0.1]:1", F::Brackets),
            ("[]:1", F::Brackets),
            ("h:1:1", F::Colons),
            ("host:99999", port("99999")),
            ("host:0", port("0")),
            ("host:", port("")),
            ("host:+1", port("+1")),
            ("host:http", port("http")),
            ("[::1]:", port("")),
            ("127.0.0.256", F::Host),
            ("127.1:11211", F::Host),
            ("h*st", F::Host),
            ("\u{a0}h", F::Space),
            ("h\0", F::Space),
            ("h\u{200b}", F::Host),
            ("h%20", F::Host),
            ("h;h", F::Host),
            ("h?x=1", F::Host),
            ("host..x", F::Host),
            (".host", F::Host),
            ("host..", F::Host),
            (".", F::Host),
            ("0x7f.1", F::Host),
            ("127.0.0.0x1", F::Host),
            ("0x7f000001:1", F::Host),
            ("2130706433", F::Host),
            ("1.2.3.4.", F::Host),
            (&"a".repeat(64), F::Host),
            (&format!("{}a", "a.".repeat(127)), F::Host),
            ("h:１１", port("１１")),
            ("[::1]:0", port("0")),
            ("[::1]:65536", port("65536")),
            ("h:65536", port("65536")),
            ("[fe80::1%eth0]:1", F::Zone),
            ("[fe80::1%]:1", F::Zone),
            ("[fe80::1%+2]:1", F::Zone),
            ("@h", F::User),
            ("u@[::1]:1", F::User),
            ("tcp:h:1", F::Colons),
            ("unix:/", F::Folder),
            ("./", F::Folder),
            ("h:1/", F::Folder),
        ] {
            let error = server_address(address, 11211).unwrap_err();
            assert_eq!(error.fault, fault, "{address}");
            let told = error.to_string();
            assert!(told.contains(&format!("'{}'", address.escape_debug())), "{told}");
        }
    }

    #[test]
    fn a_server_is_named_after_where_it_is_unless_it_has_a_name() {
        let servers = [Server::new("a"), Server::new("unix:/x"), Server::new("b").named("old")];
        let read = read_servers(&servers, Dialect::Kestrel).unwrap();
        let told: Vec<_> = read.iter().map(|it| (&*it.name, &*it.address)).collect();
        assert_eq!(told, [("a:22133", "a:22133"), ("/x", "/x"), ("old", "b:22133")]);
        assert_eq!(&*read_servers(&servers, Dialect::Memcached).unwrap()[0].address, "a:11211");
    }
}
