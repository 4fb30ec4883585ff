//! Processes: how they are started, waited for and signalled. The only home of `unsafe` in this crate.
#![allow(unsafe_code)]

mod context;
pub mod table;

pub use context::{Context, Limit, Resource};
