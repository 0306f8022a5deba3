//! A connection of the HTTP listener: tracking requests in, answers out once their events are in
//! the journal.

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::BytesMut;
use futures_channel::oneshot::{self, Receiver};
use futures_util::FutureExt as _;
use windhover_core::endpoint::{Endpoint, Next, Spare};
use windhover_core::http::{Output, Request, Response, ServerConnection, Status};
use windhover_core::queue::PutBuilder;
use windhover_core::tracking::{
    self, BatchRule, DecodeError, Decoded, Decoder, IdSource, OverBudget, RefusedRecord, Route,
    TrackingEndpoint, TrackingReply, TrustedProxies, client_address,
};
use windhover_core::{Instant, Now};
use windhover_runtime::Peer;

use crate::app::App;
use crate::dead_letters::Asked;
use crate::pages::{self, Shared};
use crate::recording::{Recording, Records};
use crate::workers::Worker;

/// Who is behind a Unix socket.
const LOCAL: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
/// What is refused, and belongs to no endpoint, is counted so.
const OTHER: &str = "other";
/// What is larger is decoded by a worker: others on this thread would wait for it.
const BUDGET: usize = 64 * 1024;
/// So are the dead letters of more records than these written by one.
const REFUSALS: usize = 32;

/// A connection of the HTTP listener.
#[derive(Debug)]
pub struct Tracker {
    app: Arc<App>,
    http: ServerConnection,
    /// Who sends, as far as no header says it.
    peer: IpAddr,
    /// The proxies that are believed of them.
    proxies: TrustedProxies,
    ids: IdSource,
    decoder: Decoder,
    /// The answers that are pending, in order.
    answers: VecDeque<Answer>,
}

#[derive(Debug)]
enum Answer {
    Ready(Response),
    /// When a worker has decoded the request.
    Decoding {
        answer: Receiver<Answer>,
        /// What is answered when that takes too long.
        refusal: Response,
        held: usize,
        since: Instant,
    },
    /// When the events are in the journal.
    Journaled {
        path: TrackingEndpoint,
        records: Recording,
        reply: TrackingReply,
        events: u64,
        since: Instant,
    },
}

impl Tracker {
    /// The connection of that number, which is different for each.
    pub fn new(app: Arc<App>, peer: Peer, number: u64, now: Now) -> Self {
        let settings = &app.settings;
        let http =
            ServerConnection::new(&settings.http_limits, &settings.http_timeouts, now.instant)
                .with_refusals(tracking::refused);
        let ids = IdSource::new(app.seed, number);
        let proxies = settings.proxies_of(peer);
        let peer = peer.ip().unwrap_or(LOCAL);
        Self { app, http, peer, proxies, ids, decoder: Decoder::new(), answers: VecDeque::new() }
    }

    /// Gives the answers that are ready; returns when the first that is not must be given.
    fn answer(&mut self, now: Now, cx: &mut Context<'_>) -> Option<Instant> {
        while let Some(answer) = self.answers.front_mut() {
            let response = match answer {
                Answer::Ready(response) => std::mem::replace(response, empty()),
                Answer::Decoding { answer: decoded, refusal, since, .. } => {
                    let deadline = *since + self.app.settings.answer_timeout;
                    match decoded.poll_unpin(cx) {
                        Poll::Ready(Ok(decoded)) => {
                            *answer = decoded;
                            continue;
                        }
                        Poll::Pending if now.instant < deadline => return Some(deadline),
                        // A worker that panicked, or too many requests before this one.
                        Poll::Ready(Err(_)) | Poll::Pending => {
                            self.app.metrics.requests_refused.count(OTHER, "not_decoded");
                            std::mem::replace(refusal, empty())
                        }
                    }
                }
                Answer::Journaled { path, records, reply, events, since } => {
                    let metrics = &self.app.metrics;
                    let deadline = *since + self.app.settings.answer_timeout;
                    let stored = match records.poll(now, cx) {
                        Poll::Ready(stored) => stored,
                        Poll::Pending if now.instant >= deadline => false,
                        Poll::Pending => return Some(deadline),
                    };
                    metrics.track_took(now.instant.saturating_since(*since));
                    if stored {
                        metrics.events_accepted.count(*path, *events);
                        self.app.feed.show(&records.seen);
                        if let Some(dedup) = &self.app.dedup
                            && records.duplicates > 0
                        {
                            dedup.count_duplicates(records.duplicates);
                        }
                        reply.accepted()
                    } else {
                        metrics.not_durable(*path);
                        reply.not_durable()
                    }
                }
            };
            self.http.respond(&response, now.unix);
            self.answers.pop_front();
        }
        None
    }

