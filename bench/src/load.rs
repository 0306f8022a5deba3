//! Many connections on one thread, each with one request at a time.

use std::collections::VecDeque;
use std::error::Error;
use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use crate::exchange::{Exchange, Progress, Step};

/// Longest wait for a connection or for any answer; a server that takes longer has failed.
const TIMEOUT: Duration = Duration::from_secs(30);

/// When requests are sent.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Pace {
    /// Each connection's next, when it has the answer to its last.
    Closed,
    /// So many, evenly spread over time and connections, whether the server keeps up or not.
    PerSecond(u64),
}

/// What came of a run.
#[derive(Debug)]
pub(crate) struct Measured {
    /// From when a request was sent, or was due, to the end of its answer; in microseconds.
    pub(crate) latencies: Histogram<u64>,
    pub(crate) took: Duration,
    /// All answers, those included that came too late to be measured.
    pub(crate) answers: u64,
}

#[derive(Debug)]
struct Connection {
    stream: TcpStream,
    /// Which of the steps is next, or under way.
    step: usize,
    /// How much of its request is written.
    written: usize,
    came: Vec<u8>,
    /// When the request under way was due, and those that wait for its answer.
    due: VecDeque<Instant>,
}

/// Connections that have been made.
#[derive(Debug)]
pub(crate) struct Crowd {
    poll: Poll,
    events: Events,
    /// What is read goes here first.
    block: Vec<u8>,
    connections: Vec<Connection>,
    steps: Vec<Step>,
    /// Requests without their answer.
    outstanding: usize,
    last_answer: Instant,
}

impl Crowd {
    /// Makes the connections, and does on the first one what goes before.
    pub(crate) fn connect(
        address: SocketAddr,
        count: usize,
        exchange: &Exchange,
    ) -> Result<Self, Box<dyn Error>> {
        let poll = Poll::new()?;
        let mut connections = Vec::with_capacity(count);
        for number in 0..count {
            let mut stream = std::net::TcpStream::connect_timeout(&address, TIMEOUT)
                .map_err(|error| format!("connection {number} of {count}: {error}"))?;
            stream.set_nodelay(true)?;
            if number == 0 {
                prepare(&mut stream, &exchange.prepare)?;
            }
            stream.set_nonblocking(true)?;
            let mut stream = TcpStream::from_std(stream);
            let interest = Interest::READABLE | Interest::WRITABLE;
            poll.registry().register(&mut stream, Token(number), interest)?;
            connections.push(Connection {
                stream,
                // Not all ask for the same at the same time.
                step: number % exchange.steps.len().max(1),
                written: 0,
                came: Vec::new(),
                due: VecDeque::new(),
            });
        }
        Ok(Self {
            poll,
            events: Events::with_capacity(1024),
            block: vec![0; 64 * 1024],
            connections,
            steps: exchange.steps.clone(),
            outstanding: 0,
            last_answer: Instant::now(),
        })
    }

    /// One request on each connection.
    pub(crate) fn each_once(&mut self) -> Result<(), Box<dyn Error>> {
        let now = Instant::now();
        for index in 0..self.connections.len() {
            self.ask(index, now)?;
        }
        while self.outstanding > 0 {
            self.wait(TIMEOUT)?;
        }
        Ok(())
    }

    /// Requests for that long, until the last of them is answered.
    pub(crate) fn run(&mut self, pace: Pace, time: Duration) -> Result<Measured, Box<dyn Error>> {
        match pace {
            Pace::Closed => self.run_closed(time),
            Pace::PerSecond(rate) => self.run_paced(rate, time),
        }
    }

    fn run_closed(&mut self, time: Duration) -> Result<Measured, Box<dyn Error>> {
        let (mut latencies, mut answers) = (histogram()?, 0);
        let begun = Instant::now();
        let end = begun + time;
        for index in 0..self.connections.len() {
            self.ask(index, begun)?;
        }
        while self.outstanding > 0 {
            for answer in self.wait(TIMEOUT)? {
                answers += 1;
                // What comes later belongs to no second that is measured.
                if answer.at < end {
                    latencies.record(answer.latency())?;
                    self.ask(answer.connection, answer.at)?;
                }
            }
        }
        Ok(Measured { latencies, took: time, answers })
    }

