//! acomm: the messages between requesters, a coordinator and providers, as mistify speaks them, and
//! their framing on Unix sockets.
//!
//! A requester sends a [`Request`] and is told at once, by an ack, whether somebody took it. The
//! provider sends the [`Response`] to the request's hook later, and is told by an ack that it came.
//! Each message has a connection of its own, with one frame each way.

mod decode;
mod escape;
pub mod frame;
mod message;
pub mod unix;
mod url;

pub use decode::DecodeError;
pub use escape::{query_escape, query_unescape};
pub use message::{Request, Response};
pub use url::{Url, UrlError};

/// The largest message that is taken unless said otherwise, in bytes.
pub const MAX_MESSAGE: usize = 16 << 20;
