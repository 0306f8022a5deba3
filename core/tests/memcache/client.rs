//! The client role: every reply goes to its own request or to nobody.

use core::time::Duration;

use bytes::Bytes;
use windhover_core::Instant;
use windhover_core::memcache::kestrel::{QueueRead, ReadMode};
use windhover_core::memcache::meta::{MetaFlags, MetaRequest};
use windhover_core::memcache::request::{
    Barrier, Batch, Prepared, Request, ShutdownMode, StoreRequest,
};
use windhover_core::memcache::response::{Kind, ResponseError};
use windhover_core::memcache::{
    AnswerError, Cancelled, ClientConnection, ClientOutput, ClientTimeouts, Dialect, End, Keys,
    Limits, MAX_DISCARDED, Oversized, Reason, SendError, Ticket,
};

/// What a connection told, without its borrows.
#[derive(Clone, Debug, PartialEq)]
enum Told {
    Frame { ticket: Ticket, index: Option<usize>, kind: Kind, data: Vec<u8> },
    Oversized(Ticket, Option<usize>, Oversized),
    Done(Ticket, Result<(), AnswerError>),
    Close(End),
}

/// A connection with a clock, and a server whose words the test says.
struct Peer {
    connection: ClientConnection,
    now: Instant,
    wire: Vec<u8>,
    /// The socket takes nothing.
    full: bool,
    idle_until: Instant,
}

const SECOND: Duration = Duration::from_secs(1);

impl Peer {
    fn new(dialect: Dialect) -> Self {
        let limits = Limits::default();
        let now = Instant::from_epoch(SECOND);
        let connection = ClientConnection::new(dialect, &limits, &ClientTimeouts::default(), now);
        Self { connection, now, wire: Vec::new(), full: false, idle_until: now }
    }

    fn dialect(&self) -> Dialect {
        self.connection.dialect()
    }

    fn send(&mut self, request: &Request<'_>, data: &[u8], within: Duration) -> Ticket {
        let data = Bytes::copy_from_slice(data);
        let prepared = Prepared::new(request, data, self.dialect(), &Limits::default()).unwrap();
        self.connection.send(&prepared, self.now + within).unwrap()
    }

    fn get(&mut self, key: &[u8]) -> Ticket {
        self.send(&Request::Get(Keys::new(&[key])), b"", SECOND)
    }

    /// Polls until the connection has nothing to do.
    fn poll(&mut self) -> Vec<Told> {
        let mut told = Vec::new();
        loop {
            match self.connection.poll_output(self.now) {
                ClientOutput::Frame(frame) => told.push(Told::Frame {
                    ticket: frame.ticket,
                    index: frame.index,
                    kind: frame.response.kind(),
                    data: frame.data.chunks().flatten().copied().collect(),
                }),
                ClientOutput::Oversized { ticket, index, what } => {
                    told.push(Told::Oversized(ticket, index, what));
                }
                ClientOutput::Done { ticket, outcome } => told.push(Told::Done(ticket, outcome)),
                ClientOutput::Write if self.full => self.connection.wrote(0),
                ClientOutput::Write => {
                    let mut slices = [&b""[..]; 8];
                    let filled = self.connection.unsent(&mut slices);
                    let bytes = slices[..filled].concat();
                    self.connection.wrote(bytes.len());
                    self.wire.extend_from_slice(&bytes);
                }
                ClientOutput::Idle(until) => {
                    assert!(until > self.now, "an instant that has come is no reason to wait");
                    self.idle_until = until;
                    return told;
                }
                ClientOutput::Close(end) => {
                    told.push(Told::Close(end));
                    return told;
                }
            }
        }
    }

    fn reply(&mut self, bytes: &[u8]) -> Vec<Told> {
        self.connection.receive(bytes);
        self.poll()
    }

    fn after(&mut self, wait: Duration) -> Vec<Told> {
        self.now = self.now + wait;
        self.poll()
    }
}

fn frame(ticket: Ticket, index: Option<usize>, kind: Kind, data: &[u8]) -> Told {
    Told::Frame { ticket, index, kind, data: data.to_vec() }
}

fn done(ticket: Ticket) -> Told {
    Told::Done(ticket, Ok(()))
}

fn failed(ticket: Ticket, outcome: AnswerError) -> Told {
    Told::Done(ticket, Err(outcome))
}

const DEADLINE: Reason = Reason::Deadline;

