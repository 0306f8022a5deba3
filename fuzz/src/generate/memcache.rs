//! Memcache requests as text, mostly well formed: every command of every dialect.

use windhover_core::memcache::Dialect;
use windhover_core::memcache::command::{Arguments, Command, Row, TABLE};
use windhover_core::memcache::meta::{FLAGS, TokenRule};

use crate::Source;

/// Tokens of the text protocol and its dialects.
pub const DICTIONARY: &[&[u8]] = &[
    b"get ",
    b"gets ",
    b"gat ",
    b"gats ",
    b"set ",
    b"add ",
    b"replace ",
    b"append ",
    b"prepend ",
    b"cas ",
    b"delete ",
    b"incr ",
    b"decr ",
    b"touch ",
    b"mg ",
    b"ms ",
    b"md ",
    b"ma ",
    b"me ",
    b"mn\r\n",
    b"version\r\n",
    b"verbosity ",
    b"stats",
    b"flush_all",
    b"quit\r\n",
    b"shutdown",
    b"cache_memlimit ",
    b"slabs ",
    b"lru ",
    b"lru_crawler ",
    b"watch",
    b"extstore ",
    b"refresh_certs",
    b"flush ",
    b"flush_expired ",
    b"flush_all_expired\r\n",
    b"monitor ",
    b"confirm ",
    b"dump_stats",
    b"dump_config",
    b"roll ",
    b"reload\r\n",
    b"status",
    b" noreply",
    b" graceful",
    b"/open",
    b"/close",
    b"/abort",
    b"/peek",
    b"/t=",
    b"/t=-1",
    b"/sync",
    b"/OPEN",
    b"/T=5",
    b".group",
    b"GET / HTTP/1.1\r\n",
    b" HTTP/1.1",
    b"POST /",
    b"\x80",
    b"\r\n",
    b"\n",
    b" 0 0 0\r\n\r\n",
    b" 0 0 1\r\na\r\n",
    b" q",
    b" v",
    b" b",
    b" k",
    b" t",
    b" c",
    b" f",
    b" s",
    b" h",
    b" l",
    b" O123",
    b" O0123456789012345678901234567890",
    b" O01234567890123456789012345678901",
    b" T0",
    b" N30",
    b" R30",
    b" MS",
    b" ME",
    b" MA",
    b" MP",
    b" MR",
    b" MI",
    b" MD",
    b" M+",
    b" M-",
    b" D1",
    b" J0",
    b" C1",
    b" E2",
    b" F9",
    b" I",
    b" x",
    b" u",
    b"Zm9v",
    b"Zm8=",
    b"4294967296",
    b"18446744073709551615",
    b"18446744073709551616",
    b"99999999999999999999",
    b"/T=1",
    b"/t=-0",
    b"/t=+1",
    b"/close/peek",
    b" x=",
    b" -",
    b"sizes_disable",
    b"-9223372036854775808",
    b"2147483645",
    b"2147483646",
    b"2147483648",
    b"1048576",
    b"1048577",
    b"sizes_enable",
];

/// Some requests in a row, in any dialect.
pub fn pipeline(source: &mut Source<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    for _ in 0..source.between(1, 4) {
        request(source, &mut out);
    }
    out
}

/// The same as text that is for servers, too: administrative commands are one in a thousand at most, since each
/// changes how a server treats all that follows, or ends it.
pub fn text(source: &mut Source<'_>) -> Vec<u8> {
    text_in(&Dialect::ALL, source)
}

/// Such text in some dialects; one of them at least.
pub fn text_in(dialects: &[Dialect], source: &mut Source<'_>) -> Vec<u8> {
    let spoken = |row: &&Row| row.dialects.iter().any(|dialect| dialects.contains(dialect));
    let (rare, common): (Vec<_>, Vec<_>) =
        TABLE.iter().filter(spoken).partition(|row| is_administrative(row.command));
    let mut out = Vec::new();
    for _ in 0..source.between(1, 4) {
        let rows = if source.chance(1, 1000) { &rare } else { &common };
        request_of(source.pick_of(rows), source, &mut out);
    }
    out
}

