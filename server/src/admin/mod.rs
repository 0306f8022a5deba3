//! The operator's listener (`--admin`): the pages of health and metrics, a status page, and streams of server-sent
//! events for it and for `windhover tail`.

mod figures;
mod stream;

use std::net::SocketAddr;
use std::sync::Arc;
use std::task::Context;

use bytes::BytesMut;
use windhover_core::Now;
use windhover_core::endpoint::{Endpoint, Next, Spare};
use windhover_core::http::{Method, Output, Request, Response, ServerConnection, Status};

pub use self::figures::Figures;
use self::stream::{Filter, Stream};
use crate::app::App;
use crate::pages::{self, TEXT};

/// The status page: HTML, style and script in one, with nothing from elsewhere.
const PAGE: &str = include_str!("page.html");
/// What a browser may do with it: nothing beside.
const POLICY: &str = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; \
                      connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// A connection of the operator's listener.
#[derive(Debug)]
pub struct Admin {
    app: Arc<App>,
    http: ServerConnection,
    /// From the request for one on.
    stream: Option<Box<Stream>>,
}

/// What a request is answered with.
enum Answer {
    Whole(Response),
    Stream(Stream),
}

impl Admin {
    /// A connection that was accepted at `now`.
    pub fn new(app: Arc<App>, now: Now) -> Self {
        let settings = &app.settings;
        let limits = settings.http_limits.clone().with_body(0);
        let http = ServerConnection::new(&limits, &settings.http_timeouts, now.instant);
        Self { app, http, stream: None }
    }
}

fn answer(app: &App, request: &Request<'_>, now: Now) -> Answer {
    if !matches!(request.method, Method::Get | Method::Head) {
        let answer = Response::new(Status::METHOD_NOT_ALLOWED, TEXT, &b"GET or HEAD\n"[..]);
        return Answer::Whole(answer.with_header("Allow", "GET, HEAD"));
    }
    let is_stream = request.method == Method::Get;
    match request.path {
        "/" => Answer::Whole(
            Response::new(Status::OK, "text/html; charset=utf-8", PAGE.as_bytes())
                .with_header("Content-Security-Policy", POLICY)
                .with_header("X-Content-Type-Options", "nosniff")
                .with_header("Cache-Control", "no-store"),
        ),
        "/status" if is_stream => Answer::Stream(Stream::status(app, now.instant)),
        "/tail" if is_stream => {
            Answer::Stream(Stream::tail(app, Filter::of(request.query), now.instant))
        }
        path => Answer::Whole(match pages::page(app, path, now) {
            Some((page, _)) => page,
            None => Response::new(
                Status::NOT_FOUND,
                TEXT,
                &b"not found: there are / /healthz /readyz /metrics /status /tail\n"[..],
            ),
        }),
    }
}

impl Endpoint for Admin {
    fn read_buffer(&mut self) -> &mut BytesMut {
        match &mut self.stream {
            Some(stream) => stream.read_buffer(),
            None => self.http.read_buffer(),
        }
    }

    fn wants_read(&self) -> bool {
        // Of a stream: to see that its reader has gone.
        self.stream.is_some() || self.http.wants_read()
    }

    fn proxied_for(&mut self, _: SocketAddr) {}

    fn end_of_stream(&mut self) {
        match &mut self.stream {
            Some(stream) => stream.end(),
            None => self.http.end_of_stream(),
        }
    }

    fn shut_down(&mut self) {
        match &mut self.stream {
            Some(stream) => stream.end(),
            None => self.http.shut_down(),
        }
    }

    fn poll_output(&mut self, now: Now, cx: &mut Context<'_>) -> Next {
        loop {
            if let Some(stream) = &mut self.stream {
                return stream.poll_output(&self.app, now, cx);
            }
            // A stream has the connection for itself: what was answered before has to be written.
            let is_free = self.http.unsent(&mut [&[]]) == 0 && self.http.unanswered() == 0;
            match self.http.poll_output(now) {
                Output::Request(request) => match answer(&self.app, &request, now) {
                    Answer::Whole(response) => self.http.respond(&response, now.unix),
                    Answer::Stream(stream) if is_free => self.stream = Some(Box::new(stream)),
                    Answer::Stream(_) => {
                        let why = &b"ask for a stream on a connection of its own\n"[..];
                        let refused = Response::new(Status::SERVICE_UNAVAILABLE, TEXT, why);
                        self.http.respond(&refused, now.unix);
                    }
                },
                Output::Write => return Next::Write,
                Output::CloseWrite => return Next::CloseWrite,
                Output::Close => return Next::Close,
                Output::Idle(until) => return Next::Idle(until),
            }
        }
    }

    fn unsent<'a>(&'a self, into: &mut [&'a [u8]]) -> usize {
        match &self.stream {
            Some(stream) => stream.unsent(into),
            None => self.http.unsent(into),
        }
    }

    fn wrote(&mut self, n: usize) {
        match &mut self.stream {
            Some(stream) => stream.wrote(n),
            None => self.http.wrote(n),
        }
    }

    fn held(&self) -> usize {
        self.http.held() + self.stream.as_ref().map_or(0, |stream| stream.held())
    }

    fn release(&mut self) {
        self.http.release();
    }

    fn reuse(&mut self, spare: &mut Spare) {
        if self.stream.is_none() {
            self.http.reuse(spare);
        }
    }

    fn release_to(&mut self, spare: &mut Spare) {
        self.http.release_to(spare);
    }
}
