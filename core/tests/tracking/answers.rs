//! The answers, byte by byte.

use crate::support::{Tracker, get};
use windhover_core::http::{Headers, Method, Request, Response, Status};
use windhover_core::tracking::{
    RedirectPolicy, Route, UnbuiltPath, method_not_allowed, not_found, preflight, route, share,
};

const GOOD: &str = r#"data={"event":"e","properties":{"token":"t"}}"#;
const BAD: &str = r#"data={"event":"e","properties":{}}"#;
const PIXEL: &[u8] = b"GIF89a\x01\0\x01\0\x80\0\0\0\0\0\xff\xff\xff!\xf9\x04\x01\0\0\0\0,\0\0\0\0\x01\0\x01\0\0\x02\x02D\x01\0;";
const ERROR: &str = r#"{"status":0,"error":"event 0: properties.token is missing"}"#;

fn header<'a>(response: &'a Response, name: &str) -> Option<&'a str> {
    let own = response.headers.iter().map(|(name, value)| (*name, &**value));
    let own = own.filter(|(entry, _)| *entry == name).map(|(_, value)| value);
    let mut found: Vec<&str> = own.collect();
    let fixed = response.fixed_headers.iter().filter(|(entry, _)| *entry == name);
    found.extend(fixed.map(|(_, value)| value));
    assert!(found.len() <= 1, "{name} twice");
    found.pop()
}

