//! Where events are found in a request, and in which encodings.

use crate::support::{Tracker, get, json, post};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use windhover_core::http::{Method, Request};
use windhover_core::tracking::DecodeError;

const EVENT: &str = r#"{"event":"e","properties":{"token":"t","time":1334859600,"$insert_id":"i","n":"<<???>>~~"}}"#;
const LINE: &str = r#"{"event":"e","properties":{"token":"t","time":1334859600000,"$insert_id":"i","n":"<<???>>~~","mp_processing_time_ms":1334859601234}}"#;
const FORM: &str = "application/x-www-form-urlencoded";

fn percent(text: impl AsRef<[u8]>) -> String {
    let encoded = text.as_ref().iter().flat_map(|byte| format!("%{byte:02X}").into_bytes());
    encoded.map(char::from).collect()
}

#[test]
fn data_comes_in_many_encodings() {
    let standard = STANDARD.encode(EVENT);
    let url_safe = URL_SAFE_NO_PAD.encode(EVENT);
    assert!(standard.contains('+') && standard.contains('/') && standard.ends_with('='));
    let lines: Vec<_> = standard.as_bytes().chunks(60).collect();
    let mail = String::from_utf8(lines.join(&b"\r\n"[..])).unwrap();
    let encodings = [
        standard.clone(),
        standard.trim_end_matches('=').to_owned(),
        standard.replace('+', " "),
        standard.replace('+', "%20"),
        standard.replace('+', "%2B").replace('/', "%2f").replace('=', "%3D"),
        percent(&standard),
        url_safe,
        mail.clone(),
        percent(&mail),
        format!("{standard}%0A"),
        EVENT.to_owned(),
        percent(EVENT),
        format!("+%0a{EVENT}+"),
        percent(format!("\u{feff}{EVENT}")),
        STANDARD.encode(format!("\u{feff} {EVENT} ")),
    ];
    for data in &encodings {
        let pair = format!("data={data}");
        let mixed = format!("_=1&ip=0&d%61ta={data}&verbose=0");
        for form in [&pair, &mixed] {
            assert_eq!(get(form).events, [LINE], "{form}");
            assert_eq!(post(form, FORM, "").events, [LINE], "{form}");
            assert_eq!(post("", FORM, form).events, [LINE], "{form}");
            let charset = "Application/X-WWW-Form-Urlencoded ; charset=UTF-8";
            assert_eq!(post("", charset, form).events, [LINE], "{form}");
            assert_eq!(post("", "text/plain;charset=UTF-8", form).events, [LINE]);
            assert_eq!(post("", "", form).events, [LINE], "{form}");
        }
    }
}

