//! Answers, collected from the frames of a reply and kept beyond the connection's buffer.

use alloc::boxed::Box;
use alloc::vec::Vec;

use bytes::Bytes;

use super::error::{CallError, KeyError};
use super::{Items, Refusal, ServerId};
use crate::cannot_happen::cannot_happen;
use crate::memcache::meta::{MetaCode, MetaFlags};
use crate::memcache::response::{Kind, Response};
use crate::memcache::{Frame, Oversized, Payload};

/// An item that a retrieval found.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Item {
    /// Which of the keys that were asked for, counted from 0.
    pub index: usize,
    /// The flags that it was stored with; 0 from a queue.
    pub flags: u32,
    /// Its cas unique, where that was asked for.
    pub cas: Option<u64>,
    /// Its value.
    pub value: Payload,
}

/// The reply to a meta command.
///
/// ```
/// # use bytes::Bytes;
/// # use core::time::Duration;
/// # use windhover_core::Instant;
/// use windhover_core::client::{Answer, Call, Cluster, ClusterOptions, ClusterOutput, MetaAnswer, Server};
/// use windhover_core::memcache::Dialect;
/// use windhover_core::memcache::meta::{MetaCode, MetaFlags, MetaRequest};
/// use windhover_core::memcache::request::{Prepared, Request};
///
/// # let (now, options) = (Instant::default(), ClusterOptions::default());
/// let request = Request::MetaGet(MetaRequest::new(b"page", MetaFlags::new(b"v t R30")));
/// # let prepared = Prepared::new(&request, Bytes::new(), Dialect::Memcached, &options.limits)?;
/// # let mut cluster = Cluster::new(&[Server::new("10.0.0.1:11211")], options, 42, now)?;
/// # cluster.submit(Call::read(prepared), now + Duration::from_millis(250), now)?;
/// # let ClusterOutput::Connect { connection, .. } = cluster.poll_output(now) else { panic!() };
/// # cluster.connected(connection, now);
/// # assert!(matches!(cluster.poll_output(now), ClusterOutput::Write { .. }));
/// # cluster.wrote(connection, 17);
/// cluster.receive(connection, b"VA 5 t12 W\r\nhello\r\n");
/// let ClusterOutput::Completed(completed) = cluster.poll_output(now) else { panic!("it is answered") };
/// let Answer::Meta(page) = completed.outcome? else { panic!("it was a meta command") };
/// let page: MetaAnswer = page;
/// assert_eq!((page.code, page.ttl()), (MetaCode::Value, Some(12)));
/// // The item is there for 12 seconds, and this client is to compute the next one.
/// assert!(page.has_won() && !page.is_stale());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct MetaAnswer {
    /// What came of it.
    pub code: MetaCode,
    /// The value; empty with any code but [`MetaCode::Value`].
    pub value: Payload,
    flags: Bytes,
}

impl MetaAnswer {
    /// The flags of the reply, such as `c`, `f`, `t`, `W`, `X`, `Z`. What the methods below read of them is
    /// `None` or `false` where it was not asked for.
    pub fn flags(&self) -> MetaFlags<'_> {
        MetaFlags::new(&self.flags)
    }

    /// The item's cas unique (`c`).
    pub fn cas(&self) -> Option<u64> {
        self.flags().unsigned(b'c')
    }

    /// The flags that the item was stored with (`f`).
    pub fn client_flags(&self) -> Option<u32> {
        self.flags().unsigned(b'f').and_then(|flags| u32::try_from(flags).ok())
    }

    /// The seconds until the item expires (`t`); -1 where it never does.
    pub fn ttl(&self) -> Option<i64> {
        self.flags().signed(b't')
    }

    /// How many bytes the value has (`s`).
    pub fn size(&self) -> Option<u64> {
        self.flags().unsigned(b's')
    }

    /// The seconds since the item was asked for before (`l`).
    pub fn last_access(&self) -> Option<u64> {
        self.flags().unsigned(b'l')
    }

    /// Whether the item was asked for before, since it was stored (`h`).
    pub fn hit_before(&self) -> Option<bool> {
        self.flags().unsigned(b'h').map(|hit| hit != 0)
    }

    /// Whether the item is this client's to compute anew (`W`).
    pub fn has_won(&self) -> bool {
        self.flags().has(b'W')
    }

    /// Whether another client computes it anew (`Z`).
    pub fn another_has_won(&self) -> bool {
        self.flags().has(b'Z')
    }

    /// Whether the item was marked stale (`X`).
    pub fn is_stale(&self) -> bool {
        self.flags().has(b'X')
    }
}

