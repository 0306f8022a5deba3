//! Tracking requests: a line with method and target, headers, an empty line, a body.

use std::io::Write;

use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};

use crate::Source;
use crate::reference::base64;

/// Tokens of tracking requests.
pub const DICTIONARY: &[&[u8]] = &[
    b"GET /track?",
    b"POST /track?",
    b"PUT /track",
    b"GET /track/",
    b"OPTIONS /track",
    b"HEAD /track",
    b"POST /import?strict=1",
    b"POST /engage?",
    b"GET /groups/?",
    b"Authorization: Basic dDE6\r\n",
    b"Authorization: Basic YWNjb3VudC4xOnNlY3JldA==\r\n",
    b"&api_key=k",
    b"&project_id=12",
    b"&strict=1",
    b"Content-Type: application/x-ndjson\r\n",
    b"{\"$token\":\"t\",\"$distinct_id\":\"d\",\"$set\":{\"a\":1}}\n",
    b"{\"$token\":\"t\",\"$group_key\":\"k\",\"$group_id\":\"g\",\"$union\":{\"a\":[1]}}",
    b"\"$add\":{\"a\":1}",
    b"\"$unset\":[\"a\"]",
    b"\"$time\":1334859600",
    b"\"$ip\":null",
    b"\"distinct_id\":\"n/a\"",
    b"\"$insert_id\":\"a_b\"",
    b"GET /flags/",
    b"GET /flags/definitions",
    b"GET /settings",
    b"POST /record/",
    b"GET /decide",
    b"data=",
    b"&data=",
    b"&ip=1",
    b"&verbose=1",
    b"&img=1",
    b"&test=1",
    b"&callback=f",
    b"&callback=a.b%2e$c",
    b"&redirect=http://ok.example/x",
    b"&redirect=",
    b"&redirect=http://a:1.good.example/",
    b"&redirect=http://[x.good.example",
    b"&redirect=http://.good.example",
    b"&redirect=http://u@ok.example",
    b"&redirect=https%3A%2F%2Fa.good.example%3A443%2F%C3%A9",
    b"d%61ta=",
    b"%",
    b"%2",
    b"%7B",
    b"%5B",
    b"+",
    b"\xef\xbb\xbf",
    b"{\"event\":\"e\",\"properties\":{\"token\":\"t\"}}",
    b"eyJldmVudCI6ImUiLCJwcm9wZXJ0aWVzIjp7InRva2VuIjoidCJ9fQ==",
    b"\"event\":",
    b"\"properties\":{",
    b"\"token\":\"t\"",
    b"\"token\":\"\"",
    b"\"time\":",
    b"\"time\":1334859600",
    b"\"time\":\"1334859600.5\"",
    b"\"time\":1334859600123",
    b"\"time\":1e99999999999",
    b"\"time\":\"+1334859600\"",
    b"\"time\":\"1.\"",
    b"\"time\":\"1e\"",
    b"\"$test\":1",
    b"&test=1&ip=1",
    b"%63allback=f",
    b"verylongname%20=1",
    b"\"\xf0\x9f\x98\x80\\ud83d\\n\\u00e9\"",
    b"[ [ ] ]",
    b"{ }",
    b"\"time\":100000000000",
    b"\"time\":31536000",
    b"\"time\":31535999.999",
    b"\"time\":99999999.9999",
    b"\"ip\":1",
    b"\"$insert_id\":\"\"",
    b"\"$insert_id\":null",
    b"\"mp_processing_time_ms\":0",
    b"\"$test\":0",
    b"\\u0065vent",
    b"\\ud83d\\ude00",
    b"\xed\xa0\xbd\xed\xb8\x80",
    b"\xed\xa0\xbd",
    b"\xff",
    b"\\ud83d",
    b"\\ude00",
    b"\\\"",
    b"\\u",
    b"NaN",
    b":-Infinity,",
    b"[Infinity",
    b"[[[[]]]]",
    b"[1,2,3,4,5]",
    b"null",
    b"true",
    b"-0",
    b"1e5",
    b"{}",
    b"[]",
    b",",
    b"Content-Type: application/json\r\n",
    b"Content-Type: text/plain; charset=x\r\n",
    b"Content-Type: application/x-www-form-urlencoded\r\n",
    b"Content-Type: image/gif\r\n",
    b"Content-Encoding: gzip\r\n",
    b"Content-Encoding: identity\r\n",
    b"Content-Encoding: deflate\r\n",
    b"Content-Type: multipart/form-data; boundary=x\r\n",
    b"\r\n--x\r\nContent-Disposition: form-data; name=\"verbose\"\r\n\r\n1\r\n--x",
    b"&callback=a[0][12].b",
    b"data=null",
    b"====",
    b"\x1f\x8b\x08\0\0\0\0\0\0\x03",
    b"\x1f\x8b\x08\x1c\0\0\0\0\0\x03\x01\0xname\0comment\0",
    b"Origin: http://o\r\n",
    b"X-Forwarded-For: 1.2.3.4, 5.6.7.8\r\n",
    b"X-Forwarded-For: \"[2001:db8::1]:80\"\r\n",
    b"X-Forwarded-For: [::ffff:1.2.3.4]\r\n",
    b"Forwarded: for=1.2.3.4;proto=http, For=\"[2001:db8::1]:80\" ; by=\"a\\\"b\"\r\n",
    b"Forwarded: ,for=unknown\r\nForwarded: by=5.6.7.8\r\n",
    b"Access-Control-Request-Headers: x, y\r\n",
    b"\r\n\r\n",
];

