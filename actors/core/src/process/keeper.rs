//! The keeper of a process: the one who waits for it, and the handle by which it is signalled.

use std::rc::Rc;

use tokio::sync::watch;

use super::SpawnError;
use super::cgroup::Cgroup;
use super::leader::Leader;
use super::report::StageReport;
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
    leader: Rc<Leader>,
    gone: watch::Receiver<bool>,
}

impl Process {
    /// Its number, which is its group's number too.
    pub fn pid(&self) -> i32 {
        self.leader.pid()
    }

    /// Sends a signal to the whole group; nothing if it is gone.
    pub fn signal(&self, signal: Signal) {
        self.leader.signal(signal);
    }

    /// Sends a signal to the leader alone.
    pub fn signal_leader(&self, signal: Signal) {
        self.leader.signal_alone(signal);
    }

    /// Resolves once the process is reaped.
    pub fn gone(&self) -> Gone {
        Gone(self.gone.clone())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if !self.leader.is_reaped() {
            self.leader.signal(Signal::KILL);
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
    leader: Leader,
    stage: Option<StageReport>,
    cgroup: Option<Cgroup>,
    report: impl Fn(Report) + 'static,
) -> Process {
    let (done, gone) = watch::channel(false);
    let leader = Rc::new(leader);
    let kept = leader.clone();
    actix_rt::spawn(async move {
        let failure = match stage {
            Some(stage) => stage.failure().await,
            None => None,
        };
        if failure.is_none() {
            report(Report::Running);
        }
        let status = kept.ended().await;
        if let Some(cgroup) = cgroup {
            cgroup.end().await;
        }
        kept.sweep();
        done.send_replace(true);
        report(match failure {
            Some(failure) => Report::Failed(failure),
            None => Report::Exited(status),
        });
    });
    Process { leader, gone }
}
