//! Commands that are right, as structures: what they mean and how they are written.

use core::time::Duration;

use windhover_core::memcache::command::{Arguments, Row, TABLE};
use windhover_core::memcache::kestrel::{QueueRead, ReadMode};
use windhover_core::memcache::meta::{FLAGS, FlagBuffer, MetaRequest, TokenRule};
use windhover_core::memcache::request::{Request, ShutdownMode, StoreRequest};
use windhover_core::memcache::{Dialect, Keys, command};

use super::memcache::block;
use crate::Source;
use crate::reference::base64;
use crate::reference::replies::Asked;

/// The only keys that other servers are sent.
pub const PEER_KEYS: [&[u8]; 4] =
    [b"windhover-fuzz-a", b"windhover-fuzz-b", b"windhover-fuzz-c", b"windhover-fuzz-d"];

/// A command with everything that it names. [`request`](Self::request) is what it means,
/// [`write`](Self::write) how protocol.txt and kestrel's guide have it written.
#[derive(Clone, Debug)]
pub struct Command {
    /// Its row in the table.
    pub row: &'static Row,
    /// The dialect that it is written in.
    pub dialect: Dialect,
    /// Keys or queues.
    pub keys: Vec<Vec<u8>>,
    /// The data block.
    pub data: Vec<u8>,
    flags: u32,
    signed: i64,
    unsigned: u64,
    count: u32,
    most: Option<u32>,
    /// Whether no answer is wanted.
    pub noreply: bool,
    words: Vec<u8>,
    meta: FlagBuffer,
    mode: ReadMode,
    group: Option<Vec<u8>>,
    wait: Option<Duration>,
    sync: bool,
}

impl Command {
    /// A command that any server of its dialect takes.
    pub fn draw(source: &mut Source<'_>) -> Self {
        let rows: Vec<_> =
            TABLE.iter().filter(|row| row.command != command::Command::Authenticate).collect();
        let row: &Row = source.pick_of(&rows);
        let dialect = source.pick_of(row.dialects);
        Self::of_row(row, dialect, source)
    }

    /// Such a command of one row of the table.
    pub fn of_row(row: &'static Row, dialect: Dialect, source: &mut Source<'_>) -> Self {
        let queue = dialect.is_queue();
        let keys = match row.arguments {
            Arguments::Keys | Arguments::TouchKeys => source.between(1, 4),
            Arguments::Queues => source.below(4),
            _ => 1,
        };
        let mut meta = FlagBuffer::new();
        let mut keys: Vec<_> = (0..keys).map(|_| key(source, dialect)).collect();
        if matches!(row.arguments, Arguments::Meta | Arguments::MetaStore | Arguments::MetaDebug) {
            let base64 = draw_flags(row, source, &mut meta);
            if base64 {
                keys = vec![base64::encode(source.bytes(source.clone().between(1, 20)), b"a")];
            }
        }
        let data = if row.data { block(source) } else { Vec::new() };
        // Only storage commands have exptimes of more than 32 bits.
        let signed = if row.data || queue {
            edgy_signed(source)
        } else {
            i64::from(edgy_32(source).cast_signed())
        };
        let group =
            (dialect == Dialect::Siberite && source.chance(1, 3)).then(|| b"readers".to_vec());
        Self {
            row,
            dialect,
            keys,
            data,
            flags: edgy_32(source),
            signed,
            unsigned: source.edgy(),
            count: edgy_32(source) >> 1,
            most: source.chance(1, 2).then(|| edgy_32(source) >> 1),
            noreply: !queue && has_noreply(row) && source.chance(1, 3),
            words: words(row, dialect, source),
            meta,
            mode: source.pick(&[
                ReadMode::Remove,
                ReadMode::Open,
                ReadMode::Close,
                ReadMode::CloseOpen,
                ReadMode::Abort,
                ReadMode::Peek,
            ]),
            group,
            wait: source
                .chance(1, 3)
                .then(|| Duration::from_millis(u64::from(edgy_32(source) >> 1))),
            sync: dialect == Dialect::Darner && source.chance(1, 2),
        }
    }

