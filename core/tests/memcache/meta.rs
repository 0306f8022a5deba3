//! Meta commands: what is refused and how, keys, flags, and that reading undoes writing.

use bytes::BytesMut;
use proptest::prelude::*;
use windhover_core::memcache::command::Command;
use windhover_core::memcache::meta::{
    ArithmeticMode, FLAGS, FlagBuffer, FlagFault, MetaCode, MetaFlags, MetaReply, MetaRequest,
    SetMode, TokenRule, decode_key, encode_key,
};
use windhover_core::memcache::request::{self, EncodeError, ErrorRecovery, Request, RequestFault};
use windhover_core::memcache::response::{self, Response, ResponseError};
use windhover_core::memcache::{Dialect, Limits, Parsed};

use Dialect::Memcached;

fn refusal(input: &str) -> (RequestFault, Option<&'static str>, ErrorRecovery) {
    let long = "k".repeat(251);
    let input = input.replace("<251>", &long);
    match request::parse(input.as_bytes(), Memcached, &Limits::default()) {
        Err(error) => (error.fault, error.reply, error.recovery),
        Ok(parsed) => panic!("{input} gave {parsed:?}"),
    }
}

#[rustfmt::skip]
#[test]
fn what_is_refused_is_answered_as_memcached_does() {
    let format = "CLIENT_ERROR bad command line format";
    let flags = "CLIENT_ERROR options flags are too long";
    let arithmetic = "CLIENT_ERROR invalid or duplicate flag";
    for (line, reply) in [
        ("mg", format), ("ms", format), ("md", format), ("ma", format), ("me", format),
        ("mg <251>", format), ("md <251>", format), ("ma <251>", arithmetic), ("me <251>", format),
        ("mg k v v", "CLIENT_ERROR duplicate flag"),
        ("mg k !", format), ("mg <251> !", format), ("ma <251> !", format), ("ma k !", format),
        ("mg k {", format), ("mg k \u{7f}", format), ("mg k v v !", format),
        ("mg k a b c d e f g h i j k l m n o p q r s t !", format),
        ("mg k a b c d e f g h i j k l m n o p q r s t u !", flags),
        ("mg k [", "CLIENT_ERROR invalid flag"),
        ("mg k 5", "CLIENT_ERROR invalid flag"),
        ("mg k S100", "CLIENT_ERROR invalid flag"),
        ("mg k W", "CLIENT_ERROR invalid flag"),
        ("mg k Tabc", "CLIENT_ERROR bad token in command line format"),
        ("mg k T+1", "CLIENT_ERROR bad token in command line format"),
        ("mg k T2147483648", "CLIENT_ERROR bad token in command line format"),
        ("mg k R", "CLIENT_ERROR bad token in command line format"),
        ("mg k C-1", "CLIENT_ERROR bad token in command line format"),
        ("mg k Fabc", format), ("mg k F4294967296", format),
        ("mg k Tx Fx", "CLIENT_ERROR bad token in command line format"),
        ("mg k J D", "CLIENT_ERROR invalid numeric delta value"),
        ("mg k Dx Jx q", "CLIENT_ERROR invalid numeric initial value"),
        ("mg k O12345678901234567890123456789012", "CLIENT_ERROR opaque token too long"),
        ("mg !!!! b", "CLIENT_ERROR error decoding key"),
        ("mg a b c d e f g h i", "CLIENT_ERROR invalid flag"),
        ("mg Zm9v b c f h k l O1 q s t u v N0 R0 T0 P L I x", flags),
        ("md k v v", "CLIENT_ERROR duplicate flag"),
        ("md k Txx", "CLIENT_ERROR bad token in command line format"),
        ("md k O12345678901234567890123456789012", "CLIENT_ERROR opaque token too long"),
        ("md k c f h k l O1 q s t u v N0 R0 T0 P L I x E1", flags),
        ("ma k c f h k l O1 q s t u v N0 R0 T0 P L I x E1", arithmetic),
        ("ma k Dx", arithmetic), ("ma k D-1", arithmetic), ("ma k v v", arithmetic),
        ("ma k MX", "CLIENT_ERROR invalid mode for ma M token"),
        ("ma k M", "CLIENT_ERROR invalid mode for ma M token"),
        ("ma k Mi", "CLIENT_ERROR invalid mode for ma M token"),
        ("ma k Mincr", "CLIENT_ERROR invalid mode for ma M token"),
        ("me a b", format), ("me !!!! b", format), ("me k =", format), ("me k b =", format),
        ("ms k", format), ("ms k x", format), ("ms k -1", format), ("ms k +1", format),
        ("ms k 2147483646", format), ("ms k S2", format), ("ms <251> x", format),
    ] {
        let line = format!("{line}\r\n");
        let length = line.len() + if line.contains("<251>") { 246 } else { 0 };
        let (_, answer, recovery) = refusal(&line);
        assert_eq!(answer, Some(reply), "{line}");
        assert_eq!(recovery, ErrorRecovery::Skip(length), "{line}");
    }
}

