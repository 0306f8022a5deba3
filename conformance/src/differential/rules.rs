//! What may differ. `conformance/differences.md` has each rule with its reason; a test holds the
//! two together.

use std::collections::HashSet;

use windhover_core::memcache::meta::decode_key;

/// The longest data block that is announced.
pub(super) const MOST_DATA: usize = 2000;

/// A documented difference.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// Its name in `differences.md`.
    pub name: &'static str,
    /// Whether a line that cannot be compared is left out; the rules without are applied to replies.
    avoids: Option<fn(&Line<'_>) -> bool>,
}

/// Every rule.
pub const RULES: &[Rule] = &[
    Rule { name: "cas", avoids: None },
    Rule { name: "clock", avoids: None },
    Rule { name: "version", avoids: None },
    Rule { name: "meta-debug", avoids: None },
    Rule { name: "padding", avoids: None },
    Rule { name: "soon", avoids: Some(expires_soon) },
    Rule { name: "flush-later", avoids: Some(flushes_later) },
    Rule { name: "longer-number", avoids: Some(may_lose_time_to_live) },
    Rule { name: "past", avoids: Some(tells_a_time_past) },
    Rule { name: "long-line", avoids: Some(is_long) },
    Rule { name: "zero-byte", avoids: Some(|line| line.text.contains(&0)) },
    Rule { name: "binary", avoids: Some(|line| line.text.contains(&0x80)) },
    Rule { name: "http", avoids: Some(is_http) },
    Rule { name: "forgotten-replies", avoids: Some(forgets_replies) },
    Rule { name: "bget", avoids: Some(|line| line.word(0) == b"bget") },
    Rule { name: "huge-length", avoids: Some(is_huge) },
    Rule { name: "blank-number", avoids: Some(stores_blanks) },
    Rule { name: "minus", avoids: Some(leaves_minus) },
    Rule { name: "newer", avoids: Some(is_newer) },
    Rule { name: "quiet-creation", avoids: Some(creates_quietly) },
    Rule { name: "binary-key", avoids: Some(makes_binary_key_anew) },
    Rule { name: "administration", avoids: Some(administers) },
];

/// Decides what may be sent, request by request.
#[derive(Debug, Default)]
pub(super) struct Filter {
    /// What came behind the last line's end.
    begun: Vec<u8>,
    /// No line is long, a `get` neither: a block that ends elsewhere may cut its verb off.
    short: bool,
    /// The keys that were fetched since the client has read all replies.
    fetched: HashSet<Vec<u8>>,
}

impl Filter {
    /// For requests whose blocks may end anywhere.
    pub(super) fn of_mangled() -> Self {
        Self { short: true, ..Self::default() }
    }

    /// Whether no line falls under a rule that ends with `bytes`, behind what passed before.
    pub(super) fn passes(&mut self, bytes: &[u8]) -> bool {
        let text = [&self.begun, bytes].concat();
        let found: Vec<Line<'_>> =
            lines(&text).flat_map(|(line, behind)| Line::all(line, behind)).collect();
        // All of them, also those behind: a line that is begun must not be one that no end fits.
        let fetched: HashSet<&[u8]> = found
            .iter()
            .filter(|line| line.fetches())
            .flat_map(|line| line.words.clone())
            .collect();
        let is_fetched = |key: &[u8]| self.fetched.contains(key) || fetched.contains(key);
        let avoided = |line: &Line<'_>| {
            RULES.iter().any(|rule| rule.avoids.is_some_and(|avoids| avoids(line)))
                || (self.short && line.text.len() > LONG)
                || (line.counts() && is_fetched(line.word(1)))
        };
        if found.iter().any(avoided) {
            return false;
        }
        let fetched: Vec<Vec<u8>> = fetched.into_iter().map(<[u8]>::to_vec).collect();
        self.fetched.extend(fetched);
        let end = text.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
        self.begun = text[end..].to_vec();
        true
    }
}

/// The lines of a text without their newlines, each with what stands behind it.
fn lines(text: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let here = rest.take()?;
        let Some(end) = here.iter().position(|&byte| byte == b'\n') else {
            return Some((here, &[][..]));
        };
        rest = Some(&here[end + 1..]);
        Some((&here[..end], &here[end + 1..]))
    })
}