    /// Makes something of it wrong, perhaps: what a careless caller could hand over.
    pub fn spoil(&mut self, source: &mut Source<'_>) {
        let bytes = [b' ', b'\r', b'\n', 0, 0x7f, b'/', b'.', b'~', 0x80, b'a'];
        let word = [b'x', source.pick(&bytes), b'y'];
        match source.below(12) {
            0 => self.keys = vec![Vec::new()],
            1 => self.keys = vec![word.to_vec()],
            2 => self.keys = vec![vec![b'k'; source.between(250, 252)]],
            3 => self.keys.clear(),
            4 => self.data = b"data".to_vec(),
            5 => self.dialect = source.pick(&Dialect::ALL),
            6 => self.words = [b"word ", &word[..]].concat(),
            7 => drop(self.meta.push(source.byte(), &word)),
            8 => {
                let again = self.meta.clone();
                for flag in again.flags() {
                    self.meta.push_flag(flag);
                }
                for letter in b"vtfckqshlubIxL" {
                    self.meta.push(*letter, b"");
                }
            }
            9 => self.group = Some(word.to_vec()),
            10 => self.wait = Some(Duration::from_millis(source.edgy())),
            _ => {
                self.noreply = true;
                self.count = edgy_32(source);
                self.most = Some(edgy_32(source));
            }
        }
    }

    /// A command of memcached's that changes nothing but a few items, and whose answer depends on
    /// them alone: not on time, a cas unique, or who else is there. It is never quiet, and no number
    /// gets shorter: whether it is padded then differs (`conformance/differences.md`, "padding").
    pub fn for_peers(source: &mut Source<'_>) -> Self {
        use command::Command as C;
        let known = [
            C::Get,
            C::Set,
            C::Add,
            C::Replace,
            C::Append,
            C::Prepend,
            C::Delete,
            C::Incr,
            C::Touch,
            C::Gat,
            C::MetaGet,
            C::MetaSet,
            C::MetaDelete,
            C::MetaArithmetic,
            C::MetaNoop,
        ];
        let row =
            command::row(source.pick(&known), Dialect::Memcached).expect("memcached knows it");
        let mut command = Self::of_row(row, Dialect::Memcached, source);
        command.signed = 0;
        command.unsigned = u64::from(source.byte());
        command.meta.clear();
        for key in &mut command.keys {
            *key = source.pick(&PEER_KEYS).to_vec();
        }
        // A blank that is counted: memcached reads on behind its end ("blank-number").
        if command.data.iter().all(u8::is_ascii_whitespace) {
            command.data = b"7".to_vec();
        }
        if row.arguments == Arguments::Meta || row.arguments == Arguments::MetaStore {
            let letters: &[u8] = match row.command {
                C::MetaGet => b"vkfsO",
                C::MetaArithmetic => b"vkOMD",
                C::MetaSet => b"kOMF",
                _ => b"kO",
            };
            for &letter in letters {
                if source.chance(1, 2) {
                    continue;
                }
                let token: &[u8] = match (letter, row.command) {
                    (b'O', _) => b"opaque",
                    (b'M', C::MetaSet) => source.pick(&[b"S", b"E", b"R", b"A", b"P"]),
                    (b'M', _) => source.pick(&[b"I", b"+"]),
                    (b'D' | b'F', _) => b"7",
                    _ => b"",
                };
                command.meta.push(letter, token);
            }
        }
        command
    }

    /// Whether some server answers although it is told not to: of the administrative commands,
    /// memcached 1.6.18 looks at the last word of some only.
    pub fn is_answered(&self) -> bool {
        use command::Command as C;
        let looks = match self.row.command {
            C::Slabs => self.words.starts_with(b"automove"),
            C::LruCrawler | C::Watch => false,
            _ => true,
        };
        !self.noreply || !looks
    }

