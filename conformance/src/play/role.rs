//! What a server is held to.

use std::fmt;
use std::str::FromStr;

use windhover_core::memcache::Dialect;
use windhover_core::memcache::command::TABLE;

use crate::vectors::{Player, Protocol, Vector, verbs};
use crate::version_numbers;

/// What a server is held to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Role {
    /// memcached, of a version: vectors are true of those that they were seen with.
    Memcached(Vec<u32>),
    /// kestrel.
    Kestrel,
    /// darner: of kestrel's vectors, those whose commands it has.
    Darner,
}

impl Role {
    /// The protocol of its vectors.
    pub fn protocol(&self) -> Protocol {
        match self {
            Self::Memcached(_) => Protocol::Memcached,
            Self::Kestrel | Self::Darner => Protocol::Kestrel,
        }
    }

    /// Whether a vector is true of it.
    pub(super) fn has(&self, vector: &Vector) -> bool {
        match self {
            Self::Memcached(version) => {
                vector.is_for(Player::Memcached) && vector.is_true_of(version)
            }
            // What our queue alone does, nobody else has to.
            Self::Kestrel => vector.only.is_none(),
            Self::Darner => {
                let knows = |verb: &String| {
                    let of = |row: &&windhover_core::memcache::command::Row| {
                        row.verb == verb && row.dialects.contains(&Dialect::Darner)
                    };
                    TABLE.iter().any(|row| of(&row))
                };
                // An option of kestrel's alone is no request of darner's.
                vector.only.is_none() && verbs(vector).iter().all(knows)
            }
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memcached(version) => {
                let numbers: Vec<String> = version.iter().map(u32::to_string).collect();
                write!(f, "memcached@{}", numbers.join("."))
            }
            Self::Kestrel => f.write_str("kestrel"),
            Self::Darner => f.write_str("darner"),
        }
    }
}

impl FromStr for Role {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let version = text.strip_prefix("memcached@").map(version_numbers);
        match (text, version) {
            ("kestrel", _) => Ok(Self::Kestrel),
            ("darner", _) => Ok(Self::Darner),
            (_, Some(version)) if version.len() == 3 => Ok(Self::Memcached(version)),
            _ => Err(format!(
                "`{text}` is nothing that a server can be held to: memcached@1.6.45, memcached@1.6.18, kestrel or \
                 darner"
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_is_written_as_it_is_read() {
        for text in ["memcached@1.6.45", "kestrel", "darner"] {
            assert_eq!(text.parse::<Role>().unwrap().to_string(), text);
        }
        for text in ["memcached", "memcached@", "memcached@1.6", "redis"] {
            assert!(text.parse::<Role>().is_err(), "{text}");
        }
    }
}
