//! The tokens of the control's ports, read anew at each reload.

use std::rc::Rc;

use actix_rt::task::JoinHandle;
use coproc_control::caller::Door;
use coproc_control::table::ControlConfig;
use coproc_control::token::Tokens;

/// The door with its tokens as they are at the start. The error is a sentence.
pub(super) fn door(config: &ControlConfig) -> Result<Rc<Door>, String> {
    let tokens = config.has_tokens().then(|| Tokens::read(&config.token_files)).transpose()?;
    Ok(Door::new(tokens))
}

/// Reads the tokens anew, beside the actors; `None` where there are none. What cannot be read leaves them
/// as they were.
pub(super) fn reread(config: &ControlConfig, door: Rc<Door>) -> Option<JoinHandle<()>> {
    let files = config.has_tokens().then(|| config.token_files.clone())?;
    Some(actix_rt::spawn(async move {
        match actix_rt::task::spawn_blocking(move || Tokens::read(&files)).await {
            Ok(Ok(tokens)) => door.change(tokens),
            Ok(Err(why)) => {
                tracing::error!(target: "control", "the tokens stay as they were: {why}");
            }
            // The event loop is going.
            Err(_) => {}
        }
    }))
}
