//! Every command, and every reply that a server may give to it.

use std::fmt::Debug;
use std::future::Future;
use std::time::Duration;

use windhover_client::{Builder, Client, Error, MetaCommands};

use crate::script::{cache, script};

/// A line of each kind; those of more lines with their `END`.
const REPLIES: &[&str] = &[
    "VALUE k 0 1\r\nv\r\nEND\r\n",
    "STAT a b\r\nEND\r\n",
    "ITEM k [1 b; 0 s]\r\nEND\r\n",
    "END\r\n",
    "STORED\r\n",
    "NOT_STORED\r\n",
    "EXISTS\r\n",
    "DELETED\r\n",
    "NOT_FOUND\r\n",
    "TOUCHED\r\n",
    "OK\r\n",
    "RESET\r\n",
    "VERSION 1\r\n",
    "7\r\n",
    "VA 1\r\nv\r\n",
    "HD\r\n",
    "EN\r\n",
    "NS\r\n",
    "EX\r\n",
    "NF\r\n",
    "ME k exp=-1\r\n",
    "MN\r\n",
    "BUSY now\r\n",
    "what is this\r\n",
];

const MINUTE: Duration = Duration::from_secs(60);

const ERRORS: &[&str] =
    &["ERROR\r\n", "ERROR what\r\n", "CLIENT_ERROR what\r\n", "SERVER_ERROR what\r\n"];

fn told<T: Debug>(outcome: Result<T, Error>) -> String {
    match outcome {
        Ok(done) => format!("{done:?}"),
        Err(error) => {
            assert!(!error.to_string().is_empty());
            format!("{:?}", error.outcome())
        }
    }
}

/// Holds a call to what has to come of replies: those that are named, refusals, and all others, after
/// which nobody knows what was done.
#[track_caller]
fn holds<T: Debug, F: Future<Output = Result<T, Error>>>(
    builder: &Builder,
    call: impl Fn(Client) -> F,
    named: &[(&str, &str)],
) {
    holds_when_said(builder, call, str::to_owned, named);
}

/// The same of replies that a server puts in words of its own.
#[track_caller]
fn holds_when_said<T: Debug, F: Future<Output = Result<T, Error>>>(
    builder: &Builder,
    call: impl Fn(Client) -> F,
    say: impl Fn(&str) -> String,
    named: &[(&str, &str)],
) {
    for reply in REPLIES.iter().chain(ERRORS) {
        let line = reply.split(['\r', ' ']).next().unwrap();
        let expected = named.iter().find(|(of, _)| *of == line).map(|(_, told)| *told);
        let expected =
            expected.unwrap_or(if ERRORS.contains(reply) { "Refused" } else { "Unknown" });
        let (client, mut server) = script(builder.clone(), |_, _| Some(say(reply).into()));
        assert_eq!(told(server.run(call(client))), expected, "answered {reply:?}");
    }
}

#[test]
fn what_is_stored() {
    let stored = [("STORED", "()"), ("NOT_STORED", "Refused")];
    holds(&cache(), |it| async move { it.set("k", "v").await }, &stored);
    let stored = [("STORED", "true"), ("NOT_STORED", "false")];
    holds(&cache(), |it| async move { it.add("k", "v").await }, &stored);
    holds(&cache(), |it| async move { it.replace("k", "v").await }, &stored);
    holds(&cache(), |it| async move { it.append("k", "v").await }, &stored);
    holds(&cache(), |it| async move { it.prepend("k", "v").await }, &stored);
    let swapped = [
        ("STORED", "Stored"),
        ("EXISTS", "Changed"),
        ("NOT_FOUND", "Gone"),
        ("NOT_STORED", "Refused"),
    ];
    holds(&cache(), |it| async move { it.cas("k", "v", 1).await }, &swapped);
}

#[test]
fn what_many_writes_are_told() {
    let each = cache().meta(MetaCommands::Never);
    let stored = [("STORED", "()"), ("NOT_STORED", "Refused")];
    let deleted = [("DELETED", "true"), ("NOT_FOUND", "false")];
    let set_many = |it: Client| async move { it.set_many([("k", "v")]).await.remove(0) };
    let delete_many = |it: Client| async move { it.delete_many(["k"]).await.remove(0) };
    holds(&each, set_many, &stored);
    holds(&each, delete_many, &deleted);

    // A batch is closed by `mn`, and a reply names its request.
    let batch = cache().meta(MetaCommands::Always);
    let say = |reply: &str| match reply.split_once("\r\n") {
        Some((line @ ("VA 1" | "HD" | "EN" | "NS" | "EX" | "NF"), rest)) => {
            format!("{line} O0\r\n{rest}MN\r\n")
        }
        _ if reply == "MN\r\n" => reply.to_owned(),
        _ => format!("{reply}MN\r\n"),
    };
    // Whose an error is that names no request, nobody knows.
    let unknown = ["CLIENT_ERROR", "SERVER_ERROR"].map(|error| (error, "Unknown"));
    let refused = [("NS", "Refused"), ("EX", "Refused")];
    // A server that does not know a command with a value takes that for commands: the rest says nothing.
    let of_set = [("HD", "()"), ("MN", "()"), ("NF", "Refused"), ("ERROR", "Refused")];
    holds_when_said(&batch, set_many, say, &[&of_set[..], &refused, &unknown].concat());
    let of_delete = [("HD", "true"), ("MN", "true"), ("NF", "false"), ("ERROR", "Unknown")];
    holds_when_said(&batch, delete_many, say, &[&of_delete[..], &refused, &unknown].concat());
}

