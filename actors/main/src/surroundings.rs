//! What the tree gives the main process to live in.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use actix::Recipient;
use coproc_core::process::Launcher;
use tokio::sync::oneshot;

use crate::messages::MainNews;
use crate::reload::Tally;

/// What precedes a reload signal, such as rendering the configuration. It works elsewhere than on
/// this thread.
pub trait Preparation {
    /// Begins, and tells the outcome when it is done. The error is a sentence.
    fn begin(&self) -> oneshot::Receiver<Result<(), String>>;

    /// Whether what was prepared has been taken; else it is to be as it was before. Only the first
    /// word counts.
    fn settle(&self, taken: bool);
}

/// What the tree gives the main process to live in.
#[derive(Clone)]
pub struct Surroundings {
    /// What it is started with.
    pub launcher: Launcher,
    /// How long its end waits for the end of its output.
    pub drain_timeout: Duration,
    /// What precedes a reload signal; it sets the time of the latest reload itself.
    pub preparation: Option<Rc<dyn Preparation>>,
    /// Where it is counted how reloads ended.
    pub reloads: Rc<Cell<Tally>>,
    /// Who is told what became of it.
    pub parent: Recipient<MainNews>,
}
