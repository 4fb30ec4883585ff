//! The keeper of a process: the one who waits for it, and the handle by which it is signalled.

use std::rc::Rc;

use tokio::sync::watch;

use super::SpawnError;
use super::cgroup::Cgroup;
use super::leader::Leader;
use super::report::StageReport;
use crate::exit::ExitStatus;
use crate::signal::Signal;
use crate::world::Imagined;

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
pub struct Process {
    body: Body,
    gone: watch::Receiver<bool>,
}

/// What of a process there is.
enum Body {
    Real(Rc<Leader>),
    Imagined(Rc<dyn Imagined>),
}

impl Process {
    /// One that a world has started.
    pub(super) fn imagined(program: Rc<dyn Imagined>) -> Self {
        let gone = program.gone();
        Self { body: Body::Imagined(program), gone }
    }

    /// Its number, which is its group's number too.
    pub fn pid(&self) -> i32 {
        match &self.body {
            Body::Real(leader) => leader.pid(),
            Body::Imagined(program) => program.pid(),
        }
    }

    /// Sends a signal to the whole group; nothing if it is gone.
    pub fn signal(&self, signal: Signal) {
        match &self.body {
            Body::Real(leader) => leader.signal(signal),
            Body::Imagined(program) => program.signal(signal),
        }
    }

    /// Sends a signal to the leader alone.
    pub fn signal_leader(&self, signal: Signal) {
        match &self.body {
            Body::Real(leader) => leader.signal_alone(signal),
            Body::Imagined(program) => program.signal(signal),
        }
    }

    /// Resolves once the process is reaped.
    pub fn gone(&self) -> Gone {
        Gone(self.gone.clone())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        match &self.body {
            Body::Real(leader) if leader.is_reaped() => {}
            Body::Imagined(_) if *self.gone.borrow() => {}
            _ => self.signal(Signal::KILL),
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
    Process { body: Body::Real(leader), gone }
}