#[test]
fn pipelined_replies_go_to_their_requests_at_every_split() {
    let large = vec![b'x'; 70_000];
    let mut reply = b"VALUE one 5 2\r\nhi\r\nVALUE two 0 0\r\n\r\nEND\r\nSTORED\r\n8\r\n".to_vec();
    reply.extend_from_slice(b"VALUE big 0 70000\r\n");
    reply.extend_from_slice(&large);
    reply.extend_from_slice(b"\r\nEND\r\nSTAT a b\r\nEND\r\nVERSION 1.6\r\nSERVER_ERROR busy\r\n");
    let splits =
        (0..=200).chain([30_000, 65_500, 65_600, 70_000]).chain(reply.len() - 100..reply.len());
    for split in splits {
        let mut peer = Peer::new(Dialect::Memcached);
        let many = peer.send(&Request::Get(Keys::new(&[b"one", b"two", b"six"])), b"", SECOND);
        let set = peer.send(&Request::Set(StoreRequest::new(b"k")), b"value", SECOND);
        let incr = peer.send(&Request::Incr { key: b"n", delta: 1, noreply: false }, b"", SECOND);
        let big = peer.get(b"big");
        let stats = peer.send(&Request::Stats { arguments: b"" }, b"", SECOND);
        let version = peer.send(&Request::Version, b"", SECOND);
        let refused = peer.get(b"k");
        assert_eq!(peer.poll(), []);
        assert_eq!(
            peer.wire,
            b"get one two six\r\nset k 0 0 5\r\nvalue\r\nincr n 1\r\nget big\r\nstats\r\nversion\r\nget k\r\n"
        );
        let mut told = peer.reply(&reply[..split]);
        told.extend(peer.reply(&reply[split..]));
        assert_eq!(
            told,
            [
                frame(many, Some(0), Kind::Value, b"hi"),
                frame(many, Some(1), Kind::Value, b""),
                frame(many, None, Kind::End, b""),
                done(many),
                frame(set, None, Kind::Stored, b""),
                done(set),
                frame(incr, None, Kind::Number, b""),
                done(incr),
                frame(big, Some(0), Kind::Value, &large),
                frame(big, None, Kind::End, b""),
                done(big),
                frame(stats, None, Kind::Stat, b""),
                frame(stats, None, Kind::End, b""),
                done(stats),
                frame(version, None, Kind::Version, b""),
                done(version),
                frame(refused, None, Kind::ServerError, b""),
                done(refused),
            ],
            "split at {split}"
        );
        assert_eq!(peer.connection.in_flight(), 0);
    }
}

#[test]
fn a_deadline_ends_its_own_request_and_discards_its_late_reply() {
    // It may be looked at later than that.
    for looked_at in [SECOND / 10, SECOND / 9] {
        end_at_a_deadline(looked_at);
    }
}

fn end_at_a_deadline(looked_at: Duration) {
    let mut peer = Peer::new(Dialect::Memcached);
    let short = peer.send(&Request::Get(Keys::new(&[b"slow"])), b"", SECOND / 10);
    let long = peer.get(b"other");
    assert_eq!(peer.poll(), []);
    assert_eq!(peer.idle_until, peer.now + SECOND / 10);
    assert_eq!(peer.after(looked_at), [failed(short, AnswerError::Unknown(DEADLINE))]);
    assert_eq!(peer.connection.discarding(), 1);
    let next = peer.get(b"slow");
    assert_eq!(peer.poll(), []);
    let told = peer.reply(
        b"VALUE slow 0 4\r\nlate\r\nEND\r\nVALUE other 0 1\r\no\r\nEND\r\nVALUE slow 0 3\r\nnew\r\nEND\r\n",
    );
    assert_eq!(
        told,
        [
            frame(long, Some(0), Kind::Value, b"o"),
            frame(long, None, Kind::End, b""),
            done(long),
            frame(next, Some(0), Kind::Value, b"new"),
            frame(next, None, Kind::End, b""),
            done(next),
        ]
    );
}

#[test]
fn a_cancelled_request_is_swallowed_at_every_point_of_its_reply() {
    let reply = b"VALUE gone 0 4\r\ngone\r\nEND\r\n";
    for at in 0..reply.len() {
        let mut peer = Peer::new(Dialect::Memcached);
        let gone = peer.get(b"gone");
        let kept = peer.get(b"kept");
        peer.poll();
        let before = peer.reply(&reply[..at]);
        assert!(before.iter().all(|told| matches!(told, Told::Frame { .. })));
        assert_eq!(peer.connection.cancel(gone), Some(Cancelled::Unknown));
        assert_eq!(peer.connection.cancel(gone), None);
        assert_eq!(peer.reply(&reply[at..]), []);
        assert_eq!(peer.reply(b"END\r\n"), [frame(kept, None, Kind::End, b""), done(kept)]);
    }
}

