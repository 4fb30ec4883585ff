//! Lines on their way to others: to syslog, or to a collector that speaks OTLP. Each place has a bounded
//! queue and a thread of its own, so that none holds up the log or another.

mod connect;
mod courier;
mod http;
mod message;
mod otlp;
mod queue;
mod syslog;
pub(super) mod table;

use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use coproc_core::output::{Level, Line};

use super::config::{ForwardConfig, Target};
use courier::{Courier, Transport};
pub use queue::Figures;
use queue::Queue;

/// The name of the threads, as `ps -L` shows it.
const THREAD: &str = "coproc-forward";

/// How long the end of the log waits for what is still to be forwarded.
const LAST: Duration = Duration::from_millis(1500);

/// One place that lines are forwarded to.
#[derive(Debug)]
pub(super) struct Forward {
    queue: Arc<Queue>,
    level: Level,
    thread: JoinHandle<()>,
}

impl Forward {
    /// Starts its thread, which connects when there is something to send.
    pub(super) fn start(config: &ForwardConfig) -> io::Result<Self> {
        let queue = Arc::new(Queue::new(config.name.clone(), config.queue));
        let transport: Box<dyn Transport> = match &config.target {
            Target::Syslog(way) => Box::new(syslog::Syslog::new(way.clone(), config.facility)),
            Target::Otlp(place) => {
                Box::new(otlp::Otlp::new(place.clone(), &config.resource, &config.headers))
            }
        };
        let courier = Courier::new(queue.clone(), transport);
        let thread = thread::Builder::new().name(THREAD.into()).spawn(move || courier.run())?;
        Ok(Self { queue, level: config.level, thread })
    }

    /// Takes a line, or drops it if too many wait.
    pub(super) fn line(&self, line: &Line<'_>) {
        if line.level >= self.level {
            self.queue.push(line.kept(line.logger.into(), 0));
        }
    }

    /// What is to be said of it in the log.
    pub(super) fn news(&self) -> Vec<String> {
        if self.queue.has_news() { self.queue.news(Instant::now(), false) } else { Vec::new() }
    }

    /// How much it has sent and dropped so far.
    pub(super) fn figures(&self) -> Arc<Figures> {
        self.queue.figures.clone()
    }
}

/// Ends all of them side by side, and says what is left to be said.
pub(super) fn finish(forwards: Vec<Forward>) -> Vec<String> {
    let deadline = Instant::now() + LAST;
    for forward in &forwards {
        forward.queue.end(deadline);
    }
    let mut news = Vec::new();
    for forward in forwards {
        // One that hangs in a call of the system is left behind.
        if forward.queue.wait_for_end(deadline + LAST / 10) {
            // A panic has been told of.
            let _ = forward.thread.join();
        }
        news.extend(forward.queue.news(Instant::now(), true));
    }
    news
}
