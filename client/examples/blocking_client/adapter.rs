//! An adapter of threads and blocking sockets for the client, from the standard library alone.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::task::{Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::Duration;

use windhover_client::protocol::client::{ConnectFailure, ConnectionId};
use windhover_client::{Builder, Client, Driver, DriverStep, Error, connect_failure};

/// How long a thread tries an address. The client gives up sooner, and tries again by itself.
const CONNECT: Duration = Duration::from_secs(10);
/// How long a server that takes nothing keeps its connection's thread from all else.
const WRITE: Duration = Duration::from_millis(100);

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

fn waker() -> Waker {
    Arc::new(Unpark(thread::current())).into()
}

/// Makes a client and drives it, on threads, until its last handle is gone.
pub(crate) fn connect(builder: Builder) -> Result<Client, Error> {
    let (client, driver) = builder.build()?;
    // If there is no thread to be had, the driver is dropped: every call ends with an error.
    let _ = thread::Builder::new().spawn(move || drive(&driver));
    Ok(client)
}

fn drive(driver: &Driver) {
    let waker = waker();
    loop {
        match driver.next(&waker) {
            DriverStep::Connect { connection, server } => {
                let its = driver.for_connection();
                let run = move || run(&its, connection, &server.address);
                if thread::Builder::new().spawn(run).is_err() {
                    driver.connect_failed(connection, ConnectFailure::Other);
                }
            }
            DriverStep::Wait(time) => thread::park_timeout(time),
            DriverStep::Closed => return,
        }
    }
}

/// One connection, from its making to its end.
fn run(driver: &Driver, connection: ConnectionId, address: &str) {
    let stream = match open(address) {
        Ok(stream) => stream,
        Err(why) => return driver.connect_failed(connection, why),
    };
    driver.connected(connection);
    thread::scope(|scope| {
        let read = || read(&stream, driver, connection);
        if let Err(error) = thread::Builder::new().spawn_scoped(scope, read) {
            broke(driver, connection, error);
        }
        write(&stream, driver, connection);
        // Gets the other thread out of its read.
        let _ = stream.shutdown(Shutdown::Both);
    });
}

fn open(address: &str) -> Result<TcpStream, ConnectFailure> {
    let mut failure = ConnectFailure::NoAddress;
    for address in address.to_socket_addrs().map_err(|_| failure)? {
        let connected = TcpStream::connect_timeout(&address, CONNECT).and_then(|stream| {
            stream.set_nodelay(true)?;
            stream.set_write_timeout(Some(WRITE))?;
            Ok(stream)
        });
        match connected {
            Ok(stream) => return Ok(stream),
            Err(error) => failure = connect_failure(&error),
        }
    }
    Err(failure)
}

fn broke(driver: &Driver, connection: ConnectionId, error: io::Error) {
    let _ = driver.read(connection, |_| Poll::Ready(Err(error)));
}

fn read(mut stream: &TcpStream, driver: &Driver, connection: ConnectionId) {
    let mut block = [0; 16 * 1024];
    let mut is_open = true;
    while is_open {
        // Outside of the driver, for nothing else goes on while that reads.
        let came = stream.read(&mut block);
        is_open = came.as_ref().is_ok_and(|n| *n > 0);
        let _ = driver.read(connection, |buffer| {
            Poll::Ready(came.inspect(|n| buffer.extend_from_slice(&block[..*n])))
        });
    }
}

/// Writes whatever waits, until the connection is over.
fn write(mut stream: &TcpStream, driver: &Driver, connection: ConnectionId) {
    let waker = waker();
    let mut unsent = Vec::new();
    loop {
        let turn = driver.turn(connection, &waker);
        if turn.is_closed {
            return;
        }
        if unsent.is_empty() && turn.wants_write {
            let _ = driver.write(connection, |slices| {
                for slice in slices {
                    unsent.extend_from_slice(slice);
                }
                Poll::Ready(Ok(unsent.len()))
            });
        }
        if unsent.is_empty() {
            thread::park();
            continue;
        }
        match stream.write(&unsent) {
            Ok(0) => broke(driver, connection, ErrorKind::WriteZero.into()),
            Ok(n) => drop(unsent.drain(..n)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => broke(driver, connection, error),
        }
    }
}
