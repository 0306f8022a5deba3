//! Many keys at a time, of which some are refused.

use std::cell::Cell;

use windhover_client::protocol::client::{Answer, Call, CallError, Target};
use windhover_client::protocol::memcache::Keys;
use windhover_client::protocol::memcache::request::Request;
use windhover_client::{Client, Error, ErrorKind, Expires, Found, Outcome};

use crate::script::{Script, cache, script};

fn told(found: &[Found]) -> Vec<String> {
    let one = |found: &Found| match found {
        Ok(Some(value)) => String::from_utf8(value.data.to_vec()).unwrap(),
        Ok(None) => "miss".to_owned(),
        Err(error) => match error.kind() {
            ErrorKind::Call(CallError::Refused { refusal, .. }) => refusal.to_string(),
            _ => format!("{:?}", error.outcome()),
        },
    };
    found.iter().map(one).collect()
}

#[test]
fn a_key_that_is_refused_among_others_is_told_to_be() {
    let (client, mut server) = script(cache(), |_, heard| {
        assert_eq!(heard, "get a b c\r\n");
        Some(b"VALUE a 0 1\r\nA\r\nSERVER_ERROR x\r\nVALUE c 0 1\r\nC\r\nEND\r\n".to_vec())
    });
    let found = server.run(client.get_many(&["a", "b", "c"]));
    assert_eq!(told(&found), ["A", "SERVER_ERROR x", "C"]);
    assert_eq!(found[1].as_ref().unwrap_err().outcome(), Outcome::Refused);
    assert_eq!(server.connections(), 1);
}

#[test]
fn keys_that_are_refused_together_are_all_refused() {
    let (client, mut server) = script(cache(), |_, _| Some(b"SERVER_ERROR x\r\nEND\r\n".to_vec()));
    let found = server.run(client.get_many(&["a", "b"]));
    assert_eq!(told(&found), ["SERVER_ERROR x", "SERVER_ERROR x"]);
    assert_eq!(server.connections(), 0, "whose END that is nobody knows");
}

#[test]
fn an_item_that_came_whole_is_there_whatever_error_stands_behind_it() {
    for end in ["", "END\r\n"] {
        // Whether `END` follows nobody knows: the next call's answer would be a miss.
        let (client, mut server) = script(cache(), |_, heard| {
            let reply = match heard {
                "get a\r\n" => "VALUE a 0 1\r\nA\r\nSERVER_ERROR x\r\n",
                _ => return Some(b"VALUE next 0 1\r\nN\r\nEND\r\n".to_vec()),
            };
            Some(format!("{reply}{end}").into_bytes())
        });
        assert_eq!(server.run(client.get("a")).unwrap().unwrap().text().unwrap(), "A");
        assert_eq!(server.connections(), 0);
        assert_eq!(server.run(client.get("next")).unwrap().unwrap().text().unwrap(), "N");
    }
    let both = "VALUE a 0 1\r\nA\r\nVALUE b 0 1\r\nB\r\nSERVER_ERROR x\r\nEND\r\n";
    let (client, mut server) = script(cache(), |_, _| Some(both.into()));
    assert_eq!(told(&server.run(client.get_many(&["a", "b"]))), ["A", "B"]);

    let queues = Client::queue_builder().server("a:1");
    let (client, mut server) =
        script(queues, |_, _| Some(b"VALUE q 0 1\r\nx\r\nSERVER_ERROR y\r\n".to_vec()));
    assert_eq!(server.run(client.queue("q").take()).unwrap().unwrap(), "x");
    // One that is set aside is put back by the server.
    assert!(server.run(client.queue("q").reserve()).is_err());
}

#[test]
fn a_key_that_is_asked_for_twice_is_there_twice() {
    for (reply, expected) in [
        ("VALUE a 0 1\r\nA\r\nVALUE b 0 1\r\nB\r\nEND\r\n", ["A", "B", "A"]),
        ("VALUE a 0 1\r\nA\r\nEND\r\n", ["A", "miss", "A"]),
        ("VALUE a 0 1\r\nA\r\nVALUE a 0 1\r\nA\r\nEND\r\n", ["A", "miss", "A"]),
        ("VALUE a 0 1\r\nA\r\nERROR\r\nEND\r\n", ["A", "ERROR", "A"]),
    ] {
        let (client, mut server) = script(cache(), |_, _| Some(reply.as_bytes().to_vec()));
        assert_eq!(told(&server.run(client.get_many(&["a", "b", "a"]))), expected, "{reply}");
    }
}

