//! What a builder says of all calls, and requests that are put together by name.

use std::cell::RefCell;
use std::time::Duration;

use windhover_client::protocol::memcache::Keys;
use windhover_client::protocol::memcache::request::Request;
use windhover_client::{
    ArithmeticFlags, ArithmeticMode, Call, Client, DeleteFlags, ErrorKind, Expires, ExpiresError,
    GetFlags, SetFlags, SetMode,
};

use crate::script::{cache, script};

const MINUTE: Duration = Duration::from_secs(60);

#[test]
fn credentials_are_sent_first_and_nothing_with_them() {
    let heard = RefCell::new(Vec::new());
    let (client, mut server) = script(cache().credentials("me", "secret"), |_, line| {
        heard.borrow_mut().push(line.to_owned());
        Some(if line.starts_with("set") { "STORED\r\n" } else { "END\r\n" }.into())
    });
    assert_eq!(server.run(client.get("k")).unwrap(), None);
    let heard = heard.borrow();
    assert!(heard[0].starts_with("set ") && heard[0].ends_with("\r\nme secret\r\n"), "{heard:?}");
    assert_eq!(heard[1..], ["get k\r\n"]);
}

#[test]
fn every_key_of_a_cache_begins_with_the_prefix() {
    let heard = RefCell::new(String::new());
    let (client, mut server) = script(cache().key_prefix("app:"), |_, lines| {
        heard.borrow_mut().push_str(lines);
        Some(match lines.split([' ', '\r']).next().unwrap() {
            "get" | "gets" | "gat" | "gats" => "END\r\n".into(),
            "incr" | "decr" | "delete" | "touch" => "NOT_FOUND\r\n".into(),
            "mg" => "EN\r\n".into(),
            "mn" | "ms" | "md" => "MN\r\n".into(),
            _ => "STORED\r\n".into(),
        })
    });
    server.run(async {
        client.get("k").await.unwrap();
        client.gets("k").await.unwrap();
        client.gat("k", MINUTE).await.unwrap();
        client.gats("k", MINUTE).await.unwrap();
        client.set("k", "v").await.unwrap();
        client.add("k", "v").await.unwrap();
        client.replace("k", "v").await.unwrap();
        client.append("k", "v").await.unwrap();
        client.prepend("k", "v").await.unwrap();
        client.cas("k", "v", 1).await.unwrap();
        client.incr("k", 1).await.unwrap();
        client.decr("k", 1).await.unwrap();
        client.touch("k", MINUTE).await.unwrap();
        client.delete("k").await.unwrap();
        client.get_many(["k", "l"]).await;
        client.set_many([("k", "v")]).await.remove(0).unwrap();
        client.delete_many(["k"]).await.remove(0).unwrap();
        client.meta_get("k", GetFlags::new()).await.unwrap();
        client.meta_get("AGtleQ==", GetFlags::new().base64_key()).await.unwrap();
    });
    let heard = heard.borrow();
    let lines: Vec<&str> = heard.lines().filter(|line| line.contains(' ')).collect();
    assert_eq!(lines.len(), 19, "{lines:?}");
    for line in &lines[..18] {
        assert!(line.contains(" app:k"), "{line}");
    }
    assert!(heard.contains("get app:k app:l\r\n"));
    assert_eq!(lines[18], "mg AGtleQ== b");
    let error = server.run(client.get("a b")).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Key(_)), "{error}");
    assert_eq!(error.key(), Some(&b"app:a b"[..]));
}

#[test]
fn the_prefix_decides_about_the_server_too() {
    let servers = || Client::builder().server("a").server("b").server("c");
    let (plain, _driver) = servers().build().unwrap();
    let (prefixed, _driver) = servers().key_prefix("app:").build().unwrap();
    for n in 0..100 {
        let owner = prefixed.owner(format!("{n}")).unwrap().1;
        assert_eq!(owner, plain.owner(format!("app:{n}")).unwrap().1);
    }
}

#[test]
fn flags_of_meta_commands_have_names() {
    let heard = RefCell::new(String::new());
    let (client, mut server) = script(cache(), |_, lines| {
        heard.borrow_mut().push_str(lines);
        Some(
            if lines.starts_with("mg") { "VA 1 f7 c9 t-1 s1 h0 l3 W X\r\nv\r\n" } else { "HD\r\n" }
                .into(),
        )
    });
    let flags = GetFlags::new().value().client_flags().cas().ttl().size().hit_before();
    let flags = flags.last_access().no_bump().vivify(MINUTE).recache(MINUTE).touch(Expires::Never);
    let got = server.run(client.meta_get("k", flags.opaque("7"))).unwrap();
    assert_eq!((got.client_flags(), got.cas(), got.ttl()), (Some(7), Some(9), Some(-1)));
    assert_eq!((got.size(), got.hit_before(), got.last_access()), (Some(1), Some(false), Some(3)));
    assert!(got.has_won() && got.is_stale() && !got.another_has_won());
    let flags = SetFlags::new().client_flags(3).expires(MINUTE).compare_cas(9).invalidate();
    server.run(client.meta_set("k", "v", flags.mode(SetMode::Append).new_cas(4))).unwrap();
    let flags = DeleteFlags::new().compare_cas(9).invalidate().expires(MINUTE);
    server.run(client.meta_delete("k", flags)).unwrap();
    let flags = ArithmeticFlags::new().mode(ArithmeticMode::Decrement).delta(2).initial(5);
    server
        .run(client.meta_arithmetic("k", flags.vivify(MINUTE).touch(MINUTE).compare_cas(9)))
        .unwrap();
    server.run(client.meta_get("k", "v t")).unwrap();
    assert_eq!(
        *heard.borrow(),
        "mg k v f c t s h l u N60 R60 T0 O7\r\n\
         ms k 1 F3 T60 C9 I MA E4\r\nv\r\n\
         md k C9 I T60\r\n\
         ma k MD D2 J5 N60 T60 C9\r\n\
         mg k v t\r\n"
    );
    let zero = GetFlags::new().touch(Duration::ZERO);
    let error = server.run(client.meta_get("k", zero)).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Expires(ExpiresError::Zero)), "{error:?}");
}

#[test]
fn a_prepared_call_is_sent_by_a_task_that_has_none_of_its_bytes() {
    fn spawned<T: Future + Send + 'static>(task: T) -> T {
        task
    }
    let heard = RefCell::new(String::new());
    let builder = cache().server("b:1").server("c:1");
    let (client, mut server) = script(builder, |_, lines| {
        heard.borrow_mut().push_str(lines);
        Some(b"END\r\n".to_vec())
    });
    let prepared = {
        let keys: Vec<String> = (0..30).map(|n| format!("key-{n}")).collect();
        let keys: Vec<&[u8]> = keys.iter().map(String::as_bytes).collect();
        client.prepare_call(&Request::Get(Keys::new(&keys)), "".into(), Call::read).unwrap()
    };
    for _ in 0..2 {
        assert!(server.run(spawned(prepared.send())).unwrap().is_miss());
    }
    for n in 0..30 {
        assert_eq!(
            heard.borrow().split([' ', '\r']).filter(|it| *it == format!("key-{n}")).count(),
            2
        );
    }
}
