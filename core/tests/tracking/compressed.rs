//! Compressed bodies, as senders build them, and what is answered to those that cannot be read.

use std::io::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
use windhover_core::http::{Headers, Method, Request, Response};
use windhover_core::tracking::{DecodeError, InflateFault, OverBudget};

use crate::support::{Outcome, Tracker};

const EVENT: &str =
    r#"{"event":"e","properties":{"token":"t","time":1334859600,"$insert_id":"i"}}"#;
const LINE: &str = r#"{"event":"e","properties":{"token":"t","time":1334859600000,"$insert_id":"i","mp_processing_time_ms":1334859601234}}"#;
const JSON: (&str, &[u8]) = ("Content-Type", b"application/json");
const FORM: (&str, &[u8]) = ("content-type", b"application/x-www-form-urlencoded;charset=utf8");
const GZIP: (&str, &[u8]) = ("Content-Encoding", b"gzip");

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

fn post(query: &str, headers: &[(&str, &[u8])], body: &[u8]) -> Outcome {
    let mut request = Request::new(Method::Post, "/track", query);
    request.headers = Headers::new(headers);
    request.body = body;
    Tracker::default().send(&request)
}

fn header<'a>(response: &'a Response, name: &str) -> Option<&'a str> {
    response.headers.iter().find(|(key, _)| *key == name).map(|(_, value)| &**value)
}

