//! How many instructions the codec, the tracking decoder, and one turn of each connection take, each
//! run once under callgrind. `bench/gate` runs this and compares the counts with their baseline.
//!
//! Every case is warmed up before it is counted: what is done once per process (the choice of `memchr`'s
//! vector code, the look-up of the C library's functions) and once per connection is left out.
#![allow(missing_docs, reason = "what the macros make is for the harness alone")]

use std::hint::black_box;

use bytes::{Bytes, BytesMut};
use gungraun::prelude::*;
use windhover_bench_cases::calls::{self, Calls};
use windhover_bench_cases::client::{Call, Client};
use windhover_bench_cases::codec::{self, Codec, Command, Reply};
use windhover_bench_cases::server::Server;
use windhover_bench_cases::tracker::{self, Seen, Tracker, Tracking};

/// A codec and the bytes that it is to parse.
type Input = (Codec, Vec<u8>);

fn requests(command: Command, size: usize, count: usize) -> Input {
    let (codec, wire) = (Codec::default(), codec::requests(command, size, count));
    black_box(codec.parse_requests(black_box(&wire)));
    (codec, wire)
}

#[library_benchmark(setup = requests)]
#[bench::get(Command::Get, 0, 1)]
#[bench::get_64(Command::Get, 0, 64)]
#[bench::set(Command::Set, 100, 1)]
#[bench::set_64(Command::Set, 100, 64)]
#[bench::set_1m(Command::Set, 1024 * 1024, 1)]
#[bench::mg(Command::MetaGet, 0, 1)]
#[bench::mg_64(Command::MetaGet, 0, 64)]
#[bench::ms(Command::MetaSet, 100, 1)]
#[bench::ms_64(Command::MetaSet, 100, 64)]
fn parse_request((codec, wire): Input) -> Input {
    black_box(codec.parse_requests(black_box(&wire)));
    (codec, wire)
}

fn replies(reply: Reply, size: usize, count: usize) -> Input {
    let (codec, wire) = (Codec::default(), codec::replies(reply, size, count));
    black_box(codec.parse_replies(black_box(&wire)));
    (codec, wire)
}

#[library_benchmark(setup = replies)]
#[bench::hit(Reply::Hit, 100, 1)]
#[bench::hit_64(Reply::Hit, 100, 64)]
#[bench::hit_1m(Reply::Hit, 1024 * 1024, 1)]
#[bench::meta_hit(Reply::MetaHit, 100, 1)]
#[bench::meta_hit_64(Reply::MetaHit, 100, 64)]
#[bench::stored(Reply::Stored, 0, 1)]
fn parse_reply((codec, wire): Input) -> Input {
    black_box(codec.parse_replies(black_box(&wire)));
    (codec, wire)
}

/// A codec, the data of what it is to encode, and where that goes.
type Output = (Codec, Vec<u8>, BytesMut);

fn room(size: usize, count: usize) -> Output {
    (Codec::default(), codec::data(size), BytesMut::with_capacity((size + 64) * count))
}

fn request_room(command: Command, size: usize, count: usize) -> (Command, usize, Output) {
    let (codec, data, mut out) = room(size, count);
    codec.encode_requests(command, &data, count, &mut out);
    out.clear();
    (command, count, (codec, data, out))
}

#[library_benchmark(setup = request_room)]
#[bench::get(Command::Get, 0, 1)]
#[bench::set(Command::Set, 100, 1)]
#[bench::set_64(Command::Set, 100, 64)]
#[bench::mg(Command::MetaGet, 0, 1)]
#[bench::ms(Command::MetaSet, 100, 1)]
fn encode_request((command, count, (codec, data, mut out)): (Command, usize, Output)) -> Output {
    codec.encode_requests(command, black_box(&data), count, black_box(&mut out));
    (codec, data, out)
}

fn reply_room(reply: Reply, size: usize, count: usize) -> (Reply, usize, Output) {
    let (codec, data, mut out) = room(size, count);
    codec.encode_replies(reply, &data, count, &mut out);
    out.clear();
    (reply, count, (codec, data, out))
}

#[library_benchmark(setup = reply_room)]
#[bench::hit(Reply::Hit, 100, 1)]
#[bench::hit_64(Reply::Hit, 100, 64)]
#[bench::meta_hit(Reply::MetaHit, 100, 1)]
#[bench::stored(Reply::Stored, 0, 1)]
fn encode_reply((reply, count, (codec, data, mut out)): (Reply, usize, Output)) -> Output {
    codec.encode_replies(reply, black_box(&data), count, black_box(&mut out));
    (codec, data, out)
}

fn server(command: Command, size: usize, count: usize) -> (Server, Vec<u8>) {
    let (mut server, wire) = (Server::new(size), codec::requests(command, size, count));
    for _ in 0..4 {
        black_box(server.turn(&wire));
    }
    (server, wire)
}

