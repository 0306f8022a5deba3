//! Why a tracking request is not recorded, in words that its sender can act on.

use core::fmt;

use super::body::ACCEPTED_CODINGS;
use super::endpoint::RecordKind;
use crate::http::Status;

/// Why a request is not recorded; nothing of it is. Its [`Display`](fmt::Display) is one
/// sentence for the sender, given as `error` with `verbose=1`.
///
/// ```
/// use windhover_core::http::Status;
/// use windhover_core::tracking::{DecodeError, InflateFault};
///
/// let cut = DecodeError::Inflate { fault: InflateFault::Cut };
/// assert_eq!(cut.status(), Status::BAD_REQUEST);
/// // The label of a metric, and a sentence for the sender.
/// assert_eq!(cut.reason(), "compression_cut");
/// assert!(cut.to_string().starts_with("the body cannot be decompressed: "));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DecodeError {
    /// Neither the query nor the body has events.
    DataMissing,
    /// `data`, or the body, is there, but has nothing in it: it is empty, or padding and white space.
    DataEmpty,
    /// There are events in two places: `data` twice, or `data` beside a JSON body. Recording one
    /// would lose the other in silence.
    DataTwice,
    /// A `GET` came with a body, which has no meaning (RFC 9110 §9.3.1): its events would be lost
    /// in silence.
    BodyOfGet,
    /// A method that records nothing.
    Method,
    /// The body has a `Content-Encoding` other than `gzip` and `deflate`, or several; without the
    /// feature `gzip`, any at all.
    ContentEncoding,
    /// The body cannot be made plain.
    Inflate {
        /// Why.
        fault: InflateFault,
    },
    /// The body is neither a form nor JSON nor plain text.
    ContentType,
    /// The body calls itself a multipart form, and is none, or is cut off.
    Multipart,
    /// `callback` is not an identifier path such as `lib.queue_1.$done`, or `lib.queue[1]`.
    Callback,
    /// `data` is neither JSON nor base64.
    Base64 {
        /// The byte of the encoded value that is not part of base64.
        at: usize,
    },
    /// The events are not UTF-8 where it cannot be mended: outside of strings.
    Utf8 {
        /// The first such byte of the decoded data.
        at: usize,
    },
    /// The events are not JSON.
    Json {
        /// The byte of the decoded data at which that was seen; what is wrong may also be the byte
        /// behind it, or up to three bytes before it in an escape.
        at: usize,
    },
    /// The JSON ends before it is complete: it was cut off on its way.
    JsonCut {
        /// How long the decoded data is.
        length: usize,
    },
    /// Something follows the JSON.
    JsonTrailing {
        /// The first byte of the decoded data that does.
        at: usize,
    },
    /// Objects and arrays are nested so deep that the rest of the JSON is not looked at. In a body of a
    /// record in each line it is only that record which is refused ([`RecordFault::TooDeep`]), and so it
    /// is where the JSON is less deep than this.
    JsonTooDeep {
        /// The most levels that are read.
        limit: usize,
    },
    /// The JSON is neither an object nor an array.
    NotEvents,
    /// An array without events.
    BatchEmpty,
    /// More events than [`TrackingLimits::batch`](super::TrackingLimits::batch).
    BatchTooLarge {
        /// The most that there may be.
        limit: usize,
    },
    /// `/import` without credentials.
    Unauthorized,
    /// One record is wrong.
    Record {
        /// What it is.
        kind: RecordKind,
        /// Which one, counted from 0.
        index: usize,
        /// What is wrong with it.
        fault: RecordFault,
    },
}

/// Why a compressed body cannot be made plain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum InflateFault {
    /// It is not what its `Content-Encoding` says, or its checksum is another one, or something
    /// follows it.
    Damaged,
    /// It ends too early.
    Cut,
    /// It is larger than [`TrackingLimits::inflated`](super::TrackingLimits::inflated).
    TooLarge {
        /// The most bytes that it may have.
        limit: usize,
    },
    /// It is more times as large as before than [`TrackingLimits::ratio`](super::TrackingLimits::ratio).
    Ratio {
        /// How many times as large it may be.
        limit: usize,
    },
    /// It is made of so many small blocks that making it plain takes longer than its text is worth.
    Blocks,
}

