//! Cross-origin access (the Fetch standard, §3.3): any page may send events, and may see whether
//! they were recorded.

use alloc::borrow::{Cow, ToOwned};
use alloc::boxed::Box;
use alloc::string::ToString as _;

use super::reply;
use crate::http::{FixedHeaders, Headers, RefusedRequest, Request, Response, Status};

/// The header lines that answers are made of. Not constants, because `concat!` takes literals alone.
///
/// - `Vary`: the answer depends on the origin; a cache must not give it to another one.
/// - `…-Credentials`: the official browser client sends every request with credentials, and a browser then hides
///   the answer unless this is there. There is nothing to protect: no answer depends on a cookie.
/// - `…-Expose-Headers`: the one header of an answer that a sender's retries look at.
/// - `Retry-After`: what the official clients wait before their first retry, in seconds.
/// - `…-Max-Age`: a day; browsers take less if they please.
macro_rules! lines {
    (methods) => {
        "GET, POST, OPTIONS"
    };
    (any_origin) => {
        "Access-Control-Allow-Origin: *\r\n"
    };
    (credentials) => {
        "Access-Control-Allow-Credentials: true\r\n"
    };
    (exposed) => {
        "Access-Control-Expose-Headers: Retry-After\r\n"
    };
    (vary) => {
        "Vary: Origin\r\n"
    };
    (not_kept) => {
        "Cache-Control: no-cache, no-store, must-revalidate\r\nX-Content-Type-Options: nosniff\r\n"
    };
    (retry) => {
        "Retry-After: 2\r\n"
    };
    (allowed) => {
        concat!(
            "Access-Control-Allow-Methods: ",
            lines!(methods),
            "\r\nAccess-Control-Max-Age: 86400\r\n"
        )
    };
    ($($line:ident),+) => {
        FixedHeaders::new(concat!($(lines!($line)),+))
    };
}

/// The methods of the API.
pub(super) const METHODS: &str = lines!(methods);

/// Of answers to a sender that names no origin.
const FOR_ALL: FixedHeaders = lines!(any_origin, vary, not_kept);
/// The same when the sender is to try again.
const FOR_ALL_RETRY: FixedHeaders = lines!(any_origin, vary, not_kept, retry);
/// Of answers to a browser; its origin comes on top.
const FOR_ORIGIN: FixedHeaders = lines!(credentials, exposed, vary, not_kept);
/// The same when the sender is to try again.
const FOR_ORIGIN_RETRY: FixedHeaders = lines!(credentials, exposed, vary, not_kept, retry);

/// Of answers to a browser that asks whether it may send a request.
const PREFLIGHT_FOR_ALL: FixedHeaders = lines!(any_origin, allowed, vary);
const PREFLIGHT_FOR_ORIGIN: FixedHeaders = lines!(credentials, allowed, vary);

/// What a browser's origin is answered in.
const ORIGIN: &str = "Access-Control-Allow-Origin";

/// Longest value of a request header that is sent back.
const LONGEST_ECHO: usize = RefusedRequest::LONGEST_ORIGIN;

/// The page that a browser sends the request for, if the header is fit to be sent back.
pub(super) fn origin(headers: &Headers<'_>) -> Option<Box<str>> {
    let origin = headers.get("origin")?;
    let fit = !origin.is_empty()
        && origin.len() <= LONGEST_ECHO
        && origin.iter().all(u8::is_ascii_graphic);
    let origin = core::str::from_utf8(origin).ok().filter(|_| fit)?;
    Some(origin.into())
}

/// Sets the headers that every answer of the API carries.
pub(super) fn apply(response: &mut Response, origin: Option<&str>, retry: bool) {
    response.fixed_headers = match (origin, retry) {
        (None, false) => FOR_ALL,
        (None, true) => FOR_ALL_RETRY,
        (Some(_), false) => FOR_ORIGIN,
        (Some(_), true) => FOR_ORIGIN_RETRY,
    };
    if let Some(origin) = origin {
        response.headers.push((ORIGIN, Cow::Owned(origin.to_owned())));
    }
}

