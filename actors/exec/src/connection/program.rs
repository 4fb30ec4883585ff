//! What the session decides about the program: its start, its signals, its end.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

use coproc_core::process::{SpawnError, Step};
use coproc_core::signal::Signal;
use tokio::time::Instant;

use super::Connection;
use super::output::Output;
use crate::allow::{Allowance, quote};
use crate::config::KillScope;
use crate::figures::{Run, count};
use crate::protocol::{Stream, encode_output, encode_status};
use crate::server::Happened;
use crate::session::{Answer, Effect, Input, Sweep, Timer};
use crate::stdin::Stdin;

/// What came before a protocol error may be answered for this long.
const COURTESY: Duration = Duration::from_millis(100);
/// How long what was killed may hold its output.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long a client may take the last of its answer when its time is over.
const LAST_SEND: Duration = Duration::from_millis(100);
/// The longest part of a client's words in a line of the log, in bytes.
const SHOWN: usize = 256;

/// The exit code that tells of a failure of ours.
const SERVERS_FAULT: i32 = 125;

impl Connection {
    pub(super) fn tell(&mut self, input: Input) {
        let mut effects = Vec::new();
        self.session.step(input, &mut effects);
        if self.session.timed_out()
            && matches!(input, Input::Passed(Timer::Header | Timer::Deadline))
        {
            count(&self.worker.served.figures.timed_out);
        }
        for effect in effects {
            self.perform(effect);
        }
    }

    fn perform(&mut self, effect: Effect) {
        match effect {
            Effect::Start => self.start(),
            Effect::EndStdin => self.stdin.end(),
            Effect::DropStdin => self.stdin.close(),
            Effect::IgnoreInput => self.heeded = false,
            Effect::DiscardOutput => {
                self.discard = true;
                self.queue.clear();
            }
            Effect::Signal(signal) => self.signal(signal),
            Effect::Arm(timer) => self.arm(timer),
            Effect::Disarm(timer) => self.timers.disarm(timer),
            Effect::Release(sweep) => self.release(sweep),
            Effect::Answer(answer) => {
                let mut pairs = Vec::with_capacity(64);
                match (answer, self.failure.take()) {
                    (Answer::Status(status), _) => {
                        encode_status(status, self.worker.served.config.termsig, &mut pairs);
                    }
                    (Answer::Failure, failure) => {
                        let (line, code) = failure.unwrap_or_default();
                        encode_output(Stream::Stderr, &line, &mut pairs);
                        let status = coproc_core::exit::ExitStatus::Code(code);
                        encode_status(status, self.worker.served.config.termsig, &mut pairs);
                    }
                }
                self.queue.push(&pairs);
                self.answered = true;
            }
            Effect::Close => {}
        }
    }

    fn arm(&mut self, timer: Timer) {
        let time = match timer {
            Timer::Courtesy => COURTESY,
            Timer::Kill => {
                self.ending_since = Some(Instant::now());
                self.kill_timeout
            }
            Timer::Patience => PATIENCE,
            Timer::Drain => self.worker.served.config.drain.unwrap_or(Duration::MAX),
            // All is over when what was killed at last had its moment: a client that does not read
            // has no second time as long.
            Timer::Delivery => {
                let whole = self.kill_timeout.saturating_add(PATIENCE);
                let gone = self.ending_since.map_or(Duration::ZERO, |since| since.elapsed());
                whole.saturating_sub(gone).max(LAST_SEND)
            }
            // Armed when the connection was accepted.
            Timer::Header | Timer::Deadline => return,
        };
        self.timers.arm(timer, Instant::now(), time);
    }

    fn signal(&mut self, signal: Signal) {
        let Some(leader) = &self.leader else { return };
        if signal == Signal::KILL {
            count(&self.worker.served.figures.killed);
        }
        match self.worker.served.config.kill_scope {
            KillScope::Group => leader.signal(signal),
            KillScope::Leader => {
                leader.signal_alone(signal);
                leader.signal_alone(Signal::CONT);
            }
        }
    }