    fn run_paced(&mut self, rate: u64, time: Duration) -> Result<Measured, Box<dyn Error>> {
        let mut latencies = histogram()?;
        let begun = Instant::now();
        let total = rate.saturating_mul(time.as_millis().try_into()?) / 1000;
        let between = Duration::from_secs(1) / u32::try_from(rate.max(1))?;
        let connections = 0..self.connections.len();
        let due = (0..total).scan(begun, |at, _| Some(std::mem::replace(at, *at + between)));
        let mut due = due.zip(connections.cycle()).peekable();
        while due.peek().is_some() || self.outstanding > 0 {
            let now = Instant::now();
            while let Some((at, connection)) = due.next_if(|(at, _)| *at <= now) {
                self.ask(connection, at)?;
            }
            // Does not sleep: the next request is due sooner than a sleep would be over.
            for answer in self.wait(Duration::ZERO)? {
                latencies.record(answer.latency())?;
            }
        }
        let answers = latencies.len();
        Ok(Measured { latencies, took: begun.elapsed(), answers })
    }

    /// Sends a connection's next request, or lets it wait for the answer to the one before.
    fn ask(&mut self, connection: usize, due: Instant) -> Result<(), Box<dyn Error>> {
        let asked = self.connections.get_mut(connection).ok_or("there are no connections")?;
        self.outstanding += 1;
        asked.due.push_back(due);
        if asked.due.len() == 1 { asked.write(&self.steps) } else { Ok(()) }
    }

    /// The answers that have come; waits for something to happen.
    fn wait(&mut self, at_most: Duration) -> Result<Vec<Answered>, Box<dyn Error>> {
        match self.poll.poll(&mut self.events, Some(at_most)) {
            Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error.into()),
            _ => {}
        }
        let mut answers = Vec::new();
        for event in &self.events {
            let Some(connection) = self.connections.get_mut(event.token().0) else { continue };
            connection.write(&self.steps)?;
            if connection.read(&self.steps, &mut self.block)?
                && let Some(due) = connection.due.pop_front()
            {
                answers.push(Answered { connection: event.token().0, due, at: Instant::now() });
                connection.write(&self.steps)?;
            }
        }
        self.outstanding -= answers.len();
        if !answers.is_empty() {
            self.last_answer = Instant::now();
        } else if self.outstanding > 0 && self.last_answer.elapsed() > TIMEOUT {
            let outstanding = self.outstanding;
            return Err(format!("{outstanding} requests have no answer for {TIMEOUT:?}").into());
        }
        Ok(answers)
    }
}

#[derive(Clone, Copy, Debug)]
struct Answered {
    connection: usize,
    due: Instant,
    at: Instant,
}

impl Answered {
    fn latency(self) -> u64 {
        let latency = self.at.saturating_duration_since(self.due).as_micros();
        u64::try_from(latency).unwrap_or(u64::MAX)
    }
}

