//! Debian's nginx in front of a server that notes what it passes on.

use std::collections::HashMap;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use windhover_conformance::{TempDir, eventually};

use crate::Seen;

const BOUND: Duration = Duration::from_secs(10);

/// What came, by the port of the connection to nginx that it came from.
type Passed = Arc<Mutex<HashMap<u16, Vec<Seen>>>>;

pub(crate) struct Nginx {
    child: Child,
    address: SocketAddr,
    passed: Passed,
    _files: TempDir,
}

impl Nginx {
    pub(crate) fn start() -> Self {
        let files = TempDir::new("nginx");
        let (upstream, passed) = record();
        // It takes no port 0: a free one may be gone again by the time it listens, which is seen.
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let address = free.local_addr().expect("its address");
        drop(free);
        let directory = files.path().display();
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|name| format!("  {name}_temp_path {directory}/{name};\n"))
            .concat();
        let configuration = format!(
            "daemon off;\nmaster_process off;\npid {directory}/pid;\nerror_log {directory}/error.log;\n\
             events {{}}\nhttp {{\n{temporary}  access_log off;\n  client_max_body_size 10m;\n  \
             server {{\n    listen {address};\n    location / {{\n      proxy_pass http://{upstream};\n      \
             proxy_set_header X-Port $remote_port;\n      proxy_ignore_client_abort on;\n    }}\n  }}\n}}\n"
        );
        let file = files.path().join("nginx.conf");
        std::fs::write(&file, configuration).expect("a file can be written");
        let paths = std::env::var("PATH").unwrap_or_default();
        let mut child = Command::new("nginx")
            // Debian puts it where only root's path leads.
            .env("PATH", format!("{paths}:/usr/sbin"))
            .arg("-p")
            .arg(files.path())
            .arg("-c")
            .arg(&file)
            .args(["-e", "error.log"])
            .stdin(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("cannot run nginx (conformance/install): {error}"));
        eventually("nginx takes a connection", Duration::from_secs(30), || {
            let status = child.try_wait().expect("a child can be waited for");
            assert!(status.is_none(), "nginx ended with {status:?}");
            TcpStream::connect(address).ok()
        });
        Self { child, address, passed, _files: files }
    }

    /// Sends bytes and their end; what nginx passed on of them by the time that it closed.
    pub(crate) fn read(&self, bytes: &[u8]) -> Vec<Seen> {
        let mut stream = TcpStream::connect(self.address).expect("a connection");
        stream.set_read_timeout(Some(BOUND)).expect("a bound");
        let port = stream.local_addr().expect("an address").port();
        stream.write_all(bytes).expect("what is sent is taken");
        // It may have refused it, and be gone.
        let _ = stream.shutdown(Shutdown::Write);
        let mut answers = Vec::new();
        match stream.read_to_end(&mut answers) {
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                panic!("nginx does not close: {}", bytes.escape_ascii())
            }
            _ => {}
        }
        self.passed.lock().expect("no thread panics").remove(&port).unwrap_or_default()
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A server that notes what it is sent. nginx sends one request on each connection, with the length of
/// its body.
fn record() -> (SocketAddr, Passed) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let address = listener.local_addr().expect("its address");
    let passed = Passed::default();
    let noted = Arc::clone(&passed);
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            if let Some((port, seen)) = take(&stream) {
                noted.lock().expect("no thread panics").entry(port).or_default().push(seen);
            }
            let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
            let _ = (&stream).write_all(answer);
        }
    });
    (address, passed)
}

fn take(mut stream: &TcpStream) -> Option<(u16, Seen)> {
    stream.set_read_timeout(Some(BOUND)).ok()?;
    let mut come = Vec::new();
    let mut block = [0; 4096];
    let (mut head, mut length) = (None, 0);
    loop {
        if head.is_none() {
            head = come.windows(4).position(|seen| seen == b"\r\n\r\n").map(|at| at + 4);
            length = number(&come[..head.unwrap_or(0)], "Content-Length: ").unwrap_or(0);
        }
        if head.is_some_and(|head| come.len() >= head + length) {
            break;
        }
        match stream.read(&mut block).ok()? {
            0 => return None,
            n => come.extend_from_slice(&block[..n]),
        }
    }
    let (head, body) = come.split_at(head?);
    let line = head.split(|&byte| byte == b'\r').next()?;
    let mut words = line.split(|&byte| byte == b' ').map(String::from_utf8_lossy);
    let (method, target) = (words.next()?, words.next()?);
    let seen = Seen::new(&method, &target, body);
    Some((number(head, "X-Port: ")?.try_into().ok()?, seen))
}

/// The number in a line of a head.
fn number(head: &[u8], name: &str) -> Option<usize> {
    let head = String::from_utf8_lossy(head);
    head.lines().find_map(|line| line.strip_prefix(name))?.parse().ok()
}