/// Whether it changes the server rather than what it holds.
pub fn is_administrative(command: Command) -> bool {
    use Command as C;
    matches!(
        command,
        C::CacheMemlimit
            | C::Extstore
            | C::FlushAll
            | C::Lru
            | C::LruCrawler
            | C::RefreshCerts
            | C::Reload
            | C::Roll
            | C::Shutdown
            | C::Slabs
            | C::Status
            | C::Verbosity
            | C::Watch
    )
}

/// One request, mostly well formed.
pub fn request(source: &mut Source<'_>, out: &mut Vec<u8>) {
    let row = &source.pick_of(TABLE);
    request_of(row, source, out);
}

fn request_of(row: &Row, source: &mut Source<'_>, out: &mut Vec<u8>) {
    let mut words = vec![verb(row, source)];
    let data = arguments(row, source, &mut words);
    if source.chance(1, 12) {
        // One word too many, too few, or another.
        let at = source.below(words.len());
        match source.below(3) {
            0 => words.insert(at, word(source)),
            1 => drop(words.remove(at)),
            _ => words[at] = word(source),
        }
    }
    let space: &[u8] = if source.chance(1, 16) { b"  " } else { b" " };
    out.extend_from_slice(&words.join(space));
    out.extend_from_slice(line_end(source));
    if let Some(data) = data {
        out.extend_from_slice(&data);
        out.extend_from_slice(line_end(source));
    }
}

fn line_end(source: &mut Source<'_>) -> &'static [u8] {
    match source.below(24) {
        23 => b"\n",
        22 => b"",
        _ => b"\r\n",
    }
}

fn verb(row: &Row, source: &mut Source<'_>) -> Vec<u8> {
    let verb = row.verb.as_bytes().to_vec();
    if source.chance(1, 16) { verb.to_ascii_uppercase() } else { verb }
}

/// Adds the arguments; the data block where the request has one.
fn arguments(row: &Row, source: &mut Source<'_>, words: &mut Vec<Vec<u8>>) -> Option<Vec<u8>> {
    let mut data = None;
    let push_data = |source: &mut Source<'_>, words: &mut Vec<Vec<u8>>| {
        let block = block(source);
        words.push(declared(&block, source));
        Some(block)
    };
    match row.arguments {
        Arguments::Keys | Arguments::Queues => keys(source, words, 4),
        Arguments::TouchKeys => {
            words.push(number(source));
            keys(source, words, 3);
        }
        Arguments::Store | Arguments::Cas | Arguments::Credentials | Arguments::QueueStore => {
            words.push(key(source));
            words.push(number(source));
            words.push(number(source));
            data = push_data(source, words);
            if row.arguments == Arguments::Cas {
                words.push(number(source));
            }
        }
        Arguments::Delete | Arguments::MetaDebug | Arguments::Queue => words.push(key(source)),
        Arguments::Delta | Arguments::Touch | Arguments::Confirm => {
            words.push(key(source));
            words.push(number(source));
        }
        Arguments::Monitor => {
            words.push(key(source));
            words.push(number(source));
            if source.chance(1, 2) {
                words.push(number(source));
            }
        }
        Arguments::Meta => {
            words.push(key(source));
            meta_flags(row, source, words);
        }
        Arguments::MetaStore => {
            words.push(key(source));
            data = push_data(source, words);
            meta_flags(row, source, words);
        }
        Arguments::Verbosity | Arguments::Megabytes | Arguments::Delay => {
            words.push(number(source));
        }
        Arguments::Words | Arguments::Admin | Arguments::OptionalWord => {
            for _ in 0..source.below(3) {
                words.push(word(source));
            }
        }
        Arguments::ShutdownMode if source.chance(1, 2) => words.push(b"graceful".to_vec()),
        Arguments::QueueRead => {
            let mut name = key(source);
            for _ in 0..source.below(4) {
                let options: [&[u8]; 9] = [
                    b"/open", b"/close", b"/abort", b"/peek", b"/t=0", b"/t=250", b"/", b"/OPEN",
                    b"/x",
                ];
                name.extend_from_slice(source.pick(&options));
            }
            words.push(name);
        }
        _ => {}
    }
    if source.chance(1, 6) {
        words.push(b"noreply".to_vec());
    }
    data
}