    /// Gives the request that the connection has just handed out to a worker.
    fn decode_elsewhere(&mut self, refusal: Response, now: Now) -> Answer {
        let Some(taken) = self.http.take_request() else { return Answer::Ready(refusal) };
        let (app, peer, proxies) = (Arc::clone(&self.app), self.peer, self.proxies);
        let (sender, answer) = oneshot::channel();
        let held = taken.held();
        self.app.workers.run(move |worker| {
            // Nobody is there any more who could be answered: nothing of it is recorded.
            if sender.is_canceled() {
                return;
            }
            let Worker { decoder, ids } = worker;
            let (proxies, budget) = (&proxies, usize::MAX);
            let mut handler = Handler { app: &app, peer, proxies, ids, decoder, budget };
            if let Ok(answer) = handler.handle(&taken.request(), now) {
                let _ = sender.send(answer);
            }
        });
        Answer::Decoding { answer, refusal, held, since: now.instant }
    }

    /// What comes next, once a request that the connection itself refused is counted.
    fn next(&mut self, next: Next) -> Next {
        if let Some(error) = self.http.take_refused() {
            self.app.metrics.requests_refused.count("http", error.reason());
        }
        next
    }
}

fn empty() -> Response {
    Response::new(Status::OK, "", &b""[..])
}

/// The parts of a tracker that a request needs while it borrows the connection.
struct Handler<'a> {
    app: &'a App,
    peer: IpAddr,
    proxies: &'a TrustedProxies,
    ids: &'a mut IdSource,
    decoder: &'a mut Decoder,
    /// How many bytes are decoded here.
    budget: usize,
}

impl Handler<'_> {
    fn handle(&mut self, request: &Request<'_>, now: Now) -> Result<Answer, OverBudget> {
        Ok(match tracking::route(request.method, request.path) {
            Route::Record(path) => return self.record(path, request, now),
            Route::NotBuilt(path) => {
                self.app.metrics.requests_refused.count(path.name(), "unbuilt_path");
                Answer::Ready(path.response(&request.headers))
            }
            Route::Preflight => Answer::Ready(tracking::preflight(request)),
            Route::MethodNotAllowed => {
                self.app.metrics.requests_refused.count(OTHER, "method_not_allowed");
                Answer::Ready(tracking::method_not_allowed(request))
            }
            _ => Answer::Ready(self.page(request)),
        })
    }

    fn record(
        &mut self,
        path: TrackingEndpoint,
        request: &Request<'_>,
        now: Now,
    ) -> Result<Answer, OverBudget> {
        let App { settings, metrics, .. } = self.app;
        if self.app.is_overloaded() {
            metrics.requests_refused.count(path.name(), "overloaded");
            return Ok(Answer::Ready(tracking::overloaded(request)));
        }
        let context = tracking::Context {
            now: now.unix,
            client: client_address(&request.headers, self.peer, self.proxies),
            limits: &settings.tracking_limits,
            redirects: &settings.redirects,
            rule: settings.batch_rule,
        };
        // The names were checked when the server started.
        let Ok(put) = PutBuilder::new(settings.queue_of(path.kind()), now.unix) else {
            let mut response = Response::new(Status::SERVICE_UNAVAILABLE, "text/plain", &b"0"[..]);
            tracking::share(&mut response, &request.headers);
            return Ok(Answer::Ready(response));
        };
        let mut records = Records::new(put, self.app);
        let Decoded { reply, result, refused, repairs, strict, test, token, .. } = self
            .decoder
            .decode_within(self.budget, path, request, &context, self.ids, &mut records)?;
        // Each of them costs much more than one that is recorded.
        if refused.len() > REFUSALS && self.budget < usize::MAX {
            return Err(OverBudget);
        }
        if reply.redirect_refused() {
            metrics.redirects_refused.inc();
        }
        metrics.characters_replaced.inc_by(repairs.characters);
        metrics.numbers_nulled.inc_by(repairs.numbers);
        for record in &refused {
            metrics.events_refused.count(path.name(), record.fault.reason());
        }
        if let (Ok(_), Err(wait)) = (&result, records.take(self.app, now)) {
            // All of it comes again, what is bad in it too.
            metrics.requests_refused.count(path.name(), "rate_limited");
            let seconds = wait.as_secs().saturating_add(1);
            return Ok(Answer::Ready(reply.rate_limited(seconds)));
        }
        // Before the good ones: whoever waits for those has waited for these.
        self.keep_refused(&Asked { path, strict, test, token }, request, &result, refused, now);
        let count = match result {
            Ok(count) => count as u64,
            Err(rejection) => {
                metrics.requests_rejected.inc();
                metrics.requests_refused.count(path.name(), rejection.reason());
                return Ok(Answer::Ready(rejected(&reply, &rejection)));
            }
        };
        Ok(match records.put(self.app, now) {
            Ok(records) => {
                Answer::Journaled { path, records, reply, events: count, since: now.instant }
            }
            Err(refused) => {
                tracing::debug!(%refused, "a tracking request was not accepted");
                metrics.not_durable(path);
                Answer::Ready(reply.not_durable())
            }
        })
    }

    /// Puts what is refused among the dead letters.
    fn keep_refused(
        &self,
        asked: &Asked,
        request: &Request<'_>,
        result: &Result<usize, DecodeError>,
        refused: Vec<RefusedRecord>,
        now: Now,
    ) {
        let is_each = self.app.settings.batch_rule == BatchRule::EachEvent;
        if let Err(rejection) = result
            && !(is_each && matches!(rejection, DecodeError::Record { .. }))
        {
            if rejection.has_lost_something() {
                let letter = asked.request(request, rejection, now.unix);
                self.app.dead_letters.put([letter], now);
            }
            return;
        }
        let letter = |record| asked.record(record, now.unix);
        self.app.dead_letters.put(refused.into_iter().map(letter), now);
    }

    fn page(&self, request: &Request<'_>) -> Response {
        let Some((mut response, shared)) = pages::page(self.app, request.path) else {
            self.app.metrics.requests_refused.count(OTHER, "not_found");
            return tracking::not_found(&request.headers);
        };
        if shared == Shared::Yes {
            tracking::share(&mut response, &request.headers);
        }
        response
    }
}

