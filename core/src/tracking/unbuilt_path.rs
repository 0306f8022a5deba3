//! Paths of the official libraries that have nothing to do with events: feature flags, remote
//! settings, recordings of sessions, messages. Each is answered with nothing, in the form in which the
//! library expects it, so that it neither logs an error nor sends the request again and again.

use crate::http::{Headers, Response, Status};

use super::cors;

/// A path of the official libraries that is not built.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum UnbuiltPath {
    /// `/flags`: the feature flags of a user.
    Flags,
    /// `/flags/definitions`: all feature flags, for servers that decide by themselves.
    FlagDefinitions,
    /// `/settings`: what the browser library is told to do otherwise.
    Settings,
    /// `/record`: the recording of a session. What is sent is dropped.
    Record,
    /// `/decide`: messages and experiments of older libraries.
    Decide,
}

impl UnbuiltPath {
    /// The one of a path without its last slash.
    pub(super) fn of(path: &str) -> Option<Self> {
        Some(match path {
            "/flags" => Self::Flags,
            "/flags/definitions" => Self::FlagDefinitions,
            "/settings" => Self::Settings,
            "/record" => Self::Record,
            "/decide" => Self::Decide,
            _ => return None,
        })
    }

    /// A short name of the path in lower case, for the label of a metric.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Flags => "flags",
            Self::FlagDefinitions => "flag_definitions",
            Self::Settings => "settings",
            Self::Record => "record",
            Self::Decide => "decide",
        }
    }

    /// 200 with nothing, to a request with these headers.
    ///
    /// ```
    /// use windhover_core::http::{Headers, Method};
    /// use windhover_core::tracking::{Route, UnbuiltPath, route};
    ///
    /// assert_eq!(route(Method::Get, "/flags/"), Route::NotBuilt(UnbuiltPath::Flags));
    /// assert_eq!(&*UnbuiltPath::Flags.response(&Headers::new(&[])).body, br#"{"flags":{}}"#);
    /// ```
    pub fn response(self, request: &Headers<'_>) -> Response {
        let nothing: &'static [u8] = match self {
            Self::Flags => br#"{"flags":{}}"#,
            Self::FlagDefinitions => br#"{"flags":[]}"#,
            Self::Settings => b"{}",
            Self::Record => br#"{"code":200,"status":"OK"}"#,
            Self::Decide => {
                br#"{"notifications":[],"surveys":[],"variants":[],"event_bindings":[],"integrations":[],"automatic_events":false}"#
            }
        };
        let mut response = Response::new(Status::OK, "application/json", nothing);
        cors::share(&mut response, request);
        response
    }
}
