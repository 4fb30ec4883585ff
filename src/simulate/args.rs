//! What `coproc simulate` is told, on the command line and in the file of expectations: the texts, and
//! what they mean for a config.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use coproc_coprocess::config::Coprocess;
use coproc_core::duration::GoDuration;
use coproc_core::exit::ExitStatus;
use coproc_core::name::{MAIN, Name};
use coproc_core::signal::Signal;
use coproc_main::config::Kind;
use serde::Deserialize;

use crate::cli::{ConfigArgs, StatusFormat};
use crate::config::{Config, nearest};
use crate::wrapper::{Delay, Happening, Length, Scenario};

/// How long a simulation goes on where nobody says.
const LIMIT: Duration = Duration::from_secs(60);

/// `coproc simulate`.
#[derive(Clone, Debug, Args)]
pub struct Simulate {
    /// The config.
    #[command(flatten)]
    pub config: ConfigArgs,

    /// What happens.
    #[command(flatten)]
    pub faults: Faults,

    /// Compare what comes of it with this file: one expectation for each `[[expect]]`.
    #[arg(long, value_name = "FILE")]
    pub expect: Option<PathBuf>,

    /// The form.
    #[arg(long, value_enum, default_value_t = StatusFormat::Text)]
    pub format: StatusFormat,

    /// The main program and its arguments, which are not looked at.
    #[arg(last = true, value_name = "MAIN")]
    pub main: Vec<String>,
}

/// What is to happen. `@TIME` is a time since the beginning, `=TIME` a time within each run.
#[derive(Clone, Debug, Default, Args, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Faults {
    /// The program ends then, with status 1, this one, or by this signal.
    #[arg(long, value_name = "NAME@TIME[:CODE|:SIGNAL]", help_heading = "What happens")]
    pub fail: Vec<String>,

    /// The program ends then with status 0.
    #[arg(long, value_name = "NAME@TIME", help_heading = "What happens")]
    pub exit: Vec<String>,

    /// Its `live` probe hears nothing from then on, until its next run.
    #[arg(long, value_name = "NAME@TIME", help_heading = "What happens")]
    pub unhealthy: Vec<String>,

    /// Somebody tells the wrapper to stop: TERM.
    #[arg(long, value_name = "TIME", help_heading = "What happens")]
    pub stop: Vec<String>,

    /// The wrapper is sent a signal.
    #[arg(long, value_name = "SIGNAL@TIME", help_heading = "What happens")]
    pub signal: Vec<String>,

    /// Somebody asks for a reload.
    #[arg(long, value_name = "TIME", help_heading = "What happens")]
    pub reload: Vec<String>,

    /// Somebody publishes custom.NAME.
    #[arg(long, value_name = "NAME@TIME", help_heading = "What happens")]
    pub emit: Vec<String>,

    /// Each of its runs ends by itself after this time, with status 0, this one, or by this signal;
    /// `forever`: it does not.
    #[arg(long, value_name = "NAME=TIME[:CODE|:SIGNAL]", help_heading = "How programs behave")]
    pub runs: Vec<String>,

    /// It is ready so long after each launch.
    #[arg(long, value_name = "NAME=TIME", help_heading = "How programs behave")]
    pub ready: Vec<String>,

    /// It never becomes ready.
    #[arg(long, value_name = "NAME", help_heading = "How programs behave")]
    pub never_ready: Vec<String>,

    /// It takes so long to end once it is told to, and ends with this status or by this signal.
    #[arg(long, value_name = "NAME=TIME[:CODE|:SIGNAL]", help_heading = "How programs behave")]
    pub stops: Vec<String>,

    /// It heeds no signal but KILL.
    #[arg(long, value_name = "NAME", help_heading = "How programs behave")]
    pub hang: Vec<String>,

    /// It cannot be started: 127.
    #[arg(long, value_name = "NAME", help_heading = "How programs behave")]
    pub missing: Vec<String>,

    /// How long it goes on unless the wrapper leaves before; 1m without it.
    #[arg(long = "for", value_name = "TIME")]
    #[serde(rename = "for")]
    pub limit: Option<String>,

    /// Where the numbers for jitter begin; one seed has always the same.
    #[arg(long, value_name = "NUMBER")]
    pub seed: Option<u64>,
}

impl Faults {
    /// These, and those of another; what both say once only the other says.
    pub(super) fn and(mut self, other: &Self) -> Self {
        let Self { fail, exit, unhealthy, stop, signal, reload, emit, runs, .. } = other;
        let Self { ready, never_ready, stops, hang, missing, limit, seed, .. } = other;
        for (ours, theirs) in [
            (&mut self.fail, fail),
            (&mut self.exit, exit),
            (&mut self.unhealthy, unhealthy),
            (&mut self.stop, stop),
            (&mut self.signal, signal),
            (&mut self.reload, reload),
            (&mut self.emit, emit),
            (&mut self.runs, runs),
            (&mut self.ready, ready),
            (&mut self.never_ready, never_ready),
            (&mut self.stops, stops),
            (&mut self.hang, hang),
            (&mut self.missing, missing),
        ] {
            ours.extend_from_slice(theirs);
        }
        self.limit = limit.clone().or(self.limit);
        self.seed = seed.or(self.seed);
        self
    }

