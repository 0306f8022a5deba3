//! hyper's reading of HTTP, on a connection in memory that has ended.

use core::convert::Infallible;
use core::pin::{Pin, pin};
use core::task::{Context, Poll, Waker};
use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming};
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper::server::conn::http1;
use hyper::service::Service;

/// A request, as hyper sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Its method.
    pub method: String,
    /// The target without scheme, authority and query.
    pub path: String,
    /// Behind the first `?`.
    pub query: String,
    /// Without its coding.
    pub body: Vec<u8>,
}

/// The requests that hyper sees whole, each answered at once, and whether it refused what came then.
pub fn read(input: &[u8]) -> (Vec<Seen>, bool) {
    let seen = Rc::new(RefCell::new(Vec::new()));
    let stream = Stream { input: input.to_vec(), at: 0 };
    let broken = Rc::new(Cell::new(false));
    let recorder = Recorder { seen: Rc::clone(&seen), broken: Rc::clone(&broken) };
    let connection = http1::Builder::new().half_close(true).serve_connection(stream, recorder);
    let mut connection = pin!(connection);
    let mut context = Context::from_waker(Waker::noop());
    let mut error = false;
    // Everything is there: it never waits, but for its own turns.
    for _ in 0..10_000 {
        match connection.as_mut().poll(&mut context) {
            Poll::Ready(result) => {
                error = result.is_err();
                break;
            }
            Poll::Pending => {}
        }
    }
    let requests = seen.borrow().clone();
    (requests, error || broken.get())
}

/// The peer: sends the input, then its end, and takes all that is written.
struct Stream {
    input: Vec<u8>,
    at: usize,
}

impl Read for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        mut buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let n = buffer.remaining().min(self.input.len() - self.at);
        let at = self.at;
        buffer.put_slice(&self.input[at..at + n]);
        self.at += n;
        Poll::Ready(Ok(()))
    }
}

impl Write for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

struct Recorder {
    seen: Rc<RefCell<Vec<Seen>>>,
    /// A body did not end as it should.
    broken: Rc<Cell<bool>>,
}

impl Service<hyper::Request<Incoming>> for Recorder {
    type Response = hyper::Response<Nothing>;
    type Error = Infallible;
    type Future = Answer;

    fn call(&self, request: hyper::Request<Incoming>) -> Answer {
        let seen = Seen {
            method: request.method().to_string(),
            path: request.uri().path().to_owned(),
            query: request.uri().query().unwrap_or_default().to_owned(),
            body: Vec::new(),
        };
        Answer {
            body: request.into_body(),
            seen: Some(seen),
            all: Rc::clone(&self.seen),
            broken: Rc::clone(&self.broken),
        }
    }
}

/// Reads the body to its end, notes the request, answers.
struct Answer {
    body: Incoming,
    seen: Option<Seen>,
    all: Rc<RefCell<Vec<Seen>>>,
    broken: Rc<Cell<bool>>,
}

impl Future for Answer {
    type Output = Result<hyper::Response<Nothing>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        loop {
            match Pin::new(&mut self.body).poll_frame(context) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Some(Ok(frame))) => {
                    if let (Some(data), Some(seen)) = (frame.data_ref(), self.seen.as_mut()) {
                        seen.body.extend_from_slice(data);
                    }
                }
                Poll::Ready(None) => {
                    if let Some(seen) = self.seen.take() {
                        self.all.borrow_mut().push(seen);
                    }
                    return Poll::Ready(Ok(hyper::Response::new(Nothing)));
                }
                Poll::Ready(Some(Err(_))) => {
                    self.broken.set(true);
                    return Poll::Ready(Ok(hyper::Response::new(Nothing)));
                }
            }
        }
    }
}

struct Nothing;

impl Body for Nothing {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(None)
    }

    fn is_end_stream(&self) -> bool {
        true
    }
}
