//! The driver for plugin servers that speak gRPC.

#[cfg_attr(not(feature = "grpc"), allow(dead_code, reason = "addresses are only checked then"))]
mod address;
#[cfg(feature = "grpc")]
mod call;
#[cfg(feature = "grpc")]
mod channel;
#[cfg(feature = "grpc")]
mod client;
mod config;
#[cfg(feature = "grpc")]
mod deadline;
#[cfg(feature = "grpc")]
mod dial;
#[cfg(feature = "grpc")]
mod gathered;
#[cfg(feature = "grpc")]
mod health;
#[cfg(feature = "grpc")]
mod home;
#[cfg(feature = "grpc")]
mod names;
#[cfg(feature = "grpc")]
mod peer;
#[cfg(feature = "grpc")]
mod pool;
#[cfg_attr(not(feature = "grpc"), allow(dead_code, reason = "nobody waits for it then"))]
mod presence;

pub use super::breaker;
pub use address::{Address, AddressError};
#[cfg(feature = "grpc")]
pub use client::Grpc;
#[cfg(feature = "grpc")]
use client::said;
pub use config::GrpcConfig;
pub use presence::Presence;