#[test]
fn what_has_not_left_is_taken_back() {
    let mut peer = Peer::new(Dialect::Memcached);
    peer.full = true;
    // More than is put among the bytes to write at a time.
    let first = peer.send(&Request::Set(StoreRequest::new(b"a")), &vec![b'a'; 20_000], SECOND);
    let second = peer.send(&Request::Set(StoreRequest::new(b"b")), b"b", SECOND / 2);
    let third = peer.get(b"c");
    assert_eq!(peer.poll(), []);
    assert_eq!(peer.after(SECOND / 2), [failed(second, AnswerError::NotSent(DEADLINE))]);
    assert_eq!(peer.connection.cancel(third), Some(Cancelled::NotSent));
    peer.full = false;
    peer.connection.wrote(1);
    peer.poll();
    assert!(!peer.wire.windows(5).any(|bytes| bytes == b"set b" || bytes == b"get c"));
    assert_eq!(peer.reply(b"STORED\r\n"), [frame(first, None, Kind::Stored, b""), done(first)]);
}

#[test]
fn a_connection_that_ends_says_what_was_sent() {
    let mut peer = Peer::new(Dialect::Memcached);
    let answered = peer.get(b"a");
    let half = peer.get(b"b");
    let sent = peer.get(b"c");
    peer.poll();
    peer.full = true;
    let unsent = peer.get(b"d");
    assert_eq!(peer.poll(), []);
    peer.connection.receive(b"END\r\nVALUE b 0 4\r\nha");
    peer.connection.end_of_stream();
    let gone = Reason::End(End::EndOfStream);
    assert_eq!(
        peer.poll(),
        [
            frame(answered, None, Kind::End, b""),
            done(answered),
            failed(half, AnswerError::Unknown(gone)),
            failed(sent, AnswerError::Unknown(gone)),
            failed(unsent, AnswerError::NotSent(gone)),
            Told::Close(End::EndOfStream),
        ]
    );
    let prepared =
        Prepared::new(&Request::Version, Bytes::new(), Dialect::Memcached, &Limits::default());
    assert_eq!(peer.connection.send(&prepared.unwrap(), peer.now + SECOND), Err(SendError::Ended));
}

#[test]
fn what_cannot_be_the_answer_spends_the_connection() {
    let get = Request::Get(Keys::new(&[b"k", b"l"]));
    let meta = Request::MetaGet(MetaRequest::new(b"k", MetaFlags::new(b"v k O7")));
    let set = Request::Set(StoreRequest::new(b"k"));
    for (request, data, reply, end) in [
        (&get, &b""[..], &b"STORED\r\n"[..], End::Mismatched),
        (&get, b"", b"VALUE other 0 1\r\nx\r\n", End::Mismatched),
        (&get, b"", b"HD\r\n", End::Mismatched),
        (&get, b"", b"12\r\n", End::Mismatched),
        (&get, b"", b"hello\r\n", End::Malformed(ResponseError::UnknownLine)),
        (&get, b"", b"END\n", End::Malformed(ResponseError::BareNewline)),
        (&get, b"", b"VALUE k 0 1\r\nxyz\r\n", End::Malformed(ResponseError::BadDataBlock)),
        (
            &get,
            b"",
            b"VALUE k 0 9999999999\r\n",
            End::Malformed(ResponseError::ValueTooLarge { length: 9_999_999_999 }),
        ),
        (&set, b"v", b"VALUE k 0 1\r\nx\r\n", End::Mismatched),
        (&set, b"v", b"END\r\n", End::Mismatched),
        (&meta, b"", b"HD O8\r\n", End::Mismatched),
        (&meta, b"", b"VA 1 kother O7\r\nx\r\n", End::Mismatched),
        (&meta, b"", b"MN\r\n", End::Mismatched),
    ] {
        let mut peer = Peer::new(Dialect::Memcached);
        let ticket = peer.send(request, data, SECOND);
        let next = peer.get(b"next");
        peer.poll();
        let expected = [
            failed(ticket, AnswerError::Unknown(Reason::End(end))),
            failed(next, AnswerError::Unknown(Reason::End(end))),
            Told::Close(end),
        ];
        assert_eq!(peer.reply(reply), expected, "{}", reply.escape_ascii());
        // Whatever comes behind it is nobody's.
        assert_eq!(peer.reply(b"END\r\nEND\r\n"), [Told::Close(end)]);
    }
}

#[test]
fn a_value_more_than_was_asked_for_spends_the_connection() {
    let mut peer = Peer::new(Dialect::Memcached);
    let twice = peer.send(&Request::Get(Keys::new(&[b"k", b"k"])), b"", SECOND);
    peer.poll();
    let value = b"VALUE k 0 1\r\nx\r\n";
    assert_eq!(peer.reply(value), [frame(twice, Some(0), Kind::Value, b"x")]);
    assert_eq!(peer.reply(value), [frame(twice, Some(1), Kind::Value, b"x")]);
    assert_eq!(peer.reply(value).last(), Some(&Told::Close(End::Mismatched)));
}