/// What the requests of a [`Batch`](crate::memcache::request::Batch) were answered.
///
/// ```
/// # use bytes::Bytes;
/// # use core::time::Duration;
/// # use windhover_core::Instant;
/// use windhover_core::client::{Answer, BatchAnswer, Call, Cluster, ClusterOptions, ClusterOutput, Server};
/// use windhover_core::memcache::Dialect;
/// use windhover_core::memcache::meta::{MetaCode, MetaFlags, MetaRequest};
/// use windhover_core::memcache::request::{Barrier, Batch, Request};
///
/// # let (now, options) = (Instant::default(), ClusterOptions::default());
/// let mut batch = Batch::new(Dialect::Memcached, &options.limits);
/// for key in [b"one", b"two"] {
///     batch.push(&Request::MetaDelete(MetaRequest::new(key, MetaFlags::default())), Bytes::new())?;
/// }
/// let prepared = batch.close(Barrier::MetaNoop)?;
/// # let mut cluster = Cluster::new(&[Server::new("10.0.0.1:11211")], options, 42, now)?;
/// # let written = prepared.wire().concat().len();
/// # cluster.submit(Call::write(prepared), now + Duration::from_millis(250), now)?;
/// # let ClusterOutput::Connect { connection, .. } = cluster.poll_output(now) else { panic!() };
/// # cluster.connected(connection, now);
/// # assert!(matches!(cluster.poll_output(now), ClusterOutput::Write { .. }));
/// # cluster.wrote(connection, written);
/// // `one` was deleted, which is not told; `two` was not there.
/// cluster.receive(connection, b"NF O1 q\r\nMN\r\n");
/// let ClusterOutput::Completed(completed) = cluster.poll_output(now) else { panic!("it is answered") };
/// let Answer::Batch(BatchAnswer { replies, errors, .. }) = completed.outcome? else { panic!("a batch") };
/// let replies: Vec<_> = replies.iter().map(|(index, reply)| (*index, reply.code)).collect();
/// assert_eq!((replies, errors.len()), (vec![(1, MetaCode::NotFound)], 0));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct BatchAnswer {
    /// The replies that were not hidden, with the index of the request that each answers, in
    /// their order.
    pub replies: Vec<(usize, MetaAnswer)>,
    /// Errors. Each belongs to one of the requests that have no reply, and nobody knows to which:
    /// where there is one, what has no reply is *unknown*.
    pub errors: Vec<Refusal>,
    /// Replies that had a value which is too large for us, with the index of the request.
    pub oversized: Vec<(usize, Oversized)>,
    /// The barrier was answered.
    is_closed: bool,
}

impl BatchAnswer {
    /// What a server says that knows none of the commands.
    fn refused_as_a_whole(&self) -> Option<Refusal> {
        let first = self.errors.first().filter(|error| error.kind == Kind::Error)?;
        (self.replies.is_empty() && !self.is_closed).then(|| first.clone())
    }
}

/// What a server answered. A miss is an answer; so is `NOT_STORED`.
///
/// ```
/// # use bytes::Bytes;
/// # use core::time::Duration;
/// # use windhover_core::Instant;
/// # use windhover_core::memcache::Keys;
/// use windhover_core::client::{Answer, Call, Cluster, ClusterOptions, ClusterOutput, Item, Server};
/// use windhover_core::memcache::Dialect;
/// use windhover_core::memcache::request::{Prepared, Request};
///
/// # let (now, options) = (Instant::default(), ClusterOptions::default());
/// # let request = Request::Gets(Keys::new(&[b"a", b"b"]));
/// # let prepared = Prepared::new(&request, Bytes::new(), Dialect::Memcached, &options.limits)?;
/// # let mut cluster = Cluster::new(&[Server::new("10.0.0.1:11211")], options, 42, now)?;
/// # cluster.submit(Call::read(prepared), now + Duration::from_millis(250), now)?;
/// # let ClusterOutput::Connect { connection, .. } = cluster.poll_output(now) else { panic!() };
/// # cluster.connected(connection, now);
/// # assert!(matches!(cluster.poll_output(now), ClusterOutput::Write { .. }));
/// # cluster.wrote(connection, 10);
/// // To `gets a b`:
/// cluster.receive(connection, b"VALUE b 7 5 42\r\nhello\r\nEND\r\n");
/// let ClusterOutput::Completed(completed) = cluster.poll_output(now) else { panic!("it is answered") };
/// let Answer::Items(items) = completed.outcome? else { panic!("a retrieval has items") };
/// let Item { index, flags, cas, value, .. } = &items[0];
/// assert_eq!((*index, *flags, *cas, value.to_vec()), (1, 7, Some(42), b"hello".to_vec()));
/// // `a` was missed.
/// assert_eq!(items.len(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Answer {
    /// To a retrieval or a read of a queue: what was found. Nothing is a miss.
    Items(Items),
    /// One word: `STORED`, `NOT_STORED`, `EXISTS`, `NOT_FOUND`, `DELETED`, `TOUCHED`, `OK`,
    /// `RESET`, `MN`.
    Word(Kind),
    /// To `incr` and `decr`, and to kestrel's `flush_expired`.
    Number(u64),
    /// To a meta command.
    Meta(MetaAnswer),
    /// To `stats`: names and values, in their order.
    Statistics(Vec<(Bytes, Bytes)>),
    /// To `version`, or any other line of text.
    Text(Bytes),
    /// To a listing: its lines.
    Lines(Vec<Bytes>),
    /// To a batch.
    Batch(BatchAnswer),
    /// The server closed the connection, as it was asked to.
    Closed,
}

