//! The gateway from outside: clients, upstreams and what is between them.
#![allow(missing_docs)]

mod drain;
mod flow;
mod limits;
mod proxy;
mod shapes;
mod versions;
mod world;