/// A request.
pub fn request(source: &mut Source<'_>) -> Vec<u8> {
    let path = source.pick(&["/track", "/track", "/import", "/engage", "/groups"]);
    if path == "/import" && source.chance(1, 4) {
        strict_import(source)
    } else {
        sent(source, path)
    }
}

/// A request to a path, in one of the ways that senders have.
fn sent(source: &mut Source<'_>, path: &str) -> Vec<u8> {
    let lines = source.chance(1, 4);
    let mut text = if lines {
        let mut text = Vec::new();
        for _ in 0..source.below(5) {
            text.extend_from_slice(&batch(source, path));
            text.extend_from_slice(source.pick(&[&b"\n"[..], b"\r\n", b"\n\n", b"}\n"]));
        }
        text
    } else {
        batch(source, path)
    };
    if source.chance(1, 8) {
        let bytes: &[u8] =
            source.pick(&[&b"\xed\xa0\xbd\xed\xb8\x80"[..], b"\xed\xb8\x80", b"\xed\xa0", b"\xe9"]);
        let at = source.below(text.len() + 1);
        text.splice(at..at, bytes.iter().copied());
    }
    let query = source.pick(&[
        "",
        "ip=1&",
        "verbose=1&",
        "test=1&ip=1&",
        "img=1&",
        "callback=lib.f&",
        "redirect=http://ok.example/&",
        "strict=1&",
        "api_key=k&",
        "project_id=12&strict=1&",
    ]);
    let mut out = Vec::new();
    let headers = source.pick(&[
        "",
        "Origin: http://o\r\n",
        "X-Forwarded-For: 9.9.9.9\r\n",
        "Forwarded: for=9.9.9.9, for=\"[2001:db8::1]\";proto=https\r\n",
        "Authorization: Basic dDE6\r\n",
        "Authorization: Basic YWNjb3VudC4xOnNlY3JldA==\r\n",
    ]);
    let json = if lines { "x-ndjson" } else { "json" };
    let value = match source.below(4) {
        0 => encoded(&text),
        1 => base64::encode(&text, b"{")
            .iter()
            .map(|byte| if *byte == b'+' { b'-' } else { *byte })
            .collect(),
        _ => base64::encode(&text, b"{"),
    };
    match source.below(6) {
        5 => {
            // The longest boundary has 70 letters.
            let boundary = "x".repeat(source.pick(&[1, 1, 70, 71]));
            out.extend_from_slice(
                format!(
                    "POST {path}?{query}\r\nContent-Type: multipart/form-data; boundary={boundary}\r\n\
                     {headers}\r\n"
                )
                .as_bytes(),
            );
            for (name, value) in [("data", &text[..]), ("verbose", b"1")] {
                let header = source.pick(&["Content-Disposition", "content-disposition", "X"]);
                let end = source.pick(&["\r\n\r\n", "\r\n\r\n", "\r\n\r\n", "\r\n"]);
                out.extend_from_slice(
                    format!("--{boundary}\r\n{header}: form-data; name=\"{name}\"{end}").as_bytes(),
                );
                out.extend_from_slice(value);
                out.extend_from_slice(b"\r\n");
            }
            let end = source.pick(&["--", "--\r\n", "", "\r\n"]);
            out.extend_from_slice(format!("--{boundary}{end}").as_bytes());
        }
        4 => {
            let (encoding, body) = compressed(source, &text);
            out.extend_from_slice(
                format!(
                    "POST {path}?{query}\r\nContent-Type: application/{json}\r\n\
                     Content-Encoding: {encoding}\r\n{headers}\r\n"
                )
                .as_bytes(),
            );
            out.extend_from_slice(&body);
        }
        0 | 1 => {
            out.extend_from_slice(format!("GET {path}?{query}data=").as_bytes());
            out.extend_from_slice(&value);
            out.extend_from_slice(format!("\r\n{headers}\r\n").as_bytes());
        }
        2 => {
            out.extend_from_slice(
                format!("POST {path}?{query}\r\nContent-Type: application/{json}\r\n{headers}\r\n")
                    .as_bytes(),
            );
            out.extend_from_slice(&text);
        }
        _ => {
            out.extend_from_slice(format!("POST {path}\r\n{headers}\r\n{query}data=").as_bytes());
            out.extend_from_slice(&value);
        }
    }
    out
}

