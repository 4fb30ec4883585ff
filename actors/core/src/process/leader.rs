//! The leader of a process group: a child that is waited for by pidfd, and not reaped before its
//! group may go.

use std::cell::{Cell, OnceCell};
use std::io;
use std::os::fd::OwnedFd;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{
    Pid, PidfdFlags, Signal as RawSignal, WaitId, WaitIdOptions, WaitIdStatus, kill_process_group,
    pidfd_open, waitid,
};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::descriptor::watch;
use crate::exit::ExitStatus;
use crate::signal::Signal;

/// Nobody else may wait for our children; if one did all the same, this stands for the status.
const LOST: ExitStatus = ExitStatus::Signal(Signal::KILL);
/// How long one who drops a leader waits for what was killed to be dead.
const DEATH: Duration = Duration::from_secs(1);

/// A child that leads a group of its own and is not reaped, so that its number, which is the
/// group's too, can be nobody else's. Dropping it kills the group and reaps the leader.
#[derive(Debug)]
pub struct Leader {
    pid: Pid,
    /// Opened by the first who waits for an end that is yet to come.
    pidfd: OnceCell<AsyncFd<OwnedFd>>,
    reaped: Cell<bool>,
}

/// A leader that has ended and was not reaped: it keeps nothing but the number of its group.
/// Dropping it kills what is left of the group and reaps the leader.
#[derive(Debug)]
pub struct Remains {
    pid: Pid,
    sweep: bool,
}

impl Leader {
    /// Takes over a child that was just started in a group of its own.
    pub(super) fn adopt(pid: Pid) -> Self {
        Self { pid, pidfd: OnceCell::new(), reaped: Cell::new(false) }
    }

    /// Makes sure that its end can be waited for, so that nothing can fail at it later.
    ///
    /// # Errors
    /// When there are no descriptors left.
    pub(super) fn watch(&self) -> io::Result<()> {
        if self.pidfd.get().is_none() {
            // The child is ours and not reaped, so the number is its own.
            let pidfd = pidfd_open(self.pid, PidfdFlags::empty())?;
            let _ = self.pidfd.set(watch(pidfd, Interest::READABLE)?);
        }
        Ok(())
    }

    /// Its number, which is its group's number too.
    pub fn pid(&self) -> i32 {
        self.pid.as_raw_nonzero().get()
    }

    /// Sends a signal to the whole group; nothing once the leader is reaped.
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
    pub fn signal_alone(&self, signal: Signal) {
        if !self.reaped.get() {
            // SAFETY: kill(2) has no memory effects; the pid is pinned since we have not reaped it.
            unsafe { libc::kill(self.pid(), signal.number()) };
        }
    }

    /// Waits for the end of the leader and leaves it unreaped.
    pub async fn ended(&self) -> ExitStatus {
        std::future::poll_fn(|cx| self.poll_ended(cx)).await
    }

    /// As [`Leader::ended`], for those who wait for more than one thing. Where there are no
    /// descriptors left to wait with, it is killed.
    pub fn poll_ended(&self, cx: &mut Context<'_>) -> Poll<ExitStatus> {
        loop {
            let guard = match self.pidfd.get() {
                Some(pidfd) => match ready!(pidfd.poll_read_ready(cx)) {
                    Ok(guard) => Some(guard),
                    Err(_) => return Poll::Ready(LOST),
                },
                None => None,
            };
            if let Some(status) = self.look() {
                return Poll::Ready(status);
            }
            match guard {
                Some(mut guard) => guard.clear_ready(),
                None if self.watch().is_ok() => {}
                None => {
                    signal_group(self.pid, Signal::KILL);
                    let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
                    let status = waitid(WaitId::Pid(self.pid), options).ok().flatten();
                    return Poll::Ready(status.map_or(LOST, |status| exit_status(&status)));
                }
            }
        }
    }

    /// How it has ended, if it has; it is left unreaped.
    pub fn look(&self) -> Option<ExitStatus> {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        match waitid(WaitId::Pid(self.pid), options) {
            Ok(status) => status.map(|status| exit_status(&status)),
            Err(_) => Some(LOST),
        }
    }

    /// Kills what is left of the group and reaps the leader, which has ended.
    pub(super) fn sweep(&self) {
        if !self.reaped.replace(true) {
            signal_group(self.pid, Signal::KILL);
            reap(self.pid);
        }
    }

    /// Whether it was reaped.
    pub(super) fn is_reaped(&self) -> bool {
        self.reaped.get()
    }

    /// What is left of a leader that has ended. `sweep` says whether its group is to go with it.
    pub fn into_remains(mut self, sweep: bool) -> Remains {
        self.reaped.set(true);
        self.pidfd = OnceCell::new();
        Remains { pid: self.pid, sweep }
    }
}

impl Drop for Leader {
    fn drop(&mut self) {
        if self.reaped.replace(true) {
            return;
        }
        signal_group(self.pid, Signal::KILL);
        if self.watch().is_err() {
            let _ = waitid(WaitId::Pid(self.pid), WaitIdOptions::EXITED);
        } else if let Some(pidfd) = self.pidfd.get() {
            let limit = Timespec::try_from(DEATH).unwrap_or_default();
            // One that is not dead by then hangs in the kernel, and is left to the init.
            let _ = poll(&mut [PollFd::new(pidfd, PollFlags::IN)], Some(&limit));
        }
        reap(self.pid);
    }
}

impl Drop for Remains {
    fn drop(&mut self) {
        if self.sweep {
            // The leader is not reaped yet, so the group's number is still its own.
            signal_group(self.pid, Signal::KILL);
        }
        reap(self.pid);
    }
}

fn signal_group(pid: Pid, signal: Signal) {
    let signal = RawSignal::from_named_raw(signal.number()).unwrap_or_else(|| {
        // SAFETY: `Signal` holds numbers from 1 to 64 only, which Linux all knows.
        unsafe { RawSignal::from_raw_unchecked(signal.number()) }
    });
    // ESRCH: every member is a zombie or gone. EPERM: all that is left has another user by now.
    let _ = kill_process_group(pid, signal);
}

fn reap(pid: Pid) {
    let _ = waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOHANG);
}

fn exit_status(status: &WaitIdStatus) -> ExitStatus {
    match (status.exit_status(), status.terminating_signal().and_then(Signal::from_number)) {
        (Some(code), _) => ExitStatus::Code(code),
        (None, Some(signal)) => ExitStatus::Signal(signal),
        (None, None) => ExitStatus::Signal(Signal::KILL),
    }
}
