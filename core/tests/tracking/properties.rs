//! What holds for every input, generated.

use crate::support::{Tracker, json};
use proptest::prelude::*;
use serde_json::Value;
use windhover_core::http::{Headers, Method, Request};
use windhover_core::tracking::{DecodeError, RedirectPolicy};

/// JSON text of up to three levels, with white space between its tokens, built so that the values
/// and the digits are known.
fn value() -> impl Strategy<Value = String> {
    let scalar = prop_oneof![Just("null".to_owned()), Just("true".to_owned()), number(), string(),];
    scalar.prop_recursive(3, 32, 6, |inner| {
        prop_oneof![
            (prop::collection::vec(inner.clone(), 0..6), space()).prop_map(
                |(items, space)| format!("[{space}{}{space}]", items.join(&format!("{space},")))
            ),
            (prop::collection::vec((string(), inner), 0..6), space()).prop_map(
                |(members, space)| {
                    let members: Vec<_> = members
                        .iter()
                        .map(|(name, value)| format!("{name}{space}:{value}{space}"))
                        .collect();
                    format!("{{{space}{}}}", members.join(","))
                }
            ),
        ]
    })
}

fn number() -> impl Strategy<Value = String> {
    "-?(0|[1-9][0-9]{0,25})(\\.[0-9]{1,20})?([eE][+-]?[0-9]{1,2})?"
}

/// Also numbers that no double holds.
fn any_number() -> impl Strategy<Value = String> {
    "-?(0|[1-9][0-9]{0,320})(\\.[0-9]{1,20})?([eE][+-]?[0-9]{1,4})?"
}

fn string() -> impl Strategy<Value = String> {
    prop::collection::vec(
        prop_oneof![
            "[ -!#-\\[\\]-~é€😀]{0,9}",
            Just("\\n".to_owned()),
            Just("\\\"".to_owned()),
            Just("\\\\".to_owned()),
            Just("\\ud83d\\ude00".to_owned()),
            "\\\\u00[0-9a-fA-F]{2}",
        ],
        0..4,
    )
    .prop_map(|pieces| format!("\"{}\"", pieces.concat()))
}

fn space() -> impl Strategy<Value = String> {
    "[ \\t\\r\\n]{0,2}"
}

/// The numbers of a text, digit by digit, in order.
fn numbers(text: &str) -> Vec<String> {
    let mut numbers = Vec::new();
    let mut rest = text.chars().peekable();
    while let Some(character) = rest.next() {
        match character {
            '"' => {
                while let Some(character) = rest.next() {
                    match character {
                        '\\' => drop(rest.next()),
                        '"' => break,
                        _ => {}
                    }
                }
            }
            '-' | '0'..='9' => {
                let mut number = String::from(character);
                while let Some(next) = rest.next_if(|it| "0123456789.eE+-".contains(*it)) {
                    number.push(next);
                }
                numbers.push(number);
            }
            _ => {}
        }
    }
    numbers
}

/// Numbers become strings, so that every digit is compared.
fn parse(text: &str) -> Value {
    let mut fits = String::new();
    let mut in_string = false;
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '"' => in_string = !in_string,
            '\\' => {
                fits.push(character);
                fits.extend(characters.next());
                continue;
            }
            '-' | '0'..='9' if !in_string => {
                let mut number = String::from(character);
                while let Some(next) = characters.next_if(|it| "0123456789.eE+-".contains(*it)) {
                    number.push(next);
                }
                fits.push('"');
                fits.push_str(&number);
                fits.push('"');
                continue;
            }
            _ => {}
        }
        fits.push(character);
    }
    serde_json::from_str(&fits).unwrap()
}

