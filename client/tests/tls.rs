//! TLS in the driver's hands, against rustls at the other end, with a socket that moves a few bytes
//! at a time.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::VecDeque;
use std::error::Error as _;
use std::future::Future;
use std::io::{self, Read as _, Write as _};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::crypto::ring;
use rustls::pki_types::PrivateKeyDer;
use rustls::version::{TLS12, TLS13};
use rustls::{AlertDescription, ServerConfig, ServerConnection, SupportedProtocolVersion};
use windhover_client::protocol::client::{
    CallError, ConnectFailure, ConnectionId, NotSent, Server,
};
use windhover_client::protocol::memcache::{End, Reason};
use windhover_client::{Builder, Client, Driver, DriverStep, Error, ErrorKind, Tls};

const NAME: &str = "cache.example.com";
const VERSIONS: [&SupportedProtocolVersion; 2] = [&TLS12, &TLS13];

/// A server's certificate, which is its own authority.
struct Identity {
    config: Arc<ServerConfig>,
    pem: String,
}

impl Identity {
    fn new(version: &'static SupportedProtocolVersion) -> Self {
        let CertifiedKey { cert, signing_key } =
            generate_simple_self_signed([NAME.to_owned()]).unwrap();
        let pem = cert.pem();
        let key = PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(&[version])
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![cert.der().clone()], key)
            .unwrap();
        Self { config: Arc::new(config), pem }
    }

    fn tls(&self) -> Tls {
        Tls::trusting(self.pem.as_bytes()).unwrap()
    }
}

/// The other end, and the two directions of the socket.
struct Far {
    tls: ServerConnection,
    to_server: VecDeque<u8>,
    to_client: VecDeque<u8>,
    /// What the client says.
    heard: Vec<u8>,
    /// All that has come from the client, as it was on the wire.
    wire: Vec<u8>,
    /// The client has said that nothing more comes.
    was_told_the_end: bool,
    /// So many more bytes reach the client, then the stream ends.
    left: usize,
}

impl Far {
    fn new(identity: &Identity) -> Self {
        Self {
            tls: ServerConnection::new(Arc::clone(&identity.config)).unwrap(),
            to_server: VecDeque::new(),
            to_client: VecDeque::new(),
            heard: Vec::new(),
            wire: Vec::new(),
            was_told_the_end: false,
            left: usize::MAX,
        }
    }

    /// Reads and writes all that there is.
    fn work(&mut self) -> Result<(), rustls::Error> {
        while !self.to_server.is_empty() {
            self.tls.read_tls(&mut self.to_server).unwrap();
            self.tls.process_new_packets()?;
            match self.tls.reader().read_to_end(&mut self.heard) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                read => {
                    read.unwrap();
                    self.was_told_the_end = true;
                }
            }
        }
        while self.tls.wants_write() {
            self.tls.write_tls(&mut self.to_client).unwrap();
        }
        Ok(())
    }

    fn say(&mut self, bytes: &[u8]) {
        self.tls.writer().write_all(bytes).unwrap();
    }
}

/// A client, the connection that it asked for, and the socket to the other end.
struct Near {
    client: Client,
    driver: Driver,
    connection: Option<ConnectionId>,
    /// Most bytes that the socket moves at a time; with none it is full.
    most: usize,
}

impl Near {
    fn new(builder: Builder, most: usize) -> Self {
        let long = Duration::from_secs(600);
        let builder = builder.timeout(long).options(|options| {
            options.attempts = 1;
            options.connect_timeout = long;
            options.timeouts.stall = long;
        });
        let (client, driver) = builder.build().unwrap();
        Self { client, driver, connection: None, most }
    }

