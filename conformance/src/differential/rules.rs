//! What may differ. `conformance/differences.md` has each rule with its reason; a test holds the
//! two together.

use std::collections::HashSet;

use windhover_core::memcache::meta::decode_key;

use super::versions;

/// The longest data block that is announced.
pub(super) const MOST_DATA: usize = 2000;

/// A documented difference.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// Its name in `differences.md`.
    pub name: &'static str,
    /// Beside which memcached it is applied.
    of: Peer,
    /// Whether a line that cannot be compared is left out; the rules without are applied to replies.
    avoids: Option<fn(&Line<'_>) -> bool>,
}

/// A memcached to compare with, as far as the rules tell them apart. One between the two that were tried
/// is treated as both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// Up to 1.6.18.
    Old,
    /// From 1.6.45 on.
    New,
    /// Any.
    Any,
}

impl Peer {
    /// That of a version such as `[1, 6, 18]`.
    pub fn of_version(version: &[u32]) -> Self {
        if version <= [1, 6, 18].as_slice() {
            Self::Old
        } else if version >= [1, 6, 45].as_slice() {
            Self::New
        } else {
            Self::Any
        }
    }

    /// Whether what is of `other` may be of it.
    pub(super) fn may_be(self, other: Self) -> bool {
        self == Self::Any || other == Self::Any || self == other
    }
}

const fn reply(name: &'static str, of: Peer) -> Rule {
    Rule { name, of, avoids: None }
}

const fn line(name: &'static str, of: Peer, avoids: fn(&Line<'_>) -> bool) -> Rule {
    Rule { name, of, avoids: Some(avoids) }
}

/// Every rule.
pub const RULES: &[Rule] = &[
    reply("cas", Peer::Any),
    reply("clock", Peer::Any),
    reply("version", Peer::Any),
    reply("meta-debug", Peer::Any),
    reply("words", Peer::Old),
    reply("padding", Peer::Any),
    line("soon", Peer::Any, expires_soon),
    line("flush-later", Peer::Any, flushes_later),
    line("longer-number", Peer::Any, may_set_the_item_replaced),
    line("past", Peer::Any, tells_a_time_past),
    line("long-line", Peer::Any, is_long),
    line("zero-byte", Peer::Any, |line| line.text.contains(&0)),
    line("binary", Peer::Any, |line| line.text.contains(&0x80)),
    line("http", Peer::Any, is_http),
    line("forgotten-replies", Peer::Any, forgets_replies),
    line("bget", Peer::Old, |line| line.word(0) == b"bget"),
    line("huge-length", Peer::Any, is_huge),
    line("blank-number", Peer::Any, stores_blanks),
    line("minus", Peer::Any, leaves_minus),
    line("binary-key", Peer::Any, makes_binary_key_anew),
    line("administration", Peer::Any, administers),
    line("newer", Peer::Old, versions::is_newer),
    line("quiet-creation", Peer::Old, versions::creates_quietly),
    line("block", Peer::Old, versions::has_another_block),
    line("surplus", Peer::Old, versions::has_other_arguments),
    line("number", Peer::Old, versions::has_number_of_another_form),
    line("mode", Peer::Old, versions::has_a_longer_mode),
    line("leading-space", Peer::Any, versions::begins_with_a_space),
    line("hidden-error", Peer::Old, versions::hides_an_error),
    line("debug-flags", Peer::Any, versions::debugs_with_flags),
    line("short-line", Peer::New, versions::is_a_bare_mn),
    line("flag-of-block", Peer::New, versions::stores_with_no_letter),
    line("key-noreply", Peer::New, versions::deletes_noreply),
    line("white-space", Peer::New, versions::stores_with_white_space),
    line("cas-of-bad-block", Peer::New, versions::names_the_cas_of_a_bad_block),
];

/// Decides what may be sent, request by request.
#[derive(Debug)]
pub(super) struct Filter {
    peer: Peer,
    /// What came behind the last line's end.
    begun: Vec<u8>,
    /// No line is long, a `get` neither: a block that ends elsewhere may cut its verb off.
    short: bool,
    /// The keys that were fetched since the client has read all replies.
    fetched: HashSet<Vec<u8>>,
}

