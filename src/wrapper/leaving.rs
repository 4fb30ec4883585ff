//! The last thing that the root does: it gathers what made it leave, how the stop went and what the
//! culprit said last, and ends the loop.

use std::rc::Rc;
use std::time::{Duration, SystemTime};

use coproc_coprocess::lifecycle::RunEnd;
use coproc_core::name::MAIN;
use coproc_core::world::World;
use tokio::time::Instant;

use super::cause::Cause;
use super::oom;
use super::record::{self, Record};
use super::root::Root;
use super::stop::{Leg, Stop};

/// How long the culprit's last lines are waited for.
const LAST_WORDS: Duration = Duration::from_millis(500);

impl Root {
    /// Remembers why the wrapper leaves, unless it does already.
    pub(super) fn leaves_because(&mut self, cause: Cause) {
        self.cause.get_or_insert(cause);
    }

    /// Ends the loop, once it is written down why.
    pub(super) fn leave(&self, status: u8) {
        let stop = self.stop();
        if let Some(stop) = &stop {
            match stop.slowest {
                Some(_) => tracing::info!(target: "pm", "{}", stop.sentence()),
                // A program that is run once is no news when it has ended by itself.
                None => tracing::debug!(target: "pm", "{}", stop.sentence()),
            }
        }
        let world = self.world.clone();
        let Some(place) = self.record.clone() else { return finish(world) };
        let who = self.cause.as_ref().and_then(Cause::who);
        let coprocess = self.coprocesses.iter().find(|one| Some(one.config.name.as_str()) == who);
        let (logger, end) = match coprocess {
            Some(one) => {
                let end = one.standing.borrow().last_exit.map(|(end, _)| end);
                (Some(one.config.name.as_str()), end)
            }
            None if who == Some(MAIN) => {
                let logger = self.config.main.kind.logger();
                (Some(logger), self.main_exit.map(RunEnd::Exited))
            }
            None => (None, None),
        };
        let ended = end.and_then(RunEnd::status);
        let record = Record {
            time: SystemTime::now(),
            cause: self.cause.clone(),
            status,
            end,
            main: self.main_exit,
            out_of_memory: ended
                .map_or(Some(false), |end| oom::is_one(end, self.kills, oom::kills())),
            lines: Vec::new(),
            stop,
        };
        // One that ended well has no last words.
        let lines = logger.filter(|_| status != 0);
        let lines = lines.map(|name| self.output.history(&[name.into()], record::LINES));
        actix_rt::spawn(async move {
            let lines = match lines {
                // A destination that is stuck keeps nobody here.
                Some(lines) => tokio::time::timeout(LAST_WORDS, lines).await,
                None => Ok(Ok(Vec::new())),
            };
            let lines = lines.ok().and_then(Result::ok).unwrap_or_default();
            let lines = lines.iter().map(record::plain).collect();
            *place.borrow_mut() = Some(Record { lines, ..record });
            finish(world);
        });
    }

    /// How the stop went.
    fn stop(&self) -> Option<Stop> {
        let began = self.stopping?;
        let main = self.main_stop.map(|stop| Leg {
            name: self.config.main.kind.logger().to_owned(),
            asked: stop.asked,
            gone: self.main_gone,
        });
        let coprocesses = self.coprocesses.iter().filter_map(|child| {
            let standing = child.standing.borrow();
            let asked = standing.orders.down.as_ref()?.at;
            let gone = standing.ended.filter(|_| !standing.machine.is_live());
            Some(Leg { name: child.config.name.to_string(), asked, gone })
        });
        let legs = main.into_iter().chain(coprocesses).collect();
        Some(Stop::of(began, Instant::now(), self.config.shutdown_timeout, self.killed, legs))
    }
}

/// Ends the loop, or the world that stands in for the system.
fn finish(world: Option<Rc<dyn World>>) {
    match world {
        Some(world) => world.left(),
        None => actix::System::current().stop(),
    }
}
