//! Replies whose frames were found by who reads the socket are told as those that the cluster reads itself.

use bytes::Bytes;
use windhover_core::client::{Call, ClusterOptions, ConnectionId};
use windhover_core::memcache::meta::{MetaFlags, MetaRequest};
use windhover_core::memcache::request::{Prepared, Request, StoreRequest};
use windhover_core::memcache::{Dialect, Keys, Received, ReplyParser};

use crate::client::{Client, ms};

const REPLIES: [&str; 26] = [
    "END\r\n",
    "STORED\r\n",
    "NOT_STORED\r\n",
    "EXISTS\r\n",
    "DELETED\r\n",
    "NOT_FOUND\r\n",
    "TOUCHED\r\n",
    "OK\r\n",
    "RESET\r\n",
    "7\r\n",
    "HD\r\n",
    "EN\r\n",
    "NF\r\n",
    "VA 1\r\nv\r\n",
    "VERSION 1\r\n",
    "STAT a b\r\nEND\r\n",
    "ERROR\r\n",
    "SERVER_ERROR x\r\n",
    "CLIENT_ERROR x\r\n",
    "VALUE k 0 1\r\nv\r\nEND\r\n",
    "VALUE k 0 1 5\r\nv\r\nVALUE l 1 2\r\nww\r\nEND\r\n",
    "VALUE k 0 1\r\nv\r\nSTORED\r\n",
    "VALUE k 0 1\r\nv\r\nSERVER_ERROR x\r\nEND\r\n",
    "VALUE l 0 1\r\nv\r\nEND\r\n",
    "VALUE k 0 1\r\nvv\r\nEND\r\n",
    "nonsense\r\n",
];

fn requests() -> Vec<(Request<'static>, &'static [u8])> {
    let (key, noreply) = (b"k", false);
    let meta = MetaRequest::new(key, MetaFlags::new(b"v"));
    vec![
        (Request::Get(Keys::new(&[b"k"])), b""),
        (Request::Gets(Keys::new(&[b"k", b"l"])), b""),
        (Request::Set(StoreRequest::new(key)), b"v"),
        (Request::Delete { key, noreply }, b""),
        (Request::Incr { key, delta: 1, noreply }, b""),
        (Request::Touch { key, exptime: 0, noreply }, b""),
        (Request::MetaGet(meta), b""),
        (Request::Version, b""),
        (Request::Stats { arguments: b"" }, b""),
    ]
}

/// What becomes of a request, and of one behind it, when those pieces come.
fn outcome(
    (request, data): &(Request<'_>, &'static [u8]),
    pieces: [&str; 2],
    reader: Reader,
) -> String {
    let mut client = Client::new(ClusterOptions::default(), &["a"]);
    let limits = client.cluster.options().limits.clone();
    let behind = Request::Get(Keys::new(&[b"other"]));
    let calls = [(request, *data), (&behind, &b""[..])].map(|(request, data)| {
        let data = Bytes::from_static(data);
        let prepared = Prepared::new(request, data, Dialect::Memcached, &limits).unwrap();
        client.submit(Call::write(prepared), ms(100))
    });
    let connection = client.accept("a");
    client.wire(connection);
    let mut received = Received::new();
    for piece in pieces {
        match reader {
            Reader::Cluster => client.reply(connection, piece),
            Reader::Apart => read_apart(&mut client, connection, &mut received, piece),
        }
    }
    let is_over = calls.map(|call| client.is_over(call));
    client.after(ms(200));
    format!("{is_over:?} {:?}", calls.map(|call| client.outcome(call)))
}

#[derive(Clone, Copy)]
enum Reader {
    Cluster,
    Apart,
}

fn read_apart(client: &mut Client, from: ConnectionId, received: &mut Received, bytes: &str) {
    let options = client.cluster.options();
    let parser = ReplyParser::new(options.dialect, &options.limits);
    received.read_buffer().extend_from_slice(bytes.as_bytes());
    loop {
        let has_more = received.parse(&parser);
        client.cluster.take_received(from, received);
        client.settle();
        client.cluster.return_received(from, received);
        if !has_more {
            return;
        }
    }
}

#[test]
fn a_reply_is_the_same_whoever_finds_its_frames() {
    for request in requests() {
        for reply in REPLIES {
            for at in 0..reply.len() {
                let (front, back) = reply.split_at(at);
                let [apart, expected] = [Reader::Apart, Reader::Cluster]
                    .map(|reader| outcome(&request, [front, back], reader));
                assert_eq!(apart, expected, "{:?}: {front:?}, {back:?}", request.0);
            }
        }
    }
}
