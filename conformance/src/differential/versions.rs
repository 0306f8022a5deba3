//! What the versions of memcached differ in, from each other and from ours: lines that are not sent to those
//! that read them in another way.

use super::rules::Line;

/// What 1.6.18 does not know yet.
pub(super) fn is_newer(line: &Line<'_>) -> bool {
    let has = |letter| line.flag(letter).is_some();
    let meta = line.is_meta(&[b"mg", b"ms", b"md", b"ma"]);
    (meta && (has(b'E') || has(b'x')))
        || (line.is_meta(&[b"mg"]) && has(b'C'))
        || (line.is_meta(&[b"ms"]) && (has(b's') || (has(b'N') && has(b'M'))))
}

pub(super) fn creates_quietly(line: &Line<'_>) -> bool {
    line.is_meta(&[b"ma"]) && line.flag(b'q').is_some() && line.flag(b'N').is_some()
}

/// A line whose block 1.6.18 takes for commands where it is dropped now, or the other way round.
pub(super) fn has_another_block(line: &Line<'_>) -> bool {
    const LONGEST: usize = 250;
    let long_key = line.word(1).len() > LONGEST;
    if line.is_meta(&[b"ms"]) {
        return long_key || line.words.len() > 19;
    }
    let is_cas = line.word(0) == b"cas";
    let most = if is_cas { 7 } else { 6 };
    let words = line.words.len();
    let wrong = |at| is_none(line.word(at)) || !is_plain(line.word(at));
    line.is_store()
        && (long_key
            || words > most
            || wrong(2)
            || wrong(3)
            || (is_cas && (words == 5 || wrong(5))))
}

/// Arguments that are ignored now, or were.
pub(super) fn has_other_arguments(line: &Line<'_>) -> bool {
    let words = line.words.len();
    match line.word(0) {
        b"incr" | b"decr" | b"touch" => words > 3 && line.words[3..] != [b"noreply"],
        b"verbosity" => words > 2 && line.words[2..] != [b"noreply"],
        b"flush_all" => words > 1 && line.words[1..] != [b"noreply"] && words != 2,
        b"delete" => {
            let behind = line.words.get(2..).unwrap_or_default();
            let legal: [&[&[u8]]; 4] = [&[], &[b"0"], &[b"noreply"], &[b"0", b"noreply"]];
            !legal.contains(&behind)
        }
        b"gat" | b"gats" => words == 2,
        _ => false,
    }
}

/// A number that is written otherwise than with a few digits, or is none.
pub(super) fn has_number_of_another_form(line: &Line<'_>) -> bool {
    // The flags and the exptime of a storage command are read as ever.
    let narrow = |at| !is_narrow(line.word(at));
    let flags = || {
        let from = if line.word(0) == b"ms" { 3 } else { 2 };
        line.words.iter().skip(from).any(|word| match word.split_first() {
            Some((b'T' | b'N' | b'R' | b'F', token)) => !is_narrow(token),
            Some((b'C' | b'D' | b'J', token)) => !is_plain(token),
            _ => false,
        })
    };
    match line.word(0) {
        _ if line.is_store() => narrow(4),
        b"incr" | b"decr" => !is_plain(line.word(2)),
        b"touch" => narrow(2),
        b"gat" | b"gats" | b"verbosity" => narrow(1),
        b"flush_all" => narrow(1) && line.word(1) != b"noreply",
        b"ms" => narrow(2) || flags(),
        b"mg" | b"md" | b"ma" => flags(),
        _ => false,
    }
}

/// Digits that every version reads as the same number of 64 bits, or letters that none reads as one.
fn is_plain(word: &[u8]) -> bool {
    let digits = word.iter().all(u8::is_ascii_digit) && word.len() <= 20;
    let is_number = digits && std::str::from_utf8(word).is_ok_and(|it| it.parse::<u64>().is_ok());
    is_number || is_none(word)
}

/// The same of 31 bits.
fn is_narrow(word: &[u8]) -> bool {
    let digits = word.iter().all(u8::is_ascii_digit) && word.len() <= 10;
    let is_number = digits && std::str::from_utf8(word).is_ok_and(|it| it.parse::<i32>().is_ok());
    is_number || is_none(word)
}

fn is_none(word: &[u8]) -> bool {
    word.first().is_none_or(u8::is_ascii_alphabetic)
}

pub(super) fn has_a_longer_mode(line: &Line<'_>) -> bool {
    let meta = line.is_meta(&[b"mg", b"ms", b"md", b"ma"]);
    meta && line.flag(b'M').is_some_and(|mode| mode.len() != 1)
}

/// To 1.6.18 it is a command still, to 1.6.45 one of some administrative commands, and to us none.
pub(super) fn begins_with_a_space(line: &Line<'_>) -> bool {
    line.text.starts_with(b" ")
}

/// An error that `noreply` hides in one version and not in another.
pub(super) fn hides_an_error(line: &Line<'_>) -> bool {
    // A block that ends inside the last word leaves `noreply` as a line of its own.
    let last = line.words.last().copied().unwrap_or_default();
    if last.len() > b"noreply".len() && last.ends_with(b"noreply") {
        return true;
    }
    line.ends_quietly()
        && if line.is_store() {
            line.words.len() < 6 || is_none(line.word(4))
        } else {
            let known: [&[u8]; 18] = [
                b"get",
                b"gets",
                b"gat",
                b"gats",
                b"incr",
                b"decr",
                b"touch",
                b"delete",
                b"verbosity",
                b"flush_all",
                b"mg",
                b"ms",
                b"md",
                b"ma",
                b"me",
                b"mn",
                b"version",
                b"quit",
            ];
            !known.contains(&line.word(0))
        }
}

/// `me` with flags: which of them count, versions do not agree upon.
pub(super) fn debugs_with_flags(line: &Line<'_>) -> bool {
    line.is_meta(&[b"me"]) && line.words.len() > 2
}

/// 1.6.45 looks for no command on a line of less than four bytes.
pub(super) fn is_a_bare_mn(line: &Line<'_>) -> bool {
    line.text == b"mn"
}

/// 1.6.45 refuses an `ms` whose flag is no letter before it knows how long its block is.
pub(super) fn stores_with_no_letter(line: &Line<'_>) -> bool {
    let is_letter = |byte: &u8| matches!(byte, b'A'..=b'z' | b'0'..=b'9');
    let flags = line.words.get(3..).unwrap_or_default();
    line.is_meta(&[b"ms"]) && flags.iter().any(|flag| !flag.first().is_some_and(is_letter))
}

/// To 1.6.45 flags, or an exptime, of white space alone are the number behind.
pub(super) fn stores_with_white_space(line: &Line<'_>) -> bool {
    let is_white =
        |word: &[u8]| !word.is_empty() && word.iter().all(|byte| matches!(byte, b'\t'..=b'\r'));
    line.is_store() && (2..4).any(|at| is_white(line.word(at)))
}

/// 1.6.45 takes the key for a `noreply`.
pub(super) fn deletes_noreply(line: &Line<'_>) -> bool {
    line.words == [&b"delete"[..], b"noreply"]
}

/// 1.6.45 gives the cas unique that an `ms` asked for with `E` to the next item, where its own block was bad.
pub(super) fn names_the_cas_of_a_bad_block(line: &Line<'_>) -> bool {
    line.is_meta(&[b"ms"]) && line.flag(b'E').is_some() && line.has_bad_block()
}
