//! What an event becomes, and what is wrong with those that are refused.

use std::net::IpAddr;

use crate::support::{STAMPS, Tracker, json, post, refusal};
use windhover_core::tracking::{BatchRule, DecodeError, RecordFault, RecordKind};

/// The line of an event that is sent as a JSON body and stamped with nothing that it brought.
fn line(body: &str) -> String {
    let outcome = json(body);
    assert_eq!(outcome.result, Ok(1), "{body}");
    outcome.events.into_iter().next().unwrap()
}

fn fault(body: &str) -> Option<RecordFault> {
    match json(body).result {
        Err(DecodeError::Record { index: 0, fault, .. }) => Some(fault),
        _ => None,
    }
}

#[test]
fn white_space_goes_and_order_stays() {
    let body = " { \"properties\" : { \"z\" : [ 1 , { \"b\" : \" x \" , \"a\" : [ ] } ] ,\r\n\t\"token\" : \"t\" , \"a\" : { } } , \"event\" : \"a b\" } \n";
    assert_eq!(
        line(body),
        format!(
            r#"{{"event":"a b","properties":{{"z":[1,{{"b":" x ","a":[]}}],"token":"t","a":{{}}{STAMPS}}}}}"#
        )
    );
}

#[test]
fn every_digit_of_a_number_stays() {
    let numbers = "0,-0,-0.0,1.0,1.10,1e5,1E+05,1e-7,1e308,-1e-999,9007199254740993,\
                   18446744073709551617,0.1000000000000000055511151231257827";
    let body = format!(r#"{{"event":"e","properties":{{"token":"t","n":[{numbers}],"m":1e300}}}}"#);
    assert!(line(&body).contains(&format!(r#""n":[{numbers}],"m":1e300,"#)));
}

#[test]
fn a_number_that_consumers_cannot_read_becomes_null() {
    let long = "1".repeat(5000);
    let body = format!(
        r#"{{"event":"e","properties":{{"token":"t","a":{long},"b":[-1e999],"c":"1e999","time":1e999}},"d":1e400}}"#
    );
    let outcome = json(&body);
    let event = &outcome.events[0];
    assert!(event.contains(r#""a":null,"b":[null],"c":"1e999","time":1334859601234,"#), "{event}");
    assert!(event.ends_with(r#","d":null}"#), "{event}");
    assert_eq!(outcome.repairs.numbers, 4);
}

#[test]
fn strings_stay_but_for_half_a_surrogate_pair() {
    let cases = [
        (r#""""#, r#""""#),
        (r#""\u0000\n\/\"\\""#, r#""\u0000\n\/\"\\""#),
        ("\"é€😀\u{2028}\u{7f}\"", "\"é€😀\u{2028}\u{7f}\""),
        (r#""\ud83d\ude00\u00e9""#, r#""\ud83d\ude00\u00e9""#),
        (r#""cut \ud83d""#, r#""cut \ufffd""#),
        (r#"["\ude00",{"\ud83d":"\uD83Dx"}]"#, r#"["\ufffd",{"\ufffd":"\ufffdx"}]"#),
    ];
    for (value, expected) in cases {
        let body = format!(r#"{{"event":{value},"properties":{{"token":"t","v":{value}}}}}"#);
        if value.starts_with('"') && value != r#""""# {
            assert_eq!(
                line(&body),
                format!(
                    r#"{{"event":{expected},"properties":{{"token":"t","v":{expected}{STAMPS}}}}}"#
                )
            );
        }
        let body = format!(r#"{{"event":"e","properties":{{"token":"t","v":{value}}}}}"#);
        assert_eq!(
            line(&body),
            format!(r#"{{"event":"e","properties":{{"token":"t","v":{expected}{STAMPS}}}}}"#)
        );
    }
    let body = r#"{"event":"e","properties":{"token":"t","\ud83d":1}}"#;
    assert!(line(body).contains(r#""\ufffd":1,"#));
    // 10,000 characters are not cut.
    let long = "é".repeat(10_000);
    let body = format!(r#"{{"event":"e","properties":{{"token":"t","v":"{long}"}}}}"#);
    assert!(line(&body).contains(&long));
}

#[test]
fn of_equal_names_the_last_value_counts_at_the_first_place() {
    assert_eq!(
        line(
            r#"{"properties":{"token":""},"event":1,"x":1,
               "properties":{"a":1,"tok\u0065n":2,"b":2,"token":"t","a":3},"ev\u0065nt":"e","x":2}"#
        ),
        format!(r#"{{"event":"e","properties":{{"a":3,"tok\u0065n":"t","b":2{STAMPS}}},"x":2}}"#)
    );
    assert_eq!(
        fault(r#"{"event":"e","properties":{"token":"t"},"properties":[]}"#),
        Some(RecordFault::PropertiesNotAnObject)
    );
    assert_eq!(
        fault(r#"{"event":"e","properties":{"token":"t","token":null}}"#),
        Some(RecordFault::TokenNotAString)
    );
    // The first time is no time at all, but it does not count.
    assert!(
        line(r#"{"event":"e","properties":{"token":"t","time":"x","time":1334859600}}"#)
            .contains(r#""token":"t","time":1334859600000,"#)
    );
    // Inside values nothing is looked at.
    assert!(
        line(r#"{"event":"e","properties":{"token":"t","o":{"a":1,"a":2}}}"#)
            .contains(r#""o":{"a":1,"a":2}"#)
    );
}

#[test]
fn other_members_are_kept_behind_the_properties() {
    assert_eq!(
        line(r#"{"v": 1, "event":"e", "$x" : [ 1 ], "properties":{"token":"t"}, "w":{"a" :null}}"#),
        format!(
            r#"{{"event":"e","properties":{{"token":"t"{STAMPS}}},"v":1,"$x":[1],"w":{{"a":null}}}}"#
        )
    );
}

#[test]
fn stamps_take_the_place_of_what_came() {
    let body = r#"{"event":"e","properties":{"ip":"1.2.3.4","$test":7,"$insert_id":"abc-1","mp_processing_time_ms":"forged","time":1334859600,"token":"t","mp_lib":"js","$os":"x","distinct_id":null}}"#;
    assert_eq!(
        post("", "application/json", body).events,
        [
            r#"{"event":"e","properties":{"ip":"1.2.3.4","$test":7,"$insert_id":"abc-1","mp_processing_time_ms":1334859601234,"time":1334859600000,"token":"t","mp_lib":"js","$os":"x","distinct_id":null}}"#
        ]
    );
    assert_eq!(
        post("ip=1&test=1", "application/json", body).events,
        [
            r#"{"event":"e","properties":{"ip":"1.2.3.4","$test":true,"$insert_id":"abc-1","mp_processing_time_ms":1334859601234,"time":1334859600000,"token":"t","mp_lib":"js","$os":"x","distinct_id":null}}"#
        ]
    );
}

#[test]
fn an_address_that_an_event_brings_stays() {
    for (ip, becomes) in [
        (r#""198.51.100.7""#, r#""198.51.100.7""#),
        (r#""hidden""#, r#""hidden""#),
        ("7", "7"),
        ("null", r#""203.0.113.9""#),
        (r#""""#, r#""203.0.113.9""#),
    ] {
        let body = format!(r#"{{"event":"e","properties":{{"token":"t","ip":{ip}}}}}"#);
        let event = &post("ip=1", "application/json", &body).events[0];
        assert!(event.contains(&format!(r#""token":"t","ip":{becomes},"#)), "{event}");
        let event = &post("ip=0", "application/json", &body).events[0];
        assert!(event.contains(&format!(r#""token":"t","ip":{ip},"#)), "{event}");
    }
}

#[test]
fn stamps_that_did_not_come_are_appended() {
    let outcome =
        post("ip=1&test=1", "application/json", r#"{"event":"e","properties":{"token":"t"}}"#);
    assert_eq!(
        outcome.events,
        [
            r#"{"event":"e","properties":{"token":"t","time":1334859601234,"ip":"203.0.113.9","mp_processing_time_ms":1334859601234,"$insert_id":"000000000000000a0000000b00000000","$test":true}}"#
        ]
    );
}

#[test]
fn null_and_empty_stand_for_nothing() {
    for none in ["null", r#""""#] {
        let body = format!(
            r#"{{"event":"e","properties":{{"$insert_id":{none},"time":null,"token":"t"}}}}"#
        );
        assert_eq!(
            json(&body).events,
            [
                r#"{"event":"e","properties":{"$insert_id":"000000000000000a0000000b00000000","time":1334859601234,"token":"t","mp_processing_time_ms":1334859601234}}"#
            ]
        );
    }
}

#[test]
fn client_addresses_are_canonical() {
    for (client, expected) in [
        ("2001:db8::1", "2001:db8::1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("255.0.10.1", "255.0.10.1"),
    ] {
        let mut tracker =
            Tracker { client: client.parse::<IpAddr>().unwrap(), ..Tracker::default() };
        let body = br#"{"event":"e","properties":{"token":"t"}}"#;
        let events = tracker.post("ip=1", "application/json", body).events;
        assert!(events[0].contains(&format!(r#","ip":"{expected}","#)));
    }
}

#[test]
fn times_become_milliseconds() {
    let cases = [
        ("1334859600", "1334859600000"),
        ("1334859600000", "1334859600000"),
        ("1334859600.5", "1334859600500"),
        (r#""1334859600""#, "1334859600000"),
        (r#"" 1334859600.25 ""#, "1334859600250"),
        ("31536000", "31536000000"),
        ("1334863201.234", "1334863201234"),
        ("1334863202", "1334859601234"),
        ("1e999", "1334859601234"),
    ];
    for (time, expected) in cases {
        let body = format!(r#"{{"event":"e","properties":{{"token":"t","time":{time}}}}}"#);
        assert!(line(&body).contains(&format!(r#","time":{expected},"#)), "{time}");
    }
    let refused = [
        ("0", RecordFault::TimeTooEarly),
        ("-1334859600", RecordFault::TimeTooEarly),
        ("true", RecordFault::TimeNotANumber),
        ("[1334859600]", RecordFault::TimeNotANumber),
        ("{}", RecordFault::TimeNotANumber),
        (r#""""#, RecordFault::TimeNotANumber),
        (r#""2012-04-19T18:20:00""#, RecordFault::TimeNotANumber),
    ];
    for (time, expected) in refused {
        let body = format!(r#"{{"event":"e","properties":{{"token":"t","time":{time}}}}}"#);
        assert_eq!(fault(&body), Some(expected), "{time}");
    }
}

#[test]
fn what_must_be_there_is_asked_for() {
    let cases = [
        ("{}", "event 0: event is missing"),
        (r#"{"event":1,"properties":{}}"#, "event 0: event is not a string"),
        (r#"{"event":null}"#, "event 0: event is not a string"),
        (r#"{"event":"","properties":{}}"#, "event 0: event is empty"),
        (r#"{"event":"e"}"#, "event 0: properties is missing"),
        (r#"{"event":"e","properties":[]}"#, "event 0: properties is not an object"),
        (r#"{"event":"e","properties":"{}"}"#, "event 0: properties is not an object"),
        (r#"{"event":"e","properties":{}}"#, "event 0: properties.token is missing"),
        (
            r#"{"event":"e","token":"t","properties":{"a":{"token":"t"}}}"#,
            "event 0: properties.token is missing",
        ),
        (r#"{"event":"e","properties":{"token":5}}"#, "event 0: properties.token is not a string"),
        (r#"{"event":"e","properties":{"token":""}}"#, "event 0: properties.token is empty"),
        ("[null]", "event 0: it is not an object"),
        ("[]", "data is an empty array: it must hold an event"),
        ("7", "data is neither an object nor an array of objects"),
        ("null", "data is neither an object nor an array of objects"),
        (r#""{}""#, "data is neither an object nor an array of objects"),
    ];
    for (body, expected) in cases {
        assert_eq!(refusal(body), expected, "{body}");
    }
}

#[test]
fn json_that_is_nested_without_end_is_not_read() {
    const MOST: usize = 16 * 1024;
    let too_deep = Err(DecodeError::JsonTooDeep { limit: MOST });
    let good = r#"{"event":"e","properties":{"token":"t"}}"#;
    for body in [
        "[".repeat(2_000_000),
        r#"{"a":"#.repeat(100_000),
        format!("[{good},{}{}]", "[".repeat(MOST), "]".repeat(MOST)),
    ] {
        let outcome = json(&body);
        assert_eq!(outcome.result, too_deep);
        assert!(outcome.refused.is_empty());
        assert!(!outcome.result.unwrap_err().has_lost_something());
    }
    assert_eq!(
        refusal(&"[".repeat(MOST + 1)),
        "data is not read: its JSON is nested deeper than 16384 levels"
    );
    // Up to there it is the record that is refused, and the others are kept.
    let deep = format!("{}{}", "[".repeat(MOST - 1), "]".repeat(MOST - 1));
    let outcome = json(&format!("[{good},{deep},{good}]"));
    assert_eq!(outcome.result, Ok(2));
    assert_eq!(outcome.refused[0].fault, RecordFault::NotAnObject);
    // In lines it is the line, however deep.
    let deep = format!(r#"{{"event":{}{}}}"#, "[".repeat(MOST), "]".repeat(MOST));
    let outcome = post("", "application/x-ndjson", &format!("{good}\n{deep}\n{good}\n"));
    assert_eq!(outcome.result, Ok(2));
    assert_eq!(outcome.refused[0].fault, RecordFault::TooDeep { limit: 3 });
}

#[test]
fn what_is_not_json_is_refused() {
    let good = r#"{"event":"e","properties":{"token":"t"}}"#;
    let cases = [
        (format!("{good}{good}"), DecodeError::JsonTrailing { at: 40 }),
        (format!("{good}\n{good}"), DecodeError::JsonTrailing { at: 41 }),
        (format!("{good},"), DecodeError::JsonTrailing { at: 40 }),
        (format!("[{good},]"), DecodeError::Json { at: 42 }),
        (format!("[,{good}]"), DecodeError::Json { at: 1 }),
        (format!("[{good} {good}]"), DecodeError::Json { at: 42 }),
        (format!("[{good}"), DecodeError::JsonCut { length: 41 }),
        ("{,}".into(), DecodeError::Json { at: 1 }),
        (r#"{"a":1,}"#.into(), DecodeError::Json { at: 7 }),
        (r#"{"a":[1,]}"#.into(), DecodeError::Json { at: 8 }),
        (r#"{"a":{"b":1,}}"#.into(), DecodeError::Json { at: 12 }),
        (r#"{"a" 1}"#.into(), DecodeError::Json { at: 5 }),
        ("{a:1}".into(), DecodeError::Json { at: 1 }),
        ("{'a':1}".into(), DecodeError::Json { at: 1 }),
        (r#"{"a":[1}}"#.into(), DecodeError::Json { at: 7 }),
        (r#"{"a":{"b":1]}"#.into(), DecodeError::Json { at: 11 }),
        (r#"{"a":nan}"#.into(), DecodeError::Json { at: 6 }),
        (r#"{"a":-NaN}"#.into(), DecodeError::Json { at: 6 }),
        (r#"{"a":NaNs}"#.into(), DecodeError::Json { at: 5 }),
        ("{NaN:1}".into(), DecodeError::Json { at: 1 }),
        (r#"{"a":NaN,"b":Infinity,}"#.into(), DecodeError::Json { at: 22 }),
        (r#"{"a":-Infinity}x"#.into(), DecodeError::JsonTrailing { at: 15 }),
        ("[NaN,".into(), DecodeError::JsonCut { length: 5 }),
        (r#"{"a":tru}"#.into(), DecodeError::Json { at: 8 }),
        (r#"{"a":01}"#.into(), DecodeError::Json { at: 6 }),
        (r#"{"a":.5}"#.into(), DecodeError::Json { at: 5 }),
        (r#"{"a":1.}"#.into(), DecodeError::Json { at: 7 }),
        (r#"{"a":+1}"#.into(), DecodeError::Json { at: 5 }),
        (r#"{"a":1e}"#.into(), DecodeError::Json { at: 7 }),
        (r#"{"a":-}"#.into(), DecodeError::Json { at: 6 }),
        (r#"{"a":"\x"}"#.into(), DecodeError::Json { at: 7 }),
        // An escape is told by its last byte, a control character by the byte before it.
        (r#"{"a":"\u12g4"}"#.into(), DecodeError::Json { at: 11 }),
        ("{\"a\":\"\n\"}".into(), DecodeError::Json { at: 5 }),
        ("{\"a\":\"12345678\0\"}".into(), DecodeError::Json { at: 13 }),
        ("{\"a\":1\u{a0}}".into(), DecodeError::Json { at: 6 }),
        ("{/**/}".into(), DecodeError::Json { at: 1 }),
        ("\0".into(), DecodeError::Json { at: 0 }),
        (String::from(" "), DecodeError::DataEmpty),
    ];
    for (body, expected) in cases {
        assert_eq!(json(&body).result, Err(expected), "{body}");
    }
}

#[test]
fn every_cut_of_an_event_is_refused() {
    let body = r#"[{"event":"e","properties":{"token":"t\u00e9","a":[-1.5e+3,true,{"b":null}]}}]"#;
    assert_eq!(json(body).result, Ok(1));
    for cut in 1..body.len() {
        assert_eq!(
            json(&body[..cut]).result,
            Err(DecodeError::JsonCut { length: cut }),
            "{}",
            &body[..cut]
        );
    }
}

#[test]
fn properties_go_as_deep_as_the_limit() {
    let with = |value: &str| format!(r#"{{"event":"e","properties":{{"token":"t","v":{value}}}}}"#);
    for deep in ["[[[1]]]", r#"{"a":{"b":{"c":1}}}"#, "[{\"a\":[]},[[],{}]]"] {
        assert!(line(&with(deep)).contains(deep));
    }
    for too_deep in ["[[[[]]]]", r#"{"a":{"b":{"c":{}}}}"#] {
        assert_eq!(fault(&with(too_deep)), Some(RecordFault::TooDeep { limit: 3 }));
    }
    // Bombs end where the limit is, whatever follows.
    for open in ["[", "{\"a\":"] {
        for body in [open.repeat(1_000_000), with(&open.repeat(1_000_000))] {
            assert!(json(&body).result.is_err());
        }
    }
    // Nor do those that are closed take any stack.
    let closed = |levels| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    for levels in [4, 127, 128, 129, 16_000] {
        let deep = closed(levels);
        assert_eq!(fault(&with(&deep)), Some(RecordFault::TooDeep { limit: 3 }));
        assert_eq!(fault(&deep), Some(RecordFault::NotAnObject));
        assert_eq!(
            fault(&format!(r#"{{"event":"e","properties":{deep}}}"#)),
            Some(RecordFault::PropertiesNotAnObject)
        );
    }
}

#[test]
fn that_it_is_not_json_goes_before_what_is_wrong_with_an_event() {
    let bad = r#"{"event":"","properties":{"token":5,"v":[[[[]]]]}}"#;
    assert_eq!(json(&format!("[{bad},]")).result, Err(DecodeError::Json { at: 52 }));
    assert_eq!(json(&format!("[{bad}")).result, Err(DecodeError::JsonCut { length: 51 }));
    assert_eq!(json(&format!("[{bad}]x")).result, Err(DecodeError::JsonTrailing { at: 52 }));
}

#[test]
fn objects_and_arrays_are_as_long_as_the_limit() {
    let array = |n: usize| vec!["0"; n].join(",");
    let object = |n: usize| {
        let members: Vec<_> = (0..n).map(|n| format!("\"p{n}\":0")).collect();
        members.join(",")
    };
    let with =
        |value: String| format!(r#"{{"event":"e","properties":{{"token":"t","v":{value}}}}}"#);
    assert_eq!(fault(&with(format!("[{}]", array(254)))), None);
    assert_eq!(
        fault(&with(format!("[{}]", array(255)))),
        Some(RecordFault::ArrayTooLong { limit: 254 })
    );
    assert_eq!(fault(&with(format!("{{{}}}", object(254)))), None);
    assert_eq!(
        fault(&with(format!("{{{}}}", object(255)))),
        Some(RecordFault::ObjectTooLarge { limit: 254 })
    );
    // 254 properties and the token are one too many.
    let properties = |n| format!(r#"{{"event":"e","properties":{{"token":"t",{}}}}}"#, object(n));
    assert_eq!(fault(&properties(253)), None);
    assert_eq!(fault(&properties(254)), Some(RecordFault::TooManyProperties { limit: 254 }));
    // A name that comes again is not one more.
    let repeated = properties(253).replace("\"p0\":0", &["\"p0\":0"; 10].join(","));
    assert_eq!(fault(&repeated), None);
}

#[test]
fn an_event_is_as_large_as_the_limit() {
    let mut tracker = Tracker::default();
    let body = |n| format!(r#"{{"event":"{}","properties":{{"token":"t"}}}}"#, "x".repeat(n));
    let overhead = tracker.json(&body(1)).events[0].len() - 1;
    let limit = tracker.limits.event;
    let largest = tracker.json(&body(limit - overhead));
    assert_eq!(largest.events[0].len(), limit);
    let fault = RecordFault::TooLarge { limit };
    assert_eq!(
        tracker.json(&body(limit - overhead + 1)).result,
        Err(DecodeError::Record { kind: RecordKind::Event, index: 0, fault })
    );
    // White space does not count.
    let spaced = body(limit - overhead).replace(':', &format!(":{}", " ".repeat(1000)));
    assert_eq!(tracker.json(&spaced).result, Ok(1));
    tracker.limits.event = 200;
    let fault = RecordFault::TooLarge { limit: 200 };
    assert_eq!(
        tracker.json(&body(200)).result,
        Err(DecodeError::Record { kind: RecordKind::Event, index: 0, fault })
    );
}

#[test]
fn a_batch_is_recorded_in_order_each_event_with_its_id() {
    let batch: Vec<_> =
        (0..2000).map(|n| format!(r#"{{"event":"e{n}","properties":{{"token":"t"}}}}"#)).collect();
    let outcome = json(&format!("[ {} ]", batch.join(" , ")));
    assert_eq!(outcome.result, Ok(2000));
    for (n, event) in outcome.events.iter().enumerate() {
        assert!(event.starts_with(&format!(r#"{{"event":"e{n}","#)));
        assert!(event.ends_with(&format!(r#"0000000b{n:08x}"}}}}"#)));
    }
}

const GOOD: &str = r#"{"event":"e","properties":{"token":"t"}}"#;
const NO_TOKEN: &str = r#"{"event":"e","properties":{"$insert_id":"i-7","tokn":"t"}}"#;

#[test]
fn the_good_events_of_a_batch_are_recorded() {
    let with_time = r#"{"event":"e","properties":{"token":"t","time":"soon"}}"#;
    let body = format!("[{GOOD},{NO_TOKEN},7,{GOOD},{with_time}]");
    let outcome = post("verbose=1", "application/json", &body);
    assert_eq!(outcome.result, Ok(2));
    assert_eq!(outcome.events.len(), 2);
    // No id is lost on an event that is not recorded.
    assert!(outcome.events[1].contains("0000000b00000001"));
    let refused: Vec<_> = outcome.refused.iter().map(|it| (it.index, it.fault)).collect();
    assert_eq!(
        refused,
        [
            (1, RecordFault::TokenMissing),
            (2, RecordFault::NotAnObject),
            (4, RecordFault::TimeNotANumber)
        ]
    );
    assert_eq!(
        outcome.body(),
        concat!(
            r#"{"status":1,"error":"3 of 5 events are not recorded, first event 1: "#,
            r#"properties.token is missing","failed_records":["#,
            r#"{"index":1,"$insert_id":"i-7","field":"properties.token","message":"properties.token is missing"},"#,
            r#"{"index":2,"$insert_id":"","field":"","message":"it is not an object"},"#,
            r#"{"index":4,"$insert_id":"","field":"properties.time","message":"properties.time is not a number of seconds or milliseconds since 1970"}]}"#
        )
    );
    assert_eq!(post("", "application/json", &body).body(), "1");
}

#[test]
fn every_fault_of_an_event_leaves_the_others_alone() {
    let mut tracker = Tracker::default();
    tracker.limits.event = 300;
    let long = format!(r#"{{"event":"{}","properties":{{"token":"t"}}}}"#, "x".repeat(300));
    let deep = r#"{"event":"e","properties":{"token":"t","v":[[[[]]]]}}"#;
    for bad in
        ["{}", "null", "[]", r#""""#, NO_TOKEN, &long, deep, r#"{"event":1,"properties":{}}"#]
    {
        for body in [format!("[{bad},{GOOD}]"), format!("[{GOOD},{bad}]")] {
            let outcome = tracker.json(&body);
            assert_eq!(outcome.result, Ok(1), "{body}");
            assert_eq!(outcome.refused.len(), 1, "{body}");
            assert_eq!(outcome.events.len(), 1, "{body}");
            assert!(
                outcome.events[0].starts_with(r#"{"event":"e","properties":{"token":"t","time""#)
            );
        }
    }
}

#[test]
fn a_batch_of_bad_events_only_is_refused() {
    let outcome = post("verbose=1", "application/json", &format!("[{NO_TOKEN},{{}}]"));
    let fault = RecordFault::TokenMissing;
    assert_eq!(
        outcome.result,
        Err(DecodeError::Record { kind: RecordKind::Event, index: 0, fault })
    );
    assert_eq!(outcome.refused.len(), 2);
    let answer: serde_json::Value = serde_json::from_str(&outcome.body()).unwrap();
    assert_eq!(answer["status"], 0);
    assert_eq!(answer["error"], "event 0: properties.token is missing");
    assert_eq!(answer["failed_records"][1]["message"], "event is missing");
}

#[test]
fn by_the_rule_of_2012_one_bad_event_means_that_none_is_recorded() {
    let mut tracker = Tracker { rule: BatchRule::AllOrNothing, ..Tracker::default() };
    let body = format!("[{GOOD},{GOOD},{GOOD},{NO_TOKEN},{GOOD}]");
    let outcome = tracker.post("verbose=1", "application/json", body.as_bytes());
    assert_eq!(outcome.events, [""; 0]);
    assert_eq!(outcome.body(), r#"{"status":0,"error":"event 3: properties.token is missing"}"#);
    assert_eq!(tracker.json(&format!("[{GOOD},{GOOD}]")).result, Ok(2));
}

#[test]
fn a_batch_is_as_long_as_the_limit_whatever_its_events_are() {
    let mut tracker = Tracker::default();
    tracker.limits.batch = 2;
    assert_eq!(tracker.json(&format!("[{GOOD},{GOOD}]")).result, Ok(2));
    assert_eq!(tracker.json(&format!("[{GOOD},7]")).result, Ok(1));
    let too_large = Err(DecodeError::BatchTooLarge { limit: 2 });
    for third in [GOOD, NO_TOKEN, "7"] {
        let outcome = tracker.json(&format!("[{GOOD},{NO_TOKEN},{third}]"));
        assert_eq!(outcome.result, too_large, "{third}");
        assert_eq!(outcome.events, [""; 0]);
    }
}

#[test]
fn bare_words_for_what_is_no_number_become_null() {
    for word in ["NaN", "Infinity", "-Infinity"] {
        let body = format!(
            r#"[{GOOD},{{"event":"e","properties":{{"token":"t","a":{word},"b":[ {word} ,"{word}"]}}}}]"#
        );
        let outcome = json(&body);
        assert_eq!(outcome.result, Ok(2), "{word}");
        let expected = format!(r#""token":"t","a":null,"b":[null,"{word}"],"#);
        assert!(outcome.events[1].contains(&expected), "{}", outcome.events[1]);
        assert_eq!(outcome.repairs.numbers, 2, "{word}");
        // As if it had come so: the ids too.
        let sent_null =
            json(&body.replace(&format!(":{word}"), ":null").replace(&format!(" {word} "), "null"));
        assert_eq!(outcome.events, sent_null.events);
    }
    let time = r#"{"event":"e","properties":{"token":"t","time":NaN}}"#;
    assert!(line(time).contains(r#""time":1334859601234"#));
    let token = r#"{"event":"e","properties":{"token":NaN}}"#;
    assert_eq!(fault(token), Some(RecordFault::TokenNotAString));
}

#[test]
fn every_cut_of_an_event_with_bare_words_is_refused() {
    let body = r#"{"event":"e","properties":{"token":"t","a":[NaN,-Infinity,"NaN"],"b":Infinity}}"#;
    assert_eq!(json(body).result, Ok(1));
    for cut in 1..body.len() {
        let result = json(&body[..cut]).result;
        assert!(
            matches!(result, Err(DecodeError::JsonCut { .. } | DecodeError::Json { .. })),
            "{}: {result:?}",
            &body[..cut]
        );
    }
}