#[test]
fn a_key_is_answered_once() {
    let a = b"VALUE a 0 1\r\nx\r\n";
    for before in [&[&a[..]][..], &[a, b"VALUE c 0 1\r\nx\r\n"], &[b"VALUE b 0 1\r\nx\r\n", a]] {
        let mut peer = Peer::new(Dialect::Memcached);
        peer.send(&Request::Get(Keys::new(&[b"a", b"b", b"c"])), b"", SECOND);
        peer.poll();
        for value in before {
            assert!(matches!(peer.reply(value)[..], [Told::Frame { .. }]));
        }
        assert_eq!(peer.reply(a).last(), Some(&Told::Close(End::Mismatched)));
    }
}

#[test]
fn each_of_many_keys_is_answered_once_in_whatever_order() {
    let keys: Vec<Vec<u8>> = (0..200).map(|at| format!("k{at}").into_bytes()).collect();
    let keys: Vec<&[u8]> = keys.iter().map(Vec::as_slice).collect();
    let value = |at: usize| format!("VALUE k{at} 0 1\r\nx\r\n").into_bytes();
    let order = [3, 199, 64, 63, 0, 127, 128, 65];
    for again in order {
        let mut peer = Peer::new(Dialect::Memcached);
        let many = peer.send(&Request::Get(Keys::new(&keys)), b"", SECOND);
        peer.poll();
        for at in order {
            let expected = frame(many, Some(at), Kind::Value, b"x");
            assert_eq!(peer.reply(&value(at)), [expected]);
        }
        assert_eq!(peer.reply(&value(again)).last(), Some(&Told::Close(End::Mismatched)));
    }
}

#[test]
fn what_began_as_several_frames_does_not_end_in_another_reply() {
    let mut peer = Peer::new(Dialect::Memcached);
    peer.send(&Request::Stats { arguments: b"" }, b"", SECOND);
    peer.send(&Request::FlushAll { delay: None, noreply: false }, b"", SECOND);
    peer.poll();
    peer.reply(b"STAT pid 1\r\n");
    // The `END` is missing: this is the answer to `flush_all`.
    assert_eq!(peer.reply(b"OK\r\n").last(), Some(&Told::Close(End::Mismatched)));
}

#[test]
fn values_may_come_in_any_order() {
    let mut peer = Peer::new(Dialect::Memcached);
    let many = peer.send(&Request::Get(Keys::new(&[b"a", b"b", b"c"])), b"", SECOND);
    peer.poll();
    let told = peer.reply(b"VALUE c 0 1\r\nC\r\nVALUE a 0 1\r\nA\r\nVALUE b 0 1\r\nB\r\nEND\r\n");
    let indices = |told: &[Told]| -> Vec<_> {
        told.iter()
            .filter_map(|told| match told {
                Told::Frame { index: Some(index), data, .. } => Some((*index, data[0])),
                _ => None,
            })
            .collect()
    };
    assert_eq!(indices(&told), [(2, b'C'), (0, b'A'), (1, b'B')]);
    assert_eq!(told.last(), Some(&done(many)));
}

#[test]
fn words_that_nobody_asked_for_spend_the_connection_at_their_first_byte() {
    for words in [&b"E"[..], b"ERROR Too many open connections\r\n", b"END\r\n"] {
        let mut peer = Peer::new(Dialect::Memcached);
        assert_eq!(peer.poll(), []);
        assert_eq!(peer.reply(words), [Told::Close(End::Unasked)]);
    }
    // A reply that comes before its request has left answers something else.
    let mut peer = Peer::new(Dialect::Memcached);
    peer.full = true;
    let ticket = peer.get(b"k");
    peer.poll();
    let end = Reason::End(End::Unasked);
    assert_eq!(
        peer.reply(b"END\r\n"),
        [failed(ticket, AnswerError::NotSent(end)), Told::Close(End::Unasked)]
    );
}

#[test]
fn silence_while_replies_are_pending_fails_the_connection() {
    let mut peer = Peer::new(Dialect::Memcached);
    let stall = ClientTimeouts::default().stall;
    // Long after the last byte: the time counts from the request.
    peer.after(SECOND * 60);
    let ticket = peer.send(&Request::Stats { arguments: b"" }, b"", SECOND * 60);
    peer.poll();
    assert_eq!(peer.idle_until, peer.now + stall);
    let nearly = stall.saturating_sub(SECOND / 10);
    peer.after(nearly);
    assert_eq!(peer.reply(b"STAT a b\r\n").len(), 1);
    assert_eq!(peer.after(nearly), []);
    let end = Reason::End(End::Stalled);
    assert_eq!(
        peer.after(SECOND / 10),
        [failed(ticket, AnswerError::Unknown(end)), Told::Close(End::Stalled)]
    );
}

