//! What JetStream's answers mean, and when to go to another server.

use std::time::{Duration, Instant};

use async_nats::jetstream;
use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::context::{PublishError, PublishErrorKind};

use crate::forward::doubt::Answer;

/// What a failed publish says of the record.
pub(super) fn answer(error: &PublishError) -> Answer {
    let code = std::error::Error::source(error)
        .and_then(|source| source.downcast_ref::<jetstream::Error>())
        .map(jetstream::Error::error_code);
    meaning(error.kind(), code)
}

/// What is not known keeps a record: it may be the servers' state, which passes.
fn meaning(kind: PublishErrorKind, code: Option<ErrorCode>) -> Answer {
    match (kind, code) {
        (PublishErrorKind::MaxPayloadExceeded, _)
        | (
            PublishErrorKind::Other,
            Some(
                ErrorCode::STREAM_MESSAGE_EXCEEDS_MAXIMUM
                | ErrorCode::STREAM_HEADER_EXCEEDS_MAXIMUM,
            ),
        ) => Answer::TooLarge,
        // The stream is full, or would be with this one.
        (PublishErrorKind::Other, Some(ErrorCode::STREAM_STORE_FAILED)) => Answer::NotStored,
        // No answer in time, no stream there (during an election, too), the same id on its way already (10158),
        // no resources, no leader …
        _ => Answer::None,
    }
}

/// How long a connection is kept on which nothing is acknowledged. Elections take up to seven seconds.
const PATIENCE: Duration = Duration::from_secs(8);

/// Whether the server that is connected to is one that can do anything: one that is cut off from the others
/// takes connections and stores nothing.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Patience {
    /// Since when everything has failed.
    failing_since: Option<Instant>,
}

impl Patience {
    /// Something was acknowledged, or the connection is another one.
    pub(super) fn begin(&mut self) {
        self.failing_since = None;
    }

    /// Something failed: whether another server is to be tried now.
    pub(super) fn is_over(&mut self, now: Instant) -> bool {
        let since = *self.failing_since.get_or_insert(now);
        let is_over = now.saturating_duration_since(since) >= PATIENCE;
        if is_over {
            self.failing_since = Some(now);
        }
        is_over
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_known_to_be_too_large_is_refused_for_good() {
        let other = PublishErrorKind::Other;
        assert_eq!(meaning(PublishErrorKind::MaxPayloadExceeded, None), Answer::TooLarge);
        assert_eq!(
            meaning(other, Some(ErrorCode::STREAM_MESSAGE_EXCEEDS_MAXIMUM)),
            Answer::TooLarge
        );
        assert_eq!(meaning(other, Some(ErrorCode::STREAM_STORE_FAILED)), Answer::NotStored);
        for code in [
            ErrorCode::STREAM_DUPLICATE_MESSAGE_CONFLICT,
            ErrorCode::CLUSTER_NOT_LEADER,
            ErrorCode::CLUSTER_NOT_AVAILABLE,
            ErrorCode::INSUFFICIENT_RESOURCES,
            ErrorCode::STREAM_SEALED,
            ErrorCode::STREAM_TOO_MANY_REQUESTS,
        ] {
            assert_eq!(meaning(other, Some(code)), Answer::None, "{code:?}");
        }
        assert_eq!(ErrorCode::STREAM_DUPLICATE_MESSAGE_CONFLICT.0, 10158);
        for kind in [
            PublishErrorKind::StreamNotFound,
            PublishErrorKind::TimedOut,
            PublishErrorKind::BrokenPipe,
            PublishErrorKind::MaxAckPending,
            other,
        ] {
            assert_eq!(meaning(kind, None), Answer::None, "{kind}");
        }
    }

    #[test]
    fn a_server_that_acknowledges_nothing_for_longer_than_an_election_takes_is_left() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut patience = Patience::default();
        assert!(!patience.is_over(at(0)));
        assert!(!patience.is_over(at(7)));
        patience.begin();
        assert!(!patience.is_over(at(9)), "something was acknowledged in between");
        assert!(patience.is_over(at(17)));
        assert!(!patience.is_over(at(18)), "the next server has its time, too");
        assert!(patience.is_over(at(25)));
    }
}
