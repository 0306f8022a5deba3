//! What a value becomes on its way into a cache and back.

use std::cell::RefCell;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use windhover_client::{Client, Compression, ErrorKind, ExpiresError, Outcome, Store, ValueError};

use crate::script::{Script, cache, script};

/// A cache of one item.
fn one_item(compression: Compression, flags: u32, data: &[u8]) -> (Client, Script<'static>) {
    let line = format!("VALUE k {flags} {}\r\n", data.len());
    let item = [line.as_bytes(), data, b"\r\nEND\r\n"].concat();
    script(cache().compression(compression), move |_, heard| {
        Some(if heard.starts_with("get") { item.clone() } else { b"STORED\r\n".to_vec() })
    })
}

#[test]
fn flags_are_the_callers_where_nothing_is_compressed() {
    for flags in [8, 1 << 20, u32::MAX] {
        let heard = RefCell::new(String::new());
        let (client, mut server) = script(cache(), |_, bytes| {
            heard.borrow_mut().push_str(bytes);
            Some(b"STORED\r\n".to_vec())
        });
        server.run(client.set("k", Store::from("12").flags(flags))).unwrap();
        assert_eq!(*heard.borrow(), format!("set k {flags} 0 2\r\n12\r\n"));
        let (client, mut server) = one_item(Compression::None, flags, b"12");
        let value = server.run(client.get("k")).unwrap().unwrap();
        assert_eq!((&value.data[..], value.flags), (&b"12"[..], flags));
    }
}

#[test]
fn a_value_with_a_flag_of_compression_is_not_stored_to_be_unreadable() {
    let (client, mut server) = script(cache().compression(Compression::ReadOnly), |_, _| {
        panic!("nothing is sent");
    });
    let error = server.run(client.set("k", Store::from("12").flags(9))).unwrap_err();
    assert!(
        matches!(error.kind(), ErrorKind::Value(ValueError::FlagsReserved { bits: 8 })),
        "{error:?}"
    );
    assert_eq!(error.outcome(), Outcome::NotSent);
}

#[test]
fn a_raw_read_gives_what_is_stored() {
    let (client, mut server) = one_item(Compression::ReadOnly, 8, b"no zlib");
    let error = server.run(client.get("k")).unwrap_err();
    assert_eq!(error.outcome(), Outcome::Done);
    let value = server.run(client.with_raw_values().get("k")).unwrap().unwrap();
    assert_eq!((&value.data[..], value.flags), (&b"no zlib"[..], 8));
    server.run(client.with_raw_values().set("k", Store::from("12").flags(8))).unwrap();
}

#[cfg(feature = "zlib")]
#[test]
fn what_was_appended_to_a_compressed_value_is_not_dropped_in_silence() {
    use std::io::Write as _;
    let mut packed = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
    packed.write_all(&[b'x'; 1000]).unwrap();
    let mut data = packed.finish().unwrap();
    let (client, mut server) = one_item(Compression::ReadOnly, 8, &data);
    assert_eq!(server.run(client.get("k")).unwrap().unwrap().data.len(), 1000);
    data.extend_from_slice(b", more");
    let (client, mut server) = one_item(Compression::ReadOnly, 8, &data);
    let error = server.run(client.get("k")).unwrap_err();
    assert!(
        matches!(error.kind(), ErrorKind::Value(ValueError::DataBehind { length: 6 })),
        "{error:?}"
    );
    assert_eq!(server.run(client.with_raw_values().get("k")).unwrap().unwrap().data, data);
}

#[cfg(feature = "zlib")]
#[test]
fn what_could_not_be_read_again_is_not_stored() {
    let builder = cache().compression(Compression::Zlib { from: 100 });
    let (client, mut server) = script(builder.largest_decompressed(2_000_000), |_, _| None);
    let large = vec![b'x'; 2_000_001];
    let error = server.run(client.set("k", large)).unwrap_err();
    assert!(
        matches!(error.kind(), ErrorKind::Value(ValueError::TooLargeToCompress { .. })),
        "{error:?}"
    );
    assert_eq!((error.outcome(), server.connections()), (Outcome::NotSent, 0));
}

