//! Streams made of the protocol's own words: nothing panics, no state is left by a way that the
//! table has not, and the outcome does not depend on how the bytes come.

use proptest::prelude::*;
use windhover_core::memcache::Dialect;

use crate::cache::{Cache, serve};
use crate::round_trip::every_request;

/// What generated streams are made of: whole requests, and pieces that break them.
const PIECES: &[&[u8]] = &[
    b"get k\r\n",
    b"gets k x\r\n",
    b"gat 0 k\r\n",
    b"set k 5 0 3\r\nabc\r\n",
    b"set k 0 0 3 noreply\r\nabc\r\n",
    b"add k 0 0 1\r\n7\r\n",
    b"append k 0 0 2\r\n\r\n\r\n",
    b"cas k 0 0 1 9\r\nx\r\n",
    b"incr k 1\r\n",
    b"decr k 1 noreply\r\n",
    b"touch k 0\r\n",
    b"delete k\r\n",
    b"mg k v k f O1\r\n",
    b"mg k v q\r\n",
    b"ms k 2 q\r\nhi\r\n",
    b"ms Zm9v 2 b k\r\nhi\r\n",
    b"ms k 2 !\r\nhi\r\n",
    b"md k q k\r\n",
    b"ma k v q\r\n",
    b"mn\r\n",
    b"me k b\r\n",
    b"set k 0 0 2000000\r\n",
    b"set k 0 0 70000\r\n",
    b"get q/t=0/open\r\n",
    b"set q 0 0 1\r\nx\r\n",
    b"monitor q 1\r\n",
    b"flush_all\r\n",
    b"version\r\n",
    b"stats\r\n",
    b"watch\r\n",
    b"quit\r\n",
    b"abc",
    b" ",
    b"\r\n",
    b"\n",
    b"\x80",
    b"GET / HTTP/1.1\r\n",
];

#[test]
fn every_command_of_the_table_may_be_split_anywhere() {
    for dialect in Dialect::ALL {
        let input = every_request(dialect);
        let whole = serve(dialect, &mut Cache::default(), &[&input]);
        assert!(!whole.closed && whole.requests.len() >= 20, "{dialect:?}: {whole:?}");
        for at in 1..input.len() {
            let (first, second) = input.split_at(at);
            let split = serve(dialect, &mut Cache::default(), &[first, second]);
            assert_eq!(split, whole, "{dialect:?} at {at}");
        }
        let bytes: Vec<&[u8]> = input.chunks(1).collect();
        assert_eq!(serve(dialect, &mut Cache::default(), &bytes), whole);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn the_split_of_a_stream_changes_nothing(
        pieces in proptest::collection::vec(proptest::sample::select(PIECES), 1..24),
        dialect in proptest::sample::select(&Dialect::ALL[..]),
        cuts in proptest::collection::vec(1..40usize, 1..200),
    ) {
        let input = pieces.concat();
        let whole = serve(dialect, &mut Cache::default(), &[&input]);
        let bytes: Vec<&[u8]> = input.chunks(1).collect();
        prop_assert_eq!(&serve(dialect, &mut Cache::default(), &bytes), &whole);
        let mut rest = &input[..];
        let mut parts = Vec::new();
        for cut in cuts {
            let (part, behind) = rest.split_at(cut.min(rest.len()));
            parts.push(part);
            rest = behind;
        }
        parts.push(rest);
        prop_assert_eq!(&serve(dialect, &mut Cache::default(), &parts), &whole);
    }
}
