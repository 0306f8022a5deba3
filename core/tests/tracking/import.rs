//! `/import`: credentials, what `strict=1` asks for, lines, and answers of its own form.

use windhover_core::http::{
    Headers, HttpLimits, Method, Output, Request, Response, ServerConnection,
};
use windhover_core::tracking::{self, DecodeError, RecordFault};
use windhover_core::{Now, Timeouts};

use crate::support::{Outcome, Tracker};

/// `t1:`
const TOKEN: &[u8] = b"Basic dDE6";
/// `account.1:secret`
const ACCOUNT: &[u8] = b"Basic YWNjb3VudC4xOnNlY3JldA==";
const OK: &str = r#"{"code":200,"num_records_imported":1,"status":"OK"}"#;

fn send(query: &str, headers: &[(&str, &[u8])], body: &str) -> Outcome {
    let mut request = Request::new(Method::Post, "/import", query);
    request.headers = Headers::new(headers);
    request.body = body.as_bytes();
    Tracker::default().send(&request)
}

fn json(query: &str, body: &str) -> Outcome {
    send(query, &[("Content-Type", b"application/json"), ("Authorization", TOKEN)], body)
}

fn lines(query: &str, body: &str) -> Outcome {
    send(query, &[("Content-Type", b"application/x-ndjson"), ("Authorization", TOKEN)], body)
}

fn text(response: &Response) -> String {
    String::from_utf8(response.body.to_vec()).unwrap()
}