#[test]
fn a_key_that_cannot_be_sent_fails_nothing_but_itself() {
    let long = "k".repeat(251);
    let (client, mut server) = script(cache(), |_, heard| {
        Some(match heard {
            "get a c\r\n" => b"VALUE a 0 1\r\nA\r\nVALUE c 0 1\r\nC\r\nEND\r\n".to_vec(),
            heard if heard.ends_with("mn\r\n") => b"MN\r\n".to_vec(),
            other => panic!("{other:?}"),
        })
    });
    for (bad, why) in [
        ("bad key", "'bad key': the key cannot be sent: byte 3 of a key"),
        ("", "'': the key cannot be sent: a key is empty"),
        ("b\r\nflush_all", "'b\\r\\nflush_all': the key cannot be sent"),
        (long.as_str(), "kkk…': the key cannot be sent: a key is 251 bytes long"),
    ] {
        let keys = ["a", bad, "c"];
        let found = server.run(client.get_many(&keys));
        assert_eq!(told(&found), ["A", "NotSent", "C"]);
        let named = |error: &Error| {
            assert!(error.to_string().contains(why), "{error}");
            assert!(matches!(error.kind(), ErrorKind::Key(_)), "{error:?}");
            assert_eq!(error.key(), Some(bad.as_bytes()));
        };
        named(found[1].as_ref().unwrap_err());
        let stored = server.run(client.set_many(keys.map(|key| (key, "v"))));
        assert!(stored[0].is_ok() && stored[2].is_ok());
        named(stored[1].as_ref().unwrap_err());
        let deleted = server.run(client.delete_many(&keys));
        assert!(deleted[0].is_ok() && deleted[2].is_ok());
        named(deleted[1].as_ref().unwrap_err());
        named(&server.run(client.get(bad)).unwrap_err());
        named(&server.run(client.set(bad, "v")).unwrap_err());
        named(&server.run(client.touch(bad, Expires::Never)).unwrap_err());
        named(&server.run(client.meta_get(bad, "v")).unwrap_err());
    }
}

/// Twenty keys on two servers, each of which has its own but `k7`.
fn two_servers<'a>(fail: &'a Cell<Option<&'static str>>) -> (Client, Script<'a>) {
    script(cache().server("b:1"), move |server, heard| {
        if server == "b:1"
            && let Some(reply) = fail.get()
        {
            return (!reply.is_empty()).then(|| reply.into());
        }
        let keys = heard.trim_end().split(' ').skip(1).filter(|key| *key != "k7");
        let found = keys.map(|key| format!("VALUE {key} 0 2\r\n{server:.2}\r\n"));
        Some(found.chain(["END\r\n".to_owned()]).collect::<String>().into())
    })
}

#[test]
fn a_request_for_keys_of_two_servers_is_asked_of_both() {
    let fail = Cell::new(None);
    let (client, mut server) = two_servers(&fail);
    let names: Vec<String> = (0..20).map(|n| format!("k{n}")).collect();
    let keys: Vec<&[u8]> = names.iter().map(String::as_bytes).collect();
    let get = Request::Get(Keys::new(&keys));
    let answer = server.run(client.call(&get, "".into(), Call::read)).unwrap();
    let Answer::Items(items) = answer else { panic!("{answer:?}") };
    let found: Vec<usize> = items.iter().map(|item| item.index).collect();
    assert_eq!(found, (0..20).filter(|n| *n != 7).collect::<Vec<_>>());
    for item in items {
        let id = client.servers()[usize::from(&item.value.into_bytes()[..] == b"b:")].0;
        let owner = client.owner(keys[item.index]).map(|(id, _)| id);
        assert_eq!(owner, Some(id));
    }
    // One of them fails: what the other one has found is told beside it.
    fail.set(Some(""));
    let error = server.run(client.call(&get, "".into(), Call::write)).unwrap_err();
    let ErrorKind::Call(CallError::Unknown { found, .. }) = error.kind() else {
        panic!("{error:?}");
    };
    assert!(!found.is_empty() && found.len() < 19);
    // Who names a server asks that one.
    fail.set(None);
    let to_a = |prepared| {
        let mut call = Call::read(prepared);
        call.target = Target::Server(client.servers()[0].0);
        call
    };
    let answer = server.run(client.call(&get, "".into(), to_a)).unwrap();
    assert!(matches!(answer, Answer::Items(items) if items.len() == 19));
}