/// What is wrong with one record.
///
/// ```
/// use windhover_core::tracking::{FaultOf, RecordFault, RecordKind};
///
/// let fault = RecordFault::TokenMissing;
/// assert_eq!(fault.reason(), "token_missing");
/// // Events and updates have their tokens under different names.
/// assert_eq!(fault.field(RecordKind::Event), "properties.token");
/// assert_eq!(fault.field(RecordKind::UserUpdate), "$token");
/// let sentence: FaultOf = fault.of(RecordKind::UserUpdate);
/// assert!(sentence.to_string().contains("$token"));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RecordFault {
    /// It is not an object.
    NotAnObject,
    /// It is a line that is not JSON.
    NotJson,
    /// There is no `event`.
    NameMissing,
    /// `event` is not a string.
    NameNotAString,
    /// `event` is an empty string.
    NameEmpty,
    /// There are no `properties`.
    PropertiesMissing,
    /// `properties` is not an object.
    PropertiesNotAnObject,
    /// More properties than [`TrackingLimits::properties`](super::TrackingLimits::properties), or more members
    /// beside `event` and `properties`.
    TooManyProperties {
        /// The most that there may be.
        limit: usize,
    },
    /// There is no `token`, or `$token` of an update.
    TokenMissing,
    /// The token is not a string.
    TokenNotAString,
    /// The token is an empty string.
    TokenEmpty,
    /// Records of that token are not taken here.
    TokenUnknown,
    /// The time is neither a number nor a string that holds one.
    TimeNotANumber,
    /// The time is before 1971.
    TimeTooEarly,
    /// The time is more than an hour ahead (with `strict=1`).
    TimeTooLate,
    /// There is no `time` (with `strict=1`).
    TimeMissing,
    /// `$insert_id` is not at most 36 letters, digits and hyphens (with `strict=1`).
    InsertIdMalformed,
    /// The user's id is one of those that programs make of none (with `strict=1`).
    DistinctIdBanned,
    /// There is no `$distinct_id`, or `$group_id` of a group, or it is empty.
    ProfileIdMissing,
    /// The profile's id is neither a string nor a number.
    ProfileIdNotAString,
    /// There is no `$group_key`, or it is not a string, or empty.
    GroupKeyMissing,
    /// The update has none of the operations that there are.
    OperationMissing,
    /// The value of `$set`, `$set_once`, `$append` or `$remove` is not an object.
    OperationNotAnObject,
    /// The value of `$add` is not an object of numbers.
    OperationNotNumbers,
    /// The value of `$union` is not an object of arrays.
    OperationNotArrays,
    /// The value of `$unset` is not an array of names.
    OperationNotNames,
    /// Objects and arrays are nested deeper than [`TrackingLimits::depth`](super::TrackingLimits::depth).
    TooDeep {
        /// The most levels that there may be in a property.
        limit: usize,
    },
    /// An array is longer than [`TrackingLimits::array`](super::TrackingLimits::array).
    ArrayTooLong {
        /// The most elements that there may be.
        limit: usize,
    },
    /// An object in a property has more members than
    /// [`TrackingLimits::properties`](super::TrackingLimits::properties).
    ObjectTooLarge {
        /// The most members that there may be.
        limit: usize,
    },
    /// The cleaned-up record is larger than [`TrackingLimits::event`](super::TrackingLimits::event).
    TooLarge {
        /// The most bytes that it may have.
        limit: usize,
    },
}

impl DecodeError {
    /// A short name of the reason in lower case, for the label of a metric.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::DataMissing => "data_missing",
            Self::DataEmpty => "data_empty",
            Self::DataTwice => "data_twice",
            Self::BodyOfGet => "body_of_get",
            Self::Method => "method",
            Self::ContentEncoding => "content_encoding",
            Self::Inflate { fault } => fault.reason(),
            Self::ContentType => "content_type",
            Self::Multipart => "multipart",
            Self::Callback => "callback",
            Self::Base64 { .. } => "base64",
            Self::Utf8 { .. } => "utf8",
            Self::Json { .. } => "json",
            Self::JsonCut { .. } => "json_cut",
            Self::JsonTrailing { .. } => "json_trailing",
            Self::JsonTooDeep { .. } => "json_too_deep",
            Self::NotEvents => "not_events",
            Self::BatchEmpty => "batch_empty",
            Self::BatchTooLarge { .. } => "batch_too_large",
            Self::Unauthorized => "unauthorized",
            Self::Record { fault, .. } => fault.reason(),
        }
    }
}

