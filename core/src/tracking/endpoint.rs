//! The paths that take records, and what the records are.

/// A path of the API that takes records.
///
/// ```
/// use windhover_core::tracking::{RecordKind, TrackingEndpoint};
///
/// assert_eq!(TrackingEndpoint::Engage.path(), "/engage");
/// assert_eq!(TrackingEndpoint::Engage.kind(), RecordKind::UserUpdate);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TrackingEndpoint {
    /// `/track`: events, as they happen.
    #[default]
    Track,
    /// `/import`: events of the past, with credentials.
    Import,
    /// `/engage`: updates of the profiles of users.
    Engage,
    /// `/groups`: updates of the profiles of groups.
    Groups,
}

impl TrackingEndpoint {
    /// The one of a path; a trailing slash changes nothing.
    pub(super) fn of(path: &str) -> Option<Self> {
        Some(match path.strip_suffix('/').unwrap_or(path) {
            "/track" => Self::Track,
            "/import" => Self::Import,
            "/engage" => Self::Engage,
            "/groups" => Self::Groups,
            _ => return None,
        })
    }

    /// A short name in lower case, for the label of a metric.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Track => "track",
            Self::Import => "import",
            Self::Engage => "engage",
            Self::Groups => "groups",
        }
    }

    /// Its path.
    pub const fn path(self) -> &'static str {
        match self {
            Self::Track => "/track",
            Self::Import => "/import",
            Self::Engage => "/engage",
            Self::Groups => "/groups",
        }
    }

    /// What the records that it takes are.
    pub const fn kind(self) -> RecordKind {
        match self {
            Self::Track | Self::Import => RecordKind::Event,
            Self::Engage => RecordKind::UserUpdate,
            Self::Groups => RecordKind::GroupUpdate,
        }
    }
}

/// What a record is: one object of a request, which becomes one item of a queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RecordKind {
    /// Something that happened: `{"event": …, "properties": {"token": …, …}}`.
    #[default]
    Event,
    /// A change of a user's profile: `{"$token": …, "$distinct_id": …, "$set": {…}}`.
    UserUpdate,
    /// A change of a group's profile:
    /// `{"$token": …, "$group_key": …, "$group_id": …, "$set": {…}}`.
    GroupUpdate,
}

impl RecordKind {
    /// The word for it in messages.
    pub(super) const fn noun(self) -> &'static str {
        match self {
            Self::Event => "event",
            Self::UserUpdate | Self::GroupUpdate => "update",
        }
    }
}
