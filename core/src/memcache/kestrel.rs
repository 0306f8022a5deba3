//! Names and reads of queues in kestrel's dialect and its kin: `get Q/t=100/open`.

use core::hash::{Hash, Hasher};
use core::time::Duration;

use bytes::BytesMut;

use super::{Dialect, QUEUE_RULES, QueueRules, number};

/// Kestrel's whole answer to `flush_all`.
pub const FLUSHED_ALL: &[u8] = b"Flushed all queues.";
/// Kestrel's whole answer to `reload`.
pub const RELOADED: &[u8] = b"Reloaded config.";

/// What a read does with the first item, and with the item that this connection holds open.
///
/// Only what kestrel allows can be said: `peek` and `abort` stand alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ReadMode {
    /// Takes the first item for good.
    #[default]
    Remove,
    /// `/open`: sets the first item aside until the read is closed or aborted.
    Open,
    /// `/close`: confirms the open read and fetches nothing.
    Close,
    /// `/close/open`: confirms the open read and opens the next.
    CloseOpen,
    /// `/abort`: puts the open item back at the head and fetches nothing.
    Abort,
    /// `/peek`: the first item, which stays.
    Peek,
}

impl ReadMode {
    /// Whether an open read is confirmed first.
    pub const fn closes(self) -> bool {
        matches!(self, Self::Close | Self::CloseOpen)
    }

    /// Whether the item fetched is only set aside.
    pub const fn opens(self) -> bool {
        matches!(self, Self::Open | Self::CloseOpen)
    }

    /// Whether an item is fetched at all.
    pub const fn fetches(self) -> bool {
        !matches!(self, Self::Close | Self::Abort)
    }
}

/// A read of a queue: the argument of kestrel's `get` (kestrel's guide, "Reliable reads").
///
/// ```
/// use core::time::Duration;
/// use windhover_core::memcache::kestrel::{QueueRead, QueueReadError, ReadMode};
///
/// let read = QueueRead::parse(b"jobs/t=250/close/open")?;
/// assert_eq!(read.queue, b"jobs");
/// assert_eq!(read.timeout, Some(Duration::from_millis(250)));
/// assert_eq!(read.mode, ReadMode::CloseOpen);
///
/// assert_eq!(QueueRead::parse(b"jobs/peek/open"), Err(QueueReadError::Conflict));
/// # Ok::<(), QueueReadError>(())
/// ```
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct QueueRead<'a> {
    /// The queue's name. The answer's `VALUE` carries this name, without the options.
    pub queue: &'a [u8],
    /// Name and options as they were asked for, where the read was parsed; else empty. Reads that differ
    /// in nothing else are equal. Some clients of memcached expect the answer's `VALUE` to carry what
    /// they asked for, whatever a queue server's name for it is.
    pub asked: &'a [u8],
    /// siberite: the consumer group (cursor) of `get <queue>.<group>`, which reads the queue for
    /// itself.
    pub group: Option<&'a [u8]>,
    /// How long to wait for an item; `None` does not wait. Whole milliseconds below 2^31.
    pub timeout: Option<Duration>,
    /// What is done.
    pub mode: ReadMode,
}

impl<'a> QueueRead<'a> {
    /// A read that does not wait.
    pub const fn new(queue: &'a [u8], mode: ReadMode) -> Self {
        Self { queue, asked: b"", group: None, timeout: None, mode }
    }

