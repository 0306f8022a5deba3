//! An application with a tokio runtime of its own asks a cache from its tasks.
//!
//! It answers datagrams: each is a key, its answer is what the cache has under it.
//!
//! ```text
//! cargo run -p windhover-tokio --example client_in_your_runtime -- 127.0.0.1:11211 127.0.0.1:11212
//! echo -n greeting | nc -u -w 1 127.0.0.1 11212
//! ```

use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::UdpSocket;
use windhover_tokio::{Client, connect};

/// Answers until its socket fails.
async fn run(questions: UdpSocket, client: Client) -> io::Result<()> {
    let questions = Arc::new(questions);
    let mut key = [0; 250];
    loop {
        let (length, peer) = questions.recv_from(&mut key).await?;
        let key = key.get(..length).unwrap_or_default().to_vec();
        // A handle of the same client: all of them share its connections.
        let (client, questions) = (client.clone(), Arc::clone(&questions));
        // The client bounds the time of a call, and so the life of the task.
        tokio::spawn(async move {
            let answer = match client.get(&key).await {
                Ok(Some(value)) => value.data.to_vec(),
                Ok(None) => b"not there".to_vec(),
                Err(error) => error.to_string().into_bytes(),
            };
            // A datagram may be lost; who needs its answer asks again.
            let _ = questions.send_to(&answer, peer).await;
        });
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let cache = arguments.next().unwrap_or_else(|| "127.0.0.1:11211".to_owned());
    let address = arguments.next().unwrap_or_else(|| "127.0.0.1:11212".to_owned());
    let address: SocketAddr = address.parse()?;

    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        // Its tasks are started on the runtime that this is called in.
        let client = connect(Client::builder().server(&cache))?;
        run(UdpSocket::bind(address).await?, client).await?;
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
    use tokio::net::TcpListener;
    use tokio::time::timeout;

    use super::*;

    /// A cache with one item, for one connection.
    async fn cache() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let mut stream = BufReader::new(listener.accept().await.unwrap().0);
            let mut line = String::new();
            while stream.read_line(&mut line).await.unwrap() > 0 {
                let answer = match line.trim_end() {
                    "get greeting" => "VALUE greeting 0 5\r\nhello\r\nEND\r\n",
                    _ => "END\r\n",
                };
                stream.write_all(answer.as_bytes()).await.unwrap();
                line.clear();
            }
        });
        address
    }

    #[tokio::test]
    async fn datagrams_are_answered_from_the_cache() {
        let client = connect(Client::builder().server(&cache().await.to_string())).unwrap();
        let questions = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = questions.local_addr().unwrap();
        tokio::spawn(run(questions, client));

        let asker = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let mut answers = Vec::new();
        for key in ["greeting", "other", "not a key"] {
            let mut answer = [0; 500];
            asker.send_to(key.as_bytes(), address).await.unwrap();
            let came = timeout(Duration::from_secs(10), asker.recv(&mut answer));
            let length = came.await.unwrap().unwrap();
            answers.push(String::from_utf8_lossy(&answer[..length]).into_owned());
        }
        assert_eq!(answers[..2], ["hello", "not there"]);
        assert!(answers[2].contains("key"), "{answers:?}");
    }
}
