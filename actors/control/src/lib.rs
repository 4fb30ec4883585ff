//! The control socket of a running wrapper: HTTP/1.1 and JSON on a Unix socket, so that `curl`
//! is a client too. Who may connect is decided by the socket's mode.

pub mod client;
pub mod listener;
pub mod request;
mod route;
pub mod server;
