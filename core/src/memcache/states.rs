//! The states of a connection and what leads from one to the next, as data: the machines check
//! themselves against these tables, and the diagrams of the documentation are drawn from them.

/// One way from one state to another, of a machine with states `S` and events `E`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Transition<S, E> {
    /// Where it starts.
    pub(super) from: S,
    /// What happens.
    pub(super) event: E,
    /// Where it leads.
    pub(super) to: S,
    /// What the connection does on the way.
    pub(super) action: &'static str,
}

/// Where that event leads from that state, as the table says.
pub(super) fn next<S: Copy + PartialEq, E: PartialEq>(
    table: &[Transition<S, E>],
    from: S,
    event: &E,
) -> Option<S> {
    table.iter().find(|row| row.from == from && row.event == *event).map(|row| row.to)
}

/// A state of the server role. A connection is in two at a time: one of reading (the first six),
/// one of access (the others).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum ServerState {
    /// Between requests, or in a line that is not complete. The first state.
    Line,
    /// In a data block of up to 64 KiB.
    Block,
    /// In a longer data block.
    LargeBlock,
    /// In what is left of a refused request, which is dropped.
    Discarding,
    /// Nothing more is read; what is pending is answered and written, then the connection closes.
    Over,
    /// Everything is written and the write half is closed; what still comes is dropped, until the
    /// peer closes too. To close at once would send a reset that destroys answers on their way.
    Lingering,
    /// Every request is taken. The first state, unless authentication is asked for.
    Open,
    /// Only credentials are taken.
    Locked,
    /// The application looks at credentials; nothing is taken meanwhile.
    Verifying,
}

impl ServerState {
    /// Whether it is one of reading; else it is one of access.
    #[cfg(test)]
    pub(super) const fn is_of_reading(self) -> bool {
        matches!(
            self,
            Self::Line
                | Self::Block
                | Self::LargeBlock
                | Self::Discarding
                | Self::Over
                | Self::Lingering
        )
    }
}

/// What moves the server role on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum ServerEvent {
    /// A line that is a whole request.
    Request,
    /// A line with a data block behind it.
    BlockAnnounced,
    /// A line with a data block of more than 64 KiB behind it.
    LargeBlockAnnounced,
    /// The block is complete and ends as it should.
    BlockComplete,
    /// The request is refused, and the connection goes on.
    Refused,
    /// The request is refused, and the connection does not go on.
    Fatal,
    /// All of the refused request has come.
    Discarded,
    /// `quit`
    Quit,
    /// No more will come: the peer's end of stream, or an orderly shut-down between requests.
    Ended,
    /// The peer took too long.
    TimedOut,
    /// The application ends the connection.
    Closed,
    /// Everything is written, to a peer that may still be sending.
    Written,
    /// The application asks for authentication.
    AuthenticationRequired,
    /// A `set` with credentials is complete.
    Credentials,
    /// The application answers `STORED`.
    Accepted,
    /// The application answers something else.
    Denied,
}

use ServerEvent as E;
use ServerState as S;

const fn transition(
    from: ServerState,
    event: ServerEvent,
    to: ServerState,
    action: &'static str,
) -> Transition<ServerState, ServerEvent> {
    Transition { from, event, to, action }
}

const HAND_OUT: &str = "hands the request out; it takes its place in the order of answers";
const ANSWER_AND_CLOSE: &str = "the error takes its place in the order of answers";
const FINISH: &str = "answers what was asked before, then closes";

