//! The gateway: a reverse proxy whose requests pass through hooks that run in coprocesses.

pub mod actor;
pub mod api;
pub mod chain;
pub mod config;
pub mod definition;
pub mod driver;
pub mod exchange;
pub mod extractor;
pub mod page;
mod proxy;
pub mod route;
pub mod server;
pub mod session;
pub mod store;
pub mod tls;
pub mod wire;

pub use proxy::Snapshot;
