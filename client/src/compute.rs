//! Values that are computed once, however many ask for them at a time.

use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, Instant};

use bytes::Bytes;
use windhover_core::client::{Answer, Call, MetaAnswer};
use windhover_core::memcache::meta::{FlagBuffer, MetaCode, MetaRequest};
use windhover_core::memcache::request::Request;

use crate::hub::Sleep;
use crate::{Client, Error, ErrorKind, Expires, Store, Value};

/// The first pause before a value that somebody else computes is asked for again; each is twice as long
/// as the one before, up to the last.
const FIRST_PAUSE: Duration = Duration::from_millis(5);
const LAST_PAUSE: Duration = Duration::from_millis(100);

/// When a value is computed anew, for [`Client::get_or_compute`]. Servers count whole seconds: each time is
/// rounded up.
///
/// ```
/// use std::time::Duration;
/// use windhover_client::Recompute;
///
/// let hourly = Recompute::after(Duration::from_secs(3600)).stale_for(Duration::from_secs(300));
/// assert_eq!(hourly.stale, Duration::from_secs(300));
/// assert_eq!(Recompute::from(Duration::from_secs(60)).fresh, Duration::from_secs(60));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Recompute {
    /// A value is computed anew by the first who asks for it when it is so old.
    pub fresh: Duration,
    /// So long after that the old value is given to others, while it is computed anew.
    pub stale: Duration,
    /// So long a computation may take. Then its client is taken for dead, and another one computes.
    pub lease: Duration,
    /// So long whoever finds no value, and somebody else computing it, waits for it.
    pub wait: Duration,
}

impl Recompute {
    /// A value is computed anew when it is so old, and the old one given to others meanwhile for as long
    /// again; a computation takes ten seconds at most, and who needs it waits for twenty.
    pub const fn after(fresh: Duration) -> Self {
        let lease = Duration::from_secs(10);
        Self { fresh, stale: fresh, lease, wait: Duration::from_secs(20) }
    }

    /// The same, with another time in which the old value is given to others. With zero there is none.
    #[must_use]
    pub const fn stale_for(self, stale: Duration) -> Self {
        Self { stale, ..self }
    }

    /// The same, for computations that take so long at most, and with twice that to wait for one.
    #[must_use]
    pub const fn lease(self, lease: Duration) -> Self {
        Self { lease, wait: lease.saturating_mul(2), ..self }
    }

    /// The same, with another time to wait for somebody else's computation.
    #[must_use]
    pub const fn wait(self, wait: Duration) -> Self {
        Self { wait, ..self }
    }
}

impl From<Duration> for Recompute {
    fn from(fresh: Duration) -> Self {
        Self::after(fresh)
    }
}

/// A value of [`Client::get_or_compute`].
///
/// ```
/// use std::time::Duration;
/// use windhover_client::{Client, Computed, Error, Origin, Recompute};
///
/// async fn page(client: &Client) -> Result<Computed, Error> {
///     let minute = Recompute::after(Duration::from_secs(60));
///     let page = client
///         .get_or_compute("page", minute, || async { Ok::<_, Error>("<h1>…</h1>") })
///         .await?;
///     match &page.origin {
///         Origin::Fresh | Origin::Computed | Origin::Superseded => {}
///         Origin::Stale => eprintln!("a minute old, and computed anew elsewhere"),
///         Origin::NotStored(error) => eprintln!("computed for this one caller: {error}"),
///         other => eprintln!("{other:?}"),
///     }
///     Ok(page)
/// }
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Computed {
    /// The value.
    pub value: Value,
    /// Where it comes from.
    pub origin: Origin,
}

/// Where a value of [`Client::get_or_compute`] comes from.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Origin {
    /// From the server, and it is fresh.
    Fresh,
    /// From the server, and it is to be computed anew: another client is at it.
    Stale,
    /// It was computed here and stored.
    Computed,
    /// It was computed here and not stored: the computation took longer than its lease, or the item was
    /// changed, deleted or [invalidated](Client::invalidate) meanwhile.
    Superseded,
    /// It was computed here, and could not be stored.
    NotStored(Error),
}

/// What others are given while a value is computed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Old {
    /// There is none: they wait.
    None,
    /// The old value, no longer than the lease.
    ForLease,
    /// The old value, for longer.
    ForLonger,
}

/// What a read found.
enum Read {
    Value(Computed),
    /// It is this client's to compute.
    Won {
        cas: u64,
        old: Old,
    },
    /// There is no value, and another client computes it.
    Wait,
}

