//! The gateway: a reverse proxy whose requests pass through hooks that run in coprocesses.

pub mod api;
pub mod definition;
pub mod driver;
pub mod exchange;
pub mod extractor;
pub mod policy;
pub mod session;
pub mod store;
pub mod wire;
