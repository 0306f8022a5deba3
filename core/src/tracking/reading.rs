//! The records of one request, from the bytes that they came in to the sink.

use alloc::borrow::Cow;

use super::error::{DecodeError, RecordFault};
use super::id::IdSource;
use super::json;
use super::json::Unreadable;
use super::limits::TrackingLimits;
use super::mend::{self, Repairs};
use super::record::{ReaderMemory, Record, RecordReader};
use super::refused::{RefusedRecord, RefusedRecords};
use super::scan::{Bounds, Scanner, TextRange};
use super::sink::RecordSink;
use super::stamps::Stamps;

/// A byte order mark in front of JSON, which RFC 8259 §8.1 lets a reader ignore.
const BYTE_ORDER_MARK: &str = "\u{feff}";

/// What one bad record of a batch means for the others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BatchRule {
    /// They are recorded, as by the API of today: senders keep a refused batch and send it again,
    /// and again.
    #[default]
    EachEvent,
    /// None of them is recorded, as by the API of 2012.
    AllOrNothing,
}

/// Reads the records of one request.
pub(super) struct Reading<'a, S: ?Sized> {
    pub(super) limits: &'a TrackingLimits,
    pub(super) rule: BatchRule,
    pub(super) stamps: &'a Stamps,
    pub(super) ids: &'a mut IdSource,
    pub(super) sink: &'a mut S,
    pub(super) repairs: &'a mut Repairs,
    pub(super) refused: &'a mut RefusedRecords,
    pub(super) memory: &'a mut ReaderMemory,
}

