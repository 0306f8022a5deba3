//! Many keys written to servers that know no meta commands.

use std::cell::RefCell;

use windhover_client::{Deleted, MetaCommands, Stored};

use crate::script::{cache, script};

/// What memcached before 1.6 says: data behind a command that it does not know are commands to it.
fn classic(heard: &str) -> Vec<u8> {
    let mut said = String::new();
    let mut lines = heard.split_inclusive("\r\n");
    while let Some(line) = lines.next() {
        let mut words = line.trim_end().split(' ');
        let (verb, key) = (words.next().unwrap(), words.next());
        said += match (verb, key) {
            ("set", Some(key)) => {
                lines.next();
                if key == "refused" { "NOT_STORED\r\n" } else { "STORED\r\n" }
            }
            ("delete", Some("none")) => "NOT_FOUND\r\n",
            ("delete", Some(_)) => "DELETED\r\n",
            ("get", Some(_)) => "END\r\n",
            ("flush_all", _) => panic!("a value was taken for a command: {heard}"),
            _ => "ERROR\r\n",
        };
    }
    said.into()
}

fn stored(stored: &[Stored]) -> Vec<String> {
    let one = |it: &Stored| {
        it.as_ref().map_or_else(|error| format!("{:?}", error.outcome()), |()| "stored".to_owned())
    };
    stored.iter().map(one).collect()
}

fn deleted(deleted: &[Deleted]) -> Vec<String> {
    let one = |it: &Deleted| {
        it.as_ref().map_or_else(|error| format!("{:?}", error.outcome()), bool::to_string)
    };
    deleted.iter().map(one).collect()
}

#[test]
fn a_server_without_meta_commands_is_asked_once_and_written_to_with_classic_ones() {
    let heard = RefCell::new(String::new());
    let (client, mut server) = script(cache(), |_, bytes| {
        heard.borrow_mut().push_str(bytes);
        Some(classic(bytes))
    });
    for _ in 0..3 {
        let (set, get) = server.run(async {
            let items = [("a", "flush_all"), ("refused", "v")];
            let get = client.get("neighbour");
            (client.set_many(items).await, get.await)
        });
        assert_eq!(stored(&set), ["stored", "Refused"]);
        assert_eq!(get.unwrap(), None);
        let gone = server.run(client.delete_many(&["a", "none"]));
        assert_eq!(deleted(&gone), ["true", "false"]);
    }
    assert_eq!(heard.borrow().matches("mn\r\n").count(), 1);
    assert_eq!(server.connections(), 1);
}

#[test]
fn a_server_that_is_said_to_know_them_and_does_not_refuses_at_once() {
    let (client, mut server) =
        script(cache().meta(MetaCommands::Always), |_, heard| Some(classic(heard)));
    let gone = server.run(client.delete_many(&["a", "none"]));
    assert_eq!(deleted(&gone), ["Refused", "Refused"]);
    assert_eq!(server.run(client.get("neighbour")).unwrap(), None);
    assert_eq!(server.connections(), 1, "every line was answered");
    // Whose answers these are nobody knows.
    let set = server.run(client.set_many([("a", "v"), ("b", "version")]));
    assert_eq!(stored(&set), ["Refused", "Refused"]);
    assert_eq!(server.connections(), 0);
    assert_eq!(server.run(client.get("neighbour")).unwrap(), None);
}

#[test]
fn who_says_so_beforehand_needs_no_question() {
    let heard = RefCell::new(String::new());
    let (client, mut server) = script(cache().meta(MetaCommands::Never), |_, bytes| {
        heard.borrow_mut().push_str(bytes);
        Some(classic(bytes))
    });
    assert_eq!(deleted(&server.run(client.delete_many(&["a"]))), ["true"]);
    assert_eq!(*heard.borrow(), "delete a\r\n");
}

#[test]
fn a_proxy_that_closes_the_connection_at_what_it_does_not_know_is_written_to_all_the_same() {
    let (client, mut server) =
        script(cache(), |_, heard| (!heard.starts_with("mn")).then(|| classic(heard)));
    assert_eq!(deleted(&server.run(client.delete_many(&["a", "none"]))), ["true", "false"]);
}

#[test]
fn what_a_batch_is_answered_is_told_of_each_key() {
    let reply = RefCell::new("");
    let (client, mut server) = script(cache(), |_, heard| {
        Some(if heard == "mn\r\n" { "MN\r\n" } else { *reply.borrow() }.into())
    });
    for (answer, set, delete) in [
        ("MN\r\n", ["stored"; 2], ["true"; 2]),
        ("NS O0\r\nMN\r\n", ["Refused", "stored"], ["Refused", "true"]),
        ("EX O1\r\nMN\r\n", ["stored", "Refused"], ["true", "Refused"]),
        ("NF O0\r\nNF O1\r\nMN\r\n", ["Refused"; 2], ["false"; 2]),
        ("SERVER_ERROR x\r\nMN\r\n", ["Unknown"; 2], ["Unknown"; 2]),
        ("NS O1\r\nCLIENT_ERROR x\r\nMN\r\n", ["Unknown", "Refused"], ["Unknown", "Refused"]),
    ] {
        *reply.borrow_mut() = answer;
        let told = server.run(client.set_many([("a", "v"), ("b", "v")]));
        assert_eq!(stored(&told), set, "{answer:?}");
        let told = server.run(client.delete_many(&["a", "b"]));
        assert_eq!(deleted(&told), delete, "{answer:?}");
    }
}
