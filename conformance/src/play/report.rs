//! What playing found, for people and for programs.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;

use serde_json::{Value, json};

use super::{Role, Verdict};
use crate::vectors::Vector;

/// What playing found.
#[derive(Clone, Debug)]
pub struct PlayReport {
    /// Where the server listens.
    pub address: SocketAddr,
    /// What it was held to.
    pub role: Role,
    /// Every vector of its protocol, with what came of it.
    pub played: Vec<(Vector, Verdict)>,
}

impl PlayReport {
    /// The names of the vectors that differ, with their files.
    pub fn differing(&self) -> Vec<String> {
        let differing = self.played.iter().filter(|(_, it)| matches!(it, Verdict::Differs(_)));
        differing.map(|(vector, _)| format!("{}: {}", vector.file, vector.name)).collect()
    }

    /// Verbs that the server does not have, with how many vectors need them.
    pub fn unsupported(&self) -> BTreeMap<&str, usize> {
        let mut counts = BTreeMap::new();
        for (_, verdict) in &self.played {
            let Verdict::Unsupported(verbs) = verdict else { continue };
            for verb in verbs {
                *counts.entry(verb.as_str()).or_default() += 1;
            }
        }
        counts
    }

    fn count(&self, is: impl Fn(&Verdict) -> bool) -> usize {
        self.played.iter().filter(|(_, verdict)| is(verdict)).count()
    }

    /// How many hold.
    pub fn holds(&self) -> usize {
        self.count(|verdict| matches!(verdict, Verdict::Holds))
    }

    fn not_asked(&self) -> BTreeMap<&'static str, usize> {
        let mut counts = BTreeMap::new();
        for (_, verdict) in &self.played {
            if let Verdict::NotAsked(why) = verdict {
                *counts.entry(*why).or_default() += 1;
            }
        }
        counts
    }

    /// For programs: every vector with its verdict, and the counts.
    pub fn json(&self) -> Value {
        let vectors = self.played.iter().map(|(vector, verdict)| {
            let mut row = json!({
                "file": vector.file,
                "line": vector.line,
                "name": vector.name,
                "source": vector.source,
            });
            let (word, detail) = match verdict {
                Verdict::Holds => ("holds", Value::Null),
                Verdict::Differs(mismatch) => ("differs", json!(mismatch.text)),
                Verdict::Unsupported(verbs) => ("unsupported", json!(verbs)),
                Verdict::NotAsked(why) => ("not asked", json!(why)),
            };
            row["verdict"] = json!(word);
            row["detail"] = detail;
            row
        });
        json!({
            "server": self.address.to_string(),
            "as": self.role.to_string(),
            "holds": self.holds(),
            "differs": self.differing().len(),
            "unsupported": self.count(|verdict| matches!(verdict, Verdict::Unsupported(_))),
            "unsupported_verbs": self.unsupported(),
            "not_asked": self.not_asked().values().sum::<usize>(),
            "vectors": vectors.collect::<Vec<_>>(),
        })
    }
}

impl fmt::Display for PlayReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (vector, verdict) in &self.played {
            if let Verdict::Differs(mismatch) = verdict {
                let place = vector.place();
                let (name, source, text) = (&vector.name, &vector.source, &mismatch.text);
                writeln!(f, "differs: {name}\n     see {place} ({source})\n     {text}\n")?;
            }
        }
        writeln!(f, "{} as {}", self.address, self.role)?;
        writeln!(f, "{:>6} hold", self.holds())?;
        writeln!(f, "{:>6} differ", self.differing().len())?;
        let unsupported = self.count(|verdict| matches!(verdict, Verdict::Unsupported(_)));
        write!(f, "{unsupported:>6} are of commands that the server does not have")?;
        let verbs: Vec<&str> = self.unsupported().into_keys().collect();
        if !verbs.is_empty() {
            write!(f, ": {}", verbs.join(", "))?;
        }
        for (why, count) in self.not_asked() {
            write!(f, "\n{count:>6} were not asked: {why}")?;
        }
        Ok(())
    }
}
