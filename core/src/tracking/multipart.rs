//! Multipart forms (RFC 7578), as browsers build them of `FormData`, made forms of the usual kind.

use alloc::vec::Vec;

use memchr::memmem;

/// The body is no multipart form, or is cut off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NotMultipart;

/// Longest boundary (RFC 2046 §5.1.1).
const LONGEST_BOUNDARY: usize = 70;

/// The same form in `application/x-www-form-urlencoded`. What stands in front of the first part and
/// behind the last one is nobody's; a part without a name is passed over, a file is a value.
pub(super) fn to_form(content_type: &[u8], body: &[u8]) -> Result<Vec<u8>, NotMultipart> {
    let boundary = parameter(content_type, b"boundary").ok_or(NotMultipart)?;
    if boundary.is_empty() || boundary.len() > LONGEST_BOUNDARY {
        return Err(NotMultipart);
    }
    let delimiter = [b"\r\n--", boundary].concat();
    let finder = memmem::Finder::new(&delimiter);
    // The first delimiter needs no line in front of it.
    let mut rest = match delimiter.get(2..).and_then(|first| body.strip_prefix(first)) {
        Some(behind) => behind,
        None => split(body, &finder).ok_or(NotMultipart)?.1,
    };
    let mut form = Vec::new();
    loop {
        if rest.starts_with(b"--") {
            return Ok(form);
        }
        // White space may follow a boundary (RFC 2046 §5.1.1).
        let spaces = rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
        let part = rest.get(spaces..).unwrap_or_default();
        let part = part.strip_prefix(b"\r\n").ok_or(NotMultipart)?;
        let (headers, behind_headers) = match part.strip_prefix(b"\r\n") {
            Some(value) => (&b""[..], value),
            None => split(part, &memmem::Finder::new(b"\r\n\r\n")).ok_or(NotMultipart)?,
        };
        let (value, behind) = split(behind_headers, &finder).ok_or(NotMultipart)?;
        if finder.find(headers).is_some() {
            return Err(NotMultipart);
        }
        if let Some(name) = name(headers) {
            push_pair(name, value, &mut form);
        }
        rest = behind;
    }
}

/// What lies before and behind the first place where something is found.
fn split<'a>(bytes: &'a [u8], finder: &memmem::Finder<'_>) -> Option<(&'a [u8], &'a [u8])> {
    let at = finder.find(bytes)?;
    let (before, found) = bytes.split_at_checked(at)?;
    Some((before, found.get(finder.needle().len()..)?))
}

/// The name that `Content-Disposition` gives to a part.
fn name(headers: &[u8]) -> Option<&[u8]> {
    const DISPOSITION: &[u8] = b"content-disposition:";
    headers.split(|&byte| byte == b'\n').find_map(|line| {
        let (header, value) = line.split_at_checked(DISPOSITION.len())?;
        header.eq_ignore_ascii_case(DISPOSITION).then(|| parameter(value, b"name")).flatten()
    })
}

/// The value of a parameter such as `; name="data"`. Browsers write a quote in it as `%22`.
fn parameter<'a>(header: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let mut rest = header;
    loop {
        let at = memchr::memchr(b';', rest)?;
        rest = rest.get(at + 1..)?.trim_ascii_start();
        let Some(behind) = strip_name(rest, name) else { continue };
        return match behind.strip_prefix(b"\"") {
            Some(quoted) => quoted.split_at_checked(memchr::memchr(b'"', quoted)?).map(|it| it.0),
            None => behind.split(|byte| b"; \t\r".contains(byte)).next(),
        };
    }
}

/// What follows `name=` in any case.
fn strip_name<'a>(parameter: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let (found, behind) = parameter.split_at_checked(name.len())?;
    behind.strip_prefix(b"=").filter(|_| found.eq_ignore_ascii_case(name))
}

/// Appends a pair; only what means something in a form is encoded.
fn push_pair(name: &[u8], value: &[u8], form: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    form.reserve(name.len() + value.len() + 2);
    for (text, behind) in [(name, b'='), (value, b'&')] {
        for &byte in text {
            if matches!(byte, b'%' | b'&' | b'+' | b'=') {
                let digit = |value: u8| HEX.get(usize::from(value)).copied().unwrap_or_default();
                form.extend_from_slice(&[b'%', digit(byte >> 4), digit(byte & 15)]);
            } else {
                form.push(byte);
            }
        }
        form.push(behind);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TYPE: &[u8] = b"multipart/form-data; boundary=--B";

    fn form(body: &str) -> Result<std::string::String, NotMultipart> {
        to_form(TYPE, body.as_bytes()).map(|form| std::string::String::from_utf8(form).unwrap())
    }

    #[test]
    fn parts_are_pairs() {
        let part =
            |headers: &str, value: &str| std::format!("----B\r\n{headers}\r\n\r\n{value}\r\n");
        let body = [
            part("Content-Disposition: form-data; name=\"data\"", "a+b%&=\r\nc"),
            part("content-disposition:form-data;filename=\"name=x\"; NAME=ip\r\nX: y", "1"),
            part("Content-Disposition: form-data; name=\"empty\"", ""),
            part("Content-Disposition: form-data", "no name"),
            "----B\r\n\r\nno headers\r\n----B--\r\nbehind".into(),
        ]
        .concat();
        let expected = "data=a%2Bb%25%26%3D\r\nc&ip=1&empty=&";
        assert_eq!(form(&body).as_deref(), Ok(expected));
        assert_eq!(form(&std::format!("in front\r\n{body}")).as_deref(), Ok(expected));
        assert_eq!(form(&body.replace("B\r\n", "B \t\r\n")).as_deref(), Ok(expected));
        assert_eq!(form("----B--").as_deref(), Ok(""));
    }

    #[test]
    fn a_form_that_is_cut_off_is_none() {
        let body = "----B\r\nContent-Disposition: form-data; name=\"data\"\r\n\r\n{}\r\n----B--";
        assert_eq!(form(body).as_deref(), Ok("data={}&"));
        for length in 0..body.len() {
            assert_eq!(form(&body[..length]), Err(NotMultipart), "{length}");
        }
        // The first part does not end before the second one begins.
        assert_eq!(form(&std::format!("----B\r\nX: y\r\n{body}")), Err(NotMultipart));
    }

    #[test]
    fn the_boundary_is_a_parameter_of_the_type() {
        for good in
            ["a; boundary=x", "a;BOUNDARY=\"x\"; charset=utf-8", "a; charset=y; boundary=x "]
        {
            assert_eq!(to_form(good.as_bytes(), b"--x--"), Ok(Vec::new()), "{good}");
        }
        let long = std::format!("a; boundary={}", "x".repeat(71));
        for bad in
            ["", "a", "a; boundary", "a; boundary=", "a; boundary=\"x", "a; xboundary=x", &long]
        {
            assert_eq!(to_form(bad.as_bytes(), b"--x--"), Err(NotMultipart), "{bad}");
        }
    }
}
