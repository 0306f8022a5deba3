//! What a subscriber sees of a request.
#![allow(clippy::unwrap_used)]

use std::fmt::{Debug, Write};
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};
use windhover_client::{Client, ConnectFailure, DriverStep};

/// Writes down spans, their fields and events.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<String>>);

impl Visit for Log {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        write!(self.0.lock().unwrap(), " {field}={value:?}").unwrap();
    }
}

impl Subscriber for Log {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("windhover_client")
    }
    fn new_span(&self, span: &Attributes<'_>) -> Id {
        write!(self.0.lock().unwrap(), "\nspan {}", span.metadata().name()).unwrap();
        span.record(&mut self.clone());
        Id::from_u64(1)
    }
    fn record(&self, _: &Id, values: &Record<'_>) {
        values.record(&mut self.clone());
    }
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, event: &Event<'_>) {
        write!(self.0.lock().unwrap(), "\n{}", event.metadata().level()).unwrap();
        event.record(&mut self.clone());
    }
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

#[test]
fn a_request_is_a_span_that_says_why_it_failed() {
    let log = Log::default();
    tracing::subscriber::with_default(log.clone(), || {
        let builder = Client::builder().server("a:1").options(|options| {
            options.attempts = 1;
            options.health.failures = 1;
        });
        let (client, driver) = builder.build().unwrap();
        let mut call = pin!(client.get("user:7"));
        let mut cx = Context::from_waker(Waker::noop());
        assert!(call.as_mut().poll(&mut cx).is_pending());
        let DriverStep::Connect { connection, .. } = driver.next(cx.waker()) else {
            unreachable!()
        };
        driver.connect_failed(connection, ConnectFailure::Refused);
        assert!(matches!(call.as_mut().poll(&mut cx), Poll::Ready(Err(_))));
    });
    let log = log.0.lock().unwrap().clone();
    for told in [
        "span windhover_client::call command=Get",
        "key=user:7",
        "nobody listens there",
        "outcome=\"not sent\"",
        "\nWARN",
        "out of use",
    ] {
        assert!(log.contains(told), "{told} is not in {log}");
    }
}