impl DecodeError {
    /// Whether the request had something that is not recorded now: not where it brought nothing, nor where
    /// it was made to cost its reader much ([`JsonTooDeep`](Self::JsonTooDeep)), which nobody would send again.
    pub const fn has_lost_something(&self) -> bool {
        !matches!(
            self,
            Self::DataMissing
                | Self::DataEmpty
                | Self::BatchEmpty
                | Self::Method
                | Self::JsonTooDeep { .. }
        )
    }

    /// The status of the answer. It is 200 for what is wrong with the events, as the API has it;
    /// what cannot be read is answered otherwise, for senders delete what a 200 answers.
    pub const fn status(&self) -> Status {
        match self {
            Self::ContentEncoding | Self::ContentType => Status::UNSUPPORTED_MEDIA_TYPE,
            Self::Inflate { fault } => fault.status(),
            Self::Multipart => Status::BAD_REQUEST,
            Self::Unauthorized => Status(401),
            // Its sender is to halve it.
            Self::BatchTooLarge { .. } => Status::CONTENT_TOO_LARGE,
            _ => Status::OK,
        }
    }

    /// The same, with each place in the decoded data put through `place`.
    pub(super) fn moved(self, place: impl FnOnce(usize) -> usize) -> Self {
        match self {
            Self::Json { at } => Self::Json { at: place(at) },
            Self::JsonCut { length } => Self::JsonCut { length: place(length) },
            Self::JsonTrailing { at } => Self::JsonTrailing { at: place(at) },
            other => other,
        }
    }
}

impl InflateFault {
    const fn status(self) -> Status {
        match self {
            Self::Damaged | Self::Cut | Self::Blocks => Status::BAD_REQUEST,
            Self::TooLarge { .. } | Self::Ratio { .. } => Status::CONTENT_TOO_LARGE,
        }
    }

    /// A short name of the reason in lower case, for the label of a metric.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Damaged => "compression_damaged",
            Self::Cut => "compression_cut",
            Self::TooLarge { .. } => "inflated_too_large",
            Self::Ratio { .. } => "inflated_ratio",
            Self::Blocks => "inflated_blocks",
        }
    }
}

impl RecordFault {
    /// A short name of the reason in lower case, for the label of a metric.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::NotAnObject => "not_an_object",
            Self::NotJson => "not_json",
            Self::NameMissing => "event_name_missing",
            Self::NameNotAString => "event_name_not_a_string",
            Self::NameEmpty => "event_name_empty",
            Self::PropertiesMissing => "properties_missing",
            Self::PropertiesNotAnObject => "properties_not_an_object",
            Self::TooManyProperties { .. } => "too_many_properties",
            Self::TokenMissing => "token_missing",
            Self::TokenNotAString => "token_not_a_string",
            Self::TokenEmpty => "token_empty",
            Self::TokenUnknown => "token_unknown",
            Self::TimeNotANumber => "time_not_a_number",
            Self::TimeTooEarly => "time_too_early",
            Self::TimeTooLate => "time_too_late",
            Self::TimeMissing => "time_missing",
            Self::InsertIdMalformed => "insert_id_malformed",
            Self::DistinctIdBanned => "distinct_id_banned",
            Self::ProfileIdMissing => "profile_id_missing",
            Self::ProfileIdNotAString => "profile_id_not_a_string",
            Self::GroupKeyMissing => "group_key_missing",
            Self::OperationMissing => "operation_missing",
            Self::OperationNotAnObject => "operation_not_an_object",
            Self::OperationNotNumbers => "operation_not_numbers",
            Self::OperationNotArrays => "operation_not_arrays",
            Self::OperationNotNames => "operation_not_names",
            Self::TooDeep { .. } => "too_deep",
            Self::ArrayTooLong { .. } => "array_too_long",
            Self::ObjectTooLarge { .. } => "object_too_large",
            Self::TooLarge { .. } => "record_too_large",
        }
    }

    /// The member that it is about of a record of that kind, as `/import` names it; empty where it is
    /// the record itself.
    pub const fn field(self, kind: RecordKind) -> &'static str {
        let is_event = matches!(kind, RecordKind::Event);
        match self {
            Self::NameMissing | Self::NameNotAString | Self::NameEmpty => "event",
            Self::TokenMissing | Self::TokenNotAString | Self::TokenEmpty | Self::TokenUnknown => {
                if is_event {
                    "properties.token"
                } else {
                    "$token"
                }
            }
            Self::TimeNotANumber | Self::TimeTooEarly | Self::TimeTooLate | Self::TimeMissing => {
                if is_event {
                    "properties.time"
                } else {
                    "$time"
                }
            }
            Self::InsertIdMalformed => "properties.$insert_id",
            Self::DistinctIdBanned | Self::ProfileIdMissing | Self::ProfileIdNotAString => {
                match kind {
                    RecordKind::Event => "properties.distinct_id",
                    RecordKind::UserUpdate => "$distinct_id",
                    RecordKind::GroupUpdate => "$group_id",
                }
            }
            Self::GroupKeyMissing => "$group_key",
            Self::OperationNotNumbers => "$add",
            Self::OperationNotArrays => "$union",
            Self::OperationNotNames => "$unset",
            Self::PropertiesMissing | Self::PropertiesNotAnObject => "properties",
            Self::TooManyProperties { .. }
            | Self::TooDeep { .. }
            | Self::ArrayTooLong { .. }
            | Self::ObjectTooLarge { .. } => {
                if is_event {
                    "properties"
                } else {
                    ""
                }
            }
            Self::NotAnObject
            | Self::NotJson
            | Self::TooLarge { .. }
            | Self::OperationMissing
            | Self::OperationNotAnObject => "",
        }
    }

    /// The fault of a record of that kind, in words for its sender: one sentence without quotes,
    /// backslashes and control characters.
    pub const fn of(self, kind: RecordKind) -> FaultOf {
        FaultOf { fault: self, kind }
    }
}

