//! The gateway's events: what plugins that registered are told, and what the tree hears of them as
//! `gateway.NAME`. Neither ever makes a request wait, and neither is told more than is good for it.

mod delivery;
mod payload;
mod tally;

pub use delivery::Events;
pub use payload::{About, payload, system};
pub use tally::{Heard, Tally};

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
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 4] =
        [Self::AuthFailure, Self::KeyExpired, Self::RatelimitExceeded, Self::QuotaExceeded];

    /// The name, for plugins and in `gateway.NAME`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AuthFailure => "AuthFailure",
            Self::KeyExpired => "KeyExpired",
            Self::RatelimitExceeded => "RatelimitExceeded",
            Self::QuotaExceeded => "QuotaExceeded",
        }
    }
}

/// The events that a plugin may be registered for. What of them never happens here is registered without
/// harm.
pub const NAMES: [&str; 24] = [
    "QuotaExceeded",
    "AuthFailure",
    "UpstreamOAuthError",
    "KeyExpired",
    "VersionFailure",
    "OrgQuotaExceeded",
    "OrgRateLimitExceeded",
    "TriggerExceeded",
    "BreakerTriggered",
    "BreakerTripped",
    "BreakerReset",
    "HostDown",
    "HostUp",
    "TokenCreated",
    "TokenUpdated",
    "TokenDeleted",
    "CertificateExpiringSoon",
    "CertificateExpired",
    "OAuth2ScopeCheckFailed",
    "OAuth2ExchangeSucceeded",
    "OAuth2ExchangeFailed",
    "RatelimitExceeded",
    "RateLimitSmoothingUp",
    "RateLimitSmoothingDown",
];