/// A line and its words. What is data and what is a line nobody knows before it is parsed: data
/// that looks like a line that cannot be compared is left out, too.
#[derive(Debug)]
struct Line<'a> {
    text: &'a [u8],
    words: Vec<&'a [u8]>,
    /// What stands behind the line: the data block, where it has one.
    behind: &'a [u8],
}

impl<'a> Line<'a> {
    /// A line, and what would be one if a data block ended inside it.
    fn all(text: &'a [u8], behind: &'a [u8]) -> impl Iterator<Item = Self> {
        let begins = move |&at: &usize| {
            let rest = &text[at..];
            let verb = rest.iter().take_while(|byte| byte.is_ascii_lowercase() || **byte == b'_');
            at == 0 || is_verb(&rest[..verb.count()])
        };
        (0..text.len().max(1)).filter(begins).map(move |at| Self::of(&text[at..], behind))
    }

    fn of(text: &'a [u8], behind: &'a [u8]) -> Self {
        let line = text.strip_suffix(b"\r").unwrap_or(text);
        let words = line.split(|&byte| byte == b' ').filter(|word| !word.is_empty()).collect();
        Self { text, words, behind }
    }

    fn word(&self, at: usize) -> &'a [u8] {
        self.words.get(at).copied().unwrap_or_default()
    }

    fn is_store(&self) -> bool {
        let verbs: [&[u8]; 6] = [b"set", b"add", b"replace", b"append", b"prepend", b"cas"];
        verbs.contains(&self.word(0))
    }

    /// The length of the data block that the line declares.
    fn block(&self) -> Option<i128> {
        match self.word(0) {
            _ if self.is_store() => number(self.word(4)),
            b"ms" => number(self.word(2)),
            _ => None,
        }
    }

    fn counts(&self) -> bool {
        let verbs: [&[u8]; 3] = [b"incr", b"decr", b"ma"];
        verbs.contains(&self.word(0))
    }

    fn fetches(&self) -> bool {
        let verbs: [&[u8]; 5] = [b"get", b"gets", b"gat", b"gats", b"mg"];
        verbs.contains(&self.word(0))
    }

    /// Whether an `ma` subtracts: the number does not get longer than its item.
    fn subtracts(&self) -> bool {
        self.flag(b'M') == Some(b"D")
    }

    fn is_meta(&self, verbs: &[&[u8]]) -> bool {
        verbs.contains(&self.word(0))
    }

    /// The token of a flag.
    fn flag(&self, letter: u8) -> Option<&'a [u8]> {
        let from = if self.word(0) == b"ms" { 3 } else { 2 };
        let flags = self.words.get(from.min(self.words.len())..).unwrap_or_default();
        flags
            .iter()
            .find_map(|word| word.split_first().filter(|(first, _)| **first == letter))
            .map(|(_, token)| token)
    }
}

/// Whether some rule looks at lines with this verb.
fn is_verb(word: &[u8]) -> bool {
    const VERBS: &[&str] = &[
        "get",
        "gets",
        "gat",
        "gats",
        "bget",
        "set",
        "add",
        "replace",
        "append",
        "prepend",
        "cas",
        "incr",
        "decr",
        "touch",
        "flush_all",
        "mg",
        "ms",
        "md",
        "ma",
        "stats",
    ];
    VERBS.iter().any(|verb| verb.as_bytes() == word)
}

/// The number at the start of a word as the C library reads it.
fn number(word: &[u8]) -> Option<i128> {
    let text = std::str::from_utf8(word).ok()?.trim_start_matches(['\t', '\r', '\x0b', '\x0c']);
    let sign = usize::from(text.starts_with(['+', '-']));
    let digits = text[sign..].bytes().take_while(u8::is_ascii_digit).count();
    text[..sign + digits].trim_start_matches('+').parse().ok()
}

/// An exptime as both servers keep it: its lower 32 bits.
#[expect(clippy::cast_possible_truncation, reason = "that is what they do")]
fn exptime(word: &[u8]) -> Option<i128> {
    number(word).map(|number| i128::from(number as i32))
}

