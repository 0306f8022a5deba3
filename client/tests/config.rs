//! Options from a file.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::time::Duration;

use windhover_client::protocol::client::ring::{HashTag, KeyHash, Naming};
use windhover_client::protocol::client::{ClusterOptions, Rotation, ServerSelection};
use windhover_client::{Builder, ClientConfig, ConfigError};

fn read(text: &str) -> ClientConfig {
    toml::from_str(text).unwrap()
}

/// The options that a builder has in the end.
fn options(builder: Builder) -> ClusterOptions {
    let mut all = None;
    drop(builder.options(|options| all = Some(options.clone())));
    all.unwrap()
}

const WHOLE: &str = r#"
    kind = "queue"
    servers = ["q-1", { address = "q-2:22134", name = "old", weight = 3 }]
    timeout = "2s 500ms"
    connect_timeout = "1s"
    attempt_timeout = "400ms"
    slow = "80ms"
    stall_timeout = "3s"
    write_timeout = "4s"
    idle_timeout = "10m"
    attempts = 5
    connections = 2
    opened_in_advance = 1
    exclusive = 8
    waiting = 100
    hedge = "20ms"
    max_age = "1h 30m"
    rotation = "random"
    key_prefix = "app:"
    compression = "read-only"
    largest_decompressed = 1000
    meta = "never"
    retries = { percent = 1, per_second = 2 }
    credentials = { user = "u", password = "secret" }
    compression_flags = { zlib = 2 }

    [health]
    failures = 7
    backoff = "200ms"
    longest_backoff = "9s"
    keep_last = false

    [ketama]
    naming = "twemproxy-address"
    hash = "fnv1a-64"
    tag = "{}"

    [limits]
    key = 100
    value = 8388608
    line = 4096
    get_line = 8192
    pipeline = 16
"#;

#[test]
fn every_option_can_stand_in_a_file() {
    let config = read(WHOLE);
    let (client, _driver) = config.builder().unwrap().build().unwrap();
    let servers: Vec<_> = client
        .servers()
        .into_iter()
        .map(|(_, server)| (server.name.to_string(), server.address.to_string(), server.weight))
        .collect();
    let server = |name: &str, address: &str, weight| (name.to_owned(), address.to_owned(), weight);
    assert_eq!(servers, [server("q-1:22133", "q-1:22133", 1), server("old", "q-2:22134", 3)]);
    let options = options(config.builder().unwrap());
    let ms = Duration::from_millis;
    assert_eq!(
        [options.connect_timeout, options.attempt_timeout, options.slow],
        [ms(1000), ms(400), ms(80)]
    );
    let timeouts = &options.timeouts;
    assert_eq!([timeouts.stall, timeouts.write, timeouts.idle], [3, 4, 600].map(|s| ms(s * 1000)));
    assert_eq!((options.hedge, options.max_age), (Some(ms(20)), Some(ms(5_400_000))));
    assert_eq!((options.attempts, options.connections, options.opened_in_advance), (5, 2, 1));
    assert_eq!((options.exclusive, options.waiting), (8, 100));
    assert_eq!(options.rotation, Rotation::Random);
    assert_eq!((options.retries.percent, options.retries.per_second), (1, 2));
    assert_eq!((options.health.failures, options.health.keep_last), (7, false));
    let backoff = &options.health.backoff;
    assert_eq!((backoff.first, backoff.most), (ms(200), ms(9000)));
    let ketama = ServerSelection::Ketama {
        naming: Naming::TwemproxyAddress,
        hash: KeyHash::Fnv1a64,
        tag: Some(HashTag { open: b'{', close: b'}' }),
    };
    assert_eq!(options.selection, ketama);
    let limits = &options.limits;
    assert_eq!((limits.key, limits.value, limits.line), (100, 8 << 20, 4096));
    assert_eq!((limits.get_line, limits.pipeline), (8192, 16));
    assert_eq!(options.credentials.unwrap().user, "u");
    assert!(!format!("{config:?}").contains("secret"));
}

