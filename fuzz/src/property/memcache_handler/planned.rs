//! A handler that replies as it is told to.

use core::pin::Pin;
use core::task::{Context, Poll};
use core::time::Duration;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use windhover_core::Instant;
use windhover_core::memcache::handler::{Deferred, Handler, Reply, ReplyError, ReplyTicket};
use windhover_core::memcache::request::Request;
use windhover_core::memcache::response::Response;
use windhover_core::memcache::{Data, Payload};

use crate::reference::memcache::{self as reference, Item};

/// How the next request is replied to.
#[derive(Clone, Copy, Debug)]
pub(super) enum Plan {
    AtOnce,
    Ticket,
    Deferred,
    Future,
    /// At once, or when every earlier one has its reply.
    InTurn,
    Never,
    /// With a frame that no command has, then with one that it may have.
    Wrong,
    /// Twice.
    Twice,
    /// With a value, where the command has one.
    Value,
    /// Not before a time that it asks for.
    AtTime,
    /// By somebody else, who leaves it to another in turn.
    HandedOn,
    /// Later, and nothing else is taken before.
    Holding,
    /// At once, and the connection ends behind it.
    Closing,
    /// Not at all: the connection ends in place of it.
    Ending,
}

/// Who is to reply later.
#[derive(Debug)]
pub(super) enum Later {
    Ticket(ReplyTicket),
    Flag(Arc<AtomicBool>),
    At(Instant),
}

/// Replies by plan, and notes what the peer is to see.
#[derive(Debug, Default)]
pub(super) struct Planned {
    pub(super) plans: VecDeque<Plan>,
    pub(super) requests: Vec<Item>,
    /// By request; `None` while it is not decided.
    pub(super) expected: Vec<Option<Vec<u8>>>,
    pub(super) silent: Vec<bool>,
    pub(super) later: Vec<(usize, Later)>,
    postponed: Option<Item>,
    /// The peer or the server is about to go.
    pub(super) ending: bool,
    /// The last request that is replied to, if there is one.
    pub(super) last: Option<usize>,
}

pub(super) fn server_error(text: &str) -> Vec<u8> {
    format!("SERVER_ERROR {text}\r\n").into()
}

pub(super) fn give(reply: &mut Reply<'_>, number: usize) -> Result<(), ReplyError> {
    reply.send(&Response::ServerError(number.to_string().as_bytes()))
}

/// Gives values of every form; what the peer is to see.
pub(super) fn give_values(reply: &mut Reply<'_>, number: usize) -> Result<Vec<u8>, ReplyError> {
    let (large, small) = (Bytes::from(vec![b'v'; 5000]), Bytes::from_static(b"small"));
    let payloads: [Payload; 6] = [
        large.into(),
        vec![small.clone(), small].into(),
        b"slice".to_vec().into(),
        "text".to_owned().into(),
        "static".into(),
        (&b"bytes"[..]).into(),
    ];
    let mut text = Vec::new();
    for payload in &payloads[number % payloads.len()..] {
        assert_eq!(payload.to_vec(), payload.clone().into_bytes());
        assert_eq!(payload.to_vec(), Data::from(payload).to_bytes());
        reply.value(b"key", 7, None, payload)?;
        text.extend_from_slice(format!("VALUE key 7 {}\r\n", payload.len()).as_bytes());
        text.extend_from_slice(&payload.to_vec());
        text.extend_from_slice(b"\r\n");
    }
    reply.value(b"key", 0, None, "borrowed")?;
    reply.value(b"key", 0, None, &b"borrowed"[..])?;
    reply.value(b"key", 0, None, &"borrowed".to_owned())?;
    reply.value(b"key", 0, None, &b"borrowed".to_vec())?;
    for _ in 0..4 {
        text.extend_from_slice(b"VALUE key 0 8\r\nborrowed\r\n");
    }
    text.extend_from_slice(b"END\r\n");
    reply.end()?;
    Ok(text)
}

/// Gives two frames that no command has both of; what the peer is to see.
pub(super) fn give_wrong(reply: &mut Reply<'_>, number: usize) -> Vec<u8> {
    let wrong = [Response::Reset, Response::MetaNoop];
    let error = wrong.iter().find_map(|wrong| reply.send(wrong).err());
    let error = error.expect("no command has both");
    assert!(!error.to_string().is_empty());
    let _ = give(reply, number);
    match error {
        ReplyError::Ended => b"RESET\r\n".to_vec(),
        _ => server_error("the server made a reply that the command cannot have"),
    }
}

