//! The loop that drives all actors, or a conversation with a wrapper.

use std::io;
use std::sync::Arc;

use actix::{System, SystemRunner};
use tokio::runtime::{Builder, Runtime};

/// A loop. Its end waits for no thread that hangs in a call of the system, such as one that reads from a
/// named pipe into which nobody writes, or from a server of files that is gone.
pub struct EventLoop {
    // With it its tasks go, which may still have something to do then: it goes first.
    system: SystemRunner,
    threads: Threads,
}

/// What calls that block run on.
struct Threads(Option<Arc<Runtime>>);

impl Drop for Threads {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take().and_then(Arc::into_inner) {
            runtime.shutdown_background();
        }
    }
}

impl EventLoop {
    fn of(builder: &mut Builder) -> Result<Self, String> {
        // actix would make the same one, and panic where it cannot be made.
        let runtime =
            builder.build().map_err(|error| format!("the event loop cannot be made: {error}"))?;
        let runtime = Arc::new(runtime);
        let system = System::with_tokio_rt(|| runtime.clone());
        Ok(Self { system, threads: Threads(Some(runtime)) })
    }

    /// Drives one future to its end, and all tasks meanwhile.
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.system.block_on(future)
    }

    /// Runs until the system is told to stop.
    ///
    /// # Errors
    /// As the system's exit code says.
    pub fn run(self) -> io::Result<()> {
        let Self { system, threads } = self;
        let ran = system.run();
        drop(threads);
        ran
    }
}

/// Makes the loop; an error is a sentence about why there is none, such as too few descriptors.
pub fn start() -> Result<EventLoop, String> {
    EventLoop::of(Builder::new_current_thread().enable_all())
}

/// The same on a clock that stands still while anything can go on, and leaps to the next moment for
/// which somebody waits when nothing can.
pub fn start_on_own_clock() -> Result<EventLoop, String> {
    EventLoop::of(Builder::new_current_thread().enable_all().start_paused(true))
}
