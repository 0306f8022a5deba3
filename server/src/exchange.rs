//! A request to the tracker's port and its answer, as they are counted and logged.

use std::net::IpAddr;

use windhover_core::http::{HttpError, Method, Request, Status};
use windhover_core::tracking::TrackingEndpoint;
use windhover_core::{Instant, Now};

use crate::access_log::Entry;
use crate::app::App;
use crate::metrics::ACCEPTED;

/// What belongs to no endpoint is counted so.
const OTHER: &str = "other";
/// What HTTP itself refuses is counted so.
const HTTP: &str = "http";

/// What is known of a request.
#[derive(Debug)]
pub(crate) struct Exchange {
    since: Instant,
    /// Bytes of the body.
    body: usize,
    /// What it is counted for.
    pub(crate) endpoint: &'static str,
    /// It is one that brings records.
    has_records: bool,
    /// Why nothing of it was recorded, if it was to be.
    pub(crate) reason: &'static str,
    /// Records that are in the journal.
    pub(crate) accepted: u64,
    /// Those that are not, and why they are not lies with them.
    pub(crate) refused: u64,
    /// What the access log has beside, if there is one.
    pub(crate) logged: Option<Box<Logged>>,
}

/// What is known of a request for the access log alone.
#[derive(Debug)]
pub(crate) struct Logged {
    peer: IpAddr,
    method: Method,
    path: Box<str>,
    /// Whom a trusted proxy names.
    pub(crate) client: Option<IpAddr>,
    /// Whose records it has.
    pub(crate) tokens: String,
}

impl Exchange {
    /// A request of that peer that has come whole.
    pub(crate) fn new(app: &App, request: &Request<'_>, peer: IpAddr, now: Now) -> Self {
        let logged = || {
            let (method, path) = (request.method, request.path.into());
            Box::new(Logged { peer, method, path, client: None, tokens: String::new() })
        };
        Self {
            since: now.instant,
            body: request.body.len(),
            endpoint: OTHER,
            has_records: false,
            reason: ACCEPTED,
            accepted: 0,
            refused: 0,
            logged: app.access_log.as_ref().map(|_| logged()),
        }
    }

    /// It is one to that endpoint.
    pub(crate) fn brings_records(&mut self, endpoint: TrackingEndpoint) {
        (self.endpoint, self.has_records) = (endpoint.name(), true);
    }

    /// When it had come.
    pub(crate) fn since(&self) -> Instant {
        self.since
    }

    /// It is answered with that status, and so many bytes.
    pub(crate) fn end(&self, app: &App, status: Status, bytes: usize, now: Now) {
        app.metrics.requests.count(self.endpoint, self.reason, status);
        if self.has_records {
            app.metrics.body_bytes.observe_size(self.body);
        }
        if let (Some(log), Some(logged)) = (&app.access_log, &self.logged) {
            log.log(&Entry {
                time: now.unix,
                peer: Some(logged.peer),
                client: logged.client,
                method: logged.method.name(),
                path: &logged.path,
                endpoint: self.endpoint,
                status: status.0,
                bytes_in: self.body as u64,
                bytes_out: bytes as u64,
                took: now.instant.saturating_since(self.since),
                token: &logged.tokens,
                accepted: self.accepted,
                refused: self.refused,
                reason: self.reason,
            });
        }
    }
}

/// A request of that peer was refused by the connection, which could not read it or did not want to.
pub(crate) fn refused(app: &App, error: HttpError, peer: IpAddr, now: Now) {
    let (status, reason) = (error.status(), error.reason());
    app.metrics.requests.count(HTTP, reason, status);
    if let Some(log) = &app.access_log {
        log.log(&Entry {
            time: now.unix,
            peer: Some(peer),
            client: None,
            method: "-",
            path: "-",
            endpoint: HTTP,
            status: status.0,
            bytes_in: 0,
            bytes_out: 0,
            took: std::time::Duration::ZERO,
            token: "",
            accepted: 0,
            refused: 0,
            reason,
        });
    }
}
