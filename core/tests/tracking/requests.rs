//! Where events are found in a request, and in which encodings.

use crate::support::{Tracker, get, json, post};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use windhover_core::http::{Headers, Method, Request};
use windhover_core::tracking::Rejection;

const EVENT: &str = r#"{"event":"e","properties":{"token":"t","time":1334859600,"$insert_id":"i","n":"<<???>>~~"}}"#;
const LINE: &str = r#"{"event":"e","properties":{"token":"t","time":1334859600000,"$insert_id":"i","n":"<<???>>~~","mp_processing_time_ms":1334859601234}}"#;
const FORM: &str = "application/x-www-form-urlencoded";

fn percent(text: &str) -> String {
    let encoded = text.bytes().flat_map(|byte| format!("%{byte:02X}").into_bytes());
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
        percent(&format!("\u{feff}{EVENT}")),
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
    assert_eq!(get(&twice).result, Err(Rejection::DataTwice));
    assert_eq!(post(&data, FORM, &data).result, Err(Rejection::DataTwice));
    assert_eq!(post("data=", FORM, &data).result, Err(Rejection::DataTwice));
    assert_eq!(post(&data, "application/json", EVENT).result, Err(Rejection::DataTwice));
    let mut request = Request::new(Method::Get, "/track", &data);
    request.body = b"x";
    assert_eq!(Tracker::default().send(&request).result, Err(Rejection::BodyOfGet));
}

#[test]
fn what_is_missing_is_said() {
    for query in ["", "&", "datum=x", "verbose=0"] {
        assert_eq!(get(query).result, Err(Rejection::DataMissing), "{query}");
    }
    assert_eq!(get("data").result, Err(Rejection::DataEmpty));
    assert_eq!(get("data=").result, Err(Rejection::DataEmpty));
    assert_eq!(post("", FORM, "data=&x").result, Err(Rejection::DataEmpty));
    assert_eq!(post("", FORM, "").result, Err(Rejection::DataMissing));
    assert_eq!(post("", "application/json", "").result, Err(Rejection::DataMissing));
    let head = Request::new(Method::Head, "/track", "data=x");
    assert_eq!(Tracker::default().send(&head).result, Err(Rejection::Method));
}

#[test]
fn bodies_of_other_types_are_refused() {
    for content_type in
        ["multipart/form-data; boundary=x", "application/octet-stream", "application/jsonp", "json"]
    {
        assert_eq!(
            post("", content_type, EVENT).result,
            Err(Rejection::ContentType),
            "{content_type}"
        );
    }
}

#[test]
fn compressed_bodies_are_refused_for_now() {
    let cases: &[(&[&str], bool)] = &[
        (&["gzip"], false),
        (&["identity", "br"], false),
        (&["gzip, identity"], false),
        (&["Identity"], true),
        (&[""], true),
        (&[], true),
    ];
    for (codings, accepted) in cases {
        let mut entries: Vec<(&str, &[u8])> = vec![("Content-Type", b"application/json")];
        entries.extend(codings.iter().map(|it| ("Content-Encoding", it.as_bytes())));
        let mut request = Request::new(Method::Post, "/track", "verbose=1");
        request.headers = Headers::new(&entries);
        request.body = EVENT.as_bytes();
        let outcome = Tracker::default().send(&request);
        assert_eq!(outcome.result.is_ok(), *accepted, "{codings:?}");
        if !accepted {
            assert_eq!(
                outcome.body(),
                r#"{"status":0,"error":"the body has a Content-Encoding, which is not supported yet: send it uncompressed"}"#
            );
        }
    }
}

#[test]
fn undecodable_data_is_refused_where_it_fails() {
    let json_at = |at| Err(Rejection::Json { at });
    let cases = [
        ("data=%7b%22event", Err(Rejection::JsonCut { length: 7 })),
        ("data=!", Err(Rejection::Base64 { at: 0 })),
        ("data=e30=e30", Err(Rejection::Base64 { at: 4 })),
        ("data=e30*", Err(Rejection::Base64 { at: 3 })),
        // {"a":1,}
        ("data=eyJhIjoxLH0=", json_at(7)),
        ("data=//79", Err(Rejection::Utf8 { at: 0 })),
        ("data=MTIz", Err(Rejection::NotEvents)),
        ("data=%5B%5D", Err(Rejection::BatchEmpty)),
    ];
    for (query, expected) in cases {
        assert_eq!(get(query).result, expected, "{query}");
    }
    let mut tracker = Tracker::default();
    let body = b"{\"event\":\"\xc3(\"}";
    assert_eq!(tracker.post("", "application/json", body).result, Err(Rejection::Utf8 { at: 10 }));
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