#[test]
fn a_blocking_read_may_be_answered_late() {
    let mut peer = Peer::new(Dialect::Kestrel);
    let read = QueueRead::new(b"jobs", ReadMode::Remove).wait(SECOND * 10);
    let ticket = peer.send(&Request::QueueRead(read), b"", SECOND * 11);
    peer.poll();
    assert_eq!(peer.wire, b"get jobs/t=10000\r\n");
    assert_eq!(peer.after(SECOND * 10), []);
    assert_eq!(peer.reply(b"END\r\n"), [frame(ticket, None, Kind::End, b""), done(ticket)]);
}

#[test]
fn a_server_that_takes_nothing_spends_the_connection() {
    let mut peer = Peer::new(Dialect::Memcached);
    peer.full = true;
    let ticket = peer.send(&Request::Set(StoreRequest::new(b"k")), b"v", SECOND * 60);
    peer.poll();
    let end = Reason::End(End::WriteStalled);
    assert_eq!(
        peer.after(ClientTimeouts::default().write),
        [failed(ticket, AnswerError::NotSent(end)), Told::Close(End::WriteStalled)]
    );
}

#[test]
fn an_unused_connection_is_closed() {
    let mut peer = Peer::new(Dialect::Memcached);
    peer.poll();
    let idle = ClientTimeouts::default().idle;
    assert_eq!(peer.idle_until, peer.now + idle);
    assert_eq!(peer.after(idle), [Told::Close(End::Idle)]);
}

#[test]
fn an_item_that_was_opened_for_nobody_spends_the_connection() {
    let mut peer = Peer::new(Dialect::Kestrel);
    let open = QueueRead::new(b"jobs", ReadMode::Open);
    let ticket = peer.send(&Request::QueueRead(open), b"", SECOND / 10);
    peer.poll();
    assert_eq!(peer.after(SECOND / 10), [failed(ticket, AnswerError::Unknown(DEADLINE))]);
    // Without an item, nothing is left behind.
    assert_eq!(peer.reply(b"END\r\n"), []);
    let ticket = peer.send(&Request::QueueRead(open), b"", SECOND / 10);
    peer.poll();
    assert_eq!(peer.connection.cancel(ticket), Some(Cancelled::Unknown));
    assert_eq!(peer.reply(b"VALUE jobs 0 1\r\n"), [Told::Close(End::Abandoned)]);
}

#[test]
fn an_item_that_is_being_opened_when_its_request_is_given_up_spends_the_connection() {
    let read = Request::QueueRead(QueueRead::new(b"jobs", ReadMode::Open));
    let monitor = Request::Monitor { queue: b"jobs", seconds: 1, max: None };
    for (request, come) in [
        (&read, &b"VALUE jobs 0 1\r\n"[..]),
        (&read, b"VALUE jobs 0 1\r\nx\r\n"),
        (&monitor, b"VALUE jobs 0 1\r\nx\r\nEND\r\n"),
    ] {
        let mut peer = Peer::new(Dialect::Kestrel);
        let ticket = peer.send(request, b"", SECOND);
        peer.poll();
        peer.reply(come);
        assert_eq!(peer.connection.cancel(ticket), Some(Cancelled::Unknown));
        assert_eq!(peer.poll(), [Told::Close(End::Abandoned)]);

        let mut peer = Peer::new(Dialect::Kestrel);
        let ticket = peer.send(request, b"", SECOND);
        peer.poll();
        peer.reply(come);
        assert_eq!(
            peer.after(SECOND),
            [failed(ticket, AnswerError::Unknown(DEADLINE)), Told::Close(End::Abandoned)]
        );
    }
}