/// An import of one event, as it has to be to a sender that asks for that; but for its id, which may be too long.
fn strict_import(source: &mut Source<'_>) -> Vec<u8> {
    let id = source.pick(&["0", "a", "-", "_"]).repeat(source.between(35, 37));
    format!(
        "POST /import?strict=1\r\nContent-Type: application/json\r\nAuthorization: Basic dDE6\r\n\r\n\
         {{\"event\":\"e\",\"properties\":{{\"time\":1334859600,\"distinct_id\":\"d\",\"$insert_id\":\"{id}\"}}}}"
    )
    .into_bytes()
}

/// A compressed body, now and then a damaged one.
fn compressed(source: &mut Source<'_>, text: &[u8]) -> (&'static str, Vec<u8>) {
    fn written<W: Write>(mut encoder: W, text: &[u8], flush: bool) -> W {
        for piece in text.chunks(40) {
            encoder.write_all(piece).expect("memory takes everything");
            if flush {
                encoder.flush().expect("memory takes everything");
            }
        }
        encoder
    }
    let level = Compression::new(source.pick(&[6, 0, 1, 9]));
    let mut text = text.to_vec();
    if source.chance(1, 4) {
        // As much as is taken, or little more or less; without compression it is no question of the ratio.
        text.resize(text.len().max(source.between(399, 402)), b' ');
    }
    let text = &text[..];
    let flush = source.chance(1, 4);
    let (encoding, body) = match source.below(4) {
        0 | 1 => ("gzip", written(GzEncoder::new(Vec::new(), level), text, flush).finish()),
        2 => ("deflate", written(ZlibEncoder::new(Vec::new(), level), text, flush).finish()),
        _ => ("deflate", written(DeflateEncoder::new(Vec::new(), level), text, flush).finish()),
    };
    let mut body = body.expect("memory takes everything");
    if source.chance(1, 6) {
        body.extend_from_slice(&body.clone());
    }
    if source.chance(1, 6) {
        body.extend_from_slice(source.pick(&[&b"\0\0"[..], b"x"]));
    }
    if source.chance(1, 6) {
        body.truncate(source.below(body.len() + 1));
    }
    (encoding, body)
}

fn encoded(text: &[u8]) -> Vec<u8> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"\"{}[]:,._-".contains(&byte);
    text.iter()
        .flat_map(
            |&byte| if plain(byte) { vec![byte] } else { format!("%{byte:02X}").into_bytes() },
        )
        .collect()
}

fn batch(source: &mut Source<'_>, path: &str) -> Vec<u8> {
    let record = if matches!(path, "/engage" | "/groups") { update } else { event };
    let mut out = String::new();
    match source.below(4) {
        0 => {
            out.push('[');
            for at in 0..source.below(5) {
                if at > 0 {
                    out.push(',');
                }
                record(source, &mut out);
            }
            out.push(']');
        }
        _ => record(source, &mut out),
    }
    out.into_bytes()
}

/// Where seconds end and milliseconds begin, and where the past does and the future.
const TIMES: [&str; 8] = [
    "100000000000",
    "99999999999",
    "99999999999.999",
    "31536000",
    "31535999.999",
    "1334863201.234",
    "1334863201235",
    "\"100000000000.0\"",
];

