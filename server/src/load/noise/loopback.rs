//! Round trips between two threads over the loopback interface.

use std::io::{self, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use crate::load::record::histogram;

/// Bytes of a message.
const MESSAGE: usize = 64;
/// One that takes longer is a fault.
const TIMEOUT: Duration = Duration::from_secs(30);

pub(super) fn measure(time: Duration) -> io::Result<Histogram<u64>> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let mut stream = TcpStream::connect_timeout(&listener.local_addr()?, TIMEOUT)?;
    let (mut other, _) = listener.accept()?;
    for end in [&stream, &other] {
        end.set_nodelay(true)?;
        end.set_read_timeout(Some(TIMEOUT))?;
    }
    let answers = thread::Builder::new().name("loopback".to_owned()).spawn(move || {
        let mut message = [0; MESSAGE];
        // Until the other end is closed.
        while other.read_exact(&mut message).and_then(|()| other.write_all(&message)).is_ok() {}
    })?;
    let mut took = histogram();
    let (begun, mut message) = (Instant::now(), [b'w'; MESSAGE]);
    while begun.elapsed() < time {
        let before = Instant::now();
        stream.write_all(&message)?;
        stream.read_exact(&mut message)?;
        // It is within the timeout.
        let _ = took.record(u64::try_from(before.elapsed().as_nanos()).unwrap_or(u64::MAX));
    }
    drop(stream);
    answers.join().map_err(|_| io::Error::other("the thread that answers has panicked"))?;
    Ok(took)
}
