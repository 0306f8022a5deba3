//! A raw HTTP client: it sends the bytes it is given, and times out.

use std::{
    io::{self, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    time::Duration,
};

use rustix::net::{AddressFamily, SocketType, bind, connect, socket};

/// One connection to the tracker.
#[derive(Debug)]
pub struct HttpClient {
    stream: TcpStream,
    unread: Vec<u8>,
}

/// A whole answer.
#[derive(Debug)]
pub struct HttpAnswer {
    /// The status code.
    pub status: u16,
    /// Header names in lower case, with their values.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl HttpAnswer {
    /// The first value of header `name`, given in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Whether the tracker said "recorded": status 200 and the body `1`.
    pub fn accepted(&self) -> bool {
        self.status == 200 && self.body.trim_ascii() == b"1"
    }
}

impl HttpClient {
    /// Connects; connecting, reading and writing take 10 seconds at most.
    ///
    /// # Errors
    /// Those of the socket.
    pub fn connect(address: SocketAddr) -> io::Result<Self> {
        Self::connect_within(address, Duration::from_secs(10))
    }

    /// Connects with a bound for connecting and for every read and write.
    ///
    /// # Errors
    /// Those of the socket.
    pub fn connect_within(address: SocketAddr, bound: Duration) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&address, bound)?;
        stream.set_read_timeout(Some(bound))?;
        stream.set_write_timeout(Some(bound))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, unread: Vec::new() })
    }

    /// Connects from another address of this machine; reading and writing take 10 seconds at most.
    ///
    /// # Errors
    /// Those of the socket.
    pub fn connect_from(source: Ipv4Addr, address: SocketAddr) -> io::Result<Self> {
        let bound = Duration::from_secs(10);
        let socket = socket(AddressFamily::INET, SocketType::STREAM, None)?;
        bind(&socket, &SocketAddr::from((source, 0)))?;
        connect(&socket, &address)?;
        let stream = TcpStream::from(socket);
        stream.set_read_timeout(Some(bound))?;
        stream.set_write_timeout(Some(bound))?;
        Ok(Self { stream, unread: Vec::new() })
    }

    /// Sends bytes as they are.
    ///
    /// # Errors
    /// Those of the socket.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// Sends `GET target` and waits for the answer.
    ///
    /// # Errors
    /// Those of the socket, and [`io::ErrorKind::InvalidData`] for an answer that is not HTTP.
    pub fn get(&mut self, target: &str) -> io::Result<HttpAnswer> {
        self.send(format!("GET {target} HTTP/1.1\r\nHost: test\r\n\r\n").as_bytes())?;
        self.receive()
    }

    /// Posts `json` to `/track` and waits for the answer.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn track(&mut self, json: &str) -> io::Result<HttpAnswer> {
        let request = format!(
            "POST /track HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{json}",
            json.len()
        );
        self.send(request.as_bytes())?;
        self.receive()
    }

    /// Reads one answer with a `Content-Length`.
    ///
    /// # Errors
    /// As [`get`](Self::get); [`io::ErrorKind::UnexpectedEof`] when the server closes before the
    /// end of the answer.
    pub fn receive(&mut self) -> io::Result<HttpAnswer> {
        let head_end = loop {
            if let Some(at) = self.unread.windows(4).position(|seen| seen == b"\r\n\r\n") {
                break at + 4;
            }
            self.read_more()?;
        };
        let head = String::from_utf8(self.unread.drain(..head_end).collect())
            .map_err(|_| invalid("a head that is not UTF-8"))?;
        let mut lines = head.lines();
        let status = lines
            .next()
            .and_then(|line| line.strip_prefix("HTTP/1.1 "))
            .and_then(|rest| rest.get(..3))
            .and_then(|code| code.parse().ok())
            .ok_or_else(|| invalid(&head))?;
        let headers: Vec<_> = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        let mut answer = HttpAnswer { status, headers, body: Vec::new() };
        let length = match answer.header("content-length") {
            Some(length) => length.parse().map_err(|_| invalid(&head))?,
            None => 0,
        };
        while self.unread.len() < length {
            self.read_more()?;
        }
        answer.body = self.unread.drain(..length).collect();
        Ok(answer)
    }

    fn read_more(&mut self) -> io::Result<()> {
        let mut chunk = [0; 4096];
        match self.stream.read(&mut chunk)? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            count => {
                self.unread.extend_from_slice(&chunk[..count]);
                Ok(())
            }
        }
    }
}

fn invalid(seen: &str) -> io::Error {
    let message = format!("expected an answer of HTTP/1.1, got {seen:?}");
    io::Error::new(io::ErrorKind::InvalidData, message)
}
