//! Where records are published to, as an operator writes it.

use crate::Source;

/// Parts of URLs.
pub const DICTIONARY: &[&[u8]] = &[
    b"nats://",
    b"tls://",
    b"n1",
    b"n2:4222",
    b"[::1]",
    b",",
    b"@",
    b"user:pass@",
    b"/",
    b"events",
    b".",
    b"*",
    b">",
    b"$JS",
    b"?",
    b"&",
    b"=",
    b"stream=",
    b"replicas=",
    b"3",
    b"6",
    b"window=",
    b"600",
    b"sync=always",
    b"creds=",
    b"ca=",
    b"cert=",
    b"key=",
    b"%2C",
    b"%",
    b" ",
    b"\xc3\xa9",
];

/// A URL, most of it as it should be.
pub fn url(source: &mut Source<'_>) -> Vec<u8> {
    let scheme = source.pick(&["nats://", "tls://", "nats:/"]);
    let login = source.pick(&["", "", "me:s%40@", "t@", ":@", "a@b@", "n1,t@"]);
    let hosts = source.pick(&["n1", "n1,n2:4222,[::1]", "n1,,n2", "a, b", "a,a", ""]);
    let subject = source.pick(&["/events", "/app.events", "/a.*", "/a..b", "/a.", "/", ""]);
    let mut url = [scheme, login, hosts, subject].concat();
    for at in 0..source.between(0, 4) {
        url.push(if at == 0 { '?' } else { '&' });
        url.push_str(source.pick(&[
            "stream=S",
            "stream=a.b",
            "replicas=3",
            "replicas=9",
            "replicas=+3",
            "window=600",
            "window=x",
            "sync=always",
            "sync=no",
            "creds=/a%20b",
            "ca=/c",
            "cert=c",
            "key=k",
            "x=y",
            "%=%",
        ]));
    }
    url.into_bytes()
}
