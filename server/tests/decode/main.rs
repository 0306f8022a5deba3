//! Transcripts of `windhover decode`: each command with what it says.
//!
//! `WINDHOVER_BLESS=1` writes what it says now into the file; look at the difference before it is committed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::{Path, PathBuf};

use clap::Parser;
use windhover_server::decode::{DecodeArgs, decode, words};

/// Commands have it before them.
const PROMPT: &str = "$ windhover decode ";
/// When all of them are received: 2023-11-14 22:13:20 UTC.
const NOW: u64 = 1_700_000_000;

#[derive(Debug, Parser)]
struct Line {
    #[command(flatten)]
    decode: DecodeArgs,
}

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/decode")
}

/// What a command says, and how it ends.
fn says(command: &str) -> String {
    // `COMMAND <<< TEXT`: from standard input.
    let command = format!(" {command}");
    let (command, input) = command.split_once(" <<< ").unwrap_or((&command, ""));
    let input = words(input).unwrap().join(" ").replace("\\n", "\n");
    let words = words(command).unwrap();
    let mut args = Line::parse_from([String::from("decode")].into_iter().chain(words)).decode;
    args.now = Some(NOW);
    args.file = args.file.map(|file| directory().join(file));
    let mut out = Vec::new();
    let code = match decode(&args, &mut input.as_bytes(), &mut out) {
        Ok(true) => 0,
        Ok(false) => 1,
        Err(error) => {
            out.extend_from_slice(format!("windhover: {error}\n").as_bytes());
            2
        }
    };
    format!("{}exit code {code}\n", String::from_utf8(out).unwrap())
}

#[test]
fn each_request_is_explained() {
    let path = directory().join("transcripts.txt");
    let expected = std::fs::read_to_string(&path).unwrap();
    let commands: Vec<&str> =
        expected.lines().filter_map(|line| line.strip_prefix(PROMPT)).collect();
    assert!(commands.len() >= 20, "{}", commands.len());
    let said: Vec<String> =
        commands.iter().map(|command| format!("{PROMPT}{command}\n{}", says(command))).collect();
    let said = said.join("\n");
    if std::env::var_os("WINDHOVER_BLESS").is_some() {
        std::fs::write(&path, said).unwrap();
        return;
    }
    for (said, expected) in said.split("\n\n").zip(expected.split("\n\n")) {
        assert_eq!(said.trim_end(), expected.trim_end());
    }
    assert_eq!(said, expected);
}
