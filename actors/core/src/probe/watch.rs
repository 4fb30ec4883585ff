//! The tasks that run the probes of one process and report facts; they end with the process.

use std::rc::Rc;

use actix_rt::task::JoinHandle;
use tokio::io::AsyncReadExt;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};

use super::attach::{Attached, Source};
use super::check::Check;
use super::config::{Kind, Probe};
use super::notes::Notes;
use super::notify::{Mailbox, Word};
use super::table::Role;
use super::tally::{Tally, Verdict};

/// What was found out about a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fact {
    /// It serves.
    Ready,
    /// It does not serve, or no longer.
    NotReady,
    /// It shows no life. The last fact of a watch.
    Unhealthy,
}

/// The probes of one process at work. Dropping this ends them.
#[derive(Debug, Default)]
pub struct Watch(Vec<JoinHandle<()>>);

impl Drop for Watch {
    fn drop(&mut self) {
        for task in &self.0 {
            task.abort();
        }
    }
}

/// What the tasks of one process share.
struct Shared {
    leader: i32,
    notes: Notes,
    /// Whether it was ready before: only then it has to be alive.
    was_ready: watch::Sender<bool>,
    /// Counts up with each sign of life that the process gives of itself.
    signs: watch::Sender<u64>,
    report: Box<dyn Fn(Fact)>,
}

/// Sets the probes to work on a process that was launched. `report` is called for every fact, on
/// this thread.
pub fn watch(
    attached: Attached,
    leader: i32,
    notes: Notes,
    report: impl Fn(Fact) + 'static,
) -> Watch {
    notes.clear();
    let Attached { ready, live, mailbox } = attached;
    let shared = Rc::new(Shared {
        leader,
        notes,
        was_ready: watch::Sender::new(ready.is_none()),
        signs: watch::Sender::new(0),
        report: Box::new(report),
    });
    let notes = &shared.notes;
    let mut tasks = Vec::new();
    if let Some((probe, _)) = &ready {
        notes.begin(Role::Ready, probe.kind.to_string(), waiting_for(&ready));
    }
    if let Some(mailbox) = mailbox {
        let says_ready = matches!(ready, Some((_, Source::Mailbox)));
        let says_alive = matches!(live, Some((_, Source::Mailbox)));
        let letters = letters(mailbox, says_ready, says_alive, shared.clone());
        tasks.push(actix_rt::spawn(letters));
    }
    if let Some((probe, source)) = ready {
        tasks.push(actix_rt::spawn(readiness(probe, source, shared.clone())));
    }
    if let Some((probe, source)) = live {
        tasks.push(actix_rt::spawn(liveness(probe, source, shared)));
    }
    Watch(tasks)
}

/// What stands in the notes before the first answer.
fn waiting_for(probe: &Option<(Probe, Source)>) -> &'static str {
    match probe {
        Some((_, Source::Log(_))) => "no such line yet",
        Some((_, Source::Pipe(_))) => "no newline yet",
        Some((_, Source::Mailbox)) => "no READY=1 yet",
        Some((_, Source::Active(_) | Source::Imagined(..))) | None => "not tried yet",
    }
}

impl Shared {
    fn ready(&self) {
        self.was_ready.send_replace(true);
        (self.report)(Fact::Ready);
    }

    fn answered(&self, role: Role, answer: Result<(), String>) {
        self.notes.answered(role, answer);
    }
}

async fn readiness(probe: Probe, source: Source, shared: Rc<Shared>) {
    let source = match source {
        Source::Imagined(world, name) => {
            let mut answers = world.answers(&name, Role::Ready);
            if matches!(probe.kind, Kind::Log(_) | Kind::Fd(_) | Kind::Notify) {
                // It is told, and nobody asks.
                if answers.wait_for(Result::is_ok).await.is_ok() {
                    shared.answered(Role::Ready, Ok(()));
                    shared.ready();
                }
                return;
            }
            Source::Active(Check::Imagined(answers))
        }
        source => source,
    };
    match source {
        Source::Active(check) => {
            try_on(&probe, &check, Role::Ready, &shared, |verdict| {
                match verdict {
                    Verdict::Up => shared.ready(),
                    Verdict::Down => (shared.report)(Fact::NotReady),
                }
                true
            })
            .await;
        }
        Source::Log(mut heard) => match heard.wait_for(|heard| *heard).await {
            Ok(_) => {
                shared.answered(Role::Ready, Ok(()));
                shared.ready();
            }
            Err(_) => shared.answered(Role::Ready, Err("its output was closed".to_owned())),
        },
        Source::Pipe(mut pipe) => {
            let mut buffer = [0; 64];
            loop {
                match pipe.read(&mut buffer).await {
                    Ok(0) | Err(_) => {
                        let wrong = "closed without a newline".to_owned();
                        return shared.answered(Role::Ready, Err(wrong));
                    }
                    Ok(read) if buffer[..read].contains(&b'\n') => {
                        shared.answered(Role::Ready, Ok(()));
                        return shared.ready();
                    }
                    Ok(_) => {}
                }
            }
        }
        // The one who reads the letters tells.
        Source::Mailbox | Source::Imagined(..) => {}
    }
}

