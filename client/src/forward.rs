//! Requests of others, sent on as they are: what a proxy is made of.

use bytes::Bytes;
use windhover_core::client::{Answer, Call, CallError, NotSent, Server};
use windhover_core::memcache::Dialect;
use windhover_core::memcache::command::Command;
use windhover_core::memcache::handler::{Reply, ReplyError};
use windhover_core::memcache::meta::FlagBuffer;
use windhover_core::memcache::request::{Prepared, Request};
use windhover_core::memcache::response::Response;

use crate::many::join;
use crate::parts::Part;
use crate::{Client, Error, ErrorKind};

/// What became of a request that was [forwarded](Client::forward).
///
/// A proxy in one method:
///
/// ```
/// use windhover_client::protocol::memcache::handler::{Data, Handled, Handler, Reply, Request};
/// use windhover_client::{Client, Forwarded};
///
/// struct Proxy(Client);
///
/// impl Handler for Proxy {
///     fn handle(
///         &mut self,
///         request: Request<'_>,
///         data: Data<'_>,
///         reply: &mut Reply<'_>,
///     ) -> Handled {
///         let forwarding = self.0.forward(&request, data.to_bytes());
///         reply.defer_until(async move {
///             let forwarded: Forwarded = forwarding.await;
///             if let Some(error) = forwarded.error() {
///                 eprintln!("{error:#}");
///             }
///             move |reply: &mut Reply<'_>| forwarded.give(reply)
///         });
///         Ok(())
///     }
/// }
/// ```
#[derive(Debug)]
pub struct Forwarded(Became);

#[derive(Debug)]
enum Became {
    Answered {
        request: Prepared,
        answer: Answer,
    },
    /// The client answers for itself.
    Own(Response<'static>),
    Failed(Error),
}

impl Forwarded {
    /// Why there is no answer, for logs and counters.
    pub const fn error(&self) -> Option<&Error> {
        match &self.0 {
            Became::Failed(error) => Some(error),
            Became::Answered { .. } | Became::Own(_) => None,
        }
    }

    /// Gives it as the reply to the request that was forwarded. A failure is an error line, never a
    /// miss: a server's own words where it has refused, `SERVER_ERROR` otherwise.
    ///
    /// # Errors
    /// Those of `reply`.
    pub fn give(self, reply: &mut Reply<'_>) -> Result<(), ReplyError> {
        match self.0 {
            Became::Answered { request, answer } => answer.give(&request, reply),
            Became::Own(response) => reply.send(&response),
            Became::Failed(error) => match error.into_kind() {
                ErrorKind::Call(error) => error.give(reply),
                other => reply.send(&Response::ServerError(other.to_string().as_bytes())),
            },
        }
    }
}

/// Where a request goes.
enum Route {
    /// The client answers.
    Own(Response<'static>),
    /// The owner of its key.
    Key(Call),
    /// The owners of its keys, each with the places of those that it is asked for.
    Keys(Vec<Part>),
    /// Every server, by its name.
    All(Vec<(Box<str>, Call)>),
}

impl Client {
    /// Sends on a request of somebody else, with its data block, and waits for the answer, whether or not
    /// its sender wants one. Each key goes to the server that owns it: a retrieval of many keys is split
    /// and put together again, in the order of its keys, and fails as a whole where one server fails. What
    /// has no key goes to every server, and fails where one fails; the statistics of several
    /// carry the server's name before their own.
    ///
    /// Not sent on, but answered as memcached does where it is not allowed, are `shutdown` and `watch`;
    /// `mn` is answered at once, since what came before it was. A value stays as it is, compressed or not.
    ///
    /// For [`Reply::defer_until`], which polls it in its turn, so that the requests of a connection take
    /// effect in their order:
    ///
    /// ```
    /// use windhover_client::Client;
    /// use windhover_client::protocol::memcache::Data;
    /// use windhover_client::protocol::memcache::handler::{Handler, Reply, ReplyError};
    /// use windhover_client::protocol::memcache::request::Request;
    ///
    /// struct Proxy(Client);
    ///
    /// impl Handler for Proxy {
    ///     fn handle(
    ///         &mut self,
    ///         request: Request<'_>,
    ///         data: Data<'_>,
    ///         reply: &mut Reply<'_>,
    ///     ) -> Result<(), ReplyError> {
    ///         let forwarded = self.0.forward(&request, data.to_bytes());
    ///         reply.defer_until(async {
    ///             let forwarded = forwarded.await;
    ///             move |reply: &mut Reply<'_>| forwarded.give(reply)
    ///         });
    ///         Ok(())
    ///     }
    /// }
    /// ```
    pub fn forward(
        &self,
        request: &Request<'_>,
        data: Bytes,
    ) -> impl Future<Output = Forwarded> + Send + use<> {
        let mut flags = FlagBuffer::new();
        let request = request.answered(&mut flags);
        let prepared = self.prepare(&request, data);
        let routed = prepared.and_then(|prepared| Ok((self.route(&request, &prepared)?, prepared)));
        let client = self.clone();
        async move {
            let (route, request) = match routed {
                Ok(routed) => routed,
                Err(error) => return Forwarded(Became::Failed(error)),
            };
            let outcome = match route {
                Route::Own(response) => return Forwarded(Became::Own(response)),
                Route::Key(call) => client.submit(call, client.timeout).await.outcome,
                Route::Keys(parts) => client.items(parts).await,
                Route::All(calls) => client.all(calls).await,
            };
            Forwarded(match outcome {
                Ok(answer) => Became::Answered { request, answer },
                Err(error) => Became::Failed(error),
            })
        }
    }

