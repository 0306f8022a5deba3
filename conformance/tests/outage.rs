//! The outage that this project comes from, replayed: one of three queue servers hangs, is killed,
//! and comes back, under load; and none of them is there at all. `WINDHOVER_OUTAGE=60` lets it hang for as many seconds.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::HashSet;
use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use serde_json::Value;
use windhover_conformance::{
    HttpAnswer, HttpClient, Load, QueueClient, Runtime, Sent, Server, Setup, TempDir, eventually,
    on_each_runtime, report,
};

/// No request may take longer.
const TIMEOUT: Duration = Duration::from_millis(500);
const LOAD: Load = Load { senders: 8, pause: Duration::from_millis(10), late: TIMEOUT };

fn track(client: &mut HttpClient, id: &str) -> HttpAnswer {
    let event = format!(
        "%7B%22event%22:%22e%22,%22properties%22:%7B%22token%22:%22t%22,%22id%22:%22{id}%22%7D%7D"
    );
    client.get(&format!("/track?data={event}")).unwrap()
}

fn ids(queue: SocketAddr) -> Vec<String> {
    let items = QueueClient::connect(queue).unwrap().drain("events").unwrap();
    let id = |item: &Vec<u8>| {
        let event: Value = serde_json::from_slice(item).unwrap();
        event["properties"]["id"].as_str().unwrap().to_owned()
    };
    items.iter().map(id).collect()
}

fn no_accepted_event_is_lost_and_no_request_waits(runtime: Runtime) {
    let hang = std::env::var("WINDHOVER_OUTAGE").map_or(6, |seconds| seconds.parse().unwrap());
    let hang = Duration::from_secs(hang);
    let directories: Vec<_> = (0..3).map(|_| TempDir::new("outage-queue")).collect();
    let mut queues: Vec<Server> =
        directories.iter().map(|directory| Setup::new(directory.path()).start()).collect();
    let addresses: Vec<SocketAddr> = queues.iter().map(Server::queue).collect();
    let list: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    let journal = TempDir::new("outage-tracker");
    let tracker = Setup::new(journal.path())
        .runtime(runtime)
        .flag("--queue", &format!("kestrel://{}", list.join(",")))
        .start();

    let track_id = |client: &mut HttpClient, id: &str, _| track(client, id).accepted();
    let sent = LOAD.run(tracker.http(), track_id, || {
        thread::sleep(Duration::from_secs(2));
        queues[1].pause();
        thread::sleep(hang);
        queues.remove(1).kill();
        thread::sleep(Duration::from_secs(2));
        let back = Setup::new(directories[1].path()).queue_at(addresses[1]).start();
        let before = back.items("events");
        eventually("the server that is back gets its share again", Duration::from_secs(30), || {
            (back.items("events") > before + 50).then_some(())
        });
        queues.insert(1, back);
    });

    eventually("everything is delivered", Duration::from_secs(30), || {
        (tracker.items("events") == 0).then_some(())
    });
    // Stopped in order: nothing is on its way any more.
    let log = tracker.log();
    tracker.stop();
    let Sent { accepted, refused, longest, late } = sent;
    let accepted: HashSet<String> = accepted.into_iter().collect();
    let mut delivered = Vec::new();
    let mut shares = Vec::new();
    for queue in &queues {
        let ids = ids(queue.queue());
        shares.push(ids.len());
        delivered.extend(ids);
    }
    let left: Vec<String> = {
        let again = Setup::new(journal.path()).start();
        ids(again.queue())
    };
    let twice = delivered.len() - delivered.iter().collect::<HashSet<_>>().len();
    let there: HashSet<String> = delivered.into_iter().chain(left.iter().cloned()).collect();
    report(&format!(
        "outage of {hang:?}, {}: {} accepted, {refused} refused, {} lost, {twice} delivered twice, \
         {} left in the journal, longest answer {longest:?}, {late} over {TIMEOUT:?}, \
         shares {shares:?}",
        runtime.name(),
        accepted.len(),
        accepted.difference(&there).count(),
        left.len(),
    ));
    assert_eq!(accepted.difference(&there).count(), 0, "{log}");
    assert_eq!(refused, 0, "{log}");
    // A loose bound: a machine may be busy with other tests.
    assert!(longest < Duration::from_secs(5), "an answer took {longest:?}");
    assert!(log.contains("out of use") && log.contains("in use again"), "{log}");
}

fn without_a_queue_server_events_stay_in_the_journal_until_it_is_full(runtime: Runtime) {
    let (journal, remote) = (TempDir::new("outage-tracker"), TempDir::new("outage-queue"));
    // A port that was somebody's, and is nobody's now.
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let tracker = Setup::new(journal.path())
        .runtime(runtime)
        .flag("--queue", &format!("kestrel://{gone}"))
        .flag("--max-queue-items", "50")
        .start();
    let mut client = tracker.http_client();
    let mut track = |id: usize| track(&mut client, &id.to_string());
    let statuses: Vec<u16> = (0..60).map(|id| track(id).status).collect();
    assert_eq!(statuses, [[200].repeat(50), [503].repeat(10)].concat(), "full is not accepted");

    let queue = Setup::new(remote.path()).queue_at(gone).start();
    let mut delivered = Vec::new();
    eventually("what was accepted is delivered", Duration::from_secs(30), || {
        delivered.extend(ids(queue.queue()));
        (delivered.len() >= 50).then_some(())
    });
    let expected: Vec<String> = (0..50).map(|id| id.to_string()).collect();
    assert_eq!(delivered, expected, "in the order in which it was accepted");
}

on_each_runtime!(
    no_accepted_event_is_lost_and_no_request_waits,
    without_a_queue_server_events_stay_in_the_journal_until_it_is_full,
);