impl Client {
    /// The value of a key, computed where there is none or an old one: by one caller among all clients
    /// of the server, however many ask for it at a time.
    ///
    /// Who asks first computes; meanwhile the others are given the old value, or wait where there is none.
    /// A computation that fails or is dropped is given up at once, and another caller computes; so it is
    /// when one dies, once its lease is over. A value that was computed before the item was deleted or
    /// [invalidated](Self::invalidate) is not stored.
    ///
    /// The value may be anything that `set` takes; its time to expire is that of `recompute`. While a value
    /// is computed for the first time, a plain `get` finds an empty one: read such keys with this method
    /// alone. It takes meta commands (memcached from 1.6 on, `windhover cache`).
    ///
    /// ```
    /// use std::time::Duration;
    /// use windhover_client::{Client, Error};
    ///
    /// async fn profile(client: &Client, user: u64) -> Result<String, Error> {
    ///     let minute = Duration::from_secs(60);
    ///     let key = format!("profile:{user}");
    ///     let found = client.get_or_compute(key, minute, || query_database(user)).await?;
    ///     Ok(found.value.text()?.to_owned())
    /// }
    /// # async fn query_database(_: u64) -> Result<String, Error> { Ok(String::new()) }
    /// ```
    ///
    /// # Errors
    /// The computation's; [`Error`], as of every call: a server that does not answer is no reason for all
    /// callers to compute at the same time. [`ErrorKind::StillComputing`] where another client's value has not come
    /// in time.
    pub async fn get_or_compute<S, E, F>(
        &self,
        key: impl AsRef<[u8]>,
        recompute: impl Into<Recompute>,
        compute: impl FnOnce() -> F,
    ) -> Result<Computed, E>
    where
        S: Into<Store>,
        E: From<Error>,
        F: Future<Output = Result<S, E>>,
    {
        let (key, recompute) = (key.as_ref(), recompute.into());
        let (cas, old) = match self.read_or_win(key, &recompute).await? {
            Read::Value(computed) => return Ok(computed),
            Read::Won { cas, old } => (cas, old),
            // It was waited for.
            Read::Wait => {
                let kind = ErrorKind::StillComputing { waited: recompute.wait };
                return Err(self.error_of(key, kind).into());
            }
        };
        let won = Won { client: self, key, cas, old };
        if old == Old::ForLonger {
            self.shorten(key, recompute.lease).await?;
        }
        // What is won is given up where this fails, or is dropped while it waits.
        let store: Store = compute().await?.into();
        std::mem::forget(won);
        let value = Value { data: store.data.clone(), flags: store.flags, cas: None };
        let origin = match self.store_computed(key, store, cas, &recompute).await {
            Ok(true) => Origin::Computed,
            Ok(false) => Origin::Superseded,
            Err(error) => Origin::NotStored(error),
        };
        Ok(Computed { value, origin })
    }

