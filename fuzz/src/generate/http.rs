//! HTTP requests, mostly well formed.

use crate::Source;

/// Tokens of HTTP heads and chunked bodies.
pub const DICTIONARY: &[&[u8]] = &[
    b"GET ",
    b"POST ",
    b"HEAD ",
    b"OPTIONS ",
    b"PUT ",
    b"DELETE ",
    b"TRACE ",
    b"CONNECT ",
    b"PATCH ",
    b" HTTP/1.1\r\n",
    b" HTTP/1.0\r\n",
    b" HTTP/1.2\r\n",
    b" HTTP/2.0\r\n",
    b" HTTP/1.1\n",
    b"http://h/",
    b"https://h:1?q",
    b"*",
    b"/",
    b"?",
    b"#",
    b"\r\n\r\n",
    b"\r\n",
    b"\n",
    b"\r",
    b"Host: h\r\n",
    b"Host:\r\n",
    b"Host: a b\r\n",
    b"Content-Length: ",
    b"Content-Length: 5\r\n",
    b"content-length:5",
    b"Content-Length: +5\r\n",
    b"Content-Length: 5, 5\r\n",
    b"Content-Length : 5\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Transfer-Encoding: gzip, chunked\r\n",
    b"Transfer-Encoding: chunked, chunked\r\n",
    b"Transfer-Encoding: gzip\r\n",
    b"Transfer-Encoding: ,chunked\r\n",
    b"Transfer-Encoding:\tchunked \r\n",
    b"transfer-encoding: CHUNKED\r\n",
    b"Transfer-Encoding: x\r\n chunked\r\n",
    b"Expect: 100-continue\r\n",
    b"Expect: other\r\n",
    b"Expect: ,100-continue,\r\n",
    b"Connection: close\r\n",
    b"Connection: keep-alive\r\n",
    b"Connection: close, x\r\n",
    b"X: y\r\n",
    b" X: y\r\n",
    b"X : y\r\n",
    b"X: \x00\r\n",
    b"X: \x80\r\n",
    b"0\r\n\r\n",
    b"5\r\nhello\r\n",
    b"1;a=b\r\nx\r\n",
    b"1 \r\nx\r\n",
    b"FFFFFFFFFFFFFFFFF\r\n",
    b"0x5\r\n",
    b"0\r\nTrailer: x\r\n\r\n",
    b"0\r\n X: folded\r\n\r\n",
    b"00000000000000000005\r\n",
    &[b' '; 230],
    MANY_HEADERS,
];

/// More than most servers take.
const MANY_HEADERS: &[u8] = &{
    let mut lines = [b'a'; 66 * 4];
    let mut at = 0;
    while at < lines.len() {
        (lines[at + 1], lines[at + 2], lines[at + 3]) = (b':', b'\r', b'\n');
        at += 4;
    }
    lines
};

/// Some requests on one connection.
pub fn requests(source: &mut Source<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    for _ in 0..source.between(1, 3) {
        request(source, &mut out);
    }
    out
}

fn request(source: &mut Source<'_>, out: &mut Vec<u8>) {
    let methods: [&[u8]; 10] = [
        b"GET", b"POST", b"POST", b"GET", b"HEAD", b"OPTIONS", b"PUT", b"DELETE", b"PATCH", b"BREW",
    ];
    let targets: [&[u8]; 9] = [
        b"/",
        b"/track",
        b"/track?data=e30%3D&ip=1",
        b"/a/b?c",
        b"*",
        b"http://h",
        b"https://h/x?y",
        b"/%41",
        b"a",
    ];
    let method = source.pick(&methods);
    out.extend_from_slice(method);
    out.push(b' ');
    out.extend_from_slice(source.pick(&targets));
    let http10 = source.chance(1, 8);
    out.extend_from_slice(if http10 { b" HTTP/1.0\r\n" } else { b" HTTP/1.1\r\n" });
    if !source.chance(1, 16) {
        out.extend_from_slice(b"Host: example.org:80\r\n");
    }
    for _ in 0..source.below(4) {
        let lines: [&[u8]; 12] = [
            b"Accept: */*\r\n",
            b"Connection: close\r\n",
            b"Connection: keep-alive\r\n",
            b"X-Y:\t z \r\n",
            b"Expect: 100-continue\r\n",
            b"X-Long: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n",
            b"Content-Type: text/plain\r\n",
            b"Origin: http://o\r\n",
            b"Empty:\r\n",
            b"X: \xc3\xa9\r\n",
            b"Transfer-Encoding: gzip\r\n",
            b"Content-Length: 1\r\n",
        ];
        // The last two seldom.
        let known = if source.chance(1, 10) { 12 } else { 10 };
        let line = lines[source.below(known)];
        out.extend_from_slice(line);
    }
    // A limit of 64 is what the properties set: beside it, bodies are likely.
    let body: Vec<u8> = match source.below(5) {
        4 => vec![b'e'; source.between(63, 65)],
        0 => b"hello".to_vec(),
        1 => vec![b'b'; source.below(80)],
        2 => b"POST /smuggled HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n".to_vec(),
        _ => Vec::new(),
    };
    match source.below(5) {
        0 | 1 => {
            let lie = usize::from(source.chance(1, 12));
            out.extend_from_slice(
                format!("Content-Length: {}\r\n\r\n", body.len() + lie).as_bytes(),
            );
            out.extend_from_slice(&body);
        }
        2 | 3 => {
            out.extend_from_slice(b"Transfer-Encoding: chunked\r\n\r\n");
            chunks(&body, source, out);
        }
        _ => out.extend_from_slice(b"\r\n"),
    }
}

fn chunks(body: &[u8], source: &mut Source<'_>, out: &mut Vec<u8>) {
    let mut rest = body;
    while !rest.is_empty() {
        let (chunk, behind) = rest.split_at(source.pick(&[1, 5, 16, 40, 100]).min(rest.len()));
        let size = match source.below(4) {
            0 => format!("{:X}", chunk.len()),
            1 => format!("{:04x}", chunk.len()),
            _ => format!("{:x}", chunk.len()),
        };
        out.extend_from_slice(size.as_bytes());
        if source.chance(1, 6) {
            out.extend_from_slice(source.pick(&[&b";a=b"[..], b" ", b";", b" ;x=\"y\""]));
        }
        out.extend_from_slice(b"\r\n");
        out.extend_from_slice(chunk);
        out.extend_from_slice(b"\r\n");
        rest = behind;
    }
    out.extend_from_slice(source.pick(&[
        &b"0\r\n\r\n"[..],
        b"0\r\n\r\n",
        b"0;z\r\nT: v\r\n\r\n",
        b"000\r\n\r\n",
    ]));
}
