//! The samples: each is valid, listed, and does what its comments say.

#[path = "../support/mod.rs"]
mod support;

mod container;
mod coprocesses;
mod gateway;
mod listing;
mod order;
mod sample;
mod tasks;
mod users;
mod web;
