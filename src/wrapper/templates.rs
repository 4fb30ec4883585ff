//! The templates' own thread: it renders while the actors go on.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use coproc_core::scope::Scope;
use coproc_main::surroundings::Preparation;
use coproc_main::time::now_in_go;
use coproc_template::Renderer;
use serde_json::{Map, Value};
use tokio::sync::oneshot;

/// How long the clean-up may take before the wrapper leaves without it.
const CLEAN_UP: Duration = Duration::from_secs(5);

/// What the thread is asked for, one after another.
enum Job {
    Render(oneshot::Sender<Result<(), String>>),
    Settle(bool),
    See(Map<String, Value>),
    CleanUp(mpsc::Sender<Result<(), String>>),
}

/// A handle on the thread.
#[derive(Clone)]
pub(crate) struct Templates {
    jobs: mpsc::Sender<Job>,
}

impl Templates {
    /// Starts the thread. `folder` is the working directory, which is never removed.
    pub(super) fn start(
        mut renderer: Renderer,
        scope: Arc<Scope>,
        folder: PathBuf,
    ) -> std::io::Result<Self> {
        let (jobs, todo) = mpsc::channel();
        std::thread::Builder::new().name("template".to_owned()).spawn(move || {
            for job in todo {
                match job {
                    Job::Render(done) => {
                        let now = now_in_go();
                        scope.reloaded(now.clone());
                        let outcome = renderer.render(&now).map_err(|error| error.to_string());
                        // One who gave up waiting has lost interest.
                        let _ = done.send(outcome);
                    }
                    Job::Settle(taken) => renderer.settle(taken),
                    Job::See(values) => renderer.see(values),
                    Job::CleanUp(done) => {
                        let _ = done.send(renderer.clean_up(&folder));
                        return;
                    }
                }
            }
        })?;
        Ok(Self { jobs })
    }

    /// What templates see from the next rendering on.
    pub(super) fn see(&self, values: Map<String, Value>) {
        let _ = self.jobs.send(Job::See(values));
    }

    /// Removes what is not to stay, once nobody needs it any more; waits for it. The error is a
    /// sentence.
    pub(super) fn clean_up(&self) -> Result<(), String> {
        let (done, cleaned) = mpsc::channel();
        // A thread that died took the memory of its files with it.
        let _ = self.jobs.send(Job::CleanUp(done));
        let late = |_| Err("the rendered files stay: a rendering does not end".to_owned());
        cleaned.recv_timeout(CLEAN_UP).unwrap_or_else(late)
    }
}

impl Preparation for Templates {
    fn begin(&self) -> oneshot::Receiver<Result<(), String>> {
        let (done, rendered) = oneshot::channel();
        // Where there is no thread any more, the answer is that none comes.
        let _ = self.jobs.send(Job::Render(done));
        rendered
    }

    fn settle(&self, taken: bool) {
        let _ = self.jobs.send(Job::Settle(taken));
    }
}
