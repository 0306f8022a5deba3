//! The README's client journey, as it stands there.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use windhover_conformance::{CacheServer, Runtime, Setup, TempDir};
use windhover_tokio::{Client, Error, Store, connect};

async fn cache(server: &str) -> Result<(), Error> {
    let client = connect(Client::builder().server(server))?;
    let minute = Duration::from_secs(60);
    client.set("greeting", Store::from("hello").expires(minute)).await?;
    if let Some(value) = client.get("greeting").await? {
        println!("{}", value.text()?);
    }
    // One of many callers computes; the others wait, or are given the old value.
    let user = client.get_or_compute("user:7", minute, || load_user(7)).await?;
    println!("{}", user.value.text()?);
    Ok(())
}

async fn queue(server: &str) -> Result<(), Error> {
    let client = connect(Client::queue_builder().server(server))?;
    let jobs = client.queue("jobs");
    jobs.enqueue("resize 7.png").await?;
    while let Some(job) = jobs.reserve_within(Duration::from_millis(100)).await? {
        println!("{}", job.item().escape_ascii());
        // Without this, and with a crash, the job comes again.
        job.confirm().await?;
    }
    Ok(())
}

/// What stands for the application's database.
#[expect(clippy::unused_async, reason = "a database would be waited for")]
async fn load_user(id: u64) -> Result<String, Error> {
    Ok(format!("user {id}"))
}

/// The README has a function of this file, whole.
#[track_caller]
fn is_in_the_readme(function: &str) {
    let start = include_str!("journey.rs").split_once(&format!("async fn {function}(")).unwrap().1;
    let body = start.split_once("\n}\n").unwrap().0;
    let readme = include_str!("../../README.md");
    assert!(readme.contains(&format!("async fn {function}({body}\n}}\n")), "{function}: {body}");
}

#[tokio::test]
async fn ten_lines_are_a_cache() {
    is_in_the_readme("cache");
    let server = CacheServer::memcached(&[]);
    let address = server.address().to_string();
    cache(&address).await.unwrap();
    let client = connect(Client::builder().server(&address)).unwrap();
    assert_eq!(client.get_as::<String>("user:7").await.unwrap().as_deref(), Some("user 7"));
    assert_eq!(client.get_as::<String>("greeting").await.unwrap().as_deref(), Some("hello"));
    cache(&CacheServer::windhover(Runtime::Tokio, &[]).address().to_string()).await.unwrap();
}

#[tokio::test]
async fn ten_lines_are_a_queue() {
    is_in_the_readme("queue");
    let directory = TempDir::new("journey");
    let server = Setup::new(directory.path().join("data")).start();
    let address = server.queue().to_string();
    queue(&address).await.unwrap();
    let client = connect(Client::queue_builder().server(&address)).unwrap();
    assert_eq!(client.queue("jobs").take().await.unwrap(), None);
}