/// An exptime or delay that ends while the test runs, or about then.
fn expires_soon(line: &Line<'_>) -> bool {
    const SOON: std::ops::RangeInclusive<i128> = 1..=10_000;
    const NOW: std::ops::RangeInclusive<i128> = 1_600_000_000..=1_999_999_999;
    let is_soon =
        |word: &[u8]| exptime(word).is_some_and(|n| SOON.contains(&n) || NOW.contains(&n));
    match line.word(0) {
        _ if line.is_store() => is_soon(line.word(3)),
        b"touch" => is_soon(line.word(2)),
        b"gat" | b"gats" | b"flush_all" => is_soon(line.word(1)),
        b"mg" | b"ms" | b"md" | b"ma" => {
            line.words.iter().skip(2).any(|word| match word.split_first() {
                Some((b'T' | b'N', token)) => is_soon(token),
                // 30 is far from any time to live that there is.
                Some((b'R', token)) => exptime(token).is_none_or(|n| n > 9_000),
                _ => false,
            })
        }
        _ => false,
    }
}

fn tells_a_time_past(line: &Line<'_>) -> bool {
    const THEN: std::ops::RangeInclusive<i128> = 2_592_001..=1_999_999_999;
    let is_past = |token| exptime(token).is_some_and(|n| n < 0 || THEN.contains(&n));
    line.is_meta(&[b"mg", b"ma"])
        && line.flag(b't').is_some()
        && [b'T', b'N'].iter().any(|&letter| line.flag(letter).is_some_and(is_past))
}

fn may_lose_time_to_live(line: &Line<'_>) -> bool {
    line.is_meta(&[b"ma"]) && line.flag(b'T').is_some() && !line.subtracts()
}

fn flushes_later(line: &Line<'_>) -> bool {
    line.word(0) == b"flush_all" && exptime(line.word(1)).is_some_and(|delay| delay > 0)
}

/// Above this a line is long.
const LONG: usize = 1500;

fn is_long(line: &Line<'_>) -> bool {
    let is_get = line.text.starts_with(b"get ") || line.text.starts_with(b"gets ");
    !is_get && line.text.len() > LONG
}

fn is_http(line: &Line<'_>) -> bool {
    line.text.starts_with(b"GET ") || line.text.starts_with(b"POST ")
}

fn forgets_replies(line: &Line<'_>) -> bool {
    const LONGEST: usize = 250;
    let verbs: [&[u8]; 4] = [b"get", b"gets", b"gat", b"gats"];
    verbs.contains(&line.word(0)) && line.words.iter().any(|word| word.len() > LONGEST)
}

fn is_huge(line: &Line<'_>) -> bool {
    let most = i128::try_from(MOST_DATA).unwrap_or_default();
    line.block().is_some_and(|length| length > most)
}

fn stores_blanks(line: &Line<'_>) -> bool {
    let length = line.block().and_then(|length| usize::try_from(length).ok());
    length.is_some_and(|length| {
        let data = line.behind.get(..length).unwrap_or_default();
        !data.is_empty() && data.iter().all(|byte| b" \t\r\n\x0b\x0c".contains(byte))
    })
}

/// A `-` that comes to lie in memcached's memory as it is, as a byte of the client's flags, or in a
/// key that comes in base64.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "as memcached keeps them"
)]
fn leaves_minus(line: &Line<'_>) -> bool {
    let flags = if line.is_store() { Some(line.word(2)) } else { line.flag(b'F') };
    let in_flags =
        flags.and_then(number).is_some_and(|flags| (flags as u32).to_ne_bytes().contains(&b'-'));
    let mut room = [0; 256];
    let in_key = line.flag(b'b').is_some()
        && decode_key(line.word(1), &mut room).is_some_and(|key| key.contains(&b'-'));
    line.text.contains(&b'-') || in_flags || in_key
}

fn is_newer(line: &Line<'_>) -> bool {
    let meta = line.is_meta(&[b"mg", b"ms", b"md", b"ma"]);
    let into_nothing = line.flag(b'N').is_some() && line.flag(b'M').is_some();
    (meta && (line.flag(b'E').is_some() || line.flag(b'x').is_some()))
        || (line.is_meta(&[b"ms"]) && (line.flag(b's').is_some() || into_nothing))
}