    /// What is known of the request from its own side: what may answer it depends on that.
    pub fn asked(&self) -> Asked {
        use command::Command as C;
        let reads = self.dialect.is_queue() && matches!(self.row.command, C::Get | C::Gets);
        let monitors = self.row.command == C::Monitor;
        let flag = |letter: u8| {
            let text = self.meta.flags().text();
            let mut words = text.split(|&byte| byte == b' ');
            words.find(|word| word.first() == Some(&letter)).map(|word| word[1..].to_vec())
        };
        let sizes: [&[u8]; 2] = [b"sizes_enable", b"sizes_disable"];
        let mut asked = Asked::new(self.row, self.write());
        asked.keys.clone_from(&self.keys);
        asked.opaque = flag(b'O');
        asked.names_key = flag(b'k').is_some() && flag(b'b').is_none();
        asked.opens = monitors || (reads && self.mode.opens());
        if monitors {
            asked.wait = Duration::from_secs(u64::from(self.count));
        }
        if reads {
            asked.group.clone_from(&self.group);
            asked.wait = self.wait.unwrap_or_default();
        }
        asked.dumps = self.row.command == C::LruCrawler && self.words.starts_with(b"metadump");
        asked.without_end = self.row.command == C::Stats
            && self.dialect == Dialect::Memcached
            && sizes.contains(&&self.words[..]);
        asked
    }

    /// Gives a meta command that has none an opaque, which its answer sends back.
    pub fn mark(&mut self, opaque: &[u8]) {
        let takes = matches!(self.row.arguments, Arguments::Meta | Arguments::MetaStore);
        if takes && self.asked().opaque.is_none() {
            self.meta.push(b'O', opaque);
        }
    }

    /// Whether its answer is hidden where it is the expected one.
    pub fn is_quiet(&self) -> bool {
        self.meta.flags().text().split(|&byte| byte == b' ').any(|word| word == b"q")
    }

    fn key(&self) -> &[u8] {
        self.keys.first().map(Vec::as_slice).unwrap_or_default()
    }

