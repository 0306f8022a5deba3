//! memcache-async on tokio: a connection is a client. Its `set` does not wait for an answer, so that there is
//! nothing to compare it with.

use memcache_async::ascii::Protocol;
use tokio::net::TcpStream;

use super::{Workers, current_thread, threads};
use crate::work::{KEY, KEYS, VALUE, Window, Work, keys};

pub(super) fn start(work: Work, port: u16, window: Window) -> Workers {
    threads(work, move || current_thread().block_on(run(work, port, window)))
}

async fn run(work: Work, port: u16, window: Window) -> u64 {
    let stream = TcpStream::connect(("127.0.0.1", port)).await.expect("a connection");
    stream.set_nodelay(true).expect("an option");
    let (mut client, mut count) = (Protocol::new(stream), 0);
    match work {
        Work::Get | Work::ThreadsApart => {
            while {
                assert!(client.get(KEY).await.expect("an item") == VALUE);
                window.goes_on(&mut count, 1)
            } {}
        }
        Work::Keys => {
            let keys = keys();
            while {
                let found = client.get_multi(&keys).await.expect("an answer");
                assert!(found.len() == KEYS && found.values().all(|value| value == VALUE));
                window.goes_on(&mut count, KEYS)
            } {}
        }
        _ => panic!("memcache-async has no way to do {work:?}"),
    }
    count
}
