//! What a running wrapper measures, as families of OpenMetrics: facts in, text out. Pure.
//!
//! Each part of the wrapper has a struct of facts and a function that writes its families; a further
//! part is one more of both, and a field of [`Facts`].

mod gateway;

use std::time::{Duration, SystemTime};

pub use self::gateway::{Gateway, GatewayApi, GatewayHook, Times};
use crate::connections::Connections;
use crate::openmetrics::{Kind, Number, Page, Unit};

/// All facts of one moment.
#[derive(Clone, Debug)]
pub struct Facts {
    /// The wrapper itself.
    pub wrapper: Wrapper,
    /// The main process.
    pub main: Main,
    /// The coprocesses, in the order of the file.
    pub coprocesses: Vec<Coprocess>,
    /// The exec sockets, in the order of the file.
    pub exec_sockets: Vec<ExecSocket>,
    /// The coordinator, where there is one.
    pub coordinator: Option<Coordinator>,
    /// The gateway.
    pub gateway: Option<Gateway>,
    /// How many events were published, by class.
    pub events: Vec<(&'static str, u64)>,
    /// How many reloads ended, by result.
    pub reloads: Vec<(&'static str, u64)>,
    /// The log.
    pub log: Log,
    /// Who came to ask, by entrance.
    pub connections: Vec<(&'static str, Connections)>,
}

/// The wrapper.
#[derive(Clone, Debug)]
pub struct Wrapper {
    /// Its release.
    pub version: &'static str,
    /// What it was built from.
    pub commit: &'static str,
    /// When it began.
    pub started: SystemTime,
}

/// The process that runs now, and what it does.
#[derive(Clone, Debug)]
pub struct Run {
    /// The names of all states.
    pub states: &'static [&'static str],
    /// The name of the one that is.
    pub state: &'static str,
    /// Whether there is a process.
    pub up: bool,
    /// Whether it serves.
    pub ready: bool,
    /// When it was launched.
    pub started: Option<SystemTime>,
    /// For how long it has been running.
    pub uptime: Option<Duration>,
    /// Its resident memory, in bytes.
    pub memory: Option<u64>,
}

/// The main process.
#[derive(Clone, Debug)]
pub struct Main {
    /// The process.
    pub run: Run,
    /// The status that it left, as a shell shows it.
    pub exit_status: Option<u8>,
}

/// A coprocess.
#[derive(Clone, Debug)]
pub struct Coprocess {
    /// Its name.
    pub name: String,
    /// Its process.
    pub run: Run,
    /// How often its program was launched.
    pub starts: u64,
    /// How often its policy started it again.
    pub restarts: u64,
    /// How its runs ended, by class.
    pub exits: Vec<(&'static str, u64)>,
}

/// An exec socket.
#[derive(Clone, Debug, Default)]
pub struct ExecSocket {
    /// Its name.
    pub name: String,
    /// Connections that are served now.
    pub connected: u64,
    /// Programs that run now.
    pub running: u64,
    /// Connections that were accepted, and what became of them and their programs, by outcome.
    pub sums: Vec<(&'static str, u64)>,
    /// Bytes that came from clients, and that went to them.
    pub bytes: [u64; 2],
}

/// The coordinator of tasks.
#[derive(Clone, Debug, Default)]
pub struct Coordinator {
    /// Requests whose response is waited for.
    pub waiting: u64,
    /// Responses on their way to a hook.
    pub leaving: u64,
    /// Streams that were offered and not read yet.
    pub open_streams: u64,
    /// Sockets that are registered, by task.
    pub providers: Vec<(String, u64)>,
    /// What became of requests, by outcome.
    pub requests: Vec<(&'static str, u64)>,
    /// The same of responses.
    pub responses: Vec<(&'static str, u64)>,
    /// Streams that were passed on.
    pub streams: u64,
    /// Whether there is a connection through which tasks are shared, where they are.
    pub connected: Option<bool>,
}

/// The log.
#[derive(Clone, Debug, Default)]
pub struct Log {
    /// Lines that children wrote.
    pub lines: u64,
    /// Lines that followers were too slow for.
    pub missed: u64,
    /// Lines of the wrapper itself that the destination was too slow for.
    pub dropped: u64,
    /// Lines of processes that their own rules dropped, where any were.
    pub dropped_of: Vec<(String, u64)>,
    /// Where lines are forwarded to: how many were sent, and how many dropped.
    pub forwarded: Vec<(String, [u64; 2])>,
}

/// Writes the facts.
pub fn render(facts: &Facts) -> String {
    let mut page = Page::default();
    wrapper(&mut page, &facts.wrapper);
    main(&mut page, &facts.main);
    coprocesses(&mut page, &facts.coprocesses);
    exec_sockets(&mut page, &facts.exec_sockets);
    if let Some(facts) = &facts.coordinator {
        coordinator(&mut page, facts);
    }
    if let Some(facts) = &facts.gateway {
        gateway::write(&mut page, facts);
    }
    counts(&mut page, "coproc_events", "Events published, by class.", "event", &facts.events);
    counts(&mut page, "coproc_reloads", "Reloads that ended, by result.", "result", &facts.reloads);
    log(&mut page, &facts.log);
    connections(&mut page, &facts.connections);
    page.finish()
}

fn wrapper(page: &mut Page, facts: &Wrapper) {
    page.family("coproc_build", Kind::Info, None, "What runs here.")
        .sample(&[("version", facts.version), ("commit", facts.commit)], 1u64);
    page.family("coproc_start_time", Kind::Gauge, Some(Unit::Seconds), "When the wrapper began.")
        .sample(&[], facts.started);
}

fn main(page: &mut Page, facts: &Main) {
    runs(page, "coproc_main", "The main process", &[(vec![], &facts.run)]);
    let help = "The status that the main process left, 128 and the number for a signal.";
    page.family("coproc_main_exit_status", Kind::Gauge, None, help)
        .known(&[], facts.exit_status.map(u64::from));
}

fn coprocesses(page: &mut Page, facts: &[Coprocess]) {
    if facts.is_empty() {
        return;
    }
    let labelled: Vec<_> =
        facts.iter().map(|one| (vec![("name", one.name.as_str())], &one.run)).collect();
    runs(page, "coproc_coprocess", "A coprocess", &labelled);

    let help = "How often a coprocess's program was launched, whatever for.";
    let mut starts = page.family("coproc_coprocess_starts", Kind::Counter, None, help);
    for one in facts {
        starts.sample(&[("name", &one.name)], one.starts);
    }
    let help = "How often a coprocess was started again by its policy.";
    let mut restarts = page.family("coproc_coprocess_restarts", Kind::Counter, None, help);
    for one in facts {
        restarts.sample(&[("name", &one.name)], one.restarts);
    }
    let help = "How many runs of a coprocess ended, by the way in which they did.";
    let mut exits = page.family("coproc_coprocess_exits", Kind::Counter, None, help);
    for one in facts {
        for (class, count) in &one.exits {
            exits.sample(&[("name", &one.name), ("class", class)], *count);
        }
    }
}

fn exec_sockets(page: &mut Page, facts: &[ExecSocket]) {
    if facts.is_empty() {
        return;
    }
    type Look = fn(&ExecSocket) -> u64;
    let gauges: [(&str, &str, Look); 2] = [
        ("coproc_exec_connections", "Connections that an exec socket serves.", |one| one.connected),
        ("coproc_exec_running", "Programs that an exec socket runs.", |one| one.running),
    ];
    for (name, help, look) in gauges {
        let mut gauge = page.family(name, Kind::Gauge, None, help);
        for one in facts {
            gauge.sample(&[("name", &one.name)], look(one));
        }
    }
    let help = "What became of connections and programs; `accepted` counts all connections.";
    let mut sums = page.family("coproc_exec_sessions", Kind::Counter, None, help);
    for one in facts {
        for (outcome, count) in &one.sums {
            sums.sample(&[("name", &one.name), ("outcome", outcome)], *count);
        }
    }
    let help = "What passed between an exec socket and its clients.";
    let mut bytes = page.family("coproc_exec_traffic", Kind::Counter, Some(Unit::Bytes), help);
    for one in facts {
        for (direction, sum) in ["in", "out"].into_iter().zip(one.bytes) {
            bytes.sample(&[("name", &one.name), ("direction", direction)], sum);
        }
    }
}

fn coordinator(page: &mut Page, facts: &Coordinator) {
    for (name, help, value) in [
        ("waiting", "Requests whose response is waited for.", facts.waiting),
        ("leaving", "Responses on their way to a hook.", facts.leaving),
        ("open_streams", "Streams that were offered and not read yet.", facts.open_streams),
    ] {
        let name = format!("coproc_coordinator_{name}");
        page.family(&name, Kind::Gauge, None, help).sample(&[], value);
    }
    let help = "Sockets that are registered for a task.";
    let mut providers = page.family("coproc_coordinator_providers", Kind::Gauge, None, help);
    for (task, count) in &facts.providers {
        providers.sample(&[("task", task)], *count);
    }
    if let Some(connected) = facts.connected {
        let help = "Whether there is a connection to a NATS server.";
        page.family("coproc_coordinator_nats_up", Kind::Gauge, None, help).sample(&[], connected);
    }
    let help = "What became of requests for tasks.";
    counts(page, "coproc_coordinator_requests", help, "outcome", &facts.requests);
    let help = "What became of responses.";
    counts(page, "coproc_coordinator_responses", help, "outcome", &facts.responses);
    let help = "Streams that were passed on.";
    page.family("coproc_coordinator_streams", Kind::Counter, None, help).sample(&[], facts.streams);
}

/// The families that every kind of process has. `whose` begins their help.
fn runs(page: &mut Page, prefix: &str, whose: &str, all: &[(Vec<(&str, &str)>, &Run)]) {
    let name = |end: &str| format!("{prefix}_{end}");
    let help = |end: &str| format!("{whose}: {end}");
    let mut states = page.family(&name("state"), Kind::StateSet, None, &help("what it does."));
    for (labels, run) in all {
        states.states(labels, run.states, run.state);
    }
    type Look = fn(&Run) -> Option<Number>;
    let gauges: [(&str, Option<Unit>, &str, Look); 5] = [
        ("up", None, "whether there is a process.", |run| Some(run.up.into())),
        ("ready", None, "whether it serves.", |run| Some(run.ready.into())),
        ("start_time", Some(Unit::Seconds), "when its process was launched.", |run| {
            run.started.map(Number::from)
        }),
        ("uptime", Some(Unit::Seconds), "for how long its process has been running.", |run| {
            run.uptime.map(Number::from)
        }),
        (
            "resident_memory",
            Some(Unit::Bytes),
            "the memory of its process, without its children.",
            |run| run.memory.map(Number::from),
        ),
    ];
    for (end, unit, words, look) in gauges {
        let mut gauge = page.family(&name(end), Kind::Gauge, unit, &help(words));
        for (labels, run) in all {
            gauge.known(labels, look(run));
        }
    }
}

/// A counter with one label.
fn counts(page: &mut Page, name: &str, help: &str, label: &str, counts: &[(&'static str, u64)]) {
    let mut family = page.family(name, Kind::Counter, None, help);
    for (value, count) in counts {
        family.sample(&[(label, value)], *count);
    }
}

fn log(page: &mut Page, facts: &Log) {
    for (name, help, sum) in [
        ("coproc_log_lines", "Lines that the main process and coprocesses wrote.", facts.lines),
        (
            "coproc_log_follower_missed_lines",
            "Lines that followers of the log were too slow for.",
            facts.missed,
        ),
        (
            "coproc_log_dropped_lines",
            "Lines of coproc itself that the destination of the log was too slow for.",
            facts.dropped,
        ),
    ] {
        page.family(name, Kind::Counter, None, help).sample(&[], sum);
    }
    if !facts.dropped_of.is_empty() {
        let help = "Lines of a process that were dropped since they were too many.";
        let mut family = page.family("coproc_log_process_dropped_lines", Kind::Counter, None, help);
        for (name, sum) in &facts.dropped_of {
            family.sample(&[("name", name)], *sum);
        }
    }
    if !facts.forwarded.is_empty() {
        let help = "Lines for a place that the log is forwarded to.";
        let mut family = page.family("coproc_log_forwarded_lines", Kind::Counter, None, help);
        for (name, sums) in &facts.forwarded {
            for (outcome, sum) in ["sent", "dropped"].into_iter().zip(sums) {
                family.sample(&[("name", name), ("outcome", outcome)], *sum);
            }
        }
    }
}

fn connections(page: &mut Page, facts: &[(&'static str, Connections)]) {
    let help = "Clients that are connected.";
    let mut open = page.family("coproc_control_open_connections", Kind::Gauge, None, help);
    for (entrance, connections) in facts {
        open.sample(&[("entrance", entrance)], connections.open);
    }
    let help = "Clients that connected.";
    let mut all = page.family("coproc_control_connections", Kind::Counter, None, help);
    for (entrance, connections) in facts {
        all.sample(&[("entrance", entrance)], connections.all);
    }
}