#[test]
fn what_is_left_out_is_as_without_a_file() {
    let kinds = [
        ("kind = \"cache\"", ClusterOptions::default()),
        ("", ClusterOptions::default()),
        ("kind = \"queue\"", ClusterOptions::queues()),
    ];
    for (text, usual) in kinds {
        let options = options(read(text).builder().unwrap());
        assert_eq!(format!("{options:?}"), format!("{usual:?}"), "{text}");
    }
    let off = options(read("hedge = \"off\"\nmax_age = \"off\"").builder().unwrap());
    assert_eq!((off.hedge, off.max_age), (None, None));
    assert!(read("").builder().unwrap().build().is_err(), "there is no server");
}

#[test]
fn another_format_does_as_well() {
    let json = r#"{"servers": ["a"], "timeout": "1s", "selection": "rendezvous"}"#;
    let config: ClientConfig = serde_json::from_str(json).unwrap();
    let builder = config.builder().unwrap();
    assert_eq!(options(builder.clone()).selection, ServerSelection::Rendezvous);
    assert!(builder.build().is_ok());
}

#[test]
fn what_cannot_be_meant_is_refused_and_named() {
    for (text, why) in [
        ("timeuot = \"1s\"", "unknown field `timeuot`"),
        ("[health]\nfailure = 3", "unknown field `failure`"),
        ("timeout = \"1 parsec\"", "`1 parsec` is no time such as `250ms`"),
        ("timeout = \"off\"", "`off` is no time such as `250ms`"),
        ("timeout = 250", "invalid type: integer `250`"),
        ("hedge = \"soon\"", "`soon` is no time"),
        ("kind = \"database\"", "unknown variant `database`"),
        ("selection = \"modulo\"", "unknown variant `modulo`"),
        ("servers = [7]", "expected an address, or a table"),
        ("servers = [{ adress = \"a\" }]", "expected an address, or a table"),
        ("[ketama]\ntag = \"{\"", "expected two characters"),
        ("credentials = { user = \"u\" }", "missing field `password`"),
        ("attempts = -1", "-1"),
    ] {
        let error = toml::from_str::<ClientConfig>(text).unwrap_err().to_string();
        assert!(error.contains(why), "{text}: {error}");
    }
}

#[test]
fn what_can_be_read_and_not_be_done_is_refused_by_the_builder() {
    let error = read("selection = \"rendezvous\"\nketama = {}").builder().unwrap_err();
    assert!(matches!(error, ConfigError::NotKetama), "{error}");
    for address in ["", "a b", "memcached://a"] {
        let builder = read(&format!("servers = [{address:?}]")).builder().unwrap();
        let Err(error) = builder.build() else { panic!("{address}") };
        assert!(error.to_string().contains(address), "{error}");
    }
    #[cfg(not(feature = "zlib"))]
    {
        let error = read("compression = \"zlib\"").builder().unwrap_err();
        assert!(matches!(error, ConfigError::NotBuiltIn { feature: "zlib" }), "{error}");
    }
}

#[cfg(feature = "tls")]
#[test]
fn files_of_tls_are_read_and_one_that_is_not_there_is_named() {
    let text = "[tls]\nauthorities = \"/nowhere/authorities.pem\"";
    let error = read(text).builder().unwrap_err();
    assert_eq!(error.to_string(), "cannot read /nowhere/authorities.pem");
    assert!(matches!(&error, ConfigError::File { source, .. } if source.raw_os_error() == Some(2)));
    let key = rcgen::generate_simple_self_signed(["cache.example".to_owned()]).unwrap();
    let file = std::env::temp_dir().join(format!("windhover-config-{}.pem", std::process::id()));
    std::fs::write(&file, key.cert.pem()).unwrap();
    let whole = format!("[tls]\nauthorities = {file:?}\nserver_name = \"cache.example\"");
    let (good, half) = (read(&whole).builder(), read(&format!("{whole}\nkey = \"k\"")).builder());
    std::fs::remove_file(&file).unwrap();
    assert!(good.is_ok(), "{:?}", good.err());
    assert!(matches!(half.unwrap_err(), ConfigError::HalfCertificate));
}