fn keys(source: &mut Source<'_>, words: &mut Vec<Vec<u8>>, most: usize) {
    for _ in 0..source.between(1, most) {
        words.push(key(source));
    }
}

/// A key; lengths beside the usual limits are likely.
pub fn key(source: &mut Source<'_>) -> Vec<u8> {
    match source.below(12) {
        0..=5 => source.pick(&[&b"a"[..], b"b", b"q", b"key", b"Zm9v", b"q.g", b"a+b"]).to_vec(),
        6 | 7 => vec![b'k'; source.between(1, 24)],
        8 => vec![b'k'; source.between(248, 252)],
        9 => format!("{}", source.byte()).into_bytes(),
        10 => (0..source.between(1, 6)).map(|_| source.byte()).collect(),
        _ => (0..source.between(1, 6)).map(|_| b'!' + source.byte() % 94).collect(),
    }
}

/// A number, mostly one.
fn number(source: &mut Source<'_>) -> Vec<u8> {
    match source.below(8) {
        0..=3 => source.byte().to_string().into_bytes(),
        4 => source.edgy().to_string().into_bytes(),
        5 => format!("-{}", source.edgy()).into_bytes(),
        6 => format!("+{}", source.byte()).into_bytes(),
        _ => word(source),
    }
}

fn word(source: &mut Source<'_>) -> Vec<u8> {
    source
        .pick(&[
            &b"noreply"[..],
            b"0",
            b"automove",
            b"sizes",
            b"sizes_enable",
            b"all",
            b"reset",
            b"HTTP/1.1",
            b"\t",
            b"1x",
            b"-",
            b"",
            b"q",
            b"b",
        ])
        .to_vec()
}

/// A data block without its end; it may look like a request.
pub fn block(source: &mut Source<'_>) -> Vec<u8> {
    match source.below(6) {
        0..=2 => source.byte().to_string().into_bytes(),
        3 => b"quit\r\nget a".to_vec(),
        4 => vec![b'v'; source.below(90)],
        _ => (0..source.below(8)).map(|_| source.byte()).collect(),
    }
}

/// The block's length as it is declared; at times a lie.
fn declared(block: &[u8], source: &mut Source<'_>) -> Vec<u8> {
    let len = block.len();
    match source.below(12) {
        9 => (len + 1).to_string(),
        10 => len.saturating_sub(1).to_string(),
        11 => source.edgy().to_string(),
        _ => len.to_string(),
    }
    .into_bytes()
}

fn meta_flags(row: &Row, source: &mut Source<'_>, words: &mut Vec<Vec<u8>>) {
    let known: Vec<_> = FLAGS.iter().filter(|flag| flag.commands.contains(&row.command)).collect();
    for _ in 0..source.below(5) {
        let flag =
            if source.chance(1, 8) { source.pick_of(FLAGS) } else { *source.pick_of(&known) };
        let mut word = vec![flag.letter];
        match flag.token {
            TokenRule::None | TokenRule::Text => {}
            TokenRule::Opaque => word.extend_from_slice(&vec![b'o'; source.below(34)]),
            TokenRule::Mode => word.push(source.pick(b"SERAPIDseidx+-")),
            _ => word.extend_from_slice(&number(source)),
        }
        words.push(word);
    }
    if source.chance(1, 40) {
        // More than memcached takes.
        words.extend((b'a'..=b's').map(|letter| vec![letter]));
    }
}