async fn liveness(probe: Probe, source: Source, shared: Rc<Shared>) {
    let mut was_ready = shared.was_ready.subscribe();
    // The sender is in `shared`, which this task holds.
    let _ = was_ready.wait_for(|ready| *ready).await;
    let source = match source {
        Source::Imagined(world, name) => {
            Source::Active(Check::Imagined(world.answers(&name, Role::Live)))
        }
        source => source,
    };
    match source {
        Source::Active(check) => {
            shared.notes.begin(Role::Live, probe.kind.to_string(), "not tried yet");
            shared.answered(Role::Live, Ok(()));
            try_on(&probe, &check, Role::Live, &shared, |verdict| match verdict {
                Verdict::Up => true,
                Verdict::Down => {
                    (shared.report)(Fact::Unhealthy);
                    false
                }
            })
            .await;
        }
        Source::Mailbox => watchdog(&probe, &shared).await,
        // Refused where the config is read.
        Source::Log(_) | Source::Pipe(_) | Source::Imagined(..) => {}
    }
}

/// Waits for the sign of life that does not come.
async fn watchdog(probe: &Probe, shared: &Shared) {
    shared.notes.begin(Role::Live, probe.kind.to_string(), "");
    shared.answered(Role::Live, Ok(()));
    let mut signs = shared.signs.subscribe();
    let silence = probe.silence();
    let mut limit = probe.delay.saturating_add(silence);
    while let Ok(Ok(())) = timeout(limit, signs.changed()).await {
        limit = silence;
    }
    let silence = humantime::format_duration(silence);
    shared.answered(Role::Live, Err(format!("no WATCHDOG=1 within {silence}")));
    (shared.report)(Fact::Unhealthy);
}

/// Tries again and again; `each` hears the verdicts and says whether to go on.
async fn try_on(
    probe: &Probe,
    check: &Check,
    role: Role,
    shared: &Shared,
    each: impl Fn(Verdict) -> bool,
) {
    if !probe.delay.is_zero() {
        shared.notes.next_try(role, Instant::now().checked_add(probe.delay));
        sleep(probe.delay).await;
    }
    let mut tally = Tally::new(probe.successes, probe.failures);
    let mut ticks = interval(probe.interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let tick = ticks.tick().await;
        shared.notes.next_try(role, None);
        let answer = check.run(probe.timeout).await;
        let (next, verdict) = tally.take(answer.is_ok());
        tally = next;
        shared.answered(role, answer);
        // One that is overdue comes at once.
        shared
            .notes
            .next_try(role, tick.checked_add(probe.interval).map(|at| at.max(Instant::now())));
        if verdict.is_some_and(|verdict| !each(verdict)) {
            return;
        }
        if matches!(check, Check::Imagined(_)) && tally.is_settled() {
            check.news().await;
            let since = tick.elapsed().as_nanos();
            let tries = since.div_ceil(probe.interval.as_nanos().max(1));
            let pause = probe.interval.saturating_mul(u32::try_from(tries).unwrap_or(u32::MAX));
            ticks.reset_at(tick + pause);
        }
    }
}

/// Reads what the process says about itself.
async fn letters(mailbox: Mailbox, says_ready: bool, says_alive: bool, shared: Rc<Shared>) {
    loop {
        let words = match mailbox.next(shared.leader).await {
            Ok(words) => words,
            Err(error) => {
                tracing::warn!(target: "probe", "NOTIFY_SOCKET of {} cannot be read: {error}", shared.leader);
                return;
            }
        };
        for word in words {
            match word {
                Word::Ready if says_ready => {
                    shared.answered(Role::Ready, Ok(()));
                    shared.ready();
                }
                Word::Stopping if says_ready => {
                    shared.answered(Role::Ready, Err("it said STOPPING=1".to_owned()));
                    (shared.report)(Fact::NotReady);
                }
                Word::Alive => shared.signs.send_modify(|count| *count += 1),
                Word::Dead if says_alive => {
                    shared.answered(Role::Live, Err("it said WATCHDOG=trigger".to_owned()));
                    (shared.report)(Fact::Unhealthy);
                }
                Word::Status(status) => shared.notes.set_status(status),
                Word::Ready | Word::Stopping | Word::Dead => {}
            }
        }
    }
}
