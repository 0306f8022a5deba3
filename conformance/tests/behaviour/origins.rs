//! A page of another origin can read every answer of the tracker.

use windhover_conformance::{HttpClient, Runtime, Setup, TempDir, on_each_runtime};

const PAGE: &str = "https://shop.example";

fn the_page_that_a_request_came_from_can_read_the_answer(runtime: Runtime) {
    let directory = TempDir::new("behaviour");
    let server = Setup::new(directory.path().join("data"))
        .runtime(runtime)
        .flag("--max-body", "2000")
        .start();
    let long = "x".repeat(20_000);
    for (line, headers, status) in [
        ("GET /track?data=e30", String::new(), 200),
        ("POST /track", "Content-Length: 0\r\n".to_owned(), 200),
        ("GET /nowhere", String::new(), 404),
        ("PUT /track", String::new(), 405),
        ("GET /healthz", String::new(), 200),
        ("OPTIONS /nowhere", "Access-Control-Request-Method: POST\r\n".to_owned(), 204),
        ("GET /#", String::new(), 400),
        ("POST /track", String::new(), 411),
        ("POST /track", "Content-Length: 2001\r\n".to_owned(), 413),
        (&format!("GET /track?data={long}"), String::new(), 414),
        ("GET /track", "Expect: better\r\n".to_owned(), 417),
        ("GET /track", format!("X-Long: {long}\r\n"), 431),
        ("BREW /track", String::new(), 501),
    ] {
        let mut client = HttpClient::connect(server.http()).expect("the server listens");
        let request = format!("{line} HTTP/1.1\r\nHost: h\r\n{headers}Origin: {PAGE}\r\n\r\n");
        client.send(request.as_bytes()).expect("the server reads");
        let answer = client.receive().expect("the server answers");
        assert_eq!(answer.status, status, "{line:.30}");
        assert_eq!(answer.header("access-control-allow-origin"), Some(PAGE), "{line:.30}");
        assert_eq!(answer.header("access-control-allow-credentials"), Some("true"), "{line:.30}");
    }
    server.stop();
}

on_each_runtime!(the_page_that_a_request_came_from_can_read_the_answer);
