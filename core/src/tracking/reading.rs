//! The events of one request, from the bytes that they came in to the sink.

use alloc::borrow::Cow;

use super::event::{Event, EventReader, Stamps};
use super::id::IdSource;
use super::json;
use super::json::Unreadable;
use super::limits::TrackingLimits;
use super::mend::{self, Repairs};
use super::refused::{RefusedEvent, RefusedEvents};
use super::rejection::{EventFault, Rejection};
use super::sink::EventSink;

/// A byte order mark in front of JSON, which RFC 8259 §8.1 lets a reader ignore.
const BYTE_ORDER_MARK: char = '\u{feff}';

/// What one bad event of a batch means for the others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BatchRule {
    /// They are recorded, as by the API of today: senders keep a refused batch and send it again,
    /// and again.
    #[default]
    EachEvent,
    /// None of them is recorded, as by the API of 2012.
    AllOrNothing,
}

/// Reads the events of one request.
pub(super) struct Reading<'a, S: ?Sized> {
    pub(super) limits: &'a TrackingLimits,
    pub(super) rule: BatchRule,
    pub(super) stamps: &'a Stamps,
    pub(super) ids: &'a mut IdSource,
    pub(super) sink: &'a mut S,
    pub(super) repairs: &'a mut Repairs,
    pub(super) refused: &'a mut RefusedEvents,
}

impl<S: EventSink + ?Sized> Reading<'_, S> {
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
        let behind_mark = text.len() - json.len();
        let place = |at| mend::before_utf8(bytes, at + behind_mark);

        let (ids, repairs) = (self.ids.clone(), *self.repairs);
        match self.document(json) {
            Err(Unread::NotEvents) => {}
            Err(Unread::Refused(rejection)) => return Err(rejection),
            Ok(events) => return Ok(events),
        }
        (*self.ids, *self.repairs) = (ids, repairs);
        let Some(mended) = mend::words(json, self.repairs) else {
            return Err(match json.trim_ascii() {
                "" => Rejection::DataEmpty,
                _ => json::rejection(json).moved(place),
            });
        };
        self.document(&mended).map_err(|unread| match unread {
            Unread::NotEvents => {
                json::rejection(&mended).moved(|at| place(mend::before_words(json, at)))
            }
            Unread::Refused(rejection) => rejection,
        })
    }

    /// Takes a whole document: one event, or an array of them.
    fn document(&mut self, text: &str) -> Result<usize, Unread> {
        *self.refused = RefusedEvents::default();
        let mut reader = EventReader::default();
        let mut recorded = 0;
        let is_array = text.trim_ascii_start().starts_with('[');
        let taken = if is_array {
            json::elements(text, |element| {
                // The element is JSON: the array was read around it.
                self.event(&mut reader, element, &mut recorded).unwrap_or_else(|_| {
                    self.refuse(&EventReader::default(), EventFault::NotAnObject)
                })
            })
        } else {
            self.event(&mut reader, text, &mut recorded)
        };
        let unread = match taken {
            Ok(Ok(())) if recorded > 0 => return Ok(recorded),
            Ok(Ok(())) => Unread::Refused(self.nothing_recorded()),
            Ok(Err(rejection)) => Unread::Refused(rejection),
            Err(Unreadable) => Unread::NotEvents,
        };
        self.sink.discard(recorded);
        if !matches!(unread, Unread::Refused(Rejection::Event { .. })) {
            // It is not for them that nothing is recorded.
            self.refused.list.clear();
        }
        Err(unread)
    }

    fn event<'t>(
        &mut self,
        reader: &mut EventReader<'t>,
        text: &'t str,
        recorded: &mut usize,
    ) -> Result<Result<(), Rejection>, Unreadable> {
        if self.refused.events >= self.limits.batch {
            return Ok(Err(Rejection::BatchTooLarge { limit: self.limits.batch }));
        }
        let event = reader.read(text, self.limits, self.stamps.now, self.repairs)?;
        Ok(match event.and_then(|event| self.write(reader, &event)) {
            Ok(()) => {
                *recorded += 1;
                self.refused.events += 1;
                Ok(())
            }
            Err(fault) => self.refuse(reader, fault),
        })
    }

    fn write(&mut self, reader: &EventReader<'_>, event: &Event<'_>) -> Result<(), EventFault> {
        let out = self.sink.begin_event();
        let before = out.len();
        reader.write(event, self.stamps, self.ids, out);
        let limit = self.limits.event;
        if out.len() - before > limit {
            self.sink.discard(0);
            return Err(EventFault::TooLarge { limit });
        }
        self.sink.end_event();
        Ok(())
    }

    /// Notes an event that is not recorded.
    #[cold]
    fn refuse(&mut self, reader: &EventReader<'_>, fault: EventFault) -> Result<(), Rejection> {
        let index = self.refused.events;
        if index >= self.limits.batch {
            return Err(Rejection::BatchTooLarge { limit: self.limits.batch });
        }
        self.refused.events += 1;
        self.refused.list.push(RefusedEvent::new(index, reader.insert_id(), fault));
        match self.rule {
            BatchRule::EachEvent => Ok(()),
            BatchRule::AllOrNothing => Err(Rejection::Event { index, fault }),
        }
    }

    fn nothing_recorded(&self) -> Rejection {
        match self.refused.list.first() {
            Some(first) => Rejection::Event { index: first.index, fault: first.fault },
            None => Rejection::BatchEmpty,
        }
    }
}

/// Why a document gave no events.
enum Unread {
    /// It is not JSON, or neither an object nor an array; [`json::rejection`] tells which.
    NotEvents,
    Refused(Rejection),
}