#[rustfmt::skip]
#[test]
fn a_refused_ms_with_a_known_length_discards_its_block() {
    for (line, reply) in [
        ("ms k 2 ! q", "CLIENT_ERROR bad command line format"),
        ("ms <251> 2", "CLIENT_ERROR bad command line format"),
        ("ms k 2 c f h k l O1 q s t u v N0 R0 T0 P L I x", "CLIENT_ERROR options flags are too long"),
        ("ms k 2 Z", "CLIENT_ERROR invalid flag"),
        ("ms k 2 M", "CLIENT_ERROR invalid mode for ms M token"),
        ("ms k 2 v v", "CLIENT_ERROR duplicate flag"),
        ("ms k 2 MX", "CLIENT_ERROR invalid mode for ms M token"),
        ("ms k 2 Me", "CLIENT_ERROR invalid mode for ms M token"),
        ("ms k 2 Madd", "CLIENT_ERROR invalid mode for ms M token"),
        ("ms k 2 Txx", "CLIENT_ERROR bad token in command line format"),
        ("ms k 2 F-1", "CLIENT_ERROR bad command line format"),
        ("ms k 2 O12345678901234567890123456789012", "CLIENT_ERROR opaque token too long"),
        ("ms k 2 O12345678901234567890123456789012 MX", "CLIENT_ERROR invalid mode for ms M token"),
        ("ms k 2 MX O12345678901234567890123456789012", "CLIENT_ERROR invalid mode for ms M token"),
        ("ms k 2 b", "CLIENT_ERROR error decoding key"),
    ] {
        let line = format!("{line}\r\n");
        let length = line.len() + if line.contains("<251>") { 246 } else { 0 };
        let (_, answer, recovery) = refusal(&line);
        assert_eq!(answer, Some(reply), "{line}");
        assert_eq!(recovery, ErrorRecovery::Skip(length + 4), "{line}");
    }
    let (fault, answer, recovery) = refusal("ms k 2000000 q\r\n");
    assert_eq!(fault, RequestFault::ValueTooLarge { length: 2_000_000 });
    assert_eq!(answer, Some("SERVER_ERROR object too large for cache"));
    assert_eq!(recovery, ErrorRecovery::Skip(16 + 2_000_002));
}

#[test]
fn a_fault_names_the_flag() {
    let (fault, ..) = refusal("md k O1 Txx\r\n");
    let expected = RequestFault::Flag {
        command: Command::MetaDelete,
        letter: b'T',
        fault: FlagFault::BadNumber,
    };
    assert_eq!(fault, expected);
    assert!(fault.to_string().contains("'T'"));
}

#[test]
fn flags_are_read_where_they_stand() {
    let flags = MetaFlags::new(b" v  T-1 F5 O M- q C7 kfoo");
    assert_eq!(flags.signed(b'T'), Some(-1));
    assert_eq!(flags.client_flags(), 5);
    assert_eq!(flags.opaque(), Some(&b""[..]));
    assert_eq!(flags.arithmetic_mode(), Some(ArithmeticMode::Decrement));
    assert_eq!(flags.set_mode(), None);
    assert_eq!(flags.unsigned(b'C'), Some(7));
    assert!(flags.quiet() && !flags.base64() && flags.has(b'v') && !flags.has(b'T' + 1));
    assert_eq!(flags, MetaFlags::new(b"v T-1 F5 O M- q C7 kfoo"));
    assert_ne!(flags, MetaFlags::new(b"v"));
    assert_eq!(format!("{:?}", MetaFlags::new(b"v O1")), "[v, O1]");
    let none = MetaFlags::default();
    assert_eq!((none.set_mode(), none.client_flags()), (Some(SetMode::Set), 0));
    assert_eq!(MetaFlags::new(b"MP").set_mode(), Some(SetMode::Prepend));
}

