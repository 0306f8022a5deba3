//! Lines that a server prints when it is ready: where it listens, and what to type to try it.

use std::fmt::Write;

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

    /// The command that sends it what it reads.
    pub(crate) fn telnet(&self) -> String {
        match self.first() {
            Some(BoundAddress::Tcp(address)) => format!("curl -s telnet://{address}"),
            Some(BoundAddress::Unix(path)) => {
                let path = quoted(&path.display().to_string());
                format!("curl -s --unix-socket {path} telnet://localhost")
            }
            None => String::new(),
        }
    }

    /// The command that asks for `path_and_query`.
    pub(crate) fn http(&self, path_and_query: &str) -> String {
        match self.first() {
            Some(BoundAddress::Tcp(address)) => format!("curl 'http://{address}{path_and_query}'"),
            Some(BoundAddress::Unix(path)) => {
                let path = quoted(&path.display().to_string());
                format!("curl --unix-socket {path} 'http://localhost{path_and_query}'")
            }
            None => String::new(),
        }
    }
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
