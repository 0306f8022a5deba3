//! What the tracker's reader of HTTP makes of some bytes and their end.

use std::time::Duration;

use windhover_core::http::{HttpError, HttpLimits, Output, Response, ServerConnection, Status};
use windhover_core::{Instant, Now, Timeouts, UnixTime};

use crate::Seen;

/// Requests, and the error that ended them.
pub(crate) struct Reading {
    pub(crate) requests: Vec<Seen>,
    pub(crate) error: Option<HttpError>,
}

pub(crate) fn read(bytes: &[u8]) -> Reading {
    let now = Now {
        instant: Instant::from_epoch(Duration::from_secs(9)),
        unix: UnixTime::from_secs(784_111_777),
    };
    let mut connection =
        ServerConnection::new(&HttpLimits::default(), &Timeouts::default(), now.instant);
    connection.receive(bytes);
    connection.end_of_stream();
    let mut requests = Vec::new();
    loop {
        match connection.poll_output(now) {
            Output::Request(request) => {
                let target = if request.query.is_empty() {
                    request.path.to_owned()
                } else {
                    format!("{}?{}", request.path, request.query)
                };
                requests.push(Seen::new(request.method.name(), &target, request.body));
                let answer = Response::new(Status::OK, "text/plain", &b""[..]);
                connection.respond(&answer, now.unix);
            }
            Output::Write => {
                let mut slices = [&b""[..]; 16];
                let filled = connection.unsent(&mut slices);
                let written = slices[..filled].iter().map(|slice| slice.len()).sum();
                connection.wrote(written);
            }
            Output::CloseWrite => {}
            Output::Close => break,
            Output::Idle(_) => panic!("an ended stream is no reason to wait"),
        }
    }
    Reading { requests, error: connection.error() }
}
