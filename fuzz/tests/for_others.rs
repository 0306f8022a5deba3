//! What the generators make for servers and fuzzers of others.
#![allow(clippy::unwrap_used)]

use fastrand::Rng;
use windhover_core::memcache::command::TABLE;
use windhover_core::memcache::{Dialect, Limits, Parsed, request};
use windhover_fuzz::Source;
use windhover_fuzz::generate::memcache::{is_administrative, text, text_in};

const INPUTS: usize = 20_000;

fn inputs(make: impl Fn(&mut Source<'_>) -> Vec<u8>) -> impl Iterator<Item = Vec<u8>> {
    let mut random = Rng::with_seed(7);
    (0..INPUTS).map(move |_| {
        let choices: Vec<u8> = (0..96).map(|_| random.u8(..)).collect();
        make(&mut Source::new(&choices))
    })
}

#[test]
fn administrative_commands_are_one_in_a_thousand() {
    let administrative = |line: &[u8]| {
        let verb = line.split(|byte| b" \r".contains(byte)).next().unwrap_or_default();
        TABLE.iter().any(|row| {
            is_administrative(row.command) && row.verb.as_bytes().eq_ignore_ascii_case(verb)
        })
    };
    let (mut all, mut found) = (0, 0);
    for input in inputs(text) {
        for line in input.split(|&byte| byte == b'\n') {
            all += 1;
            found += usize::from(administrative(line));
        }
    }
    assert!(found > 0, "they are there");
    assert!(found * 1000 <= all, "{found} of {all}");
}

#[test]
fn one_dialect_is_kept_to() {
    let limits = Limits::default();
    for dialect in Dialect::ALL {
        let spoken = |verb: &[u8]| {
            let rows = TABLE.iter().filter(|row| row.dialects.contains(&dialect));
            rows.into_iter().any(|row| row.verb.as_bytes().eq_ignore_ascii_case(verb))
        };
        let mut whole = 0;
        for input in inputs(|source| text_in(&[dialect], source)) {
            // The first request: what follows may be a data block that was cut off.
            let verb = input.split(|byte| b" \r\n".contains(byte)).next().unwrap_or_default();
            // A verb that was left out, or in whose place another word stands, is the generator's mistake on purpose.
            let is_a_verb = TABLE.iter().any(|row| row.verb.as_bytes().eq_ignore_ascii_case(verb));
            assert!(!is_a_verb || spoken(verb), "{dialect:?}: {}", input.escape_ascii());
            let parsed = request::parse(&input, dialect, &limits);
            whole += usize::from(matches!(parsed, Ok(Parsed::Complete { .. })));
        }
        assert!(whole * 2 > INPUTS, "{dialect:?}: {whole} of {INPUTS} begin with a whole request");
    }
}
