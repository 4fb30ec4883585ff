//! The stage: this program started again, that applies what posix_spawn(3) cannot, in a process of
//! its own, and then becomes the program.
//!
//! It is an ordinary single-threaded program, so nothing in it has to be async-signal-safe, and the
//! wrapper never forks, however much memory it has.

use std::ffi::{CStr, CString, OsString};
use std::io::Write;
use std::os::fd::FromRawFd;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use nix::unistd::{Gid, Uid};
use serde::{Deserialize, Serialize};

use super::credentials::Credentials;
use super::error::Failure;
use super::rights::Rights;
use super::{Cgroup, Context, Resource, SpawnError, Step};

/// The hidden first argument.
const ARGUMENT: &CStr = c"exec-stage\u{1}";
/// This very program, even if its file was replaced since.
pub(super) const PROGRAM: &CStr = c"/proc/self/exe";
/// What a failure on that pipe begins with: the step's number and errno, little-endian. What it is
/// about follows: a folder or the name of a limit.
pub(super) const REPORT_HEAD: usize = 5;

/// What the stage is to do.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Plan {
    credentials: Option<Credentials>,
    umask: Option<u32>,
    cwd: Option<PathBuf>,
    /// Resource, soft and hard limit.
    limits: Vec<(u32, u64, u64)>,
    rights: Rights,
    /// The file by which it enters its control group.
    cgroup: Option<PathBuf>,
}

impl Plan {
    pub(super) fn new(context: &Context, credentials: Option<Credentials>) -> Self {
        let value = |limit: Option<u64>| limit.unwrap_or(libc::RLIM_INFINITY);
        Self {
            credentials,
            umask: context.umask,
            cwd: context.cwd.clone(),
            limits: context
                .limits
                .iter()
                .map(|(resource, limit)| (resource.number(), value(limit.soft), value(limit.hard)))
                .collect(),
            rights: Rights::new(context),
            cgroup: context.cgroup.as_ref().map(Cgroup::entrance),
        }
    }

    /// Whether there is anything that posix_spawn cannot do itself.
    pub(super) fn is_needed(&self) -> bool {
        *self != Self::default()
    }

    /// The plan as one argument of the stage.
    pub(super) fn text(&self, program: &str) -> Result<CString, SpawnError> {
        let refused = || SpawnError::new(program, Step::Spawn, "its settings cannot be passed on");
        let plan = serde_json::to_string(self).map_err(|_| refused())?;
        CString::new(plan).map_err(|_| refused())
    }
}

/// The words that come before the program's own argument vector. `report` is where the stage finds
/// the pipe on which it reports a failure; the program does not inherit it.
pub(super) fn arguments(plan: &CStr, program: CString, report: i32) -> [CString; 5] {
    // No digit is a NUL.
    let report = CString::new(report.to_string()).unwrap_or_default();
    [c"coproc".into(), ARGUMENT.into(), report, plan.into(), program]
}

/// Whether these are the arguments of a stage.
pub fn is_stage(arguments: &[OsString]) -> bool {
    arguments.get(1).is_some_and(|argument| argument.as_bytes() == ARGUMENT.to_bytes())
}

/// Applies the plan and becomes the program; comes back only with a failure, which was reported.
pub fn run(arguments: &[OsString]) -> u8 {
    let report = arguments.get(2).and_then(|number| number.to_str()?.parse::<i32>().ok());
    let Some(report_fd) = report.filter(|number| *number > 2) else {
        return super::super::exit::NOT_EXECUTABLE;
    };
    let failure = match become_program(arguments, report_fd) {
        Ok(never) => match never {},
        Err(failure) => failure,
    };
    // SAFETY: the wrapper put its pipe at this number, and nothing else here uses it.
    let mut pipe = unsafe { std::fs::File::from_raw_fd(report_fd) };
    let mut report = vec![failure.step as u8];
    report.extend((failure.errno as i32).to_le_bytes());
    report.extend(failure.subject);
    // Without the pipe nobody is left to tell.
    let _ = pipe.write_all(&report);
    super::super::exit::NOT_EXECUTABLE
}

