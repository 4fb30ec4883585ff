//! What all programs of one tree have in common when they are started.

use std::ffi::OsString;
use std::rc::Rc;
use std::sync::Arc;

use super::{Command, Context, Taps};
use crate::output::{Kind, Output};
use crate::scope::Scope;
use crate::world::World;

/// What all programs of one tree have in common when they are started.
#[derive(Clone)]
pub struct Launcher {
    /// Where their output goes.
    pub output: Output,
    /// The names that their commands may use.
    pub scope: Arc<Scope>,
    /// The environment that they inherit.
    pub inherited: Arc<Vec<(OsString, OsString)>>,
    /// Variables that coproc adds to it.
    pub added: Vec<(&'static str, String)>,
    /// Who starts them in place of the system.
    pub world: Option<Rc<dyn World>>,
}

impl Launcher {
    /// A command of the config, its words interpolated. `name` is that of its lines in the log.
    pub fn command(&self, name: Arc<str>, words: &[String], context: &Context) -> Command {
        Command {
            name,
            argv: words.iter().map(|word| self.scope.interpolate(word)).collect(),
            context: context.clone(),
            inherited: self.inherited.clone(),
            added: self.added.clone(),
            kind: Kind::Plain,
            taps: Taps::default(),
            descriptors: Vec::new(),
            world: self.world.clone(),
        }
    }
}
