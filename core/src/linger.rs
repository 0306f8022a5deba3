//! How a server's connection ends when its peer may still be sending; the same for every protocol.

use core::time::Duration;

use crate::Instant;

/// How long a connection that has said its last word goes on reading, so that closing it does not take the
/// answer away from a peer that is still sending (RFC 9112 §9.6).
pub(crate) const LINGER: Duration = Duration::from_secs(2);

/// Bytes that may be on the way to a connection when it says its last word: what the socket buffers of both
/// ends hold, which grow to several megabytes where a peer sends fast.
const MAX_ON_THE_WAY: usize = 16 * 1024 * 1024;

/// Whether a connection that has said its last word is to go on reading.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Linger {
    /// The peer has said that it will send no more, or nothing was under way.
    #[default]
    Unwanted,
    /// The peer may be sending what nobody will read.
    Wanted,
    /// It was begun, or there is no use in it any more.
    Over,
}

impl Linger {
    /// The peer may be sending what nobody will read.
    pub(crate) fn want(&mut self) {
        if *self == Self::Unwanted {
            *self = Self::Wanted;
        }
    }

    /// Everything is written: what to do until the end, if the write half is to be closed first.
    pub(crate) fn begin(&mut self, now: Instant, peer_has_ended: bool) -> Option<Lingering> {
        let linger = core::mem::replace(self, Self::Over);
        let begins = linger == Self::Wanted && !peer_has_ended;
        begins.then(|| Lingering { until: now + LINGER, left: MAX_ON_THE_WAY })
    }
}

/// The write half is closed; what comes is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lingering {
    until: Instant,
    left: usize,
}

impl Lingering {
    /// So many bytes more have come and were dropped: until when to go on, if at all.
    pub(crate) fn read_on(&mut self, come: usize, now: Instant) -> Option<Instant> {
        self.left = self.left.saturating_sub(come);
        (self.left > 0 && now < self.until).then_some(self.until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Instant = Instant::from_epoch(Duration::from_secs(9));

    #[test]
    fn it_reads_on_for_two_seconds_and_so_many_bytes() {
        let mut lingering = Linger::Wanted.begin(START, false).unwrap();
        assert_eq!(lingering.read_on(MAX_ON_THE_WAY - 1, START), Some(START + LINGER));
        assert_eq!(lingering.read_on(0, START + LINGER), None);
        assert_eq!(lingering.read_on(1, START), None);
    }

    #[test]
    fn it_is_begun_once_and_for_a_peer_that_may_be_sending() {
        assert_eq!(Linger::default().begin(START, false), None);
        let mut linger = Linger::default();
        linger.want();
        assert_eq!(linger.begin(START, true), None);
        linger.want();
        assert_eq!(linger.begin(START, false), None);
    }
}
