//! Lines that a server prints when it is ready: where it listens, and what to type to try it.

use std::fmt::Write;
use std::path::Path;

use super::{BoundAddress, Place};

impl Place {
    /// The address to try it at.
    fn first(&self) -> Option<&BoundAddress> {
        self.addresses().first()
    }

    /// A line for each address.
    pub(crate) fn lines(&self, line: impl Fn(&BoundAddress) -> String) -> String {
        self.addresses().iter().fold(String::new(), |mut lines, address| {
            let _ = writeln!(lines, "{}", line(address));
            lines
        })
    }

    /// ` over TLS`, if so.
    pub(crate) fn over_tls(&self) -> &'static str {
        if self.is_tls() { " over TLS" } else { "" }
    }

    /// The command that sends it what it reads.
    pub(crate) fn telnet(&self) -> String {
        match (self.first(), self.is_tls()) {
            (Some(BoundAddress::Tcp(address)), false) => format!("curl -s telnet://{address}"),
            (Some(BoundAddress::Unix(path)), false) => {
                format!("curl -s --unix-socket {} telnet://localhost", word(path))
            }
            (Some(BoundAddress::Tcp(address)), true) => {
                format!("openssl s_client -quiet -connect {address}")
            }
            (Some(BoundAddress::Unix(path)), true) => {
                format!("openssl s_client -quiet -unix {}", word(path))
            }
            (None, _) => String::new(),
        }
    }

    /// The scheme of its URLs.
    pub(crate) fn scheme(&self) -> &'static str {
        if self.is_tls() { "https" } else { "http" }
    }

    /// The command that asks for `path_and_query`.
    pub(crate) fn http(&self, path_and_query: &str) -> String {
        // Whose certificate it is cannot be told by the address alone.
        let insecure = if self.is_tls() { "-k " } else { "" };
        let scheme = self.scheme();
        match self.first() {
            Some(BoundAddress::Tcp(address)) => {
                format!("curl {insecure}'{scheme}://{address}{path_and_query}'")
            }
            Some(BoundAddress::Unix(path)) => {
                let path = word(path);
                format!(
                    "curl {insecure}--unix-socket {path} '{scheme}://localhost{path_and_query}'"
                )
            }
            None => String::new(),
        }
    }
}

/// A path as a word of a shell's line.
fn word(path: &Path) -> String {
    quoted(&path.display().to_string())
}

/// A word of a shell's line.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-+,:@%".contains(c);
    if word.chars().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_one_word_for_a_shell() {
        assert_eq!(quoted("/run/a-1.sock"), "/run/a-1.sock");
        assert_eq!(quoted("/tmp/it's a.sock"), r"'/tmp/it'\''s a.sock'");
    }
}