    /// The same, waiting for an item up to `timeout`.
    #[must_use]
    pub const fn wait(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// The same for a consumer group, where the server is siberite.
    #[must_use]
    pub const fn group(mut self, group: &'a [u8]) -> Self {
        self.group = Some(group);
        self
    }

    /// Parses a name and its options as kestrel does. Options are in lower case, in any order, and
    /// may come twice; one that is not known is ignored and a negative time does not wait.
    ///
    /// # Errors
    /// Where kestrel answers `CLIENT_ERROR` and disconnects: a name that [`check_queue`] refuses,
    /// options that exclude each other, and a time that is no 32-bit number.
    pub fn parse(key: &'a [u8]) -> Result<Self, QueueReadError> {
        Self::parse_in(key, Dialect::Kestrel)
    }

    /// Parses a name and its options by the [rules](super::QUEUE_RULES) of that queue server;
    /// memcached's dialect has none, kestrel's stand in.
    ///
    /// # Errors
    /// As [`parse`](Self::parse), and an option that the server does not know where it refuses
    /// such.
    pub fn parse_in(key: &'a [u8], dialect: Dialect) -> Result<Self, QueueReadError> {
        let rules = rules(dialect);
        let mut parts = key.split(|&byte| byte == b'/');
        let name = parts.next().unwrap_or_default();
        let (queue, group) = split_group(name, rules);
        check_queue_in(queue, dialect).map_err(QueueReadError::Queue)?;
        let mut timeout = None;
        let mut options = Options::default();
        for part in parts {
            if let Some(millis) = strip_time(part, rules) {
                timeout = Some(parse_timeout(millis, rules)?);
            } else {
                options.add(part, rules)?;
            }
        }
        Ok(Self { queue, asked: key, group, timeout, mode: options.mode(rules)? })
    }

    /// Appends the options, as [`parse`](Self::parse) takes them, with the time as
    /// [`millis`](Self::millis) gave it.
    pub(crate) fn put_options(&self, millis: Option<u64>, out: &mut BytesMut) {
        if let Some(millis) = millis {
            out.extend_from_slice(b"/t=");
            number::put_unsigned(out, millis);
        }
        if self.mode.closes() {
            out.extend_from_slice(b"/close");
        }
        if self.mode.opens() {
            out.extend_from_slice(b"/open");
        }
        match self.mode {
            ReadMode::Abort => out.extend_from_slice(b"/abort"),
            ReadMode::Peek => out.extend_from_slice(b"/peek"),
            _ => {}
        }
    }

    /// The time-out as the wire has it.
    pub(crate) fn millis(&self) -> Result<Option<u64>, QueueReadError> {
        let Some(timeout) = self.timeout else {
            return Ok(None);
        };
        match u64::try_from(timeout.as_millis()) {
            Ok(millis) if millis <= MAX_MILLIS => Ok(Some(millis)),
            _ => Err(QueueReadError::Timeout),
        }
    }
}

impl QueueRead<'_> {
    /// What it means.
    fn meaning(&self) -> (&[u8], Option<&[u8]>, Option<Duration>, ReadMode) {
        (self.queue, self.group, self.timeout, self.mode)
    }
}

impl PartialEq for QueueRead<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.meaning() == other.meaning()
    }
}

impl Eq for QueueRead<'_> {}

impl Hash for QueueRead<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.meaning().hash(state);
    }
}

/// The options of a read but the time.
#[derive(Default)]
#[expect(clippy::struct_excessive_bools, reason = "each option is there or not")]
struct Options {
    open: bool,
    close: bool,
    abort: bool,
    peek: bool,
}

impl Options {
    fn add(&mut self, option: &[u8], rules: &QueueRules) -> Result<(), QueueReadError> {
        let is = |name: &[u8]| {
            option == name || (rules.options_in_any_case && option.eq_ignore_ascii_case(name))
        };
        let in_order = !rules.options_in_any_order;
        let place = if is(b"open") {
            &mut self.open
        } else if is(b"close") {
            if in_order && self.open {
                return Err(QueueReadError::Conflict);
            }
            &mut self.close
        } else if is(b"abort") {
            &mut self.abort
        } else if is(b"peek") {
            &mut self.peek
        } else if rules.ignores_unknown_options || (in_order && option.is_empty()) {
            return Ok(());
        } else {
            return Err(QueueReadError::UnknownOption);
        };
        if *place && in_order {
            return Err(QueueReadError::Conflict);
        }
        *place = true;
        Ok(())
    }

