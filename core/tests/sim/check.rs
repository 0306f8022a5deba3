//! Whether what the client was told is true.

use windhover_core::Instant;
use windhover_core::client::{Answer, CallError, Item, Retry};
use windhover_core::memcache::meta::MetaCode;
use windhover_core::memcache::response::Kind;

use crate::cache::uid_of;
use crate::load::{Asked, Record};
use crate::log::{Did, Log, Uid};

/// What is wrong.
pub(crate) type Verdict = Result<(), String>;

fn must(true_or: bool, what: impl FnOnce() -> String) -> Verdict {
    if true_or { Ok(()) } else { Err(what()) }
}

/// How a call ended, for the checks at the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    Answered,
    /// Not sent, or refused: it has had no effect.
    IfNotSent,
    Unknown,
    Cancelled,
}

/// The item of a reply to a read of a queue.
pub(crate) fn item(answer: &Answer) -> Option<(Uid, Vec<u8>)> {
    let Answer::Items(items) = answer else {
        return None;
    };
    let value = items.first()?.value.clone().into_bytes();
    let queue = value.split(|&byte| byte == b'#').next()?.to_vec();
    Some((uid_of(&value)?, queue))
}

/// A call has ended.
pub(crate) fn completion(
    record: &Record,
    outcome: &Result<Answer, CallError>,
    log: &Log,
    hosts: usize,
    now: Instant,
) -> Verdict {
    must(now <= record.deadline.max(record.since), || {
        format!("ended {:?} after its deadline", now.saturating_since(record.deadline))
    })?;
    match outcome {
        Ok(answer) => answered(record, answer, log, hosts, now),
        Err(CallError::Unknown { found, .. }) => {
            if let Asked::Get(keys) = &record.asked {
                values(record, keys, found, log, hosts, now)?;
            }
            Ok(())
        }
        Err(_) => Ok(()),
    }
}

fn answered(record: &Record, answer: &Answer, log: &Log, hosts: usize, now: Instant) -> Verdict {
    let uid = record.uid;
    let done = |did: Did| {
        must(log.has(uid, did), || {
            format!("told {did:?}, which no server did: {:?}", did_of(log, uid))
        })
    };
    match (&record.asked, answer) {
        (Asked::Get(keys), Answer::Items(items)) => {
            values(record, keys, items, log, hosts, now)?;
            for (index, &key) in keys.iter().enumerate() {
                if !items.iter().any(|item| item.index == index) {
                    held(record, key, None, log, hosts, now)?;
                }
            }
            Ok(())
        }
        (Asked::MetaGet(key), Answer::Meta(meta)) => {
            done(Did::Peeked)?;
            must(meta.flags().unsigned(b'O') == Some(uid), || "another's opaque".into())?;
            match meta.code {
                MetaCode::Value => {
                    value(record, *key, &meta.value.clone().into_bytes(), log, hosts, now)
                }
                MetaCode::Miss => held(record, *key, None, log, hosts, now),
                code => Err(format!("answered {code:?}")),
            }
        }
        (Asked::Store | Asked::Enqueue, Answer::Word(kind)) => match kind {
            Kind::Stored => done(Did::Stored),
            Kind::NotStored => done(Did::NotStored),
            Kind::Exists => done(Did::Exists),
            Kind::NotFound => done(Did::NotFound),
            other => Err(format!("answered {other:?}")),
        },
        (Asked::Delete, Answer::Word(Kind::Deleted)) => done(Did::Deleted),
        (Asked::Delete, Answer::Word(Kind::NotFound)) => done(Did::NotFound),
        (Asked::Delete, Answer::Meta(meta)) if meta.code == MetaCode::Done => done(Did::Deleted),
        (Asked::Delete, Answer::Meta(meta)) if meta.code == MetaCode::NotFound => {
            done(Did::NotFound)
        }
        (Asked::Incr, Answer::Number(number)) => done(Did::Number(*number)),
        (Asked::Batch { stored, asked }, Answer::Batch(batch)) => {
            for &uid in stored.iter().filter(|_| batch.errors.is_empty()) {
                must(log.has(uid, Did::Stored), || format!("{uid} of a batch was not stored"))?;
            }
            for &(index, key) in asked {
                let reply = batch.replies.iter().find(|(at, _)| *at == index);
                match reply {
                    Some((_, it)) => {
                        value(record, key, &it.value.clone().into_bytes(), log, hosts, now)?;
                    }
                    None if batch.errors.is_empty() => {
                        held(record, key, None, log, hosts, now)?;
                    }
                    None => {}
                }
            }
            Ok(())
        }
        (Asked::Version, Answer::Text(text)) => {
            must(text.ends_with(b".sim"), || format!("version {text:?}"))
        }
        (Asked::Reserve | Asked::Take | Asked::Peek, Answer::Items(items)) if items.is_empty() => {
            Ok(())
        }
        (Asked::Reserve, answer) => read(answer, Did::Opened, log),
        (Asked::Take, answer) => read(answer, Did::Taken, log),
        (Asked::Peek, answer) => read(answer, Did::Peeked, log),
        (Asked::Confirm { item }, Answer::Items(items)) if items.is_empty() => {
            must(log.has(*item, Did::Confirmed), || format!("item {item} was not confirmed"))
        }
        (Asked::Abort, Answer::Items(items)) if items.is_empty() => Ok(()),
        (asked, answer) => Err(format!("{asked:?} was answered {answer:?}")),
    }
}