fn event(source: &mut Source<'_>, out: &mut String) {
    out.push_str("{\"event\":");
    string(source, out);
    if source.chance(1, 30) {
        out.push_str(",\"properties\":[]}");
        return;
    }
    out.push_str(",\"properties\":{");
    out.push_str(if source.chance(1, 8) { "\"b\":1" } else { "\"token\":\"t\"" });
    for _ in 0..source.below(5) {
        out.push(',');
        let known = [
            "\"time\"",
            "\"ip\"",
            "\"$insert_id\"",
            "\"$test\"",
            "\"mp_processing_time_ms\"",
            "\"token\"",
            "\"a\"",
            "\"\\u0061\"",
        ];
        let name = source.chance(1, 2).then(|| source.pick(&known));
        match name {
            Some(name) => out.push_str(name),
            None => string(source, out),
        }
        out.push(':');
        if name == Some("\"time\"") && source.chance(1, 2) {
            out.push_str(source.pick(&TIMES));
        } else if name == Some("\"$insert_id\"") && source.chance(1, 2) {
            let length = source.pick(&[36, 37, 1, 32]);
            out.push_str(&format!("\"{}\"", source.pick(&["0", "a", "-", "_"]).repeat(length)));
        } else {
            value(source, out, 4);
        }
    }
    out.push('}');
    if source.chance(1, 4) {
        out.push_str(" ,\"other\" : ");
        value(source, out, 2);
    }
    out.push('}');
}

fn update(source: &mut Source<'_>, out: &mut String) {
    out.push_str("{\"$token\":\"t\"");
    out.push_str(source.pick(&[
        ",\"$distinct_id\":\"d\"",
        ",\"$distinct_id\":13793",
        ",\"$distinct_id\":\"null\"",
        ",\"$group_key\":\"k\",\"$group_id\":\"g\"",
        "",
    ]));
    for _ in 0..source.below(4) {
        let known = [
            ",\"$set\":",
            ",\"$set_once\":",
            ",\"$add\":",
            ",\"$append\":",
            ",\"$union\":",
            ",\"$remove\":",
            ",\"$unset\":",
            ",\"$delete\":",
            ",\"$time\":",
            ",\"$ip\":",
            ",\"mp_processing_time_ms\":",
            ",\"$ignore_time\":",
        ];
        out.push_str(source.pick(&known));
        match source.below(4) {
            0 => value(source, out, 4),
            1 => {
                let values = ["{\"a\":1}", "{\"a\":[1]}", "[\"a\"]", "{\"a\":\"b\"}"];
                out.push_str(source.pick(&values));
            }
            _ => {
                out.push_str("{\"a\":");
                value(source, out, 3);
                out.push('}');
            }
        }
    }
    out.push('}');
}

fn string(source: &mut Source<'_>, out: &mut String) {
    out.push('"');
    let pieces =
        ["a", "event", "é", "\\n", "\\ud83d\\ude00", "\\udc00", "\\\"", "0", "\\u0041", "😀"];
    for _ in 0..source.below(4) {
        out.push_str(source.pick(&pieces));
    }
    out.push('"');
}

fn value(source: &mut Source<'_>, out: &mut String, depth: usize) {
    let numbers = [
        "0",
        "-1",
        "1334859600",
        "1334859600123",
        "1.5e3",
        "1334859600.25",
        "133485960e1",
        "1e400",
        "-0.0",
        "12345678901234567890123456789",
        // No JSON, but what some senders write.
        "NaN",
        "Infinity",
        "-Infinity",
        "-NaN",
    ];
    match source.below(8) {
        0 => out.push_str("null"),
        1 => out.push_str("true"),
        2 | 3 => out.push_str(source.pick(&numbers)),
        4 => {
            out.push('"');
            out.push_str(source.pick(&["", "", "+", " "]));
            out.push_str(source.pick(&numbers));
            out.push('"');
        }
        5 if depth > 0 => {
            out.push_str("[ ");
            for at in 0..source.below(6) {
                if at > 0 {
                    out.push(',');
                }
                value(source, out, depth - 1);
            }
            out.push(']');
        }
        6 if depth > 0 => {
            out.push('{');
            for at in 0..source.below(6) {
                if at > 0 {
                    out.push_str(" ,");
                }
                string(source, out);
                out.push(':');
                value(source, out, depth - 1);
            }
            out.push('}');
        }
        _ => string(source, out),
    }
}
