//! Base64 (RFC 4648 §4).

const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// `bytes` in base64, padded; of `instead` where there are none.
pub fn encode(bytes: &[u8], instead: &[u8]) -> Vec<u8> {
    let bytes = if bytes.is_empty() { instead } else { bytes };
    let bits: Vec<bool> =
        bytes.iter().flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1 == 1)).collect();
    let mut text: Vec<u8> = bits
        .chunks(6)
        .map(|six| {
            let value = (0..6).fold(0, |value, at| {
                value << 1 | usize::from(six.get(at).copied().unwrap_or(false))
            });
            DIGITS[value]
        })
        .collect();
    while !text.len().is_multiple_of(4) {
        text.push(b'=');
    }
    text
}

/// The bytes that `text` is base64 of: digits alone, a multiple of four with the padding, which
/// ends it. `None` where it is not.
pub fn decode(text: &[u8]) -> Option<Vec<u8>> {
    let digits: Vec<u8> = text.iter().copied().take_while(|&byte| byte != b'=').collect();
    let padding = text.len() - digits.len();
    if !text.len().is_multiple_of(4)
        || padding > 2
        || text[digits.len()..].iter().any(|&byte| byte != b'=')
    {
        return None;
    }
    let mut bits = Vec::new();
    for digit in digits {
        let value = DIGITS.iter().position(|&known| known == digit)?;
        bits.extend((0..6).rev().map(|bit| value >> bit & 1 == 1));
    }
    bits.truncate(bits.len() / 8 * 8);
    Some(
        bits.chunks(8)
            .map(|eight| eight.iter().fold(0, |byte, &bit| byte << 1 | u8::from(bit)))
            .collect(),
    )
}