#[test]
fn a_long_time_to_expire_is_sent_as_a_date_and_none_at_all_is_refused() {
    let heard = RefCell::new(String::new());
    let (client, mut server) = script(cache(), |_, bytes| {
        *heard.borrow_mut() = bytes.to_owned();
        let stored = if bytes.starts_with("set") { "STORED\r\n" } else { "TOUCHED\r\n" };
        Some(if bytes.starts_with("gat") { "END\r\n" } else { stored }.into())
    });
    let exptime =
        |at: usize| -> u64 { heard.borrow().split([' ', '\r']).nth(at).unwrap().parse().unwrap() };
    let long = Duration::from_secs(60 * 24 * 3600);
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let is_meant = |at: usize, since: u64| {
        let meant = since + long.as_secs()..=now() + long.as_secs() + 1;
        assert!(meant.contains(&exptime(at)), "{heard:?}");
    };
    let since = now();
    server.run(client.set("k", Store::from("v").expires(long))).unwrap();
    is_meant(3, since);
    server.run(client.touch("k", long)).unwrap();
    is_meant(2, since);
    server.run(client.gat("k", long)).unwrap();
    is_meant(1, since);
    server.run(client.gats("k", Duration::from_millis(1500))).unwrap();
    assert_eq!(*heard.borrow(), "gats 2 k\r\n");
    heard.borrow_mut().clear();
    let zero = Duration::ZERO;
    let many = [("k", Store::from("v").expires(zero))];
    for error in [
        server.run(client.set("k", Store::from("v").expires(zero))).unwrap_err(),
        server.run(client.touch("k", zero)).unwrap_err(),
        server.run(client.gat("k", zero)).unwrap_err(),
        server.run(client.set_many(many)).remove(0).unwrap_err(),
    ] {
        assert!(matches!(error.kind(), ErrorKind::Expires(ExpiresError::Zero)), "{error:?}");
        assert_eq!(error.outcome(), Outcome::NotSent);
    }
    assert_eq!(*heard.borrow(), "");
}

#[cfg(feature = "zlib")]
#[test]
fn every_read_of_a_compressed_value_gives_it_and_meta_commands_what_is_stored() {
    use std::io::Write as _;
    let mut packed = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
    packed.write_all(&[b'x'; 1000]).unwrap();
    let data = packed.finish().unwrap();
    let (stored, minute) = (data.clone(), Duration::from_secs(60));
    let (client, mut server) = script(cache().compression(Compression::ReadOnly), |_, heard| {
        let (head, end) = match heard.split(' ').next() {
            Some("mg") => (format!("VA {} f8\r\n", stored.len()), "\r\n"),
            Some("incr" | "decr") => {
                let words = "CLIENT_ERROR cannot increment or decrement non-numeric value\r\n";
                return Some(words.into());
            }
            Some("gets" | "gats") => (format!("VALUE k 8 {} 5\r\n", stored.len()), "\r\nEND\r\n"),
            _ => (format!("VALUE k 8 {}\r\n", stored.len()), "\r\nEND\r\n"),
        };
        Some([head.as_bytes(), &stored, end.as_bytes()].concat())
    });
    let found = [
        server.run(client.get("k")),
        server.run(client.gets("k")),
        server.run(client.gat("k", minute)),
        server.run(client.gats("k", minute)),
        server.run(client.get_many(["k"])).remove(0),
        server.run(client.gets_many(["k"])).remove(0),
    ];
    for value in found {
        let value = value.unwrap().unwrap();
        assert_eq!((value.data.len(), value.flags), (1000, 0));
    }
    let answer = server.run(client.meta_get("k", "v f")).unwrap();
    assert_eq!(answer.client_flags(), Some(8));
    assert_eq!(answer.value.into_bytes(), data);
    for counted in [server.run(client.incr("k", 1)), server.run(client.decr("k", 1))] {
        assert_eq!(counted.unwrap_err().outcome(), Outcome::Refused);
    }
}
