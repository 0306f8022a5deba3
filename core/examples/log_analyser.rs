//! Says what clients ask a memcached for: reads what they sent, as a packet capture has it, and counts
//! commands, bytes, and the keys that are asked for most. The codec alone does it.
//!
//! ```text
//! tcpflow -C -o flows port 11211
//! cargo run -p windhover-core --example log_analyser < flows/…-…11211
//! ```

use std::collections::{BTreeMap, HashMap};
use std::io::{self, Read};

use bytes::{Buf as _, BytesMut};
use windhover_core::memcache::request::{ErrorRecovery, parse};
use windhover_core::memcache::{Dialect, Limits, Parsed};

#[derive(Debug, Default)]
struct Analysis {
    /// Requests and bytes of values, by command.
    commands: BTreeMap<String, (u64, u64)>,
    keys: HashMap<Vec<u8>, u64>,
    refused: u64,
}

impl Analysis {
    /// Takes the whole requests out of `buffer`; whether there may be more.
    fn take(&mut self, buffer: &mut BytesMut, limits: &Limits) -> bool {
        loop {
            let taken = match parse(buffer, Dialect::Memcached, limits) {
                Ok(Parsed::Incomplete { .. }) => return true,
                Ok(Parsed::Complete { message, consumed }) => {
                    let command = format!("{:?}", message.request.command());
                    let (requests, bytes) = self.commands.entry(command).or_default();
                    (*requests, *bytes) = (*requests + 1, *bytes + message.data.len() as u64);
                    for key in message.request.keys() {
                        *self.keys.entry(key.to_vec()).or_default() += 1;
                    }
                    consumed
                }
                Err(error) => {
                    self.refused += 1;
                    match error.recovery {
                        // What is skipped may not have come yet.
                        ErrorRecovery::Skip(skip) if skip > buffer.len() => return true,
                        ErrorRecovery::Skip(skip) => skip,
                        ErrorRecovery::Close => return false,
                    }
                }
            };
            buffer.advance(taken);
        }
    }

    fn of(mut input: impl Read) -> io::Result<Self> {
        let (mut analysis, limits) = (Self::default(), Limits::default());
        let (mut buffer, mut chunk) = (BytesMut::new(), vec![0; 64 * 1024]);
        loop {
            let read = input.read(&mut chunk)?;
            buffer.extend_from_slice(&chunk[..read]);
            if read == 0 || !analysis.take(&mut buffer, &limits) {
                return Ok(analysis);
            }
        }
    }

    fn print(&self) {
        for (command, (requests, bytes)) in &self.commands {
            println!("{command:<16} {requests:>10} requests {bytes:>12} bytes of values");
        }
        println!("{:<16} {:>10}", "refused", self.refused);
        let mut keys: Vec<_> = self.keys.iter().collect();
        keys.sort_by_key(|&(key, asked)| (std::cmp::Reverse(asked), key));
        for (key, asked) in keys.into_iter().take(10) {
            println!("{asked:>10} {}", key.escape_ascii());
        }
    }
}

fn main() -> io::Result<()> {
    Analysis::of(io::stdin().lock())?.print();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads so many bytes at a time.
    struct Slowly<'a>(&'a [u8], usize);

    impl Read for Slowly<'_> {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            let n = self.1.min(into.len());
            self.0.read(&mut into[..n])
        }
    }

    #[test]
    fn commands_values_and_keys_are_counted_in_every_split() {
        let sent =
            b"get a b\r\nset a 0 0 5\r\nget x\r\nbogus\r\nmg a v\r\nget a\r\ndelete a noreply\r\n";
        for at_once in 1..=sent.len() {
            let found = Analysis::of(Slowly(sent, at_once)).unwrap();
            assert_eq!(found.commands["Get"], (2, 0));
            assert_eq!(found.commands["Set"], (1, 5));
            assert_eq!(found.commands["MetaGet"], (1, 0));
            assert_eq!(found.commands["Delete"], (1, 0));
            assert_eq!(found.keys[&b"a"[..]], 5);
            assert_eq!(found.keys.get(&b"x"[..]), None);
            assert_eq!(found.refused, 1);
        }
    }
}
