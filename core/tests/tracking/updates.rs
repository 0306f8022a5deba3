//! Updates of profiles: what they must be, and what they become.

use windhover_core::http::{Headers, Method, Request};
use windhover_core::tracking::{DecodeError, RecordFault, RecordKind};

use crate::support::{Outcome, Tracker};

/// What is stamped on an update that brings no time.
const STAMPS: &str = r#""$time":1334859601234,"mp_processing_time_ms":1334859601234}"#;

fn send(path: &str, query: &str, body: &str) -> Outcome {
    let mut request = Request::new(Method::Post, path, query);
    request.headers = Headers::new(&[("content-type", b"application/json")]);
    request.body = body.as_bytes();
    Tracker::default().send(&request)
}

fn engage(members: &str) -> Outcome {
    send("/engage", "", &format!(r#"{{"$token":"t","$distinct_id":"d",{members}}}"#))
}

fn group(members: &str) -> Outcome {
    send("/groups", "", &format!(r#"{{"$token":"t","$group_key":"k","$group_id":"g",{members}}}"#))
}

fn fault(outcome: &Outcome) -> Option<RecordFault> {
    match outcome.result {
        Err(DecodeError::Record { index: 0, fault, .. }) => Some(fault),
        Err(ref other) => panic!("{other}"),
        Ok(_) => None,
    }
}

#[test]
fn an_update_is_passed_on_and_stamped() {
    let outcome =
        engage(r#" "$set" : { "a" : 1.0 , "é\ud83d" : [ "x" ] } , "$ignore_alias" : true"#);
    assert_eq!(
        outcome.events,
        [format!(
            r#"{{"$token":"t","$distinct_id":"d","$set":{{"a":1.0,"é\ufffd":["x"]}},"$ignore_alias":true,{STAMPS}"#
        )]
    );
    assert_eq!(outcome.repairs.characters, 1);
    assert_eq!(outcome.body(), "1");
    let outcome =
        group(r#""$set":{"a":1},"$time":1334859600,"mp_processing_time_ms":7,"$ip":null"#);
    assert_eq!(
        outcome.events,
        [
            r#"{"$token":"t","$group_key":"k","$group_id":"g","$set":{"a":1},"$time":1334859600000,"mp_processing_time_ms":1334859601234,"$ip":null}"#
        ]
    );
}

#[test]
fn ip_1_gives_the_address_to_an_update_without_one() {
    let body = |ip: &str| format!(r#"{{"$token":"t","$distinct_id":1,"$delete":""{ip}}}"#);
    let cases = [
        ("", r#","$time":1334859601234,"$ip":"203.0.113.9","mp"#),
        (r#","$ip":"""#, r#","$ip":"203.0.113.9","$time":1334859601234,"mp"#),
        (r#","$ip":null"#, r#","$ip":"203.0.113.9","$time":1334859601234,"mp"#),
        (r#","$ip":"10.0.0.1""#, r#","$ip":"10.0.0.1","$time":1334859601234,"mp"#),
    ];
    for (ip, expected) in cases {
        let outcome = send("/engage", "ip=1", &body(ip));
        assert!(outcome.events[0].contains(expected), "{}", outcome.events[0]);
        let without = &send("/engage", "ip=0", &body(ip)).events[0];
        assert!(!without.contains("203"), "{without}");
    }
}

#[test]
fn each_operation_has_a_value_of_its_kind() {
    let user: &[(&str, Option<RecordFault>)] = &[
        (r#""$set":{}"#, None),
        (r#""$set":{"a":{"b":[[1]]}}"#, None),
        (r#""$set":{"a":{"b":[[{}]]}}"#, Some(RecordFault::TooDeep { limit: 3 })),
        (r#""$set":[]"#, Some(RecordFault::OperationNotAnObject)),
        (r#""$set_once":{"a":"b"}"#, None),
        (r#""$set_once":"a""#, Some(RecordFault::OperationNotAnObject)),
        (r#""$append":{"a":1}"#, None),
        (r#""$append":null"#, Some(RecordFault::OperationNotAnObject)),
        (r#""$remove":{"a":1}"#, None),
        (r#""$remove":1"#, Some(RecordFault::OperationNotAnObject)),
        (r#""$add":{"a":1,"b":-1.5e3}"#, None),
        (r#""$add":{"a":"1"}"#, Some(RecordFault::OperationNotNumbers)),
        (r#""$add":{"a":1e999}"#, Some(RecordFault::OperationNotNumbers)),
        (r#""$add":1"#, Some(RecordFault::OperationNotNumbers)),
        (r#""$union":{"a":[1],"b":[]}"#, None),
        (r#""$union":{"a":1}"#, Some(RecordFault::OperationNotArrays)),
        (r#""$union":[]"#, Some(RecordFault::OperationNotArrays)),
        (r#""$unset":["a","b"]"#, None),
        (r#""$unset":[1]"#, Some(RecordFault::OperationNotNames)),
        (r#""$unset":{"a":1}"#, Some(RecordFault::OperationNotNames)),
        (r#""$delete":"""#, None),
        (r#""$delete":null"#, None),
        (r#""$del\u0065te":true"#, None),
        (r#""$increment":{"a":1}"#, Some(RecordFault::OperationMissing)),
        (r#""$ip":"1""#, Some(RecordFault::OperationMissing)),
        (r#""$set":[],"$set_once":{}"#, Some(RecordFault::OperationNotAnObject)),
        (r#""$set":{},"$set_once":[]"#, Some(RecordFault::OperationNotAnObject)),
    ];
    for (members, expected) in user {
        assert_eq!(fault(&engage(members)), *expected, "{members}");
        let only_of_users = members.starts_with("\"$append") || members.starts_with("\"$add");
        let expected = if only_of_users { &Some(RecordFault::OperationMissing) } else { expected };
        assert_eq!(fault(&group(members)), *expected, "{members}");
    }
}

#[test]
fn an_update_names_its_project_and_its_profile() {
    let user = [
        (r#"{"$distinct_id":"d","$set":{}}"#, RecordFault::TokenMissing),
        (r#"{"$token":"","$distinct_id":"d","$set":{}}"#, RecordFault::TokenEmpty),
        (r#"{"$token":1,"$distinct_id":"d","$set":{}}"#, RecordFault::TokenNotAString),
        (r#"{"$token":"t","$set":{}}"#, RecordFault::ProfileIdMissing),
        (r#"{"$token":"t","$distinct_id":"","$set":{}}"#, RecordFault::ProfileIdMissing),
        (r#"{"$token":"t","$distinct_id":null,"$set":{}}"#, RecordFault::ProfileIdMissing),
        (r#"{"$token":"t","$distinct_id":[1],"$set":{}}"#, RecordFault::ProfileIdNotAString),
        (r#"{"$token":"t","$group_id":"g","$set":{}}"#, RecordFault::ProfileIdMissing),
        (r#"{"$token":"t","$distinct_id":"d","$set":{},"$time":"x"}"#, RecordFault::TimeNotANumber),
        (r#"{"$token":"t","$distinct_id":"d","$set":{},"$time":1}"#, RecordFault::TimeTooEarly),
        ("1", RecordFault::NotAnObject),
    ];
    for (update, expected) in user {
        let outcome = send("/engage", "verbose=1", &format!("[{update}]"));
        assert_eq!(fault(&outcome), Some(expected), "{update}");
        let message = expected.of(RecordKind::UserUpdate);
        assert_eq!(outcome.body(), format!(r#"{{"status":0,"error":"update 0: {message}"}}"#));
    }
    let group = [
        (r#"{"$token":"t","$group_id":"g","$set":{}}"#, RecordFault::GroupKeyMissing),
        (
            r#"{"$token":"t","$group_key":1,"$group_id":"g","$set":{}}"#,
            RecordFault::GroupKeyMissing,
        ),
        (
            r#"{"$token":"t","$group_key":"","$group_id":"g","$set":{}}"#,
            RecordFault::GroupKeyMissing,
        ),
        (r#"{"$token":"t","$group_key":"k","$set":{}}"#, RecordFault::ProfileIdMissing),
        (
            r#"{"$token":"t","$group_key":"k","$distinct_id":"d","$set":{}}"#,
            RecordFault::ProfileIdMissing,
        ),
    ];
    for (update, expected) in group {
        assert_eq!(fault(&send("/groups", "", update)), Some(expected), "{update}");
    }
    // A number is an id, too; `strict=1` refuses what stands for none.
    for (id, strict) in [("13793", None), ("0", Some(RecordFault::DistinctIdBanned))] {
        let update = format!(r#"{{"$token":"t","$distinct_id":{id},"$set":{{}}}}"#);
        assert_eq!(fault(&send("/engage", "", &update)), None);
        assert_eq!(fault(&send("/engage", "strict=1", &update)), strict);
    }
}

#[test]
fn the_good_updates_of_a_batch_are_recorded() {
    let batch = r#"[
        {"$token":"t","$distinct_id":"1","$set":{}},
        {"$token":"t","$distinct_id":"2"},
        {"$token":"t","$distinct_id":"3","$unset":["a"]}
    ]"#;
    let told = r#"{"status":1,"error":"1 of 3 updates are not recorded, first update 1: there is none of $set, $set_once, $add, $union, $append, $remove, $unset and $delete","failed_records":[{"index":1,"$insert_id":"","field":"","message":"there is none of $set, $set_once, $add, $union, $append, $remove, $unset and $delete"}]}"#;
    for (query, answer) in [("", "1"), ("verbose=1", told), ("strict=1", told)] {
        let outcome = send("/engage", query, batch);
        assert_eq!(outcome.events.len(), 2, "{query}");
        assert_eq!(outcome.body(), answer);
        let [refused] = &outcome.refused[..] else { panic!("{:?}", outcome.refused) };
        assert_eq!(&*refused.text, br#"{"$token":"t","$distinct_id":"2"}"#);
        assert_eq!(refused.token.as_deref(), Some("\"t\""));
    }
}
