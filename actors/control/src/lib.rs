//! The control socket of a running wrapper.
