//! The journal's state file: which segment is the oldest needed, and whether the last stop was
//! clean.
//!
//! It has a fixed length and is overwritten in place, so that segments can be deleted when the
//! disk is full. It is one line of text, for whoever looks at it at night.

use alloc::format;
use alloc::string::String;

/// Where a clean stop left the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CleanEnd {
    /// The last segment.
    pub segment: u64,
    /// Where its valid bytes end.
    pub end: u64,
}

/// What the state file says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct State {
    /// The oldest segment that is needed; older ones may be gone.
    pub oldest: u64,
    /// Where a clean stop left the journal; `None` while it is open, and after a crash.
    pub clean: Option<CleanEnd>,
}

impl Default for State {
    fn default() -> Self {
        Self { oldest: 1, clean: None }
    }
}

impl State {
    /// The file's content.
    pub fn encode(&self) -> String {
        let clean = self.clean.unwrap_or(CleanEnd { segment: 0, end: 0 });
        let line = format!(
            "windhover journal 1 oldest={:020} clean_segment={:020} clean_end={:020}",
            self.oldest, clean.segment, clean.end
        );
        let sum = crc32fast::hash(line.as_bytes());
        format!("{line} crc={sum:08x}\n")
    }

    /// Reads the file's content; `None` when it is damaged.
    pub fn decode(content: &[u8]) -> Option<Self> {
        let line = core::str::from_utf8(content).ok()?.strip_suffix('\n')?;
        let (line, sum) = line.rsplit_once(" crc=")?;
        if u32::from_str_radix(sum, 16).ok()? != crc32fast::hash(line.as_bytes()) {
            return None;
        }
        let mut fields = line.strip_prefix("windhover journal 1 ")?.split(' ');
        let mut field = |name: &str| -> Option<u64> {
            fields.next()?.strip_prefix(name)?.strip_prefix('=')?.parse().ok()
        };
        let oldest = field("oldest")?;
        let (segment, end) = (field("clean_segment")?, field("clean_end")?);
        Some(Self { oldest, clean: (segment != 0).then_some(CleanEnd { segment, end }) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_reads_back_as_written_and_keeps_its_length() {
        let open = State { oldest: 3, clean: None };
        let closed =
            State { oldest: u64::MAX, clean: Some(CleanEnd { segment: 7, end: 16_000_000 }) };
        assert_eq!(State::decode(open.encode().as_bytes()), Some(open));
        assert_eq!(State::decode(closed.encode().as_bytes()), Some(closed));
        assert_eq!(open.encode().len(), closed.encode().len());
    }

    #[test]
    fn damage_is_seen() {
        let bytes = State::default().encode().into_bytes();
        for cut in 0..bytes.len() {
            assert_eq!(State::decode(&bytes[..cut]), None);
        }
        for byte in 0..bytes.len() {
            let mut bad = bytes.clone();
            bad[byte] ^= 1;
            assert_eq!(State::decode(&bad), None, "byte {byte}");
        }
    }
}