fn method() -> impl Strategy<Value = Method> {
    prop::sample::select(vec![
        Method::Get,
        Method::Post,
        Method::Head,
        Method::Options,
        Method::Put,
        Method::Delete,
        Method::Patch,
        Method::Trace,
    ])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn whatever_numbers_an_event_has_it_can_be_read(numbers in prop::collection::vec(any_number(), 1..9)) {
        let list = numbers.join(" ,");
        let first = &numbers[0];
        let event =
            format!(r#"{{"event":"e","properties":{{"token":"t","a":[{list}],"b":{first}}},"c":{first}}}"#);
        let outcome = json(&event);
        let read: Value = serde_json::from_str(&outcome.events[0]).unwrap();
        let nulls = read["properties"]["a"].as_array().unwrap().iter().filter(|it| it.is_null());
        let huge = |number: &&String| number.parse::<f64>().is_ok_and(f64::is_infinite);
        prop_assert_eq!(nulls.count(), numbers.iter().filter(huge).count());
    }

    #[test]
    fn an_accepted_event_has_equal_values_and_every_digit(
        name in string(),
        members in prop::collection::vec((string(), value()), 0..12),
        space in space(),
    ) {
        prop_assume!(name != "\"\"");
        let mut properties = vec![format!("\"token\"{space}:\"t\"")];
        properties.extend(members.iter().map(|(name, value)| format!("{name}:{space}{value}")));
        let body = format!(
            "{space}{{\"event\"{space}:{name},\"properties\":{{{}}}}}{space}",
            properties.join(&format!("{space},"))
        );
        let outcome = json(&body);
        prop_assert_eq!(&outcome.result, &Ok(1), "{}", body);
        let line = &outcome.events[0];
        prop_assert!(!line.contains('\n'));

        let sent = parse(&body);
        let mut kept = parse(line);
        prop_assert_eq!(&kept["event"], &sent["event"]);
        let kept = kept["properties"].as_object_mut().unwrap();
        for stamp in ["time", "mp_processing_time_ms", "$insert_id"] {
            prop_assert!(kept.remove(stamp).is_some());
        }
        prop_assert_eq!(&*kept, sent["properties"].as_object().unwrap());

        let mut names: Vec<_> = members.iter().map(|(name, _)| parse(name)).collect();
        names.sort_by_key(ToString::to_string);
        names.dedup();
        if names.len() == members.len() {
            let mut expected = numbers(&body);
            expected.extend(["1334859601234".to_owned(), "1334859601234".to_owned()]);
            prop_assert_eq!(numbers(line), expected);
        }
    }

    /// Whatever is accepted here is JSON to others, and the other way around.
    #[test]
    fn syntax_is_checked_as_by_others(
        value in value(),
        at in any::<prop::sample::Index>(),
        change in prop_oneof![Just(None), "[\\[\\]{}:,\"\\\\0-9eE.+ntu -]".prop_map(Some)],
    ) {
        let mut text: Vec<char> = value.chars().collect();
        if !text.is_empty() {
            let at = at.index(text.len());
            match change.as_deref().and_then(|it| it.chars().next()) {
                Some(other) => text[at] = other,
                None => drop(text.remove(at)),
            }
        }
        let value: String = text.into_iter().collect();
        let body = format!(r#"{{"event":"e","properties":{{"token":"t","v":{value}}}}}"#);
        let theirs = serde_json::from_str::<&serde_json::value::RawValue>(&body).is_ok();
        let outcome = json(&body);
        let ours = !matches!(
            outcome.result,
            Err(DecodeError::Json { .. } | DecodeError::JsonCut { .. } | DecodeError::JsonTrailing { .. })
        );
        // What is too deep is refused before the rest is looked at.
        if ours != theirs {
            prop_assert!(matches!(outcome.result, Err(DecodeError::Record { .. })), "{}", body);
        }
        for line in &outcome.events {
            prop_assert!(serde_json::from_str::<&serde_json::value::RawValue>(line).is_ok());
        }
    }

    #[test]
    fn no_bytes_make_it_panic(
        method in method(),
        query in ".{0,80}",
        content_type in prop::sample::select(vec!["", "application/json", "text/plain", "x"]),
        body in prop::collection::vec(any::<u8>(), 0..200),
        prefix in prop::sample::select(vec!["", "data=", "{\"event\":", "data={\"", "[", "redirect=", "callback="]),
        origin in prop::collection::vec(any::<u8>(), 0..20),
    ) {
        let mut tracker = Tracker {
            redirects: RedirectPolicy::hosts(["*"]),
            ..Tracker::default()
        };
        let query = format!("{prefix}{query}");
        let body = [prefix.as_bytes(), &body].concat();
        let entries = [("Content-Type", content_type.as_bytes()), ("Origin", &*origin)];
        let mut request = Request::new(method, "/track", &query);
        request.headers = Headers::new(&entries);
        for body in [&b""[..], &body] {
            request.body = body;
            let outcome = tracker.send(&request);
            for response in [outcome.answer(), outcome.reply.not_durable()] {
                for (_, value) in &response.headers {
                    prop_assert!(!value.chars().any(char::is_control));
                }
            }
        }
    }

    /// Text that is nearly an event reaches deeper than noise.
    #[test]
    fn no_change_of_an_event_makes_it_panic(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut body = br#"[{"event":"e\ud83d\ude00","properties":{"token":"t","time":"1334859600.5","a":[1,{"b":"\ud83d"}],"\u0061":1e9}},{"event":"f","properties":{"token":"t"},"x":1}]"#.to_vec();
        for (at, byte) in changes {
            let at = at.index(body.len());
            body[at] = byte;
        }
        let mut tracker = Tracker::default();
        for body in [&body[..], &body[..cut.index(body.len())]] {
            for line in tracker.post("ip=1", "application/json", body).events {
                prop_assert!(serde_json::from_str::<Value>(&line).is_ok() || line.contains('e'));
            }
        }
    }
}
