//! The header `Forwarded` (RFC 7239 §4): cut at its commas and semicolons, then looked at piece by piece.

/// The value of the first `for` of each element, with its quotes, and empty where there is none; `None`
/// where anything is malformed.
pub fn forwarded(value: &[u8]) -> Option<Vec<Vec<u8>>> {
    let is_blank = |piece: &&[u8]| piece.iter().all(|byte| b" \t".contains(byte));
    let elements = pieces(value, b',')?;
    elements.into_iter().filter(|piece| !is_blank(piece)).map(element).collect()
}

fn element(text: &[u8]) -> Option<Vec<u8>> {
    let mut client = None;
    for pair in pieces(text, b';')? {
        let pair = pair.trim_ascii();
        let equals = pair.iter().position(|&byte| byte == b'=')?;
        let (name, value) = (&pair[..equals], &pair[equals + 1..]);
        let is_quoted = value.len() > 1 && value.starts_with(b"\"") && quotes(value) == Some(1);
        if !is_token(name) || !is_quoted && !is_token(value) {
            return None;
        }
        if name.eq_ignore_ascii_case(b"for") && client.is_none() {
            client = Some(value.to_vec());
        }
    }
    Some(client.unwrap_or_default())
}

/// Cuts at a separator that stands outside of quotes; `None` where quotes are left open.
fn pieces(text: &[u8], separator: u8) -> Option<Vec<&[u8]>> {
    let (mut quoted, mut escaped) = (false, false);
    let pieces = text.split(|&byte| {
        let was_escaped = core::mem::take(&mut escaped);
        match byte {
            _ if was_escaped => false,
            b'\\' if quoted => {
                escaped = true;
                false
            }
            b'"' => {
                quoted = !quoted;
                false
            }
            _ => byte == separator && !quoted,
        }
    });
    let pieces = pieces.collect();
    (!quoted).then_some(pieces)
}

/// How many quoted strings a text consists of, if of nothing else.
fn quotes(text: &[u8]) -> Option<usize> {
    let mut count = 0;
    let mut rest = text.iter();
    while let Some(byte) = rest.next() {
        if *byte != b'"' {
            return None;
        }
        loop {
            match rest.next()? {
                b'"' => break,
                b'\\' => drop(rest.next()?),
                _ => {}
            }
        }
        count += 1;
    }
    Some(count)
}

fn is_token(text: &[u8]) -> bool {
    let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~:[]".contains(byte);
    !text.is_empty() && text.iter().all(is_part)
}