    /// What is to be read of it. `keys` are [`keys`](Self::keys), borrowed.
    pub fn request<'a>(&'a self, keys: &'a [&'a [u8]]) -> Request<'a> {
        use command::Command as C;
        let key = self.key();
        let noreply = self.noreply;
        let store = StoreRequest {
            flags: self.flags,
            exptime: self.signed,
            noreply,
            ..StoreRequest::new(key)
        };
        let meta = MetaRequest::new(key, self.meta.flags());
        let all = Keys::new(keys);
        match self.row.command {
            C::Get | C::Gets if self.dialect.is_queue() => {
                let mut read = QueueRead::new(key, self.mode);
                if let Some(group) = &self.group {
                    read = read.group(group);
                }
                if let Some(wait) = self.wait {
                    read = read.wait(wait);
                }
                Request::QueueRead(read)
            }
            C::Get => Request::Get(all),
            C::Gets => Request::Gets(all),
            C::Gat => Request::Gat { exptime: self.signed, keys: all },
            C::Gats => Request::Gats { exptime: self.signed, keys: all },
            C::Set if self.sync => Request::SetSync(store),
            C::Set => Request::Set(store),
            C::Add => Request::Add(store),
            C::Replace => Request::Replace(store),
            C::Append => Request::Append(store),
            C::Prepend => Request::Prepend(store),
            C::Cas => Request::Cas { store, unique: self.unsigned },
            C::Delete => Request::Delete { key, noreply },
            C::Incr => Request::Incr { key, delta: self.unsigned, noreply },
            C::Decr => Request::Decr { key, delta: self.unsigned, noreply },
            C::Touch => Request::Touch { key, exptime: self.signed, noreply },
            C::MetaGet => Request::MetaGet(meta),
            C::MetaSet => Request::MetaSet(meta),
            C::MetaDelete => Request::MetaDelete(meta),
            C::MetaArithmetic => Request::MetaArithmetic(meta),
            C::MetaDebug => Request::MetaDebug { key, base64: meta.flags.base64() },
            C::MetaNoop => Request::MetaNoop,
            C::Version => Request::Version,
            C::Verbosity => Request::Verbosity { level: self.flags, noreply },
            C::Stats => Request::Stats { arguments: &self.words },
            C::FlushAll if self.dialect.is_queue() => {
                Request::FlushAll { delay: None, noreply: false }
            }
            C::FlushAll => Request::FlushAll { delay: self.most.map(i64::from), noreply },
            C::CacheMemlimit => Request::CacheMemlimit { megabytes: self.flags, noreply },
            C::Shutdown => Request::Shutdown { mode: self.shutdown_mode() },
            C::Quit => Request::Quit,
            C::Flush => Request::Flush { queue: key },
            C::FlushExpired => Request::FlushExpired { queue: key },
            C::FlushAllExpired => Request::FlushAllExpired,
            C::Monitor => Request::Monitor { queue: key, seconds: self.count, max: self.most },
            C::Confirm => Request::Confirm { queue: key, count: self.count },
            C::DumpStats => Request::DumpStats { queues: all },
            C::DumpConfig => Request::DumpConfig { queues: all },
            C::Roll => Request::Roll { queue: key },
            C::Reload => Request::Reload,
            C::Status => {
                Request::Status { new: Some(&self.words[..]).filter(|word| !word.is_empty()) }
            }
            command => Request::Admin { command, arguments: &self.words, noreply },
        }
    }

    fn shutdown_mode(&self) -> ShutdownMode<'_> {
        match &self.words[..] {
            b"" => ShutdownMode::Now,
            b"graceful" => ShutdownMode::Graceful,
            other => ShutdownMode::Unknown(other),
        }
    }

    /// How it is written, line and block.
    pub fn write(&self) -> Vec<u8> {
        let mut line = self.row.verb.to_owned().into_bytes();
        let mut word = |word: &[u8]| {
            line.push(b' ');
            line.extend_from_slice(word);
        };
        let length = self.data.len().to_string();
        match self.row.arguments {
            Arguments::None => {}
            Arguments::Keys | Arguments::Queues => self.keys.iter().for_each(|key| word(key)),
            Arguments::TouchKeys => {
                word(self.signed.to_string().as_bytes());
                self.keys.iter().for_each(|key| word(key));
            }
            Arguments::Store | Arguments::Cas | Arguments::QueueStore | Arguments::Credentials => {
                let sync: &[u8] = if self.sync { b"/sync" } else { b"" };
                word(&[self.key(), sync].concat());
                word(self.flags.to_string().as_bytes());
                word(self.signed.to_string().as_bytes());
                word(length.as_bytes());
                if self.row.arguments == Arguments::Cas {
                    word(self.unsigned.to_string().as_bytes());
                }
            }
            Arguments::Delete | Arguments::Queue => word(self.key()),
            Arguments::Delta => {
                word(self.key());
                word(self.unsigned.to_string().as_bytes());
            }
            Arguments::Touch => {
                word(self.key());
                word(self.signed.to_string().as_bytes());
            }
            Arguments::Meta | Arguments::MetaStore | Arguments::MetaDebug => {
                word(self.key());
                if self.row.arguments == Arguments::MetaStore {
                    word(length.as_bytes());
                }
                if !self.meta.flags().text().is_empty() {
                    word(self.meta.flags().text());
                }
            }
            Arguments::Verbosity | Arguments::Megabytes => word(self.flags.to_string().as_bytes()),
            Arguments::Delay => {
                if let Some(delay) = self.most {
                    word(delay.to_string().as_bytes());
                }
            }
            Arguments::QueueRead => word(&self.read()),
            Arguments::Monitor => {
                word(self.key());
                word(self.count.to_string().as_bytes());
                if let Some(most) = self.most {
                    word(most.to_string().as_bytes());
                }
            }
            Arguments::Confirm => {
                word(self.key());
                word(self.count.to_string().as_bytes());
            }
            _ if self.words.is_empty() => {}
            _ => word(&self.words),
        }
        if self.noreply {
            word(b"noreply");
        }
        line.extend_from_slice(b"\r\n");
        if self.row.data {
            line.extend_from_slice(&self.data);
            line.extend_from_slice(b"\r\n");
        }
        line
    }

    fn read(&self) -> Vec<u8> {
        let mut name = self.key().to_vec();
        if let Some(group) = &self.group {
            name.push(b'.');
            name.extend_from_slice(group);
        }
        if let Some(wait) = self.wait {
            name.extend_from_slice(format!("/t={}", wait.as_millis()).as_bytes());
        }
        name.extend_from_slice(match self.mode {
            ReadMode::Remove => b"",
            ReadMode::Open => b"/open",
            ReadMode::Close => b"/close",
            ReadMode::CloseOpen => b"/close/open",
            ReadMode::Abort => b"/abort",
            ReadMode::Peek => b"/peek",
        });
        name
    }
}

