//! The driver for hooks in Lua.

#[cfg(feature = "lua")]
mod blob;
#[cfg(feature = "lua")]
mod budget;
mod config;
#[cfg(feature = "lua")]
mod driver;
#[cfg(feature = "lua")]
mod files;
#[cfg(feature = "lua")]
mod json;
#[cfg(feature = "lua")]
mod message;
#[cfg(feature = "lua")]
mod state;
#[cfg(all(test, feature = "lua"))]
mod tests;

pub use config::LuaConfig;
#[cfg(feature = "lua")]
pub use driver::Lua;