    fn mode(&self, rules: &QueueRules) -> Result<ReadMode, QueueReadError> {
        match (self.open, self.close, self.abort, self.peek) {
            (false, false, false, false) => Ok(ReadMode::Remove),
            (true, false, false, false) => Ok(ReadMode::Open),
            (false, true, false, false) => Ok(ReadMode::Close),
            (true, true, false, false) => Ok(ReadMode::CloseOpen),
            (false, false, true, false) => Ok(ReadMode::Abort),
            (false, false, false, true) => Ok(ReadMode::Peek),
            (false, true, false, true) if rules.closes_before_peek => Ok(ReadMode::Close),
            _ => Err(QueueReadError::Conflict),
        }
    }
}

fn rules(dialect: Dialect) -> &'static QueueRules {
    let [kestrel, ..] = QUEUE_RULES;
    dialect.queue_rules().unwrap_or(kestrel)
}

/// The queue and the consumer group of a name; what stands behind another separator is ignored.
fn split_group<'a>(name: &'a [u8], rules: &QueueRules) -> (&'a [u8], Option<&'a [u8]>) {
    let Some(separator) = rules.group_separator else {
        return (name, None);
    };
    let mut parts = name.split(|&byte| byte == separator);
    (parts.next().unwrap_or_default(), parts.next().filter(|group| !group.is_empty()))
}

/// What stands behind `t=`.
fn strip_time<'a>(option: &'a [u8], rules: &QueueRules) -> Option<&'a [u8]> {
    match option {
        [b't', b'=', millis @ ..] => Some(millis),
        [b'T', b'=', millis @ ..] if rules.options_in_any_case => Some(millis),
        _ => None,
    }
}

/// Kestrel reads the time into a signed 32-bit integer.
const MAX_MILLIS: u64 = i32::MAX as u64;

fn parse_timeout(millis: &[u8], rules: &QueueRules) -> Result<Duration, QueueReadError> {
    let (negative, digits) = match millis {
        [b'-', digits @ ..] if rules.signed_time => (true, digits),
        [b'+', digits @ ..] if rules.signed_time => (false, digits),
        digits => (false, digits),
    };
    match number::decimal(digits) {
        Some(millis) if millis <= MAX_MILLIS => {
            Ok(Duration::from_millis(if negative { 0 } else { millis }))
        }
        _ => Err(QueueReadError::Timeout),
    }
}

/// Checks a queue's name by kestrel's rules: not empty, and none of `/` (options), `~` and `.`
/// (files of the journal). `+` is let through: `parent+child` names a fan-out queue.
///
/// ```
/// use windhover_core::memcache::kestrel::{QueueNameError, check_queue};
///
/// assert_eq!(check_queue(b"events+mail"), Ok(()));
/// assert_eq!(check_queue(b"events/open"), Err(QueueNameError::Reserved { byte: b'/' }));
/// ```
///
/// # Errors
/// Which of the rules it breaks.
pub fn check_queue(name: &[u8]) -> Result<(), QueueNameError> {
    check_queue_in(name, Dialect::Kestrel)
}

/// Checks a queue's name by the [rules](super::QUEUE_RULES) of that queue server; memcached's
/// dialect has none, kestrel's stand in.
///
/// ```
/// use windhover_core::memcache::Dialect;
/// use windhover_core::memcache::kestrel::{QueueNameError, check_queue_in};
///
/// // A dot ends no file's name in darner.
/// assert_eq!(check_queue_in(b"app.events", Dialect::Darner), Ok(()));
/// let reserved = QueueNameError::Reserved { byte: b'.' };
/// assert_eq!(check_queue_in(b"app.events", Dialect::Kestrel), Err(reserved));
/// ```
///
/// # Errors
/// Which of the rules it breaks.
pub fn check_queue_in(name: &[u8], dialect: Dialect) -> Result<(), QueueNameError> {
    if name.is_empty() {
        return Err(QueueNameError::Empty);
    }
    let by = 1 << rules(dialect).dialect as u8;
    match name.iter().find(|&&byte| REFUSED[usize::from(byte)] & by != 0) {
        Some(&byte) => Err(QueueNameError::Reserved { byte }),
        None => Ok(()),
    }
}

