//! Requests that HTTP servers have read in more than one way, to the tracker on each runtime, to hyper and
//! to nginx: where they see something else than we do, we have refused it.
#![allow(clippy::panic, clippy::expect_used)]

mod corpus;
mod nginx;
mod ours;
mod tracker;

use windhover_conformance::{Runtime, on_each_runtime, report};
use windhover_fuzz::reference::hyper;

use crate::corpus::{Entry, Peer};
use crate::nginx::Nginx;

/// A request, as somebody sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    method: String,
    target: String,
    body: String,
}

impl Seen {
    fn new(method: &str, target: &str, body: &[u8]) -> Self {
        // A server is asked for its root.
        let target = match target {
            "" => "/".to_owned(),
            query if query.starts_with('?') => format!("/{query}"),
            target => target.to_owned(),
        };
        Self { method: method.to_owned(), target, body: body.escape_ascii().to_string() }
    }
}

/// How a peer's reading lies beside ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Beside {
    /// Both see the same.
    Same,
    /// We refuse what it takes.
    WeRefuse,
    /// It refuses what we take.
    ItRefuses,
}

/// Compares what was seen; the words of a disagreement that is no refusal.
fn compare(ours: &ours::Reading, theirs: &[Seen]) -> Result<Beside, String> {
    let both = ours.requests.iter().zip(theirs);
    if let Some((ours, theirs)) = both.into_iter().find(|(ours, theirs)| ours != theirs) {
        return Err(format!("we see {ours:?}, it sees {theirs:?}"));
    }
    match ours.requests.len().cmp(&theirs.len()) {
        std::cmp::Ordering::Equal => Ok(Beside::Same),
        std::cmp::Ordering::Less if ours.error.is_some() => Ok(Beside::WeRefuse),
        std::cmp::Ordering::Less => {
            Err(format!("we end without a word, it sees {:?}", &theirs[ours.requests.len()..]))
        }
        std::cmp::Ordering::Greater => Ok(Beside::ItRefuses),
    }
}

/// Compares every request with what a peer sees; what is to be said of each disagreement.
fn compare_all(peer: Peer, entries: &[Entry], read: impl Fn(&[u8]) -> Vec<Seen>) -> Vec<String> {
    let mut faults = Vec::new();
    let (mut same, mut we_refuse, mut it_refuses) = (0, 0, 0);
    for entry in entries {
        let theirs = read(&entry.bytes);
        let name = &entry.name;
        match compare(&ours::read(&entry.bytes), &theirs) {
            Ok(Beside::Same) => same += 1,
            Ok(Beside::WeRefuse) => we_refuse += 1,
            Ok(Beside::ItRefuses) if entry.is_refused_by(peer) => it_refuses += 1,
            Ok(Beside::ItRefuses) => {
                faults.push(format!("{name}: it refuses what we take; it sees {theirs:?}"));
            }
            Err(fault) => faults.push(format!("{name}: {fault}")),
        }
    }
    let all = entries.len();
    report(&format!(
        "{peer:?}: of {all}, {same} are seen alike, {we_refuse} are refused by us, {it_refuses} by it"
    ));
    let noted = entries.iter().filter(|entry| entry.is_refused_by(peer)).count();
    if faults.is_empty() && noted != it_refuses {
        faults.push(format!("{noted} are noted as refused by {peer:?}, {it_refuses} were"));
    }
    faults
}

#[test]
fn what_hyper_sees_we_see_or_refuse() {
    let read = |bytes: &[u8]| -> Vec<Seen> {
        let target = |path: &str, query: &str| {
            if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") }
        };
        let (requests, _) = hyper::read(bytes);
        requests
            .iter()
            .map(|seen| Seen::new(&seen.method, &target(&seen.path, &seen.query), &seen.body))
            .collect()
    };
    let faults = compare_all(Peer::Hyper, &corpus::entries(), read);
    assert!(faults.is_empty(), "{} disagreements:\n{}", faults.len(), faults.join("\n"));
}

#[test]
fn what_nginx_sees_we_see_or_refuse() {
    let nginx = Nginx::start();
    let faults = compare_all(Peer::Nginx, &corpus::entries(), |bytes| nginx.read(bytes));
    assert!(faults.is_empty(), "{} disagreements:\n{}", faults.len(), faults.join("\n"));
}

/// The built binary answers as many requests as its reader sees, and refuses what that refuses.
fn the_tracker_answers_what_its_reader_sees(runtime: Runtime) {
    let tracker = tracker::Tracker::start(runtime);
    let mut faults = Vec::new();
    for entry in corpus::entries() {
        let expected = ours::read(&entry.bytes);
        if let Err(fault) = tracker.answers(&entry.bytes, &expected) {
            faults.push(format!("{}: {fault}", entry.name));
        }
    }
    assert!(faults.is_empty(), "{} differ:\n{}", faults.len(), faults.join("\n"));
    tracker.stop();
}

on_each_runtime!(the_tracker_answers_what_its_reader_sees);
