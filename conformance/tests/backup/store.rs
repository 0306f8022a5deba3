//! A store of S3's kind (moto), and a proxy before it that spoils some requests and answers.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use windhover_conformance::{python, run};

use super::BOUND;

/// What the proxy does to a request or its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// A bit of what is put is another one when it comes to the store.
    FlipPut,
    /// Half of what is put comes to the store, then the connection ends.
    CutPut,
    /// What is put comes to the store, and its answer does not come back.
    LoseAnswer,
    /// Every request is answered with that status and S3's code.
    Answer(u16, &'static str),
    /// Every request is answered with nothing.
    Silence,
    /// A bit of what is got is another one when it comes back.
    FlipGet,
    /// Half of what is got comes back, then the connection ends.
    CutGet,
}

/// A fault, for requests with these words in their first line, so many times.
#[derive(Clone, Copy, Debug)]
struct Plan {
    fault: Fault,
    words: &'static str,
    times: u32,
}

/// moto, and the proxy before it.
pub(crate) struct Store {
    moto: Child,
    url: String,
    proxy: SocketAddr,
    plan: Arc<Mutex<Option<Plan>>>,
}

impl Store {
    /// With one bucket, `bucket`.
    pub(crate) fn start() -> Self {
        let mut command = python("bucket.py");
        command.arg("serve").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut moto = command.spawn().expect("moto starts");
        let mut url = String::new();
        let stdout = moto.stdout.take().expect("stdout is piped");
        BufReader::new(stdout).read_line(&mut url).expect("moto says where it is");
        let url = url.trim().to_owned();
        let upstream = url.strip_prefix("http://").expect("a URL").parse().expect("an address");
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let proxy = listener.local_addr().expect("an address");
        let plan = Arc::new(Mutex::new(None));
        thread::spawn({
            let plan = Arc::clone(&plan);
            move || {
                for client in listener.incoming().flatten() {
                    let plan = Arc::clone(&plan);
                    thread::spawn(move || forward(client, upstream, &plan));
                }
            }
        });
        let store = Self { moto, url, proxy, plan };
        store.act(&["make", "bucket"]);
        store
    }

    /// The URL of the proxy.
    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}", self.proxy)
    }

    /// From now on, the next requests with those words in their first line are spoilt.
    pub(crate) fn spoil(&self, fault: Fault, words: &'static str, times: u32) {
        *self.plan.lock().expect("nobody panics") = Some(Plan { fault, words, times });
    }

    /// Whether there are faults left that nothing met.
    pub(crate) fn is_done(&self) -> bool {
        self.plan.lock().expect("nobody panics").is_none_or(|plan| plan.times == 0)
    }

    /// None from now on.
    pub(crate) fn heal(&self) {
        *self.plan.lock().expect("nobody panics") = None;
    }

    /// Does something in the bucket, past the proxy; what is printed.
    #[track_caller]
    pub(crate) fn act(&self, words: &[&str]) -> String {
        let mut command: Command = python("bucket.py");
        let outcome = run(command.arg(&self.url).args(words), BOUND);
        outcome.expect_code(0);
        outcome.stdout
    }

    /// The keys in the bucket that begin so.
    pub(crate) fn keys(&self, prefix: &str) -> Vec<String> {
        let listed = self.act(&["list", "bucket"]);
        listed.lines().filter(|key| key.starts_with(prefix)).map(str::to_owned).collect()
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        let _ = self.moto.kill();
        let _ = self.moto.wait();
    }
}

struct Message {
    head: Vec<String>,
    body: Vec<u8>,
}

impl Message {
    fn read(from: &mut impl BufRead) -> io::Result<Option<Self>> {
        let mut head = Vec::new();
        loop {
            let mut line = String::new();
            if from.read_line(&mut line)? == 0 {
                return Ok(None);
            }
            if line.trim_end().is_empty() {
                break;
            }
            head.push(line.trim_end().to_owned());
        }
        let length = head.iter().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
        });
        let bodiless = head.first().is_some_and(|line| line.starts_with("HEAD "));
        let mut body = vec![0; if bodiless { 0 } else { length.unwrap_or(0) }];
        from.read_exact(&mut body)?;
        Ok(Some(Self { head, body }))
    }

    /// With the body cut to half of what its head says, if that is wanted; closed behind it.
    fn write(&self, to: &mut impl Write, cut: bool) -> io::Result<()> {
        let mut bytes = Vec::new();
        for line in &self.head {
            if !line.to_ascii_lowercase().starts_with("connection:") {
                bytes.extend_from_slice(format!("{line}\r\n").as_bytes());
            }
        }
        bytes.extend_from_slice(b"Connection: close\r\n\r\n");
        let body = if cut { &self.body[..self.body.len() / 2] } else { &self.body[..] };
        bytes.extend_from_slice(body);
        to.write_all(&bytes)?;
        to.flush()
    }

    fn flip(&mut self) {
        let middle = self.body.len() / 2;
        if let Some(byte) = self.body.get_mut(middle) {
            *byte ^= 1;
        }
    }
}

/// One request and its answer.
fn forward(client: TcpStream, upstream: SocketAddr, plan: &Mutex<Option<Plan>>) -> Option<()> {
    client.set_read_timeout(Some(Duration::from_secs(60))).ok()?;
    let mut reader = BufReader::new(client.try_clone().ok()?);
    let mut client = client;
    let mut request = Message::read(&mut reader).ok()??;
    let fault = {
        let mut plan = plan.lock().expect("nobody panics");
        let is_meant = |plan: &&mut Plan| {
            plan.times > 0 && plan.words.split(' ').all(|word| request.head[0].contains(word))
        };
        plan.as_mut().filter(is_meant).map(|plan| {
            plan.times -= 1;
            plan.fault
        })
    };
    match fault {
        Some(Fault::Silence) => {
            // Until the client gives up.
            let _ = reader.read(&mut [0]);
            return None;
        }
        Some(Fault::Answer(status, code)) => {
            let body = format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code></Error>");
            let len = body.len();
            let head = format!(
                "HTTP/1.1 {status} Refused\r\nContent-Length: {len}\r\nConnection: close\r\n\r\n"
            );
            return client.write_all((head + &body).as_bytes()).ok();
        }
        Some(Fault::FlipPut) => request.flip(),
        _ => {}
    }
    let mut store = TcpStream::connect(upstream).ok()?;
    store.set_read_timeout(Some(Duration::from_secs(60))).ok()?;
    request.write(&mut store, fault == Some(Fault::CutPut)).ok()?;
    if fault == Some(Fault::CutPut) {
        return None;
    }
    let mut answer = Vec::new();
    store.read_to_end(&mut answer).ok()?;
    if fault == Some(Fault::LoseAnswer) {
        return None;
    }
    if request.head[0].starts_with("HEAD ") || answer.starts_with(b"HTTP/1.1 204") {
        return client.write_all(&answer).ok();
    }
    let mut answer = Message::read(&mut answer.as_slice()).ok()??;
    if fault == Some(Fault::FlipGet) {
        answer.flip();
    }
    answer.write(&mut client, fault == Some(Fault::CutGet)).ok()
}