#[test]
fn senders_compress_forms_and_json() {
    let base64 = STANDARD.encode(format!("[{EVENT}]"));
    // As the Java library: base64 in a form, percent-encoded.
    let form = format!("data={}", base64.replace('+', "%2B").replace('=', "%3D"));
    assert_eq!(post("ip=0", &[FORM, GZIP], &gzip(&form)).events, [LINE]);
    // As the one for Android: parameters beside it.
    let form = format!("data={base64}&verbose=1");
    let outcome = post("", &[GZIP, FORM], &gzip(&form));
    assert_eq!(outcome.body(), r#"{"status":1,"error":null}"#);
    // As the one for iOS: JSON.
    assert_eq!(post("ip=0&verbose=1", &[JSON, GZIP], &gzip(&format!("[{EVENT}]"))).events, [LINE]);
    // A beacon cannot name its encoding.
    assert_eq!(post("", &[("Content-Type", b"text/plain")], &gzip(EVENT)).events, [LINE]);
    assert_eq!(post("", &[], &gzip(EVENT)).events, [LINE]);
}

#[test]
fn the_encoding_has_several_names() {
    let mut zlib = ZlibEncoder::new(Vec::new(), Compression::default());
    zlib.write_all(EVENT.as_bytes()).unwrap();
    let mut deflate = DeflateEncoder::new(Vec::new(), Compression::default());
    deflate.write_all(EVENT.as_bytes()).unwrap();
    let (gzip, zlib, deflate) = (gzip(EVENT), zlib.finish().unwrap(), deflate.finish().unwrap());
    for (encodings, body) in [
        (&["gzip"][..], &gzip[..]),
        (&["GZip"], &gzip),
        (&["x-gzip"], &gzip),
        (&["gzip, identity"], &gzip),
        (&["identity", "gzip"], &gzip),
        (&["deflate"], &zlib),
        (&["Deflate"], &deflate),
        (&["identity"], EVENT.as_bytes()),
        (&["Identity, "], EVENT.as_bytes()),
        (&[""], EVENT.as_bytes()),
        (&[], EVENT.as_bytes()),
    ] {
        let mut headers = vec![JSON];
        headers.extend(encodings.iter().map(|it| ("Content-Encoding", it.as_bytes())));
        assert_eq!(post("", &headers, body).events, [LINE], "{encodings:?}");
    }
}

#[test]
fn what_cannot_be_read_is_not_answered_200() {
    let good = gzip(EVENT);
    for encodings in [&["br"][..], &["zstd"], &["gzip, gzip"], &["gzip", "br"], &["aes128gcm"]] {
        let mut headers = vec![JSON];
        headers.extend(encodings.iter().map(|it| ("Content-Encoding", it.as_bytes())));
        let outcome = post("verbose=1", &headers, &good);
        assert_eq!(outcome.result, Err(DecodeError::ContentEncoding), "{encodings:?}");
        let answer = outcome.answer();
        assert_eq!(answer.status.0, 415);
        assert_eq!(header(&answer, "Accept-Encoding"), Some("gzip, deflate"));
        assert_eq!(
            outcome.body(),
            r#"{"status":0,"error":"the Content-Encoding of the body is not read here: use one of gzip, deflate, or none"}"#
        );
    }
    let damaged = |fault| Err(DecodeError::Inflate { fault });
    for (body, expected) in [
        (EVENT.as_bytes(), damaged(InflateFault::Damaged)),
        (&good[..good.len() - 1], damaged(InflateFault::Cut)),
        (&[&good[..], b"x"].concat(), damaged(InflateFault::Cut)),
    ] {
        let outcome = post("", &[JSON, GZIP], body);
        assert_eq!(outcome.result, expected);
        assert_eq!((outcome.answer().status.0, &*outcome.body()), (400, "0"));
        assert_eq!(outcome.events, [""; 0]);
    }
    for content_type in ["image/gif", "application/octet-stream", "json"] {
        let outcome = post("", &[("Content-Type", content_type.as_bytes())], EVENT.as_bytes());
        assert_eq!((outcome.answer().status.0, &*outcome.body()), (415, "0"), "{content_type}");
    }
}

#[test]
fn what_is_too_much_is_to_be_halved() {
    let spaces = gzip(&format!("{}{EVENT}", " ".repeat(10 * 1024 * 1024)));
    let outcome = post("", &[JSON, GZIP], &spaces);
    let fault = InflateFault::Ratio { limit: 500 };
    assert_eq!(outcome.result, Err(DecodeError::Inflate { fault }));
    assert_eq!((outcome.answer().status.0, &*outcome.body()), (413, "0"));

    let batch = format!("[{}{EVENT}]", format!("{EVENT},").repeat(2000));
    for body in [batch.as_bytes(), &gzip(&batch)] {
        let outcome = post("", &[JSON], body);
        assert_eq!(outcome.result, Err(DecodeError::BatchTooLarge { limit: 2000 }));
        assert_eq!((outcome.answer().status.0, &*outcome.body()), (413, "0"));
    }
}

#[test]
fn what_is_wrong_inside_is_said_as_if_it_had_come_plain() {
    for body in ["", "{", "[]", r#"{"event":"e","properties":{}}"#, "data=!"] {
        let (plain, compressed) =
            (post("", &[FORM], body.as_bytes()), post("", &[FORM, GZIP], &gzip(body)));
        assert_eq!(compressed.result, plain.result, "{body}");
        assert_eq!(compressed.answer().status.0, 200, "{body}");
    }
}

#[test]
fn a_budget_is_of_the_body_as_it_comes_and_as_it_is_read() {
    let padded = format!("{EVENT}{}", " ".repeat(1000));
    let small = gzip(&padded);
    assert!(small.len() < 200);
    let decode = |budget: usize, headers: &[(&str, &[u8])], body: &[u8]| {
        let mut request = Request::new(Method::Post, "/track", "");
        request.headers = Headers::new(headers);
        request.body = body;
        let mut tracker = Tracker::default();
        tracker.send_within(budget, &request).map(|outcome| outcome.result)
    };
    let plain = padded.as_bytes();
    assert_eq!(decode(plain.len(), &[JSON], plain), Ok(Ok(1)));
    assert_eq!(decode(plain.len() - 1, &[JSON], plain), Err(OverBudget));
    assert_eq!(decode(plain.len(), &[JSON, GZIP], &small), Ok(Ok(1)));
    assert_eq!(decode(plain.len() - 1, &[JSON, GZIP], &small), Err(OverBudget));
    assert_eq!(decode(small.len() - 1, &[JSON, GZIP], &small), Err(OverBudget));
    // What is wrong with it is known before the budget is used up, or is the limit of all requests.
    let damaged = Ok(Err(DecodeError::Inflate { fault: InflateFault::Damaged }));
    assert_eq!(decode(1000, &[JSON, GZIP], b"no gzip at all"), damaged);
    let inflated = 10 * 1024 * 1024;
    let too_large =
        Ok(Err(DecodeError::Inflate { fault: InflateFault::TooLarge { limit: inflated } }));
    let mut state = 1_u32;
    let mut letter = |_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        char::from(b'a' + (state >> 28) as u8)
    };
    let noise: String = (0..=inflated).map(&mut letter).collect();
    assert_eq!(decode(usize::MAX, &[JSON, GZIP], &gzip(&noise)), too_large);
}
