//! One stream that is given, and listeners that are no TCP ones.

use std::io::{Read, Write};
use std::net::{Shutdown as Half, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

use windhover_runtime::{ConnectionEnd, Shutdown, StdSocket};

use super::server::SOON;
use crate::adapter;
use crate::echo::Echo;

fn tcp() -> (TcpStream, StdSocket) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    peer.set_read_timeout(Some(SOON)).unwrap();
    (peer, StdSocket::Tcp(listener.accept().unwrap().0))
}

#[test]
fn a_stream_is_driven_until_its_peer_ends() {
    let (mut peer, stream) = tcp();
    let (drain, cut) = (Shutdown::new(), Shutdown::new());
    let driven =
        thread::spawn(move || adapter::drive(stream, Echo::new(&Arc::default()), &drain, &cut));
    for message in [&b"a"[..], b"hello", &vec![b'x'; 40_000]] {
        peer.write_all(message).unwrap();
        let mut answer = vec![0; message.len()];
        peer.read_exact(&mut answer).unwrap();
        assert!(answer == message);
    }
    peer.write_all(b"the last").unwrap();
    peer.shutdown(Half::Write).unwrap();
    let mut rest = Vec::new();
    peer.read_to_end(&mut rest).unwrap();
    assert_eq!(rest, b"the last");
    assert_eq!(driven.join().unwrap().unwrap(), ConnectionEnd::Closed);
}

#[test]
fn a_drain_ends_it_in_order_and_a_cut_at_once() {
    for (is_cut, end) in [(false, ConnectionEnd::Closed), (true, ConnectionEnd::Cut)] {
        let (_peer, stream) = tcp();
        let (drain, cut) = (Shutdown::new(), Shutdown::new());
        let signal = if is_cut { cut.clone() } else { drain.clone() };
        let driven =
            thread::spawn(move || adapter::drive(stream, Echo::new(&Arc::default()), &drain, &cut));
        signal.trigger();
        assert_eq!(driven.join().unwrap().unwrap(), end);
    }
}

#[test]
fn a_reset_breaks_it() {
    let (peer, stream) = tcp();
    let (drain, cut) = (Shutdown::new(), Shutdown::new());
    socket2::SockRef::from(&peer).set_linger(Some(std::time::Duration::ZERO)).unwrap();
    drop(peer);
    let end = adapter::drive(stream, Echo::new(&Arc::default()), &drain, &cut);
    assert_eq!(end.unwrap(), ConnectionEnd::Broken);
}

#[cfg(unix)]
#[test]
fn a_unix_socket_is_served_and_driven() {
    use std::os::unix::net::{UnixListener, UnixStream};

    use windhover_runtime::{Peer, ServeOptions};

    let name = format!("windhover-{}-{:?}.sock", std::process::id(), thread::current().id());
    let path = std::env::temp_dir().join(name);
    let listener = UnixListener::bind(&path).unwrap();
    let shutdown = Shutdown::new();
    let asked = shutdown.clone();
    let server = thread::spawn(move || {
        let accept = |peer, _| {
            assert_eq!(peer, Peer::Unix);
            Echo::new(&Arc::default())
        };
        adapter::serve(vec![listener.into()], accept, ServeOptions::default(), &asked)
    });
    let connected = UnixStream::connect(&path);
    std::fs::remove_file(&path).unwrap();
    let mut peer = connected.unwrap();
    let (given, stream) = UnixStream::pair().unwrap();
    let (drain, cut) = (Shutdown::new(), Shutdown::new());
    let driven = thread::spawn(move || {
        adapter::drive(StdSocket::Unix(stream), Echo::new(&Arc::default()), &drain, &cut)
    });
    for mut peer in [&peer, &given] {
        peer.set_read_timeout(Some(SOON)).unwrap();
        peer.write_all(b"hello").unwrap();
        let mut answer = [0; 5];
        peer.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"hello");
    }
    given.shutdown(Half::Write).unwrap();
    assert_eq!((&given).read(&mut [0]).unwrap(), 0);
    assert_eq!(driven.join().unwrap().unwrap(), ConnectionEnd::Closed);
    shutdown.trigger();
    // The end of what is sent, and no reset.
    assert_eq!(peer.read(&mut [0]).unwrap(), 0);
    assert_eq!(server.join().unwrap().unwrap().cut, 0);
}