/// What is wrong with one record of a known kind: see [`RecordFault::of`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FaultOf {
    fault: RecordFault,
    kind: RecordKind,
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DataMissing => f.write_str(
                "data is missing: send it in the query, in a form body, or as an application/json body",
            ),
            Self::DataEmpty => f.write_str(
                "there is nothing in data but padding or white space: it must hold an event as JSON \
                 or base64",
            ),
            Self::DataTwice => f.write_str(
                "data is given twice: send all events in one place, several of them as an array",
            ),
            Self::BodyOfGet => {
                f.write_str("a GET request has a body: put data in the query, or use POST")
            }
            Self::Method => f.write_str("records are sent by GET or POST"),
            Self::ContentEncoding => write!(
                f,
                "the Content-Encoding of the body is not read here: use one of {ACCEPTED_CODINGS}, \
                 or none"
            ),
            Self::Inflate { fault } => write!(f, "the body cannot be decompressed: {fault}"),
            Self::ContentType => f.write_str(
                "the Content-Type of the body is not one of application/x-www-form-urlencoded, \
                 multipart/form-data, application/json, application/x-ndjson and text/plain",
            ),
            Self::Multipart => f.write_str(
                "the body is no multipart/form-data with the boundary of its Content-Type, or is cut \
                 off",
            ),
            Self::Callback => f.write_str(
                "callback is not a path of JavaScript identifiers such as lib.queue_1.$done",
            ),
            Self::Base64 { at } => {
                write!(f, "data is neither JSON nor base64: see byte {at} of its value")
            }
            Self::Utf8 { at } => {
                write!(f, "data is not JSON in UTF-8: see byte {at}, counted without its encoding")
            }
            Self::Json { at } => {
                write!(f, "data is not valid JSON: see byte {at}, counted without its encoding")
            }
            Self::JsonCut { length } => {
                write!(f, "data is cut off: its JSON is not complete after {length} bytes")
            }
            Self::JsonTooDeep { limit } => {
                write!(f, "data is not read: its JSON is nested deeper than {limit} levels")
            }
            Self::JsonTrailing { at } => write!(
                f,
                "data goes on behind its JSON at byte {at}: send several events as an array, or each in a \
                 line of its own as application/x-ndjson"
            ),
            Self::NotEvents => f.write_str("data is neither an object nor an array of objects"),
            Self::BatchEmpty => f.write_str("data is an empty array: it must hold an event"),
            Self::BatchTooLarge { limit } => {
                write!(f, "data has more than {limit} events: send them in several requests")
            }
            Self::Unauthorized => f.write_str(
                "there are no credentials: send the project's token as the user of Basic \
                 authentication, or those of a service account",
            ),
            Self::Record { kind, index, fault } => {
                write!(f, "{} {index}: {}", kind.noun(), fault.of(*kind))
            }
        }
    }
}

