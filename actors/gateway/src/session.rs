//! Sessions: who a request comes from, and what they may do.

/// A session as it is stored.
#[derive(Clone, Debug, Default)]
pub struct Session {}

impl Session {
    /// The session as plugins see it.
    pub fn to_wire(&self) -> crate::wire::SessionState {
        crate::wire::SessionState::default()
    }
}
