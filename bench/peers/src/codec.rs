//! The codec beside others: the cases, and how each library does them.

use std::hint::black_box;

use async_memcached_parser::parser::{parse_ascii_response, parse_meta_get_response};
use bytes::{Bytes, BytesMut};
use memcache_proto::{Command as ProtoCommand, Request, Response, ResponseBytes};
use windhover_bench_cases::codec::{Codec, Command, KEY, Reply, data, replies, requests};
use windhover_bench_cases::tracker::{self, Tracking};

use crate::timing::Timed;
use crate::tracking;

const SIZES: [(usize, &str); 4] =
    [(0, "0 B"), (100, "100 B"), (4096, "4 KiB"), (1024 * 1024, "1 MiB")];
const COUNTS: [usize; 2] = [1, 64];

/// All of them; those of one case stand together.
pub fn cases() -> Vec<Timed> {
    let mut cases = Vec::new();
    for (command, name) in [
        (Command::Get, "get"),
        (Command::Set, "set"),
        (Command::MetaGet, "mg"),
        (Command::MetaSet, "ms"),
    ] {
        let with_data = matches!(command, Command::Set | Command::MetaSet);
        for (size, bytes) in if with_data { &SIZES[..] } else { &SIZES[..1] } {
            for count in COUNTS {
                let what = if with_data { format!("{name} {bytes}") } else { name.to_owned() };
                parse_requests(
                    &mut cases,
                    &format!("parse a request: {what} × {count}"),
                    command,
                    *size,
                    count,
                );
                encode_requests(
                    &mut cases,
                    &format!("encode a request: {what} × {count}"),
                    command,
                    *size,
                    count,
                );
            }
        }
    }
    for (reply, name) in [(Reply::Hit, "VALUE"), (Reply::MetaHit, "VA")] {
        for (size, bytes) in SIZES {
            for count in COUNTS {
                let what = format!("{name} {bytes} × {count}");
                parse_replies(&mut cases, &format!("parse a reply: {what}"), reply, size, count);
                encode_replies(&mut cases, &format!("encode a reply: {what}"), reply, size, count);
            }
        }
    }
    decode(&mut cases);
    // Stable: who is compared stays in order.
    let order =
        ["parse a request", "parse a reply", "encode a request", "encode a reply", "decode"];
    cases.sort_by_key(|timed| order.iter().position(|first| timed.case.starts_with(first)));
    cases
}

/// Adds cases of one name, each of so many messages.
struct Adding<'a>(&'a mut Vec<Timed>, &'a str, usize);

impl Adding<'_> {
    fn by(&mut self, name: &'static str, mut call: impl FnMut() -> usize + 'static) {
        // Whoever does nothing is quick: each has to do all of it before it is timed.
        assert!(call() >= self.2, "{name} did not take every message of `{}`", self.1);
        let (case, messages) = (self.1.to_owned(), self.2);
        self.0.push(Timed { case, name, messages, call: Box::new(call) });
    }
}

/// Calls `parse` until all of `wire` is taken: how many messages there were.
fn each<'a, T>(mut wire: &'a [u8], mut parse: impl FnMut(&'a [u8]) -> Option<(T, usize)>) -> usize {
    let mut count = 0;
    while !wire.is_empty() {
        let Some((message, consumed)) = parse(wire) else { return 0 };
        black_box(&message);
        count += 1;
        wire = &wire[consumed..];
    }
    count
}

/// Finds the end of each message's line; what follows the line is skipped, not searched.
fn lines(wire: &[u8], skip: usize) -> usize {
    each(wire, |wire| memchr::memchr(b'\n', wire).map(|at| (at, at + 1 + skip)))
}

fn parse_requests(all: &mut Vec<Timed>, case: &str, command: Command, size: usize, count: usize) {
    let wire = requests(command, size, count);
    let mut cases = Adding(all, case, count);
    let (codec, input) = (Codec::default(), wire.clone());
    cases.by("windhover", move || codec.parse_requests(black_box(&input)).0);
    if matches!(command, Command::Get | Command::Set) {
        let input = wire.clone();
        cases.by("memcache-proto", move || {
            each(black_box(&input), |wire| ProtoCommand::parse(wire).ok())
        });
    }
    let block = if matches!(command, Command::Set | Command::MetaSet) { size + 2 } else { 0 };
    cases.by("memchr alone", move || lines(black_box(&wire), block));
}

