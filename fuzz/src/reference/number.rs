//! Numbers: as C reads them (white space, a sign, digits, and then white space or the end), and lengths as
//! memcached does.

/// Whether it is negative, and the digits' number; `None` where it is no number, or too large.
pub fn read(word: &[u8]) -> Option<(bool, u128)> {
    let text: String = word.iter().map(|&byte| char::from(byte)).collect();
    let space = [' ', '\t', '\n', '\x0b', '\x0c', '\r'];
    let text = text.trim_start_matches(space);
    let text = text.split(space).next().unwrap_or_default();
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let number: u128 = digits
        .trim_start_matches('0')
        .parse()
        .unwrap_or(if digits.bytes().all(|byte| byte == b'0') { 0 } else { u128::MAX });
    (number <= u128::from(u64::MAX)).then_some((negative, number))
}

/// The length of a data block: digits alone, or a minus before zeros, eleven characters at most.
pub fn length(word: &[u8]) -> Option<usize> {
    let digits = word.strip_prefix(b"-").unwrap_or(word);
    if word.len() > 11 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let (negative, number) = read(word)?;
    if (negative && number > 0) || number > 2_147_483_645 {
        return None;
    }
    usize::try_from(number).ok()
}
