//! The driver for hooks in native code. It and what it calls are the only place of the gateway where the
//! compiler cannot see that memory is used rightly.

mod config;
#[cfg(feature = "native")]
mod driver;
#[cfg(feature = "native")]
mod exports;
#[cfg(feature = "native")]
mod library;

pub use config::NativeConfig;
#[cfg(feature = "native")]
pub use driver::Native;
#[cfg(feature = "native")]
pub use library::OpenError;
