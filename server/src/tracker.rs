//! A connection of the HTTP listener: tracking requests in, answers out once their events are in
//! the journal.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

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
use crate::exchange::{self, Exchange};
use crate::metrics::NOT_DURABLE;
use crate::pages::{self, Shared};
use crate::recording::{OfTokens, Recording, Records};
use crate::tokens::{Tally, TokenResult};
use crate::workers::Worker;

/// Who is behind a Unix socket.
const LOCAL: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
/// What a browser asks before it sends records of another origin's page.
const PREFLIGHT: &str = "preflight";
/// The pages for operators.
const PAGES: &str = "pages";
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
    /// Whether what they say of whom they forward requests for is believed.
    is_trusted: bool,
    ids: IdSource,
    /// The requests whose answers are pending, in order.
    answers: VecDeque<(Exchange, Answer)>,
}

#[derive(Debug)]
enum Answer {
    Ready(Response),
    /// When a worker has decoded the request.
    Decoding {
        answer: Receiver<(Exchange, Answer)>,
        /// What is answered when that takes too long.
        refusal: Response,
        held: usize,
    },
    /// When the events are in the journal.
    Journaled {
        path: TrackingEndpoint,
        records: Recording,
        tokens: OfTokens,
        reply: TrackingReply,
        events: u64,
    },
}

impl Tracker {
    /// The connection of that number, which is different for each.
    pub fn new(app: Arc<App>, peer: Peer, number: u64, now: Now) -> Self {
        let settings = &app.settings;
        let http = ServerConnection::with_settings(Arc::clone(&app.http), now.instant)
            .with_refusals(tracking::refused);
        let ids = IdSource::new(app.seed, number);
        let is_trusted = settings.trusts(peer);
        let peer = peer.ip().unwrap_or(LOCAL);
        Self { app, http, peer, is_trusted, ids, answers: VecDeque::new() }
    }

    /// Gives the answers that are ready; returns when the first that is not must be given.
    fn answer(&mut self, now: Now, cx: &mut Context<'_>) -> Option<Instant> {
        while let Some((exchange, answer)) = self.answers.front_mut() {
            let deadline = exchange.since() + self.app.settings.answer_timeout;
            let response = match answer {
                Answer::Ready(response) => std::mem::replace(response, empty()),
                Answer::Decoding { answer: decoded, refusal, .. } => {
                    match decoded.poll_unpin(cx) {
                        Poll::Ready(Ok(decoded)) => {
                            (*exchange, *answer) = decoded;
                            continue;
                        }
                        Poll::Pending if now.instant < deadline => return Some(deadline),
                        // A worker that panicked, or too many requests before this one.
                        Poll::Ready(Err(_)) | Poll::Pending => {
                            exchange.reason = "not_decoded";
                            std::mem::replace(refusal, empty())
                        }
                    }
                }
                Answer::Journaled { path, records, tokens, reply, events } => {
                    let metrics = &self.app.metrics;
                    let stored = match records.poll(now, cx) {
                        Poll::Ready(stored) => stored,
                        Poll::Pending if now.instant >= deadline => false,
                        Poll::Pending => return Some(deadline),
                    };
                    metrics
                        .track_seconds
                        .observe_time(now.instant.saturating_since(exchange.since()));
                    if stored {
                        metrics.events_accepted.count(*path, *events);
                        exchange.accepted = *events;
                        tokens.count(TokenResult::Accepted);
                        self.app.feed.show(&records.seen);
                        if let Some(dedup) = &self.app.dedup
                            && records.duplicates > 0
                        {
                            dedup.count_duplicates(records.duplicates);
                        }
                        reply.accepted()
                    } else {
                        exchange.reason = NOT_DURABLE;
                        tokens.count(TokenResult::NotDurable);
                        reply.not_durable()
                    }
                }
            };
            exchange.end(&self.app, response.status, response.body.len(), now);
            self.http.respond(&response, now.unix);
            self.answers.pop_front();
        }
        None
    }

