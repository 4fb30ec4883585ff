//! What an exec socket is configured to do, with defaults filled in.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use coproc_core::process::Context;
use regex::bytes::Regex;

use crate::protocol::Termsig;
use crate::session::{ExecFailure, HalfClose};

/// One exec socket.
#[derive(Clone, Debug)]
pub struct ExecSocket {
    /// By which status, events and logs name it.
    pub name: Arc<str>,
    /// Where it is, not yet interpolated.
    pub path: String,
    /// The mode of its file.
    pub mode: u32,
    /// Whom its file is given to, as `USER`, `USER:GROUP` or `:GROUP`.
    pub owner: Option<String>,
    /// How many connections are served at once.
    pub max_connections: u32,
    /// How many of them one user may have.
    pub max_connections_per_user: Option<u32>,
    /// How many may wait to be accepted.
    pub max_queue: u32,
    /// How many threads serve; as many as there are processors where it is not said.
    pub workers: Option<u32>,
    /// How long a connection may last from its acceptance; `None` is for ever.
    pub timeout: Option<Duration>,
    /// How long the arguments may take to come.
    pub header_timeout: Duration,
    /// How long TERM has before KILL follows.
    pub kill_timeout: Duration,
    /// How long output is waited for after the program itself has ended; `None` is until the
    /// deadline.
    pub drain: Option<Duration>,
    /// How a signal is named.
    pub termsig: Termsig,
    /// What follows where a program cannot be started.
    pub exec_failure: ExecFailure,
    /// What a half-close means.
    pub half_close: HalfClose,
    /// Who is signalled.
    pub kill_scope: KillScope,
    /// User, environment, folder and limits of the programs.
    pub context: Context,
    /// What may be run; `None` is everything.
    pub allow: Option<Vec<Rule>>,
    /// Who may connect, by name or number; with `peer_groups` empty as well, everybody.
    pub peer_users: Vec<String>,
    /// Who may connect by a group of its own, primary or not.
    pub peer_groups: Vec<String>,
    /// Whether the log shows arguments, which may be secrets.
    pub log_arguments: bool,
}

/// Who is signalled at a deadline or when the client goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KillScope {
    /// The program with all that it started in its process group.
    Group,
    /// The program alone; what it started lives on.
    Leader,
}

/// Something that may be run, with limits of its own.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Which runs it is about.
    pub matches: Matches,
    /// In place of the socket's; `Some(None)` is for ever.
    pub timeout: Option<Option<Duration>>,
    /// In place of the socket's.
    pub kill_timeout: Option<Duration>,
}

/// Which runs a rule is about.
#[derive(Clone, Debug)]
pub enum Matches {
    /// Those of the program with this absolute path, whatever its arguments.
    Program(PathBuf),
    /// Those whose whole argument vector matches: the words as a shell would quote them, the
    /// program by its absolute path.
    Argv(Regex),
}