#[test]
fn a_batch_keeps_its_errors_to_itself() {
    let limits = Limits::default();
    let mut batch = Batch::new(Dialect::Memcached, &limits);
    for key in [b"one", b"two", b"six"] {
        let get = Request::MetaGet(MetaRequest::new(key, MetaFlags::new(b"v")));
        batch.push(&get, Bytes::new()).unwrap();
    }
    let mut peer = Peer::new(Dialect::Memcached);
    let gets = peer.connection.send(&batch.close(Barrier::MetaNoop).unwrap(), peer.now + SECOND);
    let gets = gets.unwrap();
    let mut batch = Batch::new(Dialect::Memcached, &limits);
    batch.push(&Request::Delete { key: b"k", noreply: true }, Bytes::new()).unwrap();
    let silent = peer.connection.send(&batch.close(Barrier::Version).unwrap(), peer.now + SECOND);
    let silent = silent.unwrap();
    let next = peer.get(b"k");
    peer.poll();
    let told = peer.reply(
        b"VA 1 O0\r\na\r\nVA 1 O2\r\nc\r\nMN\r\nSERVER_ERROR out of memory\r\nVERSION 1\r\nEND\r\n",
    );
    let value = Kind::Meta(windhover_core::memcache::meta::MetaCode::Value);
    assert_eq!(
        told,
        [
            frame(gets, Some(0), value, b"a"),
            frame(gets, Some(2), value, b"c"),
            frame(gets, None, Kind::MetaNoop, b""),
            done(gets),
            frame(silent, None, Kind::ServerError, b""),
            frame(silent, None, Kind::Version, b""),
            done(silent),
            frame(next, None, Kind::End, b""),
            done(next),
        ]
    );
    // A reply out of order, or of none of its requests, is another's.
    for reply in
        [&b"VA 1 O3\r\na\r\n"[..], b"HD\r\n", b"STORED\r\n", b"VA 1 O1\r\nb\r\nVA 1 O0\r\na\r\n"]
    {
        let mut batch = Batch::new(Dialect::Memcached, &limits);
        for key in [b"one", b"two", b"six"] {
            let get = Request::MetaGet(MetaRequest::new(key, MetaFlags::new(b"v")));
            batch.push(&get, Bytes::new()).unwrap();
        }
        let mut peer = Peer::new(Dialect::Memcached);
        let prepared = batch.close(Barrier::MetaNoop).unwrap();
        peer.connection.send(&prepared, peer.now + SECOND).unwrap();
        peer.poll();
        assert_eq!(peer.reply(reply).last(), Some(&Told::Close(End::Mismatched)));
    }
}

#[test]
fn quit_is_answered_by_the_end() {
    let mut peer = Peer::new(Dialect::Memcached);
    let get = peer.get(b"k");
    let quit = peer.send(&Request::Quit, b"", SECOND);
    assert!(!peer.connection.takes_requests());
    peer.poll();
    peer.connection.receive(b"END\r\n");
    peer.connection.end_of_stream();
    assert_eq!(
        peer.poll(),
        [frame(get, None, Kind::End, b""), done(get), done(quit), Told::Close(End::EndOfStream)]
    );
}

#[test]
fn an_end_answers_no_shutdown_that_was_not_sent() {
    let mut peer = Peer::new(Dialect::Memcached);
    let ticket = peer.send(&Request::Shutdown { mode: ShutdownMode::Now }, b"", SECOND);
    peer.full = true;
    peer.poll();
    peer.connection.end_of_stream();
    let end = Reason::End(End::EndOfStream);
    assert_eq!(
        peer.poll(),
        [failed(ticket, AnswerError::NotSent(end)), Told::Close(End::EndOfStream)]
    );
}

#[test]
fn an_orderly_end_waits_for_what_is_pending() {
    let mut peer = Peer::new(Dialect::Memcached);
    let get = peer.get(b"k");
    peer.connection.shut_down();
    assert_eq!(peer.poll(), []);
    assert_eq!(
        peer.reply(b"END\r\n"),
        [frame(get, None, Kind::End, b""), done(get), Told::Close(End::Closed)]
    );
}

#[test]
fn the_pipeline_is_bounded() {
    let mut peer = Peer::new(Dialect::Memcached);
    let most = Limits::default().pipeline;
    for _ in 0..most {
        peer.get(b"k");
    }
    let limits = Limits::default();
    let more = Prepared::new(&Request::Version, Bytes::new(), Dialect::Memcached, &limits).unwrap();
    assert_eq!(peer.connection.send(&more, peer.now + SECOND), Err(SendError::Full));
    peer.poll();
    peer.reply(b"END\r\n");
    assert!(peer.connection.send(&more, peer.now + SECOND).is_ok());
    let reload = Prepared::new(&Request::Reload, Bytes::new(), Dialect::Kestrel, &limits).unwrap();
    assert_eq!(
        Peer::new(Dialect::Memcached).connection.send(&reload, peer.now),
        Err(SendError::OtherDialect)
    );
}

/// One byte more than a client takes, unless it is told otherwise.
const TOO_LONG: usize = (1 << 20) + 1;

fn too_long(length: usize) -> Oversized {
    Oversized::Value { length: length as u64, limit: TOO_LONG - 1 }
}