fn become_program(
    arguments: &[OsString],
    report_fd: i32,
) -> Result<std::convert::Infallible, Failure> {
    let invalid = (Step::Spawn, nix::Error::EINVAL);
    let text = |at: usize| arguments.get(at).ok_or(invalid);
    let plan = text(3)?.to_str().ok_or(invalid)?;
    let plan: Plan = serde_json::from_str(plan).map_err(|_| invalid)?;
    let c_string = |text: &OsString| CString::new(text.as_bytes()).map_err(|_| invalid);
    let program = c_string(text(4)?)?;
    let argv = arguments[5..].iter().map(c_string).collect::<Result<Vec<_>, _>>()?;

    // SAFETY: a plain system call on a descriptor number; if it is not open the call fails.
    if unsafe { libc::fcntl(report_fd, libc::F_SETFD, libc::FD_CLOEXEC) } == -1 {
        return Err((Step::Spawn, nix::Error::last()).into());
    }
    // The standard library ignores PIPE before `main`, and what is ignored stays so through exec.
    // SAFETY: the default action is no code of ours.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
    apply(&plan)?;
    nix::unistd::execv(&program, &argv).map_err(|error| (Step::Exec, error).into())
}

fn apply(plan: &Plan) -> Result<(), Failure> {
    if let Some(entrance) = &plan.cgroup {
        // While it is still the wrapper's user. That it can be entered was seen before; a program that
        // stays outside all the same runs without.
        let _ = std::fs::write(entrance, "0");
    }
    if let Some(mask) = plan.umask {
        rustix::process::umask(rustix::fs::Mode::from_raw_mode(mask));
    }
    // Before the user is changed: only root may raise a hard limit.
    for (resource, soft, hard) in &plan.limits {
        let limit = libc::rlimit64 { rlim_cur: *soft, rlim_max: *hard };
        // SAFETY: the struct outlives the call, and the kernel checks the resource's number.
        if unsafe { libc::setrlimit64(*resource, &limit) } == -1 {
            let errno = nix::Error::last();
            let name = Resource::from_number(*resource).map(Resource::name);
            let subject = name.unwrap_or_default().into();
            return Err(Failure { step: Step::Limits, errno, subject });
        }
    }
    let Plan { credentials, rights, .. } = plan;
    if let Some(credentials) = credentials {
        join_groups(credentials)?;
    }
    rights.before_user()?;
    if let Some(credentials) = credentials {
        let uid = Uid::from_raw(credentials.uid);
        nix::unistd::setuid(uid).map_err(|error| (Step::Uid, error))?;
    }
    rights.after_user()?;
    if let Some(credentials) = credentials {
        prove_no_way_back(credentials, rights)?;
    }
    if let Some(folder) = &plan.cwd {
        nix::unistd::chdir(folder).map_err(|errno| {
            let subject = folder.as_os_str().as_bytes().to_vec();
            Failure { step: Step::Folder, errno, subject }
        })?;
    }
    rights.seal()
}

/// Before the user: after setuid there is no right left to change them.
fn join_groups(credentials: &Credentials) -> Result<(), Failure> {
    let groups: Vec<_> = credentials.groups.iter().copied().map(Gid::from_raw).collect();
    nix::unistd::setgroups(&groups).map_err(|error| (Step::Groups, error))?;
    let gid = Gid::from_raw(credentials.gid);
    nix::unistd::setgid(gid).map_err(|error| (Step::Gid, error).into())
}

fn prove_no_way_back(credentials: &Credentials, rights: &Rights) -> Result<(), Failure> {
    if credentials.uid != 0
        && !rights.allow_any_user()
        && nix::unistd::setuid(Uid::from_raw(0)).is_ok()
    {
        return Err((Step::Uid, nix::Error::EPERM).into());
    }
    Ok(())
}