#[test]
fn a_client_refuses_flags_that_servers_would_refuse_or_misread() {
    let encode = |request: &Request<'_>| {
        let mut out = BytesMut::new();
        request::encode(request, b"", Memcached, &Limits::default(), &mut out)
            .map(|()| String::from_utf8_lossy(&out).into_owned())
    };
    let get = |flags| encode(&Request::MetaGet(MetaRequest::new(b"k", MetaFlags::new(flags))));
    assert_eq!(get(b" v  O1 "), Ok("mg k v O1\r\n".to_owned()));
    assert_eq!(get(b"v O1\r\nflush_all"), Err(EncodeError::ForbiddenByte { byte: b'\r', at: 1 }));
    let flag = |letter, fault| {
        Err(EncodeError::Flags(RequestFault::Flag { command: Command::MetaGet, letter, fault }))
    };
    assert_eq!(get(b"v v"), flag(b'v', FlagFault::Duplicate));
    assert_eq!(get(b"\n"), flag(b'\n', FlagFault::Unknown));
    assert_eq!(get(b"b"), flag(b'b', FlagFault::KeyNotBase64));
    assert!(matches!(
        get(b"b c f h k l O1 q s t u v N0 R0 T0 P L I"),
        Err(EncodeError::Flags(RequestFault::TooManyFlags { .. }))
    ));
    let debug = Request::MetaDebug { key: b"a", base64: true };
    assert!(matches!(encode(&debug), Err(EncodeError::Flags(_))));
    let long = encode(&Request::MetaDelete(MetaRequest::new(&[b'k'; 251], MetaFlags::default())));
    assert_eq!(long, Err(EncodeError::KeyTooLong { length: 251 }), "of the encoded form");
}

#[test]
fn replies_are_read_and_written() {
    let with = |code, flags| Response::Meta(MetaReply::new(code, MetaFlags::new(flags)));
    for (bytes, frame) in [
        (&b"HD\r\n"[..], with(MetaCode::Done, b"")),
        (b"HD c174 kZm9v b O9\r\n", with(MetaCode::Done, b"c174 kZm9v b O9")),
        (b"EN\r\n", with(MetaCode::Miss, b"")),
        (b"EN kk O123\r\n", with(MetaCode::Miss, b"kk O123")),
        (b"NS\r\n", with(MetaCode::NotStored, b"")),
        (b"EX O7\r\n", with(MetaCode::Exists, b"O7")),
        (b"NF kk\r\n", with(MetaCode::NotFound, b"kk")),
        (
            b"VA 2 t30 Z X\r\nhi\r\n",
            Response::Meta(MetaReply::value(MetaFlags::new(b"t30 Z X"), b"hi")),
        ),
        (b"VA 0\r\n\r\n", Response::Meta(MetaReply::value(MetaFlags::default(), b""))),
        (b"MN\r\n", Response::MetaNoop),
        (
            b"ME foo exp=-1 la=0 cas=233 fetch=no cls=1 size=63\r\n",
            Response::MetaDebug {
                key: b"foo",
                fields: b"exp=-1 la=0 cas=233 fetch=no cls=1 size=63",
            },
        ),
    ] {
        let shown = bytes.escape_ascii();
        let parse = |bytes| response::parse(bytes, Memcached, &Limits::default());
        let whole = Ok(Parsed::Complete { message: frame, consumed: bytes.len() });
        assert_eq!(parse(bytes), whole, "{shown}");
        for at in 0..bytes.len() {
            let part = parse(&bytes[..at]);
            let needed = match part {
                Ok(Parsed::Incomplete { needed }) => needed,
                other => panic!("{} gave {other:?}", bytes[..at].escape_ascii()),
            };
            assert!((1..=bytes.len() - at).contains(&needed));
        }
        let mut out = BytesMut::new();
        response::encode(&frame, &mut out);
        assert_eq!(out, bytes, "{shown}");
        assert!(frame.ends_reply());
    }
}

#[test]
fn what_is_no_reply_spends_the_connection() {
    for (bytes, error) in [
        (&b"VA\r\n"[..], ResponseError::BadMetaLine),
        (b"VA x\r\n", ResponseError::BadMetaLine),
        (b"VA -1\r\n", ResponseError::BadMetaLine),
        (b"VA 2t30\r\n", ResponseError::BadMetaLine),
        (b"ME\r\n", ResponseError::BadMetaLine),
        (b"VA 2147483648\r\n", ResponseError::ValueTooLarge { length: 1 << 31 }),
        (b"VA 2\r\nabc\r\n", ResponseError::BadDataBlock),
        (b"HDx\r\n", ResponseError::UnknownLine),
        (b"MN x\r\n", ResponseError::UnknownLine),
        (b"hd\r\n", ResponseError::UnknownLine),
        (b"HD\n", ResponseError::BareNewline),
    ] {
        let parsed = response::parse(bytes, Memcached, &Limits::default());
        assert_eq!(parsed, Err(error), "{}", bytes.escape_ascii());
    }
    let quoted = MetaFlags::new(b"Oa\nb c1");
    let mut out = BytesMut::new();
    response::encode(&Response::Meta(MetaReply::new(MetaCode::Done, quoted)), &mut out);
    assert_eq!(&out[..], b"HD Oa?b c1\r\n", "a reply never becomes two");
}

