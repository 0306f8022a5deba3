//! What is hashed for a server's points: the one thing in which the clients that share a ketama ring
//! differ.

use alloc::vec::Vec;

use super::Member;

/// memcached's port, which an address is written without.
const DEFAULT_PORT: &[u8] = b":11211";

/// How a [`Member`]'s name becomes what its points are computed from.
///
/// `NAME-0`, `NAME-1` and so on are hashed, where `NAME` is:
///
/// | the member's name | [`Libmemcached`](Self::Libmemcached) | [`TwemproxyAddress`](Self::TwemproxyAddress) | [`AsIs`](Self::AsIs) |
/// |---|---|---|---|
/// | `cache1:11212` | `cache1:11212` | `cache1:11212` | `cache1:11212` |
/// | `cache1:11211` | `cache1` | `cache1` | `cache1:11211` |
/// | `[::1]:11212` | `::1:11212` | `::1:11212` | `[::1]:11212` |
/// | `/run/cache` | `/run/cache:0` | `/run/cache:` | `/run/cache` |
///
/// A host is taken as it is written: `localhost` and `127.0.0.1` are different places for everyone.
/// Of equal points, the server that comes first in the list gets the keys with libmemcached's naming;
/// twemproxy sorts its servers by `NAME`, the shorter first, and so do the other two.
///
/// twemproxy's behaviour is undefined for a `NAME-INDEX` of more than 85 bytes, which overruns its
/// buffer; here any length is fine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Naming {
    /// libmemcached and what is built on it, such as pylibmc and PHP's memcached: `HOST:PORT`, or a
    /// path that begins with `/`.
    Libmemcached,
    /// A server of twemproxy without a name (`- HOST:PORT:WEIGHT`): `HOST:PORT`, or a path.
    TwemproxyAddress,
    /// A server of twemproxy with a name (`- HOST:PORT:WEIGHT NAME`), and any naming of one's own.
    AsIs,
}

impl Naming {
    /// The places in the list of `members`, in the order in which they win equal points.
    pub(super) fn order(self, members: &[Member<'_>]) -> Vec<usize> {
        let mut order: Vec<usize> = (0..members.len()).collect();
        if self != Self::Libmemcached {
            order.sort_by_cached_key(|&server| {
                let label = members.get(server).map(|member| self.label(member.name).concat());
                (label.as_ref().map(Vec::len), label)
            });
        }
        order
    }

    /// What is hashed in front of `-INDEX`, in two pieces.
    pub(super) fn label(self, name: &[u8]) -> [&[u8]; 2] {
        let socket = match self {
            Self::AsIs => return [name, b""],
            Self::Libmemcached => b":0".as_slice(),
            Self::TwemproxyAddress => b":",
        };
        if name.first() == Some(&b'/') {
            return [name, socket];
        }
        let name = name.strip_suffix(DEFAULT_PORT).unwrap_or(name);
        // Neither keeps the brackets of an IPv6 address.
        let bracketed = name.strip_prefix(b"[").and_then(|rest| {
            let mut parts = rest.splitn(2, |&byte| byte == b']');
            Some([parts.next()?, parts.next()?])
        });
        bracketed.unwrap_or([name, b""])
    }
}

#[cfg(test)]
mod tests {
    use std::string::String;

    use super::*;

    fn label(naming: Naming, name: &str) -> String {
        String::from_utf8(naming.label(name.as_bytes()).concat()).unwrap()
    }

    #[test]
    fn each_client_has_its_own_form() {
        let forms = [
            ("cache1:11212", "cache1:11212", "cache1:11212"),
            ("cache1:11211", "cache1", "cache1"),
            ("cache1", "cache1", "cache1"),
            ("127.0.0.1:112110", "127.0.0.1:112110", "127.0.0.1:112110"),
            ("[::1]:11212", "::1:11212", "::1:11212"),
            ("[::1]:11211", "::1", "::1"),
            ("[::1]", "::1", "::1"),
            ("[::1", "[::1", "[::1"),
            ("/run/cache", "/run/cache:0", "/run/cache:"),
            ("/run/cache:11211", "/run/cache:11211:0", "/run/cache:11211:"),
            ("", "", ""),
        ];

        for (name, libmemcached, twemproxy) in forms {
            assert_eq!(label(Naming::Libmemcached, name), libmemcached);
            assert_eq!(label(Naming::TwemproxyAddress, name), twemproxy);
            assert_eq!(label(Naming::AsIs, name), name);
        }
    }

    #[test]
    fn twemproxy_sorts_by_length_and_then_by_bytes() {
        let members = ["b:1", "a:11211", "c:12", "a:2"].map(|name| Member::new(name.as_bytes(), 1));

        assert_eq!(Naming::Libmemcached.order(&members), [0, 1, 2, 3]);
        assert_eq!(Naming::TwemproxyAddress.order(&members), [1, 3, 0, 2]);
        assert_eq!(Naming::AsIs.order(&members), [3, 0, 2, 1]);
    }
}
