//! The keeper of a process: the one who waits for it, and the handle by which it is signalled.

use std::cell::Cell;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;

use rustix::process::{
    Pid, Signal as RawSignal, WaitId, WaitIdOptions, WaitIdStatus, kill_process_group, waitid,
};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::watch;

use super::descriptor::watch_descriptor;
use super::stage::REPORT_LEN;
use super::{SpawnError, Step};
use crate::exit::ExitStatus;
use crate::signal::Signal;

/// What becomes of a process that was launched: `Running` at most once, then exactly one of the
/// other two.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Report {
    /// The program itself runs.
    Running,
    /// The stage failed; nothing of it is left.
    Failed(SpawnError),
    /// It ended, what was left of its group was killed, and it is reaped.
    Exited(ExitStatus),
}

/// A process that was started and not reaped. Dropping it kills its group.
#[derive(Debug)]
pub struct Process {
    pid: Pid,
    reaped: Rc<Cell<bool>>,
    gone: watch::Receiver<bool>,
}

impl Process {
    /// Its number, which is its group's number too.
    pub fn pid(&self) -> i32 {
        self.pid.as_raw_nonzero().get()
    }

    /// Sends a signal to the whole group; nothing if it is gone.
    pub fn signal(&self, signal: Signal) {
        if self.reaped.get() {
            return;
        }
        signal_group(self.pid, signal);
        if signal == Signal::TERM || signal == Signal::INT || signal == Signal::QUIT {
            // A stopped process takes nothing else in until it is continued.
            signal_group(self.pid, Signal::CONT);
        }
    }

    /// Sends a signal to the leader alone.
    pub fn signal_leader(&self, signal: Signal) {
        if !self.reaped.get() {
            let pid = nix::unistd::Pid::from_raw(self.pid());
            // SAFETY: kill(2) has no memory effects; the pid is pinned since we have not reaped it.
            unsafe { libc::kill(pid.as_raw(), signal.number()) };
        }
    }

    /// Resolves once the process is reaped.
    pub fn gone(&self) -> Gone {
        Gone(self.gone.clone())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if !self.reaped.get() {
            signal_group(self.pid, Signal::KILL);
        }
    }
}

/// The end of a process, for those who have to wait for it and do not own it.
#[derive(Clone, Debug)]
pub struct Gone(watch::Receiver<bool>);

impl Gone {
    /// Whether it is reaped.
    pub fn is_gone(&self) -> bool {
        *self.0.borrow()
    }

    /// Waits until it is reaped.
    pub async fn wait(mut self) {
        // A keeper that was dropped with the runtime has nobody left to wait for.
        let _ = self.0.wait_for(|gone| *gone).await;
    }
}

/// Hands a child to a task of this thread that reports on it, and reaps it at the end.
pub(super) fn keep(
    pid: Pid,
    pidfd: OwnedFd,
    stage_report: Option<OwnedFd>,
    program: String,
    report: impl Fn(Report) + 'static,
) -> io::Result<Process> {
    let reaped = Rc::new(Cell::new(false));
    let (done, gone) = watch::channel(false);
    let pidfd = watch_descriptor(pidfd, Interest::READABLE)?;
    let stage_report = stage_report
        .map(|pipe| -> io::Result<_> {
            rustix::io::ioctl_fionbio(&pipe, true)?;
            watch_descriptor(pipe, Interest::READABLE)
        })
        .transpose()?;
    let mark = reaped.clone();
    actix_rt::spawn(async move {
        let failure = match stage_report {
            Some(pipe) => read_stage(&pipe, &program).await,
            None => None,
        };
        if failure.is_none() {
            report(Report::Running);
        }
        let status = ended(&pidfd).await;
        // The leader is not reaped yet, so the group's number is still its own.
        signal_group(pid, Signal::KILL);
        reap(&pidfd);
        mark.set(true);
        done.send_replace(true);
        report(match failure {
            Some(failure) => Report::Failed(failure),
            None => Report::Exited(status),
        });
    });
    Ok(Process { pid, reaped, gone })
}

/// Ends a child that nobody can keep.
pub(super) fn discard(pid: Pid) {
    signal_group(pid, Signal::KILL);
    let _ = waitid(WaitId::Pid(pid), WaitIdOptions::EXITED);
}

fn signal_group(pid: Pid, signal: Signal) {
    let signal = RawSignal::from_named_raw(signal.number()).unwrap_or_else(|| {
        // SAFETY: `Signal` holds numbers from 1 to 64 only, which Linux all knows.
        unsafe { RawSignal::from_raw_unchecked(signal.number()) }
    });
    // ESRCH: every member is a zombie or gone. EPERM: all that is left has another user by now.
    let _ = kill_process_group(pid, signal);
}

/// The failure that the stage reported, if it did; the end of the pipe is its success.
async fn read_stage(pipe: &AsyncFd<OwnedFd>, program: &str) -> Option<SpawnError> {
    let mut report = Vec::with_capacity(REPORT_LEN);
    let mut buffer = [0; REPORT_LEN];
    loop {
        let read =
            pipe.async_io(Interest::READABLE, |fd| Ok(rustix::io::read(fd, &mut buffer)?)).await;
        match read {
            Ok(0) | Err(_) => break,
            Ok(read) => report.extend_from_slice(&buffer[..read]),
        }
    }
    let step = Step::from_number(*report.first()?)?;
    let errno = i32::from_le_bytes(report.get(1..REPORT_LEN)?.try_into().ok()?);
    Some(SpawnError::system(program, step, &io::Error::from_raw_os_error(errno)))
}

/// Waits for the end of the process and leaves it unreaped.
async fn ended(pidfd: &AsyncFd<OwnedFd>) -> ExitStatus {
    let status = pidfd
        .async_io(Interest::READABLE, |fd| {
            let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
            match waitid(WaitId::PidFd(fd.as_fd()), options)? {
                Some(status) => Ok(status),
                None => Err(io::ErrorKind::WouldBlock.into()),
            }
        })
        .await;
    match status {
        Ok(status) => exit_status(&status),
        // Nobody else may wait for our children; if one did all the same, the status is lost.
        Err(_) => ExitStatus::Signal(Signal::KILL),
    }
}

fn reap(pidfd: &AsyncFd<OwnedFd>) {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
    let _ = waitid(WaitId::PidFd(pidfd.get_ref().as_fd()), options);
}

fn exit_status(status: &WaitIdStatus) -> ExitStatus {
    match (status.exit_status(), status.terminating_signal().and_then(Signal::from_number)) {
        (Some(code), _) => ExitStatus::Code(code),
        (None, Some(signal)) => ExitStatus::Signal(signal),
        (None, None) => ExitStatus::Signal(Signal::KILL),
    }
}
