//! `docs/commands.md` says what the tables of the code say. With
//! `WINDHOVER_BLESS=1` in the environment it is written anew. The package does not hold it, nor this.
#![cfg(feature = "memcache")]
// Clippy's leave for tests covers test functions, not what they call.
#![allow(clippy::unwrap_used)]

use std::fmt::Write as _;
use std::path::PathBuf;
use std::{env, fs};

use windhover_core::memcache::command::{Command, ReplyForm, Row, TABLE};
use windhover_core::memcache::meta::{FLAGS, TokenRule};
use windhover_core::memcache::response::Kind;
use windhover_core::memcache::{Dialect, QUEUE_RULES, QueueRules};

const GENERATED: &str = "<!-- Drawn from the code's tables by core/tests/documents.rs: \
    edit those, then run the test with WINDHOVER_BLESS=1. -->\n";

fn assert_current(name: &str, text: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs").join(name);
    if env::var_os("WINDHOVER_BLESS").is_some_and(|value| value == "1") {
        fs::write(&path, text).unwrap();
    }
    let file = fs::read_to_string(&path).unwrap_or_default();
    let differs = file.lines().zip(text.lines()).position(|(old, new)| old != new);
    assert!(
        file == text,
        "docs/{name} is not what the tables say (line {}): run this test with WINDHOVER_BLESS=1",
        differs.map_or(file.lines().count().min(text.lines().count()), |at| at) + 1
    );
}

#[test]
fn the_command_reference_is_current() {
    assert_current("commands.md", &commands());
}

fn commands() -> String {
    let mut text = String::from("# Command reference\n\n");
    text.push_str(GENERATED);
    text.push_str(
        "\nEvery command that the codec speaks, in both roles. Parser and encoder work from the same \
        table\n(`windhover_core::memcache::command::TABLE`). Besides the replies named here, `ERROR`, \
        `CLIENT_ERROR …` and\n`SERVER_ERROR …` may answer anything. A data block follows the line \
        where the column says so: as many\nbytes as the line declares, then CR LF. Sections are those \
        of memcached's `protocol.txt` unless another\ndocument is named.\n",
    );
    let of_cache = |row: &&Row| row.dialects.contains(&Dialect::Memcached);
    text.push_str(
        "\n## memcached\n\nVerbs are in lower case. What is in brackets may be left out.\n\n",
    );
    text.push_str(
        "| command | block | replies | what it does | section |\n|---|---|---|---|---|\n",
    );
    for row in TABLE.iter().filter(of_cache) {
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} |",
            line(row),
            block(row),
            replies(row),
            row.summary,
            row.source
        );
    }
    meta_flags(&mut text);
    text.push_str(
        "\n## Queue servers\n\nVerbs are in any case. `noreply` is not known: the answer comes all the \
        same.\n\n| command | block | replies | kestrel | darner | siberite | what it does | source |\n\
        |---|---|---|---|---|---|---|---|\n",
    );
    for row in TABLE.iter().filter(|row| !of_cache(row)) {
        let has = |dialect| if row.dialects.contains(&dialect) { "yes" } else { "" };
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} | {} | {} | {} |",
            line(row),
            block(row),
            replies(row),
            has(Dialect::Kestrel),
            has(Dialect::Darner),
            has(Dialect::Siberite),
            row.summary,
            row.source
        );
    }
    queue_rules(&mut text);
    text
}