impl Answer {
    /// Whether nothing was found by a retrieval, a read or a meta get.
    pub fn is_miss(&self) -> bool {
        match self {
            Self::Items(items) => items.is_empty(),
            Self::Meta(answer) => answer.code == MetaCode::Miss,
            _ => false,
        }
    }
}

/// Error lines between the values of two keys: each is that of one of the keys between them.
#[derive(Debug)]
struct Gap {
    after: usize,
    before: Option<usize>,
    errors: usize,
    /// What the first of them says.
    refusal: Refusal,
}

/// Collects the frames of one reply.
#[derive(Debug, Default)]
pub(crate) struct Collector {
    answer: Option<Answer>,
    /// The key that was answered last.
    last: Option<usize>,
    is_batch: bool,
    failures: Option<Box<Failures>>,
}

/// What is not as it should be, which is rare.
#[derive(Debug, Default)]
struct Failures {
    refusal: Option<Refusal>,
    gaps: Vec<Gap>,
    failed: Vec<(usize, KeyError)>,
}

impl Collector {
    pub(super) fn new(is_batch: bool) -> Self {
        let answer = is_batch.then(|| Answer::Batch(BatchAnswer::default()));
        Self { answer, is_batch, ..Self::default() }
    }

    pub(super) fn frame(&mut self, mut frame: Frame<'_>) {
        let refusal = Refusal::of(&frame.response);
        if self.is_batch {
            if let Some(Answer::Batch(batch)) = &mut self.answer {
                match (refusal, &frame.response, frame.index) {
                    (Some(refusal), ..) => batch.errors.push(refusal),
                    (None, Response::Meta(_), Some(index)) => {
                        batch.replies.extend(meta(&mut frame).map(|answer| (index, answer)));
                    }
                    (None, ..) => batch.is_closed = true,
                }
            }
            return;
        }
        if let Some(refusal) = refusal {
            let failures = self.failures.get_or_insert_default();
            match (self.last, failures.gaps.last_mut()) {
                (None, _) => failures.refusal = Some(refusal),
                (Some(_), Some(gap @ Gap { before: None, .. })) => gap.errors += 1,
                (Some(after), _) => {
                    failures.gaps.push(Gap { after, before: None, errors: 1, refusal });
                }
            }
            return;
        }
        match &frame.response {
            Response::Value(value) => {
                let index = frame.index.unwrap_or_default();
                let (flags, cas) = (value.flags, value.cas);
                self.put(Item { index, flags, cas, value: frame.take_payload() });
            }
            Response::Stat { name, value } => {
                let pair = (Bytes::copy_from_slice(name), Bytes::copy_from_slice(value));
                match &mut self.answer {
                    Some(Answer::Statistics(pairs)) => pairs.push(pair),
                    _ => self.answer = Some(Answer::Statistics([pair].into())),
                }
            }
            Response::Listing(line) => {
                let line = Bytes::copy_from_slice(line);
                match &mut self.answer {
                    Some(Answer::Lines(lines)) => lines.push(line),
                    _ => self.answer = Some(Answer::Lines([line].into())),
                }
            }
            // What came before it is the answer; `OK` says that a listing follows, if only an empty one.
            Response::End | Response::Meta(_)
                if matches!(self.answer, Some(Answer::Word(Kind::Ok))) =>
            {
                self.answer = Some(Answer::Lines(Vec::new()));
            }
            Response::Meta(_) if matches!(self.answer, Some(Answer::Lines(_))) => {}
            Response::End => {
                self.answer.get_or_insert(Answer::Items(Items::new()));
            }
            Response::Number(number) => self.answer = Some(Answer::Number(*number)),
            Response::Meta(_) => self.answer = meta(&mut frame).map(Answer::Meta),
            Response::Version(text) | Response::Line(text) => {
                self.answer = Some(Answer::Text(Bytes::copy_from_slice(text)));
            }
            Response::MetaDebug { fields, .. } => {
                self.answer = Some(Answer::Text(Bytes::copy_from_slice(fields)));
            }
            other => self.answer = Some(Answer::Word(other.kind())),
        }
    }

