//! What an operator writes: addresses to listen on, and files of users.

use crate::Source;

/// Parts of addresses.
pub const ADDRESSES: &[&[u8]] = &[
    b"127.0.0.1",
    b"[::1]",
    b"::1",
    b"0.0.0.0",
    b"localhost",
    b"a-b.example.",
    b":",
    b":0",
    b":8080",
    b":65536",
    b":+1",
    b"unix:",
    b"unix://",
    b"/run/a.sock",
    b"./a",
    b"../a",
    b"?mode=",
    b"0660",
    b"777",
    b"1777",
    b"?user=",
    b"@",
    b"fd:",
    b"fd:0",
    b"0",
    b"-",
    b"_",
    b".",
    b"[",
    b"]",
    b"*",
    b"://",
    b"%lo",
];

/// Parts of a file of users.
pub const USERS: &[&[u8]] = &[
    b"ann",
    b"secret",
    b":",
    b"\n",
    b"\r\n",
    b"ann:secret\n",
    b" ",
    b"\t",
    b"\x7f",
    b"\xc3\xa9",
    b"#",
];

/// An address, or something like one.
pub fn address(source: &mut Source<'_>) -> Vec<u8> {
    let host =
        source.pick(&["127.0.0.1", "[::1]", "::1", "localhost", "unix:/a", "fd:", "a.b-c", ""]);
    let rest = source.pick(&["", ":0", ":11211", "?mode=0660", "0", "/b", ":x", "."]);
    [host, rest].concat().into_bytes()
}

/// Some lines of a file of users, most of them as they should be.
pub fn users(source: &mut Source<'_>) -> Vec<u8> {
    let mut file = Vec::new();
    for _ in 0..source.between(1, 4) {
        let name = source.pick(&["ann", "bob", "", "a b", "\u{e9}"]);
        let password = source.pick(&[":secret", ":a:b", ":", "", ": "]);
        file.extend_from_slice(name.as_bytes());
        file.extend_from_slice(password.as_bytes());
        if source.chance(1, 8) {
            file.resize(file.len() + source.between(0, 2100), b'x');
        }
        file.extend_from_slice(source.pick(&["\n", "\r\n", "\n\n", ""]).as_bytes());
    }
    file
}
