//! The hot path allocates nothing: parsing either way, and a server's turn that answers a small value.
//! Allocations are counted, in steady state: what a buffer needs at first it keeps.

use core::task::{Context, Waker};
use std::collections::HashMap;

use allocation_counter::measure;
use bytes::{Bytes, BytesMut};
use windhover_core::endpoint::{Endpoint, Next, Spare};
use windhover_core::memcache::handler::{Handler, Reply, ReplyError, Session};
use windhover_core::memcache::request::{self, Request};
use windhover_core::memcache::response::{self, Response};
use windhover_core::memcache::{Data, Dialect, Limits};
use windhover_core::{Now, Timeouts};

fn allocations(work: impl FnOnce()) -> u64 {
    measure(work).count_total
}

const REQUESTS: [&[u8]; 8] = [
    b"get key\r\n",
    b"gets a b c d e f g h\r\n",
    b"set key 1 2 5\r\nhello\r\n",
    b"cas key 1 2 5 7\r\nhello\r\n",
    b"mg key v t c O7\r\n",
    b"ms key 5 T60 F1\r\nhello\r\n",
    b"incr key 5\r\n",
    b"delete key noreply\r\n",
];

const RESPONSES: [&[u8]; 6] = [
    b"VALUE key 1 5 7\r\nhello\r\n",
    b"VA 5 t60 c7\r\nhello\r\n",
    b"STORED\r\n",
    b"END\r\n",
    b"12345\r\n",
    b"SERVER_ERROR out of memory\r\n",
];

#[test]
fn counting_counts() {
    assert_eq!(allocations(|| drop(Box::new(1))), 1);
}

#[test]
fn parsing_allocates_nothing() {
    let limits = Limits::default();
    for bytes in REQUESTS {
        let parsed = allocations(|| {
            let parsed = request::parse(bytes, Dialect::Memcached, &limits);
            assert!(parsed.is_ok());
        });
        assert_eq!(parsed, 0, "{}", bytes.escape_ascii());
    }
    for bytes in RESPONSES {
        let parsed = allocations(|| {
            let parsed = response::parse(bytes, Dialect::Memcached, &limits);
            assert!(parsed.is_ok());
        });
        assert_eq!(parsed, 0, "{}", bytes.escape_ascii());
    }
}

