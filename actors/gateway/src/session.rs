//! Sessions: who a request comes from, and what they may do.

/// A session as it is stored.
#[derive(Clone, Debug, Default)]
pub struct Session;
