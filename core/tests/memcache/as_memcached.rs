//! What memcached 1.6.18 answered to each of these inputs, byte for byte: the server connection
//! answers the same, however the input is split.

use crate::cache::{Cache, serve};
use windhover_core::memcache::Dialect;

/// Input, answer, whether the connection is closed. `<251>` stands for a key of that length.
#[rustfmt::skip]
const VECTORS: &[(&str, &str, bool)] = &[
    ("\r\n", "ERROR\r\n", false),
    (" \r\n", "ERROR\r\n", false),
    ("\n\nversion\n", "ERROR\r\nERROR\r\nVERSION 1.6.18\r\n", false),
    ("g\r\n", "ERROR\r\n", false),
    ("get\r\n", "ERROR\r\n", false),
    ("get \r\n", "ERROR\r\n", false),
    ("gets\r\n", "ERROR\r\n", false),
    ("get k\r\n", "END\r\n", false),
    (" get  k  \r\n", "END\r\n", false),
    ("get\x09k\r\n", "ERROR\r\n", false),
    ("get k\x09x\r\n", "END\r\n", false),
    ("GET k\r\n", "ERROR\r\n", false),
    ("get k\rx\r\n", "END\r\n", false),
    ("get <251>\r\n", "CLIENT_ERROR bad command line format\r\n", false),
    ("get a <251> b\r\n", "CLIENT_ERROR bad command line format\r\n", false),
    ("version foo\r\n", "VERSION 1.6.18\r\n", false),
    ("version\r\r\n", "ERROR\r\n", false),
    ("versionx\r\n", "ERROR\r\n", false),
    ("verbosity\r\n", "ERROR\r\n", false),
    ("verbosity 1\r\n", "OK\r\n", false),
    ("verbosity abc\r\n", "CLIENT_ERROR bad command line format\r\n", false),
    ("verbosity -1\r\n", "CLIENT_ERROR bad command line format\r\n", false),
    ("verbosity noreply\r\n", "", false),
    ("verbosity 1 noreply\r\n", "", false),
    ("verbosity 1 2\r\n", "OK\r\n", false),
    ("verbosity 1 2 3\r\n", "ERROR\r\n", false),
    ("verbosity abc noreply\r\n", "", false),
    ("verbosity a b noreply\r\n", "ERROR\r\n", false),
    ("flush_all\r\n", "OK\r\n", false),
    ("flush_all 0\r\n", "OK\r\n", false),
    ("flush_all -1\r\n", "OK\r\n", false),
    ("flush_all x\r\n", "CLIENT_ERROR invalid exptime argument\r\n", false),
    ("flush_all noreply\r\n", "", false),
    ("flush_all 10 noreply\r\n", "", false),
    ("flush_all 10 x\r\n", "OK\r\n", false),
    ("flush_all x noreply\r\n", "", false),
    ("flush_all 1 0 noreply\r\n", "ERROR\r\n", false),
    ("flush_all noreply noreply\r\n", "", false),
    ("flush_all 99999999999999999999\r\n", "CLIENT_ERROR invalid exptime argument\r\n", false),
    ("delete\r\n", "ERROR\r\n", false),
    ("delete k\r\n", "NOT_FOUND\r\n", false),
    ("delete k 0\r\n", "NOT_FOUND\r\n", false),
    ("delete k 1\r\n", "CLIENT_ERROR bad command line format.  Usage: delete <key> [noreply]\r\n", false),
    ("delete k 00\r\n", "CLIENT_ERROR bad command line format.  Usage: delete <key> [noreply]\r\n", false),
    ("delete k noreply\r\n", "", false),
    ("delete k 0 noreply\r\n", "", false),
    ("delete k 1 noreply\r\n", "", false),
    ("delete k noreply 0\r\n", "CLIENT_ERROR bad command line format.  Usage: delete <key> [noreply]\r\n", false),
    ("delete k 0 noreply x\r\n", "ERROR\r\n", false),
    ("delete k 0 x\r\n", "CLIENT_ERROR bad command line format.  Usage: delete <key> [noreply]\r\n", false),
    ("delete noreply\r\n", "NOT_FOUND\r\n", false),
    ("delete <251>\r\n", "CLIENT_ERROR bad command line format\r\n", false),
    ("delete <251> noreply\r\n", "", false),
    ("stats reset\r\n", "RESET\r\n", false),
    ("foo noreply\r\n", "ERROR\r\n", false),
    ("set\r\n", "ERROR\r\n", false),
    ("set k\r\n", "ERROR\r\n", false),
    ("set noreply\r\n", "ERROR\r\n", false),
    ("set k 0 0 noreply\r\n", "", false),
    ("set a b c d e f g\r\n", "ERROR\r\n", false),
    ("set k 0 0 1\r\na\r\nget k\r\n", "STORED\r\nVALUE k 0 1\r\na\r\nEND\r\n", false),
    ("set k +5 0 1\r\na\r\nget k\r\n", "STORED\r\nVALUE k 5 1\r\na\r\nEND\r\n", false),
    ("set k 007 0 1\r\na\r\nget k\r\n", "STORED\r\nVALUE k 7 1\r\na\r\nEND\r\n", false),
    ("set k 4294967295 0 1\r\na\r\nget k\r\n", "STORED\r\nVALUE k 4294967295 1\r\na\r\nEND\r\n", false),
    ("set k 4294967301 0 1\r\na\r\nget k\r\n", "STORED\r\nVALUE k 5 1\r\na\r\nEND\r\n", false),
    ("set k 18446744073709551616 0 1\r\na\r\nget k\r\n", "CLIENT_ERROR bad command line format\r\nERROR\r\nEND\r\n", false),
    ("set k -1 0 1\r\na\r\nget k\r\n", "CLIENT_ERROR bad command line format\r\nERROR\r\nEND\r\n", false),
    ("set k 0x5 0 1\r\na\r\nget k\r\n", "CLIENT_ERROR bad command line format\r\nERROR\r\nEND\r\n", false),
    ("set k + 0 1\r\na\r\nget k\r\n", "CLIENT_ERROR bad command line format\r\nERROR\r\nEND\r\n", false),
    ("set k 0\x099 0 1\r\na\r\nget k\r\n", "STORED\r\nVALUE k 0 1\r\na\r\nEND\r\n", false),
    ("set k 0 +0 1\r\na\r\nget k\r\n", "STORED\r\nVALUE k 0 1\r\na\r\nEND\r\n", false),
    ("set k 0 2147483647 1\r\na\r\nget k\r\n", "STORED\r\nVALUE k 0 1\r\na\r\nEND\r\n", false),
    ("set k 0 9223372036854775808 1\r\na\r\nget k\r\n", "CLIENT_ERROR bad command line format\r\nERROR\r\nEND\r\n", false),
    ("set k 0 1.5 1\r\na\r\nget k\r\n", "CLIENT_ERROR bad command line format\r\nERROR\r\nEND\r\n", false),
    ("set k 0 -1 1\r\na\r\nget k\r\n", "STORED\r\nEND\r\n", false),
    ("set k 0 0 +1\r\na\r\nget k\r\n", "STORED\r\nVALUE k 0 1\r\na\r\nEND\r\n", false),
    ("set k 0 0 01\r\na\r\nget k\r\n", "STORED\r\nVALUE k 0 1\r\na\r\nEND\r\n", false),
    ("set k 0 0 0x1\r\na\r\nget k\r\n", "CLIENT_ERROR bad command line format\r\nERROR\r\nEND\r\n", false),
    ("set k 0 0 1 \r\na\r\nget k\r\n", "STORED\r\nVALUE k 0 1\r\na\r\nEND\r\n", false),
    ("set k 0 0 -1\r\na\r\nget k\r\n", "CLIENT_ERROR bad command line format\r\nERROR\r\nEND\r\n", false),
    ("set k 0 0 2147483646\r\na\r\nget k\r\n", "CLIENT_ERROR bad command line format\r\nERROR\r\nEND\r\n", false),
    ("set k 0 0 2147483648\r\na\r\nget k\r\n", "CLIENT_ERROR bad command line format\r\nERROR\r\nEND\r\n", false),
    ("set k 0 0 18446744073709551616\r\na\r\nget k\r\n", "CLIENT_ERROR bad command line format\r\nERROR\r\nEND\r\n", false),
    ("set k 0 0 1\x09\r\na\r\nget k\r\n", "STORED\r\nVALUE k 0 1\r\na\r\nEND\r\n", false),
    ("set k 0 0 \x091\r\na\r\nget k\r\n", "STORED\r\nVALUE k 0 1\r\na\r\nEND\r\n", false),
    ("set k 0 0 +-1\r\na\r\nget k\r\n", "CLIENT_ERROR bad command line format\r\nERROR\r\nEND\r\n", false),
    ("set k 0 0 abc\r\na\r\nget k\r\n", "CLIENT_ERROR bad command line format\r\nERROR\r\nEND\r\n", false),
    ("set k 0 0 0\r\n\r\nget k\r\n", "STORED\r\nVALUE k 0 0\r\n\r\nEND\r\n", false),
    ("set k 0 0 -0\r\n\r\nget k\r\n", "STORED\r\nVALUE k 0 0\r\n\r\nEND\r\n", false),
    ("set k 0 0 1 noreply\r\na\r\nget k\r\n", "VALUE k 0 1\r\na\r\nEND\r\n", false),
    ("set k 0 0 1 norepl\r\na\r\nget k\r\n", "STORED\r\nVALUE k 0 1\r\na\r\nEND\r\n", false),
    ("set k 0 0 1 noreply junk\r\nversion\r\nget k\r\n", "ERROR\r\nVERSION 1.6.18\r\nEND\r\n", false),
    ("set k 0 0 abc noreply\r\ny\r\nget k\r\n", "ERROR\r\nEND\r\n", false),
    ("set <251> 0 0 1\r\ny\r\nget k\r\n", "CLIENT_ERROR bad command line format\r\nERROR\r\nEND\r\n", false),
    ("set <251> 0 0 1 noreply\r\ny\r\nget k\r\n", "ERROR\r\nEND\r\n", false),
    ("set k 0 0 3\r\nabcdefgh\r\nget k\r\n", "CLIENT_ERROR bad data chunk\r\nERROR\r\nEND\r\n", false),
    ("set k 0 0 3\r\nabcX\r\nget k\r\n", "CLIENT_ERROR bad data chunk\r\nERROR\r\nEND\r\n", false),
    ("set k 0 0 3 noreply\r\nabcdefgh\r\nget k\r\n", "ERROR\r\nEND\r\n", false),
    ("set k 0 0 3\r\nab\r\nversion\r\nversion\r\n", "CLIENT_ERROR bad data chunk\r\nERROR\r\nVERSION 1.6.18\r\n", false),
    ("set k 0 0 1\r\na\r\r\nget k\r\n", "CLIENT_ERROR bad data chunk\r\nERROR\r\nEND\r\n", false),
    ("set k 0 0 3\r\nabc\n\r\nget k\r\n", "CLIENT_ERROR bad data chunk\r\nERROR\r\nEND\r\n", false),
    ("set k 0 0 9\r\na\r\nEND\r\n\x00\r\nget k\r\n", "STORED\r\nVALUE k 0 9\r\na\r\nEND\r\n\x00\r\nEND\r\n", false),
    ("set k 0 0 3\nabc\nversion\r\nversion\r\n", "CLIENT_ERROR bad data chunk\r\nERROR\r\nVERSION 1.6.18\r\n", false),
    ("set k 0 0 3\nabc\r\nget k\n", "STORED\r\nVALUE k 0 3\r\nabc\r\nEND\r\n", false),
    ("set k 0 0 1\r\na\r\nget k k miss k\r\ndelete k\r\nget k\r\n", "STORED\r\nVALUE k 0 1\r\na\r\nVALUE k 0 1\r\na\r\nVALUE k 0 1\r\na\r\nEND\r\nDELETED\r\nEND\r\n", false),
    ("set a 1 0 1\r\nA\r\nset b 2 0 2 noreply\r\nBB\r\nget b a\r\nversion\r\nbogus\r\ndelete a noreply\r\ndelete a\r\n", "STORED\r\nVALUE b 2 2\r\nBB\r\nVALUE a 1 1\r\nA\r\nEND\r\nVERSION 1.6.18\r\nERROR\r\nNOT_FOUND\r\n", false),
    ("version\r\nquit\r\nversion\r\n", "VERSION 1.6.18\r\n", true),
    (" quit now\r\n", "", true),
    ("GET / HTTP/1.1\r\nHost: x\r\n\r\n", "", true),
    ("POST / HTTP/1.0\r\n\r\n", "", true),
    ("foo HTTP/1.1\r\n", "", true),
    ("get x HTTP/1.1\r\n", "END\r\n", false),
];