impl fmt::Display for InflateFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Damaged => f.write_str("it is not what its Content-Encoding says, or is damaged"),
            Self::Cut => f.write_str("it is cut off"),
            Self::TooLarge { limit } => {
                write!(f, "it is larger than {limit} bytes: send less at a time")
            }
            Self::Ratio { limit } => {
                write!(f, "it is more than {limit} times as large as before: send less at a time")
            }
            Self::Blocks => f.write_str("it has too many blocks: do not flush so often"),
        }
    }
}

impl fmt::Display for RecordFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.of(RecordKind::Event).fmt(f)
    }
}

impl fmt::Display for FaultOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let field = self.fault.field(self.kind);
        match self.fault {
            RecordFault::NotAnObject => f.write_str("it is not an object"),
            RecordFault::NotJson => f.write_str("it is not JSON"),
            RecordFault::NameMissing
            | RecordFault::PropertiesMissing
            | RecordFault::TokenMissing
            | RecordFault::TimeMissing => write!(f, "{field} is missing"),
            RecordFault::NameNotAString | RecordFault::TokenNotAString => {
                write!(f, "{field} is not a string")
            }
            RecordFault::NameEmpty | RecordFault::TokenEmpty => write!(f, "{field} is empty"),
            RecordFault::TokenUnknown => write!(f, "{field} is of no project that is known here"),
            RecordFault::PropertiesNotAnObject => write!(f, "{field} is not an object"),
            RecordFault::TooManyProperties { limit } => {
                write!(f, "there are more than {limit} properties")
            }
            RecordFault::TimeNotANumber => {
                write!(f, "{field} is not a number of seconds or milliseconds since 1970")
            }
            RecordFault::TimeTooEarly => write!(f, "{field} is before 1971-01-01"),
            RecordFault::TimeTooLate => write!(f, "{field} is more than an hour ahead"),
            RecordFault::InsertIdMalformed => {
                write!(f, "{field} is not at most 36 letters, digits and hyphens")
            }
            RecordFault::DistinctIdBanned => {
                write!(f, "{field} stands for no user: leave it out where there is none")
            }
            RecordFault::ProfileIdMissing | RecordFault::GroupKeyMissing => {
                write!(f, "{field} is missing or empty")
            }
            RecordFault::ProfileIdNotAString => {
                write!(f, "{field} is neither a string nor a number")
            }
            RecordFault::OperationMissing if self.kind == RecordKind::GroupUpdate => f.write_str(
                "there is none of $set, $set_once, $union, $remove, $unset and $delete",
            ),
            RecordFault::OperationMissing => f.write_str(
                "there is none of $set, $set_once, $add, $union, $append, $remove, $unset and $delete",
            ),
            RecordFault::OperationNotAnObject => {
                f.write_str("the value of $set, $set_once, $append or $remove is not an object")
            }
            RecordFault::OperationNotNumbers => {
                write!(f, "the value of {field} is not an object of numbers")
            }
            RecordFault::OperationNotArrays => {
                write!(f, "the value of {field} is not an object of arrays")
            }
            RecordFault::OperationNotNames => {
                write!(f, "the value of {field} is not an array of names")
            }
            RecordFault::TooDeep { limit } => write!(
                f,
                "objects and arrays are nested more than {limit} levels deep in a property"
            ),
            RecordFault::ArrayTooLong { limit } => {
                write!(f, "an array has more than {limit} elements")
            }
            RecordFault::ObjectTooLarge { limit } => {
                write!(f, "an object has more than {limit} members")
            }
            RecordFault::TooLarge { limit } => write!(f, "it is larger than {limit} bytes"),
        }
    }
}

impl core::error::Error for DecodeError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Inflate { fault } => fault.source(),
            Self::Record { fault, .. } => fault.source(),
            _ => None,
        }
    }
}

impl core::error::Error for InflateFault {}

impl core::error::Error for RecordFault {}
