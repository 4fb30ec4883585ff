//! Starting a program: pipes, posix_spawn(3), and the keeper that takes over.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use nix::spawn::{PosixSpawnAttr, PosixSpawnFileActions, PosixSpawnFlags, posix_spawn};
use nix::sys::signal::SigSet;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::command::Prepared;
use super::keeper::{self, Process, Report};
use super::{Command, SpawnError, Step};
use crate::output::{Output, Source, Stream};

/// Starts `command` in a process group of its own, with its output on `output` and `/dev/null` as
/// input. `report` is called for everything that follows, on this thread.
///
/// # Errors
/// When the program cannot be started; what the stage finds out comes later, as a [`Report`].
pub fn launch(
    command: Command,
    output: &Output,
    report: impl Fn(Report) + 'static,
) -> Result<Process, SpawnError> {
    let shown = command.argv.first().cloned().unwrap_or_default();
    let prepared = command.prepare()?;
    let failed = |error: io::Error| SpawnError::system(&shown, Step::Descriptors, &error);
    let stdout = pipe(prepared.owner).map_err(failed)?;
    let stderr = pipe(prepared.owner).map_err(failed)?;
    let mut passed = command.descriptors;
    let stage_report = match prepared.stage_report {
        Some(number) => {
            let (read, write) = pipe(None).map_err(failed)?;
            passed.push((number, write));
            Some(read)
        }
        None => None,
    };
    let passed = out_of_the_way(passed).map_err(failed)?;

    let pid = spawn(&prepared, &stdout.1, &stderr.1, &passed)
        .map_err(|error| SpawnError::system(&shown, Step::Spawn, &error.into()))?;
    // Our copies of the write ends go now: the last writer's end is the end of what it says.
    drop(passed);
    // The child is ours and not reaped, so the number is its own until the keeper is done with it.
    let pidfd = match pidfd_open(pid, PidfdFlags::empty()) {
        Ok(pidfd) => pidfd,
        Err(error) => {
            keeper::discard(pid);
            return Err(failed(error.into()));
        }
    };
    let process = match keeper::keep(pid, pidfd, stage_report, shown.clone(), report) {
        Ok(process) => process,
        Err(error) => {
            keeper::discard(pid);
            return Err(failed(error));
        }
    };
    let streams = [
        (Stream::Stdout, stdout.0, command.taps.stdout),
        (Stream::Stderr, stderr.0, command.taps.stderr),
    ];
    for (stream, read, tap) in streams {
        let source = Source { name: command.name.clone(), stream, kind: command.kind, tap };
        output.attach(read, source);
    }
    Ok(process)
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
    prepared: &Prepared,
    stdout: &OwnedFd,
    stderr: &OwnedFd,
    passed: &[(i32, OwnedFd)],
) -> Result<Pid, nix::Error> {
    let mut files = PosixSpawnFileActions::init()?;
    files.add_open(0, c"/dev/null", nix::fcntl::OFlag::O_RDONLY, nix::sys::stat::Mode::empty())?;
    files.add_dup2(stdout.as_raw_fd(), 1)?;
    files.add_dup2(stderr.as_raw_fd(), 2)?;
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
        &prepared.envp,
    )?;
    Pid::from_raw(pid.as_raw()).ok_or(nix::Error::ESRCH)
}
