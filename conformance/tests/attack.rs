//! The client before a hostile server (`windhover-conformance attack`): it does what a right client does.
#![allow(clippy::panic, clippy::expect_used, clippy::unwrap_used)]

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use windhover_client::Client;
use windhover_conformance::attack::{Attack, AttackOptions, FAULTS, HostileFault};
use windhover_conformance::{Runtime, on_each_runtime, sleep};

/// Shorter than what is late.
const TIMEOUT: Duration = Duration::from_millis(200);
/// Says "does not hang".
const BOUND: Duration = Duration::from_secs(10);

/// Asks until an answer comes; whatever comes meanwhile is an error.
async fn own_value(client: &Client, key: &str, fault: &HostileFault) {
    let until = Instant::now() + BOUND;
    loop {
        match client.get(key).await {
            Ok(found) => {
                let value = found.unwrap_or_else(|| panic!("{}: a miss", fault.name));
                assert_eq!(value.text().unwrap(), format!("value of {key}"), "{}", fault.name);
                return;
            }
            Err(error) => assert!(Instant::now() < until, "{}: {error:#}", fault.name),
        }
        sleep(Duration::from_millis(10)).await;
    }
}

async fn no_fault_becomes_a_value_or_a_miss(runtime: Runtime) {
    for fault in FAULTS {
        let listen = SocketAddr::from(([127, 0, 0, 1], 0));
        let attack =
            Attack::start(AttackOptions { listen, faults: vec![fault], every: 2, times: 1 })
                .unwrap();
        let builder = Client::builder().server(&attack.address().to_string()).timeout(TIMEOUT);
        let client = runtime.connect(builder);
        own_value(&client, "first", fault).await;
        let since = Instant::now();
        let outcome = client.get("second").await;
        let took = since.elapsed();
        assert!(took < TIMEOUT * 4, "{} took {took:?}", fault.name);
        match outcome {
            Ok(found) => {
                let value = found.unwrap_or_else(|| panic!("{}: a miss", fault.name));
                assert_eq!(value.text().unwrap(), "value of second", "{}", fault.name);
            }
            Err(error) => {
                let text = error.to_string();
                assert!(text.contains("second"), "{}: {error:#}", fault.name);
            }
        }
        own_value(&client, "third", fault).await;
    }
}

on_each_runtime!(async: no_fault_becomes_a_value_or_a_miss);