#[test]
fn what_is_found() {
    let value = "Some(Value { data: b\"v\", flags: 0, cas: None })";
    let found = [("VALUE", value), ("END", "None")];
    holds(&cache(), |it| async move { it.get("k").await }, &found);
    holds(&cache(), |it| async move { it.gets("k").await }, &found);
    holds(&cache(), |it| async move { it.gat("k", MINUTE).await }, &found);
    holds(&cache(), |it| async move { it.gats("k", MINUTE).await }, &found);
    let many = |it: Client| async move { it.get_many(&["k"]).await.remove(0) };
    holds(&cache(), many, &found);
}

#[test]
fn what_is_changed() {
    let deleted = [("DELETED", "true"), ("NOT_FOUND", "false")];
    holds(&cache(), |it| async move { it.delete("k").await }, &deleted);
    let touched = [("TOUCHED", "true"), ("NOT_FOUND", "false")];
    holds(&cache(), |it| async move { it.touch("k", MINUTE).await }, &touched);
    let counted = [("7", "Some(7)"), ("NOT_FOUND", "None")];
    holds(&cache(), |it| async move { it.incr("k", 1).await }, &counted);
    holds(&cache(), |it| async move { it.decr("k", 1).await }, &counted);
}

#[test]
fn what_meta_commands_tell() {
    let code = |answer: windhover_client::protocol::client::MetaAnswer| answer.code;
    holds(
        &cache(),
        |it| async move { it.meta_get("k", "v").await.map(code) },
        &[("VA", "Value"), ("HD", "Done"), ("EN", "Miss")],
    );
    let done = [("HD", "Done"), ("NS", "NotStored"), ("EX", "Exists"), ("NF", "NotFound")];
    holds(&cache(), |it| async move { it.meta_set("k", "v", "").await.map(code) }, &done);
    holds(&cache(), |it| async move { it.meta_delete("k", "").await.map(code) }, &done);
    let counted = [&done[..], &[("VA", "Value")]].concat();
    holds(&cache(), |it| async move { it.meta_arithmetic("k", "v").await.map(code) }, &counted);
}

#[test]
fn what_a_server_tells_of_itself() {
    let version = |it: Client| async move { it.versions().await.remove(0).1 };
    holds(&cache(), version, &[("VERSION", "b\"1\"")]);
    let flush = |it: Client| async move { it.flush_all().await };
    holds(&cache(), flush, &[("OK", "()")]);
    let stats = |it: Client| async move { it.stats("").await.remove(0).1 };
    holds(
        &cache(),
        stats,
        &[
            ("STAT", "[(b\"a\", b\"b\")]"),
            ("ITEM", "[(b\"ITEM k [1 b; 0 s]\", b\"\")]"),
            ("END", "[]"),
            ("OK", "[]"),
            ("RESET", "[]"),
        ],
    );
}

/// In a queue's dialect a line may be anything.
#[test]
fn what_queues_answer() {
    let queues = Client::queue_builder().server("a:1").timeout(Duration::from_secs(20));
    let queues = queues.options(|options| options.attempts = 1);
    let enqueued = [("STORED", "()"), ("NOT_STORED", "Refused")];
    holds(&queues, |it| async move { it.queue("k").enqueue("v").await }, &enqueued);
    let taken = [("VALUE", "Some(b\"v\")"), ("END", "None")];
    holds(&queues, |it| async move { it.queue("k").take().await }, &taken);
    holds(&queues, |it| async move { it.queue("k").peek().await }, &taken);
    let reserved = |it: Client| async move {
        it.queue("k").reserve().await.map(|it| it.map(|it| it.item().clone()))
    };
    holds(&queues, reserved, &taken);
    holds(&queues, |it| async move { it.queue("k").flush().await }, &[("END", "()")]);
    let deleted = [("END", "()"), ("DELETED", "()")];
    holds(&queues, |it| async move { it.queue("k").delete().await }, &deleted);
}

#[test]
fn what_a_reservation_is_answered() {
    for (reply, confirmed) in [
        ("END\r\n", "b\"v\""),
        ("VALUE k 0 1\r\nw\r\nEND\r\n", "Unknown"),
        ("ERROR\r\n", "Refused"),
        ("STORED\r\n", "Unknown"),
    ] {
        let queues = Client::queue_builder().server("a:1");
        let (client, mut server) = script(queues, |_, heard| {
            let opens = heard == "get k/open\r\n";
            Some(if opens { "VALUE k 0 1\r\nv\r\nEND\r\n" } else { reply }.into())
        });
        let reserved = server.run(client.queue("k").reserve()).unwrap().unwrap();
        assert_eq!(told(server.run(reserved.confirm())), confirmed, "{reply:?}");
    }
}