    /// Gives the request that the connection has just handed out to a worker.
    fn decode_elsewhere(&mut self, refusal: Response, now: Now) -> Answer {
        let Some(taken) = self.http.take_request() else { return Answer::Ready(refusal) };
        let (app, peer) = (Arc::clone(&self.app), self.peer);
        let proxies = app.settings.proxies_behind(self.is_trusted);
        let (sender, answer) = oneshot::channel();
        let held = taken.held();
        self.app.workers.run(move |worker| {
            // Nobody is there any more who could be answered: nothing of it is recorded.
            if sender.is_canceled() {
                return;
            }
            let Worker { decoder, tally, ids } = worker;
            let (app, budget, waker) = (&*app, usize::MAX, None);
            let mut handler = Handler { app, peer, proxies, ids, decoder, tally, budget, waker };
            if let Ok(answer) = handler.handle(&taken.request(), now) {
                let _ = sender.send(answer);
            }
        });
        Answer::Decoding { answer, refusal, held }
    }

    /// What comes next, once a request that the connection itself refused is counted.
    fn next(&mut self, next: Next, now: Now) -> Next {
        if let Some(error) = self.http.take_refused() {
            exchange::refused(&self.app, error, self.peer, now);
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
    proxies: TrustedProxies,
    ids: &'a mut IdSource,
    decoder: &'a mut Decoder,
    tally: &'a mut Tally,
    /// How many bytes are decoded here.
    budget: usize,
    /// Of the task that waits for the answer, if it is the one that decodes.
    waker: Option<&'a Waker>,
}

impl Handler<'_> {
    fn handle(
        &mut self,
        request: &Request<'_>,
        now: Now,
    ) -> Result<(Exchange, Answer), OverBudget> {
        let mut exchange = Exchange::new(self.app, request, self.peer, now);
        let answer = match tracking::route(request.method, request.path) {
            Route::Record(path) => self.record(path, request, &mut exchange, now)?,
            Route::NotBuilt(path) => {
                (exchange.endpoint, exchange.reason) = (path.name(), "unbuilt_path");
                Answer::Ready(path.response(&request.headers))
            }
            Route::Preflight => {
                exchange.endpoint = PREFLIGHT;
                Answer::Ready(tracking::preflight(request))
            }
            Route::MethodNotAllowed => {
                exchange.reason = "method_not_allowed";
                Answer::Ready(tracking::method_not_allowed(request))
            }
            _ => Answer::Ready(self.page(request, &mut exchange, now)),
        };
        Ok((exchange, answer))
    }

    fn record(
        &mut self,
        path: TrackingEndpoint,
        request: &Request<'_>,
        exchange: &mut Exchange,
        now: Now,
    ) -> Result<Answer, OverBudget> {
        let App { settings, metrics, .. } = self.app;
        exchange.brings_records(path);
        if self.app.is_overloaded() {
            exchange.reason = "overloaded";
            return Ok(Answer::Ready(tracking::overloaded(request)));
        }
        let client = client_address(&request.headers, self.peer, &self.proxies);
        if let Some(logged) = &mut exchange.logged {
            logged.client = Some(client);
        }
        let context = tracking::Context {
            now: now.unix,
            client,
            limits: &settings.tracking_limits,
            redirects: &settings.redirects,
            rule: settings.batch_rule,
        };
        // The names were checked when the server started.
        let Ok(put) = PutBuilder::new(settings.queue_of(path.kind()), now.unix) else {
            exchange.reason = NOT_DURABLE;
            let mut response = Response::new(Status::SERVICE_UNAVAILABLE, "text/plain", &b"0"[..]);
            tracking::share(&mut response, &request.headers);
            return Ok(Answer::Ready(response));
        };
        let mut records = Records::new(put, path.kind(), now.unix, self.tally, self.app);
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
            if let Some(token) = record.token.as_deref() {
                let token = self.app.token_counts.of(token.trim_matches('"'));
                token.count(TokenResult::Refused, 1);
            }
        }
        exchange.refused = refused.len() as u64;
        let tokens = records.counts(self.app);
        if let Some(logged) = &mut exchange.logged {
            logged.tokens = records.tokens();
        }
        if let (Ok(_), Err(wait)) = (&result, records.take(self.app, now)) {
            // All of it comes again, what is bad in it too.
            exchange.reason = "rate_limited";
            tokens.count(TokenResult::RateLimited);
            let seconds = wait.as_secs().saturating_add(1);
            return Ok(Answer::Ready(reply.rate_limited(seconds)));
        }
        // Before the good ones: whoever waits for those has waited for these.
        keep_refused(
            self.app,
            &Asked { path, strict, test, token },
            request,
            &result,
            refused,
            now,
        );
        let count = match result {
            Ok(count) => count as u64,
            Err(rejection) => {
                exchange.reason = rejection.reason();
                return Ok(Answer::Ready(rejected(&reply, &rejection)));
            }
        };
        Ok(match records.put(self.app, now, self.waker) {
            Ok(records) => Answer::Journaled { path, records, tokens, reply, events: count },
            Err(refused) => {
                tracing::debug!(%refused, "a tracking request was not accepted");
                exchange.reason = NOT_DURABLE;
                tokens.count(TokenResult::NotDurable);
                Answer::Ready(reply.not_durable())
            }
        })
    }

