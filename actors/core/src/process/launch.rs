//! Starting a program: pipes, posix_spawn(3), and the keeper that takes over.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;

use nix::spawn::{PosixSpawnAttr, PosixSpawnFileActions, PosixSpawnFlags, posix_spawn};
use nix::sys::signal::SigSet;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::Pid;

use super::cgroup::Cgroup;
use super::error::plain;
use super::keeper::{self, Process, Report};
use super::leader::Leader;
use super::report::StageReport;
use super::setting::{Prepared, Setting};
use super::{Command, SpawnError, Step};
use crate::output::{Output, Source, Stream};

/// Starts `command` in a process group of its own, with its output on `output` and `/dev/null` as
/// input. `report` is called for everything that follows, on this thread.
///
/// # Errors
/// When the program cannot be started; what the stage finds out comes later, as a [`Report`].
pub fn launch(
    mut command: Command,
    output: &Output,
    report: impl Fn(Report) + 'static,
) -> Result<Process, SpawnError> {
    let cgroup = command.context.cgroup.take();
    command.context.cgroup = cgroup.filter(|cgroup| match cgroup.make() {
        Ok(()) => true,
        Err(error) => {
            let why = plain(&error);
            tracing::warn!(logger = %command.name, "has no control group of its own: {why}");
            false
        }
    });
    let cgroup = command.context.cgroup.clone();
    launch_in(cgroup.clone(), command, output, report).inspect_err(|_| {
        if let Some(cgroup) = cgroup {
            cgroup.remove();
        }
    })
}

fn launch_in(
    cgroup: Option<Cgroup>,
    command: Command,
    output: &Output,
    report: impl Fn(Report) + 'static,
) -> Result<Process, SpawnError> {
    if let Some(world) = &command.world {
        let program = world.launch(&command.name, command.taps, Box::new(report))?;
        return Ok(Process::imagined(program));
    }
    let shown = command.argv.first().cloned().unwrap_or_default();
    let words = command.words()?;
    let argv: Vec<_> = words.iter().map(|word| word.as_c_str()).collect();
    let (setting, prepared) = command.prepare(&argv)?;
    let failed = |error: io::Error| SpawnError::system(&shown, Step::Descriptors, &error);
    let stdout = pipe(setting.owner).map_err(failed)?;
    let stderr = pipe(setting.owner).map_err(failed)?;
    let own = Own { stdin: None, stdout: stdout.1, stderr: stderr.1 };
    let (leader, stage) = start(&shown, &setting, &prepared, own, command.descriptors)?;
    leader.watch().map_err(failed)?;
    let streams = [
        (Stream::Stdout, stdout.0, command.taps.stdout),
        (Stream::Stderr, stderr.0, command.taps.stderr),
    ];
    for (stream, read, tap) in streams {
        let source = Source { name: command.name.clone(), stream, kind: command.kind, tap };
        output.attach(read, source);
    }
    Ok(keeper::keep(leader, stage, cgroup, report))
}

/// A program that was started with three pipes; these are our ends of them, non-blocking.
#[derive(Debug)]
pub struct Piped {
    /// The process.
    pub leader: Leader,
    /// What the stage has to say, if one was needed.
    pub stage: Option<StageReport>,
    /// Its standard input.
    pub stdin: OwnedFd,
    /// Its standard output.
    pub stdout: OwnedFd,
    /// Its standard error.
    pub stderr: OwnedFd,
}

impl Setting {
    /// Starts a program that [`Setting::find`] found, in a process group of its own, with a pipe
    /// for each of its standard streams and no other descriptor.
    ///
    /// # Errors
    /// When it cannot be started; what the stage finds out comes later.
    pub fn spawn(&self, program: &Path, argv: &[&CStr]) -> Result<Piped, SpawnError> {
        let shown = argv.first().map(|name| name.to_string_lossy().into_owned());
        let shown = shown.unwrap_or_default();
        let failed = |error: io::Error| SpawnError::system(&shown, Step::Descriptors, &error);
        let prepared = self.prepare(&shown, program, argv, 3)?;
        let stdin = pipe(self.owner).map_err(failed)?;
        let stdout = pipe(self.owner).map_err(failed)?;
        let stderr = pipe(self.owner).map_err(failed)?;
        let own = Own { stdin: Some(stdin.0), stdout: stdout.1, stderr: stderr.1 };
        let (leader, stage) = start(&shown, self, &prepared, own, Vec::new())?;
        // All that can wait until the program is on its way is done beside it.
        for ours in [&stdin.1, &stdout.0, &stderr.0] {
            rustix::io::ioctl_fionbio(ours, true).map_err(|error| failed(error.into()))?;
        }
        Ok(Piped { leader, stage, stdin: stdin.1, stdout: stdout.0, stderr: stderr.0 })
    }
}

