//! A world in which programs are only imagined. It takes the system's place where the tree runs on a
//! clock of its own: who starts a program, or asks a probe, is answered by it and cannot tell.

use std::rc::Rc;
use std::sync::Arc;
use std::time::SystemTime;

use tokio::sync::watch;

use crate::probe::Role;
use crate::process::{Report, SpawnError, Taps};
use crate::signal::Signal;

/// What a probe would hear; the error is what is wrong, in a few words.
pub type Answer = Result<(), String>;

/// What stands in for the system.
pub trait World {
    /// Starts the program of this name, which is that of its lines in the log. `taps` see what it
    /// writes, and hear its end before `report` does.
    ///
    /// # Errors
    /// When it is one that cannot be started.
    fn launch(
        &self,
        name: &Arc<str>,
        taps: Taps,
        report: Box<dyn Fn(Report)>,
    ) -> Result<Rc<dyn Imagined>, SpawnError>;

    /// What a probe hears of the run of this program that was launched last, now and from now on.
    fn answers(&self, name: &str, role: Role) -> watch::Receiver<Answer>;

    /// What the wall clock says.
    fn time(&self) -> SystemTime;

    /// A number from 0 to 1, for jitter.
    fn chance(&self) -> f64;

    /// The tree has ended, and nothing of it runs any more.
    fn left(&self);
}

/// A program that was started in a [`World`].
pub trait Imagined {
    /// Its number.
    fn pid(&self) -> i32;

    /// Sends it a signal; nothing once it has ended.
    fn signal(&self, signal: Signal);

    /// Turns to true when it has ended.
    fn gone(&self) -> watch::Receiver<bool>;
}