fn creates_quietly(line: &Line<'_>) -> bool {
    line.is_meta(&[b"ma"]) && line.flag(b'q').is_some() && line.flag(b'N').is_some()
}

fn makes_binary_key_anew(line: &Line<'_>) -> bool {
    let joins = line.flag(b'M').is_some_and(|mode| mode == b"A" || mode == b"P");
    let anew = match line.word(0) {
        b"mg" => line.flag(b'N').is_some(),
        b"ms" => joins,
        b"ma" => line.flag(b'N').is_some() || !line.subtracts(),
        _ => false,
    };
    anew && line.flag(b'b').is_some()
}

fn administers(line: &Line<'_>) -> bool {
    let verbs: [&[u8]; 8] = [
        b"stats",
        b"slabs",
        b"lru",
        b"lru_crawler",
        b"watch",
        b"shutdown",
        b"cache_memlimit",
        b"extstore",
    ];
    verbs.contains(&line.word(0)) && line.text != b"stats unknown\r"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(text: &str) -> bool {
        Filter::default().passes(text.as_bytes())
    }

    #[test]
    fn what_depends_on_the_moment_is_not_sent() {
        assert!(
            sent("set a 0 0 1\r\n")
                && sent("set a 0 100000 1\r\n")
                && sent("set a 0 4294967295 1\r\n")
        );
        assert!(!sent("set a 0 1 1\r\n") && !sent("get a\r\n set  a 0 +5 1\r\n"));
        assert!(!sent("mg a t N10000000000\r\n") && !sent("touch a 4294967297\r\n"));
        assert!(!sent("touch a 9\r\n") && !sent("gat 9 a\r\n") && !sent("flush_all 2\r\n"));
        assert!(!sent("mg a T5\r\n") && !sent("ma a N5\r\n") && sent("ma a MD T0\r\n"));
    }

    #[test]
    fn what_was_fetched_is_not_counted_at_once() {
        let mut filter = Filter::default();
        assert!(filter.passes(b"incr a 1\r\n") && filter.passes(b"get b a\r\n"));
        assert!(!filter.passes(b"incr a 1\r\n") && filter.passes(b"incr c 1\r\n"));
        let line = [&b"get "[..], &[b'a'; 1500], b"\r\n"].concat();
        assert!(Filter::default().passes(b"get a\r\n") && !Filter::of_mangled().passes(&line));
        assert!(filter.passes(b"incr ") && !filter.passes(b"mg k C") && filter.passes(b"d 1\r\n"));
    }

    #[test]
    fn documented_differences_are_not_sent() {
        assert!(!sent("ms a 1 E5\r\n") && !sent("md a x\r\n") && !sent("ms a 1 s\r\n"));
        assert!(!sent("ms a 1 MA N0\r\n") && sent("mg a s N0 MA\r\n"));
        assert!(!sent("ma a T0\r\n") && !sent("ma a MI T0\r\n") && sent("ma a MD T0\r\n"));
        assert!(!sent("set a 0 0 2\r\n\r\n\r\n") && !sent("get b\r\nms a 1\r\n \r\n"));
        assert!(sent("set a 0 0 3\r\n\r\n5\r\n") && sent("set a 0 0 0\r\n\r\n"));
        assert!(!sent("set a 45 0 0\r\n\r\n") && !sent("ms a 0 F757935405\r\n\r\n"));
        assert!(!sent("mg Zi1v b\r\n") && sent("mg Zi1v\r\n") && sent("mg Zm9v b\r\n"));
        assert!(!sent("set a 0 -1 0\r\n\r\n") && sent("set a 0 4294967295 0\r\n\r\n"));
        assert!(!sent("ma a q N0\r\n") && sent("ma a q\r\n") && sent("mg a q N0\r\n"));
        assert!(!sent("ms Zm9v 1 b MA\r\n1\r\n") && sent("ms Zm9v 1 b ME\r\n1\r\n"));
        assert!(!sent("ma Zm9v b\r\n") && sent("ma Zm9v b MD\r\n"));
        assert!(!sent("mg Zm9v b N0\r\n") && !sent("set a 0 0 4294967301\r\n"));
        assert!(!sent("stats items\r\n") && sent("stats unknown\r\n") && !sent("a\0\r\n"));
    }
}
