//! The gateway: a reverse proxy whose requests pass through hooks that run in coprocesses.

pub mod api;
pub mod chain;
pub mod config;
pub mod definition;
pub mod driver;
pub mod event;
pub mod exchange;
pub mod extractor;
pub mod figures;
pub mod object;
pub mod page;
pub mod policy;
pub mod route;
pub mod session;
pub mod store;
pub mod trace;
pub mod wire;
