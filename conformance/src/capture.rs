//! What goes over the loopback interface, with the kernel's times of it.

use std::{
    collections::BTreeMap,
    io::{BufRead as _, BufReader},
    net::Ipv4Addr,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::Duration,
};

use rustix::process::Signal;

use crate::{directory::TempDir, process::eventually, process::signal};

const START: Duration = Duration::from_secs(30);

/// tcpdump, which writes down what goes to and from a port of 127.0.0.1. Needs root.
#[derive(Debug)]
pub struct Capture {
    child: Child,
    port: u16,
    file: PathBuf,
    _files: TempDir,
}

/// A segment with data in it.
#[derive(Clone, Copy, Debug)]
struct Segment {
    /// Nanoseconds.
    at: u64,
    client: u16,
    is_request: bool,
}

impl Capture {
    /// Begins.
    #[track_caller]
    pub fn of(port: u16) -> Self {
        let files = TempDir::new("capture");
        let file = files.path().join("packets");
        let mut child = Command::new("tcpdump")
            .args(["-i", "lo", "-n", "-s", "80", "-B", "65536", "-Z", "root"])
            .args(["--time-stamp-precision=nano", "-w"])
            .arg(&file)
            .args(["tcp", "and", "port", &port.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("tcpdump is there: `conformance/install` installs it");
        let mut lines = BufReader::new(child.stderr.take().expect("it is piped")).lines();
        let begun = lines.any(|line| line.is_ok_and(|line| line.contains("listening on lo")));
        assert!(begun, "tcpdump did not begin: it has to be run as root");
        // It says more at its end, and must not find nobody there.
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, port, file, _files: files }
    }

    /// Ends; how long each answer took on the wire, in nanoseconds, from the first segment of its request to the
    /// last one of its own, where each connection has one request at a time. The first of each connection is left
    /// out.
    #[track_caller]
    pub fn round_trips(mut self) -> Vec<u64> {
        // What the kernel has not handed over yet is read within a second; tcpdump's end does not wait for it.
        std::thread::sleep(Duration::from_millis(1500));
        signal(&self.child, Signal::INT);
        let child = &mut self.child;
        eventually("the end of tcpdump", START, || child.try_wait().expect("a child"));
        let bytes = std::fs::read(&self.file).expect("tcpdump has written");
        let mut trips = Vec::new();
        let mut connections: BTreeMap<u16, Connection> = BTreeMap::new();
        for segment in segments(&bytes, self.port) {
            let connection = connections.entry(segment.client).or_default();
            match (segment.is_request, connection.answered) {
                // The answer before is over.
                (true, Some(answered)) => {
                    trips.extend(connection.end(answered));
                    connection.asked = Some(segment.at);
                }
                (true, None) => connection.asked = connection.asked.or(Some(segment.at)),
                (false, _) => connection.answered = Some(segment.at),
            }
        }
        for mut connection in connections.into_values() {
            if let Some(answered) = connection.answered {
                trips.extend(connection.end(answered));
            }
        }
        trips
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[derive(Debug, Default)]
struct Connection {
    asked: Option<u64>,
    answered: Option<u64>,
    trips: u64,
}

impl Connection {
    fn end(&mut self, answered: u64) -> Option<u64> {
        let asked = self.asked.take();
        self.answered = None;
        self.trips += 1;
        asked.filter(|_| self.trips > 1).map(|asked| answered - asked)
    }
}

/// The segments with data in a file of tcpdump's, in its order (pcap with nanoseconds, of Ethernet frames).
fn segments(bytes: &[u8], port: u16) -> Vec<Segment> {
    let number = |at: usize| {
        bytes.get(at..at + 4).map(|it| u32::from_le_bytes([it[0], it[1], it[2], it[3]]))
    };
    assert_eq!(number(0), Some(0xa1b2_3c4d), "it is not little-endian pcap with nanoseconds");
    let (mut at, mut found) = (24, Vec::new());
    while let (Some(seconds), Some(nanos), Some(kept)) =
        (number(at), number(at + 4), number(at + 8))
    {
        let kept = kept as usize;
        let time = u64::from(seconds) * 1_000_000_000 + u64::from(nanos);
        if let Some(frame) = bytes.get(at + 16..at + 16 + kept) {
            found.extend(segment(frame, port, time));
        }
        at += 16 + kept;
    }
    found
}

fn segment(frame: &[u8], port: u16, at: u64) -> Option<Segment> {
    let ip = frame.get(14..)?;
    let is_local = |from: usize| ip.get(from..from + 4) == Some(&Ipv4Addr::LOCALHOST.octets());
    if ip.first()? >> 4 != 4 || !is_local(12) || !is_local(16) {
        return None;
    }
    let word =
        |bytes: &[u8], at: usize| Some(u16::from_be_bytes([*bytes.get(at)?, *bytes.get(at + 1)?]));
    let head = usize::from(ip.first()? & 15) * 4;
    let tcp = ip.get(head..)?;
    let data = usize::from(word(ip, 2)?) - head - usize::from(tcp.get(12)? >> 4) * 4;
    let (source, destination) = (word(tcp, 0)?, word(tcp, 2)?);
    let is_request = destination == port;
    let client = if is_request { source } else { destination };
    (data > 0).then_some(Segment { at, client, is_request })
}
