//! Requests that hide their answers, closed by one that does not.

use bytes::{Bytes, BytesMut};

use super::prepared::{Expected, row_of};
use super::{BLOCK_END, EncodeError, Prepared, Request, encode_line};
use crate::buffer::Outgoing;
use crate::memcache::Limits;
use crate::memcache::{Dialect, key, number};

/// What closes a [`Batch`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Barrier {
    /// `mn`, the cheapest: memcached from 1.6 on.
    #[default]
    MetaNoop,
    /// `version`, which every server knows.
    Version,
}

/// Requests that hide their answers (`noreply`, the meta flag `q`) behind each other, closed by one
/// that is answered: the barrier. Whatever comes before the barrier's answer belongs to the batch
/// and to no later request, errors too.
///
/// Meta requests get the flags `q` and `O<index>` here, so that each reply that is not hidden names
/// the request that it answers; others must have `noreply` set. An error line names none: it may
/// answer any request of the batch that was not answered otherwise.
///
/// A server that does not know the requests says `ERROR` to each line, the barrier's too. Where no request
/// has a data block the lines can be counted, and the batch is refused. A data block would be taken for
/// commands: the connection ends at the first `ERROR`. Ask a server whether it knows `mn` before it is
/// sent such a batch.
///
/// ```
/// use bytes::Bytes;
/// use windhover_core::memcache::meta::{MetaFlags, MetaRequest};
/// use windhover_core::memcache::request::{Barrier, Batch, EncodeError, Request};
/// use windhover_core::memcache::{Dialect, Limits};
///
/// let mut batch = Batch::new(Dialect::Memcached, &Limits::default());
/// for key in [b"one", b"two"] {
///     let get = Request::MetaGet(MetaRequest::new(key, MetaFlags::new(b"v f")));
///     batch.push(&get, Bytes::new())?;
/// }
/// let prepared = batch.close(Barrier::MetaNoop)?;
/// assert_eq!(prepared.wire().concat(), b"mg one v f q O0\r\nmg two v f q O1\r\nmn\r\n");
/// # Ok::<(), EncodeError>(())
/// ```
#[derive(Debug)]
pub struct Batch {
    dialect: Dialect,
    limits: Limits,
    out: Outgoing,
    first_key: Option<Bytes>,
    count: usize,
    has_data: bool,
}

impl Batch {
    /// A batch without requests.
    pub fn new(dialect: Dialect, limits: &Limits) -> Self {
        Self {
            dialect,
            limits: limits.clone(),
            out: Outgoing::new(),
            first_key: None,
            count: 0,
            has_data: false,
        }
    }

    /// How many requests it holds.
    pub const fn len(&self) -> usize {
        self.count
    }

    /// Whether it holds none.
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Appends a request; its index is the number of those before it.
    ///
    /// # Errors
    /// [`EncodeError`], the batch is as it was: [`NotHidden`](EncodeError::NotHidden) for a request
    /// that is always answered, [`NoreplyNotKnown`](EncodeError::NoreplyNotKnown) in the dialects of
    /// queues, [`Flags`](EncodeError::Flags) for a meta request with an opaque of its own.
    pub fn push(&mut self, request: &Request<'_>, data: Bytes) -> Result<(), EncodeError> {
        if self.dialect.is_queue() {
            return Err(EncodeError::NoreplyNotKnown);
        }
        let mut line = BytesMut::new();
        let takes_data = encode_line(request, data.len(), self.dialect, &self.limits, &mut line)?;
        match request {
            Request::MetaGet(meta)
            | Request::MetaSet(meta)
            | Request::MetaDelete(meta)
            | Request::MetaArithmetic(meta) => {
                if meta.flags.opaque().is_some() {
                    return Err(EncodeError::OpaqueTaken);
                }
                line.truncate(line.len().saturating_sub(BLOCK_END.len()));
                if !meta.flags.quiet() {
                    line.extend_from_slice(b" q");
                }
                line.extend_from_slice(b" O");
                number::put_unsigned(&mut line, u64::try_from(self.count).unwrap_or(u64::MAX));
                line.extend_from_slice(BLOCK_END);
                let length = line.len();
                if length > self.limits.line.saturating_add(1) {
                    return Err(EncodeError::LineTooLong { length });
                }
            }
            _ if request.noreply() => {}
            _ => return Err(EncodeError::NotHidden { command: request.command() }),
        }
        if self.first_key.is_none() {
            self.first_key = key::words(&line).nth(1).map(Bytes::copy_from_slice);
        }
        self.out.put(&line);
        self.has_data |= takes_data;
        if takes_data {
            self.out.put_shared(data);
            self.out.put(BLOCK_END);
        }
        self.count += 1;
        Ok(())
    }

    /// Closes the batch with a request that is answered.
    ///
    /// # Errors
    /// [`EncodeError::NotInDialect`] where the dialect has no such request.
    pub fn close(mut self, barrier: Barrier) -> Result<Prepared, EncodeError> {
        let request = match barrier {
            Barrier::MetaNoop => Request::MetaNoop,
            Barrier::Version => Request::Version,
        };
        let row = row_of(&request, self.dialect)?;
        let mut line = BytesMut::new();
        encode_line(&request, 0, self.dialect, &self.limits, &mut line)?;
        self.out.put(&line);
        let mut expected = Expected::of(&request, row, line, self.dialect);
        expected.batch = Some(self.count);
        expected.batch_has_data = self.has_data;
        let first_key = self.first_key.unwrap_or_default();
        Ok(Prepared::batch(self.out.take(), &first_key, expected))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memcache::Keys;
    use crate::memcache::command::Command;
    use crate::memcache::meta::{MetaFlags, MetaRequest};

    #[test]
    fn a_batch_takes_only_what_hides_its_answer() {
        let mut batch = Batch::new(Dialect::Memcached, &Limits::default());
        let get = Request::Get(Keys::new(&[b"k"]));
        let refused = EncodeError::NotHidden { command: Command::Get };
        assert_eq!(batch.push(&get, Bytes::new()), Err(refused));
        let own = Request::MetaGet(MetaRequest::new(b"k", MetaFlags::new(b"O1")));
        assert_eq!(batch.push(&own, Bytes::new()), Err(EncodeError::OpaqueTaken));
        assert!(batch.is_empty());
        let delete = Request::Delete { key: b"k", noreply: true };
        batch.push(&delete, Bytes::new()).unwrap();
        let prepared = batch.close(Barrier::Version).unwrap();
        assert_eq!(prepared.wire().concat(), b"delete k noreply\r\nversion\r\n");
        assert_eq!(prepared.key(), b"k");
        let mut queue = Batch::new(Dialect::Kestrel, &Limits::default());
        assert_eq!(queue.push(&delete, Bytes::new()), Err(EncodeError::NoreplyNotKnown));
    }
}
