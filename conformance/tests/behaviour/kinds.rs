//! Events and updates of profiles, each in the queue of its kind.

use windhover_conformance::{HttpClient, Runtime, Setup, TempDir, on_each_runtime};

fn post(http: &mut HttpClient, target: &str, headers: &str, body: &str) -> (u16, String) {
    let length = body.len();
    http.send(
        format!(
            "POST {target} HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\n\
             Content-Length: {length}\r\n{headers}\r\n{body}"
        )
        .as_bytes(),
    )
    .expect("the server answers");
    let answer = http.receive().expect("the server answers");
    (answer.status, answer.text())
}

fn each_kind_has_its_queue(runtime: Runtime) {
    let directory = TempDir::new("kinds");
    let server = Setup::new(directory.path().join("data"))
        .runtime(runtime)
        .flag("--groups-queue", "companies")
        .start();
    let mut http = server.http_client();
    let update = r#"{"$token":"t","$distinct_id":"d","$set":{"a":1}}"#;
    let group = r#"{"$token":"t","$group_key":"k","$group_id":"g","$delete":""}"#;
    let event = r#"[{"event":"old","properties":{"time":1300000000}}]"#;
    let digit = |text: &str| (200, text.to_owned());
    assert_eq!(post(&mut http, "/engage", "", update), digit("1"));
    assert_eq!(post(&mut http, "/groups/", "", group), digit("1"));
    assert_eq!(post(&mut http, "/engage", "", group), digit("0"));
    assert_eq!(post(&mut http, "/import", "", event).0, 401);
    // `t1:`
    assert_eq!(
        post(&mut http, "/import?strict=1", "Authorization: Basic dDE6\r\n", event),
        digit(r#"{"code":200,"num_records_imported":1,"status":"OK"}"#)
    );

    let mut queue = server.queue_client();
    for (name, start) in [
        ("engage", r#"{"$token":"t","$distinct_id":"d","$set":{"a":1},"$time":"#),
        ("companies", r#"{"$token":"t","$group_key":"k","$group_id":"g","$delete":"","$time":"#),
        ("events", r#"{"event":"old","properties":{"time":1300000000000,"token":"t1","#),
    ] {
        let items = queue.drain(name).expect("the server answers");
        assert_eq!(items.len(), 1, "{name}");
        let item = String::from_utf8_lossy(&items[0]);
        assert!(item.starts_with(start), "{item}");
    }
    let metrics = http.get("/metrics").expect("the server answers").text();
    for line in [
        r#"windhover_requests_total{endpoint="engage",reason="profile_id_missing",status="200"} 1"#,
        r#"windhover_requests_total{endpoint="import",reason="unauthorized",status="401"} 1"#,
    ] {
        assert!(metrics.lines().any(|it| it == line), "{line}");
    }
    server.stop();
}

on_each_runtime!(each_kind_has_its_queue);
