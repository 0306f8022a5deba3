//! Replies, as structures and as text.

use windhover_core::memcache::meta::{FlagBuffer, MetaCode, MetaReply};
use windhover_core::memcache::response::{Response, ValueFrame};

use crate::Source;

/// Tokens of replies.
pub const DICTIONARY: &[&[u8]] = &[
    b"VALUE ",
    b"VALUE a 0 1\r\na\r\n",
    b"END\r\n",
    b"STORED\r\n",
    b"NOT_STORED\r\n",
    b"EXISTS\r\n",
    b"DELETED\r\n",
    b"NOT_FOUND\r\n",
    b"TOUCHED\r\n",
    b"OK\r\n",
    b"RESET\r\n",
    b"VERSION ",
    b"STAT ",
    b"STAT a \r\n",
    b"ERROR",
    b"ERROR: ",
    b"CLIENT_ERROR ",
    b"SERVER_ERROR ",
    b"VA ",
    b"VA 1 k\r\nx\r\n",
    b"HD",
    b"EN\r\n",
    b"NS",
    b"EX",
    b"NF",
    b"MN\r\n",
    b"ME ",
    b"ME k a=b\r\n",
    b"ITEM ",
    b"PREFIX ",
    b"key=",
    b"mg ",
    b"ts=",
    b"BUSY",
    b"BADCLASS",
    b"NOSPARE",
    b"NOTFULL",
    b"UNSAFE",
    b"SAME",
    b"NOTSTARTED",
    b"MEMLIMIT_",
    b"WATCHER_",
    b"Error ",
    b"  ",
    b"}",
    b"queue 'q' {",
    b"5 \r\n",
    b"18446744073709551615",
    b"18446744073709551616",
    b"4294967295",
    b"4294967296",
    b"1048577",
    b"\r\n",
    b"\n",
    b"\r",
];

/// A frame of a reply with what it holds.
#[derive(Clone, Debug)]
pub struct Frame {
    kind: usize,
    word: Vec<u8>,
    text: Vec<u8>,
    data: Vec<u8>,
    flags: FlagBuffer,
    number: u64,
    small: u32,
    cas: Option<u64>,
}

impl Frame {
    /// A frame. A `tame` one holds what a server of good will sends; another one anything.
    pub fn draw(source: &mut Source<'_>, tame: bool) -> Self {
        let kind = source.below(22);
        let mut flags = FlagBuffer::new();
        for _ in 0..source.below(4) {
            let letter = source.pick(b"ktcfOshlWXZb");
            let token = if tame { source.byte().to_string().into_bytes() } else { noise(source) };
            flags.push(letter, &token);
        }
        let word = |source: &mut Source<'_>| {
            if tame { format!("w{}", source.byte()).into_bytes() } else { noise(source) }
        };
        Self {
            kind,
            word: word(source),
            text: match (tame, source.below(3)) {
                (true, 0) => Vec::new(),
                (true, 1) => b"some words".to_vec(),
                (true, _) => format!("{} and more", source.byte()).into_bytes(),
                (false, _) => noise(source),
            },
            data: if source.chance(1, 4) { vec![b'd'; source.below(80)] } else { noise(source) },
            flags,
            number: source.edgy(),
            small: u32::try_from(source.edgy() & 0xffff_ffff).unwrap_or_default(),
            cas: source.chance(1, 2).then(|| source.edgy()),
        }
    }

    /// What it is.
    pub fn response(&self) -> Response<'_> {
        let (word, text) = (&self.word[..], &self.text[..]);
        let meta = |code| Response::Meta(MetaReply::new(code, self.flags.flags()));
        match self.kind {
            0 => Response::Value(ValueFrame {
                key: word,
                flags: self.small,
                cas: self.cas,
                data: &self.data,
            }),
            1 => Response::Stat { name: word, value: text },
            2 => Response::End,
            3 => Response::Stored,
            4 => Response::NotStored,
            5 => Response::Exists,
            6 => Response::Deleted,
            7 => Response::NotFound,
            8 => Response::Touched,
            9 => Response::Ok,
            10 => Response::Reset,
            11 => Response::Version(text),
            12 => Response::Number(self.number),
            13 => Response::Meta(MetaReply::value(self.flags.flags(), &self.data)),
            14 => meta(
                *[
                    MetaCode::Done,
                    MetaCode::Miss,
                    MetaCode::NotStored,
                    MetaCode::Exists,
                    MetaCode::NotFound,
                ]
                .get(self.small as usize % 5)
                .expect("there are five"),
            ),
            15 => Response::MetaDebug { key: word, fields: text },
            16 => Response::MetaNoop,
            17 => Response::Error(text),
            18 => Response::ClientError(text),
            19 => Response::ServerError(text),
            20 => Response::Listing(b"key=a exp=-1"),
            _ => Response::Line(b"BUSY running"),
        }
    }

    /// How protocol.txt has it written, when it is a tame one.
    pub fn write(&self) -> Vec<u8> {
        let (word, text) = (&self.word[..], &self.text[..]);
        let flags = |line: &mut Vec<u8>| {
            if !self.flags.flags().text().is_empty() {
                line.push(b' ');
                line.extend_from_slice(self.flags.flags().text());
            }
        };
        let mut line: Vec<u8> = Vec::new();
        let mut data: Option<&[u8]> = None;
        match self.kind {
            0 => {
                line = [b"VALUE ", word, b" "].concat();
                line.extend_from_slice(format!("{} {}", self.small, self.data.len()).as_bytes());
                if let Some(cas) = self.cas {
                    line.extend_from_slice(format!(" {cas}").as_bytes());
                }
                data = Some(&self.data);
            }
            1 => line = [b"STAT ", word, b" ", text].concat(),
            11 => line = [b"VERSION ", text].concat(),
            12 => line = self.number.to_string().into_bytes(),
            13 => {
                line = format!("VA {}", self.data.len()).into_bytes();
                flags(&mut line);
                data = Some(&self.data);
            }
            14 => {
                line = [&b"HD"[..], b"EN", b"NS", b"EX", b"NF"][self.small as usize % 5].to_vec();
                flags(&mut line);
            }
            15 => line = [b"ME ", word, b" ", text].concat(),
            17..=19 => {
                line = [&b"ERROR"[..], b"CLIENT_ERROR", b"SERVER_ERROR"][self.kind - 17].to_vec();
                if !text.is_empty() {
                    line.push(b' ');
                    line.extend_from_slice(text);
                }
            }
            20 => line = b"key=a exp=-1".to_vec(),
            21.. => line = b"BUSY running".to_vec(),
            kind => line.extend_from_slice(match kind {
                2 => b"END",
                3 => b"STORED",
                4 => b"NOT_STORED",
                5 => b"EXISTS",
                6 => b"DELETED",
                7 => b"NOT_FOUND",
                8 => b"TOUCHED",
                9 => b"OK",
                10 => b"RESET",
                _ => b"MN",
            }),
        }
        line.extend_from_slice(b"\r\n");
        if let Some(data) = data {
            line.extend_from_slice(data);
            line.extend_from_slice(b"\r\n");
        }
        line
    }
}

fn noise(source: &mut Source<'_>) -> Vec<u8> {
    let len = source.below(8);
    source.bytes(len).to_vec()
}

/// Some frames in a row.
pub fn text(source: &mut Source<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    for _ in 0..source.between(1, 4) {
        match source.below(8) {
            0 => out.extend_from_slice(source.pick_of(DICTIONARY)),
            _ => out.extend(Frame::draw(source, true).write()),
        }
    }
    out
}
