//! A hostile server for a client under test: it answers rightly, but for every Nth request, which gets a fault.

mod answer;
mod faults;

use std::io::{self, Read as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

pub use faults::{FAULTS, HostileFault, fault};

use answer::{Asked, next_request};

/// A peer that is silent for so long is gone.
const IDLE: Duration = Duration::from_secs(600);

/// How the server behaves.
#[derive(Clone, Debug)]
pub struct AttackOptions {
    /// Where to listen.
    pub listen: SocketAddr,
    /// What is played, each in its turn; one at least.
    pub faults: Vec<&'static HostileFault>,
    /// How many requests there are to a fault: with 2, every second one gets it.
    pub every: usize,
    /// How many faults there are; after them all answers are right.
    pub times: usize,
}

/// A server that listens until the process ends.
#[derive(Debug)]
pub struct Attack {
    address: SocketAddr,
    log: mpsc::Receiver<String>,
}

impl Attack {
    /// Listens.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn start(options: AttackOptions) -> io::Result<Self> {
        let listener = TcpListener::bind(options.listen)?;
        let address = listener.local_addr()?;
        let (say, log) = mpsc::channel();
        let (options, number) = (Arc::new(options), Arc::new(AtomicUsize::new(0)));
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (options, number, say) =
                    (Arc::clone(&options), Arc::clone(&number), say.clone());
                thread::spawn(move || {
                    // A peer that goes is what a fault may lead to.
                    let _ = serve(stream, &options, &number, &say);
                });
            }
        });
        Ok(Self { address, log })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What was asked and what was done, a line for each request, as it comes.
    pub fn log(&self) -> &mpsc::Receiver<String> {
        &self.log
    }
}

fn serve(
    mut stream: TcpStream,
    options: &AttackOptions,
    number: &AtomicUsize,
    say: &mpsc::Sender<String>,
) -> io::Result<()> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(IDLE))?;
    let mut received = Vec::new();
    let mut buffer = [0; 16 * 1024];
    // What a fault has kept back, and goes out before the next answer.
    let mut kept = Vec::new();
    loop {
        while let Some(Asked { line, answer, used }) = next_request(&received) {
            received.drain(..used);
            let at = number.fetch_add(1, Ordering::SeqCst) + 1;
            let answer = [std::mem::take(&mut kept), answer].concat();
            let is_right = !at.is_multiple_of(options.every) || at / options.every > options.times;
            if is_right {
                let _ = say.send(format!("#{at} {line}: answered"));
                io::Write::write_all(&mut stream, &answer)?;
                continue;
            }
            let fault = options.faults[(at / options.every - 1) % options.faults.len()];
            let _ = say.send(format!("#{at} {line}: {} ({})", fault.name, fault.does));
            if !(fault.play)(&mut stream, &answer, &mut kept)? {
                return Ok(());
            }
        }
        match stream.read(&mut buffer)? {
            0 => return Ok(()),
            n => received.extend_from_slice(&buffer[..n]),
        }
    }
}
