//! The loop that drives all actors, or a conversation with a wrapper.

use actix::{System, SystemRunner};
use tokio::runtime::Builder;

/// Makes the loop; an error is a sentence about why there is none, such as too few descriptors.
pub fn start() -> Result<SystemRunner, String> {
    // actix would make the same one, and panic where it cannot be made.
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("the event loop cannot be made: {error}"))?;
    // Never dropped, for that would wait for threads of its own that read files: one whose file is on a server
    // that does not answer would keep the wrapper from leaving.
    let runtime: &'static _ = Box::leak(Box::new(runtime));
    Ok(System::with_tokio_rt(|| runtime))
}

/// The same on a clock that stands still while anything can go on, and leaps to the next moment for
/// which somebody waits when nothing can.
pub fn start_on_own_clock() -> Result<SystemRunner, String> {
    let runtime = Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .map_err(|error| format!("the event loop cannot be made: {error}"))?;
    Ok(System::with_tokio_rt(|| runtime))
}