fn rejected(reply: &TrackingReply, rejection: &DecodeError) -> Response {
    tracing::debug!(%rejection, "a tracking request was rejected");
    reply.rejected(rejection)
}

impl Tracker {
    fn release_answers(&mut self) {
        if self.answers.is_empty() {
            self.answers = VecDeque::new();
            self.decoder.release();
        }
    }
}

impl Endpoint for Tracker {
    fn read_buffer(&mut self) -> &mut BytesMut {
        self.http.read_buffer()
    }

    fn wants_read(&self) -> bool {
        self.http.wants_read()
    }

    fn proxied_for(&mut self, source: SocketAddr) {
        self.peer = source.ip();
        self.proxies = self.app.settings.proxies_of(Peer::Tcp(source));
    }

    fn end_of_stream(&mut self) {
        self.http.end_of_stream();
    }

    fn shut_down(&mut self) {
        self.http.shut_down();
    }

    fn poll_output(&mut self, now: Now, cx: &mut Context<'_>) -> Next {
        loop {
            let answer_by = self.answer(now, cx);
            self.http.set_overloaded(self.app.is_overloaded());
            // What is behind a request takes effect behind it.
            self.http.pause(matches!(self.answers.back(), Some(Answer::Decoding { .. })));
            match self.http.poll_output(now) {
                Output::Request(request) => {
                    let Self { app, peer, proxies, ids, decoder, .. } = self;
                    let mut handler =
                        Handler { app, peer: *peer, proxies, ids, decoder, budget: BUDGET };
                    let answer = match handler.handle(&request, now) {
                        Ok(answer) => answer,
                        Err(OverBudget) => {
                            let refusal = tracking::overloaded(&request);
                            self.decode_elsewhere(refusal, now)
                        }
                    };
                    self.answers.push_back(answer);
                }
                Output::Write => return self.next(Next::Write),
                Output::CloseWrite => return self.next(Next::CloseWrite),
                Output::Close => return self.next(Next::Close),
                Output::Idle(until) => {
                    let until = answer_by.map_or(until, |by| by.min(until));
                    return self.next(Next::Idle(until));
                }
            }
        }
    }

    fn unsent<'a>(&'a self, into: &mut [&'a [u8]]) -> usize {
        self.http.unsent(into)
    }

    fn wrote(&mut self, n: usize) {
        self.http.wrote(n);
    }

    fn held(&self) -> usize {
        let decoding = self.answers.back().map_or(0, |last| match last {
            Answer::Decoding { held, .. } => *held,
            Answer::Ready(_) | Answer::Journaled { .. } => 0,
        });
        self.http.held() + decoding
    }

    fn release(&mut self) {
        self.http.release();
        self.release_answers();
    }

    fn reuse(&mut self, spare: &mut Spare) {
        self.http.reuse(spare);
    }

    fn release_to(&mut self, spare: &mut Spare) {
        self.http.release_to(spare);
        self.release_answers();
    }
}