impl Filter {
    pub(super) fn of(peer: Peer) -> Self {
        Self { peer, begun: Vec::new(), short: false, fetched: HashSet::new() }
    }

    /// For requests whose blocks may end anywhere.
    pub(super) fn of_mangled(peer: Peer) -> Self {
        Self { short: true, ..Self::of(peer) }
    }

    /// Whether no line falls under a rule that ends with `bytes`, behind what passed before.
    pub(super) fn passes(&mut self, bytes: &[u8]) -> bool {
        let text = [&self.begun, bytes].concat();
        // A line that is begun may be followed by the filler behind all requests.
        let end = text.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
        let begun = &text[end..];
        let filled = [begun, b"!"].concat();
        let found: Vec<Line<'_>> = lines(&text)
            .chain((!begun.is_empty()).then_some((&filled[..], &[][..])))
            .flat_map(|(line, behind)| Line::all(line, behind))
            .collect();
        // All of them, also those behind: a line that is begun must not be one that no end fits.
        let fetched: HashSet<&[u8]> = found
            .iter()
            .filter(|line| line.fetches())
            .flat_map(|line| line.words.clone())
            .collect();
        let is_fetched = |key: &[u8]| self.fetched.contains(key) || fetched.contains(key);
        let avoided = |line: &Line<'_>| {
            let applied = RULES.iter().filter(|rule| self.peer.may_be(rule.of));
            applied.filter_map(|rule| rule.avoids).any(|avoids| avoids(line))
                || (self.short && line.text.len() > LONG)
                // What is left of a line may be no command.
                || (self.short && self.peer.may_be(Peer::Old) && line.ends_quietly())
                // It may begin with a space, and a verb behind that.
                || (self.short && line.words.iter().skip(1).any(|word| is_verb(word)))
                || (line.counts() && is_fetched(line.word(1)))
        };
        // To 1.6.18 a number ends at a carriage return, whatever follows.
        let cut_short = self.peer.may_be(Peer::Old) && text.ends_with(b"\r");
        if cut_short || found.iter().any(avoided) {
            return false;
        }
        let fetched: Vec<Vec<u8>> = fetched.into_iter().map(<[u8]>::to_vec).collect();
        self.fetched.extend(fetched);
        self.begun = begun.to_vec();
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
pub(super) struct Line<'a> {
    pub(super) text: &'a [u8],
    pub(super) words: Vec<&'a [u8]>,
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

