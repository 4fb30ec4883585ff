//! A config that changes while its coprocess runs.

use std::rc::Rc;

use actix::{Context, Handler};

use crate::actor::CoprocessActor;
use crate::config::Coprocess;
use crate::lifecycle::Event;
use crate::messages::Reconfigure;
use crate::orders::By;
use crate::standing::Standing;
use crate::succession::Waiting;

/// Who asked for it, as `coproc why` shows it.
const ASKED: By = By::Command("reload --config");

impl Standing {
    /// Takes a new config in place of `old`. What was changed while running stays, unless the config
    /// itself says something else now.
    pub fn reconfigure(&mut self, old: &Coprocess, new: &Coprocess) {
        let (mut policy, was, is) = (new.policy.clone(), &old.policy, &self.policy);
        if was.restarts == policy.restarts {
            policy.restarts = is.restarts;
        }
        if was.time_between_restarts == policy.time_between_restarts {
            policy.time_between_restarts = is.time_between_restarts;
        }
        if was.background == policy.background {
            policy.background = is.background;
        }
        if policy.background {
            self.starts.clear();
        }
        self.policy = policy;
        self.machine.stop_timeout = new.stop_timeout.time;
        self.machine.readiness = new.readiness();
    }
}

impl Handler<Reconfigure> for CoprocessActor {
    type Result = ();

    fn handle(&mut self, message: Reconfigure, ctx: &mut Context<Self>) {
        let Some(Waiting::Reconfigure(message)) = self.put_off(Waiting::Reconfigure(message))
        else {
            return;
        };
        let Reconfigure { config, restart } = message;
        let runs = self.standing.borrow().machine.is_live();
        if restart && runs {
            // The stop command is the old one's, and is begun before its config goes.
            self.note_order(Event::Restart, ASKED);
            self.after_stop_command(Event::Restart, ctx);
        }
        let old = std::mem::replace(&mut self.config, Rc::new(*config));
        self.standing.borrow_mut().reconfigure(&old, &self.config);
        if old.schedule != self.config.schedule {
            let in_force = self.standing.borrow().agenda.begun.is_some();
            self.end_schedule(ctx);
            // One that had none begins with the next event that starts it, or now if that has come.
            if in_force || (old.schedule.is_none() && runs) {
                self.begin_schedule(ctx);
            }
        }
        if restart && !runs {
            self.asked(Event::Restart, ASKED, ctx);
        } else {
            self.happened(Event::PolicyChanged, ctx);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Restarts;
    use crate::table::CoprocessTable;
    use std::time::Duration;

    fn config(rest: &str) -> Coprocess {
        let json = format!(r#"{{"name": "a", "exec": "a", "exec_event": "start", {rest}}}"#);
        serde_json::from_str::<CoprocessTable>(&json).unwrap().resolve("a", &[]).unwrap()
    }

    #[test]
    fn what_was_set_stays_unless_the_file_says_something_else() {
        let old = config(r#""restarts": 4, "time_between_restarts": "1s""#);
        let standing = Standing::new(&old);
        let standing = &mut *standing.borrow_mut();
        standing.policy.restarts = Restarts::Unlimited;
        standing.policy.time_between_restarts = Duration::from_secs(9);
        standing.policy.background = true;
        let new = config(r#""restarts": 4, "time_between_restarts": "2s", "stop_timeout": "1s""#);
        standing.reconfigure(&old, &new);
        assert_eq!(standing.policy.restarts, Restarts::Unlimited, "set, and the same in the file");
        assert_eq!(standing.policy.time_between_restarts, Duration::from_secs(2));
        assert!(standing.policy.background);
        assert_eq!(standing.machine.stop_timeout, Duration::from_secs(1));
        standing.reconfigure(&new, &config(r#""restarts": 2"#));
        assert_eq!(standing.policy.restarts, Restarts::Times(2));
    }
}