impl Connection {
    /// Writes what is left of the request that is due, if there is one and the socket takes it.
    fn write(&mut self, steps: &[Step]) -> Result<(), Box<dyn Error>> {
        let step = steps.get(self.step).ok_or("there is nothing to ask")?;
        while !self.due.is_empty() && self.written < step.request.len() {
            match self.stream.write(step.request.get(self.written..).unwrap_or_default()) {
                Ok(0) => return Err("the server takes nothing any more".into()),
                Ok(n) => self.written += n,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Whether the answer is there now.
    fn read(&mut self, steps: &[Step], block: &mut [u8]) -> Result<bool, Box<dyn Error>> {
        loop {
            let n = match self.stream.read(block) {
                Ok(0) => return Err("the server has closed a connection".into()),
                Ok(n) => n,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error.into()),
            };
            let checked = self.came.len();
            self.came.extend_from_slice(block.get(..n).unwrap_or_default());
            let step = steps.get(self.step).ok_or("there is nothing to ask")?;
            match step.progress(&self.came, checked) {
                Progress::Partial => {}
                Progress::Whole if self.written == step.request.len() => {
                    self.came.clear();
                    self.written = 0;
                    self.step = (self.step + 1) % steps.len();
                    return Ok(true);
                }
                Progress::Whole | Progress::Wrong => return Err(wrong(step, &self.came)),
            }
        }
    }
}

/// Does the steps one after the other.
fn prepare(stream: &mut std::net::TcpStream, steps: &[Step]) -> Result<(), Box<dyn Error>> {
    stream.set_read_timeout(Some(TIMEOUT))?;
    for step in steps {
        stream.write_all(&step.request)?;
        let (mut came, mut block) = (Vec::new(), [0; 1024]);
        while step.progress(&came, 0) == Progress::Partial {
            let n = stream.read(&mut block)?;
            came.extend_from_slice(block.get(..n).unwrap_or_default());
            if n == 0 || step.progress(&came, 0) == Progress::Wrong {
                return Err(wrong(step, &came));
            }
        }
    }
    Ok(())
}

fn wrong(step: &Step, came: &[u8]) -> Box<dyn Error> {
    // The beginning says which it is; a value may be long.
    let brief = |bytes: &[u8]| bytes.get(..200).unwrap_or(bytes).escape_ascii().to_string();
    let (request, came) = (brief(&step.request), brief(came));
    format!("not the answer to `{request}`: `{came}`").into()
}

fn histogram() -> Result<Histogram<u64>, Box<dyn Error>> {
    // From a microsecond to twice the timeout, to three digits.
    let most = u64::try_from(TIMEOUT.as_micros())? * 2;
    let mut histogram = Histogram::new_with_bounds(1, most, 3)?;
    histogram.auto(true);
    Ok(histogram)
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader};
    use std::net::TcpListener;
    use std::thread;

    use super::*;
    use crate::exchange::Items;

    const ITEMS: Items = Items { size: 100, pipelined: 1, keys: 1 };

    /// A cache that has every item, after `delay`, and answers with `data`.
    fn cache(delay: Duration, data: &str) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let data = data.to_owned();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let data = data.clone();
                thread::spawn(move || serve(stream.unwrap(), delay, &data));
            }
        });
        address
    }

    fn serve(stream: std::net::TcpStream, delay: Duration, data: &str) {
        let mut stream = BufReader::new(stream);
        let mut line = String::new();
        while stream.read_line(&mut line).unwrap_or(0) > 0 {
            let words: Vec<&str> = line.split_whitespace().collect();
            let answer = match words[..] {
                ["get", key] => {
                    thread::sleep(delay);
                    format!("VALUE {key} 0 {}\r\n{data}\r\nEND\r\n", data.len())
                }
                ["set", ..] => {
                    stream.read_line(&mut String::new()).unwrap();
                    "STORED\r\n".to_owned()
                }
                _ => "ERROR\r\n".to_owned(),
            };
            if stream.get_mut().write_all(answer.as_bytes()).is_err() {
                return;
            }
            line.clear();
        }
    }

    fn data() -> String {
        "0123456789".repeat(10)
    }

    #[test]
    fn every_connection_is_answered() {
        let exchange = Exchange::cache(ITEMS);
        let mut crowd = Crowd::connect(cache(Duration::ZERO, &data()), 20, &exchange).unwrap();
        crowd.each_once().unwrap();
        let measured = crowd.run(Pace::Closed, Duration::from_millis(200)).unwrap();
        assert!(measured.latencies.len() >= 20, "{}", measured.latencies.len());
        assert_eq!(measured.took, Duration::from_millis(200));
    }

    #[test]
    fn a_request_that_is_sent_late_counts_from_when_it_was_due() {
        let exchange = Exchange::cache(ITEMS);
        let slow = cache(Duration::from_millis(40), &data());
        let mut crowd = Crowd::connect(slow, 1, &exchange).unwrap();
        // One connection can do 25 reads a second; 50 are due.
        let measured = crowd.run(Pace::PerSecond(50), Duration::from_millis(400)).unwrap();
        assert_eq!(measured.latencies.len(), 20);
        let slowest = measured.latencies.max();
        assert!(slowest >= 300_000, "the last one has waited for all others: {slowest} us");
    }

    #[test]
    fn a_wrong_answer_ends_the_run() {
        let exchange = Exchange::cache(ITEMS);
        let mut crowd = Crowd::connect(cache(Duration::ZERO, "other"), 5, &exchange).unwrap();
        let error = crowd.each_once().unwrap_err().to_string();
        assert!(error.contains("not the answer to `get "), "{error}");
    }

    #[test]
    fn a_server_that_closes_ends_the_run() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || drop(listener.accept()));
        assert!(Crowd::connect(address, 1, &Exchange::cache(ITEMS)).is_err());
    }
}
