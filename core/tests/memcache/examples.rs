//! Lines of every command and form, with what they mean.

use core::time::Duration;

use windhover_core::memcache::command::Command;
use windhover_core::memcache::kestrel::{QueueRead, ReadMode};
use windhover_core::memcache::meta::{MetaFlags, MetaRequest};
use windhover_core::memcache::request::{Request, ShutdownMode, StoreRequest};
use windhover_core::memcache::{Dialect, Keys};

use Dialect::{Darner, Kestrel, Memcached, Siberite};

/// Input, dialect, request, data.
pub(crate) type Example = (&'static [u8], Dialect, Request<'static>, &'static [u8]);

/// At least one of every row of the table in each of its dialects.
pub(crate) fn examples() -> Vec<Example> {
    let mut all = classic();
    all.extend(meta());
    all.extend(administrative());
    all.extend(kestrel());
    all.extend(kin_of_kestrel());
    all
}

const STORE: StoreRequest<'static> = StoreRequest::new(b"k");

fn classic() -> Vec<Example> {
    let quiet = StoreRequest { noreply: true, ..STORE };
    vec![
        (b"get k\r\n", Memcached, Request::Get(Keys::new(&[b"k"])), b""),
        (b"get  a  b \n", Memcached, Request::Get(Keys::new(&[b"a", b"b"])), b""),
        (b"gets a a\r\n", Memcached, Request::Gets(Keys::new(&[b"a", b"a"])), b""),
        (
            b"gat 60 a b\r\n",
            Memcached,
            Request::Gat { exptime: 60, keys: Keys::new(&[b"a", b"b"]) },
            b"",
        ),
        (b"gats -1 a\r\n", Memcached, Request::Gats { exptime: -1, keys: Keys::new(&[b"a"]) }, b""),
        (b"set k 0 0 3\r\nabc\r\n", Memcached, Request::Set(STORE), b"abc"),
        (
            b"set k +7 -1 02 5 noreply\r\n\r\n\r\n",
            Memcached,
            Request::Set(StoreRequest { flags: 7, exptime: -1, ..quiet }),
            b"\r\n",
        ),
        (b"set k 0 0 00\r\n\r\n", Memcached, Request::Set(STORE), b""),
        (b"add k 0 0 1\r\na\r\n", Memcached, Request::Add(STORE), b"a"),
        (b"replace k 0 0 1 noreply\r\na\r\n", Memcached, Request::Replace(quiet), b"a"),
        (b"append k 0 0 1\r\na\r\n", Memcached, Request::Append(STORE), b"a"),
        (b"prepend k 0 0 1 ?\r\na\r\n", Memcached, Request::Prepend(STORE), b"a"),
        (
            b"cas k 0 0 1 18446744073709551615\r\na\r\n",
            Memcached,
            Request::Cas { store: STORE, unique: u64::MAX },
            b"a",
        ),
        (
            b"cas k 0 0 1 7 noreply\r\na\r\n",
            Memcached,
            Request::Cas { store: quiet, unique: 7 },
            b"a",
        ),
        (b"delete k\r\n", Memcached, Request::Delete { key: b"k", noreply: false }, b""),
        (b"delete k 0\r\n", Memcached, Request::Delete { key: b"k", noreply: false }, b""),
        (b"delete k 0 noreply\r\n", Memcached, Request::Delete { key: b"k", noreply: true }, b""),
        (b"incr k 5\r\n", Memcached, Request::Incr { key: b"k", delta: 5, noreply: false }, b""),
        (
            b"incr k 18446744073709551615 noreply\r\n",
            Memcached,
            Request::Incr { key: b"k", delta: u64::MAX, noreply: true },
            b"",
        ),
        (
            b"decr k 01 x y z\r\n",
            Memcached,
            Request::Decr { key: b"k", delta: 1, noreply: false },
            b"",
        ),
        (
            b"touch k 30\r\n",
            Memcached,
            Request::Touch { key: b"k", exptime: 30, noreply: false },
            b"",
        ),
        (
            b"touch k -1 noreply\r\n",
            Memcached,
            Request::Touch { key: b"k", exptime: -1, noreply: true },
            b"",
        ),
    ]
}

fn meta() -> Vec<Example> {
    let of = |key, flags| MetaRequest::new(key, MetaFlags::new(flags));
    vec![
        (b"mg k\r\n", Memcached, Request::MetaGet(of(b"k", b"")), b""),
        (b"mg  k  v t  O1 \r\n", Memcached, Request::MetaGet(of(b"k", b"v t O1")), b""),
        (
            b"mg Zm9v b k f h l s u N0 R30 T60 q c\r\n",
            Memcached,
            Request::MetaGet(of(b"Zm9v", b"b k f h l s u N0 R30 T60 q c")),
            b"",
        ),
        (b"ms k 2\r\nhi\r\n", Memcached, Request::MetaSet(of(b"k", b"")), b"hi"),
        (
            b"ms k 2 T0 F5 C7 E8 I ME q Pa/b Lc\r\nhi\r\n",
            Memcached,
            Request::MetaSet(of(b"k", b"T0 F5 C7 E8 I ME q Pa/b Lc")),
            b"hi",
        ),
        (b"md k I T30 x\r\n", Memcached, Request::MetaDelete(of(b"k", b"I T30 x")), b""),
        (
            b"ma k MD D5 J3 N0 v\r\n",
            Memcached,
            Request::MetaArithmetic(of(b"k", b"MD D5 J3 N0 v")),
            b"",
        ),
        (b"me k\r\n", Memcached, Request::MetaDebug { key: b"k", base64: false }, b""),
        (b"me Zm9v b\r\n", Memcached, Request::MetaDebug { key: b"Zm9v", base64: true }, b""),
        (b"me k c b\r\n", Memcached, Request::MetaDebug { key: b"k", base64: false }, b""),
        (b"mn\r\n", Memcached, Request::MetaNoop, b""),
        (b"mn ignored\r\n", Memcached, Request::MetaNoop, b""),
    ]
}

fn administrative() -> Vec<Example> {
    let admin = |command, arguments, noreply| Request::Admin { command, arguments, noreply };
    vec![
        (b"version\r\n", Memcached, Request::Version, b""),
        (
            b"verbosity 2 noreply\r\n",
            Memcached,
            Request::Verbosity { level: 2, noreply: true },
            b"",
        ),
        (b"stats\r\n", Memcached, Request::Stats { arguments: b"" }, b""),
        (b"stats detail on \r\n", Memcached, Request::Stats { arguments: b"detail on" }, b""),
        (b"flush_all\r\n", Memcached, Request::FlushAll { delay: None, noreply: false }, b""),
        (
            b"flush_all 10 noreply\r\n",
            Memcached,
            Request::FlushAll { delay: Some(10), noreply: true },
            b"",
        ),
        (
            b"cache_memlimit 64\r\n",
            Memcached,
            Request::CacheMemlimit { megabytes: 64, noreply: false },
            b"",
        ),
        (
            b"cache_memlimit 64 noreply\r\n",
            Memcached,
            Request::CacheMemlimit { megabytes: 64, noreply: true },
            b"",
        ),
        (
            b"slabs reassign 1 noreply\r\n",
            Memcached,
            admin(Command::Slabs, b"reassign 1", true),
            b"",
        ),
        (
            b"slabs automove 1 noreply\r\n",
            Memcached,
            admin(Command::Slabs, b"automove 1", true),
            b"",
        ),
        (b"lru mode flat\r\n", Memcached, admin(Command::Lru, b"mode flat", false), b""),
        (
            b"lru_crawler sleep 5 noreply\r\n",
            Memcached,
            admin(Command::LruCrawler, b"sleep 5", true),
            b"",
        ),
        (b"watch\r\n", Memcached, admin(Command::Watch, b"", false), b""),
        (
            b"extstore item_age 5 noreply\r\n",
            Memcached,
            admin(Command::Extstore, b"item_age 5", true),
            b"",
        ),
        (b"refresh_certs noreply\r\n", Memcached, admin(Command::RefreshCerts, b"", true), b""),
        (b"shutdown\r\n", Memcached, Request::Shutdown { mode: ShutdownMode::Now }, b""),
        (
            b"shutdown graceful\r\n",
            Memcached,
            Request::Shutdown { mode: ShutdownMode::Graceful },
            b"",
        ),
        (
            b"shutdown a b\r\n",
            Memcached,
            Request::Shutdown { mode: ShutdownMode::Unknown(b"a b") },
            b"",
        ),
        (b"quit\r\n", Memcached, Request::Quit, b""),
    ]
}

fn kestrel() -> Vec<Example> {
    let read = |mode| QueueRead::new(b"q", mode);
    let waiting = QueueRead::new(b"Q", ReadMode::Open).wait(Duration::from_millis(100));
    vec![
        (b"GET q\r\n", Kestrel, Request::QueueRead(read(ReadMode::Remove)), b""),
        (b"get Q/t=100/open\r\n", Kestrel, Request::QueueRead(waiting), b""),
        (b"gets q/peek\r\n", Kestrel, Request::QueueRead(read(ReadMode::Peek)), b""),
        (b"Set k 0 0 2 noreply\r\nhi\r\n", Kestrel, Request::Set(STORE), b"hi"),
        (
            b"set q+c 0 60 2\r\nhi\r\n",
            Kestrel,
            Request::Set(StoreRequest { exptime: 60, ..StoreRequest::new(b"q+c") }),
            b"hi",
        ),
        (b"delete q\r\n", Kestrel, Request::Delete { key: b"q", noreply: false }, b""),
        (b"flush q\r\n", Kestrel, Request::Flush { queue: b"q" }, b""),
        (b"flush_expired q\r\n", Kestrel, Request::FlushExpired { queue: b"q" }, b""),
        (b"flush_all_expired\r\n", Kestrel, Request::FlushAllExpired, b""),
        (b"FLUSH_ALL\r\n", Kestrel, Request::FlushAll { delay: None, noreply: false }, b""),
        (
            b"monitor q 10\r\n",
            Kestrel,
            Request::Monitor { queue: b"q", seconds: 10, max: None },
            b"",
        ),
        (
            b"MONITOR q 0 2147483647\r\n",
            Kestrel,
            Request::Monitor { queue: b"q", seconds: 0, max: Some(2_147_483_647) },
            b"",
        ),
        (b"confirm q 3\r\n", Kestrel, Request::Confirm { queue: b"q", count: 3 }, b""),
        (b"dump_stats\r\n", Kestrel, Request::DumpStats { queues: Keys::new(&[]) }, b""),
        (
            b"dump_stats a b\r\n",
            Kestrel,
            Request::DumpStats { queues: Keys::new(&[b"a", b"b"]) },
            b"",
        ),
        (b"dump_config q\r\n", Kestrel, Request::DumpConfig { queues: Keys::new(&[b"q"]) }, b""),
        (b"roll q\r\n", Kestrel, Request::Roll { queue: b"q" }, b""),
        (b"stats\r\n", Kestrel, Request::Stats { arguments: b"" }, b""),
        (b"version\r\n", Kestrel, Request::Version, b""),
        (b"status\r\n", Kestrel, Request::Status { new: None }, b""),
        (b"status READONLY\r\n", Kestrel, Request::Status { new: Some(b"READONLY") }, b""),
        (b"reload\r\n", Kestrel, Request::Reload, b""),
        (b"shutdown\r\n", Kestrel, Request::Shutdown { mode: ShutdownMode::Now }, b""),
        (b"quit\r\n", Kestrel, Request::Quit, b""),
    ]
}

fn kin_of_kestrel() -> Vec<Example> {
    let mut all: Vec<Example> = vec![
        (
            b"GET a.b/T=5/OPEN\r\n",
            Darner,
            Request::QueueRead(
                QueueRead::new(b"a.b", ReadMode::Open).wait(Duration::from_millis(5)),
            ),
            b"",
        ),
        (b"set q 0 0 2\r\nhi\r\n", Darner, Request::Set(StoreRequest::new(b"q")), b"hi"),
        (
            b"set q/SYNC/sync 0 0 2\r\nhi\r\n",
            Darner,
            Request::SetSync(StoreRequest::new(b"q")),
            b"hi",
        ),
        (
            b"get q.mine/t=9/close/open/\r\n",
            Siberite,
            Request::QueueRead(
                QueueRead::new(b"q", ReadMode::CloseOpen)
                    .group(b"mine")
                    .wait(Duration::from_millis(9)),
            ),
            b"",
        ),
        (b"set a+b 0 0 2\r\nhi\r\n", Siberite, Request::Set(StoreRequest::new(b"a+b")), b"hi"),
        (b"quit\r\n", Siberite, Request::Quit, b""),
    ];
    for dialect in [Darner, Siberite] {
        let read = QueueRead::new(b"q", ReadMode::Remove);
        all.extend([
            (&b"gets q\r\n"[..], dialect, Request::QueueRead(read), &b""[..]),
            (b"delete q\r\n", dialect, Request::Delete { key: b"q", noreply: false }, b""),
            (b"flush q\r\n", dialect, Request::Flush { queue: b"q" }, b""),
            (b"flush_all\r\n", dialect, Request::FlushAll { delay: None, noreply: false }, b""),
            (b"stats\r\n", dialect, Request::Stats { arguments: b"" }, b""),
            (b"version\r\n", dialect, Request::Version, b""),
        ]);
    }
    all
}