/// For each byte the dialects in whose names it may not be, a bit for each.
static REFUSED: [u8; 256] = {
    let mut refused = [0; 256];
    let mut byte = 0;
    loop {
        let mut at = 0;
        while at < QUEUE_RULES.len() {
            if refuses(QUEUE_RULES[at], byte) {
                refused[byte as usize] |= 1 << QUEUE_RULES[at].dialect as u8;
            }
            at += 1;
        }
        if byte == u8::MAX {
            break refused;
        }
        byte += 1;
    }
};

const fn refuses(rules: &QueueRules, byte: u8) -> bool {
    let mut at = 0;
    while at < rules.reserved.len() {
        if rules.reserved[at] == byte {
            return true;
        }
        at += 1;
    }
    rules.printable_names && !byte.is_ascii_graphic()
}

/// Why a queue's name was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum QueueNameError {
    /// There is no name.
    Empty,
    /// The name holds a byte that is kept for another use.
    Reserved {
        /// The byte.
        byte: u8,
    },
}

impl core::fmt::Display for QueueNameError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Empty => f.write_str("the queue's name is empty: name the queue"),
            Self::Reserved { byte } => write!(
                f,
                "the queue's name holds '{}', which the server keeps for another use: choose another name",
                byte.escape_ascii()
            ),
        }
    }
}

impl core::error::Error for QueueNameError {}

/// Why a read was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum QueueReadError {
    /// The queue cannot have that name.
    Queue(QueueNameError),
    /// `peek` or `abort` came with each other, or with `open` or `close`.
    Conflict,
    /// The time to wait is no whole number of milliseconds below 2^31.
    Timeout,
    /// An option that darner and siberite do not know.
    UnknownOption,
    /// A consumer group, which siberite alone has; or its separator where it does not belong.
    Group,
}

impl core::fmt::Display for QueueReadError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Queue(error) => error.fmt(f),
            Self::Conflict => f.write_str(
                "options exclude each other: 'peek' and 'abort' stand alone, 'open' and 'close' may stand together",
            ),
            Self::UnknownOption => f.write_str(
                "an option is not known: use open, close, abort, peek and t=<milliseconds>",
            ),
            Self::Group => f.write_str(
                "consumer groups are siberite's alone, and neither queue nor group may hold '.' or '/'",
            ),
            Self::Timeout => f.write_str(
                "the time to wait is not a number of milliseconds below 2147483648: write 't=' and such a number",
            ),
        }
    }
}

