//! The gateway from outside. The data plane alone (`world`): clients, upstreams and what is between them. And
//! the whole (`rig`): a real `coproc run` with a `[gateway]` table, plugin servers and upstreams as threads of
//! these tests. The cases bear the numbers of the interoperability specification; those with `complaint` in
//! their names prove that what users of Tyk ask for is there.
#![allow(missing_docs)]

#[path = "../support/mod.rs"]
mod support;

mod addresses;
mod auth;
mod bundle_store;
mod bundles;
mod caching;
mod client;
mod complaints;
mod drain;
mod events;
mod extracting;
mod failures;
mod flow;
mod keys;
mod life;
mod limits;
mod lua;
mod lua_auth;
mod lua_bundles;
mod lua_cases;
mod native;
mod nginx;
mod overrides;
mod pages;
mod plugin;
mod proxy;
mod python;
mod python_bundles;
mod python_faults;
mod python_modules;
mod python_server;
mod python_workers;
mod redis;
mod requests;
mod responses;
mod rig;
mod seen;
mod shapes;
mod stopping;
mod upstream;
mod versions;
mod world;