impl Handler for Planned {
    fn handle(
        &mut self,
        request: Request<'_>,
        data: Data<'_>,
        reply: &mut Reply<'_>,
    ) -> Result<(), ReplyError> {
        assert_eq!(reply.is_ending(), self.ending, "who waits has to know of the end");
        let item = reference::item(&request, &data.to_vec());
        assert_eq!(data.to_bytes(), data.to_vec());
        let plan = match self.plans.pop_front().unwrap_or(Plan::AtOnce) {
            // It has much to give, and the peer is to take some first.
            Plan::Value if reply.is_full() => Plan::Deferred,
            plan => plan,
        };
        if let Some(postponed) = self.postponed.take() {
            assert_eq!(item, postponed, "another request came back");
            assert!(reply.is_first(), "it came back before its turn");
        } else if matches!(plan, Plan::InTurn) && !reply.is_first() {
            self.postponed = Some(item);
            reply.postpone();
            return Ok(());
        }
        let number = self.requests.len();
        self.requests.push(item);
        self.silent.push(request.noreply());
        let mut expected = Some(server_error(&number.to_string()));
        match plan {
            Plan::AtOnce | Plan::InTurn => give(reply, number)?,
            Plan::Ticket => {
                let ticket = reply.ticket();
                assert!(!ticket.is_abandoned() && format!("{ticket:?}").contains("Ticket"));
                self.later.push((number, Later::Ticket(ticket)));
                expected = None;
            }
            Plan::Deferred => {
                let ready = Arc::new(AtomicBool::new(false));
                reply.defer(Flagged { ready: Arc::clone(&ready), number });
                // It is another's now.
                reply.defer(HandOn(None));
                reply.postpone();
                reply.close();
                self.later.push((number, Later::Flag(ready)));
                expected = None;
            }
            Plan::Future => {
                let ready = Arc::new(AtomicBool::new(false));
                let flag = Flag(Arc::clone(&ready));
                reply.defer_until(async move {
                    flag.await;
                    move |reply: &mut Reply<'_>| give(reply, number)
                });
                self.later.push((number, Later::Flag(ready)));
                expected = None;
            }
            Plan::Never => expected = Some(server_error("the server made no reply")),
            Plan::Wrong => expected = Some(give_wrong(reply, number)),
            Plan::Value => {
                if let Request::Get(_) = request {
                    expected = Some(give_values(reply, number)?);
                } else {
                    give(reply, number)?;
                }
            }
            Plan::AtTime => {
                let at = reply.now().instant + Duration::from_millis(50);
                reply.defer(Timed { at, number });
                self.later.push((number, Later::At(at)));
                expected = None;
            }
            Plan::HandedOn => {
                let ready = Arc::new(AtomicBool::new(false));
                reply.defer(HandOn(Some(Flagged { ready: Arc::clone(&ready), number })));
                self.later.push((number, Later::Flag(ready)));
                expected = None;
            }
            Plan::Holding => {
                reply.hold();
                let ready = Arc::new(AtomicBool::new(false));
                reply.defer(Flagged { ready: Arc::clone(&ready), number });
                self.later.push((number, Later::Flag(ready)));
                expected = None;
            }
            Plan::Closing => {
                give(reply, number)?;
                reply.close();
                self.last.get_or_insert(number);
            }
            Plan::Ending => {
                reply.close();
                self.last.get_or_insert(number);
                expected = Some(Vec::new());
            }
            Plan::Twice => {
                give(reply, number)?;
                assert_eq!(give(reply, number), Err(ReplyError::Ended));
                assert_eq!(reply.value(b"key", 0, None, "late"), Err(ReplyError::Ended));
                assert!(crate::property::tells(&ReplyError::Ended));
            }
        }
        self.expected.push(expected);
        Ok(())
    }
}

pub(super) struct Flagged {
    ready: Arc<AtomicBool>,
    number: usize,
}

impl Deferred for Flagged {
    fn poll(&mut self, reply: &mut Reply<'_>, _: &mut Context<'_>) -> Poll<Result<(), ReplyError>> {
        assert!(reply.is_first(), "it was asked before its turn");
        if self.ready.load(Ordering::Relaxed) {
            Poll::Ready(give(reply, self.number))
        } else {
            Poll::Pending
        }
    }
}

/// Is asked again at a time, whoever calls the waker.
pub(super) struct Timed {
    at: Instant,
    number: usize,
}

impl Deferred for Timed {
    fn poll(&mut self, reply: &mut Reply<'_>, _: &mut Context<'_>) -> Poll<Result<(), ReplyError>> {
        if reply.now().instant >= self.at {
            return Poll::Ready(give(reply, self.number));
        }
        reply.ask_again_at(self.at);
        Poll::Pending
    }
}

/// Leaves the reply to another.
pub(super) struct HandOn(Option<Flagged>);

impl Deferred for HandOn {
    fn poll(&mut self, reply: &mut Reply<'_>, _: &mut Context<'_>) -> Poll<Result<(), ReplyError>> {
        if let Some(next) = self.0.take() {
            reply.defer(next);
        }
        Poll::Ready(Ok(()))
    }
}

pub(super) struct Flag(Arc<AtomicBool>);

impl Future for Flag {
    type Output = ();

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        if self.0.load(Ordering::Relaxed) { Poll::Ready(()) } else { Poll::Pending }
    }
}
