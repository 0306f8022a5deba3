//! The tracking API: from a HTTP request to records for a queue, and back to the answer.
//!
//! [`route`] says what a request asks for, [`Decoder::decode`] turns it into records and a
//! [`TrackingReply`], and the reply gives the [`Response`](crate::http::Response) when it is known what
//! became of them. Nothing here does I/O or reads a clock.
//!
//! [`Decoder::decode`] needs nothing of this crate's HTTP but the two types that a request is given
//! in, both borrowed: the example `function` answers a cloud function's invocations with it.
//!
//! # What is accepted
//!
//! `/track`, `/import` (events), `/engage` and `/groups` (updates of profiles) by `GET` or `POST`, with
//! the records in one of:
//!
//! | where | as |
//! |---|---|
//! | `data=` in the query, or in a body of `application/x-www-form-urlencoded`, `text/plain` (which browsers' `sendBeacon` says of a form), `multipart/form-data` or no type | base64, standard or URL-safe, padded or not, with `+` that arrived as a space, with line breaks; or plain JSON |
//! | a body of `application/x-ndjson` | JSON, a record in each line |
//! | a body of `application/json`, or one of the types above that begins with `{` or `[` | JSON |
//!
//! It is one record or an array of them, in UTF-8, with or without a byte order mark. Two surrogates
//! that were encoded as if each were a character become the character; whatever else is not UTF-8
//! in a string becomes U+FFFD and is counted ([`Repairs`]). Events in two
//! places are refused, because one of them would be lost in silence; so is the body of a `GET`. With the
//! feature `gzip` a body may be compressed, as gzip or deflate. What cannot be read is never answered
//! 200 ([`DecodeError::status`]): senders delete what that answers.
//!
//! The parameters `ip`, `verbose`, `redirect`, `img`, `callback`, `test`, `strict`, `api_key` and
//! `project_id` are taken from the query and from a form body.
//!
//! # What an event must have
//!
//! `event`, a string that is not empty, and `properties`, an object with a `token` that is a string
//! and not empty. `time`, if it is there, is a number (or a string that holds one) of seconds, or
//! from 10<sup>11</sup> on milliseconds, since 1970; it may be as old as 1971, for senders store
//! events while they are offline; one that is more than an hour ahead is taken for the time of
//! receipt, as the API does. Sizes are bounded by
//! [`TrackingLimits`]. The good events of a batch are recorded, the bad ones are told by
//! [`Decoded::refused`], and with `verbose=1` to the sender; [`BatchRule`] has the other way. Text that
//! is not JSON is refused as a whole, but for the bare words `NaN`, `Infinity` and `-Infinity`, which
//! become `null` and are counted; so do numbers that are too large for a double.
//!
//! # What an update must have
//!
//! `$token`, as an event's `token`; for a user `$distinct_id`, for a group `$group_key` and
//! `$group_id`; and an operation such as `$set`, with a value of its kind. It becomes one line, too,
//! with `$time`, with `ip=1` `$ip`, and `mp_processing_time_ms` stamped as on an event.
//!
//! # What an event becomes
//!
//! One line of JSON: `{"event":…,"properties":{…}}`, then whatever other members the event had
//! (the original API drops them), everything in the order received and without white space between
//! tokens. Numbers keep every digit, and strings (names of members too) every escape, but for half
//! a surrogate pair, which becomes `\ufffd`. Of members with equal names the last value counts, at
//! the place of the first; inside the values of properties, objects are passed on as they are.
//!
//! Some properties are stamped, in place if they came, else at the end in this order:
//!
//! | property | is |
//! |---|---|
//! | `time` | milliseconds since 1970; the time of receipt if there was none (or `null`) |
//! | `ip` | with `ip=1`, the client's address, if there was none (or `null`, or an empty string) |
//! | `mp_processing_time_ms` | the time of receipt in milliseconds since 1970 |
//! | `$insert_id` | an id from [`IdSource`], if there was none (or `null`, or an empty string) |
//! | `$test` | with `test=1`, `true` |
//!
//! # The same event twice
//!
//! Nothing is dropped here. A sink is told the [`EventIdentity`] of each event that came with an `$insert_id`
//! ([`RecordSink::identify`]), and a [`DedupWindow`] knows which of them were seen of late.

mod base64;
mod body;
mod client;
mod compact;
mod cors;
mod credentials;
mod decimal;
mod decoder;
mod dedup;
mod distinct_id;
mod endpoint;
mod error;
mod event;
mod explain;
mod form;
mod id;
mod identity;
#[cfg(feature = "gzip")]
mod inflate;
mod json;
mod limits;
mod members;
mod mend;
mod multipart;
mod parameters;
mod reading;
mod record;
mod redirect;
mod refused;
mod reply;
mod route;
mod scan;
mod sink;
mod stamps;
mod time;
mod unbuilt_path;
mod update;

pub use client::{ForwardedHeader, TrustedProxies, client_address};
pub use cors::{preflight, refused, share};
pub use decoder::{Context, Decoded, Decoder, OverBudget};
pub use dedup::DedupWindow;
pub use endpoint::{RecordKind, TrackingEndpoint};
pub use error::{DecodeError, FaultOf, InflateFault, RecordFault};
pub use explain::{DecodeStep, Explained, explain};
pub use form::form_pairs;
pub use id::IdSource;
pub use identity::{EventDigest, EventIdentity, RecordedIdentity};
pub use limits::TrackingLimits;
pub use mend::Repairs;
pub use reading::BatchRule;
pub use redirect::RedirectPolicy;
pub use refused::RefusedRecord;
pub use reply::TrackingReply;
pub use route::{Route, method_not_allowed, not_found, overloaded, route};
pub use sink::{RecordSink, Records};
pub use unbuilt_path::UnbuiltPath;