/// The program's own ends of its standard streams; no `stdin` is `/dev/null`.
struct Own {
    stdin: Option<OwnedFd>,
    stdout: OwnedFd,
    stderr: OwnedFd,
}

fn start(
    shown: &str,
    setting: &Setting,
    prepared: &Prepared<'_>,
    own: Own,
    mut passed: Vec<(i32, OwnedFd)>,
) -> Result<(Leader, Option<StageReport>), SpawnError> {
    let failed = |error: io::Error| SpawnError::system(shown, Step::Descriptors, &error);
    let report = match prepared.stage_report {
        Some(number) => {
            let (read, write) = pipe(None).map_err(failed)?;
            passed.push((number, write));
            Some(read)
        }
        None => None,
    };
    let passed = out_of_the_way(passed).map_err(failed)?;
    let stage =
        report.map(|pipe| StageReport::new(pipe, shown.to_owned())).transpose().map_err(failed)?;
    let pid = spawn(setting, prepared, &own, &passed)
        .map_err(|error| SpawnError::system(shown, Step::Spawn, &error.into()))?;
    // Our copies of the write ends go with `own` and `passed`: the last writer's end is the end of
    // what it says.
    let leader = Leader::adopt(pid);
    // Dropping the leader ends it.
    let scored = setting.oom.apply(leader.pid());
    scored.map_err(|error| SpawnError::system(shown, Step::OomScore, &error))?;
    Ok((leader, stage))
}

/// Marks every descriptor that coproc itself inherited, beyond the three standard ones, so that no
/// child inherits it in turn.
pub fn seal_descriptors() {
    // SAFETY: a plain system call; it touches flags of descriptors, never the descriptors.
    unsafe { libc::syscall(libc::SYS_close_range, 3u32, u32::MAX, libc::CLOSE_RANGE_CLOEXEC) };
}

/// A pipe, read end first; both ends stay behind at exec.
fn pipe(owner: Option<(u32, u32)>) -> io::Result<(OwnedFd, OwnedFd)> {
    let (read, write) = pipe_with(PipeFlags::CLOEXEC)?;
    if let Some((uid, gid)) = owner {
        let (uid, gid) = (rustix::fs::Uid::from_raw(uid), rustix::fs::Gid::from_raw(gid));
        rustix::fs::fchown(&write, Some(uid), Some(gid))?;
    }
    Ok((read, write))
}

/// Copies at numbers above all those that the descriptors are passed at and the standard ones, so that
/// putting one in its place never overwrites another.
fn out_of_the_way(passed: Vec<(i32, OwnedFd)>) -> io::Result<Vec<(i32, OwnedFd)>> {
    let above = passed.iter().map(|(number, _)| number + 1).fold(3, i32::max);
    passed
        .into_iter()
        .map(|(number, fd)| Ok((number, rustix::io::fcntl_dupfd_cloexec(&fd, above)?)))
        .collect()
}

fn spawn(
    setting: &Setting,
    prepared: &Prepared<'_>,
    own: &Own,
    passed: &[(i32, OwnedFd)],
) -> Result<Pid, nix::Error> {
    let mut files = PosixSpawnFileActions::init()?;
    match &own.stdin {
        Some(stdin) => files.add_dup2(stdin.as_raw_fd(), 0)?,
        None => {
            let mode = nix::sys::stat::Mode::empty();
            files.add_open(0, c"/dev/null", nix::fcntl::OFlag::O_RDONLY, mode)?;
        }
    }
    files.add_dup2(own.stdout.as_raw_fd(), 1)?;
    files.add_dup2(own.stderr.as_raw_fd(), 2)?;
    for (number, fd) in passed {
        files.add_dup2(fd.as_raw_fd(), *number)?;
    }
    let mut attributes = PosixSpawnAttr::init()?;
    // Ignored signals (Rust ignores SIGPIPE) and the mask would be inherited through exec.
    attributes.set_flags(
        PosixSpawnFlags::POSIX_SPAWN_SETPGROUP
            | PosixSpawnFlags::POSIX_SPAWN_SETSIGDEF
            | PosixSpawnFlags::POSIX_SPAWN_SETSIGMASK,
    )?;
    attributes.set_pgroup(nix::unistd::Pid::from_raw(0))?;
    attributes.set_sigdefault(&SigSet::all())?;
    attributes.set_sigmask(&SigSet::empty())?;
    let pid = posix_spawn(
        prepared.program.as_c_str(),
        &files,
        &attributes,
        &prepared.argv,
        &setting.envp,
    )?;
    Pid::from_raw(pid.as_raw()).ok_or(nix::Error::ESRCH)
}