    fn page(&self, request: &Request<'_>, exchange: &mut Exchange, now: Now) -> Response {
        let Some((mut response, shared)) = pages::page(self.app, request.path, now) else {
            exchange.reason = "not_found";
            return tracking::not_found(&request.headers);
        };
        exchange.endpoint = PAGES;
        if response.status != Status::OK {
            exchange.reason = "not_ready";
        }
        if shared == Shared::Yes {
            tracking::share(&mut response, &request.headers);
        }
        response
    }
}

/// Puts what is refused among the dead letters.
fn keep_refused(
    app: &App,
    asked: &Asked,
    request: &Request<'_>,
    result: &Result<usize, DecodeError>,
    refused: Vec<RefusedRecord>,
    now: Now,
) {
    let is_each = app.settings.batch_rule == BatchRule::EachEvent;
    if let Err(rejection) = result
        && !(is_each && matches!(rejection, DecodeError::Record { .. }))
    {
        if rejection.has_lost_something() {
            let letter = asked.request(request, rejection, now.unix);
            app.dead_letters.put([letter], now);
        }
        return;
    }
    let letter = |record| asked.record(record, now.unix);
    app.dead_letters.put(refused.into_iter().map(letter), now);
}

fn rejected(reply: &TrackingReply, rejection: &DecodeError) -> Response {
    tracing::debug!(%rejection, "a tracking request was rejected");
    reply.rejected(rejection)
}

impl Tracker {
    fn release_answers(&mut self) {
        if self.answers.is_empty() {
            self.answers = VecDeque::new();
        }
    }
}

/// What decoding a request needs.
#[derive(Debug, Default)]
struct Scratch {
    decoder: Decoder,
    tally: Tally,
}

thread_local! {
    /// Of all connections that a thread drives: one request is decoded at a time.
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

/// Does `decode` with the thread's memory, or with new memory where that is gone, as at a thread's end.
fn with_scratch<T>(mut decode: impl FnMut(&mut Scratch) -> T) -> T {
    let decoded = SCRATCH.try_with(|scratch| Some(decode(&mut *scratch.try_borrow_mut().ok()?)));
    decoded.ok().flatten().unwrap_or_else(|| decode(&mut Scratch::default()))
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
        self.is_trusted = self.app.settings.trusts(Peer::Tcp(source));
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
            self.http.pause(matches!(self.answers.back(), Some((_, Answer::Decoding { .. }))));
            match self.http.poll_output(now) {
                Output::Request(request) => {
                    let Self { app, peer, is_trusted, ids, .. } = self;
                    let proxies = app.settings.proxies_behind(*is_trusted);
                    let (peer, budget) = (*peer, BUDGET);
                    // Behind others it is not polled before they are answered.
                    let waker = self.answers.is_empty().then(|| cx.waker());
                    let answer = with_scratch(|Scratch { decoder, tally }| {
                        Handler { app, peer, proxies, ids, decoder, tally, budget, waker }
                            .handle(&request, now)
                    });
                    let answer = match answer {
                        Ok(answer) => answer,
                        Err(OverBudget) => {
                            let mut exchange = Exchange::new(app, &request, peer, now);
                            if let Route::Record(path) =
                                tracking::route(request.method, request.path)
                            {
                                exchange.brings_records(path);
                            }
                            let refusal = tracking::overloaded(&request);
                            (exchange, self.decode_elsewhere(refusal, now))
                        }
                    };
                    if self.answers.is_empty() {
                        // Most connections have one pending, and a `VecDeque` makes room for four.
                        self.answers.reserve_exact(1);
                    }
                    self.answers.push_back(answer);
                }
                Output::Write => return self.next(Next::Write, now),
                Output::CloseWrite => return self.next(Next::CloseWrite, now),
                Output::Close => return self.next(Next::Close, now),
                Output::Idle(until) => {
                    let until = answer_by.map_or(until, |by| by.min(until));
                    return self.next(Next::Idle(until), now);
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
        let decoding = self.answers.back().map_or(0, |(_, last)| match last {
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