/// Which commands have a place for `noreply`.
fn has_noreply(row: &Row) -> bool {
    matches!(
        row.arguments,
        Arguments::Store
            | Arguments::Cas
            | Arguments::Delete
            | Arguments::Delta
            | Arguments::Touch
            | Arguments::Verbosity
            | Arguments::Delay
            | Arguments::Megabytes
            | Arguments::Admin
    )
}

/// A key of legal bytes, up to the longest one.
fn key(source: &mut Source<'_>, dialect: Dialect) -> Vec<u8> {
    let len = match source.below(8) {
        0..=4 => source.between(1, 8),
        5 | 6 => source.between(248, 250),
        _ => source.between(1, 250),
    };
    let bytes = source.bytes(source.clone().between(0, 4));
    let legal = |byte: u8| match dialect {
        Dialect::Memcached => byte > b' ' && byte != 0x7f,
        Dialect::Darner => byte.is_ascii_graphic() && byte != b'/',
        _ => byte > b' ' && byte != 0x7f && !b"/~.".contains(&byte),
    };
    let mut key: Vec<u8> = bytes.iter().copied().filter(|&byte| legal(byte)).collect();
    key.resize(len, b'k');
    key
}

fn edgy_32(source: &mut Source<'_>) -> u32 {
    let number = source.edgy();
    u32::try_from(number & u64::from(u32::MAX)).unwrap_or_default()
}

fn edgy_signed(source: &mut Source<'_>) -> i64 {
    source.edgy().cast_signed()
}

fn words(row: &Row, dialect: Dialect, source: &mut Source<'_>) -> Vec<u8> {
    use command::Command as C;
    let choices: &[&[u8]] = match row.command {
        C::Shutdown if dialect.is_queue() => &[b""],
        C::Shutdown => &[b"", b"graceful", b"now"],
        C::Status => &[b"", b"up", b"readonly"],
        C::Stats if dialect.is_queue() => &[b"", b"reset"],
        C::Stats => &[b"", b"items", b"sizes_enable", b"cachedump 1 2", b"detail on"],
        C::Lru => &[b"tune 10 25 0.1 2.0", b"mode flat"],
        C::Extstore => &[b"free_memchunks 1 1"],
        C::Slabs => &[b"reassign 1 2", b"automove 1"],
        C::Watch => &[b"", b"fetchers mutations"],
        C::LruCrawler => &[b"enable", b"metadump all"],
        _ => &[b""],
    };
    source.pick_of(choices).to_vec()
}

/// Draws flags that the command knows, each once; whether the key is base64.
fn draw_flags(row: &Row, source: &mut Source<'_>, meta: &mut FlagBuffer) -> bool {
    let mut known: Vec<_> =
        FLAGS.iter().filter(|flag| flag.commands.contains(&row.command)).collect();
    let mut base64 = false;
    for _ in 0..source.below(known.len().min(16) + 1) {
        let flag = known.remove(source.below(known.len()));
        base64 |= flag.letter == b'b';
        match flag.token {
            TokenRule::Opaque => {
                let len = source.below(32);
                let byte = b'a' + source.clone().byte() % 26;
                meta.push(flag.letter, &vec![byte; len]);
            }
            TokenRule::Seconds => {
                meta.push_signed(flag.letter, i64::from(edgy_32(source).cast_signed()));
            }
            TokenRule::Unsigned32 => {
                meta.push_unsigned(flag.letter, u64::from(edgy_32(source)));
            }
            TokenRule::Unsigned64 => drop(meta.push_unsigned(flag.letter, source.edgy())),
            TokenRule::Mode => {
                let modes: &[u8] = match row.command {
                    command::Command::MetaSet => b"SERAP",
                    _ => b"ID+-",
                };
                meta.push(flag.letter, &[source.pick_of(modes)]);
            }
            _ => drop(meta.push(flag.letter, b"")),
        }
    }
    base64
}
