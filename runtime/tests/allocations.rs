//! A lone request on a connection that waits without memory allocates nothing: from the stream that has
//! become readable to the answer that is written, and back to waiting.

use std::io::{self, IoSlice};
use std::task::{Context, Poll, Waker};

use allocation_counter::measure;
use bytes::{Bytes, BytesMut};
use windhover_core::memcache::handler::{Handler, Reply, ReplyError, Session};
use windhover_core::memcache::request::Request;
use windhover_core::memcache::{Data, Dialect, Limits};
use windhover_core::{Now, Timeouts};
use windhover_runtime::{Connection, PollStream, Step};

const REQUEST: &[u8] = b"get key\r\n";
const ANSWER: usize = b"VALUE key 0 5\r\nhello\r\nEND\r\n".len();

/// Has one request whenever it is asked to, and takes what is written.
#[derive(Default)]
struct Peer {
    asks: bool,
    taken: usize,
}

impl PollStream for Peer {
    fn poll_read<'b>(
        &mut self,
        _: &mut Context<'_>,
        buffer: impl FnOnce() -> &'b mut BytesMut,
    ) -> Poll<io::Result<usize>> {
        if !std::mem::take(&mut self.asks) {
            return Poll::Pending;
        }
        buffer().extend_from_slice(REQUEST);
        Poll::Ready(Ok(REQUEST.len()))
    }

    fn poll_write(&mut self, _: &mut Context<'_>, out: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let length = out.iter().map(|slice| slice.len()).sum();
        self.taken += length;
        Poll::Ready(Ok(length))
    }

    fn poll_close_write(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// Has every key.
struct Hit(Bytes);

impl Handler for Hit {
    fn handle(
        &mut self,
        request: Request<'_>,
        _: Data<'_>,
        reply: &mut Reply<'_>,
    ) -> Result<(), ReplyError> {
        for key in request.keys() {
            reply.value(key, 0, None, &self.0)?;
        }
        reply.end()
    }
}

#[test]
fn a_lone_get_allocates_nothing() {
    let now = Now::default();
    let (limits, timeouts) = (Limits::default(), Timeouts::default());
    let mut connections: Vec<_> = (0..3)
        .map(|_| {
            let hit = Hit(Bytes::from_static(b"hello"));
            let session = Session::new(hit, Dialect::Memcached, &limits, &timeouts, now);
            Connection::new(Peer::default(), session)
        })
        .collect();
    let mut ask_each_in_turn = |requests: usize| {
        for at in 0..requests {
            let connection = &mut connections[at % 3];
            connection.stream_mut().asks = true;
            let before = connection.stream_mut().taken;
            let step = connection.turn(now, &mut Context::from_waker(Waker::noop()));
            assert!(matches!(step, Step::Wait(Some(_))));
            assert_eq!(connection.stream_mut().taken - before, ANSWER);
        }
    };

    ask_each_in_turn(10);
    let allocated = measure(|| ask_each_in_turn(300)).count_total;

    assert_eq!(allocated, 0);
}
