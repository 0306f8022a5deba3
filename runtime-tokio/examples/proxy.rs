//! A proxy before several memcached: each key goes to the server that owns it on the ketama ring, as with
//! libmemcached's clients. Classic and meta commands; a server that is down is an error line, not a miss.
//!
//! ```text
//! memcached -p 11212 & memcached -p 11213 &
//! cargo run -p windhover-tokio --example proxy -- 127.0.0.1:11211 127.0.0.1:11212 127.0.0.1:11213
//! ```

use tokio::net::TcpListener;
use windhover_client::protocol::memcache::handler::{Handler, Reply, ReplyError, Session};
use windhover_client::protocol::memcache::request::Request;
use windhover_client::protocol::memcache::{Data, Dialect, Limits};
use windhover_client::protocol::{Now, Timeouts};
use windhover_client::{Builder, Client, Error};

use windhover_tokio::{ServeOptions, Shutdown, connect, serve};

struct Proxy(Client);

impl Handler for Proxy {
    fn handle(
        &mut self,
        request: Request<'_>,
        data: Data<'_>,
        reply: &mut Reply<'_>,
    ) -> Result<(), ReplyError> {
        let forwarded = self.0.forward(&request, data.to_bytes());
        reply.defer_until(async {
            let forwarded = forwarded.await;
            if let Some(error) = forwarded.error() {
                eprintln!("{error}");
            }
            move |reply: &mut Reply<'_>| forwarded.give(reply)
        });
        Ok(())
    }
}

/// Serves `listener` until the shutdown. Called within a runtime.
///
/// # Errors
/// Where the client cannot be made of these servers.
pub async fn run<'a>(
    listener: TcpListener,
    servers: impl IntoIterator<Item = &'a str>,
    shutdown: Shutdown,
) -> Result<(), Error> {
    let servers = servers.into_iter();
    let client = connect(servers.fold(Client::builder(), Builder::server))?;
    let (limits, timeouts) = (Limits::default(), Timeouts::default());
    let accept = move |_, now: Now| {
        Session::new(Proxy(client.clone()), Dialect::Memcached, &limits, &timeouts, now)
    };
    serve([listener], accept, ServeOptions::default(), shutdown).await;
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [listen, servers @ ..] = &arguments[..] else {
        return Err("usage: proxy LISTEN SERVER...".into());
    };
    let listener = TcpListener::bind(listen).await?;
    run(listener, servers.iter().map(String::as_str), Shutdown::new()).await?;
    Ok(())
}