#[test]
fn a_value_above_the_limit_is_an_error_of_its_key_alone_at_every_split() {
    let mut reply = b"VALUE small 0 2\r\nhi\r\n".to_vec();
    reply.extend_from_slice(format!("VALUE big 0 {TOO_LONG}\r\n").as_bytes());
    let line = reply.len();
    reply.extend_from_slice(&vec![b'\n'; TOO_LONG]);
    let value = reply.len();
    reply.extend_from_slice(
        b"\r\nVALUE wide 4294967296 1\r\nx\r\nVALUE edge 0 1\r\ne\r\nEND\r\n8\r\n",
    );
    let splits = (0..line + 3).chain([70_000, 500_000]).chain(value - 3..reply.len());
    for split in splits {
        let mut peer = Peer::new(Dialect::Memcached);
        let keys: [&[u8]; 4] = [b"small", b"big", b"wide", b"edge"];
        let get = peer.send(&Request::Get(Keys::new(&keys)), b"", SECOND);
        let next = peer.send(&Request::Incr { key: b"n", delta: 1, noreply: false }, b"", SECOND);
        peer.poll();
        let mut told = peer.reply(&reply[..split]);
        told.extend(peer.reply(&reply[split..]));
        assert_eq!(
            told,
            [
                frame(get, Some(0), Kind::Value, b"hi"),
                Told::Oversized(get, Some(1), too_long(TOO_LONG)),
                Told::Oversized(get, Some(2), Oversized::Flags { flags: 1 << 32 }),
                frame(get, Some(3), Kind::Value, b"e"),
                frame(get, None, Kind::End, b""),
                done(get),
                frame(next, None, Kind::Number, b""),
                done(next),
            ],
            "split at {split}"
        );
    }
}

#[test]
fn a_meta_value_above_the_limit_ends_its_request_and_nobody_elses() {
    let mut peer = Peer::new(Dialect::Memcached);
    let big =
        peer.send(&Request::MetaGet(MetaRequest::new(b"big", MetaFlags::new(b"v"))), b"", SECOND);
    let next = peer.get(b"k");
    peer.poll();
    assert_eq!(
        peer.reply(format!("VA {TOO_LONG} s{TOO_LONG}\r\n").as_bytes()),
        [Told::Oversized(big, None, too_long(TOO_LONG))]
    );
    assert_eq!(peer.reply(&vec![b'x'; TOO_LONG]), []);
    assert_eq!(
        peer.reply(b"\r\nEND\r\n"),
        [done(big), frame(next, None, Kind::End, b""), done(next)]
    );
}

#[test]
fn nothing_is_told_of_a_large_value_that_nobody_waits_for() {
    let mut peer = Peer::new(Dialect::Memcached);
    let (big, next) = (peer.get(b"big"), peer.get(b"k"));
    peer.poll();
    peer.reply(format!("VALUE big 0 {TOO_LONG}\r\nxxx").as_bytes());
    assert_eq!(peer.connection.cancel(big), Some(Cancelled::Unknown));
    peer.reply(&vec![b'x'; TOO_LONG - 3]);
    assert_eq!(peer.reply(b"\r\nEND\r\nEND\r\n"), [frame(next, None, Kind::End, b""), done(next)]);
}

#[test]
fn a_value_that_is_too_large_has_to_end_where_it_says() {
    let mut peer = Peer::new(Dialect::Memcached);
    let big = peer.get(b"big");
    peer.poll();
    peer.reply(format!("VALUE big 0 {TOO_LONG}\r\n").as_bytes());
    peer.reply(&vec![b'x'; TOO_LONG]);
    let end = End::Malformed(ResponseError::BadDataBlock);
    assert_eq!(
        peer.reply(b"xx"),
        [failed(big, AnswerError::Unknown(Reason::End(end))), Told::Close(end)]
    );
}

#[test]
fn what_no_server_can_hold_is_no_response() {
    for reply in [
        format!("VALUE k 0 {}\r\n", MAX_DISCARDED + 1),
        format!("VALUE k {} {}\r\n", 1_u64 << 32, MAX_DISCARDED + 1),
    ] {
        let mut peer = Peer::new(Dialect::Memcached);
        let get = peer.get(b"k");
        peer.poll();
        let length = MAX_DISCARDED as u64 + 1;
        let end = End::Malformed(ResponseError::ValueTooLarge { length });
        assert_eq!(
            peer.reply(reply.as_bytes()),
            [failed(get, AnswerError::Unknown(Reason::End(end))), Told::Close(end)]
        );
    }
}

#[test]
fn an_item_of_a_queue_is_taken_whatever_its_length() {
    for mode in [ReadMode::Remove, ReadMode::Open] {
        let mut peer = Peer::new(Dialect::Kestrel);
        let read = peer.send(&Request::QueueRead(QueueRead::new(b"jobs", mode)), b"", SECOND);
        peer.poll();
        let item = vec![b'x'; TOO_LONG];
        peer.reply(format!("VALUE jobs 0 {TOO_LONG}\r\n").as_bytes());
        peer.reply(&item);
        assert_eq!(
            peer.reply(b"\r\nEND\r\n"),
            [
                frame(read, Some(0), Kind::Value, &item),
                frame(read, None, Kind::End, b""),
                done(read)
            ]
        );
    }
}

