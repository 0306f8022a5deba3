//! Several listeners as one server: ports and a Unix socket.

use std::io;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use windhover_runtime::{
    Peer, ServeOptions, ServeReport, Shutdown, SocketFile, StdListener, listen, listen_unix,
};

use super::server::SOON;
use crate::adapter;
use crate::echo::Echo;

/// A server on two ports and at a path.
struct Server {
    ports: [SocketAddr; 2],
    path: PathBuf,
    _file: SocketFile,
    shutdown: Shutdown,
    /// Who came.
    peers: Arc<Mutex<Vec<Peer>>>,
    serving: JoinHandle<io::Result<ServeReport>>,
}

impl Server {
    fn start(name: &str, options: ServeOptions) -> Self {
        let name = format!("windhover-{name}-{}.sock", std::process::id());
        let path = std::env::temp_dir().join(name);
        let (unix, file) = listen_unix(&path, 0o600).unwrap();
        let tcp = [(); 2].map(|()| listen("127.0.0.1:0".parse().unwrap()).unwrap());
        let ports = tcp.each_ref().map(|listener| listener.local_addr().unwrap());
        let [first, second] = tcp;
        let listeners: Vec<StdListener> = vec![first.into(), second.into(), unix.into()];
        let (shutdown, peers) = (Shutdown::new(), Arc::new(Mutex::new(Vec::new())));
        let (asked, seen) = (shutdown.clone(), Arc::clone(&peers));
        let accept = move |peer, _| {
            seen.lock().unwrap().push(peer);
            Echo::new(&Arc::default())
        };
        let serving = thread::spawn(move || adapter::serve(listeners, accept, options, &asked));
        Self { ports, path, _file: file, shutdown, peers, serving }
    }

    fn tcp(&self, number: usize) -> TcpStream {
        let stream = TcpStream::connect(self.ports[number]).unwrap();
        stream.set_read_timeout(Some(SOON)).unwrap();
        stream
    }

    fn unix(&self) -> UnixStream {
        let stream = UnixStream::connect(&self.path).unwrap();
        stream.set_read_timeout(Some(SOON)).unwrap();
        stream
    }

    fn stop(self) -> ServeReport {
        self.shutdown.trigger();
        self.serving.join().unwrap().unwrap()
    }
}

fn is_echoed(stream: &mut (impl Read + Write), message: &[u8]) -> bool {
    stream.write_all(message).unwrap();
    let mut answer = vec![0; message.len()];
    stream.read_exact(&mut answer).is_ok() && answer == message
}

#[test]
fn ports_and_a_path_are_one_server() {
    let server = Server::start("doors", ServeOptions::default());
    let (mut first, mut second, mut local) = (server.tcp(0), server.tcp(1), server.unix());
    for message in [&b"a"[..], b"hello", &vec![b'x'; 40_000]] {
        assert!(is_echoed(&mut first, message));
        assert!(is_echoed(&mut second, message));
        assert!(is_echoed(&mut local, message));
    }
    let expected = [
        Peer::Tcp(first.local_addr().unwrap()),
        Peer::Tcp(second.local_addr().unwrap()),
        Peer::Unix,
    ];
    let peers = server.peers.lock().unwrap().clone();
    assert_eq!(peers.len(), expected.len());
    assert!(expected.iter().all(|peer| peers.contains(peer)), "{peers:?}");

    let ports = server.ports;
    assert_eq!(server.stop().cut, 0);
    // The end of what is sent at each of them, and no new connection.
    assert_eq!(first.read(&mut [0]).unwrap(), 0);
    assert_eq!(second.read(&mut [0]).unwrap(), 0);
    assert_eq!(local.read(&mut [0]).unwrap(), 0);
    assert!(ports.iter().all(|port| TcpStream::connect(port).is_err()));
}

#[test]
fn the_bound_on_connections_is_one_for_all_of_them() {
    let mut options = ServeOptions::default();
    options.connections = 2;
    let counters = Arc::clone(&options.counters);
    let server = Server::start("bound", options);
    let (mut first, mut local) = (server.tcp(0), server.unix());
    assert!(is_echoed(&mut first, b"x") && is_echoed(&mut local, b"x"));
    let mut second = server.tcp(1);
    second.write_all(b"y").unwrap();
    thread::sleep(Duration::from_millis(150));
    assert_eq!(counters.active(), 2, "the third one waits, wherever it came");
    drop(local);
    let mut answer = [0];
    second.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"y");
    assert_eq!(server.stop().cut, 0);
}
