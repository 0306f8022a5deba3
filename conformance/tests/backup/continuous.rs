//! Backups that a server makes of its own.

use std::fs;

use serde_json::Value;
use windhover_conformance::{Server, Setup, eventually};

use super::{BOUND, Place, drained, fill};

/// The value of a metric.
fn metric(server: &Server, name: &str) -> f64 {
    server.metric(name).unwrap_or_else(|| panic!("there is no {name}"))
}

#[test]
fn a_server_makes_backups_of_its_own_and_goes_on_while_the_destination_is_away() {
    let place = Place::new("backup-continuous");
    let to = place.to().to_str().expect("a path in UTF-8").to_owned();
    let setup = Setup::new(place.data())
        .flag("--segment-bytes", "65536")
        .flag("--backup-to", &to)
        .flag("--backup-every", "1s");
    let server = setup.start();
    fill(&server, "q", 20, 10_000);
    let listed = |items: u64| {
        eventually("a backup of all", BOUND, || {
            let outcome = place.run(&["list"]);
            let listed: Value = serde_json::from_str(&outcome.stdout).ok()?;
            let last = listed.as_array()?.last()?;
            (last["items"].as_u64() == Some(items)).then_some(())
        });
    };
    listed(20);
    eventually("no lag", BOUND, || {
        (metric(&server, "windhover_backup_lag_bytes") == 0.0).then_some(())
    });
    assert!(metric(&server, "windhover_backup_age_seconds") < 60.0);
    assert!(metric(&server, "windhover_backup_drilled_age_seconds").is_infinite());

    // The destination goes away, and everything else goes on.
    let away = place.path("away");
    fs::rename(place.to(), &away).expect("it can be renamed");
    fs::write(place.to(), "not a directory").expect("it can be written");
    fill(&server, "q", 30, 10_000);
    eventually("a failure", BOUND, || {
        (metric(&server, "windhover_backup_healthy") == 0.0).then_some(())
    });
    assert!(metric(&server, "windhover_backup_lag_bytes") > 300_000.0);
    assert!(metric(&server, "windhover_backup_lag_seconds") > 0.0);
    assert!(metric(&server, "windhover_backup_failures_total") > 0.0);
    assert!(server.log().contains("backups fail"), "{}", server.log());
    fs::remove_file(place.to()).expect("it can be removed");
    fs::rename(&away, place.to()).expect("it can be renamed");
    listed(50);
    eventually("it is told", BOUND, || server.log().contains("made again").then_some(()));

    // What a killed server had shipped is there, and another server goes on with it.
    server.kill();
    place.told(&["verify"]);
    place.told(&["drill"]);
    let server = setup.start();
    fill(&server, "q", 10, 10_000);
    listed(60);
    eventually("it is known when it was drilled", BOUND, || {
        (metric(&server, "windhover_backup_drilled_age_seconds") < 600.0).then_some(())
    });
    server.stop();
    let restored = place.restore("restored", &[]);
    assert_eq!(drained(&restored, "q").len(), 60);
}