    /// What they mean for this config. The error is a sentence.
    pub(super) fn scenario(&self, config: &Config) -> Result<Scenario, String> {
        let limit = self.limit.as_ref().map(|text| {
            time(text).ok_or_else(|| refused("for", text, "expected a time such as `2h`"))
        });
        let mut scenario = Scenario {
            limit: limit.transpose()?.unwrap_or(LIMIT),
            seed: self.seed.unwrap_or(0),
            ..Scenario::default()
        };
        let cast = Cast(config);
        self.happenings(&cast, &mut scenario)?;
        self.habits(&cast, &mut scenario)?;
        scenario.happenings.sort_by_key(|(at, _)| *at);
        Ok(scenario)
    }

    fn happenings(&self, cast: &Cast<'_>, scenario: &mut Scenario) -> Result<(), String> {
        let mut add = |at, happening| scenario.happenings.push((at, happening));
        for text in &self.fail {
            let (names, rest) = cast.split(text, '@', "fail")?;
            let (at, status) = ending(rest, "fail", text)?;
            let status = status.unwrap_or(ExitStatus::Code(1));
            names.into_iter().for_each(|name| add(at, Happening::Ends(name, status)));
        }
        for text in &self.exit {
            let (names, rest) = cast.split(text, '@', "exit")?;
            let at = moment(rest, "exit", text)?;
            names.into_iter().for_each(|name| add(at, Happening::Ends(name, ExitStatus::Code(0))));
        }
        for text in &self.unhealthy {
            let (names, rest) = cast.split(text, '@', "unhealthy")?;
            if let Some(name) = names.iter().find(|name| !cast.has_live_probe(name)) {
                return Err(refused("unhealthy", text, &format!("`{name}` has no `live` probe")));
            }
            let at = moment(rest, "unhealthy", text)?;
            names.into_iter().for_each(|name| add(at, Happening::Sickens(name)));
        }
        for text in &self.stop {
            add(moment(text, "stop", text)?, Happening::Signal(Signal::TERM));
        }
        for text in &self.signal {
            let (name, rest) = halves(text, '@', "signal")?;
            let signal = name
                .parse()
                .map_err(|_| refused("signal", text, &format!("`{name}` is not a signal")))?;
            if [Signal::KILL, Signal::STOP].contains(&signal) {
                let why =
                    format!("no process hears of {signal}; the wrapper has nothing to decide then");
                return Err(refused("signal", text, &why));
            }
            add(moment(rest, "signal", text)?, Happening::Signal(signal));
        }
        for text in &self.reload {
            add(moment(text, "reload", text)?, Happening::Reload);
        }
        for text in &self.emit {
            let (name, rest) = halves(text, '@', "emit")?;
            let name = name.strip_prefix("custom.").unwrap_or(name);
            if name != MAIN && name.parse::<Name>().is_err() {
                return Err(refused("emit", text, &format!("`{name}` is not a name")));
            }
            add(moment(rest, "emit", text)?, Happening::Emit(name.to_owned()));
        }
        Ok(())
    }

    fn habits(&self, cast: &Cast<'_>, scenario: &mut Scenario) -> Result<(), String> {
        for text in &self.runs {
            let (names, rest) = cast.split(text, '=', "runs")?;
            let length = match rest {
                "forever" => Length::Forever,
                _ => {
                    let (time, status) = ending(rest, "runs", text)?;
                    Length::Time(time, status.unwrap_or(ExitStatus::Code(0)))
                }
            };
            names.into_iter().for_each(|name| scenario.of(name).runs = Some(length));
        }
        for text in &self.ready {
            let (names, rest) = cast.split(text, '=', "ready")?;
            let delay = Delay::After(moment(rest, "ready", text)?);
            names.into_iter().for_each(|name| scenario.of(name).ready = Some(delay));
        }
        for text in &self.never_ready {
            let names = cast.known(text, "never-ready", text)?;
            if let Some(name) = names.iter().find(|name| !cast.has_ready_probe(name)) {
                let why = format!("`{name}` has no `ready` probe: it is ready when it runs");
                return Err(refused("never-ready", text, &why));
            }
            names.into_iter().for_each(|name| scenario.of(name).ready = Some(Delay::Never));
        }
        for text in &self.stops {
            let (names, rest) = cast.split(text, '=', "stops")?;
            let end = ending(rest, "stops", text)?;
            names.into_iter().for_each(|name| scenario.of(name).stops = Some(end));
        }
        for text in &self.hang {
            let names = cast.known(text, "hang", text)?;
            names.into_iter().for_each(|name| scenario.of(name).hangs = true);
        }
        for text in &self.missing {
            let names = cast.known(text, "missing", text)?;
            names.into_iter().for_each(|name| scenario.of(name).missing = true);
        }
        Ok(())
    }
}

