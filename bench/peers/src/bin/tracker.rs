//! Trackers to compare with, each on one thread: axum, keeping events in memory; axum, answering when they
//! are on the disk; hyper, answering the same to every request.
//!
//! usage: tracker axum-memory|axum-file|hyper PORT [FILE]

use std::convert::Infallible;
use std::fs::File;
use std::io::Write;
use std::sync::{Arc, Mutex, mpsc};
use std::thread;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Form, FromRequest, State};
use axum::http::{StatusCode, Uri};
use axum::routing::post;
use axum::serve::ListenerExt;
use http_body_util::{BodyExt, Full};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::oneshot;
use windhover_peers::tracking;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [kind, port, file @ ..] = &arguments[..] else { panic!("usage: tracker KIND PORT [FILE]") };
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind(([127, 0, 0, 1], port.parse().expect("a PORT")).into()).expect("a free port");
    // By default so few wait that a crowd has to come again a second later.
    let listener = socket.listen(4096).expect("a listener");
    match kind.as_str() {
        "axum-memory" => axum_on(listener, Keep::Memory(Mutex::default())).await,
        "axum-file" => axum_on(listener, Keep::File(writer(&file[0]))).await,
        "hyper" => hyper_on(listener).await,
        other => panic!("no such tracker: {other}"),
    }
}

/// Where events go.
enum Keep {
    Memory(Mutex<Vec<Vec<u8>>>),
    /// To a thread that appends and syncs what has gathered while it synced.
    File(mpsc::Sender<(Vec<u8>, oneshot::Sender<()>)>),
}

/// Events in memory beyond this are dropped, as if a consumer had read them.
const MOST_IN_MEMORY: usize = 1_000_000;

impl Keep {
    async fn keep(&self, events: Vec<Vec<u8>>) -> bool {
        match self {
            Self::Memory(kept) => {
                let mut kept = kept.lock().expect("nobody panics with it");
                if kept.len() > MOST_IN_MEMORY {
                    kept.clear();
                }
                kept.extend(events);
                true
            }
            Self::File(writer) => {
                let (done, synced) = oneshot::channel();
                writer.send((events.concat(), done)).is_ok() && synced.await.is_ok()
            }
        }
    }
}

/// Group commit: one append and one sync for all that waits.
fn writer(path: &str) -> mpsc::Sender<(Vec<u8>, oneshot::Sender<()>)> {
    let mut file = File::create(path).expect("a file that can be written");
    let (sender, receiver) = mpsc::channel::<(Vec<u8>, oneshot::Sender<()>)>();
    thread::spawn(move || {
        while let Ok(first) = receiver.recv() {
            let batch: Vec<_> = std::iter::once(first).chain(receiver.try_iter()).collect();
            let mut bytes = Vec::new();
            batch.iter().for_each(|(events, _)| bytes.extend_from_slice(events));
            file.write_all(&bytes).and_then(|()| file.sync_data()).expect("a disk that works");
            // A client that has gone needs no answer.
            batch.into_iter().for_each(|(_, done)| _ = done.send(()));
        }
    });
    sender
}

async fn axum_on(listener: TcpListener, keep: Keep) {
    let tracker =
        Router::new().route("/track", post(posted).get(queried)).with_state(Arc::new(keep));
    let listener = listener.tap_io(|stream| _ = stream.set_nodelay(true));
    axum::serve(listener, tracker).await.expect("a listener that works");
}

async fn queried(State(keep): State<Arc<Keep>>, uri: Uri) -> (StatusCode, &'static str) {
    answer(&keep, tracking::get(&uri)).await
}

async fn posted(
    State(keep): State<Arc<Keep>>,
    request: Request<Body>,
) -> (StatusCode, &'static str) {
    let json = request.headers().get("content-type").is_some_and(|kind| kind == "application/json");
    let events = if json {
        Bytes::from_request(request, &()).await.ok().and_then(|body| tracking::json(&body))
    } else {
        Form::from_request(request, &()).await.ok().and_then(tracking::form)
    };
    answer(&keep, events).await
}

async fn answer(keep: &Keep, events: Option<Vec<Vec<u8>>>) -> (StatusCode, &'static str) {
    let Some(events) = events else { return (StatusCode::BAD_REQUEST, "0") };
    if keep.keep(events).await {
        (StatusCode::OK, "1")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "0")
    }
}

async fn hyper_on(listener: TcpListener) {
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        stream.set_nodelay(true).ok();
        tokio::spawn(async move {
            let service = service_fn(|request: Request<hyper::body::Incoming>| async {
                // What was sent has to be read for the connection to go on.
                let _ = request.into_body().collect().await;
                Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(b"1"))))
            });
            let connection = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service);
            connection.await.ok();
        });
    }
}
