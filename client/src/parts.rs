//! A retrieval whose keys live on several servers: taken apart, and put together again.

use bytes::Bytes;
use windhover_core::client::{Answer, Call, CallError};
use windhover_core::memcache::Keys;
use windhover_core::memcache::request::Request;

use crate::hub::Reply;
use crate::many::join;
use crate::{Client, Error, ErrorKind};

/// A part of a retrieval, with the places of its keys among all.
pub(crate) type Part = (Vec<usize>, Call);

impl Client {
    /// A call for each server that owns some of the keys that a retrieval asks for; `None` where that is
    /// one, or no retrieval of several keys.
    pub(crate) fn parts(
        &self,
        whole: &Request<'_>,
        call: &Call,
    ) -> Result<Option<Vec<Part>>, Error> {
        let (Request::Get(keys)
        | Request::Gets(keys)
        | Request::Gat { keys, .. }
        | Request::Gats { keys, .. }) = whole
        else {
            return Ok(None);
        };
        if keys.clone().nth(1).is_none() {
            return Ok(None);
        }
        let keys: Vec<&[u8]> = keys.clone().collect();
        // None is refused: they were made ready together before.
        let (groups, _) = self.by_server(&keys);
        if groups.len() <= 1 {
            return Ok(None);
        }
        let mut parts = Vec::new();
        for group in groups {
            let keys: Vec<&[u8]> = group.iter().filter_map(|&at| keys.get(at).copied()).collect();
            let keys = Keys::new(&keys);
            let request = match whole {
                Request::Gets(_) => Request::Gets(keys),
                &Request::Gat { exptime, .. } => Request::Gat { exptime, keys },
                &Request::Gats { exptime, .. } => Request::Gats { exptime, keys },
                _ => Request::Get(keys),
            };
            let mut part = call.clone();
            part.prepared = self.prepare(&request, Bytes::new())?;
            parts.push((group, part));
        }
        Ok(Some(parts))
    }

    /// What several servers found, in the order in which it was asked for. Where one of them fails, so
    /// does the whole.
    pub(crate) async fn items(&self, parts: Vec<Part>) -> Result<Answer, Error> {
        let (groups, calls): (Vec<_>, Vec<_>) = parts.into_iter().unzip();
        let calls = calls.into_iter().map(|call| self.submit(call, self.timeout)).collect();
        let (mut all, mut refused, mut failed) = (Vec::new(), None, None);
        for (group, reply) in groups.iter().zip(join(calls).await) {
            let Reply { outcome, server, .. } = reply;
            // What was asked for by an index has a place.
            let place = |index: usize| group.get(index).copied().unwrap_or_default();
            let found = match outcome {
                Ok(Answer::Items(items)) => items.into(),
                Ok(other) => return Err(self.error_at(server, ErrorKind::unexpected(&other))),
                Err(mut error) => {
                    let found = error.take_found();
                    match error.take_failed() {
                        Some((id, failed)) => {
                            let server = error.server().cloned();
                            let (_, _, keys) =
                                refused.get_or_insert_with(|| (server, id, Vec::new()));
                            keys.extend(failed.into_iter().map(|(at, error)| (place(at), error)));
                        }
                        None => {
                            failed.get_or_insert(error);
                        }
                    }
                    found
                }
            };
            for mut item in found {
                item.index = place(item.index);
                all.push(item);
            }
        }
        all.sort_by_key(|item| item.index);
        match (failed, refused) {
            (Some(mut error), _) => {
                error.put_found(all);
                Err(error)
            }
            (None, Some((name, server, mut failed))) => {
                failed.sort_by_key(|(index, _)| *index);
                let error = CallError::Keys { server, found: all, failed };
                Err(Error::from(error).with_server(name))
            }
            (None, None) => Ok(Answer::Items(all.into())),
        }
    }
}