#[test]
fn an_event_takes_its_token_from_the_credentials() {
    let event =
        |token: &str| format!(r#"{{"event":"e","properties":{{{token}"time":1300000000}}}}"#);
    let cases: &[(&str, &[u8], &str, &str)] = &[
        ("", TOKEN, "", r#""time":1300000000000,"token":"t1""#),
        ("", TOKEN, r#""token":"own","#, r#""token":"own","time":1300000000000"#),
        ("project_id=12", ACCOUNT, "", r#""time":1300000000000,"token":"12""#),
    ];
    for (query, authorization, token, expected) in cases {
        let headers =
            [("Content-Type", &b"application/json"[..]), ("Authorization", *authorization)];
        let outcome = send(query, &headers, &event(token));
        assert!(outcome.events[0].contains(expected), "{}", outcome.events[0]);
        assert_eq!(text(&outcome.answer()), OK);
    }
    // One without properties has room for it.
    let empty = json("", r#"{"event":"e","properties":{}}"#);
    assert!(empty.events[0].starts_with(r#"{"event":"e","properties":{"token":"t1","time":"#));
    // A service account names no project.
    let headers = [("Authorization", ACCOUNT)];
    let outcome = send("", &headers, &event(""));
    assert!(matches!(
        outcome.result,
        Err(DecodeError::Record { fault: RecordFault::TokenMissing, .. })
    ));
}

#[test]
fn without_credentials_nothing_is_imported() {
    let body = r#"{"event":"e","properties":{"token":"t","time":1300000000}}"#;
    let outcome = send("", &[("Content-Type", b"application/json")], body);
    assert_eq!(outcome.result, Err(DecodeError::Unauthorized));
    let response = outcome.answer();
    assert_eq!(response.status.0, 401);
    assert!(response.headers.iter().any(|(name, _)| *name == "WWW-Authenticate"));
    assert_eq!(
        text(&response),
        r#"{"code":401,"error":"there are no credentials: send the project's token as the user of Basic authentication, or those of a service account","num_records_imported":0,"status":"Unauthorized"}"#
    );
}

#[test]
fn a_form_is_answered_as_by_track() {
    let event = r#"{"event":"$merge","properties":{"$distinct_ids":["a","b"],"token":"t"}}"#;
    let form = |more: &str| format!("data={event}{more}");
    let headers = [("Authorization", TOKEN)];
    assert_eq!(send("", &headers, &form("")).body(), "1");
    assert_eq!(send("", &[], &form("&api_key=k")).body(), "1");
    assert_eq!(send("", &headers, &form("&verbose=1")).body(), r#"{"status":1,"error":null}"#);
    let mut request = Request::new(Method::Get, "/import", "");
    let query = form("&api_key=k");
    request.query = &query;
    let outcome = Tracker::default().send(&request);
    assert_eq!((outcome.body().as_str(), outcome.events.len()), ("1", 1));
    assert!(
        outcome.events[0]
            .starts_with(r#"{"event":"$merge","properties":{"$distinct_ids":["a","b"]"#)
    );
}

#[test]
fn strict_refuses_what_means_nothing() {
    let cases = [
        (r#""time":1300000000"#, None),
        (r#""time":"1300000000000","$insert_id":"A-9","distinct_id":"""#, None),
        (r#""distinct_id":"d""#, Some(RecordFault::TimeMissing)),
        (r#""time":null"#, Some(RecordFault::TimeMissing)),
        (r#""time":1334863202"#, Some(RecordFault::TimeTooLate)),
        (r#""time":1300000000,"$insert_id":"a_b""#, Some(RecordFault::InsertIdMalformed)),
        (r#""time":1300000000,"$insert_id":7"#, Some(RecordFault::InsertIdMalformed)),
        (
            r#""time":1300000000,"$insert_id":"0123456789012345678901234567890123456""#,
            Some(RecordFault::InsertIdMalformed),
        ),
        (r#""time":1300000000,"distinct_id":"N/A""#, Some(RecordFault::DistinctIdBanned)),
        (r#""time":1300000000,"distinct_id":-1"#, Some(RecordFault::DistinctIdBanned)),
        (r#""time":1300000000,"distinct_id":{}"#, Some(RecordFault::DistinctIdBanned)),
    ];
    for (properties, expected) in cases {
        let body = format!(r#"[{{"event":"e","properties":{{{properties}}}}}]"#);
        let fault = |outcome: Outcome| match outcome.result {
            Err(DecodeError::Record { fault, .. }) => Some(fault),
            _ => None,
        };
        assert_eq!(fault(json("strict=1", &body)), expected, "{properties}");
        assert_eq!(fault(json("strict=0", &body)), None, "{properties}");
    }
}

#[test]
fn records_that_fail_are_told_in_the_form_of_the_api() {
    let body = concat!(
        r#"[{"event":"a","properties":{"time":1300000000,"$insert_id":"i-1"}},"#,
        r#"{"event":"b","properties":{"time":1,"$insert_id":"i-2"}}]"#,
    );
    let failed = r#""failed_records":[{"index":1,"$insert_id":"i-2","field":"properties.time","message":"properties.time is before 1971-01-01"}],"num_records_imported":"#;
    let partly = format!(
        r#"{{"code":400,"error":"some data points in the request failed validation",{failed}1,"status":"Bad Request"}}"#
    );
    let strict = json("strict=1", body);
    assert_eq!((strict.events.len(), strict.answer().status.0), (1, 400));
    assert_eq!(text(&strict.answer()), partly);
    // Without it, the request is taken; what is missing is told all the same.
    let lenient = json("", body);
    assert_eq!((lenient.events.len(), lenient.answer().status.0), (1, 200));
    assert_eq!(text(&lenient.answer()), format!(r#"{{"code":200,{failed}1,"status":"OK"}}"#));
    // Nothing recorded is no 200.
    let none = json("", r#"{"event":"","properties":{}}"#);
    assert_eq!(
        text(&none.answer()),
        r#"{"code":400,"error":"some data points in the request failed validation","failed_records":[{"index":0,"$insert_id":"","field":"event","message":"event is empty"}],"num_records_imported":0,"status":"Bad Request"}"#
    );
    assert_eq!(
        text(&none.reply.not_durable()),
        r#"{"code":503,"error":"the events could not be made durable: send them again later","num_records_imported":0,"status":"Service Unavailable"}"#
    );
    let no_json = json("", "[");
    assert_eq!(
        text(&no_json.answer()),
        r#"{"code":400,"error":"data is cut off: its JSON is not complete after 1 bytes","num_records_imported":0,"status":"Bad Request"}"#
    );
}

#[test]
fn each_line_stands_for_itself() {
    let body = concat!(
        "\u{feff}{\"event\":\"a\",\"properties\":{}}\r\n",
        "\n  \n",
        "{\"event\":\"b\",\"properties\":\n",
        "[{\"event\":\"c\",\"properties\":{}}]\n",
        "{\"event\":\"d\",\"properties\":{\"n\":NaN}}\n",
        "{\"event\":\"e\",\"properties\":{}}",
    );
    let outcome = lines("", body);
    assert_eq!(outcome.result, Ok(3));
    assert!(outcome.events[1].starts_with(r#"{"event":"d","properties":{"n":null,"token":"t1""#));
    assert_eq!(outcome.repairs.numbers, 1);
    let refused: Vec<_> = outcome.refused.iter().map(|it| (it.index, it.fault)).collect();
    assert_eq!(refused, [(1, RecordFault::NotJson), (2, RecordFault::NotAnObject)]);
    assert_eq!(&*outcome.refused[0].text, br#"{"event":"b","properties":"#);

    assert_eq!(lines("", "\n\r\n").result, Err(DecodeError::DataEmpty));
    let bytes =
        b"{\"event\":\"\xed\xa0\xbd\xed\xb8\x80\xff\",\"properties\":{\"token\":\"t\"}}\n\xff\n";
    let mut request = Request::new(Method::Post, "/track", "");
    request.headers = Headers::new(&[("Content-Type", b"application/x-ndjson; charset=utf-8")]);
    request.body = bytes;
    let outcome = Tracker::default().send(&request);
    assert!(outcome.events[0].starts_with("{\"event\":\"😀\u{fffd}\""), "{:?}", outcome.events);
    assert_eq!(outcome.refused[0].fault, RecordFault::NotJson);
    assert_eq!(&*outcome.refused[0].text, b"\xff");

    let mut tracker = Tracker::default();
    tracker.limits.batch = 2;
    let line = "{\"event\":\"a\",\"properties\":{\"token\":\"t\"}}\n";
    request.body = line.as_bytes();
    assert_eq!(tracker.send(&request).result, Ok(1));
    let three = line.repeat(3);
    request.body = three.as_bytes();
    let outcome = tracker.send(&request);
    assert_eq!(outcome.result, Err(DecodeError::BatchTooLarge { limit: 2 }));
    assert!(outcome.refused.is_empty());
}

#[test]
fn what_the_connection_refuses_of_an_import_is_told_in_its_form() {
    let limits = HttpLimits::default().with_body(2000);
    let refused_at = |request: &str| {
        let now = Now::default();
        let mut connection = ServerConnection::new(&limits, &Timeouts::default(), now.instant)
            .with_refusals(tracking::refused);
        connection
            .receive(request.replace("ORIGIN", "Host: h\r\nOrigin: https://a.test").as_bytes());
        assert!(matches!(connection.poll_output(now), Output::Write));
        let mut slices: [&[u8]; 4] = [&[]; 4];
        let n = connection.unsent(&mut slices);
        String::from_utf8(slices[..n].concat()).unwrap()
    };
    for (request, status, phrase) in [
        (
            "POST /import?strict=1 HTTP/1.1\r\nORIGIN\r\nContent-Length: 2001\r\n\r\n",
            413,
            "Content Too Large",
        ),
        ("POST /import/ HTTP/1.1\r\nORIGIN\r\n\r\n", 411, "Length Required"),
        ("GET /import HTTP/1.1\r\nORIGIN\r\nExpect: x\r\n\r\n", 417, "Expectation Failed"),
        (
            "POST /import HTTP/1.1\r\nORIGIN\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n",
            400,
            "Bad Request",
        ),
    ] {
        let answer = refused_at(request);
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with(&format!("HTTP/1.1 {status} {phrase}\r\n")), "{answer}");
        assert!(head.contains("\r\nContent-Type: application/json\r\n"), "{answer}");
        assert!(head.contains("\r\nAccess-Control-Allow-Origin: https://a.test"), "{answer}");
        let body: serde_json::Value = serde_json::from_str(body).unwrap();
        assert_eq!((&body["code"], &body["status"]), (&status.into(), &phrase.into()));
        assert!(body["error"].as_str().is_some_and(|why| !why.is_empty()), "{body}");
        // Elsewhere it is what it was.
        let track = refused_at(&request.replace("/import", "/track"));
        assert!(track.starts_with(&format!("HTTP/1.1 {status} {phrase}\r\n")), "{track}");
        assert!(track.contains("\r\nContent-Type: text/plain"), "{track}");
    }
}

#[test]
fn an_import_that_is_not_taken_is_told_so_in_its_form() {
    let request = Request::new(Method::Head, "/import", "");
    for (response, code) in
        [(tracking::overloaded(&request), 503), (tracking::method_not_allowed(&request), 405)]
    {
        let body: serde_json::Value = serde_json::from_slice(&response.body).unwrap();
        assert_eq!((response.status.0, &body["code"]), (code, &code.into()));
    }
}