/// Answers hits of values that it shares.
struct Map(HashMap<&'static [u8], Bytes>);

impl Handler for Map {
    fn handle(
        &mut self,
        request: Request<'_>,
        _: Data<'_>,
        reply: &mut Reply<'_>,
    ) -> Result<(), ReplyError> {
        let (Request::Get(keys) | Request::Gets(keys)) = request else {
            return reply.send(&Response::Stored);
        };
        for key in keys {
            if let Some(value) = self.0.get(key) {
                reply.value(key, 0, None, value)?;
            }
        }
        reply.end()
    }
}

/// Reads, answers and writes, as an adapter does.
fn turn(session: &mut Session<Map>, input: &[u8], output: &mut BytesMut) {
    let now = Now::default();
    session.read_buffer().extend_from_slice(input);
    while session.poll_output(now, &mut Context::from_waker(Waker::noop())) == Next::Write {
        let mut slices = [&b""[..]; 8];
        let filled = session.unsent(&mut slices);
        slices[..filled].iter().for_each(|slice| output.extend_from_slice(slice));
        let written = slices[..filled].iter().map(|slice| slice.len()).sum();
        session.wrote(written);
    }
}

/// What a hundred turns allocate, once the buffers have their sizes.
fn allocations_of_turns(input: &[u8]) -> u64 {
    let map = Map(HashMap::from([(&b"key"[..], Bytes::from_static(b"hello"))]));
    let (limits, timeouts) = (Limits::default(), Timeouts::default());
    let mut session = Session::new(map, Dialect::Memcached, &limits, &timeouts, Now::default());
    let mut output = BytesMut::with_capacity(1 << 20);
    for _ in 0..100 {
        turn(&mut session, input, &mut output);
    }
    assert!(output.starts_with(b"VALUE key 0 5\r\nhello\r\n"));
    output.clear();
    allocations(|| {
        for _ in 0..100 {
            turn(&mut session, input, &mut output);
        }
    })
}

#[test]
fn a_turn_of_a_server_that_answers_a_small_value_allocates_nothing() {
    assert_eq!(allocations_of_turns(b"get key\r\n"), 0);
    assert_eq!(allocations_of_turns(b"get key none key\r\n"), 0);
    assert_eq!(allocations_of_turns(b"get key\r\nget none\r\n"), 0);
}

#[test]
fn nor_does_a_lone_request_of_one_connection_after_the_other_that_wait_without_memory() {
    let (limits, timeouts) = (Limits::default(), Timeouts::default());
    let mut sessions: Vec<_> = (0..3)
        .map(|_| {
            let map = Map(HashMap::from([(&b"key"[..], Bytes::from_static(b"hello"))]));
            Session::new(map, Dialect::Memcached, &limits, &timeouts, Now::default())
        })
        .collect();
    let mut output = BytesMut::with_capacity(1 << 20);
    let mut spare = Spare::default();
    let mut turns = |count| {
        for at in 0..count {
            let session = &mut sessions[at % 3];
            session.reuse(&mut spare);
            turn(session, b"get key\r\n", &mut output);
            session.release_to(&mut spare);
        }
    };
    turns(10);
    assert_eq!(allocations(|| turns(300)), 0);
    // Each gave back all that it had: without what is spare it has to allocate.
    assert!(allocations(|| turn(&mut sessions[0], b"get key\r\n", &mut output)) > 0);
}

#[test]
fn no_request_of_a_full_pipeline_allocates() {
    let requests = b"get key\r\nset key 0 0 5\r\nhello\r\nget none key\r\n".repeat(16);
    assert_eq!(allocations_of_turns(&requests), 0);
}

#[cfg(feature = "tracking")]
mod tracking {
    use core::net::{IpAddr, Ipv4Addr};

    use windhover_core::http::{
        Headers, HttpLimits, Method, Output, Request, Response, ServerConnection, Status,
    };
    use windhover_core::tracking::{
        BatchRule, Context, Decoder, IdSource, RecordSink, RedirectPolicy, TrackingEndpoint,
        TrackingLimits, share,
    };
    use windhover_core::{Now, Timeouts, UnixTime};

    use super::allocations;

    /// A place that every record is written to.
    struct Line(Vec<u8>);

    impl RecordSink for Line {
        fn begin_record(&mut self) -> &mut Vec<u8> {
            self.0.clear();
            &mut self.0
        }

        fn end_record(&mut self) {}

        fn discard(&mut self, _: usize) {}
    }

    /// So many events of so many properties, each a small tree.
    fn batch(events: usize, properties: usize) -> String {
        let property = |n| format!(r#""p{n}":{{"a":[1,"é",{{"b":null}}]}}"#);
        let properties = (0..properties).map(property).collect::<Vec<_>>().join(",");
        let event = format!(r#"{{"event":"e","properties":{{"token":"t",{properties}}}}}"#);
        format!("[{}]", vec![event; events].join(","))
    }

    fn decoding(text: &str, events: usize) -> u64 {
        let limits = TrackingLimits::default();
        let redirects = RedirectPolicy::deny();
        let context = Context {
            now: UnixTime::from_millis(1_334_859_601_234),
            client: IpAddr::V4(Ipv4Addr::LOCALHOST),
            limits: &limits,
            redirects: &redirects,
            rule: BatchRule::default(),
        };
        let headers = [("Content-Type", &b"application/json"[..])];
        let mut request = Request::new(Method::Post, "/track", "");
        request.headers = Headers::new(&headers);
        request.body = text.as_bytes();
        let (mut decoder, mut ids) = (Decoder::new(), IdSource::new(1, 1));
        let mut line = Line(Vec::with_capacity(text.len()));
        let mut decode = || {
            let path = TrackingEndpoint::Track;
            let decoded = decoder.decode(path, &request, &context, &mut ids, &mut line);
            assert_eq!(decoded.result, Ok(events));
        };
        decode();
        allocations(decode)
    }

    /// Answers what came, each request in another second than the one before.
    fn answers(connection: &mut ServerConnection, now: &mut Now) {
        connection.receive(b"GET /track?data=e30 HTTP/1.1\r\nHost: localhost\r\n\r\n");
        loop {
            match connection.poll_output(*now) {
                Output::Request(request) => {
                    let mut response = Response::new(Status::OK, "text/plain", &b"1"[..]);
                    share(&mut response, &request.headers);
                    now.unix = UnixTime::from_secs(now.unix.as_secs() + 1);
                    connection.respond(&response, now.unix);
                }
                Output::Write => {
                    let mut slices = [&b""[..]; 4];
                    let filled = connection.unsent(&mut slices);
                    let unsent = slices[..filled].iter().map(|slice| slice.len()).sum();
                    assert!(unsent > 200, "{unsent} bytes");
                    connection.wrote(unsent);
                }
                _ => return,
            }
        }
    }

    #[test]
    fn a_request_over_http_is_answered_without_an_allocation() {
        let (limits, timeouts) = (HttpLimits::default(), Timeouts::default());
        let mut now = Now::default();
        let mut connection = ServerConnection::new(&limits, &timeouts, now.instant);
        let mut turns = || (0..100).for_each(|_| answers(&mut connection, &mut now));
        turns();
        assert_eq!(allocations(turns), 0);
    }

    #[test]
    fn events_that_pass_through_become_no_tree() {
        let small = decoding(&batch(1, 2), 1);
        let large = decoding(&batch(50, 200), 50);
        // Two an event, for the parser's stack in it and in its properties, and the growth of the one list of
        // members; the properties have 30,000 nodes.
        assert!(small <= 8, "{small} for a small event");
        assert!(large <= 2 * 50 + 24, "{large} for 50 large ones");
    }
}