/// Every transition of the server role.
#[rustfmt::skip]
pub(super) static SERVER: &[Transition<ServerState, ServerEvent>] = &[
    transition(S::Line, E::Request, S::Line, HAND_OUT),
    transition(S::Line, E::BlockAnnounced, S::Block, "keeps line and block in one piece"),
    transition(S::Line, E::LargeBlockAnnounced, S::LargeBlock, "takes the block off in segments, without a copy"),
    transition(S::Line, E::Refused, S::Discarding, "drops the line, and the block where its length is known"),
    transition(S::Line, E::Fatal, S::Over, ANSWER_AND_CLOSE),
    transition(S::Line, E::Quit, S::Over, FINISH),
    transition(S::Line, E::Ended, S::Over, FINISH),
    transition(S::Line, E::TimedOut, S::Over, FINISH),
    transition(S::Line, E::Closed, S::Over, "writes the answers given so far, then closes"),
    transition(S::Block, E::BlockComplete, S::Line, HAND_OUT),
    transition(S::Block, E::Refused, S::Discarding, "drops line and block"),
    transition(S::Block, E::Fatal, S::Over, ANSWER_AND_CLOSE),
    transition(S::Block, E::Ended, S::Over, FINISH),
    transition(S::Block, E::TimedOut, S::Over, FINISH),
    transition(S::Block, E::Closed, S::Over, "writes the answers given so far, then closes"),
    transition(S::LargeBlock, E::BlockComplete, S::Line, HAND_OUT),
    transition(S::LargeBlock, E::Refused, S::Discarding, "drops line and block"),
    transition(S::LargeBlock, E::Fatal, S::Over, ANSWER_AND_CLOSE),
    transition(S::LargeBlock, E::Ended, S::Over, FINISH),
    transition(S::LargeBlock, E::TimedOut, S::Over, FINISH),
    transition(S::LargeBlock, E::Closed, S::Over, "writes the answers given so far, then closes"),
    transition(S::Discarding, E::Discarded, S::Line, "the error, unless `noreply` hides it, takes its place in the order of answers"),
    transition(S::Discarding, E::Ended, S::Over, FINISH),
    transition(S::Discarding, E::TimedOut, S::Over, FINISH),
    transition(S::Discarding, E::Closed, S::Over, "writes the answers given so far, then closes"),
    transition(S::Over, E::Closed, S::Over, "writes the answers given so far, then closes"),
    transition(S::Over, E::Written, S::Lingering, "closes the write half"),
    transition(S::Lingering, E::Ended, S::Over, "closes"),
    transition(S::Lingering, E::TimedOut, S::Over, "closes"),
    transition(S::Lingering, E::Closed, S::Over, "closes"),
    transition(S::Open, E::AuthenticationRequired, S::Locked, "refuses every request but credentials"),
    transition(S::Locked, E::AuthenticationRequired, S::Locked, "nothing changes"),
    transition(S::Locked, E::Credentials, S::Verifying, "hands the credentials out and takes nothing until they are answered"),
    transition(S::Verifying, E::AuthenticationRequired, S::Verifying, "nothing changes"),
    transition(S::Verifying, E::Accepted, S::Open, "takes every request from now on"),
    transition(S::Verifying, E::Denied, S::Locked, "closes behind the answer"),
];

/// A state of the client role. A connection is in two at a time: one of reading (the first five),
/// one of asking (the others).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum ClientState {
    /// Between frames, or in a line that is not complete. The first state.
    Line,
    /// In a value of up to 64 KiB.
    Value,
    /// In a longer value.
    LargeValue,
    /// In a value that is too large for us.
    Discarding,
    /// Nothing more is read, whatever comes.
    Failed,
    /// Requests are taken. The first state.
    Asking,
    /// No request is taken any more; pending replies are waited for.
    Leaving,
}

impl ClientState {
    /// Whether it is one of reading; else it is one of asking.
    #[cfg(test)]
    pub(super) const fn is_of_reading(self) -> bool {
        matches!(
            self,
            Self::Line | Self::Value | Self::LargeValue | Self::Discarding | Self::Failed
        )
    }
}

/// What moves the client role on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum ClientEvent {
    /// A line that is a whole frame of the reply that is due.
    Frame,
    /// A line of the reply that is due, with a value behind it.
    ValueAnnounced,
    /// A line of the reply that is due, with a value of more than 64 KiB behind it.
    LargeValueAnnounced,
    /// A line of the reply that is due, with a value behind it that is above the limit, or whose flags
    /// are.
    OversizedValueAnnounced,
    /// The value is complete and ends as it should.
    ValueComplete,
    /// What came is no response.
    Malformed,
    /// A response came that nobody had asked for.
    Unasked,
    /// The response cannot answer the request that was due.
    Mismatched,
    /// An error has answered a retrieval of several keys, and whether more of the reply follows cannot
    /// be known.
    Ambiguous,
    /// The reply ties up the connection, and nobody waits for it any more.
    Abandoned,
    /// The server closed the connection.
    Ended,
    /// The socket broke.
    Broken,
    /// The server took too long: with a pending reply, or to take bytes.
    TimedOut,
    /// Nothing was asked for too long.
    Idled,
    /// `quit` or `shutdown` was sent, or an orderly end was asked for.
    Leave,
    /// Neither side waits for the other any more.
    Closed,
}

const fn client_transition(
    from: ClientState,
    event: ClientEvent,
    to: ClientState,
    action: &'static str,
) -> Transition<ClientState, ClientEvent> {
    Transition { from, event, to, action }
}

use ClientEvent as CE;
use ClientState as CS;

const GIVE: &str = "gives the frame to the request that is due; its last frame completes it";
const FAIL: &str = "every request under way ends with an error: not sent, or unknown";

