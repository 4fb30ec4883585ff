//! A coordinator from outside: requesters, providers and hooks are threads of these tests, over real
//! sockets. The cases bear the numbers of the interoperability specification.

#[path = "../support/mod.rs"]
mod support;

mod access;
mod awaited;
mod fixtures;
mod holes;
mod hooks;
mod life;
mod load;
mod messages;
mod nats;
mod outside;
mod rig;
mod routing;
mod streams;
mod wrapped;
