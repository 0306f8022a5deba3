//! What is restored is what was acknowledged up to the cut and not confirmed before it, whoever is killed meanwhile.

use std::{
    collections::BTreeSet,
    fs,
    net::SocketAddr,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use windhover_conformance::{QueueClient, Random, Setup, report};

use super::{EndOnDrop, Place, spawn};

const QUEUES: [&str; 3] = ["one", "two", "three"];

/// What was done with one queue: items are numbered, put in order, and confirmed in order.
#[derive(Debug, Default)]
struct Books {
    /// Every number below was sent.
    sent: AtomicU64,
    /// Every number below was acknowledged, or is unknown.
    acknowledged: AtomicU64,
    /// Numbers of which no answer came.
    unknown: Mutex<BTreeSet<u64>>,
    /// Every number below was confirmed, and the server has said so.
    confirmed: AtomicU64,
    /// Every number below was given out, and may have been confirmed.
    given: AtomicU64,
}

/// Puts and takes items until it is told to end, whichever server there is.
fn write(queue: &str, books: &Books, address: &Mutex<SocketAddr>, end: &AtomicBool) {
    let mut client = None;
    while !end.load(Ordering::Relaxed) {
        let Some(connected) = client.as_mut() else {
            client = connect(address);
            continue;
        };
        let number = books.sent.fetch_add(1, Ordering::SeqCst);
        let len = 20 + usize::try_from(number * 7919 % 900).expect("a length");
        match QueueClient::set(connected, queue, format!("{number:0len$}").as_bytes()) {
            Ok(answer) if answer == "STORED" => {}
            Ok(answer) => panic!("{answer}"),
            Err(_) => {
                books.unknown.lock().expect("nobody panics").insert(number);
                client = None;
            }
        }
        books.acknowledged.store(number + 1, Ordering::SeqCst);
    }
}

fn read(queue: &str, books: &Books, address: &Mutex<SocketAddr>, end: &AtomicBool) {
    let mut client: Option<QueueClient> = None;
    let mut open = None;
    while !end.load(Ordering::Relaxed) {
        // Some stay, and the rest goes as fast as it comes.
        let stays = books.acknowledged.load(Ordering::SeqCst).saturating_sub(300);
        if books.given.load(Ordering::SeqCst) > stays {
            thread::sleep(Duration::from_millis(1));
            continue;
        }
        let Some(connected) = client.as_mut() else {
            (client, open) = (connect(address), None);
            continue;
        };
        match connected.get(&format!("{queue}/t=10/close/open")) {
            Ok(item) => {
                if let Some(number) = open.take() {
                    books.confirmed.fetch_max(number + 1, Ordering::SeqCst);
                }
                open = item.map(|item| number_of(&item));
                if let Some(number) = open {
                    books.given.fetch_max(number + 1, Ordering::SeqCst);
                }
            }
            Err(_) => client = None,
        }
    }
}

fn connect(address: &Mutex<SocketAddr>) -> Option<QueueClient> {
    let address = *address.lock().expect("nobody panics");
    let client = QueueClient::connect(address);
    if client.is_err() {
        thread::sleep(Duration::from_millis(5));
    }
    client.ok()
}

fn number_of(item: &[u8]) -> u64 {
    let text = std::str::from_utf8(item).expect("digits");
    text.parse().expect("a number")
}

/// A removal may not be in the journal yet that a consumer was told of; so many at most.
const UNWRITTEN: u64 = 1000;

/// What may be in a queue of a backup, by what was known before it and after.
struct Window {
    acknowledged: u64,
    confirmed: u64,
}

impl Window {
    fn of(books: &Books) -> Self {
        let confirmed = books.confirmed.load(Ordering::SeqCst);
        Self { acknowledged: books.acknowledged.load(Ordering::SeqCst), confirmed }
    }

    /// What was acknowledged before and not given out since has to be there; what was confirmed before or sent
    /// after must not; and between the first and the last there is no gap.
    #[track_caller]
    fn check(&self, books: &Books, after: &Window, sent: u64, given: u64, items: &[Vec<u8>]) {
        let numbers: Vec<u64> = items.iter().map(|item| number_of(item)).collect();
        let unknown = books.unknown.lock().expect("nobody panics");
        let first = numbers.first().copied().unwrap_or(after.acknowledged);
        let last = numbers.last().map_or(first, |last| last + 1);
        assert!(first + UNWRITTEN >= self.confirmed, "{first} was confirmed long before");
        assert!(first <= given, "{first} is the first, and only {given} were given out");
        let missing = (last..self.acknowledged).find(|number| !unknown.contains(number));
        assert_eq!(
            missing, None,
            "acknowledged before the backup, and not in it: {last} is its end"
        );
        assert!(last <= sent, "{last} was sent after the backup");
        let mut expected = first;
        for number in numbers {
            while expected < number && unknown.contains(&expected) {
                expected += 1;
            }
            assert_eq!(number, expected, "a gap, or twice the same");
            expected += 1;
        }
    }
}

/// Who is killed in the middle of a backup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Killed {
    Nobody,
    Backup,
    Server,
}