fn queue_rules(text: &mut String) {
    text.push_str(
        "\nThe options of `get`, alone or together as shown: `/t=<milliseconds>`, `/open`, `/close`, \
        `/close/open`,\n`/abort`, `/peek`. How the servers read names and options:\n\n",
    );
    let yes = |is: bool| if is { "yes" } else { "no" }.to_owned();
    let cells = |name: &str, cell: &dyn Fn(&QueueRules) -> String| {
        let cells: Vec<_> = QUEUE_RULES.iter().map(|rules| cell(rules)).collect();
        format!("| {name} | {} |\n", cells.join(" | "))
    };
    text.push_str(&cells("", &|rules| format!("{:?}", rules.dialect).to_lowercase()));
    text.push_str("|---|---|---|---|\n");
    text.push_str(&cells("a name may not hold", &|rules| {
        let bytes: Vec<_> =
            rules.reserved.iter().map(|&byte| format!("`{}`", char::from(byte))).collect();
        let more = if rules.printable_names { ", what is not printable ASCII" } else { "" };
        bytes.join(" ") + more
    }));
    text.push_str(&cells("`a+b` is", &|rules| rules.plus.to_owned()));
    text.push_str(&cells("consumer groups in `get`", &|rules| {
        rules
            .group_separator
            .map_or("no".to_owned(), |byte| format!("`<queue>{}<group>`", char::from(byte)))
    }));
    text.push_str(&cells("options in any case", &|rules| yes(rules.options_in_any_case)));
    text.push_str(&cells("unknown options", &|rules| {
        if rules.ignores_unknown_options { "ignored" } else { "refused" }.to_owned()
    }));
    text.push_str(&cells("options in any order, repeated", &|rules| {
        yes(rules.options_in_any_order)
    }));
    text.push_str(&cells("`/peek/close`", &|rules| {
        if rules.closes_before_peek { "closes" } else { "refused" }.to_owned()
    }));
    text.push_str(&cells("a sign in `/t=`", &|rules| yes(rules.signed_time)));
    text.push_str(&cells("`/sync` in `set`", &|rules| yes(rules.sync)));
    text.push_str(&cells("items expire", &|rules| yes(rules.expires)));
}

fn line(row: &Row) -> String {
    format!("`{} {}`", row.verb, row.arguments.form()).replace(" `", "`")
}

fn block(row: &Row) -> &'static str {
    if row.data { "yes" } else { "" }
}

fn replies(row: &Row) -> String {
    let hidden = |kind: &Kind| matches!(kind, Kind::Meta(code) if row.quiet.contains(code));
    let mut names: Vec<String> = row
        .replies
        .iter()
        .map(|kind| {
            let name = match kind {
                Kind::Number | Kind::Line | Kind::Listing => kind.text().to_owned(),
                _ => format!("`{}`", kind.text()),
            };
            if hidden(kind) { name + " (hidden by `q`)" } else { name }
        })
        .collect();
    match row.form {
        ReplyForm::Nothing => names.insert(0, "the connection closes".to_owned()),
        ReplyForm::Monitor => names.push("over and over, and a last `END` alone".to_owned()),
        ReplyForm::Endless => names.push("until the connection closes".to_owned()),
        _ => {}
    }
    names.join(", ")
}

fn meta_flags(text: &mut String) {
    text.push_str(
        "\n## Meta flags\n\nOne letter each, a token right behind it, spaces between flags. The servers \
        take every flag with every\nmeta command and check its token; the commands named are those \
        that it means something to. Replies\ncarry the flags marked so in the order in which they were \
        asked for.\n\n| flag | token | commands | in replies | since | meaning |\n|---|---|---|---|---|---|\n",
    );
    for row in FLAGS {
        let commands: Vec<_> = row.commands.iter().map(|&command| verb(command)).collect();
        let token = match row.token {
            TokenRule::None => "",
            TokenRule::Text => "any text",
            TokenRule::Opaque => "up to 31 bytes",
            TokenRule::Seconds => "seconds",
            TokenRule::Unsigned32 => "number, 32 bits",
            TokenRule::Unsigned64 => "number, 64 bits",
            TokenRule::Mode => "one letter",
            _ => "?",
        };
        let _ = writeln!(
            text,
            "| `{}` | {token} | {} | {} | {} | {} |",
            char::from(row.letter),
            commands.join(" "),
            if row.answered { "yes" } else { "" },
            if row.newer { "after 1.6.18" } else { "" },
            row.meaning
        );
    }
}

fn verb(command: Command) -> String {
    let row = TABLE.iter().find(|row| row.command == command).unwrap();
    format!("`{}`", row.verb)
}
