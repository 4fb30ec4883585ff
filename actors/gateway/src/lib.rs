//! The gateway: a reverse proxy whose requests pass through hooks that run in coprocesses.

#[cfg(all(
    feature = "coprocess",
    not(any(feature = "grpc", feature = "python", feature = "lua", feature = "native"))
))]
compile_error!(
    "the feature `coprocess` runs hooks and needs a driver to run them: add one or more of the features \
     `grpc`, `python`, `lua` and `native`, or leave `coprocess` out"
);

pub mod access_log;
pub mod actor;
pub mod admin;
pub mod api;
pub mod auth_request;
pub mod bundle;
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
mod path;
pub mod policy;
mod proxy;
mod repeats;
pub mod route;
pub mod server;
pub mod session;
pub mod store;
pub mod table;
pub mod tls;
pub mod trace;
mod url;
pub mod wire;

pub use proxy::Snapshot;
