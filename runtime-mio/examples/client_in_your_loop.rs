//! An application with an event loop of its own asks a cache, and never waits for it.
//!
//! It answers datagrams: each is a key, its answer is what the cache has under it.
//!
//! ```text
//! cargo run -p windhover-mio --example client_in_your_loop -- 127.0.0.1:11211 127.0.0.1:11212
//! echo -n greeting | nc -u -w 1 127.0.0.1 11212
//! ```

use std::error::Error;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Context;

use mio::net::UdpSocket;
use mio::{Events, Interest, Poll, Token};
use windhover_mio::{Client, Clients, Clock, mio};

const WAKER: Token = Token(0);
const QUESTIONS: Token = Token(1);
/// What is left of the tokens is the client's.
const CLIENTS: std::ops::Range<usize> = 2..1000;

struct Application {
    poll: Poll,
    questions: Rc<UdpSocket>,
    client: Client,
    clients: Clients,
    /// Answers that wait for the cache. The client bounds the time of each, and a
    /// `FuturesUnordered` would poll only those that were woken.
    answers: Vec<Pin<Box<dyn Future<Output = ()>>>>,
}

impl Application {
    fn new(cache: &str, address: SocketAddr) -> Result<Self, Box<dyn Error>> {
        let poll = Poll::new()?;
        let waker = Arc::new(mio::Waker::new(poll.registry(), WAKER)?);
        let mut questions = UdpSocket::bind(address)?;
        poll.registry().register(&mut questions, QUESTIONS, Interest::READABLE)?;
        let mut clients = Clients::new(poll.registry(), CLIENTS, waker)?;
        let client = clients.connect(Client::builder().server(cache))?;
        Ok(Self { poll, questions: Rc::new(questions), client, clients, answers: Vec::new() })
    }

    fn run(&mut self, mut is_over: impl FnMut() -> bool) -> io::Result<()> {
        let clock = Clock::new();
        let mut events = Events::with_capacity(128);
        while !is_over() {
            let now = clock.now().instant;
            let timeout = self.clients.next_deadline().map(|until| until.saturating_since(now));
            match self.poll.poll(&mut events, timeout) {
                Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
                _ => {}
            }
            for event in &events {
                if !self.clients.on_event(event) && event.token() == QUESTIONS {
                    self.take_questions();
                }
            }
            self.clients.turn(clock.now());
            self.give_answers();
        }
        Ok(())
    }

    /// Reads until nothing is there: mio tells of it once.
    fn take_questions(&mut self) {
        let mut key = [0; 250];
        while let Ok((length, peer)) = self.questions.recv_from(&mut key) {
            let key = key.get(..length).unwrap_or_default().to_vec();
            let (client, socket) = (self.client.clone(), Rc::clone(&self.questions));
            self.answers.push(Box::pin(async move {
                let answer = match client.get(&key).await {
                    Ok(Some(value)) => value.data.to_vec(),
                    Ok(None) => b"not there".to_vec(),
                    Err(error) => error.to_string().into_bytes(),
                };
                // A datagram may be lost; who needs its answer asks again.
                let _ = socket.send_to(&answer, peer);
            }));
        }
    }

    /// What has come lets the futures go on; what has not ends the loop's next wait.
    fn give_answers(&mut self) {
        let waker = self.clients.waker();
        let mut cx = Context::from_waker(&waker);
        self.answers.retain_mut(|answer| answer.as_mut().poll(&mut cx).is_pending());
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let cache = arguments.next().unwrap_or_else(|| "127.0.0.1:11211".to_owned());
    let address = arguments.next().unwrap_or_else(|| "127.0.0.1:11212".to_owned());
    Application::new(&cache, address.parse()?)?.run(|| false)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Write};
    use std::net::{TcpListener, UdpSocket as StdUdpSocket};
    use std::thread;
    use std::time::Duration;

    use super::*;

    /// A cache with one item, for one connection.
    fn cache() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            let mut stream = BufReader::new(listener.accept().unwrap().0);
            let mut line = String::new();
            while stream.read_line(&mut line).unwrap() > 0 {
                let answer = match line.trim_end() {
                    "get greeting" => "VALUE greeting 0 5\r\nhello\r\nEND\r\n",
                    _ => "END\r\n",
                };
                stream.get_mut().write_all(answer.as_bytes()).unwrap();
                line.clear();
            }
        });
        address
    }

    #[test]
    fn datagrams_are_answered_from_the_cache() {
        let mut app =
            Application::new(&cache().to_string(), "127.0.0.1:0".parse().unwrap()).unwrap();
        let address = app.questions.local_addr().unwrap();
        let waker = app.clients.waker();
        let asker = thread::spawn(move || {
            let socket = StdUdpSocket::bind("127.0.0.1:0").unwrap();
            socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
            let answers = ["greeting", "other", "not a key"].map(|key| {
                let mut answer = [0; 500];
                socket.send_to(key.as_bytes(), address).unwrap();
                let length = socket.recv(&mut answer).unwrap_or_default();
                String::from_utf8_lossy(&answer[..length]).into_owned()
            });
            waker.wake();
            answers
        });
        app.run(|| asker.is_finished()).unwrap();
        let [found, missing, refused] = asker.join().unwrap();
        assert_eq!((found.as_str(), missing.as_str()), ("hello", "not there"));
        assert!(refused.contains("key"), "{refused}");
    }
}
