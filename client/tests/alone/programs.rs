//! What the documentation says that a user of the client writes, with one dependency: each adapter compiles
//! this with its own crate as `windhover`, and nothing else.

use std::time::Duration;

use crate::windhover::protocol::memcache::request::Request;
use crate::windhover::protocol::memcache::{Keys, Limits};
use crate::windhover::{
    ArithmeticFlags, Backoff, Builder, Bytes, Call, CallError, Cas, Client, Compression,
    Credentials, DeleteFlags, Error, ErrorKind, Event, Expires, GetFlags, MetaCode, MetaCommands,
    Names, NotSent, Outcome, Recompute, Report, RetryLimit, Rotation, Server, ServerSelection,
    ServerState, SetFlags, SetMode, Store, Target, Value, ValueError,
};

/// All of them: none has a server.
pub(crate) async fn run(client: &Client) {
    let client = client.with_timeout(Duration::from_millis(1));
    for outcome in [cache(&client).await, meta(&client).await, queue(&client).await] {
        // Nobody answers within a millisecond at names that are none.
        let advised = outcome.err().map(|error| advice(&error));
        assert!(advised.is_some_and(|advised| advised != "look at the value"), "{advised:?}");
    }
}

pub(crate) fn builder() -> Builder {
    Client::builder()
        .server("cache-1")
        .servers([Server::new("cache-2:11300").weight(2).named("old")])
        .timeout(Duration::from_millis(250))
        .key_prefix("shop:")
        .compression(Compression::ReadOnly)
        .meta(MetaCommands::Detect)
        .on_event(|event| match event {
            Event::Ejected(server) | Event::Restored(server) => {
                println!("{}: {event}", server.name);
            }
            other => println!("{other}"),
        })
        .options(|options| {
            options.selection = ServerSelection::Rendezvous;
            options.rotation = Rotation::Random;
            options.retries = RetryLimit::new(10, 1);
            options.health.backoff =
                Backoff::new(Duration::from_millis(50), Duration::from_secs(1));
            options.limits = Limits::default().with_value(8 << 20);
            options.credentials = Some(Credentials { user: "u".into(), password: "p".into() });
        })
}

async fn cache(client: &Client) -> Result<(), Error> {
    let minute = Expires::In(Duration::from_secs(60));
    client.set("k", Store::from_static(b"v").expires(minute).flags(16)).await?;
    let value: Option<Value> = client.gets("k").await?;
    if let Some(Value { data, cas: Some(unique), .. }) = value {
        let data: Bytes = data;
        match client.cas("k", data, unique).await? {
            Cas::Stored | Cas::Changed | Cas::Gone => {}
        }
    }
    let visits: Option<u64> = client.get_as("visits").await?;
    let names = client.update("names", |current| current.map(|value| value.data)).await?;
    for found in client.get_many(["a", "b"]).await {
        found?;
    }
    let text = |value: &Value| -> Result<String, ValueError> { Ok(value.text()?.to_owned()) };
    let recompute = Recompute::after(Duration::from_secs(5)).stale_for(Duration::from_secs(1));
    let compute = || async { Ok::<_, Error>("computed") };
    let computed = client.get_or_compute("c", recompute, compute).await?;
    drop((visits, names, text(&computed.value)));
    Ok(())
}

async fn meta(client: &Client) -> Result<(), Error> {
    let found = client.meta_get("k", GetFlags::new().value().ttl()).await?;
    if found.code == MetaCode::Miss {
        client.meta_set("k", "1", SetFlags::new().mode(SetMode::Add)).await?;
    }
    client.meta_arithmetic("k", ArithmeticFlags::new().delta(2)).await?;
    client.meta_delete("k", DeleteFlags::new()).await?;
    for (_, version) in client.versions().await {
        version?;
    }
    let down = |server: &ServerState| *server == ServerState::Ejected;
    let ejected = client.statistics().iter().filter(|server| down(&server.state)).count();
    let (server, _) = client.servers().remove(ejected);
    let keys: [&[u8]; 2] = [b"a", b"b"];
    let get = Request::Get(Keys::new(&keys));
    let to_one = |prepared| {
        let mut call = Call::read(prepared);
        call.target = Target::Server(server);
        call
    };
    let prepared = client.prepare_call(&get, Bytes::new(), to_one)?;
    drop(prepared.send().await?);
    let followed = Names::new(["cache.internal"])?.every(Duration::from_secs(5)).follow(client);
    drop(followed);
    Ok(())
}

async fn queue(client: &Client) -> Result<(), Error> {
    let jobs = client.queue("jobs").at_least_once();
    jobs.enqueue("resize 7.png").await?;
    if let Some(job) = jobs.reserve_within(Duration::from_millis(100)).await? {
        job.confirm().await?;
    }
    Ok(())
}

/// What to do about a call that failed.
fn advice(error: &Error) -> &'static str {
    println!("{}", Report::new(error));
    match (error.kind(), error.outcome()) {
        (ErrorKind::Call(CallError::NotSent { why: NotSent::Connect(_), .. }), _) => "start it",
        (ErrorKind::Call(CallError::Refused { .. }) | ErrorKind::QueueFull, _) => "wait",
        (ErrorKind::Value(_), _) => "look at the value",
        (_, Outcome::Unknown) => "look whether it was done",
        _ => "mend the program",
    }
}
