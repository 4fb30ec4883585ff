//! What tells the sessions of one API apart before its hook is asked.

/// Takes an id out of a request.
#[derive(Debug)]
pub struct Extractor;