/// Some of the flags that a request may have, each once, in any order, with legal tokens.
fn flags(command: Command) -> impl Strategy<Value = Vec<u8>> {
    let rows: Vec<_> =
        FLAGS.iter().filter(|row| row.commands.contains(&command) && row.letter != b'b').collect();
    let most = rows.len().min(12);
    let token = ("[!-~]{1,31}", any::<u64>(), any::<i32>());
    let modes = if command == Command::MetaArithmetic { "ID+-" } else { "EAPRS" };
    (
        proptest::sample::subsequence(rows, 0..=most).prop_shuffle(),
        token,
        proptest::sample::select(modes.as_bytes()),
    )
        .prop_map(|(rows, (text, unsigned, signed), mode)| {
            let mut buffer = FlagBuffer::new();
            for row in rows {
                match row.token {
                    TokenRule::Opaque | TokenRule::Text => buffer.push(row.letter, text.as_bytes()),
                    TokenRule::Seconds => buffer.push_signed(row.letter, i64::from(signed)),
                    TokenRule::Unsigned32 => {
                        buffer.push_unsigned(row.letter, unsigned & u64::from(u32::MAX))
                    }
                    TokenRule::Unsigned64 => buffer.push_unsigned(row.letter, unsigned),
                    TokenRule::Mode => buffer.push(row.letter, &[mode]),
                    _ => buffer.push(row.letter, b""),
                };
            }
            buffer.flags().text().to_vec()
        })
}

fn round_trip(request: &Request<'_>, data: &[u8]) {
    let limits = Limits::default();
    let mut encoded = BytesMut::new();
    request::encode(request, data, Memcached, &limits, &mut encoded).unwrap();
    let length = encoded.len();
    for at in 0..length {
        let prefix = request::parse(&encoded[..at], Memcached, &limits);
        assert!(matches!(prefix, Ok(Parsed::Incomplete { .. })));
    }
    encoded.extend_from_slice(b"mn");
    match request::parse(&encoded, Memcached, &limits) {
        Ok(Parsed::Complete { message, consumed }) => {
            assert_eq!((&message.request, message.data, consumed), (request, data, length));
        }
        other => panic!("{request:?} gave {other:?}"),
    }
}

proptest! {
    #[test]
    fn requests_read_back(
        key in proptest::collection::vec(prop_oneof![0x21..0x7fu8, 0x80..=0xffu8], 1..=250),
        get in flags(Command::MetaGet),
        set in flags(Command::MetaSet),
        delete in flags(Command::MetaDelete),
        arithmetic in flags(Command::MetaArithmetic),
        data in proptest::collection::vec(any::<u8>(), 0..300),
    ) {
        let of = |flags| MetaRequest::new(&key[..], MetaFlags::new(flags));
        round_trip(&Request::MetaGet(of(&get)), b"");
        round_trip(&Request::MetaSet(of(&set)), &data);
        round_trip(&Request::MetaDelete(of(&delete)), b"");
        round_trip(&Request::MetaArithmetic(of(&arithmetic)), b"");
        round_trip(&Request::MetaDebug { key: &key, base64: false }, b"");
        round_trip(&Request::MetaNoop, b"");
    }

    #[test]
    fn binary_keys_read_back(binary in proptest::collection::vec(any::<u8>(), 1..=186)) {
        let (mut encoded, mut decoded) = ([0; 256], [0; 256]);
        let key = encode_key(&binary, &mut encoded).unwrap();
        round_trip(&Request::MetaGet(MetaRequest::new(key, MetaFlags::new(b"b v k"))), b"");
        round_trip(&Request::MetaDebug { key, base64: true }, b"");
        prop_assert_eq!(decode_key(key, &mut decoded), Some(&binary[..]));
    }

    #[test]
    fn replies_read_back(
        code in proptest::sample::select(&MetaCode::ALL[..]),
        flags in flags(Command::MetaGet),
        data in proptest::collection::vec(any::<u8>(), 0..300),
    ) {
        let flags = MetaFlags::new(&flags);
        let reply = match code {
            MetaCode::Value => MetaReply::value(flags, &data),
            code => MetaReply::new(code, flags),
        };
        let mut encoded = BytesMut::new();
        response::encode(&Response::Meta(reply), &mut encoded);
        let length = encoded.len();
        encoded.extend_from_slice(b"MN\r\n");
        let parsed = response::parse(&encoded, Memcached, &Limits::default());
        prop_assert_eq!(
            parsed,
            Ok(Parsed::Complete { message: Response::Meta(reply), consumed: length })
        );
    }
}