    fn start(&mut self) {
        let argv = std::mem::take(&mut self.argv);
        self.arguments = argv.len();
        let served = self.worker.served.clone();
        let argv: Vec<_> = argv.words().collect();
        let name = OsStr::from_bytes(argv.first().map_or(&[], |name| name.to_bytes()));
        let program: Box<str> = shown(&name.to_string_lossy()).into();
        if served.config.log_arguments {
            let mut line = Vec::new();
            for word in &argv {
                quote(OsStr::from_bytes(word.to_bytes()), &mut line);
                line.push(b' ');
            }
            let line = String::from_utf8_lossy(&line);
            tracing::debug!(target: "exec", "{}: {}", served.name(), shown(&line));
        }
        let launched = served.setting.find(name).and_then(|found| {
            let allowed = match &served.allow {
                None => Some((Allowance::default(), found)),
                Some(allow) => allow.ask(&found, &argv),
            };
            let Some((allowance, found)) = allowed else {
                return Err(SpawnError {
                    program: program.to_string(),
                    step: Step::Exec,
                    reason: "it is not allowed here".to_owned(),
                    code: coproc_core::exit::NOT_EXECUTABLE,
                });
            };
            Ok((allowance, served.setting.spawn(&found, &argv)?))
        });
        match launched {
            Ok((allowance, piped)) => {
                self.stdout = Output::new(piped.stdout);
                self.stderr = Output::new(piped.stderr);
                self.stdin = Stdin::new(piped.stdin);
                self.stage = piped.stage;
                let leader = piped.leader;
                if let Some(kill_timeout) = allowance.kill_timeout {
                    self.kill_timeout = kill_timeout;
                }
                match allowance.timeout {
                    Some(Some(timeout)) => {
                        self.timers.arm(Timer::Deadline, self.accepted, timeout);
                    }
                    Some(None) => self.timers.disarm(Timer::Deadline),
                    None => {}
                }
                count(&served.figures.started);
                let (peer, uid) = self.peer;
                let (pid, started) = (leader.pid(), std::time::Instant::now());
                self.happened(|| Happened::Started { pid, program: program.clone(), uid });
                let run = Run { pid, program, uid, peer, started };
                served.figures.begin(run.clone());
                self.run = Some(run);
                self.leader = Some(leader);
                self.tell(Input::Started);
            }
            Err(error) => {
                self.fail(&error);
                self.tell(Input::NotStarted);
            }
        }
    }

    /// Notes why the program could not be started, for the client and for the log.
    pub(super) fn fail(&mut self, error: &SpawnError) {
        let served = &self.worker.served;
        count(&served.figures.exec_failed);
        let reason = shown(&error.reason);
        let program = shown(&error.program);
        tracing::warn!(target: "exec", "{}: `{program}` cannot be started: {reason}", served.name());
        let code = match (error.program.is_empty(), error.code) {
            (true, _) => i32::from(coproc_core::exit::NOT_FOUND),
            (false, coproc_core::exit::FAILURE) => SERVERS_FAULT,
            (false, code) => i32::from(code),
        };
        // A client is told what its shell would say, the log where it was looked for.
        let reason = match (error.step, code) {
            (Step::Lookup, 127) => "no such file or directory".to_owned(),
            (Step::Lookup, _) => "permission denied".to_owned(),
            (Step::Folder, _) => "changing to its folder failed".to_owned(),
            (Step::Limits, _) => "setting its limits failed".to_owned(),
            _ => reason,
        };
        self.failure = Some((format!("{program}: {reason}\n").into_bytes(), code));
    }

    /// Parts with the process.
    fn release(&mut self, sweep: Sweep) {
        self.stdout = Output::Ended;
        self.stderr = Output::Ended;
        self.stdin.close();
        self.end_run();
        let Some(leader) = self.leader.take() else { return };
        let group = self.worker.served.config.kill_scope == KillScope::Group;
        match (self.leader_ended, sweep) {
            (true, Sweep::Soon) if group => self.worker.care_for(leader.into_remains(true)),
            (true, _) => drop(leader.into_remains(group)),
            // It hangs in the kernel; its group is gone.
            (false, _) => drop(tokio::task::spawn_local(async move {
                leader.ended().await;
                drop(leader.into_remains(group));
            })),
        }
    }

    /// Tells of the end of the run.
    fn end_run(&mut self) {
        let Some(run) = self.run.take() else { return };
        let served = &self.worker.served;
        served.figures.end(run.pid);
        let status = self.session.status();
        let timed_out = self.session.timed_out();
        let shown = status.map_or("no status".to_owned(), |status| status.to_string());
        tracing::debug!(
            target: "exec",
            "{}: uid {}, pid {}: `{}` with {} words: {shown} after {} ms{}",
            served.name(),
            run.uid,
            run.peer,
            run.program,
            self.arguments,
            run.started.elapsed().as_millis(),
            if timed_out { ", its time was over" } else { "" },
        );
        let Run { pid, program, .. } = run;
        self.happened(|| Happened::Exited { pid, program, status, timed_out });
    }

    fn happened(&self, what: impl FnOnce() -> Happened) {
        if let Some(events) = &self.worker.events
            && events.try_send(what()).is_err()
        {
            tracing::warn!(target: "exec", "an event is passed over: too many wait already");
        }
    }
}

impl Drop for Connection {
    /// Whatever ends the connection, its run is over: the process goes with its `Leader`.
    fn drop(&mut self) {
        self.end_run();
    }
}

/// A client's words, short enough for a line of the log and without control characters.
fn shown(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        let shown = coproc_core::scalar::printable(c.encode_utf8(&mut [0; 4]));
        if out.len() + shown.len() > SHOWN {
            out.push('…');
            break;
        }
        out.push_str(&shown);
    }
    out
}
