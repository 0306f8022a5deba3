//! Items of the dead-letter queue, which anybody may have put into a journal that is read.

use bytes::Bytes;
use serde_json::{Map, Value};
use windhover_server::dead_letters::{DeadLetter, LetterError, Origin};

/// An item is refused with what is wrong with it; or it is a letter that can be sent again without becoming another
/// request, and is read again as it was when it is written.
pub fn dead_letters(input: &[u8]) {
    let item = Bytes::copy_from_slice(input);
    let line = input.iter().position(|byte| *byte == b'\n').map(|end| input.split_at(end));
    let letter = match DeadLetter::read(&item) {
        Ok(letter) => letter,
        Err(error) => {
            assert!(super::tells(&error));
            assert!(is_at_fault(&error, line.map(|it| it.0)), "{error:?}");
            return;
        }
    };
    let (line, rest) = line.expect("a letter has a line");
    let members = object(line).expect("an object");
    assert_eq!(letter.bytes, rest[1..]);
    assert_eq!(members.get("time").and_then(Value::as_u64), Some(letter.time.as_millis()));
    let says = |name| members.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    assert_eq!(says("reason"), Some(&*letter.reason));
    assert_eq!(says("detail").unwrap_or_default(), letter.detail);
    assert_eq!(says("origin"), Some(&*letter.origin.to_string()));
    assert_eq!(says("token"), letter.token.as_deref());
    for (name, value) in
        [("content_type", &letter.content_type), ("content_encoding", &letter.content_encoding)]
    {
        assert_eq!(says(name), value.as_deref());
        // A line end in it would be the end of a header.
        assert!(value.as_ref().is_none_or(|value| is_one_line(value)), "{value:?}");
    }
    if let Origin::Path(path) = &letter.origin {
        assert!(path.starts_with('/') && is_one_line(path) && !path.contains(' '), "{path:?}");
    }
    let mut written = Vec::new();
    letter.write(&mut written);
    assert_eq!(DeadLetter::read(&written.into()), Ok(letter));
}

fn is_one_line(text: &str) -> bool {
    text.chars().all(|letter| letter.is_ascii() && !letter.is_ascii_control())
}

fn object(line: &[u8]) -> Option<Map<String, Value>> {
    serde_json::from_slice(line).ok()
}

/// Whether it is that which is wrong with an item of that first line.
fn is_at_fault(error: &LetterError, line: Option<&[u8]>) -> bool {
    let members = line.and_then(object);
    match (error, members) {
        (LetterError::NoLine, _) => line.is_none(),
        (LetterError::NotJson, members) => line.is_some() && members.is_none(),
        (LetterError::Member(name), Some(members)) => match (*name, members.get(*name)) {
            ("time", value) => value.and_then(Value::as_u64).is_none(),
            ("reason" | "origin", None) => true,
            ("reason" | "origin", Some(Value::String(text))) => text.is_empty(),
            ("content_type" | "content_encoding", Some(Value::String(text))) => !is_one_line(text),
            (_, value) => value.is_some_and(|value| !value.is_string()),
        },
        (LetterError::Origin(text), Some(members)) => {
            let is_path = text.starts_with('/') && is_one_line(text) && !text.contains(' ');
            let is_it = members.get("origin").and_then(Value::as_str) == Some(text);
            is_it && !is_path && !text.starts_with("queue:")
        }
        _ => false,
    }
}
