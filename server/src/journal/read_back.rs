//! What was put into queues of late, gone or not, as far as the journal has it still.

use std::io;

use bytes::Bytes;
use windhover_core::queue::record::{self, Kind};
use windhover_core::queue::segment::{HEADER, Header};

use super::{Directory, Journal, file_name};

impl<D: Directory> Journal<D> {
    /// Gives `visit` the items that were put into the wanted queues from segment `since` on, segment by segment, the
    /// last one first, those of each in their order; until it says `false`. All of them when there can be no such
    /// segment yet: it is another journal then. Returns the segment that comes next. Of a journal that was just
    /// opened: the segment that is being written is left out.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn read_back(
        &self,
        since: u64,
        is_wanted: &dyn Fn(&[u8]) -> bool,
        visit: &mut dyn FnMut(&[Bytes]) -> bool,
    ) -> io::Result<u64> {
        let next = self.last_number() + 1;
        let since = if since > next { 0 } else { since };
        for closed in self.closed.iter().rev().take_while(|closed| closed.number >= since) {
            let mut bytes = self.directory.read(&file_name(closed.number))?;
            // What is behind it was never acknowledged.
            bytes.truncate(usize::try_from(closed.end).unwrap_or(usize::MAX));
            if !visit(&items(&bytes.into(), is_wanted)) {
                break;
            }
        }
        Ok(next)
    }
}

fn items(bytes: &Bytes, is_wanted: &dyn Fn(&[u8]) -> bool) -> Vec<Bytes> {
    let mut items = Vec::new();
    let Ok(Header { salt, .. }) = Header::decode(bytes) else {
        return items;
    };
    let mut at = HEADER;
    while let Some(rest) = bytes.get(at..)
        && let Ok(record) = record::decode(rest, salt, at as u64)
    {
        if record.kind == Kind::Put && record.puts().any(|(queue, _)| is_wanted(queue)) {
            let (_, put) = record::put_parts(bytes.slice_ref(record.rest));
            items.extend(put.map(|item| item.data));
        }
        at += record.len;
    }
    items
}
