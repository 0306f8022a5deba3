//! A TCP proxy that misbehaves on demand: what stands between a client and its server on a bad day.

use std::{
    io::{Read as _, Write as _},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

/// What is done to one reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It comes so much later, and what follows it comes behind it.
    Delay(Duration),
    /// Other bytes come in its place.
    Replace(Vec<u8>),
    /// It comes, and these bytes after it.
    Append(Vec<u8>),
    /// So many bytes of it come, then the connection is closed.
    Truncate(usize),
    /// It does not come: the stream ends, and requests are still read.
    HalfClose,
    /// It does not come, and nothing else happens.
    Discard,
}

/// Passes bytes on in both directions, and does to a reply what it was told to. It ends with the
/// process of the test.
#[derive(Debug)]
pub struct FaultProxy {
    address: SocketAddr,
    next: Arc<Mutex<Option<Fault>>>,
    accepted: Arc<AtomicUsize>,
}

impl FaultProxy {
    /// A proxy before `server`, on a free port.
    #[track_caller]
    pub fn before(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port can be bound");
        let address = listener.local_addr().expect("a listener has an address");
        let next = Arc::new(Mutex::new(None));
        let accepted = Arc::new(AtomicUsize::new(0));
        let proxy = Self { address, next: Arc::clone(&next), accepted: Arc::clone(&accepted) };
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                // A server that is not there is a connection that closes.
                let Ok(server) = TcpStream::connect(server) else { continue };
                accepted.fetch_add(1, Ordering::SeqCst);
                join(&client, &server, &next);
            }
        });
        proxy
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Does this to the reply that comes next, on whichever connection, once.
    pub fn next_reply(&self, fault: Fault) {
        *self.next.lock().expect("no thread panics with the fault") = Some(fault);
    }

    /// How many connections it has taken.
    pub fn accepted(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }
}

fn join(client: &TcpStream, server: &TcpStream, next: &Arc<Mutex<Option<Fault>>>) {
    let copy = |stream: &TcpStream| {
        let _ = stream.set_nodelay(true);
        stream.try_clone().expect("a socket can be shared by threads")
    };
    let (requests, to_server) = (copy(client), copy(server));
    thread::spawn(move || pass_on(requests, to_server, |_| Some(Then::GoOn)));
    let (replies, mut to_client) = (copy(server), copy(client));
    let next = Arc::clone(next);
    thread::spawn(move || {
        let out = to_client.try_clone().expect("a socket can be shared by threads");
        pass_on(replies, out, |reply| {
            let fault = next.lock().expect("no thread panics with the fault").take()?;
            Some(misbehave(&mut to_client, reply, fault))
        });
    });
}

/// What becomes of the bytes that came.
enum Then {
    /// They are passed on.
    GoOn,
    /// They were dealt with.
    Done,
    /// They were dealt with, and so is everything that follows.
    Silent,
    /// The connection is closed, both ways.
    Close,
}

fn pass_on(mut from: TcpStream, mut to: TcpStream, mut decide: impl FnMut(&[u8]) -> Option<Then>) {
    let mut bytes = vec![0; 64 * 1024];
    let mut silent = false;
    while let Ok(n @ 1..) = from.read(&mut bytes) {
        let Some(bytes) = bytes.get(..n).filter(|_| !silent) else { continue };
        let gone = match decide(bytes).unwrap_or(Then::GoOn) {
            Then::GoOn => to.write_all(bytes).is_err(),
            Then::Done => false,
            Then::Silent => {
                silent = true;
                false
            }
            Then::Close => {
                let _ = from.shutdown(Shutdown::Both);
                let _ = to.shutdown(Shutdown::Both);
                true
            }
        };
        if gone {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}

fn misbehave(client: &mut TcpStream, reply: &[u8], fault: Fault) -> Then {
    // A client that is gone already is no fault of the proxy.
    match fault {
        Fault::Delay(time) => {
            thread::sleep(time);
            Then::GoOn
        }
        Fault::Replace(bytes) => {
            let _ = client.write_all(&bytes);
            Then::Done
        }
        Fault::Append(bytes) => {
            let _ = client.write_all(&[reply, &bytes].concat());
            Then::Done
        }
        Fault::Truncate(n) => {
            let _ = client.write_all(reply.get(..n).unwrap_or(reply));
            Then::Close
        }
        Fault::HalfClose => {
            let _ = client.shutdown(Shutdown::Write);
            Then::Silent
        }
        Fault::Discard => Then::Silent,
    }
}