    fn route(&self, request: &Request<'_>, prepared: &Prepared) -> Result<Route, Error> {
        if self.hub.dialect != Dialect::Memcached {
            let why = b"queues are not forwarded: an item that is open belongs to its connection";
            return Ok(Route::Own(Response::ServerError(why)));
        }
        Ok(match request {
            Request::MetaNoop => Route::Own(Response::MetaNoop),
            Request::Shutdown { .. } => {
                Route::Own(Response::Line(b"SERVER_ERROR: shutdown not enabled"))
            }
            Request::Authenticate { .. } => {
                Route::Own(Response::ClientError(b"authentication failure"))
            }
            Request::Admin { command: Command::Watch, .. } => {
                Route::Own(Response::ClientError(b"watch commands not allowed"))
            }
            _ if prepared.key().is_empty() => {
                let call =
                    |(id, server): (_, Server)| (server.name, Call::to(prepared.clone(), id));
                Route::All(self.servers().into_iter().map(call).collect())
            }
            _ => {
                let call = self.read_or_write(request, prepared.clone());
                match self.parts(request, &call)? {
                    Some(parts) => Route::Keys(parts),
                    None => Route::Key(call),
                }
            }
        })
    }

    /// What every server answers, as one answer.
    async fn all(&self, calls: Vec<(Box<str>, Call)>) -> Result<Answer, Error> {
        let (names, calls): (Vec<_>, Vec<_>) = calls.into_iter().unzip();
        let calls: Vec<_> = calls.into_iter().map(|call| self.submit(call, self.timeout)).collect();
        let several = calls.len() > 1;
        let mut whole: Option<Answer> = None;
        for (name, reply) in names.iter().zip(join(calls).await) {
            let mut answer = reply.outcome?;
            if let (true, Answer::Statistics(pairs)) = (several, &mut answer) {
                for (statistic, _) in pairs {
                    *statistic = [name.as_bytes(), b":", &statistic[..]].concat().into();
                }
            }
            match (&mut whole, answer) {
                (Some(Answer::Statistics(all)), Answer::Statistics(more)) => all.extend(more),
                (Some(Answer::Lines(all)), Answer::Lines(more)) => all.extend(more),
                (Some(_), _) => {}
                (None, first) => whole = Some(first),
            }
        }
        whole.ok_or_else(|| CallError::NotSent { server: None, why: NotSent::NoServer }.into())
    }
}
