//! The journal's two small files beside its segments: which segment is the oldest needed and whether
//! the last stop was clean ([`State`]), and how far the journal is known to be on the disk
//! ([`Position`]).
//!
//! Each has a fixed length and is overwritten in place, so that segments can be deleted when the
//! disk is full. Each is one line of text, for whoever looks at it at night.

use alloc::format;
use alloc::string::String;

/// A place in the journal. The file `synced` holds the one up to which everything is known to be on
/// the disk: a journal that ends before has lost something.
///
/// ```
/// use windhover_core::queue::state::Position;
///
/// let synced = Position { segment: 3, end: 4096 };
/// let line = synced.encode();
/// assert!(line.starts_with("windhover synced 1 segment=00000000000000000003 "));
/// assert_eq!(Position::decode(line.as_bytes()), Some(synced));
/// // Positions are in the order of the journal.
/// assert!(synced < Position { segment: 4, end: 64 });
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The segment's number; 0 when there is none.
    pub segment: u64,
    /// The offset in it.
    pub end: u64,
}

/// What the state file says.
///
/// ```
/// use windhover_core::queue::state::{Position, State};
///
/// let stopped = State { oldest: 2, clean: Some(Position { segment: 3, end: 4096 }) };
/// let mut file = stopped.encode().into_bytes();
/// assert_eq!(State::decode(&file), Some(stopped));
/// file[30] ^= 1;
/// assert_eq!(State::decode(&file), None);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct State {
    /// The oldest segment that is needed; older ones may be gone.
    pub oldest: u64,
    /// Where a clean stop left the journal; `None` while it is open, and after a crash.
    pub clean: Option<Position>,
}

impl Default for State {
    fn default() -> Self {
        Self { oldest: 1, clean: None }
    }
}

impl State {
    /// The file's content.
    pub fn encode(&self) -> String {
        let clean = self.clean.unwrap_or(Position { segment: 0, end: 0 });
        with_sum(&format!(
            "windhover journal 1 oldest={:020} clean_segment={:020} clean_end={:020}",
            self.oldest, clean.segment, clean.end
        ))
    }

    /// Reads the file's content; `None` when it is damaged.
    pub fn decode(content: &[u8]) -> Option<Self> {
        let names = ["oldest", "clean_segment", "clean_end"];
        let [oldest, segment, end] = numbers(content, "windhover journal 1 ", names)?;
        Some(Self { oldest, clean: (segment != 0).then_some(Position { segment, end }) })
    }
}

impl Position {
    /// The file's content.
    pub fn encode(&self) -> String {
        with_sum(&format!("windhover synced 1 segment={:020} end={:020}", self.segment, self.end))
    }

    /// Reads the file's content; `None` when it is damaged.
    pub fn decode(content: &[u8]) -> Option<Self> {
        let [segment, end] = numbers(content, "windhover synced 1 ", ["segment", "end"])?;
        Some(Self { segment, end })
    }
}

fn with_sum(line: &str) -> String {
    let sum = crc32fast::hash(line.as_bytes());
    format!("{line} crc={sum:08x}\n")
}

/// The numbers with these names, in this order, on a line that begins so and whose sum fits.
fn numbers<const N: usize>(content: &[u8], begin: &str, names: [&str; N]) -> Option<[u64; N]> {
    let line = core::str::from_utf8(content).ok()?.strip_suffix('\n')?;
    let (line, sum) = line.rsplit_once(" crc=")?;
    if u32::from_str_radix(sum, 16).ok()? != crc32fast::hash(line.as_bytes()) {
        return None;
    }
    let mut fields = line.strip_prefix(begin)?.split(' ');
    let mut found = [0; N];
    for (number, name) in found.iter_mut().zip(names) {
        *number = fields.next()?.strip_prefix(name)?.strip_prefix('=')?.parse().ok()?;
    }
    fields.next().is_none().then_some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_read_back_as_written_and_keep_their_length() {
        let open = State { oldest: 3, clean: None };
        let end = Position { segment: 7, end: 16_000_000 };
        let closed = State { oldest: u64::MAX, clean: Some(end) };
        assert_eq!(State::decode(open.encode().as_bytes()), Some(open));
        assert_eq!(State::decode(closed.encode().as_bytes()), Some(closed));
        assert_eq!(open.encode().len(), closed.encode().len());

        let none = Position { segment: 0, end: 0 };
        let far = Position { segment: u64::MAX, end: u64::MAX };
        for position in [none, end, far] {
            assert_eq!(Position::decode(position.encode().as_bytes()), Some(position));
            assert_eq!(position.encode().len(), none.encode().len());
        }
    }

    #[test]
    fn one_is_not_taken_for_the_other() {
        let position = Position { segment: 1, end: 64 };
        assert_eq!(State::decode(position.encode().as_bytes()), None);
        assert_eq!(Position::decode(State::default().encode().as_bytes()), None);
    }

    #[test]
    fn damage_is_seen() {
        let state = State::default().encode().into_bytes();
        let position = Position { segment: 1, end: 64 }.encode().into_bytes();
        let is_read =
            |bytes: &[u8]| State::decode(bytes).is_some() || Position::decode(bytes).is_some();
        for bytes in [state, position] {
            assert!(is_read(&bytes));
            for cut in 0..bytes.len() {
                assert!(!is_read(&bytes[..cut]));
            }
            for byte in 0..bytes.len() {
                let mut bad = bytes.clone();
                bad[byte] ^= 1;
                assert!(!is_read(&bad), "byte {byte}");
            }
        }
    }
}
