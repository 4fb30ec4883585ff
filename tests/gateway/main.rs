//! The gateway from outside: a real `coproc run` with a `[gateway]` table, plugin servers and upstreams as
//! threads of these tests, over real sockets. The cases bear the numbers of the interoperability
//! specification; those with `complaint` in their names prove that what users of Tyk ask for is there.

#[path = "../support/mod.rs"]
mod support;

mod auth;
mod caching;
mod client;
mod complaints;
mod events;
mod failures;
mod nginx;
mod overrides;
mod plugin;
mod requests;
mod responses;
mod rig;
mod seen;
mod upstream;