fn encode_requests(all: &mut Vec<Timed>, case: &str, command: Command, size: usize, count: usize) {
    let mut cases = Adding(all, case, count);
    let (codec, input) = (Codec::default(), data(size));
    let mut out = BytesMut::with_capacity((size + 64) * count);
    cases.by("windhover", move || {
        out.clear();
        codec.encode_requests(command, black_box(&input), count, &mut out);
        out.len()
    });
    if matches!(command, Command::Get | Command::Set) {
        let (input, mut out) = (data(size), vec![0; (size + 64) * count]);
        cases.by("memcache-proto", move || {
            let input = black_box(&input);
            (0..count).fold(0, |at, _| {
                at + match command {
                    Command::Get => Request::get(black_box(KEY)).encode(&mut out[at..]),
                    _ => Request::set(black_box(KEY), input).encode(&mut out[at..]),
                }
            })
        });
    }
}

fn parse_replies(all: &mut Vec<Timed>, case: &str, reply: Reply, size: usize, count: usize) {
    let wire = replies(reply, size, count);
    let mut cases = Adding(all, case, count);
    let (codec, input) = (Codec::default(), wire.clone());
    cases.by("windhover", move || codec.parse_replies(black_box(&input)).0);
    let input = wire.clone();
    if reply == Reply::Hit {
        cases.by("memcache-proto", move || {
            each(black_box(&input), |wire| Response::parse(wire).ok())
        });
        let input = Bytes::from(wire.clone());
        cases.by("memcache-proto, Bytes", move || {
            let whole = black_box(&input);
            let mut at = 0;
            each(whole, |_| {
                let (response, consumed) = ResponseBytes::parse(whole.slice(at..)).ok()?;
                at += consumed;
                Some((response, consumed))
            })
        });
        let input = wire.clone();
        cases.by("async-memcached", move || {
            each(black_box(&input), |wire| {
                parse_ascii_response(wire).ok()?.map(|(taken, message)| (message, taken))
            })
        });
    } else {
        cases.by("async-memcached", move || {
            each(black_box(&input), |wire| {
                parse_meta_get_response(wire).ok()?.map(|(taken, message)| (message, taken))
            })
        });
    }
    let rest = size + 2 + if reply == Reply::Hit { b"END\r\n".len() } else { 0 };
    cases.by("memchr alone", move || lines(black_box(&wire), rest));
}

fn encode_replies(all: &mut Vec<Timed>, case: &str, reply: Reply, size: usize, count: usize) {
    let mut cases = Adding(all, case, count);
    let (codec, input) = (Codec::default(), data(size));
    let mut out = BytesMut::with_capacity((size + 64) * count);
    cases.by("windhover", move || {
        out.clear();
        codec.encode_replies(reply, black_box(&input), count, &mut out);
        out.len()
    });
    if reply == Reply::Hit {
        let (input, mut out) = (data(size), vec![0; (size + 64) * count]);
        cases.by("memcache-proto", move || {
            let input = black_box(&input);
            (0..count).fold(0, |at, _| {
                let at = at + Response::encode_value(&mut out[at..], black_box(KEY), 0, input);
                at + Response::encode_end(&mut out[at..])
            })
        });
    }
}

/// Tracking requests that are parsed as HTTP already, and httparse alone on their heads.
fn decode(all: &mut Vec<Timed>) {
    let query = format!("data={}", tracker::EVENT_BASE64);
    let mut cases = Adding(all, "decode tracking: GET, base64", 1);
    let (mut decoder, input) = (Tracking::default(), query.clone());
    cases.by("windhover", move || decoder.get(black_box(&input)));
    let uri: http::Uri = format!("/track?{query}").parse().expect("a URI");
    cases.by("axum, serde_json", move || tracking::get(black_box(&uri)).map_or(0, |e| e.len()));
    let wire = tracker::get();
    cases.by("httparse alone", move || head(black_box(&wire)));

    for count in [1, 50] {
        let case = format!("decode tracking: POST, JSON × {count}");
        let mut cases = Adding(all, &case, count);
        let (mut decoder, input) = (Tracking::default(), tracker::json(count));
        cases.by("windhover", move || decoder.post(black_box(&input)));
        let input = tracker::json(count);
        cases.by("axum, serde_json", move || {
            tracking::json(black_box(input.as_bytes())).map_or(0, |events| events.len())
        });
        let wire = tracker::post(count);
        cases.by("httparse alone", move || head(black_box(&wire)).max(1) * count);
    }
}

fn head(wire: &[u8]) -> usize {
    let mut headers = [httparse::EMPTY_HEADER; 16];
    let mut request = httparse::Request::new(&mut headers);
    match request.parse(wire) {
        Ok(httparse::Status::Complete(length)) => length,
        _ => 0,
    }
}