/// Lets the page that a request came from read the answer to it, whatever that is; nobody keeps it.
///
/// ```
/// use windhover_core::http::{Headers, Response, Status};
/// use windhover_core::tracking::share;
///
/// let headers = Headers::new(&[("Origin", b"https://example.com")]);
/// let mut response = Response::new(Status::OK, "text/plain", &b"ok\n"[..]);
/// share(&mut response, &headers);
/// assert!(
///     response.headers.contains(&("Access-Control-Allow-Origin", "https://example.com".into()))
/// );
/// ```
pub fn share(response: &mut Response, request: &Headers<'_>) {
    apply(response, origin(request).as_deref(), false);
}

/// The answer to a request that the connection itself refuses, such as 413: readable by the page that
/// it came from, which is to send less, or to try again, instead of to take it for a broken network.
/// One of `/import` is in the form that the API has there.
/// For [`ServerConnection::with_refusals`](crate::http::ServerConnection::with_refusals).
///
/// ```
/// use windhover_core::http::{HttpLimits, Output, ServerConnection};
/// use windhover_core::tracking::refused;
/// use windhover_core::{Now, Timeouts};
///
/// let (limits, timeouts, now) = (HttpLimits::default().with_body(8), Timeouts::default(), Now::default());
/// let mut connection = ServerConnection::new(&limits, &timeouts, now.instant).with_refusals(refused);
/// connection.receive(
///     b"POST /track HTTP/1.1\r\nHost: h\r\nOrigin: https://example.com\r\nContent-Length: 9\r\n\r\n",
/// );
/// assert!(matches!(connection.poll_output(now), Output::Write));
/// let mut slices = [&b""[..]; 8];
/// let filled = connection.unsent(&mut slices);
/// let answer = String::from_utf8_lossy(&slices[..filled].concat()).into_owned();
/// assert!(answer.starts_with("HTTP/1.1 413 "));
/// assert!(answer.contains("Access-Control-Allow-Origin: https://example.com\r\n"));
/// ```
pub fn refused(refusal: &RefusedRequest<'_>) -> Response {
    let error = refusal.error;
    let mut response = reply::failed(refusal.path, error.status(), &error.to_string());
    let retry = response.status == Status::SERVICE_UNAVAILABLE;
    apply(&mut response, refusal.origin, retry);
    response
}

/// Answers a browser that asks whether it may send a request (`OPTIONS`, on any path): 204, with
/// every header allowed that it asks for. What is not served is said by the answer to the request
/// itself, which the page can read then.
///
/// ```
/// use windhover_core::http::{Headers, Method, Request};
/// use windhover_core::tracking::preflight;
///
/// let mut request = Request::new(Method::Options, "/track", "");
/// request.headers = Headers::new(&[
///     ("Origin", b"https://example.com"),
///     ("Access-Control-Request-Headers", b"content-type, x-lib"),
/// ]);
/// let response = preflight(&request);
/// assert_eq!(response.status.0, 204);
/// assert!(
///     response.headers.contains(&("Access-Control-Allow-Headers", "content-type, x-lib".into()))
/// );
/// ```
pub fn preflight(request: &Request<'_>) -> Response {
    let is_list = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~, \t".contains(byte);
    let asked = request
        .headers
        .get("access-control-request-headers")
        .filter(|list| !list.is_empty() && list.len() <= LONGEST_ECHO && list.iter().all(is_list))
        .and_then(|list| core::str::from_utf8(list).ok());
    let allowed = match asked {
        Some(list) => Cow::Owned(list.to_owned()),
        None => Cow::Borrowed("Content-Type"),
    };
    let origin = origin(&request.headers);
    let mut response = Response::new(Status(204), "", &b""[..])
        .with_header("Access-Control-Allow-Headers", allowed);
    response.fixed_headers =
        if origin.is_some() { PREFLIGHT_FOR_ORIGIN } else { PREFLIGHT_FOR_ALL };
    if let Some(origin) = origin {
        response.headers.push((ORIGIN, Cow::Owned(origin.into())));
    }
    response
}
