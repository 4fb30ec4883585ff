//! The surroundings that a config gives a program: user, environment, folder, mask,
//! limits and rights.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use super::{Capabilities, Cgroup, OomAdjustment};

/// Everything about a process but its argument vector. Absent means: as the wrapper has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Context {
    /// A user's name or number; its group and supplementary groups come with it.
    pub user: Option<String>,
    /// A group's name or number in place of the user's own.
    pub group: Option<String>,
    /// Which inherited variables are passed on: names, or beginnings of names with `*` behind them.
    pub env_pass: Option<Vec<String>>,
    /// Variables added to those.
    pub env: BTreeMap<String, String>,
    /// A file of `NAME=VALUE` lines, read at each start; `env` wins over it.
    pub env_file: Option<PathBuf>,
    /// Variables whose values are in files, read at each start.
    pub secrets: BTreeMap<String, PathBuf>,
    /// The working directory.
    pub cwd: Option<PathBuf>,
    /// The file mode creation mask, 0 to 0o777.
    pub umask: Option<u32>,
    /// Resource limits by resource.
    pub limits: BTreeMap<Resource, Limit>,
    /// The capabilities that it has, and no others.
    pub capabilities: Option<Capabilities>,
    /// Whether it can never gain rights by executing a program.
    pub no_new_privs: bool,
    /// How soon it is killed when memory runs out.
    pub oom: OomAdjustment,
    /// A control group for it alone, which ends with it.
    pub cgroup: Option<Cgroup>,
}

impl Context {
    /// Whether an inherited variable of this name is passed on.
    pub fn passes(&self, name: &OsStr) -> bool {
        let passes = |word: &String| match word.strip_suffix('*') {
            Some(beginning) => name.as_bytes().starts_with(beginning.as_bytes()),
            None => name == word.as_str(),
        };
        self.env_pass.as_ref().is_none_or(|words| words.iter().any(passes))
    }
}

/// A limit of setrlimit(2), by the name after `RLIMIT_` in lower case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Resource(&'static str, u32);

/// The soft and the hard limit; `None` is no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// What the kernel enforces.
    pub soft: Option<u64>,
    /// How far the program may raise it.
    pub hard: Option<u64>,
}

const RESOURCES: [(&str, u32); 16] = [
    ("as", libc::RLIMIT_AS),
    ("core", libc::RLIMIT_CORE),
    ("cpu", libc::RLIMIT_CPU),
    ("data", libc::RLIMIT_DATA),
    ("fsize", libc::RLIMIT_FSIZE),
    ("locks", libc::RLIMIT_LOCKS),
    ("memlock", libc::RLIMIT_MEMLOCK),
    ("msgqueue", libc::RLIMIT_MSGQUEUE),
    ("nice", libc::RLIMIT_NICE),
    ("nofile", libc::RLIMIT_NOFILE),
    ("nproc", libc::RLIMIT_NPROC),
    ("rss", libc::RLIMIT_RSS),
    ("rtprio", libc::RLIMIT_RTPRIO),
    ("rttime", libc::RLIMIT_RTTIME),
    ("sigpending", libc::RLIMIT_SIGPENDING),
    ("stack", libc::RLIMIT_STACK),
];

impl Resource {
    /// The resource of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        RESOURCES.iter().find(|(n, _)| *n == name).map(|(n, number)| Self(n, *number))
    }

    /// The resource of this number.
    pub(super) fn from_number(number: u32) -> Option<Self> {
        RESOURCES.iter().find(|(_, n)| *n == number).map(|(name, n)| Self(name, *n))
    }

    /// All names.
    pub fn names() -> impl Iterator<Item = &'static str> {
        RESOURCES.iter().map(|(name, _)| *name)
    }

    /// The name.
    pub fn name(self) -> &'static str {
        self.0
    }

    /// The kernel's number.
    pub fn number(self) -> u32 {
        self.1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_pass_by_name_or_by_their_beginning() {
        let all = Context::default();
        assert!(all.passes("ANY".as_ref()));
        let words = ["PATH", "APP_*"].map(str::to_owned).to_vec();
        let some = Context { env_pass: Some(words), ..Context::default() };
        for (name, passes) in
            [("PATH", true), ("APP_", true), ("APP_X", true), ("APP", false), ("PATHS", false)]
        {
            assert_eq!(some.passes(name.as_ref()), passes, "{name}");
        }
        let none = Context { env_pass: Some(Vec::new()), ..Context::default() };
        assert!(!none.passes("PATH".as_ref()));
    }
}