/// Who there is in a config.
struct Cast<'a>(&'a Config);

impl Cast<'_> {
    /// `main`, the coprocesses, `stop-NAME` of those that have a stop command, and `check`; each with the
    /// name that it shares with other replicas.
    fn names(&self) -> Vec<(String, Option<String>)> {
        let mut names = Vec::new();
        if self.0.main.kind != Kind::None {
            names.push((MAIN.to_owned(), None));
        }
        let shared = |one: &Coprocess| one.replica.as_ref().map(|replica| replica.of.to_string());
        let all = self.0.coprocesses.iter();
        names.extend(all.map(|one| (one.name.to_string(), shared(one))));
        let stops = self.0.coprocesses.iter().filter(|one| one.stop_exec.is_some());
        names.extend(stops.map(|one| {
            (format!("stop-{}", one.name), shared(one).map(|name| format!("stop-{name}")))
        }));
        if self.0.main.check().is_some() {
            names.push(("check".to_owned(), None));
        }
        names
    }

    /// Whom the name at the beginning of a text stands for, and what follows the sign.
    fn split<'t>(
        &self,
        text: &'t str,
        sign: char,
        flag: &str,
    ) -> Result<(Vec<String>, &'t str), String> {
        let (name, rest) = halves(text, sign, flag)?;
        Ok((self.known(name, flag, text)?, rest))
    }

    /// Whom a name stands for: one, or all replicas.
    fn known(&self, name: &str, flag: &str, text: &str) -> Result<Vec<String>, String> {
        let names = self.names();
        let is_meant = |(own, shared): &&(String, Option<String>)| {
            own == name || shared.as_deref() == Some(name)
        };
        let meant: Vec<_> = names.iter().filter(is_meant).map(|(own, _)| own.clone()).collect();
        if !meant.is_empty() {
            return Ok(meant);
        }
        let hint = match nearest(name, names.iter().map(|(own, _)| own.as_str())) {
            Some(near) => format!("did you mean `{near}`?"),
            None => {
                let all: Vec<_> = names.iter().map(|(own, _)| format!("`{own}`")).collect();
                format!("there are {}", all.join(", "))
            }
        };
        Err(refused(flag, text, &format!("there is no program `{name}`; {hint}")))
    }

    fn has_live_probe(&self, name: &str) -> bool {
        let mut all = self.0.coprocesses.iter();
        match all.find(|one| one.name.as_str() == name) {
            Some(one) => one.live.is_some(),
            None => name == MAIN && self.0.main.live.is_some(),
        }
    }

    fn has_ready_probe(&self, name: &str) -> bool {
        let mut all = self.0.coprocesses.iter();
        match all.find(|one| one.name.as_str() == name) {
            Some(one) => one.ready.is_some(),
            // nginx is ready when it says that its workers run.
            None => {
                let main = &self.0.main;
                name == MAIN && (main.ready.is_some() || main.kind == Kind::Nginx)
            }
        }
    }
}

fn refused(flag: &str, text: &str, why: &str) -> String {
    let flag = flag.replace('_', "-");
    format!("--{flag} {text}: {why}")
}

fn halves<'t>(text: &'t str, sign: char, flag: &str) -> Result<(&'t str, &'t str), String> {
    // Names may have the sign in them, times cannot.
    text.rsplit_once(sign).ok_or_else(|| refused(flag, text, &format!("expected `NAME{sign}TIME`")))
}

pub(super) fn time(text: &str) -> Option<Duration> {
    text.parse::<GoDuration>().ok().filter(|time| time.nanoseconds() >= 0).map(GoDuration::pause)
}

fn moment(rest: &str, flag: &str, text: &str) -> Result<Duration, String> {
    time(rest)
        .ok_or_else(|| refused(flag, text, &format!("`{rest}` is not a time such as `1m30s`")))
}

/// `TIME`, `TIME:CODE` or `TIME:SIGNAL`.
fn ending(rest: &str, flag: &str, text: &str) -> Result<(Duration, Option<ExitStatus>), String> {
    let (at, end) = match rest.split_once(':') {
        Some((at, end)) => (at, Some(end)),
        None => (rest, None),
    };
    let status = end.map(|end| match (end.parse::<u8>(), end.parse::<Signal>()) {
        (Ok(code), _) => Ok(ExitStatus::Code(code.into())),
        (_, Ok(signal)) => Ok(ExitStatus::Signal(signal)),
        _ => {
            let why = format!("`{end}` is neither a status from 0 to 255 nor a signal");
            Err(refused(flag, text, &why))
        }
    });
    Ok((moment(at, flag, text)?, status.transpose()?))
}
