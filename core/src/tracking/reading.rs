//! The events of one request, from the bytes that they came in to the sink.

use alloc::borrow::Cow;

use super::event::{Event, EventReader, Stamps};
use super::id::IdSource;
use super::json;
use super::json::Unreadable;
use super::limits::TrackingLimits;
use super::mend::{self, Repairs};
use super::rejection::{EventFault, Rejection};
use super::sink::EventSink;

/// A byte order mark in front of JSON, which RFC 8259 §8.1 lets a reader ignore.
const BYTE_ORDER_MARK: char = '\u{feff}';

/// Reads the events of one request.
pub(super) struct Reading<'a, S: ?Sized> {
    limits: &'a TrackingLimits,
    stamps: &'a Stamps,
    ids: &'a mut IdSource,
    sink: &'a mut S,
    repairs: &'a mut Repairs,
    /// How many were given to the sink.
    events: usize,
}

impl<'a, S: EventSink + ?Sized> Reading<'a, S> {
    pub(super) fn new(
        limits: &'a TrackingLimits,
        stamps: &'a Stamps,
        ids: &'a mut IdSource,
        sink: &'a mut S,
        repairs: &'a mut Repairs,
    ) -> Self {
        Self { limits, stamps, ids, sink, repairs, events: 0 }
    }

    /// Gives the sink the events that `bytes` are, and tells how many there were; none of them is
    /// left there when they are refused.
    pub(super) fn read(&mut self, bytes: &[u8]) -> Result<usize, Rejection> {
        let text = match core::str::from_utf8(bytes) {
            Ok(text) => Cow::Borrowed(text),
            Err(_) => {
                Cow::Owned(mend::utf8(bytes, self.repairs).map_err(|at| Rejection::Utf8 { at })?)
            }
        };
        let json = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&text);
        let result = self.document(json).map_err(|unread| match unread {
            Unread::NotEvents => {
                let behind_mark = text.len() - json.len();
                json::rejection(json).moved(|at| mend::before_utf8(bytes, at + behind_mark))
            }
            Unread::Refused(rejection) => rejection,
        });
        if result.is_err() {
            self.sink.discard(self.events);
        }
        result.map(|()| self.events)
    }

    /// Takes a whole document: one event, or an array of them.
    fn document(&mut self, text: &str) -> Result<(), Unread> {
        let mut reader = EventReader::default();
        let is_array = text.trim_ascii_start().starts_with('[');
        let taken = if is_array {
            json::elements(text, |element| {
                // The element is JSON: the array was read around it.
                self.event(&mut reader, element)
                    .unwrap_or_else(|_| Err(self.refused(EventFault::NotAnObject)))
            })
        } else {
            self.event(&mut reader, text)
        };
        taken.map_err(|_| Unread::NotEvents)?.map_err(Unread::Refused)?;
        if self.events == 0 {
            return Err(Unread::Refused(Rejection::BatchEmpty));
        }
        Ok(())
    }

    fn event<'t>(
        &mut self,
        reader: &mut EventReader<'t>,
        text: &'t str,
    ) -> Result<Result<(), Rejection>, Unreadable> {
        if self.events >= self.limits.batch {
            return Ok(Err(Rejection::BatchTooLarge { limit: self.limits.batch }));
        }
        let event = reader.read(text, self.limits, self.stamps.now, self.repairs)?;
        Ok(event.and_then(|event| self.write(reader, &event)).map_err(|fault| self.refused(fault)))
    }

    fn write(&mut self, reader: &EventReader<'_>, event: &Event<'_>) -> Result<(), EventFault> {
        let out = self.sink.begin_event();
        let before = out.len();
        reader.write(event, self.stamps, self.ids, out);
        let limit = self.limits.event;
        if out.len() - before > limit {
            return Err(EventFault::TooLarge { limit });
        }
        self.sink.end_event();
        self.events += 1;
        Ok(())
    }

    fn refused(&self, fault: EventFault) -> Rejection {
        Rejection::Event { index: self.events, fault }
    }
}

/// Why a document gave no events.
enum Unread {
    /// It is not JSON, or neither an object nor an array; [`json::rejection`] tells which.
    NotEvents,
    Refused(Rejection),
}