#[test]
fn an_error_behind_a_value_is_one_keys_and_the_end_follows() {
    let reply: &[u8] =
        b"VALUE a 0 1\r\na\r\nSERVER_ERROR x\r\nVALUE c 0 1\r\nc\r\nERROR\r\nEND\r\nEND\r\n";
    for split in 0..reply.len() {
        for gat in [false, true] {
            let mut peer = Peer::new(Dialect::Memcached);
            let keys = Keys::new(&[b"a", b"b", b"c", b"d"]);
            let many = if gat { Request::Gats { exptime: 9, keys } } else { Request::Get(keys) };
            let many = peer.send(&many, b"", SECOND);
            let next = peer.get(b"k");
            peer.poll();
            let mut told = peer.reply(&reply[..split]);
            told.extend(peer.reply(&reply[split..]));
            assert_eq!(
                told,
                [
                    frame(many, Some(0), Kind::Value, b"a"),
                    frame(many, None, Kind::ServerError, b""),
                    frame(many, Some(2), Kind::Value, b"c"),
                    frame(many, None, Kind::Error, b""),
                    frame(many, None, Kind::End, b""),
                    done(many),
                    frame(next, None, Kind::End, b""),
                    done(next),
                ]
            );
        }
    }
}

#[test]
fn an_error_before_any_value_leaves_no_one_to_trust() {
    // memcached sends no END behind it, its proxy does: the next request must not get it.
    for behind in ["", "END\r\n", "END\r\nEND\r\n", "VALUE k 0 1\r\nk\r\nEND\r\n"] {
        let mut peer = Peer::new(Dialect::Memcached);
        let many = peer.send(&Request::Get(Keys::new(&[b"a", b"b"])), b"", SECOND);
        let next = peer.get(b"k");
        peer.poll();
        let large = vec![b'x'; 100_000];
        peer.full = true;
        let set = peer.send(&Request::Set(StoreRequest::new(b"k")), &large, SECOND);
        peer.poll();
        let end = Reason::End(End::Ambiguous);
        assert_eq!(
            peer.reply(format!("SERVER_ERROR out of memory\r\n{behind}").as_bytes()),
            [
                frame(many, None, Kind::ServerError, b""),
                done(many),
                failed(next, AnswerError::Unknown(end)),
                failed(set, AnswerError::NotSent(end)),
                Told::Close(End::Ambiguous),
            ],
            "{behind:?}"
        );
        assert!(!End::Ambiguous.is_fault());
    }
}

#[test]
fn an_error_that_answers_one_key_is_all_of_the_reply() {
    let mut peer = Peer::new(Dialect::Memcached);
    let (first, next) = (peer.get(b"a"), peer.get(b"k"));
    peer.poll();
    assert_eq!(
        peer.reply(b"SERVER_ERROR x\r\nEND\r\n"),
        [
            frame(first, None, Kind::ServerError, b""),
            done(first),
            frame(next, None, Kind::End, b""),
            done(next),
        ]
    );
}

#[test]
fn a_batch_to_a_server_that_knows_none_of_it_ends_with_the_barriers_error() {
    let mut batch = Batch::new(Dialect::Memcached, &Limits::default());
    for key in [b"one", b"two"] {
        let delete = Request::MetaDelete(MetaRequest::new(key, MetaFlags::default()));
        batch.push(&delete, Bytes::new()).unwrap();
    }
    let batch = batch.close(Barrier::MetaNoop).unwrap();
    let mut peer = Peer::new(Dialect::Memcached);
    let deletes = peer.connection.send(&batch, peer.now + SECOND).unwrap();
    let next = peer.get(b"k");
    peer.poll();
    let error = || frame(deletes, None, Kind::Error, b"");
    assert_eq!(
        peer.reply(b"ERROR\r\nERROR\r\nERROR\r\nEND\r\n"),
        [error(), error(), error(), done(deletes), frame(next, None, Kind::End, b""), done(next)]
    );
}

#[test]
fn values_that_are_taken_for_commands_end_the_connection() {
    let mut batch = Batch::new(Dialect::Memcached, &Limits::default());
    let set = Request::MetaSet(MetaRequest::new(b"k", MetaFlags::default()));
    batch.push(&set, Bytes::from_static(b"version")).unwrap();
    let batch = batch.close(Barrier::MetaNoop).unwrap();
    let mut peer = Peer::new(Dialect::Memcached);
    let sets = peer.connection.send(&batch, peer.now + SECOND).unwrap();
    let next = peer.get(b"k");
    peer.poll();
    assert_eq!(
        peer.reply(b"ERROR\r\nVERSION 1\r\nERROR\r\nEND\r\n"),
        [
            frame(sets, None, Kind::Error, b""),
            done(sets),
            failed(next, AnswerError::Unknown(Reason::End(End::Ambiguous))),
            Told::Close(End::Ambiguous),
        ]
    );
}