impl core::error::Error for QueueReadError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Queue(error) => error.source(),
            Self::Conflict | Self::Timeout | Self::UnknownOption | Self::Group => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_combination_of_options_is_as_in_kestrel() {
        let names: [&[u8]; 4] = [b"/open", b"/close", b"/abort", b"/peek"];
        for set in 0..16u8 {
            let on = |bit: u8| set & (1 << bit) != 0;
            let mut key = b"q".to_vec();
            for bit in 0..4 {
                if on(bit) {
                    key.extend_from_slice(names[usize::from(bit)]);
                }
            }
            let (open, close, abort, peek) = (on(0), on(1), on(2), on(3));
            let illegal = ((peek || abort) && (open || close)) || (peek && abort);
            match QueueRead::parse(&key) {
                Err(error) => {
                    assert!(illegal);
                    assert_eq!(error, QueueReadError::Conflict);
                }
                Ok(read) => {
                    assert!(!illegal);
                    assert_eq!(read.mode.opens(), open);
                    assert_eq!(read.mode.closes(), close);
                    assert_eq!(read.mode == ReadMode::Abort, abort);
                    assert_eq!(read.mode == ReadMode::Peek, peek);
                    assert_eq!(read.mode.fetches(), (open || !close) && !abort);
                }
            }
        }
    }

    #[test]
    fn what_was_asked_is_kept_as_it_was_spelled() {
        let read = QueueRead::parse(b"q/open/t=5//x").unwrap();
        assert_eq!(read.asked, b"q/open/t=5//x");
        assert_eq!(read, QueueRead::new(b"q", ReadMode::Open).wait(Duration::from_millis(5)));
        assert_ne!(read, QueueRead::new(b"q", ReadMode::Open));
    }

    #[test]
    fn options_are_in_lower_case_and_unknown_ones_ignored() {
        let read = QueueRead::parse(b"Q//OPEN/x/open/open/").unwrap();
        assert_eq!(read, QueueRead::new(b"Q", ReadMode::Open));
        assert_eq!(
            QueueRead::parse(b"Q/OPEN").unwrap().mode,
            ReadMode::Remove,
            "kestrel compares options exactly"
        );
    }

    #[test]
    fn times_are_whole_milliseconds_of_31_bits() {
        let timeout = |key| QueueRead::parse(key).map(|read| read.timeout);
        assert_eq!(timeout(b"q/t=0"), Ok(Some(Duration::ZERO)));
        assert_eq!(timeout(b"q/t=-5"), Ok(Some(Duration::ZERO)));
        assert_eq!(timeout(b"q/t=2147483647"), Ok(Some(Duration::from_millis(2_147_483_647))));
        for key in [&b"q/t="[..], b"q/t=x", b"q/t=2147483648", b"q/t=1.5"] {
            assert_eq!(timeout(key), Err(QueueReadError::Timeout));
        }
    }

    #[test]
    fn darner_and_siberite_read_options_in_their_ways() {
        let mode = |key, dialect| QueueRead::parse_in(key, dialect).map(|read| read.mode);
        for (key, darner, siberite) in [
            (&b"q"[..], Ok(ReadMode::Remove), Ok(ReadMode::Remove)),
            (b"q/", Err(QueueReadError::UnknownOption), Ok(ReadMode::Remove)),
            (b"q/close/open", Ok(ReadMode::CloseOpen), Ok(ReadMode::CloseOpen)),
            (b"q/open/close", Ok(ReadMode::CloseOpen), Err(QueueReadError::Conflict)),
            (b"q/open/open", Ok(ReadMode::Open), Err(QueueReadError::Conflict)),
            (b"q/OPEN", Ok(ReadMode::Open), Err(QueueReadError::UnknownOption)),
            (b"q/peek/close", Ok(ReadMode::Close), Err(QueueReadError::Conflict)),
            (b"q/peek/open", Err(QueueReadError::Conflict), Err(QueueReadError::Conflict)),
            (b"q/other", Err(QueueReadError::UnknownOption), Err(QueueReadError::UnknownOption)),
            (b"q/t=5/peek", Ok(ReadMode::Peek), Ok(ReadMode::Peek)),
            (b"q/t=-5", Err(QueueReadError::Timeout), Err(QueueReadError::Timeout)),
            (b"q/T=5", Ok(ReadMode::Remove), Err(QueueReadError::UnknownOption)),
        ] {
            assert_eq!(mode(key, Dialect::Darner), darner, "{}", key.escape_ascii());
            assert_eq!(mode(key, Dialect::Siberite), siberite, "{}", key.escape_ascii());
        }
        let read = QueueRead::parse_in(b"q.mine/open", Dialect::Siberite);
        assert_eq!(read, Ok(QueueRead::new(b"q", ReadMode::Open).group(b"mine")));
        assert!(check_queue_in(b"a.b~c", Dialect::Darner).is_ok());
        assert_eq!(
            check_queue_in(b"a\xff", Dialect::Darner),
            Err(QueueNameError::Reserved { byte: 0xff })
        );
    }

    #[test]
    fn names_that_kestrel_refuses() {
        let refused = |key| QueueRead::parse(key).map(|read| read.mode);
        assert_eq!(refused(b""), Err(QueueReadError::Queue(QueueNameError::Empty)));
        assert_eq!(refused(b"/open"), Err(QueueReadError::Queue(QueueNameError::Empty)));
        assert_eq!(
            refused(b"a.b"),
            Err(QueueReadError::Queue(QueueNameError::Reserved { byte: b'.' }))
        );
        assert_eq!(
            refused(b"a~b/open"),
            Err(QueueReadError::Queue(QueueNameError::Reserved { byte: b'~' }))
        );
        assert_eq!(refused(b"parent+child/open"), Ok(ReadMode::Open));
    }
}
