//! Servers that note which keys come to them, to learn how a client divides keys among servers.

use std::{
    io::{BufRead as _, BufReader, Read, Write},
    net::{SocketAddr, TcpListener},
    os::unix::net::UnixListener,
    path::Path,
    sync::{Arc, Mutex},
    thread,
};

/// A server that notes the keys of `set` and `get`, and stores nothing. It listens until the test
/// ends.
#[derive(Debug)]
pub struct Recorder(Arc<Mutex<Vec<Vec<u8>>>>);

impl Recorder {
    /// One on a free port of 127.0.0.1.
    #[track_caller]
    pub fn tcp() -> (Self, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
        let address = listener.local_addr().expect("a listener has an address");
        let recorder = Self::over(move || {
            let (stream, _) = listener.accept().ok()?;
            let _ = stream.set_nodelay(true);
            Some((stream.try_clone().ok()?, stream))
        });
        (recorder, address)
    }

    /// One on a Unix socket.
    #[track_caller]
    pub fn unix(path: &Path) -> Self {
        let listener = UnixListener::bind(path).expect("a socket can be made");
        Self::over(move || {
            let (stream, _) = listener.accept().ok()?;
            Some((stream.try_clone().ok()?, stream))
        })
    }

    /// The keys that came since it was last asked, in no order that means anything.
    pub fn take_keys(&self) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.0.lock().expect("no holder panics"))
    }

    fn over<R, W>(mut accept: impl FnMut() -> Option<(R, W)> + Send + 'static) -> Self
    where
        R: Read + Send + 'static,
        W: Write + Send + 'static,
    {
        let keys = Arc::new(Mutex::new(Vec::new()));
        let noted = Arc::clone(&keys);
        thread::spawn(move || {
            while let Some((from, to)) = accept() {
                let noted = Arc::clone(&noted);
                thread::spawn(move || record(BufReader::new(from), to, &noted));
            }
        });
        Self(keys)
    }
}

/// Answers until the connection ends, and closes it on a request that is neither `set` nor `get`.
fn record<R: Read>(mut from: BufReader<R>, mut to: impl Write, keys: &Mutex<Vec<Vec<u8>>>) {
    // Noted before it is answered: a client that has its answer finds the key here.
    let note = |key: &[u8]| keys.lock().expect("no holder panics").push(key.to_vec());
    let mut line = Vec::new();
    let mut replies = Vec::new();
    loop {
        line.clear();
        if !matches!(from.read_until(b'\n', &mut line), Ok(1..)) {
            return;
        }
        let words: Vec<&[u8]> = line.trim_ascii_end().split(|&byte| byte == b' ').collect();
        match words[..] {
            [b"set", key, _flags, _exptime, length] => {
                let length = str::from_utf8(length).ok().and_then(|text| text.parse::<u16>().ok());
                let Some(length) = length else { return };
                note(key);
                let mut block = vec![0; usize::from(length) + 2];
                if from.read_exact(&mut block).is_err() {
                    return;
                }
                replies.extend_from_slice(b"STORED\r\n");
            }
            [b"get", ref asked @ ..] => {
                for key in asked {
                    note(key);
                }
                replies.extend_from_slice(b"END\r\n");
            }
            _ => return,
        }
        if from.buffer().is_empty() && to.write_all(&std::mem::take(&mut replies)).is_err() {
            return;
        }
    }
}
