//! The gateway: a reverse proxy whose requests pass through hooks that run in coprocesses.

// A refusal is an answer with headers, and takes the way of errors to where it is given.
#![allow(clippy::result_large_err)]

pub mod admin;
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
pub mod table;
pub mod trace;
pub mod wire;