#[library_benchmark(setup = server)]
#[bench::get(Command::Get, 100, 1)]
#[bench::get_64(Command::Get, 100, 64)]
#[bench::set(Command::Set, 100, 1)]
#[bench::mg(Command::MetaGet, 100, 1)]
fn server_turn((mut server, wire): (Server, Vec<u8>)) -> (Server, Vec<u8>) {
    black_box(server.turn(black_box(&wire)));
    (server, wire)
}

/// A connection, what it is to ask, with which data, and how often.
type Asking = (Client, Call, Bytes, usize);

fn client(call: Call, size: usize, count: usize) -> Asking {
    let (mut client, data) = (Client::new(call, size), Bytes::from(codec::data(size)));
    for _ in 0..4 {
        black_box(client.turn(call, &data, count));
    }
    (client, call, data, count)
}

#[library_benchmark(setup = client)]
#[bench::get(Call::Get, 100, 1)]
#[bench::get_64(Call::Get, 100, 64)]
#[bench::set(Call::Set, 100, 1)]
fn client_turn((mut client, call, data, count): Asking) -> Asking {
    black_box(client.turn(call, black_box(&data), count));
    (client, call, data, count)
}

/// A typed client, what it is to ask, with which data, and how often.
type Calling = (Option<Calls>, Call, Bytes, usize);

fn calls(call: Call, size: usize, count: usize) -> Calling {
    let (mut calls, data) = (Calls::new(call, size), Bytes::from(codec::data(size)));
    for _ in 0..4 {
        black_box(calls.as_mut().map(|calls| calls.turn(call, &data, count)));
    }
    (calls, call, data, count)
}

#[library_benchmark(setup = calls)]
#[bench::get(Call::Get, 100, 1)]
#[bench::get_64(Call::Get, 100, 64)]
#[bench::set(Call::Set, 100, 1)]
#[bench::set_64(Call::Set, 100, 64)]
fn client_call((mut calls, call, data, count): Calling) -> Calling {
    black_box(calls.as_mut().map(|calls| calls.turn(call, black_box(&data), count)));
    (calls, call, data, count)
}

/// A typed client, and the keys that it is to ask for in one call.
type ManyKeys = (Option<Calls>, Vec<String>);

fn many_keys(size: usize, count: usize) -> ManyKeys {
    let keys: Vec<String> = (0..count).map(calls::key).collect();
    let mut calls = Calls::of_keys(size, count);
    for _ in 0..4 {
        black_box(calls.as_mut().map(|calls| calls.get_many(&keys)));
    }
    (calls, keys)
}

#[library_benchmark(setup = many_keys)]
#[bench::keys_100(100, 100)]
fn client_call_many((mut calls, keys): ManyKeys) -> ManyKeys {
    black_box(calls.as_mut().map(|calls| calls.get_many(black_box(&keys))));
    (calls, keys)
}

/// A decoder, and the query and the body that it is to decode.
type Events = (Tracking, String);

fn query() -> Events {
    let (mut tracking, query) = (Tracking::default(), format!("data={}", tracker::EVENT_BASE64));
    black_box(tracking.get(&query));
    (tracking, query)
}

#[library_benchmark(setup = query)]
#[bench::base64()]
fn decode_get((mut tracking, query): Events) -> Events {
    black_box(tracking.get(black_box(&query)));
    (tracking, query)
}

fn body(count: usize) -> Events {
    let (mut tracking, json) = (Tracking::default(), tracker::json(count));
    black_box(tracking.post(&json));
    (tracking, json)
}

fn body_with_id() -> Events {
    let (mut tracking, json) = (Tracking::default(), tracker::EVENT_WITH_ID.to_owned());
    black_box(tracking.post(&json));
    (tracking, json)
}

#[library_benchmark]
#[bench::full(Seen::default())]
fn dedup_insert(mut seen: Seen) -> Seen {
    black_box(seen.insert());
    seen
}

#[library_benchmark(setup = body)]
#[bench::json_1(1)]
#[bench::json_50(50)]
#[bench::json_1_with_id(args = (), setup = body_with_id)]
fn decode_post((mut tracking, json): Events) -> Events {
    black_box(tracking.post(black_box(&json)));
    (tracking, json)
}

fn tracker(wire: Vec<u8>) -> (Tracker, Vec<u8>) {
    let mut tracker = Tracker::default();
    for _ in 0..4 {
        black_box(tracker.turn(&wire));
    }
    (tracker, wire)
}

#[library_benchmark(setup = tracker)]
#[bench::get(tracker::get())]
#[bench::post_1(tracker::post(1))]
fn tracker_turn((mut tracker, wire): (Tracker, Vec<u8>)) -> (Tracker, Vec<u8>) {
    black_box(tracker.turn(black_box(&wire)));
    (tracker, wire)
}

library_benchmark_group!(
    name = instructions,
    benchmarks = [
        parse_request,
        parse_reply,
        encode_request,
        encode_reply,
        server_turn,
        client_turn,
        client_call,
        client_call_many,
        decode_get,
        decode_post,
        dedup_insert,
        tracker_turn
    ]
);
main!(library_benchmark_groups = instructions);
