//! Where `redirect=` may lead.

use alloc::string::String;
use alloc::vec::Vec;

use super::form::decoded;

/// The hosts that `redirect=` may lead to; none by default.
///
/// A tracker that redirected anywhere would lend its name to every phishing mail (an open
/// redirect), so hosts are listed by whoever runs it. A request that asks for another host, or for
/// anything but `http` and `https`, is recorded and answered as if it had not asked.
///
/// An entry is a host as it stands in the URL, with its port unless that is the scheme's own:
/// `example.com`, `example.com:8443`, `[::1]:8080`. `*.example.com` stands for every host below
/// `example.com` (not for itself), `*` for every host there is.
///
/// ```
/// use windhover_core::tracking::RedirectPolicy;
///
/// let policy = RedirectPolicy::hosts(["example.com", "*.example.org"]);
/// assert!(policy.allows("https://Example.com/thanks?a=1"));
/// assert!(policy.allows("http://www.example.org"));
/// assert!(!policy.allows("https://example.com.evil.test/"));
/// assert!(!policy.allows("https://example.com@evil.test/"));
/// assert!(!policy.allows("javascript:alert(1)"));
/// assert!(!RedirectPolicy::default().allows("https://example.com/"));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RedirectPolicy {
    hosts: Vec<String>,
}

/// Longer URLs than this do not arrive through every proxy; no redirect is made to them.
const LONGEST: usize = 8000;

impl RedirectPolicy {
    /// Redirects nowhere.
    pub const fn deny() -> Self {
        Self { hosts: Vec::new() }
    }

    /// Redirects to these hosts, in any case of letters.
    pub fn hosts<H: Into<String>>(hosts: impl IntoIterator<Item = H>) -> Self {
        let lower_case = |host: H| {
            let mut host = host.into();
            host.make_ascii_lowercase();
            host
        };
        Self { hosts: hosts.into_iter().map(lower_case).collect() }
    }

    /// Whether a redirect to this URL is made.
    pub fn allows(&self, url: &str) -> bool {
        // Browsers take a backslash for a slash and others do not: they would see other hosts.
        let fits = |byte: u8| byte.is_ascii_graphic() && byte != b'\\';
        if url.len() > LONGEST || !url.bytes().all(fits) {
            return false;
        }
        let Some((scheme, rest)) = url.split_once("://") else {
            return false;
        };
        let default_port = match scheme {
            _ if scheme.eq_ignore_ascii_case("http") => ":80",
            _ if scheme.eq_ignore_ascii_case("https") => ":443",
            _ => return false,
        };
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        // `host@other` and its like show one host and lead to another.
        let is_host = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte);
        if authority.is_empty() || !authority.bytes().all(is_host) {
            return false;
        }
        let host = authority.strip_suffix(default_port).unwrap_or(authority);
        self.hosts.iter().any(|entry| matches(entry, host))
    }

    /// The URL for `Location`, from the encoded parameter; `None` when no redirect is made.
    pub(super) fn location(&self, encoded: &[u8]) -> Option<String> {
        if self.hosts.is_empty() || encoded.len() > LONGEST * 3 {
            return None;
        }
        let mut url = String::new();
        for byte in decoded(encoded) {
            match byte {
                // What a browser would encode in the address bar; the rest arrives encoded.
                b' ' | 0x80.. => {
                    url.push('%');
                    for digit in [byte >> 4, byte & 0xf] {
                        url.push(char::from_digit(digit.into(), 16)?.to_ascii_uppercase());
                    }
                }
                // Control characters too: they are refused with all else that is not graphic.
                _ => url.push(char::from(byte)),
            }
        }
        self.allows(&url).then_some(url)
    }
}

/// Whether a host, in any case of letters, is what an entry stands for.
fn matches(entry: &str, host: &str) -> bool {
    match entry.strip_prefix('*') {
        Some("") => true,
        Some(below) if below.starts_with('.') => host
            .len()
            .checked_sub(below.len())
            .and_then(|at| host.split_at_checked(at))
            .is_some_and(|(labels, end)| is_name(labels) && end.eq_ignore_ascii_case(below)),
        Some(_) => false,
        None => entry.eq_ignore_ascii_case(host),
    }
}

/// No port and no bracket: `other.test:.example.com` is not below `example.com` to every client.
fn is_name(labels: &str) -> bool {
    !labels.is_empty()
        && labels.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_match_as_they_stand() {
        let policy = RedirectPolicy::hosts(["Example.com", "b.test:8443", "*.c.test", "[::1]:80"]);
        let allowed = [
            "http://example.com",
            "HTTPS://EXAMPLE.COM/?q#f",
            "https://example.com:443/",
            "http://example.com:80",
            "https://b.test:8443/",
            "http://x.c.test/",
            "https://y.x.C.test",
            "https://[::1]:80/",
        ];
        for url in allowed {
            assert!(policy.allows(url), "{url}");
        }
        let refused = [
            "",
            "example.com",
            "//example.com/",
            "/thanks",
            "https:example.com",
            "https:///example.com",
            "ftp://example.com/",
            "javascript://example.com/%0aalert(1)",
            "data:text/html,x",
            "http://example.com:443/",
            "https://example.com:8080/",
            "https://b.test/",
            "https://c.test/",
            "https://.c.test/",
            "https://evilc.test/",
            "https://evil.test:.c.test/",
            "https://evil.test:80.c.test/",
            "https://[::1].c.test/",
            "https://example.com.evil.test/",
            "https://example.com@evil.test/",
            "https://evil.test\\@example.com/",
            "https://evil.test\\.example.com",
            "https://example.com\\@evil.test/",
            "https://evil.test#.example.com",
            "https://example.com%2eevil.test/",
            "https://example.com/a b",
            "https://example.com/\r\nSet-Cookie: a=b",
            "https://example.com/\0",
            "https://ex\u{e4}mple.com/",
        ];
        for url in refused {
            assert!(!policy.allows(url), "{url}");
        }
    }

    #[test]
    fn a_star_stands_for_every_host_but_not_for_every_scheme() {
        let policy = RedirectPolicy::hosts(["*"]);
        assert!(policy.allows("https://anything.test/"));
        assert!(!policy.allows("https://a@anything.test/"));
        assert!(!policy.allows("javascript:alert(1)"));
    }

    #[test]
    fn a_location_is_fit_for_a_header() {
        let policy = RedirectPolicy::hosts(["example.com"]);
        let cases = [
            ("https%3A%2F%2Fexample.com%2F%3Fa%3D1%26b", Some("https://example.com/?a=1&b")),
            ("https://example.com/caf%C3%A9+bar", Some("https://example.com/caf%C3%A9%20bar")),
            ("https://example.com/caf%25C3%25A9", Some("https://example.com/caf%C3%A9")),
            ("https://example.com/%0d%0aSet-Cookie:a", None),
            ("https://example.com%00/", None),
            ("https://other.test/", None),
            ("", None),
        ];
        for (encoded, location) in cases {
            assert_eq!(policy.location(encoded.as_bytes()).as_deref(), location, "{encoded}");
        }
    }
}
