//! What is to be started, prepared down to the last byte: program, arguments, variables, settings.

use std::ffi::{CStr, CString, OsStr, OsString};
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::Arc;

use super::setting::{Prepared, Setting, c_string};
use super::{Context, SpawnError, Step};
use crate::output::{Kind, Tap};
use crate::world::World;

/// A program with everything that it needs.
pub struct Command {
    /// The name of its lines in the log.
    pub name: Arc<str>,
    /// Program and arguments, interpolated; at least one word.
    pub argv: Vec<String>,
    /// User, environment, folder and limits.
    pub context: Context,
    /// The environment that it inherits.
    pub inherited: Arc<Vec<(OsString, OsString)>>,
    /// Variables that coproc itself adds; the context's win over them.
    pub added: Vec<(&'static str, String)>,
    /// How its lines are read.
    pub kind: Kind,
    /// Who sees its lines first.
    pub taps: Taps,
    /// Descriptors, each with the number that the program finds it at. One of the three standard
    /// numbers takes the place of `/dev/null` or of a pipe to the log.
    pub descriptors: Vec<(i32, OwnedFd)>,
    /// Who starts it in place of the system.
    pub world: Option<Rc<dyn World>>,
}

/// The taps of a program's two streams.
#[derive(Default)]
pub struct Taps {
    /// On descriptor 1.
    pub stdout: Option<Box<dyn Tap>>,
    /// On descriptor 2.
    pub stderr: Option<Box<dyn Tap>>,
}

impl Command {
    /// The words as the system takes them.
    pub(super) fn words(&self) -> Result<Vec<CString>, SpawnError> {
        let words = self.argv.iter().map(|word| c_string(self.shown(), word.as_bytes()));
        words.collect()
    }

    /// What errors name.
    fn shown(&self) -> &str {
        self.argv.first().map_or("", String::as_str)
    }

    /// Looks up all that the command needs to run with these words, which are its own; the stage's
    /// report comes on the number in it.
    pub(super) fn prepare<'a>(
        &self,
        words: &[&'a CStr],
    ) -> Result<(Setting, Prepared<'a>), SpawnError> {
        let shown = self.shown();
        if shown.is_empty() {
            return Err(SpawnError::new(shown, Step::Lookup, "the command is empty"));
        }
        let setting = Setting::look_up(shown, &self.context, &self.inherited, &self.added)?;
        let program = setting.find(OsStr::new(shown))?;
        let prepared = setting.prepare(shown, &program, words, self.free_descriptor())?;
        Ok((setting, prepared))
    }

    /// Whether it could be started: its user is looked up and its program sought, and nothing is
    /// begun.
    ///
    /// # Errors
    /// As when it is started; what only the stage finds out is not among them.
    pub fn look_up(&self) -> Result<(), SpawnError> {
        let words = self.words()?;
        let words: Vec<_> = words.iter().map(CString::as_c_str).collect();
        self.prepare(&words).map(drop)
    }

    /// The first number beyond the standard ones that the program has no descriptor at.
    fn free_descriptor(&self) -> i32 {
        let taken = |number: &i32| self.descriptors.iter().any(|(other, _)| other == number);
        (3..).find(|number| !taken(number)).unwrap_or(3)
    }
}