/// Every transition of the client role.
#[rustfmt::skip]
pub(super) static CLIENT: &[Transition<ClientState, ClientEvent>] = &[
    client_transition(CS::Line, CE::Frame, CS::Line, GIVE),
    client_transition(CS::Line, CE::ValueAnnounced, CS::Value, "keeps line and value in one piece"),
    client_transition(CS::Line, CE::LargeValueAnnounced, CS::LargeValue, "takes the value off in segments, without a copy"),
    client_transition(CS::Line, CE::OversizedValueAnnounced, CS::Discarding, "tells the request that is due, and drops the value as it comes"),
    client_transition(CS::Line, CE::Malformed, CS::Failed, FAIL),
    client_transition(CS::Line, CE::Unasked, CS::Failed, FAIL),
    client_transition(CS::Line, CE::Mismatched, CS::Failed, FAIL),
    client_transition(CS::Line, CE::Ambiguous, CS::Failed, "the request that is due is refused; every other one under way ends with an error"),
    client_transition(CS::Line, CE::Abandoned, CS::Failed, FAIL),
    client_transition(CS::Line, CE::Ended, CS::Failed, "`quit` and `shutdown` are answered by it; every other request under way ends with an error"),
    client_transition(CS::Line, CE::Broken, CS::Failed, FAIL),
    client_transition(CS::Line, CE::TimedOut, CS::Failed, FAIL),
    client_transition(CS::Line, CE::Idled, CS::Failed, "nothing is under way"),
    client_transition(CS::Line, CE::Closed, CS::Failed, "nothing is under way"),
    client_transition(CS::Value, CE::ValueComplete, CS::Line, GIVE),
    client_transition(CS::Value, CE::Malformed, CS::Failed, FAIL),
    client_transition(CS::Value, CE::Abandoned, CS::Failed, FAIL),
    client_transition(CS::Value, CE::Ended, CS::Failed, FAIL),
    client_transition(CS::Value, CE::Broken, CS::Failed, FAIL),
    client_transition(CS::Value, CE::TimedOut, CS::Failed, FAIL),
    client_transition(CS::LargeValue, CE::ValueComplete, CS::Line, GIVE),
    client_transition(CS::LargeValue, CE::Malformed, CS::Failed, FAIL),
    client_transition(CS::LargeValue, CE::Abandoned, CS::Failed, FAIL),
    client_transition(CS::LargeValue, CE::Ended, CS::Failed, FAIL),
    client_transition(CS::LargeValue, CE::Broken, CS::Failed, FAIL),
    client_transition(CS::LargeValue, CE::TimedOut, CS::Failed, FAIL),
    client_transition(CS::Discarding, CE::ValueComplete, CS::Line, "goes on with the reply; its last frame completes it"),
    client_transition(CS::Discarding, CE::Malformed, CS::Failed, FAIL),
    client_transition(CS::Discarding, CE::Abandoned, CS::Failed, FAIL),
    client_transition(CS::Discarding, CE::Ended, CS::Failed, FAIL),
    client_transition(CS::Discarding, CE::Broken, CS::Failed, FAIL),
    client_transition(CS::Discarding, CE::TimedOut, CS::Failed, FAIL),
    client_transition(CS::Asking, CE::Leave, CS::Leaving, "takes no request any more"),
    client_transition(CS::Leaving, CE::Leave, CS::Leaving, "nothing changes"),
];

#[cfg(test)]
mod drawn;
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_leads_one_way_and_stays_in_its_region() {
        for (at, row) in SERVER.iter().enumerate() {
            assert_eq!(next(SERVER, row.from, &row.event), Some(row.to));
            assert_eq!(row.from.is_of_reading(), row.to.is_of_reading());
            for other in &SERVER[at + 1..] {
                assert!(row.from != other.from || row.event != other.event, "{row:?}");
            }
        }
        assert_eq!(next(SERVER, S::Over, &E::Request), None);
    }

    #[test]
    fn the_client_role_has_one_way_for_an_event_too() {
        for (at, row) in CLIENT.iter().enumerate() {
            assert_eq!(row.from.is_of_reading(), row.to.is_of_reading());
            for other in &CLIENT[at + 1..] {
                assert!(row.from != other.from || row.event != other.event, "{row:?}");
            }
        }
        for from in [CS::Line, CS::Value, CS::LargeValue, CS::Discarding] {
            for event in [CE::Ended, CE::Broken, CE::TimedOut, CE::Malformed, CE::Abandoned] {
                assert_eq!(next(CLIENT, from, &event), Some(CS::Failed));
            }
        }
    }

    #[test]
    fn every_state_of_reading_leads_to_the_end() {
        for from in [S::Line, S::Block, S::LargeBlock, S::Discarding] {
            for event in [E::Ended, E::TimedOut, E::Closed] {
                assert_eq!(next(SERVER, from, &event), Some(S::Over));
            }
        }
    }
}
