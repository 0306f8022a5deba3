//! Tokens as they are shown: enough to tell one from another, too little to send events with.

/// Letters of a token that are shown.
const SHOWN: usize = 3;

/// A token of which only the beginning is to be seen.
pub(crate) fn masked(token: &str) -> String {
    let shown = if token.chars().count() > 2 * SHOWN { SHOWN } else { 1 };
    token.chars().take(shown).chain(['…']).collect()
}

/// The same with a checksum, by which two that begin alike are told apart: what metrics and the access log name
/// a token by. It is the same on each server and after each start.
pub(crate) fn fingerprint(token: &str) -> String {
    format!("{}{:08x}", masked(token), crc32fast::hash(token.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_that_begin_alike_are_told_apart_and_none_can_be_read() {
        let [first, second] = ["e3bc4100330c3572", "e3bc4100330c3573"].map(fingerprint);
        assert_eq!(first, "e3b…c43596d4");
        assert_ne!(first, second);
        assert_eq!(masked("token"), "t…");
        assert_eq!(masked(""), "…");
        assert_eq!(
            fingerprint("é-and-more"),
            format!("é-a…{:08x}", crc32fast::hash("é-and-more".as_bytes()))
        );
    }
}