impl<S: RecordSink + ?Sized> Reading<'_, S> {
    /// Gives the sink the records that `bytes` are, one of them or an array, and tells how many there
    /// were; none of them is left there when they are refused.
    pub(super) fn read(&mut self, bytes: &[u8]) -> Result<usize, DecodeError> {
        if json::is_nested_too_deep(bytes) {
            return Err(DecodeError::JsonTooDeep { limit: json::MAX_NESTING });
        }
        let text = match core::str::from_utf8(bytes) {
            Ok(text) => Cow::Borrowed(text),
            Err(_) => {
                Cow::Owned(mend::utf8(bytes, self.repairs).map_err(|at| DecodeError::Utf8 { at })?)
            }
        };
        let json = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&text);
        let behind_mark = text.len() - json.len();
        let place = |at| mend::before_utf8(bytes, at + behind_mark);

        let (ids, repairs) = (self.ids.clone(), *self.repairs);
        match self.document(json) {
            Err(Unread::NotRecords) => {}
            Err(Unread::Refused(rejection)) => return Err(rejection),
            Ok(records) => return Ok(records),
        }
        (*self.ids, *self.repairs) = (ids, repairs);
        let Some(mended) = mend::words(json, self.repairs) else {
            return Err(match json.trim_ascii() {
                "" => DecodeError::DataEmpty,
                _ => json::rejection(json).moved(place),
            });
        };
        self.document(&mended).map_err(|unread| match unread {
            Unread::NotRecords => {
                json::rejection(&mended).moved(|at| place(mend::before_words(json, at)))
            }
            Unread::Refused(rejection) => rejection,
        })
    }

    /// The same for a record in each line: one that is not JSON is one that is refused.
    pub(super) fn read_lines(&mut self, bytes: &[u8]) -> Result<usize, DecodeError> {
        self.begin();
        let mut reader = RecordReader::new(self.stamps.kind, self.memory);
        let read = self.lines(&mut reader, bytes);
        reader.end(self.memory);
        read
    }

    fn lines<'t>(
        &mut self,
        reader: &mut RecordReader<'t>,
        bytes: &'t [u8],
    ) -> Result<usize, DecodeError> {
        let mut recorded = 0;
        let mut rest = bytes.strip_prefix(BYTE_ORDER_MARK.as_bytes()).unwrap_or(bytes);
        while !rest.is_empty() {
            let end = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
            let (line, behind) = rest.split_at(end);
            rest = behind.get(1..).unwrap_or_default();
            let line = line.trim_ascii();
            if line.is_empty() {
                continue;
            }
            if let Err(rejection) = self.line(reader, line, &mut recorded) {
                return Err(self.give_up(recorded, rejection));
            }
        }
        if recorded > 0 {
            return Ok(recorded);
        }
        Err(match self.refused.list.first() {
            Some(_) => self.nothing_recorded(),
            None => DecodeError::DataEmpty,
        })
    }

    fn line<'t>(
        &mut self,
        reader: &mut RecordReader<'t>,
        line: &'t [u8],
        recorded: &mut usize,
    ) -> Result<(), DecodeError> {
        let unread = RecordReader::new(self.stamps.kind, &mut ReaderMemory::default());
        if json::is_nested_too_deep(line) {
            return self.refuse(&unread, line, RecordFault::TooDeep { limit: self.limits.depth });
        }
        let repairs = *self.repairs;
        if let Ok(text) = core::str::from_utf8(line)
            && let Ok(taken) = self.whole(reader, text, recorded)
        {
            return taken;
        }
        *self.repairs = repairs;
        let Ok(text) = mend::utf8(line, self.repairs) else {
            return self.refuse(&unread, line, RecordFault::NotJson);
        };
        let text = mend::words(&text, self.repairs).unwrap_or(text);
        let mut reader = RecordReader::new(self.stamps.kind, &mut ReaderMemory::default());
        if let Ok(taken) = self.whole(&mut reader, &text, recorded) {
            return taken;
        }
        *self.repairs = repairs;
        let fault = match json::rejection(&text) {
            DecodeError::NotEvents => RecordFault::NotAnObject,
            _ => RecordFault::NotJson,
        };
        self.refuse(&unread, line, fault)
    }

    fn begin(&mut self) {
        *self.refused = RefusedRecords { kind: self.stamps.kind, ..RefusedRecords::default() };
    }

    /// Takes a whole document: one record, or an array of them.
    fn document(&mut self, text: &str) -> Result<usize, Unread> {
        self.begin();
        let mut reader = RecordReader::new(self.stamps.kind, self.memory);
        let mut recorded = 0;
        let taken = if text.trim_ascii_start().starts_with('[') {
            self.array(&mut reader, text, &mut recorded)
        } else {
            self.whole(&mut reader, text, &mut recorded)
        };
        reader.end(self.memory);
        let unread = match taken {
            Ok(Ok(())) if recorded > 0 => return Ok(recorded),
            Ok(Ok(())) => return Err(Unread::Refused(self.nothing_recorded())),
            Ok(Err(rejection)) => Unread::Refused(self.give_up(recorded, rejection)),
            Err(Unreadable) => {
                self.give_up(recorded, DecodeError::NotEvents);
                Unread::NotRecords
            }
        };
        Err(unread)
    }

    /// Takes back what the sink was given.
    #[cold]
    fn give_up(&mut self, recorded: usize, rejection: DecodeError) -> DecodeError {
        self.sink.discard(recorded);
        if !matches!(rejection, DecodeError::Record { .. }) {
            // It is not for them that nothing is recorded.
            self.refused.list.clear();
        }
        rejection
    }

    /// Takes a text that is one record.
    fn whole<'t>(
        &mut self,
        reader: &mut RecordReader<'t>,
        text: &'t str,
        recorded: &mut usize,
    ) -> Result<Result<(), DecodeError>, Unreadable> {
        if let Err(rejection) = self.is_full() {
            return Ok(Err(rejection));
        }
        let mut scanner = self.scanner(text);
        scanner.skip_space();
        let record = reader.read(&mut scanner, self.limits, self.stamps, self.repairs);
        let record = record.and_then(|record| scanner.end().map(|()| record));
        self.memory.levels = scanner.into_levels();
        Ok(self.record(reader, record?, text, recorded))
    }

    /// Takes a text that is an array of records.
    fn array<'t>(
        &mut self,
        reader: &mut RecordReader<'t>,
        text: &'t str,
        recorded: &mut usize,
    ) -> Result<Result<(), DecodeError>, Unreadable> {
        let mut scanner = self.scanner(text);
        scanner.skip_space();
        let read = scanner.array(|scanner| self.element(reader, scanner, recorded));
        let read = read.and_then(|taken| scanner.end().map(|()| taken));
        self.memory.levels = scanner.into_levels();
        read
    }

    fn element<'t>(
        &mut self,
        reader: &mut RecordReader<'t>,
        scanner: &mut Scanner<'t>,
        recorded: &mut usize,
    ) -> Result<Result<(), DecodeError>, Unreadable> {
        let start = scanner.at();
        if let Err(rejection) = self.is_full() {
            scanner.value(Bounds::NONE)?;
            return Ok(Err(rejection));
        }
        let record = if scanner.peek() == Some(b'{') {
            reader.read(scanner, self.limits, self.stamps, self.repairs)?
        } else {
            reader.clear();
            scanner.value(Bounds::NONE)?;
            Err(RecordFault::NotAnObject)
        };
        let element = TextRange { start, end: scanner.at() }.of(scanner.text());
        Ok(self.record(reader, record, element, recorded))
    }

    fn scanner<'t>(&mut self, text: &'t str) -> Scanner<'t> {
        Scanner::new(text, core::mem::take(&mut self.memory.levels))
    }

    /// Whether there may be another record.
    fn is_full(&self) -> Result<(), DecodeError> {
        if self.refused.records >= self.limits.batch {
            return Err(DecodeError::BatchTooLarge { limit: self.limits.batch });
        }
        Ok(())
    }

    /// Gives the sink a record that was read, or notes why not.
    fn record(
        &mut self,
        reader: &RecordReader<'_>,
        record: Result<Record, RecordFault>,
        text: &str,
        recorded: &mut usize,
    ) -> Result<(), DecodeError> {
        match record.and_then(|record| self.write(reader, &record)) {
            Ok(()) => {
                *recorded += 1;
                self.refused.records += 1;
                Ok(())
            }
            Err(fault) => self.refuse(reader, text.as_bytes(), fault),
        }
    }

    fn write(&mut self, reader: &RecordReader<'_>, record: &Record) -> Result<(), RecordFault> {
        if self.sink.looks_at_tokens() && !self.is_accepted(reader) {
            return Err(RecordFault::TokenUnknown);
        }
        let out = self.sink.begin_record();
        let before = out.len();
        reader.write(record, self.stamps, self.ids, out);
        let limit = self.limits.event;
        if out.len() - before > limit {
            self.sink.discard(0);
            return Err(RecordFault::TooLarge { limit });
        }
        if let Some(identity) = reader.identity(record, self.stamps) {
            self.sink.identify(&identity);
        }
        self.sink.end_record();
        Ok(())
    }

    fn is_accepted(&mut self, reader: &RecordReader<'_>) -> bool {
        let token = reader.token().or(self.stamps.token.as_deref()).unwrap_or_default();
        if memchr::memchr(b'\\', token.as_bytes()).is_none() {
            return self.sink.accepts(token.trim_matches('"'));
        }
        // No string without lone surrogates is refused.
        let token: alloc::string::String = serde_json::from_str(token).unwrap_or_default();
        self.sink.accepts(&token)
    }

    /// Notes a record that is not kept.
    #[cold]
    fn refuse(
        &mut self,
        reader: &RecordReader<'_>,
        text: &[u8],
        fault: RecordFault,
    ) -> Result<(), DecodeError> {
        self.is_full()?;
        let index = self.refused.records;
        self.refused.records += 1;
        let token = reader.token().or(self.stamps.token.as_deref());
        let named = (reader.insert_id(), token);
        self.refused.list.push(RefusedRecord::new(index, fault, named, text));
        match self.rule {
            BatchRule::EachEvent => Ok(()),
            BatchRule::AllOrNothing => {
                Err(DecodeError::Record { kind: self.stamps.kind, index, fault })
            }
        }
    }

    fn nothing_recorded(&self) -> DecodeError {
        match self.refused.list.first() {
            Some(first) => DecodeError::Record {
                kind: self.stamps.kind,
                index: first.index,
                fault: first.fault,
            },
            None => DecodeError::BatchEmpty,
        }
    }
}

/// Why a document gave no records.
enum Unread {
    /// It is not JSON, or neither an object nor an array; [`json::rejection`] tells which.
    NotRecords,
    Refused(DecodeError),
}