#[test]
fn a_json_body_is_taken_as_it_is() {
    for body in [EVENT.to_owned(), format!("[{EVENT}]"), format!("\u{feff}\r\n {EVENT}\r\n")] {
        for content_type in
            ["application/json", "application/json; charset=utf-8", FORM, "text/plain", ""]
        {
            assert_eq!(post("", content_type, &body).events, [LINE], "{content_type} {body}");
        }
    }
    // Not a form: neither + nor % means anything.
    let line = json(r#"{"event":"a+b%20","properties":{"token":"t"}}"#).events;
    assert!(line[0].starts_with(r#"{"event":"a+b%20","#));
}

#[test]
fn a_get_without_header_and_body_needs_no_slash() {
    let outcome = Tracker::default().send(&Request::new(
        Method::Get,
        "/track/",
        &format!("data={}", STANDARD.encode(EVENT)),
    ));
    assert_eq!(outcome.events, [LINE]);
}

#[test]
fn what_is_ambiguous_is_refused() {
    let data = format!("data={}", STANDARD.encode(EVENT));
    let twice = format!("{data}&{data}");
    assert_eq!(get(&twice).result, Err(DecodeError::DataTwice));
    assert_eq!(post(&data, FORM, &data).result, Err(DecodeError::DataTwice));
    assert_eq!(post("data=", FORM, &data).result, Err(DecodeError::DataTwice));
    assert_eq!(post(&data, "application/json", EVENT).result, Err(DecodeError::DataTwice));
    let mut request = Request::new(Method::Get, "/track", &data);
    request.body = b"x";
    assert_eq!(Tracker::default().send(&request).result, Err(DecodeError::BodyOfGet));
}

#[test]
fn a_multipart_form_is_a_form() {
    let part = |name: &str, value: &str| {
        format!("--x\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
    };
    let content_type = "Multipart/Form-Data; boundary=x";
    let symbols = STANDARD.encode(EVENT);
    for data in [EVENT, &format!("[{EVENT}]"), &symbols] {
        let body = format!("{}{}--x--\r\n", part("data", data), part("verbose", "1"));
        let outcome = post("", content_type, &body);
        assert_eq!(outcome.events, [LINE], "{data}");
        assert_eq!(outcome.body(), r#"{"status":1,"error":null}"#);
        for cut in [&body[..body.len() - 5], "--y--", ""] {
            let outcome = post("", content_type, cut);
            assert_eq!(outcome.events, [""; 0]);
            let status = if cut.is_empty() { 200 } else { 400 };
            assert_eq!(outcome.answer().status.0, status, "{cut}");
        }
        let twice = format!("{}{}--x--\r\n", part("data", data), part("data", data));
        assert_eq!(post("", content_type, &twice).result, Err(DecodeError::DataTwice));
    }
    let plus = r#"{"event":"a+b%20&c=d","properties":{"token":"t"}}"#;
    let events = post("", content_type, &format!("{}--x--", part("data", plus))).events;
    assert!(events[0].starts_with(r#"{"event":"a+b%20&c=d","#), "{}", events[0]);
}

#[test]
fn a_value_that_holds_nothing_is_said_to() {
    for data in ["====", "=", "+", "%20", "%0A%0D", "%09====", "IA==", "IAo", "%EF%BB%BF"] {
        let result = get(&format!("data={data}")).result;
        assert_eq!(result, Err(DecodeError::DataEmpty), "{data}");
    }
    // Padding and space, in any order.
    for number in 0..4_usize.pow(6) {
        let pieces = (0..6).map(|at| ["", "=", "%20", "%0A"][number / 4_usize.pow(at) % 4]);
        let data: String = pieces.collect();
        let result = get(&format!("data={data}")).result;
        assert_eq!(result, Err(DecodeError::DataEmpty), "{data}");
    }
    for body in [" ", "\r\n", "\u{feff} "] {
        assert_eq!(post("", "application/json", body).result, Err(DecodeError::DataEmpty));
    }
    // The last two are `undefined` and `null` in base64.
    let base64 = ["dW5kZWZpbmVk", "bnVsbA=="];
    for data in
        ["null", "undefined", "true", "+false", "NaN", "%22a%22", "\""].into_iter().chain(base64)
    {
        let result = get(&format!("data={data}")).result;
        assert_eq!(result, Err(DecodeError::NotEvents), "{data}");
    }
}

#[test]
fn what_is_missing_is_said() {
    for query in ["", "&", "datum=x", "verbose=0"] {
        assert_eq!(get(query).result, Err(DecodeError::DataMissing), "{query}");
    }
    assert_eq!(get("data").result, Err(DecodeError::DataEmpty));
    assert_eq!(get("data=").result, Err(DecodeError::DataEmpty));
    assert_eq!(post("", FORM, "data=&x").result, Err(DecodeError::DataEmpty));
    assert_eq!(post("", FORM, "").result, Err(DecodeError::DataMissing));
    assert_eq!(post("", "application/json", "").result, Err(DecodeError::DataMissing));
    let head = Request::new(Method::Head, "/track", "data=x");
    assert_eq!(Tracker::default().send(&head).result, Err(DecodeError::Method));
}

#[test]
fn bodies_of_other_types_are_refused() {
    for content_type in
        ["multipart/mixed; boundary=x", "application/octet-stream", "application/jsonp", "json"]
    {
        assert_eq!(
            post("", content_type, EVENT).result,
            Err(DecodeError::ContentType),
            "{content_type}"
        );
    }
}

/// The forms that a text in bytes comes in.
fn forms_of(text: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("application/json", text.to_vec()),
        (FORM, format!("data={}", STANDARD.encode(text)).into_bytes()),
        (FORM, format!("data={}", percent(text)).into_bytes()),
    ]
}

fn with_name(name: &[u8]) -> Vec<u8> {
    [br#"{"event":""#, name, br#"","properties":{"token":"t","time":1334859600,"$insert_id":"i"}}"#]
        .concat()
}

#[test]
fn a_character_in_two_surrogates_of_three_bytes_is_the_character() {
    let cases: &[(&[u8], &str, u64)] = &[
        (b"\xed\xa0\xbd\xed\xb8\x80", "\u{1f600}", 0),
        (b"a\xed\xa0\xbd\xed\xb8\x80b\xf0\x9f\x98\x80", "a\u{1f600}b\u{1f600}", 0),
        (b"\xed\xa0\xbd", "\u{fffd}", 1),
        (b"\xed\xb8\x80\xed\xa0\xbd", "\u{fffd}\u{fffd}", 2),
        (b"\xed\xa0\xbd\\ud83d", "\u{fffd}\\ufffd", 2),
        (b"caf\xe9 \xff\xfe", "caf\u{fffd} \u{fffd}\u{fffd}", 3),
        (b"cut \xf0\x9f\x98", "cut \u{fffd}", 1),
    ];
    for (name, expected, replaced) in cases {
        for (content_type, body) in forms_of(&with_name(name)) {
            let outcome = Tracker::default().post("", content_type, &body);
            assert_eq!(outcome.result, Ok(1), "{name:x?} as {content_type}");
            assert!(
                outcome.events[0].starts_with(&format!(r#"{{"event":"{expected}","#)),
                "{name:x?}: {}",
                outcome.events[0]
            );
            assert_eq!(outcome.repairs.characters, *replaced, "{name:x?} as {content_type}");
        }
    }
}

#[test]
fn a_name_of_bytes_that_are_not_utf8_is_the_name_that_it_becomes() {
    let body = b"{\"event\":\"e\",\"properties\":{\"\xff\":1,\"token\":\"t\",\"\xef\xbf\xbd\":2}}";
    let outcome = Tracker::default().post("", "application/json", body);
    let start = "{\"event\":\"e\",\"properties\":{\"\u{fffd}\":2,\"token\":\"t\",";
    assert!(outcome.events[0].starts_with(start), "{}", outcome.events[0]);
}

#[test]
fn a_batch_with_characters_that_are_not_utf8_is_recorded_whole() {
    let good = with_name(b"good");
    let bad = with_name(b"\xed\xa0\xbd\xed\xb8\x80");
    let body = [b"[", &good[..], b",", &bad, b",", &good, b"]"].concat();
    let outcome = Tracker::default().post("", "application/json", &body);
    assert_eq!(outcome.result, Ok(3));
    assert!(outcome.events[1].starts_with("{\"event\":\"\u{1f600}\","));
}

#[test]
fn every_cut_of_text_that_needs_mending_is_refused_where_it_was_cut() {
    let body = with_name(b"\xed\xa0\xbd\xed\xb8\x80 caf\xe9 \xed\xa0\xbd");
    for cut in 1..body.len() {
        let outcome = Tracker::default().post("", "application/json", &body[..cut]);
        assert_eq!(outcome.result, Err(DecodeError::JsonCut { length: cut }), "{cut}");
        assert_eq!(outcome.events, [""; 0]);
    }
    let behind = [&b"\xef\xbb\xbf"[..], &body, b"!"].concat();
    let outcome = Tracker::default().post("", "application/json", &behind);
    assert_eq!(outcome.result, Err(DecodeError::JsonTrailing { at: body.len() + 3 }));
}

#[test]
fn undecodable_data_is_refused_where_it_fails() {
    let json_at = |at| Err(DecodeError::Json { at });
    let cases = [
        ("data=%7b%22event", Err(DecodeError::JsonCut { length: 7 })),
        ("data=!", Err(DecodeError::Base64 { at: 0 })),
        ("data=e30=e30", Err(DecodeError::Base64 { at: 4 })),
        ("data=e30*", Err(DecodeError::Base64 { at: 3 })),
        // {"a":1,}
        ("data=eyJhIjoxLH0=", json_at(7)),
        ("data=//79", Err(DecodeError::Utf8 { at: 0 })),
        ("data=MTIz", Err(DecodeError::NotEvents)),
        ("data=%5B%5D", Err(DecodeError::BatchEmpty)),
    ];
    for (query, expected) in cases {
        assert_eq!(get(query).result, expected, "{query}");
    }
    let mut tracker = Tracker::default();
    let body = b"{\"event\":\"\xc3(\",\xc3(}";
    assert_eq!(
        tracker.post("", "application/json", body).result,
        Err(DecodeError::Utf8 { at: 14 })
    );
}

#[test]
fn parameters_of_a_form_body_count_too() {
    let body = format!("data={}&verbose=1&test=1&ip=1", STANDARD.encode(EVENT));
    let outcome = post("", FORM, &body);
    assert_eq!(outcome.body(), r#"{"status":1,"error":null}"#);
    assert!(outcome.events[0].contains(r#""ip":"203.0.113.9""#));
    assert!(outcome.events[0].contains(r#""$test":true"#));
}

#[test]
fn a_decoder_serves_one_request_after_the_other() {
    let mut tracker = Tracker::default();
    let long = format!(r#"{{"event":"{}","properties":{{"token":"t"}}}}"#, "x".repeat(200_000));
    assert_eq!(tracker.get(&format!("data={}", percent(&long))).result, Ok(1));
    assert_eq!(tracker.get("data=e30*").events, [""; 0]);
    assert_eq!(tracker.get(&format!("data={}", STANDARD.encode(EVENT))).events, [LINE]);
    tracker.decoder.release();
    assert_eq!(tracker.json(EVENT).events, [LINE]);
}