    pub(super) fn word(&self, at: usize) -> &'a [u8] {
        self.words.get(at).copied().unwrap_or_default()
    }

    pub(super) fn is_store(&self) -> bool {
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

    /// Whether the data block that the line declares does not end where it should.
    pub(super) fn has_bad_block(&self) -> bool {
        let block = self.block().and_then(|length| usize::try_from(length).ok());
        block.is_some_and(|length| {
            !self.behind.get(length..).is_some_and(|end| end.starts_with(b"\r\n"))
        })
    }

    /// Whether the last word is `noreply`.
    pub(super) fn ends_quietly(&self) -> bool {
        self.words.last() == Some(&&b"noreply"[..])
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
        self.flag(b'M').is_some_and(|mode| mode.starts_with(b"D"))
    }

    pub(super) fn is_meta(&self, verbs: &[&[u8]]) -> bool {
        verbs.contains(&self.word(0))
    }

    /// The token of a flag.
    pub(super) fn flag(&self, letter: u8) -> Option<&'a [u8]> {
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
        "me",
        "mn",
        "delete",
        "verbosity",
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

fn may_set_the_item_replaced(line: &Line<'_>) -> bool {
    let sets = line.flag(b'T').is_some() || line.flag(b'E').is_some();
    line.is_meta(&[b"ma"]) && sets && !line.subtracts()
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

fn makes_binary_key_anew(line: &Line<'_>) -> bool {
    let joins =
        line.flag(b'M').is_some_and(|mode| mode.starts_with(b"A") || mode.starts_with(b"P"));
    let anew = match line.word(0) {
        b"mg" => line.flag(b'N').is_some(),
        b"ms" => joins,
        b"md" => line.flag(b'x').is_some(),
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

    fn sent_to(peer: Peer, text: &str) -> bool {
        Filter::of(peer).passes(text.as_bytes())
    }

    fn sent(text: &str) -> bool {
        sent_to(Peer::Any, text)
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
        let mut filter = Filter::of(Peer::Any);
        assert!(filter.passes(b"incr a 1\r\n") && filter.passes(b"get b a\r\n"));
        assert!(!filter.passes(b"incr a 1\r\n") && filter.passes(b"incr c 1\r\n"));
        let line = [&b"get "[..], &[b'a'; 1500], b"\r\n"].concat();
        assert!(
            Filter::of(Peer::Any).passes(b"get a\r\n")
                && !Filter::of_mangled(Peer::Any).passes(&line)
        );
        let twice = b"mg mg t\r\n";
        assert!(filter.passes(twice) && !Filter::of_mangled(Peer::Any).passes(twice));
        assert!(filter.passes(b"incr ") && !filter.passes(b"mg k C") && filter.passes(b"d 1\r\n"));
    }

    #[test]
    fn documented_differences_are_not_sent() {
        assert!(!sent("ms a 1 E5\r\nx\r\n") && !sent("md a x\r\n") && !sent("ms a 1 s\r\n"));
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
        let empties = |text| sent_to(Peer::New, text);
        assert!(!empties("md Zm9v b x\r\n") && empties("md Zm9v x\r\n"));
        assert!(!sent("mg Zm9v b N0\r\n") && !sent("set a 0 0 4294967301\r\n"));
        assert!(!sent("stats items\r\n") && sent("stats unknown\r\n") && !sent("a\0\r\n"));
    }

    #[test]
    fn what_versions_differ_in_is_sent_to_those_that_agree() {
        for (text, to_old, to_new) in [
            ("ms a 1 E5\r\nx\r\n", false, true),
            ("ms a 1 s\r\n", false, true),
            ("mg a C5\r\n", false, true),
            ("ma a q N0\r\n", false, true),
            ("ma a E5\r\n", false, false),
            ("ma a MD E5\r\n", false, true),
            ("set a x 0 1\r\n", false, true),
            ("set a 0 0 1 2 3\r\n", false, true),
            ("set a 0 0 x\r\n", true, true),
            ("set a 0 0 x noreply\r\n", false, true),
            ("cas a 0 0 1 5\r\n", true, true),
            ("cas a 0 0 1 x\r\n", false, true),
            ("delete a 0\r\n", true, true),
            ("delete a 5\r\n", false, true),
            ("delete noreply\r\n", true, false),
            ("incr a +1\r\n", false, true),
            ("incr a 1 2 3\r\n", false, true),
            ("gat 0\r\n", false, true),
            ("touch a 4294967295\r\n", false, true),
            ("set a 0 4294967295 1\r\n", true, true),
            ("ms a 1 T4294967295\r\n", false, true),
            ("ms a 1 MSET\r\n", false, true),
            ("ms a 1 =\r\n", true, false),
            ("mg a =\r\n", true, true),
            ("bogus noreply\r\n", false, true),
            ("set a \t 5 0\r\n", false, false),
            ("mn\n", true, false),
            ("mn\r\n", true, true),
        ] {
            let sent = (sent_to(Peer::Old, text), sent_to(Peer::New, text));
            assert_eq!(sent, (to_old, to_new), "{text:?}");
        }
        assert_eq!(Peer::of_version(&[1, 6, 18]), Peer::Old);
        assert_eq!(Peer::of_version(&[1, 6, 30]), Peer::Any);
        assert_eq!(Peer::of_version(&[1, 6, 45]), Peer::New);
    }
}