fn did_of(log: &Log, uid: Uid) -> Vec<Did> {
    log.all(uid).collect()
}

fn read(answer: &Answer, did: Did, log: &Log) -> Verdict {
    let (uid, _) = item(answer).ok_or_else(|| format!("no item: {answer:?}"))?;
    must(log.has(uid, did), || format!("item {uid} was never {did:?}"))
}

fn values(
    record: &Record,
    keys: &[u32],
    items: &[Item],
    log: &Log,
    hosts: usize,
    now: Instant,
) -> Verdict {
    for item in items {
        let key = *keys.get(item.index).ok_or("an item of no key")?;
        let bytes = item.value.clone().into_bytes();
        value(record, key, &bytes, log, hosts, now)?;
        if let Some(cas) = item.cas {
            must(uid_of(&bytes) == Some(cas), || "another value's cas".into())?;
        }
    }
    Ok(())
}

/// A value is its key's own, and was there while the call was under way.
fn value(
    record: &Record,
    key: u32,
    bytes: &[u8],
    log: &Log,
    hosts: usize,
    now: Instant,
) -> Verdict {
    let named = bytes.starts_with(format!("k{key}#").as_bytes());
    must(named, || format!("k{key} has the value {:?}", bytes.escape_ascii().to_string()))?;
    must(bytes.iter().rev().take_while(|&&it| it != b'#').all(|&it| it == b'x'), || {
        format!("k{key} has a value that is mixed up")
    })?;
    held(record, key, uid_of(bytes), log, hosts, now)
}

fn held(
    record: &Record,
    key: u32,
    uid: Option<Uid>,
    log: &Log,
    hosts: usize,
    now: Instant,
) -> Verdict {
    must(log.was_held(hosts, key, uid, record.since, now), || {
        format!("k{key} was told to be {uid:?}, which it was not at the time")
    })
}

/// The run is over, nothing is under way any more.
pub(crate) fn at_the_end(record: &Record, ended: Ended, log: &Log) -> Verdict {
    let uids = match &record.asked {
        Asked::Batch { stored, .. } => stored.clone(),
        _ => vec![record.uid],
    };
    for uid in uids {
        let effects = log.effects(uid);
        must(ended != Ended::IfNotSent || effects == 0, || {
            format!("was said to have had no effect: {:?}", did_of(log, uid))
        })?;
        must(record.retry == Retry::AtLeastOnce || effects <= 1, || {
            format!("was done more than once: {:?}", did_of(log, uid))
        })?;
        if let (Asked::Enqueue, Ended::Answered) = (&record.asked, ended) {
            let kept = log.has(uid, Did::Stored) || log.has(uid, Did::NotStored);
            must(kept, || "a confirmed item is nowhere".into())?;
        }
    }
    Ok(())
}