fn vectors() -> impl Iterator<Item = (Vec<u8>, Vec<u8>, bool)> {
    let long_key = "k".repeat(251);
    VECTORS.iter().map(move |&(input, answer, closed)| {
        let input = input.replace("<251>", &long_key).into_bytes();
        (input, answer.as_bytes().to_vec(), closed)
    })
}

#[test]
fn whole() {
    for (input, answer, closed) in vectors() {
        let served = serve(Dialect::Memcached, &mut Cache::default(), &[&input]);
        let shown = input.escape_ascii();
        assert_eq!(
            served.written.escape_ascii().to_string(),
            answer.escape_ascii().to_string(),
            "{shown}"
        );
        assert_eq!(served.closed, closed, "{shown}");
    }
}

#[test]
fn at_every_split_point() {
    for (input, answer, closed) in vectors() {
        for at in 1..input.len() {
            let (first, second) = input.split_at(at);
            let served = serve(Dialect::Memcached, &mut Cache::default(), &[first, second]);
            assert_eq!(served.written, answer, "{} at {at}", input.escape_ascii());
            assert_eq!(served.closed, closed);
        }
    }
}

#[test]
fn byte_by_byte() {
    for (input, answer, closed) in vectors() {
        let bytes: Vec<&[u8]> = input.chunks(1).collect();
        let served = serve(Dialect::Memcached, &mut Cache::default(), &bytes);
        assert_eq!(served.written, answer, "{}", input.escape_ascii());
        assert_eq!(served.closed, closed);
    }
}
