//! The vectors: what is sent, what is answered and what state the connection is in afterwards, as
//! data files (`conformance/vectors`), and three ways to play them.

mod codec;
mod coverage;
mod file;
mod index;
mod socket;
mod template;

use std::{fmt, path::PathBuf};

pub use codec::play_codec;
pub use coverage::{Missing, missing, verbs};
pub use index::index;
pub use socket::{Marker, Mismatch, SocketPlayer, play_socket};
pub use template::{Captures, Matched, Template};

use crate::version_numbers;

/// Who can play a vector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Player {
    /// The core's codec and server connection, without a storage.
    Codec,
    /// `windhover cache`.
    Cache,
    /// `windhover serve`, its queue.
    Queue,
    /// The real memcached.
    Memcached,
}

impl Player {
    /// Its name in the files and in the index.
    pub fn name(self) -> &'static str {
        match self {
            Self::Codec => "codec",
            Self::Cache => "cache",
            Self::Queue => "queue",
            Self::Memcached => "memcached",
        }
    }
}

/// Which protocol a file of vectors is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// memcached's, classic and meta commands.
    Memcached,
    /// kestrel's.
    Kestrel,
}

impl Protocol {
    /// Those who may play its vectors.
    pub fn players(self) -> &'static [Player] {
        match self {
            Self::Memcached => &[Player::Codec, Player::Cache, Player::Memcached],
            Self::Kestrel => &[Player::Codec, Player::Queue],
        }
    }

    /// A request that any server answers in one line, whatever it holds. A memcached that asks for
    /// authentication closes where the line is shorter than six bytes.
    pub fn marker(self) -> &'static str {
        match self {
            Self::Memcached => "mn end-of-vector\r\n",
            Self::Kestrel => "version\r\n",
        }
    }

    /// The answer to [`marker`](Self::marker), as a template.
    pub fn marker_reply(self) -> &'static str {
        match self {
            Self::Memcached => "MN\\r\\n",
            Self::Kestrel => "VERSION {...}\\r\\n",
        }
    }
}

/// What kind of server a vector needs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ServerKind {
    /// One that vectors share; it is flushed before each.
    #[default]
    Shared,
    /// One of its own, with nothing in it.
    Own,
    /// One of its own that `shutdown` may stop.
    Shutdown,
    /// One of its own that asks for authentication.
    Authentication,
}

/// The state of the connection after a vector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// The next request is answered.
    Open,
    /// The server has closed it.
    Closed,
    /// The server sends what it likes, and answers no requests.
    Streaming,
}

/// Versions of memcached that answer alike, as far as they were tried: what those between an
/// `UpTo` and a `From` answer is not known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Versions {
    /// This one and older ones.
    UpTo(Vec<u32>),
    /// This one and newer ones.
    From(Vec<u32>),
}

impl Versions {
    /// `up to 1.6.18` or `from 1.6.45`.
    fn parse(text: &str) -> Option<Self> {
        let numbers = |version: &str| Some(version_numbers(version)).filter(|v| !v.is_empty());
        if let Some(version) = text.strip_prefix("up to ") {
            return numbers(version).map(Self::UpTo);
        }
        numbers(text.strip_prefix("from ")?).map(Self::From)
    }

    fn include(&self, version: &[u32]) -> bool {
        match self {
            Self::UpTo(last) => version <= last.as_slice(),
            Self::From(first) => version >= first.as_slice(),
        }
    }
}

impl fmt::Display for Versions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (words, Self::UpTo(version) | Self::From(version)) = match self {
            Self::UpTo(_) => ("up to", self),
            Self::From(_) => ("from", self),
        };
        let numbers: Vec<String> = version.iter().map(u32::to_string).collect();
        write!(f, "{words} {}", numbers.join("."))
    }
}

/// A piece of the conversation.
#[derive(Clone, Debug)]
pub struct Step {
    /// What the client sends, in one write.
    pub send: Template,
    /// What it gets before it goes on.
    pub expect: Template,
}

/// One exchange.
#[derive(Clone, Debug)]
pub struct Vector {
    /// The file's name, without directory and extension.
    pub file: String,
    /// The line it begins in.
    pub line: usize,
    /// Its name, of which the file has one.
    pub name: String,
    /// Which protocol it is about.
    pub protocol: Protocol,
    /// The section of the specification that it shows.
    pub source: String,
    /// Where it was seen, when the specification is silent on it.
    pub seen: Option<String>,
    /// Which versions of memcached it is true for, when not for all.
    pub versions: Option<Versions>,
    /// What kind of server it needs.
    pub server: ServerKind,
    /// Who plays it and why nobody else does.
    pub only: Option<(Vec<Player>, String)>,
    /// Requests before it, whose answers are of no interest.
    pub given: Template,
    /// The conversation.
    pub steps: Vec<Step>,
    /// What state the connection is in afterwards.
    pub then: Then,
}

impl Vector {
    /// Whether `player` plays it; a memcached has to be of the right version besides
    /// ([`is_true_of`](Self::is_true_of)). The code follows the newest version, but in what is named.
    pub fn is_for(&self, player: Player) -> bool {
        let past = matches!(self.versions, Some(Versions::UpTo(_)));
        self.protocol.players().contains(&player)
            && match &self.only {
                Some((players, _)) => players.contains(&player),
                None => player == Player::Memcached || !past,
            }
    }

    /// Whether it was seen on that version of memcached, or on one that it stands for.
    pub fn is_true_of(&self, version: &[u32]) -> bool {
        self.versions.as_ref().is_none_or(|versions| versions.include(version))
    }

    /// Where it is in the repository.
    pub fn place(&self) -> String {
        format!("vectors/{}.vectors:{}", self.file, self.line)
    }
}

impl fmt::Display for Vector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name, self.place())
    }
}

/// Where the files are.
pub fn directory() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("vectors")
}

/// All vectors, in the order of files and lines.
#[track_caller]
pub fn load() -> Vec<Vector> {
    let entries = std::fs::read_dir(directory()).expect("the vectors can be read");
    let mut paths: Vec<PathBuf> = entries
        .map(|entry| entry.expect("the vectors can be read").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "vectors"))
        .collect();
    paths.sort();
    let mut vectors = Vec::new();
    for path in paths {
        let text = std::fs::read_to_string(&path).expect("a file of vectors can be read");
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        match file::parse(&name, &text) {
            Ok(found) => vectors.extend(found),
            Err(error) => panic!("{}: {error}", path.display()),
        }
    }
    vectors
}
