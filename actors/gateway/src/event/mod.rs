//! The gateway's events: what plugins that registered are told, and what the tree hears of them as
//! `gateway.NAME`. Neither ever makes a request wait, and neither is told more than is good for it.

mod delivery;
mod payload;
mod tally;
mod voice;

pub use delivery::Events;
pub use payload::{About, Details, payload, system};
pub use tally::{Heard, Tally};
pub use voice::Voice;

/// What happens in a gateway. The names are Tyk's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Somebody was refused by a hook, or came with a key that is none.
    AuthFailure,
    /// Somebody came with a key that is expired or inactive.
    KeyExpired,
    /// Somebody came too often.
    RatelimitExceeded,
    /// Somebody has used up a quota.
    QuotaExceeded,
    /// Somebody has used as much of a quota as the session wants to be told of.
    TriggerExceeded,
    /// No connection to an upstream can be made.
    HostDown,
    /// One can be made again.
    HostUp,
    /// A key was added.
    TokenCreated,
    /// The session of a key was set anew.
    TokenUpdated,
    /// A key was deleted.
    TokenDeleted,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::AuthFailure,
        Self::KeyExpired,
        Self::RatelimitExceeded,
        Self::QuotaExceeded,
        Self::TriggerExceeded,
        Self::HostDown,
        Self::HostUp,
        Self::TokenCreated,
        Self::TokenUpdated,
        Self::TokenDeleted,
    ];

    /// The one of a name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }

    /// The name, for plugins and in `gateway.NAME`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AuthFailure => "AuthFailure",
            Self::KeyExpired => "KeyExpired",
            Self::RatelimitExceeded => "RatelimitExceeded",
            Self::QuotaExceeded => "QuotaExceeded",
            Self::TriggerExceeded => "TriggerExceeded",
            Self::HostDown => "HostDown",
            Self::HostUp => "HostUp",
            Self::TokenCreated => "TokenCreated",
            Self::TokenUpdated => "TokenUpdated",
            Self::TokenDeleted => "TokenDeleted",
        }
    }

    /// Whether it happens to an API. What does not is told to the handlers of the gateway itself.
    pub fn is_of_an_api(self) -> bool {
        !matches!(self, Self::TokenCreated | Self::TokenUpdated | Self::TokenDeleted)
    }
}