#[test]
fn the_answer_is_what_was_asked_for() {
    let cases: &[(&str, &str, &str, &[u8])] = &[
        (GOOD, "", "text/plain", b"1"),
        (BAD, "", "text/plain", b"0"),
        (GOOD, "&verbose=1", "application/json", br#"{"status":1,"error":null}"#),
        (BAD, "&verbose=1", "application/json", ERROR.as_bytes()),
        (GOOD, "&verbose=0", "text/plain", b"1"),
        (GOOD, "&img=1", "image/gif", PIXEL),
        (BAD, "&img=1", "image/gif", PIXEL),
        (BAD, "&img=1&verbose=1&callback=f", "image/gif", PIXEL),
        (GOOD, "&callback=a.b_1.$c", "text/javascript", b"a.b_1.$c(1);"),
        (BAD, "&callback=f", "text/javascript", b"f(0);"),
        (GOOD, "&callback=mixpanel._jsc[123]", "text/javascript", b"mixpanel._jsc[123](1);"),
        (GOOD, "&callback=f&verbose=1", "text/javascript", br#"f({"status":1,"error":null});"#),
        (GOOD, "&callback=", "text/plain", b"1"),
    ];
    for (data, parameters, content_type, body) in cases {
        let query = format!("{data}{parameters}");
        let response = get(&query).answer();
        assert_eq!(response.status, Status::OK, "{query}");
        assert_eq!(response.content_type, *content_type, "{query}");
        assert_eq!(&*response.body, *body, "{query}");
        assert_eq!(header(&response, "X-Content-Type-Options"), Some("nosniff"));
        assert_eq!(header(&response, "Access-Control-Allow-Origin"), Some("*"));
        assert_eq!(header(&response, "Cache-Control"), Some("no-cache, no-store, must-revalidate"));
        assert_eq!(response.headers, [], "{query}");
    }
    assert_eq!(PIXEL.len(), 43);
}

#[test]
fn a_callback_that_is_no_name_is_refused_and_not_repeated() {
    for callback in ["alert(1)//", "%3Cscript%3E", "(function(){})", "a..b", "a%0Ab"] {
        let outcome = get(&format!("{GOOD}&callback={callback}"));
        assert_eq!(outcome.events, [""; 0]);
        assert_eq!(outcome.body(), "0", "{callback}");
        assert_eq!(outcome.answer().content_type, "text/plain");
    }
    assert_eq!(
        get(&format!("{GOOD}&callback=a-b&verbose=1")).body(),
        r#"{"status":0,"error":"callback is not a path of JavaScript identifiers such as lib.queue_1.$done"}"#
    );
}

#[test]
fn what_is_not_durable_is_to_be_sent_again() {
    let cases: &[(&str, &[u8])] = &[
        ("", b"0"),
        ("&verbose=1", br#"{"status":0,"error":"the events could not be made durable: send them again later"}"#),
        ("&img=1", PIXEL),
        ("&callback=f", b"f(0);"),
        ("&redirect=https://example.com/", b"0"),
    ];
    for (parameters, body) in cases {
        let mut tracker = Tracker { redirects: RedirectPolicy::hosts(["*"]), ..Tracker::default() };
        let outcome = tracker.get(&format!("{GOOD}{parameters}"));
        let response = outcome.reply.not_durable();
        assert_eq!(response.status, Status::SERVICE_UNAVAILABLE);
        assert_eq!(&*response.body, *body);
        assert_eq!(header(&response, "Retry-After"), Some("2"));
        assert_eq!(header(&response, "Location"), None);
    }
}

#[test]
fn a_redirect_follows_what_was_recorded() {
    let mut tracker =
        Tracker { redirects: RedirectPolicy::hosts(["example.com"]), ..Tracker::default() };
    let target = "&img=1&redirect=https%3A%2F%2Fexample.com%2F%3Fa%3D1";
    let outcome = tracker.get(&format!("{GOOD}{target}"));
    let response = outcome.answer();
    assert_eq!(response.status, Status::FOUND);
    assert_eq!(header(&response, "Location"), Some("https://example.com/?a=1"));
    assert_eq!(&*response.body, b"1");
    assert_eq!(outcome.events.len(), 1);
    assert!(!outcome.reply.redirect_refused());

    let response = tracker.get(&format!("{BAD}&redirect=https://example.com/")).answer();
    assert_eq!(response.status, Status::OK);
    assert_eq!(&*response.body, b"0");
}

#[test]
fn a_redirect_that_is_not_allowed_is_not_made_but_the_event_is_recorded() {
    let mut tracker =
        Tracker { redirects: RedirectPolicy::hosts(["example.com"]), ..Tracker::default() };
    for target in [
        "https://evil.test/",
        "javascript:alert(1)",
        "//example.com/",
        "https://example.com/%0d%0aSet-Cookie:%20a=b",
        "https://example.com%40evil.test/",
        "https://example.com%5C@evil.test/",
    ] {
        let outcome = tracker.get(&format!("{GOOD}&redirect={target}"));
        let response = outcome.answer();
        assert_eq!(response.status, Status::OK, "{target}");
        assert_eq!(&*response.body, b"1");
        assert_eq!(header(&response, "Location"), None, "{target}");
        assert_eq!(outcome.events.len(), 1);
        assert!(outcome.reply.redirect_refused());
    }
    assert!(!tracker.get(&format!("{GOOD}&redirect=")).reply.redirect_refused());
}

fn with_headers(method: Method, entries: &[(&str, &[u8])], check: impl Fn(&Request<'_>)) {
    let mut request = Request::new(method, "/track", GOOD);
    request.headers = Headers::new(entries);
    check(&request);
}

#[test]
fn a_browser_may_see_the_answer_even_with_credentials() {
    with_headers(Method::Get, &[("origin", b"https://example.com")], |request| {
        let outcome = Tracker::default().send(request);
        for response in [outcome.answer(), outcome.reply.not_durable()] {
            assert_eq!(
                header(&response, "Access-Control-Allow-Origin"),
                Some("https://example.com")
            );
            assert_eq!(header(&response, "Access-Control-Allow-Credentials"), Some("true"));
            assert_eq!(header(&response, "Vary"), Some("Origin"));
        }
    });
    for unfit in [&b"a\r\nb"[..], b"", b"a b", b"\xff"] {
        with_headers(Method::Get, &[("Origin", unfit)], |request| {
            let response = Tracker::default().send(request).answer();
            assert_eq!(header(&response, "Access-Control-Allow-Origin"), Some("*"));
            assert_eq!(header(&response, "Access-Control-Allow-Credentials"), None);
        });
    }
}

#[test]
fn a_library_that_asks_for_more_than_events_is_told_that_there_is_nothing() {
    let entries: [(&str, &[u8]); 1] = [("Origin", b"https://a.test")];
    for (path, unbuilt_path, members) in [
        ("/flags/", UnbuiltPath::Flags, &["flags"][..]),
        ("/flags/definitions", UnbuiltPath::FlagDefinitions, &["flags"]),
        ("/settings/", UnbuiltPath::Settings, &[]),
        ("/record/", UnbuiltPath::Record, &["code", "status"]),
        ("/decide", UnbuiltPath::Decide, &["notifications", "surveys"]),
    ] {
        assert_eq!(route(Method::Get, path), Route::NotBuilt(unbuilt_path));
        let response = unbuilt_path.response(&Headers::new(&entries));
        assert_eq!((response.status, response.content_type), (Status::OK, "application/json"));
        assert_eq!(header(&response, "Access-Control-Allow-Origin"), Some("https://a.test"));
        let body: serde_json::Value = serde_json::from_slice(&response.body).unwrap();
        for member in members {
            assert!(body.get(member).is_some(), "{path}: {body}");
        }
        // A browser's library takes each list that it was promised.
        let is_empty = |value: &serde_json::Value| match value {
            serde_json::Value::Array(items) => items.is_empty(),
            serde_json::Value::Object(members) => members.is_empty(),
            _ => true,
        };
        assert!(body.as_object().unwrap().values().all(is_empty), "{path}: {body}");
    }
}

#[test]
fn every_other_answer_can_be_read_by_the_page_too() {
    let entries: [(&str, &[u8]); 1] = [("Origin", b"https://a.test")];
    let headers = Headers::new(&entries);
    let mut page = Response::new(Status::OK, "text/plain", &b"ok"[..]);
    share(&mut page, &headers);
    let mut request = Request::new(Method::Head, "/track", "");
    request.headers = headers;
    for response in [page, not_found(&headers), method_not_allowed(&request)] {
        assert_eq!(header(&response, "Access-Control-Allow-Origin"), Some("https://a.test"));
        assert_eq!(header(&response, "Access-Control-Allow-Credentials"), Some("true"));
        assert_eq!(header(&response, "Access-Control-Expose-Headers"), Some("Retry-After"));
        assert_eq!(header(&response, "Vary"), Some("Origin"));
    }
}

#[test]
fn a_preflight_allows_what_it_asks_for() {
    let cases: &[(&[u8], &str)] = &[
        (b"Content-Type, X-Requested-With", "Content-Type, X-Requested-With"),
        (b"x-lib", "x-lib"),
        (b"", "Content-Type"),
        (b"a: b", "Content-Type"),
        (b"a\r\nb", "Content-Type"),
        (b"\xe4", "Content-Type"),
    ];
    for (asked, allowed) in cases {
        let entries = [("access-control-REQUEST-headers", *asked)];
        with_headers(Method::Options, &entries, |request| {
            let response = preflight(request);
            assert_eq!(response.status, Status(204));
            assert_eq!(&*response.body, b"");
            assert_eq!(response.content_type, "");
            assert_eq!(header(&response, "Access-Control-Allow-Origin"), Some("*"));
            assert_eq!(
                header(&response, "Access-Control-Allow-Methods"),
                Some("GET, POST, OPTIONS")
            );
            assert_eq!(header(&response, "Access-Control-Allow-Headers"), Some(*allowed));
            assert_eq!(header(&response, "Access-Control-Max-Age"), Some("86400"));
        });
    }
    with_headers(Method::Options, &[("Origin", b"https://a.test")], |request| {
        let response = preflight(request);
        assert_eq!(header(&response, "Access-Control-Allow-Origin"), Some("https://a.test"));
        assert_eq!(header(&response, "Access-Control-Allow-Credentials"), Some("true"));
    });
}