    /// The word that ends the reply, which is no error.
    pub(super) fn word(&mut self, word: Kind) {
        match (&self.answer, word) {
            // `OK` says that a listing follows, if only an empty one.
            (Some(Answer::Word(Kind::Ok)), Kind::End) => {
                self.answer = Some(Answer::Lines(Vec::new()));
            }
            (Some(_), Kind::End) => {}
            (None, Kind::End) => self.answer = Some(Answer::Items(Items::new())),
            (_, word) => self.answer = Some(Answer::Word(word)),
        }
    }

    /// So many items follow in a row.
    pub(crate) fn make_room(&mut self, count: usize) {
        match &mut self.answer {
            Some(Answer::Items(items)) => items.reserve(count),
            None if count > 1 => self.answer = Some(Answer::Items(Items::with_room(count))),
            _ => {}
        }
    }

    /// An item of a retrieval.
    #[inline]
    pub(crate) fn put(&mut self, item: Item) {
        self.answered(item.index);
        match &mut self.answer {
            Some(Answer::Items(items)) => items.push(item),
            _ => self.answer = Some(Answer::Items(item.into())),
        }
    }

    /// An item that is too large for us was dropped.
    pub(super) fn oversized(&mut self, index: Option<usize>, what: Oversized) {
        let index = index.unwrap_or_default();
        match &mut self.answer {
            Some(Answer::Batch(batch)) => batch.oversized.push((index, what)),
            _ => {
                self.answered(index);
                let failures = self.failures.get_or_insert_default();
                failures.failed.push((index, KeyError::Oversized(what)));
            }
        }
    }

    fn answered(&mut self, index: usize) {
        self.last = Some(index);
        if let Some(failures) = &mut self.failures
            && let Some(Gap { before: before @ None, .. }) = failures.gaps.last_mut()
        {
            *before = Some(index);
        }
    }

    /// What that server has answered, now that the reply has ended.
    /// `keys` counts the keys that were asked for.
    pub(super) fn finish(
        self,
        server: ServerId,
        keys: impl FnOnce() -> usize,
    ) -> Result<Answer, CallError> {
        let Self { answer, failures, .. } = self;
        let Some(mut failures) = failures else {
            return match answer {
                Some(Answer::Batch(batch)) => match batch.refused_as_a_whole() {
                    Some(refusal) => Err(CallError::Refused { server, refusal }),
                    None => Ok(Answer::Batch(batch)),
                },
                answer => Ok(answer.unwrap_or(Answer::Closed)),
            };
        };
        if !failures.gaps.is_empty() {
            failures.note_refused(answer.as_ref(), keys());
        }
        let Failures { refusal, failed, .. } = *failures;
        if let Some(refusal) = refusal {
            return Err(CallError::Refused { server, refusal });
        }
        debug_assert!(!failed.is_empty(), "what is noted is a refusal or of a key");
        let found = items(answer);
        Err(CallError::Keys { server, found, failed })
    }

    /// The items of a retrieval whose reply broke off: what has come is true.
    pub(super) fn found(self) -> Vec<Item> {
        items(self.answer)
    }
}

impl Failures {
    /// The keys, of so many, that an error line may be of: where the values came in the order of the
    /// keys, those between its neighbours; else every one that was not answered; and where all were, the one
    /// before it.
    fn note_refused(&mut self, answer: Option<&Answer>, keys: usize) {
        let mut open = alloc::vec![true; keys];
        let mut close = |index: usize| open.get_mut(index).is_some_and(core::mem::take);
        if let Some(Answer::Items(items)) = answer {
            for item in items {
                close(item.index);
            }
        }
        for (index, _) in &self.failed {
            close(*index);
        }
        for Gap { after, before, errors, refusal } in core::mem::take(&mut self.gaps) {
            let mut refused: Vec<_> =
                (after + 1..before.unwrap_or(keys)).filter(|&index| close(index)).collect();
            if refused.len() < errors {
                refused.extend((0..keys).filter(|&index| close(index)));
            }
            if refused.is_empty() {
                // Every key has an answer: one of them has an error as well.
                refused.push(after);
            }
            let refusal = |index| (index, KeyError::Refused(refusal.clone()));
            self.failed.extend(refused.into_iter().map(refusal));
        }
        self.failed.sort_by_key(|(index, _)| *index);
    }
}

fn items(answer: Option<Answer>) -> Vec<Item> {
    match answer {
        Some(Answer::Items(items)) => items.into(),
        _ => Vec::new(),
    }
}

fn meta(frame: &mut Frame<'_>) -> Option<MetaAnswer> {
    let Response::Meta(reply) = &frame.response else {
        return cannot_happen(None);
    };
    let (code, flags) = (reply.code, Bytes::copy_from_slice(reply.flags.text()));
    Some(MetaAnswer { code, value: frame.take_payload(), flags })
}
