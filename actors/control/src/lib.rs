//! The control socket of a running wrapper: HTTP/1.1 and JSON on a Unix socket, so that `curl`
//! is a client too. Who may connect is decided by the socket's mode, and who may do what by roles. Health
//! and metrics are told on TCP ports as well, and everything to who shows a token.

mod answer;
mod attempts;
mod body;
pub mod caller;
pub mod client;
pub mod connections;
mod given;
pub mod listener;
pub mod metrics;
pub mod openapi;
mod openmetrics;
mod percent;
pub mod port;
pub mod request;
pub mod role;
mod route;
mod routes;
mod schemas;
pub mod server;
mod shared;
mod sse;
mod streams;
pub mod table;
mod taken;
pub mod token;

pub use route::judge;
