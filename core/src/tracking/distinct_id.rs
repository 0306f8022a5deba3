//! Ids of users that are none: what programs make of an id that they do not have.

/// What no `distinct_id` may be, in lower case. One profile would gather every user who has none.
const BANNED: [&str; 17] = [
    "00000000-0000-0000-0000-000000000000",
    "anon",
    "anonymous",
    "nil",
    "none",
    "null",
    "n/a",
    "na",
    "undefined",
    "unknown",
    "<nil>",
    "0",
    "-1",
    "true",
    "false",
    "[]",
    "{}",
];

/// Whether a JSON value without white space is one of them, as a string or as the value itself.
pub(super) fn is_banned(value: &str) -> bool {
    let text = value.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(value);
    BANNED.iter().any(|banned| banned.eq_ignore_ascii_case(text.trim_ascii()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_for_no_id_is_banned_in_any_case() {
        for value in
            ["null", "0", "-1", "true", "[]", "{}", "\"Undefined\"", "\" N/A \"", "\"<nil>\""]
        {
            assert!(is_banned(value), "{value}");
        }
        for value in ["\"\"", "\"13793\"", "13793", "10", "\"nobody\"", "\"[1]\"", "\"anon1\""] {
            assert!(!is_banned(value), "{value}");
        }
    }
}
