//! The names of what is at a destination.
//!
//! | name | what it is |
//! |---|---|
//! | `log/0000000007.json.zst` | the seventh entry of the log |
//! | `log/0000000007.sum` | the SHA-256 of that file, put after it: an entry that is lost is missed |
//! | `objects/4f/4fd1…-7` | a stretch of a segment, by the hash of its content, sent by the backup that was to be entry 7 |
//! | `checks/verified-0000000007-1764450000000` | entry 7 was verified then, in milliseconds since 1970; likewise `drilled` |

use std::fmt;

/// Before the names of entries.
pub const LOG: &str = "log/";
/// Before the names of objects.
pub const OBJECTS: &str = "objects/";
/// Before the names of what was checked.
pub const CHECKS: &str = "checks/";

/// What an entry's name ends with.
const ENTRY: &str = ".json.zst";
const SUM: &str = ".sum";

/// The name of an entry.
pub fn entry_name(sequence: u64) -> String {
    format!("{LOG}{sequence:010}{ENTRY}")
}

/// The name of the file with its checksum.
pub fn sum_name(sequence: u64) -> String {
    format!("{LOG}{sequence:010}{SUM}")
}

/// What a name in the log stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogName {
    /// The entry of that number.
    Entry(u64),
    /// Its checksum.
    Sum(u64),
}

/// Reads a name of the log; `None` when it is somebody else's.
///
/// ```
/// use windhover_server::backup::layout::{LogName, entry_name, log_name};
///
/// assert_eq!(log_name(&entry_name(7)), Some(LogName::Entry(7)));
/// assert_eq!(log_name("log/7.json.zst"), None);
/// ```
pub fn log_name(name: &str) -> Option<LogName> {
    let rest = name.strip_prefix(LOG)?;
    let digits = rest.split('.').next()?;
    let sequence = digits.parse().ok()?;
    let known = [LogName::Entry(sequence), LogName::Sum(sequence)];
    known.into_iter().find(|known| known.to_string() == name)
}

impl fmt::Display for LogName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&match self {
            Self::Entry(sequence) => entry_name(*sequence),
            Self::Sum(sequence) => sum_name(*sequence),
        })
    }
}

/// The name of an object, without where it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectId {
    /// 64 hexadecimal digits: the hash of its content, keyed where it is encrypted.
    pub hash: String,
    /// The number that the backup was to have that sent it.
    pub sequence: u64,
}

impl ObjectId {
    /// Reads what [`Display`](fmt::Display) writes.
    pub fn parse(text: &str) -> Option<Self> {
        let (hash, sequence) = text.split_once('-')?;
        let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        let id = Self { hash: hash.to_owned(), sequence: sequence.parse().ok()? };
        (hash.len() == 64 && hash.bytes().all(is_hex) && id.to_string() == text).then_some(id)
    }

    /// Where it is.
    pub fn name(&self) -> String {
        let folder = self.hash.get(..2).unwrap_or_default();
        format!("{OBJECTS}{folder}/{self}")
    }

    /// The object that is there; `None` when the name is somebody else's.
    pub fn of_name(name: &str) -> Option<Self> {
        let id = Self::parse(name.rsplit('/').next()?)?;
        (id.name() == name).then_some(id)
    }
}

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.hash, self.sequence)
    }
}

/// What was done with a backup to know that it is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Check {
    /// Everything was read back.
    Verified,
    /// It was restored, and a queue engine opened on it.
    Drilled,
}

impl Check {
    const fn word(self) -> &'static str {
        match self {
            Self::Verified => "verified",
            Self::Drilled => "drilled",
        }
    }

    /// The name of the note that it was done with that backup, at that many milliseconds since 1970.
    pub fn name(self, sequence: u64, at: u64) -> String {
        format!("{CHECKS}{}-{sequence:010}-{at:013}", self.word())
    }

    /// The time that such a name tells, of this kind.
    pub fn time_of(self, name: &str) -> Option<u64> {
        let rest = name.strip_prefix(CHECKS)?.strip_prefix(self.word())?;
        rest.rsplit('-').next()?.parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_is_where_its_name_says_and_nowhere_else() {
        let id = ObjectId { hash: "ab".repeat(32), sequence: 7 };
        assert_eq!(ObjectId::of_name(&id.name()), Some(id.clone()));
        let wrong = [
            format!("objects/cd/{id}"),
            format!("objects/../{id}"),
            format!("objects/ab/{}-07", id.hash),
            format!("objects/ab/{}-", id.hash),
            format!("objects/AB/{}", id.to_string().to_uppercase()),
            "objects/ab/ab-7".to_owned(),
        ];
        for name in wrong {
            assert_eq!(ObjectId::of_name(&name), None, "{name}");
        }
    }

    #[test]
    fn a_check_tells_its_time() {
        let name = Check::Drilled.name(3, 1_764_450_000_000);
        assert_eq!(Check::Drilled.time_of(&name), Some(1_764_450_000_000));
        assert_eq!(Check::Verified.time_of(&name), None);
    }
}