    /// Drives its connection once, as an adapter does; whether anything moved.
    fn work(&mut self, far: &mut Far) -> bool {
        if let DriverStep::Connect { connection, .. } = self.driver.next(Waker::noop()) {
            self.connection = Some(connection);
            self.driver.connected(connection);
        }
        let Some(connection) = self.connection else { return false };
        let turn = self.driver.turn(connection, Waker::noop());
        if turn.is_closed {
            self.connection = None;
            return false;
        }
        let most = self.most;
        let mut moved = false;
        if turn.wants_write {
            let wrote = self.driver.write(connection, |slices| {
                if most == 0 {
                    return Poll::Pending;
                }
                let bytes: Vec<u8> =
                    slices.iter().flat_map(|slice| slice.iter().copied()).take(most).collect();
                far.wire.extend(&bytes);
                far.to_server.extend(&bytes);
                Poll::Ready(Ok(bytes.len()))
            });
            moved |= wrote.is_ready();
        }
        let read = self.driver.read(connection, |buffer| {
            let n = most.min(far.to_client.len()).min(far.left);
            if n == 0 && far.left > 0 {
                return Poll::Pending;
            }
            far.left -= n;
            buffer.extend(far.to_client.drain(..n));
            Poll::Ready(Ok(n))
        });
        moved | read.is_ready()
    }
}

/// Drives both ends until the call is over. `answer` is what the server does in between.
fn complete<T>(
    near: &mut Near,
    far: &mut Far,
    mut call: Pin<&mut impl Future<Output = T>>,
    mut answer: impl FnMut(&mut Far),
) -> T {
    let mut idle = 0;
    while idle < 10 {
        if let Poll::Ready(done) = call.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return done;
        }
        idle = if near.work(far) { 0 } else { idle + 1 };
        // What it thinks of the client's end is not asked here.
        let _ = far.work();
        answer(far);
        let _ = far.work();
    }
    panic!("nothing moves, and the call is not over; heard {} bytes", far.heard.len());
}

fn why(error: &Error) -> (Option<NotSent>, Option<Reason>) {
    match error.kind() {
        ErrorKind::Call(CallError::NotSent { why, .. }) => (Some(*why), None),
        ErrorKind::Call(CallError::Unknown { why, .. }) => (None, Some(*why)),
        other => panic!("expected a call that failed, got {other:?}"),
    }
}

const TLS_FAILED: (Option<NotSent>, Option<Reason>) =
    (Some(NotSent::Connect(ConnectFailure::Tls)), None);

fn server() -> Builder {
    Client::builder().server(&format!("{NAME}:11211"))
}

#[test]
fn both_directions_in_pieces_of_any_size() {
    // Longer than what rustls takes at a time, where that does not take for ever.
    let cases = [
        (1, 20_000),
        (2, 20_000),
        (5, 20_000),
        (100, 200_000),
        (4097, 400_000),
        (1 << 20, 400_000),
    ];
    for (version, (most, length)) in
        VERSIONS.into_iter().flat_map(|version| cases.map(|case| (version, case)))
    {
        let identity = Identity::new(version);
        let mut near = Near::new(server().tls(identity.tls()), most);
        let mut far = Far::new(&identity);
        let value: Vec<u8> = (0..length).map(|n: u32| n.to_le_bytes()[1]).collect();
        let request = [format!("set key 0 0 {length}\r\n").as_bytes(), &value, b"\r\n"].concat();
        let client = near.client.clone();
        let set = pin!(client.set("key", value.clone()));
        let stored = complete(&mut near, &mut far, set, |far| {
            if far.heard == request {
                far.heard.clear();
                far.say(b"STORED\r\n");
            }
        });
        stored.unwrap();
        let mut reply = VecDeque::from(
            [format!("VALUE key 0 {length}\r\n").as_bytes(), &value, b"\r\nEND\r\n"].concat(),
        );
        let get = pin!(client.get("key"));
        let found = complete(&mut near, &mut far, get, |far| {
            if far.heard == b"get key\r\n" {
                let n = reply.len().min(30_000);
                far.say(&reply.drain(..n).collect::<Vec<_>>());
            }
        });
        assert!(found.unwrap().unwrap().data == value, "{version:?}, {most} bytes at a time");
    }
}

