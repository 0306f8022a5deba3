//! A raw client of kestrel's memcache dialect. pymemcache cannot do reliable reads: the reply
//! names the queue without the options of the request.

use std::{
    collections::BTreeMap,
    io::{self, BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

/// One connection to the queue.
#[derive(Debug)]
pub struct QueueClient {
    stream: BufReader<TcpStream>,
}

impl QueueClient {
    /// Connects; connecting, reading and writing take 10 seconds at most.
    ///
    /// # Errors
    /// Those of the socket.
    pub fn connect(address: SocketAddr) -> io::Result<Self> {
        let bound = Duration::from_secs(10);
        let stream = TcpStream::connect_timeout(&address, bound)?;
        stream.set_read_timeout(Some(bound))?;
        stream.set_write_timeout(Some(bound))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream: BufReader::new(stream) })
    }

    /// Sends one line and reads one line.
    ///
    /// # Errors
    /// Those of the socket; [`io::ErrorKind::UnexpectedEof`] when the server closes.
    pub fn command(&mut self, line: &str) -> io::Result<String> {
        self.send(format!("{line}\r\n").as_bytes())?;
        self.line()
    }

    /// `get key`, with kestrel's options in the key: the item, or nothing.
    ///
    /// # Errors
    /// As [`command`](Self::command), and [`io::ErrorKind::InvalidData`] with the server's words
    /// when the reply is neither an item nor `END`.
    pub fn get(&mut self, key: &str) -> io::Result<Option<Vec<u8>>> {
        self.send(format!("get {key}\r\n").as_bytes())?;
        self.item()
    }

    /// `set`: the reply line.
    ///
    /// # Errors
    /// As [`command`](Self::command).
    pub fn set(&mut self, key: &str, value: &[u8]) -> io::Result<String> {
        let mut request = format!("set {key} 0 0 {}\r\n", value.len()).into_bytes();
        request.extend_from_slice(value);
        request.extend_from_slice(b"\r\n");
        self.send(&request)?;
        self.line()
    }

    /// Takes items until the queue has none, many requests in flight.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn drain(&mut self, queue: &str) -> io::Result<Vec<Vec<u8>>> {
        const IN_FLIGHT: usize = 64;
        let requests = format!("get {queue}\r\n").repeat(IN_FLIGHT);
        let mut items = Vec::new();
        loop {
            self.send(requests.as_bytes())?;
            let before = items.len();
            for _ in 0..IN_FLIGHT {
                items.extend(self.item()?);
            }
            if items.len() == before {
                return Ok(items);
            }
        }
    }

    /// `monitor`: the items that came, each of which is open now.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn monitor(&mut self, queue: &str, seconds: u32, max: u32) -> io::Result<Vec<Vec<u8>>> {
        self.send(format!("monitor {queue} {seconds} {max}\r\n").as_bytes())?;
        let mut items = Vec::new();
        while let Some(item) = self.item()? {
            items.push(item);
        }
        Ok(items)
    }

    /// The answer to a command that lists something: its lines before `END`.
    ///
    /// # Errors
    /// As [`command`](Self::command).
    pub fn listing(&mut self, command: &str) -> io::Result<Vec<String>> {
        self.send(format!("{command}\r\n").as_bytes())?;
        let mut lines = Vec::new();
        loop {
            let line = self.line()?;
            if line == "END" {
                return Ok(lines);
            }
            lines.push(line);
        }
    }

    /// The counters of `stats` by name.
    ///
    /// # Errors
    /// As [`command`](Self::command).
    pub fn stats(&mut self) -> io::Result<BTreeMap<String, String>> {
        self.send(b"stats\r\n")?;
        let mut counters = BTreeMap::new();
        loop {
            let line = self.line()?;
            let Some(counter) = line.strip_prefix("STAT ") else {
                return Ok(counters);
            };
            if let Some((name, value)) = counter.split_once(' ') {
                counters.insert(name.to_owned(), value.to_owned());
            }
        }
    }

    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.get_mut().write_all(bytes)
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        if self.stream.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        line.strip_suffix("\r\n").map(str::to_owned).ok_or_else(|| {
            let message = format!("expected a line that ends with CRLF, got {line:?}");
            io::Error::new(io::ErrorKind::InvalidData, message)
        })
    }

    fn item(&mut self) -> io::Result<Option<Vec<u8>>> {
        let line = self.line()?;
        if line == "END" {
            return Ok(None);
        }
        let unexpected = || {
            let message = format!("expected `VALUE` or `END`, got {line:?}");
            io::Error::new(io::ErrorKind::InvalidData, message)
        };
        let length: usize = line
            .strip_prefix("VALUE ")
            .and_then(|rest| rest.rsplit(' ').next())
            .and_then(|length| length.parse().ok())
            .ok_or_else(unexpected)?;
        let mut value = vec![0; length + 2];
        self.stream.read_exact(&mut value)?;
        value.truncate(length);
        let end = self.line()?;
        if end != "END" {
            let message = format!("expected `END` after an item, got {end:?}");
            return Err(io::Error::new(io::ErrorKind::InvalidData, message));
        }
        Ok(Some(value))
    }
}