#[test]
fn what_is_restored_is_what_was_acknowledged_up_to_the_cut() {
    let cuts =
        std::env::var("WINDHOVER_BACKUP_CUTS").map_or(8, |text| text.parse().expect("a number"));
    let place = Place::new("backup-cuts");
    let setup = Setup::new(place.data())
        // Small, so that segments are closed, given up and written over all the time.
        .flag("--segment-bytes", "65536")
        .flag("--max-queue-items", "10000000");
    let mut random = Random::from_environment();
    let first = setup.start();
    let address = Mutex::new(first.queue());
    let mut server = Some(first);
    let end = AtomicBool::new(false);
    let books: Vec<Books> = QUEUES.iter().map(|_| Books::default()).collect();
    let (mut killed_backups, mut killed_servers, mut items, mut all_counted) = (0, 0, 0, 0);
    let began = Instant::now();
    thread::scope(|scope| {
        // Also when an assertion fails.
        let end = EndOnDrop(&end);
        for (queue, books) in QUEUES.iter().zip(&books) {
            let (address, end) = (&address, end.0);
            scope.spawn(move || write(queue, books, address, end));
            scope.spawn(move || read(queue, books, address, end));
        }
        for cut in 0..cuts {
            thread::sleep(random.millis(5, 100));
            let who = match cut % 4 {
                1 => Killed::Backup,
                3 => Killed::Server,
                _ => Killed::Nobody,
            };
            if who == Killed::Backup {
                let mut child = spawn(&place);
                thread::sleep(random.millis(1, 25));
                child.kill().expect("a child can be killed");
                child.wait().expect("a child can be waited for");
                killed_backups += 1;
            }
            let before: Vec<Window> = books.iter().map(Window::of).collect();
            if who == Killed::Server {
                let mut child = spawn(&place);
                thread::sleep(random.millis(1, 15));
                server.take().expect("it runs").kill();
                child.wait().expect("a child can be waited for");
                killed_servers += 1;
            }
            let made = place.backup();
            let sent: Vec<(u64, u64)> = books
                .iter()
                .map(|books| {
                    (books.sent.load(Ordering::SeqCst), books.given.load(Ordering::SeqCst))
                })
                .collect();
            let after: Vec<Window> = books.iter().map(Window::of).collect();
            if who == Killed::Server {
                let started = setup.start();
                *address.lock().expect("nobody panics") = started.queue();
                server = Some(started);
            }
            let name = format!("restored-{cut}");
            let restored = place.restore(&name, &[]).start();
            let mut client = restored.queue_client();
            let mut all = 0;
            for (at, queue) in QUEUES.iter().enumerate() {
                let found = client.drain(queue).expect("the queue gives its items");
                all += found.len() as u64;
                let (sent, given) = sent[at];
                before[at].check(&books[at], &after[at], sent, given, &found);
            }
            // Not there when segments went faster than they could be counted.
            if let Some(counted) = made["items"].as_u64() {
                assert_eq!(counted, all, "the manifest says how many there are");
                all_counted += 1;
            }
            items += all;
            restored.kill();
            fs::remove_dir_all(place.path(&name)).expect("it can be removed");
        }
    });
    place.told(&["verify"]);
    let put: u64 = books.iter().map(|books| books.acknowledged.load(Ordering::SeqCst)).sum();
    report(&format!(
        "{cuts} cuts in {:.1?} ({killed_backups} backups and {killed_servers} servers killed): {put} items put, \
         {items} restored, each as it was at its cut; {all_counted} manifests say how many there were",
        began.elapsed()
    ));
}
