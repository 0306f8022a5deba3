//! Which requests are tracking requests, and the answers to those that are not.

use alloc::string::ToString as _;

use crate::http::{Headers, HttpError, Method, Request, Response, Status};

use super::cors;
use super::endpoint::TrackingEndpoint;
use super::reply;
use super::unbuilt_path::UnbuiltPath;

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Route {
    /// Record what is sent: [`Decoder::decode`](super::Decoder::decode).
    Record(TrackingEndpoint),
    /// A browser asks whether it may send a request, to whatever path:
    /// [`preflight`](super::preflight).
    Preflight,
    /// A path of the official libraries that has nothing to do with events:
    /// [`UnbuiltPath::response`].
    NotBuilt(UnbuiltPath),
    /// A path of the API, with a method that it does not have: [`method_not_allowed`].
    ///
    /// `HEAD` is one of them: `GET` records here, `HEAD` must not, and an answer "recorded" for
    /// something that was not would be a lie.
    MethodNotAllowed,
    /// No path of the API: [`not_found`].
    NotFound,
}

/// Finds what a request asks for by its method and its path; a trailing slash changes nothing.
///
/// ```
/// use windhover_core::http::Method;
/// use windhover_core::tracking::{Route, TrackingEndpoint, route};
///
/// assert_eq!(route(Method::Post, "/track/"), Route::Record(TrackingEndpoint::Track));
/// assert_eq!(route(Method::Head, "/track"), Route::MethodNotAllowed);
/// assert_eq!(route(Method::Get, "/tracks"), Route::NotFound);
/// ```
pub fn route(method: Method, path: &str) -> Route {
    if method == Method::Options {
        return Route::Preflight;
    }
    let unbuilt = UnbuiltPath::of(path.strip_suffix('/').unwrap_or(path));
    let found = match (TrackingEndpoint::of(path), unbuilt) {
        (Some(endpoint), _) => Route::Record(endpoint),
        (None, Some(unbuilt_path)) => Route::NotBuilt(unbuilt_path),
        (None, None) => return Route::NotFound,
    };
    match method {
        Method::Get | Method::Post => found,
        _ => Route::MethodNotAllowed,
    }
}

/// 404 for every path that is not served, to a request with these headers.
///
/// ```
/// use windhover_core::http::Headers;
/// use windhover_core::tracking::not_found;
///
/// let response = not_found(&Headers::new(&[("Origin", b"https://example.com")]));
/// assert_eq!(response.status.0, 404);
/// // The page that asked may read it.
/// let shared = ("Access-Control-Allow-Origin", "https://example.com".into());
/// assert!(response.headers.contains(&shared));
/// ```
pub fn not_found(headers: &Headers<'_>) -> Response {
    let mut response = Response::new(
        Status::NOT_FOUND,
        "text/plain",
        &b"not found: events are sent to /track or /import, updates to /engage or /groups\n"[..],
    );
    cors::share(&mut response, headers);
    response
}

/// 503 with `Retry-After`, for an application that takes nothing for now, to a request that has no body. Of one
/// that has, the body need not be read:
/// [`ServerConnection::set_overloaded`](crate::http::ServerConnection::set_overloaded).
///
/// ```
/// use windhover_core::http::{Method, Request};
/// use windhover_core::tracking::overloaded;
///
/// let response = overloaded(&Request::new(Method::Get, "/track", "data=e30="));
/// assert_eq!(response.status.0, 503);
/// assert_eq!(response.fixed_headers.get("Retry-After"), Some("2"));
/// ```
pub fn overloaded(request: &Request<'_>) -> Response {
    let error = HttpError::Overloaded;
    let mut response = reply::failed(Some(request.path), error.status(), &error.to_string());
    cors::apply(&mut response, cors::origin(&request.headers).as_deref(), true);
    response
}

/// 405 with the methods that there are.
///
/// ```
/// use windhover_core::http::{Method, Request};
/// use windhover_core::tracking::method_not_allowed;
///
/// let response = method_not_allowed(&Request::new(Method::Head, "/track", ""));
/// assert_eq!(response.status.0, 405);
/// assert!(response.headers.iter().any(|(name, _)| *name == "Allow"));
/// ```
pub fn method_not_allowed(request: &Request<'_>) -> Response {
    const WHY: &str = "events are sent by GET or POST";
    let mut response = reply::failed(Some(request.path), Status::METHOD_NOT_ALLOWED, WHY)
        .with_header("Allow", cors::METHODS);
    cors::share(&mut response, &request.headers);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_path_itself_is_served() {
        let cases = [
            (Method::Get, "/track", Route::Record(TrackingEndpoint::Track)),
            (Method::Get, "/track/", Route::Record(TrackingEndpoint::Track)),
            (Method::Post, "/track", Route::Record(TrackingEndpoint::Track)),
            (Method::Post, "/import", Route::Record(TrackingEndpoint::Import)),
            (Method::Get, "/import/", Route::Record(TrackingEndpoint::Import)),
            (Method::Post, "/engage/", Route::Record(TrackingEndpoint::Engage)),
            (Method::Get, "/groups", Route::Record(TrackingEndpoint::Groups)),
            (Method::Head, "/groups", Route::MethodNotAllowed),
            (Method::Options, "/track/", Route::Preflight),
            (Method::Head, "/track", Route::MethodNotAllowed),
            (Method::Put, "/track", Route::MethodNotAllowed),
            (Method::Get, "/track//", Route::NotFound),
            (Method::Get, "/Track", Route::NotFound),
            (Method::Get, "track", Route::NotFound),
            (Method::Get, "/", Route::NotFound),
            (Method::Get, "", Route::NotFound),
            (Method::Options, "*", Route::Preflight),
            (Method::Options, "/engage", Route::Preflight),
            (Method::Get, "/flags/", Route::NotBuilt(UnbuiltPath::Flags)),
            (Method::Get, "/flags", Route::NotBuilt(UnbuiltPath::Flags)),
            (Method::Get, "/flags/definitions", Route::NotBuilt(UnbuiltPath::FlagDefinitions)),
            (Method::Get, "/flags/other", Route::NotFound),
            (Method::Get, "/settings/", Route::NotBuilt(UnbuiltPath::Settings)),
            (Method::Post, "/record/", Route::NotBuilt(UnbuiltPath::Record)),
            (Method::Get, "/decide", Route::NotBuilt(UnbuiltPath::Decide)),
            (Method::Options, "/record/", Route::Preflight),
            (Method::Put, "/record/", Route::MethodNotAllowed),
        ];
        for (method, path, expected) in cases {
            assert_eq!(route(method, path), expected, "{method:?} {path}");
        }
    }

    #[test]
    fn other_methods_are_told_which_there_are() {
        let response = method_not_allowed(&Request::new(Method::Head, "/track", ""));
        assert_eq!(response.status, Status(405));
        assert_eq!(response.headers, [("Allow", "GET, POST, OPTIONS".into())]);
    }
}
