//! A subject of NATS JetStream as the source of a relay: a durable consumer, which goes on where the last one ended.

use std::collections::VecDeque;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::Message;
use async_nats::jetstream::consumer::{AckPolicy, Consumer, pull};
use futures_util::StreamExt;

use super::source::Drained;
use crate::forward::JetStreamUrl;
use crate::forward::jetstream::JetStream;
use crate::forward::pump::Source;
use crate::forward::target::{Record, RecordName};
use crate::forward::window::{Hopeless, WINDOW};

/// After so long a message that was not acknowledged comes again: to the next relay, when this one is killed.
const ACK_WAIT: Duration = Duration::from_secs(10);
/// How long to wait before looking again for messages that somebody else has.
const LOOK: Duration = Duration::from_millis(200);

/// How long a step may take.
const STEP: Duration = Duration::from_secs(5);

/// What NATS said, as it is told.
pub(super) type StreamError = async_nats::Error;

/// The messages of a subject.
pub(super) struct SubjectQueue {
    nats: Arc<JetStream>,
    url: JetStreamUrl,
    consumer: Option<Consumer<pull::Config>>,
    ready: VecDeque<Message>,
}

impl SubjectQueue {
    pub(super) fn new(nats: Arc<JetStream>, url: JetStreamUrl) -> Self {
        Self { nats, url, consumer: None, ready: VecDeque::new() }
    }

    async fn consumer(
        nats: &JetStream,
        url: &JetStreamUrl,
    ) -> Result<Consumer<pull::Config>, StreamError> {
        let context = nats.context().ok_or("not connected yet")?;
        let url = url.url();
        let stream = match &url.stream {
            Some(stream) => stream.clone(),
            None => context.stream_by_subject(url.subject.as_str()).await?,
        };
        let name = format!("windhover-relay-{}", url.subject.replace(['.', '/', '\\'], "_"));
        let config = pull::Config {
            durable_name: Some(name.clone()),
            ack_policy: AckPolicy::Explicit,
            ack_wait: ACK_WAIT,
            filter_subject: url.subject.clone(),
            max_ack_pending: 4 * i64::try_from(WINDOW).unwrap_or(i64::MAX),
            ..pull::Config::default()
        };
        let stream = context.get_stream(stream).await?;
        Ok(stream.get_or_create_consumer(&name, config).await?)
    }

    fn fetch(&mut self) -> Result<(), StreamError> {
        let nats = Arc::clone(&self.nats);
        let consumer = match self.consumer.take() {
            Some(consumer) => consumer,
            None => nats.wait_for(Self::consumer(&nats, &self.url))?,
        };
        let fetched = nats.wait_for(in_time(async {
            let mut messages = consumer.fetch().max_messages(WINDOW).messages().await?;
            while let Some(message) = messages.next().await {
                self.ready.push_back(message?);
            }
            Ok(())
        }));
        // After a failure it is looked for again: it may be gone with its leader.
        if fetched.is_ok() {
            self.consumer = Some(consumer);
        }
        if self.ready.is_empty() { fetched } else { Ok(()) }
    }
}

/// A server that is gone may leave it without an end.
async fn in_time<T>(does: impl Future<Output = Result<T, StreamError>>) -> Result<T, StreamError> {
    tokio::time::timeout(STEP, does).await.unwrap_or_else(|late| Err(late.into()))
}

impl Source for SubjectQueue {
    type Taken = Message;
    type Error = StreamError;

    fn take(&mut self, wait: Duration) -> Result<Option<(Message, Record)>, StreamError> {
        // Where something is on its way already, it is sent before more is asked for.
        if self.ready.is_empty() && !wait.is_zero() {
            self.fetch()?;
        }
        let Some(message) = self.ready.pop_front() else {
            return Ok(None);
        };
        let headers = message.headers.as_ref();
        let id = headers.and_then(|headers| headers.get("Nats-Msg-Id")).map(ToString::to_string);
        let id = match id {
            Some(id) => id,
            None => message.info().map(|it| format!("{}-{}", it.stream, it.stream_sequence))?,
        };
        let record = Record { bytes: message.payload.clone(), name: RecordName::Message(id) };
        Ok(Some((message, record)))
    }

    fn confirm(&mut self, arrived: Vec<Message>) -> Result<(), StreamError> {
        if arrived.is_empty() {
            return Ok(());
        }
        let nats = Arc::clone(&self.nats);
        nats.wait_for(in_time(async {
            for message in &arrived {
                message.ack().await?;
            }
            // The server has them once it has answered what comes behind. One that is lost comes again.
            let context = nats.context().ok_or("not connected")?;
            Ok(context.client().flush().await?)
        }))
    }

    fn give_up(&mut self, hopeless: Hopeless<Message>) -> Option<Hopeless<Message>> {
        Some(hopeless)
    }

    fn wait_for<F: Future>(&self, future: F) -> F::Output {
        self.nats.wait_for(future)
    }
}

impl Drained for SubjectQueue {
    fn is_drained(&mut self) -> Result<bool, StreamError> {
        let nats = Arc::clone(&self.nats);
        let consumer = match self.consumer.take() {
            Some(consumer) => consumer,
            None => nats.wait_for(Self::consumer(&nats, &self.url))?,
        };
        let info = nats.wait_for(consumer.get_info())?;
        self.consumer = Some(consumer);
        let is_drained = info.num_pending == 0 && info.num_ack_pending == 0;
        if !is_drained {
            // Those that a relay had which was killed come again after a while.
            std::thread::sleep(LOOK);
        }
        Ok(is_drained)
    }
}
