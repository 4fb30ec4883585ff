//! Why a program could not be started: the step that failed and the reason.

use std::fmt;
use std::io;

use crate::exit;

/// A step on the way from a config to a running program, in the order in which they are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Step {
    /// Looking up the user and its groups.
    User,
    /// Reading `env_file`.
    EnvFile,
    /// Reading the files of `secrets`.
    Secrets,
    /// Finding the program.
    Lookup,
    /// Making pipes and pidfds.
    Descriptors,
    /// posix_spawn(3) itself, of the program or of the stage.
    Spawn,
    /// Writing `oom_score_adj`.
    OomScore,
    /// setrlimit(2).
    Limits,
    /// setgroups(2).
    Groups,
    /// setgid(2).
    Gid,
    /// Taking capabilities out of the bounding set.
    Bounding,
    /// setuid(2), and the proof that there is no way back.
    Uid,
    /// capset(2) and the ambient set.
    Capabilities,
    /// chdir(2).
    Folder,
    /// prctl(2) with PR_SET_NO_NEW_PRIVS.
    NoNewPrivs,
    /// execve(2) by the stage.
    Exec,
}

impl Step {
    const ALL: [Self; 16] = [
        Self::User,
        Self::EnvFile,
        Self::Secrets,
        Self::Lookup,
        Self::Descriptors,
        Self::Spawn,
        Self::OomScore,
        Self::Limits,
        Self::Groups,
        Self::Gid,
        Self::Bounding,
        Self::Uid,
        Self::Capabilities,
        Self::Folder,
        Self::NoNewPrivs,
        Self::Exec,
    ];

    /// The step of this number, as the stage reports it.
    pub(super) fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|step| *step as u8 == number)
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::User => "looking up the user",
            Self::EnvFile => "reading env_file",
            Self::Secrets => "reading a secret",
            Self::Lookup => "finding the program",
            Self::Descriptors => "making its pipes",
            Self::Spawn => "spawning",
            Self::OomScore => "setting oom_score_adj",
            Self::Limits => "setting resource limits",
            Self::Groups => "setting supplementary groups",
            Self::Gid => "setting the group",
            Self::Bounding => "dropping capabilities for good",
            Self::Uid => "setting the user",
            Self::Capabilities => "keeping capabilities",
            Self::Folder => "entering the working directory",
            Self::NoNewPrivs => "setting no_new_privs",
            Self::Exec => "executing",
        }
    }
}

/// A step of the stage that failed.
pub(super) struct Failure {
    pub(super) step: Step,
    pub(super) errno: nix::Error,
    /// What of the plan it is about, where the step does not say it.
    pub(super) subject: Vec<u8>,
}

impl From<(Step, nix::Error)> for Failure {
    fn from((step, errno): (Step, nix::Error)) -> Self {
        Self { step, errno, subject: Vec::new() }
    }
}

/// A program that could not be started. Nothing of it is left behind.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct SpawnError {
    /// The program as it was asked for.
    pub program: String,
    /// How far it came.
    pub step: Step,
    /// What stood in the way, as a part of a sentence.
    pub reason: String,
    /// 127 for a program that is not there, 126 for one that cannot be executed, else 1.
    pub code: u8,
}

impl SpawnError {
    /// A failure with a reason of our own.
    pub(super) fn new(program: &str, step: Step, reason: impl Into<String>) -> Self {
        Self { program: program.to_owned(), step, reason: reason.into(), code: exit::FAILURE }
    }

    /// What a program is to be watched by could not be made.
    pub fn descriptors(program: &str, error: &io::Error) -> Self {
        Self::system(program, Step::Descriptors, error)
    }

    /// A failure with the system's reason.
    pub(super) fn system(program: &str, step: Step, error: &io::Error) -> Self {
        let code = match (step, error.kind()) {
            (Step::Spawn | Step::Exec, io::ErrorKind::NotFound) => exit::NOT_FOUND,
            (Step::Spawn | Step::Exec, io::ErrorKind::WouldBlock | io::ErrorKind::OutOfMemory) => {
                exit::FAILURE
            }
            (Step::Spawn | Step::Exec, _) => exit::NOT_EXECUTABLE,
            _ => exit::FAILURE,
        };
        let reason = plain(error);
        Self { program: program.to_owned(), step, reason, code }
    }

    /// The same, with what of its settings stood in the way in front of the reason.
    pub(super) fn about(mut self, subject: &str) -> Self {
        let kind = match self.step {
            // What it is about is not said by every failure of the step.
            _ if subject.is_empty() => return self,
            Step::Folder => "folder",
            Step::Limits => "limit",
            Step::Capabilities => "capability",
            _ => return self,
        };
        self.reason = format!("its {kind} `{subject}`: {}", self.reason);
        self
    }
}

/// The system's reason as a part of a sentence.
pub(crate) fn plain(error: &io::Error) -> String {
    let mut reason = error.to_string();
    if let Some(at) = reason.find(" (os error") {
        reason.truncate(at);
    }
    if let Some(first) = reason.get(..1) {
        let lower = first.to_ascii_lowercase();
        reason.replace_range(..1, &lower);
    }
    reason
}

impl fmt::Display for SpawnError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` cannot be started: ", self.program)?;
        match self.step {
            // The reason names the setting.
            Step::Folder | Step::Limits => f.write_str(&self.reason),
            Step::Capabilities if self.reason.starts_with("its ") => f.write_str(&self.reason),
            step => write!(f, "{} failed: {}", step.as_str(), self.reason),
        }
    }
}
