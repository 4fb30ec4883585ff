//! What is found out about the machine and the config; nothing in here judges.

use std::time::{Duration, SystemTime};

/// All of it.
#[derive(Clone, Debug)]
pub(super) struct Facts {
    pub(super) pid: u32,
    /// `subreaper`.
    pub(super) subreaper: bool,
    pub(super) uid: u32,
    pub(super) gid: u32,
    /// The effective capabilities, as the kernel numbers them; none where it does not say.
    pub(super) capabilities: Option<u64>,
    pub(super) no_new_privs: bool,
    /// Whether system calls are filtered.
    pub(super) seccomp: bool,
    /// Which version of cgroups there is, if any.
    pub(super) cgroup: Option<u8>,
    /// Whether the wrapper may kill what is in its group by one write.
    pub(super) cgroup_kill: bool,
    /// In bytes.
    pub(super) memory_limit: Option<u64>,
    pub(super) pids_limit: Option<u64>,
    /// Soft and hard; `None` is no limit.
    pub(super) open_files: (Option<u64>, Option<u64>),
    pub(super) root_read_only: bool,
    pub(super) run_path: Place,
    /// The control socket; none where it is turned off.
    pub(super) control: Option<Control>,
    /// Whether Kubernetes wants last words.
    pub(super) termination_log: bool,
    pub(super) now: SystemTime,
    pub(super) shutdown_timeout: Duration,
    /// How long what left its group has, where it is looked after.
    pub(super) strays: Option<Duration>,
    pub(super) programs: Vec<Program>,
    pub(super) files: Vec<File>,
    pub(super) users: Vec<User>,
    pub(super) limits: Vec<Limit>,
    pub(super) nginx: Option<Daemon>,
}

/// A folder that has to be written to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) path: String,
    pub(super) state: State,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// It is there and can be written to.
    Writable,
    /// It can be made.
    CanBeMade,
    /// Neither, for this reason.
    Refused(String),
}

/// The control socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Control {
    pub(super) place: Place,
    /// Whether the config names it: then it has to be there.
    pub(super) configured: bool,
    /// Whether somebody answers on it already.
    pub(super) taken: bool,
}

/// A program that the config names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Program {
    /// The key.
    pub(super) key: String,
    pub(super) name: String,
    pub(super) found: Found,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// It can be executed.
    At(String),
    /// It cannot, for this reason.
    Not(String),
    /// Its name depends on what is known when it is started.
    Depends,
}

/// A file or folder that has to be there when its program is started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct File {
    /// The key.
    pub(super) key: String,
    pub(super) path: String,
    /// Why it is of no use.
    pub(super) wrong: Option<String>,
}

/// A user or group that something is run as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct User {
    pub(super) key: String,
    pub(super) name: String,
    /// Why it cannot be switched to.
    pub(super) wrong: Option<String>,
}

/// A limit of resources that is above what the wrapper itself may have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Limit {
    pub(super) key: String,
    pub(super) wanted: Option<u64>,
    pub(super) allowed: u64,
}

/// What nginx's configuration says of the foreground.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Daemon {
    Off,
    On,
    /// The configuration could not be read, or is made at the start.
    Unknown,
}