    /// Has the value of a key computed anew by the next who asks for it with
    /// [`get_or_compute`](Self::get_or_compute); meanwhile others are given the old one, for so long at most.
    /// Whether there is one. To be called after what it was computed from has changed.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn invalidate(
        &self,
        key: impl AsRef<[u8]>,
        stale_for: Duration,
    ) -> Result<bool, Error> {
        let mut flags = FlagBuffer::new();
        let key = key.as_ref();
        let exptime = self.exptime_of(key, Expires::In(stale_for))?;
        flags.push(b'I', b"").push_signed(b'T', exptime);
        let was_there = |answer: MetaAnswer| match answer.code {
            MetaCode::Done => Ok(true),
            MetaCode::NotFound => Ok(false),
            code => Err(ErrorKind::unexpected_code(code)),
        };
        self.delete_meta(key, flags.flags().text(), was_there).await
    }

    /// Reads until there is a value, or it is this client's to compute, or `wait` is over.
    async fn read_or_win(&self, key: &[u8], recompute: &Recompute) -> Result<Read, Error> {
        let until = Instant::now() + recompute.wait;
        let mut pause = FIRST_PAUSE;
        loop {
            let read = self.try_read(key, recompute).await?;
            let left = until.saturating_duration_since(Instant::now());
            if !matches!(read, Read::Wait) || left.is_zero() {
                return Ok(read);
            }
            // Not all of them at the same time.
            let random = u32::try_from(RandomState::new().hash_one(0) >> 32).unwrap_or_default();
            let jitter = pause.mul_f64(f64::from(random) / f64::from(u32::MAX) / 2.0);
            let hub = self.hub.hub();
            let wake_at = hub.now() + pause.saturating_sub(jitter).min(left);
            Sleep::new(hub, wake_at).await;
            pause = (pause * 2).min(LAST_PAUSE);
        }
    }

    /// `mg`: a miss becomes an empty item for as long as the lease is, whose computation is won (`N`); so
    /// is that of an item which gets old (`R`), or is marked stale. The winner is told by `W`, all others
    /// by `Z`.
    async fn try_read(&self, key: &[u8], recompute: &Recompute) -> Result<Read, Error> {
        let mut flags = FlagBuffer::new();
        flags.push(b'v', b"").push(b'f', b"").push(b'c', b"").push(b't', b"");
        flags.push_signed(b'N', self.exptime_of(key, Expires::In(recompute.lease))?);
        if !recompute.stale.is_zero() {
            flags.push_unsigned(b'R', seconds(recompute.stale));
        }
        let read = |answer| self.read_of(answer, recompute);
        self.read_meta(key, flags.flags().text(), read).await
    }

    fn read_of(&self, answer: MetaAnswer, recompute: &Recompute) -> Result<Read, ErrorKind> {
        let cas = answer.cas().ok_or(ErrorKind::lacks("VA without a cas unique"))?;
        let is_empty = answer.value.is_empty();
        if answer.has_won() {
            let lease = i64::try_from(seconds(recompute.lease)).unwrap_or(i64::MAX);
            let old = match answer.ttl() {
                _ if is_empty => Old::None,
                Some(left) if (0..=lease).contains(&left) => Old::ForLease,
                _ => Old::ForLonger,
            };
            return Ok(Read::Won { cas, old });
        }
        // An empty value that somebody computes anew is waited for as well: it looks like none.
        if answer.another_has_won() && is_empty {
            return Ok(Read::Wait);
        }
        let origin = if answer.another_has_won() { Origin::Stale } else { Origin::Fresh };
        let client_flags = answer.client_flags().ok_or(ErrorKind::lacks("VA without flags"))?;
        let value = self.decompressed(answer.value.into_bytes(), client_flags, Some(cas))?;
        Ok(Read::Value(Computed { value, origin }))
    }

    /// Has the old value live no longer than the lease: who is given it does not see whether its winner is
    /// still alive.
    async fn shorten(&self, key: &[u8], lease: Duration) -> Result<(), Error> {
        let mut flags = FlagBuffer::new();
        flags.push_signed(b'T', self.exptime_of(key, Expires::In(lease))?);
        self.read_meta(key, flags.flags().text(), |_| Ok(())).await
    }

    /// Whether it was stored: nobody has changed the item meanwhile.
    async fn store_computed(
        &self,
        key: &[u8],
        store: Store,
        cas: u64,
        recompute: &Recompute,
    ) -> Result<bool, Error> {
        let expires = Expires::In(recompute.fresh.saturating_add(recompute.stale));
        let packed = self.packing.pack(store.data, store.flags);
        let (data, client_flags) = packed.map_err(|error| self.error_of(key, error.into()))?;
        let mut flags = FlagBuffer::new();
        flags.push_unsigned(b'C', cas).push_unsigned(b'F', u64::from(client_flags));
        flags.push_signed(b'T', self.exptime_of(key, expires)?);
        let key = self.key(key);
        let meta = MetaRequest::new(&key, flags.flags());
        let stored = |answer| match answer {
            Answer::Meta(MetaAnswer { code: MetaCode::Done, .. }) => Ok(true),
            Answer::Meta(MetaAnswer { code: MetaCode::Exists | MetaCode::NotFound, .. }) => {
                Ok(false)
            }
            other => Err(ErrorKind::unexpected(&other)),
        };
        self.change(&Request::MetaSet(meta), data, stored).await
    }
}

/// A computation that this client has won, and gives up when this is dropped.
struct Won<'a> {
    client: &'a Client,
    key: &'a [u8],
    cas: u64,
    old: Old,
}

impl Drop for Won<'_> {
    /// Others wait for a new value, so that the next of them is to compute it. An old value stays as long
    /// as the lease, and is given to them meanwhile.
    fn drop(&mut self) {
        if self.old != Old::None {
            return;
        }
        let mut flags = FlagBuffer::new();
        flags.push_unsigned(b'C', self.cas);
        let key = self.client.key(self.key);
        let delete = Request::MetaDelete(MetaRequest::new(&key, flags.flags()));
        if let Ok(prepared) = self.client.prepare(&delete, Bytes::new()) {
            self.client.hub.send_unheard(Call::write(prepared), self.client.timeout);
        }
    }
}

/// Whole seconds, rounded up.
fn seconds(time: Duration) -> u64 {
    time.as_secs().saturating_add(u64::from(time.subsec_nanos() > 0))
}