#[test]
fn what_waits_for_a_full_socket_leaves_once_it_takes_all_at_once() {
    let identity = Identity::new(&TLS13);
    let mut near = Near::new(server().tls(identity.tls()), usize::MAX);
    let mut far = Far::new(&identity);
    let client = near.client.clone();
    let miss = complete(&mut near, &mut far, pin!(client.get("key")), |far| {
        if far.heard == b"get key\r\n" {
            far.heard.clear();
            far.say(b"END\r\n");
        }
    });
    assert_eq!(miss.unwrap(), None);
    let mut set = pin!(client.set("key", vec![b'x'; 400_000]));
    assert!(set.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    near.most = 0;
    for _ in 0..5 {
        near.work(&mut far);
    }
    near.most = usize::MAX;
    let stored = complete(&mut near, &mut far, set, |far| {
        if far.heard.ends_with(b"x\r\n") {
            far.heard.clear();
            far.say(b"STORED\r\n");
        }
    });
    stored.unwrap();
}

#[test]
fn a_connection_ends_as_tls_wants_it_unless_the_socket_takes_nothing() {
    for (version, is_full) in VERSIONS.into_iter().flat_map(|it| [(it, false), (it, true)]) {
        let identity = Identity::new(version);
        let mut near = Near::new(server().tls(identity.tls()), usize::MAX);
        let mut far = Far::new(&identity);
        let client = near.client.clone();
        let miss = complete(&mut near, &mut far, pin!(client.get("key")), |far| {
            if far.heard == b"get key\r\n" {
                far.heard.clear();
                far.say(b"END\r\n");
            }
        });
        assert_eq!(miss.unwrap(), None);
        assert!(!far.was_told_the_end);
        near.most = if is_full { 0 } else { usize::MAX };
        client.set_servers(&[]).unwrap();
        for _ in 0..4 {
            near.work(&mut far);
        }
        assert!(near.connection.is_none(), "nobody waits for a socket that takes nothing");
        far.work().unwrap();
        assert_eq!(far.was_told_the_end, !is_full, "{version:?}");
    }
}

#[test]
fn a_read_wakes_who_writes() {
    /// Whether it was called.
    #[derive(Default)]
    struct Called(AtomicBool);

    impl Wake for Called {
        fn wake(self: Arc<Self>) {
            self.0.store(true, Ordering::Relaxed);
        }
    }

    for (version, is_cut) in VERSIONS.into_iter().flat_map(|it| [(it, false), (it, true)]) {
        let identity = Identity::new(version);
        let mut near = Near::new(server().tls(identity.tls()), usize::MAX);
        let mut far = Far::new(&identity);
        let client = near.client.clone();
        let mut get = pin!(client.get("key"));
        assert!(get.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        near.work(&mut far);
        let connection = near.connection.unwrap();
        let called = Arc::new(Called::default());
        // Nothing to write until the server's greeting has come.
        let turn = near.driver.turn(connection, &Waker::from(Arc::clone(&called)));
        assert!(!turn.wants_write && !called.0.load(Ordering::Relaxed));
        far.work().unwrap();
        let read = near.driver.read(connection, |buffer| {
            let n = if is_cut { 0 } else { far.to_client.len() };
            buffer.extend(far.to_client.drain(..n));
            Poll::Ready(Ok(n))
        });
        assert!(read.is_ready());
        assert!(called.0.load(Ordering::Relaxed), "{version:?}, cut: {is_cut}");
        let turn = near.driver.turn(connection, Waker::noop());
        assert_eq!((turn.is_closed, turn.wants_write), (is_cut, !is_cut), "{version:?}");
    }
}

#[test]
fn a_handshake_that_is_cut_anywhere_sends_nothing() {
    for version in VERSIONS {
        let identity = Identity::new(version);
        for cut in 0.. {
            let told = Arc::new(Mutex::new(String::new()));
            let tls = identity.tls().on_failure({
                let told = Arc::clone(&told);
                move |server: &Server, why| {
                    assert_eq!(&*server.address, "cache.example.com:11211");
                    told.lock().unwrap().push_str(why);
                }
            });
            let mut near = Near::new(server().tls(tls), usize::MAX);
            let mut far = Far::new(&identity);
            far.left = cut;
            let client = near.client.clone();
            let get = pin!(client.get("secret"));
            let ended = complete(&mut near, &mut far, get, |far| {
                if !far.heard.is_empty() {
                    // Signatures are not all of one length: this one was shorter than the cut.
                    far.left = 0;
                }
            });
            let ended = ended.unwrap_err();
            let in_clear = far.wire.windows(6).any(|bytes| bytes == b"secret");
            assert!(!in_clear, "{version:?}, cut at {cut}");
            if told.lock().unwrap().is_empty() {
                // The client has heard all that it has to.
                assert!(cut > 400, "{version:?}: agreed upon after {cut} bytes");
                assert_ne!(why(&ended), TLS_FAILED);
                break;
            }
            assert_eq!(why(&ended), TLS_FAILED, "{version:?}, cut at {cut}");
            assert_eq!(*told.lock().unwrap(), "the server closed the connection");
            assert_eq!(far.heard, b"");
        }
    }
}

#[test]
fn a_server_that_is_refused_is_told_why() {
    for version in VERSIONS {
        let identity = Identity::new(version);
        let tls = identity.tls().server_name("other.example.com").unwrap();
        let mut near = Near::new(server().tls(tls), 100);
        let mut far = Far::new(&identity);
        let client = near.client.clone();
        let mut get = pin!(client.get("key"));
        let mut alert = None;
        let refused = loop {
            if let Poll::Ready(done) = get.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                break done.unwrap_err();
            }
            near.work(&mut far);
            alert = far.work().err().or(alert);
        };
        assert_eq!(why(&refused), TLS_FAILED);
        let cause = refused.source().unwrap().to_string();
        assert!(cause.contains("not valid for name"), "{cause}");
        let expected = rustls::Error::AlertReceived(AlertDescription::BadCertificate);
        assert_eq!(alert, Some(expected), "{version:?}");
    }
}

#[test]
fn a_path_has_no_name_to_be_certified() {
    let identity = Identity::new(&TLS13);
    let told = Arc::new(Mutex::new(Vec::new()));
    let tls = identity.tls().on_failure({
        let told = Arc::clone(&told);
        move |_, why| told.lock().unwrap().push(why.to_owned())
    });
    let builder = || Client::builder().server("/run/memcached.sock");
    let (mut near, mut far) = (Near::new(builder().tls(tls), 100), Far::new(&identity));
    let client = near.client.clone();
    let nameless = complete(&mut near, &mut far, pin!(client.get("key")), |_| ()).unwrap_err();
    assert_eq!(why(&nameless), TLS_FAILED);
    let cause = nameless.source().unwrap().to_string();
    assert_eq!(cause, "`/run/memcached.sock` names no host: use `server_name`");
    assert_eq!(*told.lock().unwrap(), ["`/run/memcached.sock` names no host: use `server_name`"]);
    assert_eq!(far.wire, b"");

    let tls = identity.tls().server_name(NAME).unwrap();
    let (mut near, mut far) = (Near::new(builder().tls(tls), 100), Far::new(&identity));
    let client = near.client.clone();
    let found = complete(&mut near, &mut far, pin!(client.get("key")), |far| {
        if far.heard == b"get key\r\n" {
            far.heard.clear();
            far.say(b"END\r\n");
        }
    });
    assert_eq!(found.unwrap(), None);
}

#[test]
fn an_end_that_the_server_told_is_known_from_one_that_it_did_not() {
    for (is_told, end) in [(true, End::EndOfStream), (false, End::Broken { os: None })] {
        let identity = Identity::new(&TLS13);
        let (mut near, mut far) =
            (Near::new(server().tls(identity.tls()), 100), Far::new(&identity));
        let client = near.client.clone();
        let ended = complete(&mut near, &mut far, pin!(client.get("key")), |far| {
            if far.heard != b"get key\r\n" {
                return;
            }
            if is_told {
                far.tls.send_close_notify();
            } else {
                far.left = 0;
            }
        });
        assert_eq!(why(&ended.unwrap_err()), (None, Some(Reason::End(end))));
    }
}
