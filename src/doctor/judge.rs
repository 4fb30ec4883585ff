//! What the facts mean for the wrapper. Pure.

use std::time::{Duration, SystemTime};

use super::facts::{Control, Daemon, Facts, File, Found, Limit, Place, Program, State, User};

/// CAP_SETGID, CAP_SETUID and CAP_SYS_RESOURCE, by the numbers of capabilities(7).
const SETGID: u64 = 1 << 6;
const SETUID: u64 = 1 << 7;
const RESOURCE: u64 = 1 << 24;

/// How long Docker and Kubernetes wait where nobody says.
const DOCKER: u64 = 10;
const KUBERNETES: u64 = 30;

/// Fewer open files than this are few for a server.
const FILES: u64 = 1024;

/// Before 2025 no clock is right.
const LATE: Duration = Duration::from_secs(1_735_689_600);

/// How grave something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Grade {
    Ok,
    /// It works, and there is something to know.
    Note,
    /// It does not work.
    Problem,
}

impl Grade {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Note => "note",
            Self::Problem => "problem",
        }
    }
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) grade: Grade,
    pub(super) about: String,
    pub(super) says: String,
    /// What to do.
    pub(super) advice: Option<String>,
}

fn ok(about: &str, says: impl Into<String>) -> Finding {
    Finding { grade: Grade::Ok, about: about.to_owned(), says: says.into(), advice: None }
}

fn note(about: &str, says: impl Into<String>, advice: impl Into<String>) -> Finding {
    Finding { grade: Grade::Note, advice: Some(advice.into()), ..ok(about, says) }
}

fn problem(about: &str, says: impl Into<String>, advice: impl Into<String>) -> Finding {
    Finding { grade: Grade::Problem, ..note(about, says, advice) }
}

/// All that is to be said, in the order in which it matters at a start.
pub(super) fn judge(facts: &Facts) -> Vec<Finding> {
    let mut all: Vec<_> = facts.programs.iter().map(program).collect();
    all.extend(facts.files.iter().map(file));
    all.extend(facts.nginx.map(daemon));
    all.extend(facts.users.iter().map(|one| user(one, facts.uid)));
    all.push(privileges(facts));
    all.extend(facts.limits.iter().map(limit));
    all.push(pid(facts));
    all.push(grace(facts));
    all.push(ok(
        "stop signal",
        "TERM, INT, QUIT and RTMIN+3 stop the wrapper; STOPSIGNAL may be any of them",
    ));
    all.push(run_path(&facts.run_path));
    all.extend(facts.control.as_ref().map(control));
    all.push(match facts.root_read_only {
        true => ok("root", "the root file system is read-only, and nothing is written there"),
        false => ok("root", "the root file system can be written to; coproc does not need that"),
    });
    all.extend(cgroup(facts));
    all.extend(memory(facts));
    all.push(open_files(facts));
    all.push(match facts.termination_log {
        true => ok("last words", "/dev/termination-log is there and is told what made it leave"),
        false => ok(
            "last words",
            "there is no /dev/termination-log; `run --report FILE` writes what made it leave",
        ),
    });
    all.push(clock(facts.now));
    all
}

fn program(Program { key, name, found }: &Program) -> Finding {
    match found {
        Found::At(path) if path == name => ok(key, format!("`{name}` can be executed")),
        Found::At(path) => ok(key, format!("`{name}` is {path}")),
        Found::Not(why) => problem(key, why, "install it, or correct the path"),
        Found::Depends => note(
            key,
            format!("`{name}` is known only when it is started"),
            "nothing; it was not looked for",
        ),
    }
}

fn daemon(daemon: Daemon) -> Finding {
    match daemon {
        Daemon::Off => ok("nginx", "stays in the foreground: `daemon off;`"),
        Daemon::On => problem(
            "nginx",
            "goes into the background: nothing says `daemon off;`",
            "write `daemon off;` into nginx.conf, or add -g 'daemon off;' to main.exec",
        ),
        Daemon::Unknown => note(
            "nginx",
            "its configuration cannot be read here, or is made at the start",
            "make sure that it says `daemon off;`",
        ),
    }
}

fn file(File { key, path, wrong }: &File) -> Finding {
    match wrong {
        None => ok(key, format!("{path} is there")),
        Some(why) => {
            problem(key, format!("{path}: {why}"), "mount or make it, or correct the path")
        }
    }
}

fn user(User { key, name, wrong }: &User, uid: u32) -> Finding {
    let advice = match uid {
        0 => "create it in the image",
        _ => "create it in the image, or start the wrapper as root",
    };
    match wrong {
        None => ok(key, format!("programs can be run as `{name}`")),
        Some(why) => problem(key, why, advice),
    }
}

fn privileges(facts: &Facts) -> Finding {
    let mut says = format!("uid {}, gid {}", facts.uid, facts.gid);
    match facts.capabilities {
        Some(0) => says.push_str(", no capabilities"),
        Some(some) => says.push_str(&format!(", {} capabilities", some.count_ones())),
        None => {}
    }
    if facts.no_new_privs {
        says.push_str(", no new privileges");
    }
    if facts.seccomp {
        says.push_str(", system calls are filtered");
    }
    let switches = !facts.users.is_empty();
    let lacks = facts.capabilities.is_some_and(|has| has & (SETUID | SETGID) != SETUID | SETGID);
    if switches && facts.uid == 0 && lacks {
        return problem(
            "privileges",
            format!("{says}: users cannot be switched to"),
            "add the capabilities SETUID and SETGID, or remove `user` and `group`",
        );
    }
    if !switches && facts.uid == 0 {
        return note(
            "privileges",
            format!("{says}: everything runs as root"),
            "nothing here needs root; say `user` in each table, or start the wrapper as another user",
        );
    }
    ok("privileges", says)
}

fn limit(Limit { key, wanted, allowed }: &Limit) -> Finding {
    let wanted = wanted.map_or("unlimited".to_owned(), |wanted| wanted.to_string());
    problem(
        key,
        format!("{wanted} is more than the {allowed} that the wrapper may have"),
        format!("start the wrapper with a higher hard limit, or ask for at most {allowed}"),
    )
}

fn pid(facts: &Facts) -> Finding {
    match (facts.pid, facts.subreaper) {
        (1, _) => ok("pid", "PID 1: orphans are reaped, and ended when the wrapper leaves"),
        (pid, true) => ok(
            "pid",
            format!("PID {pid}, not 1: as a subreaper the wrapper has its orphans all the same"),
        ),
        (pid, false) => note(
            "pid",
            format!("PID {pid} and no subreaper: what leaves its process group is left behind"),
            "say `subreaper = true`, or make coproc the container's entry point",
        ),
    }
}

fn grace(facts: &Facts) -> Finding {
    // What was killed has a second to die, and a program needs a moment itself.
    let all = facts.shutdown_timeout + facts.strays.unwrap_or_default() + Duration::from_secs(1);
    let seconds = all.as_secs() + 1;
    let limit = humantime::format_duration(facts.shutdown_timeout);
    let says = format!("shutdown_timeout is {limit}: a stop takes {seconds} s at the longest");
    if seconds <= DOCKER {
        return ok("grace period", says);
    }
    let kubernetes = match seconds > KUBERNETES {
        true => {
            format!(", and terminationGracePeriodSeconds is at least {seconds} (by default 30)")
        }
        false => String::new(),
    };
    note(
        "grace period",
        says,
        format!(
            "see to it that `docker stop` waits as long: -t {seconds} or stop_grace_period (by \
                 default 10 s){kubernetes}"
        ),
    )
}

fn run_path(Place { path, state }: &Place) -> Finding {
    match state {
        State::Writable => ok("run_path", format!("{path} can be written to")),
        State::CanBeMade => ok("run_path", format!("{path} is not there and can be made")),
        State::Refused(why) => problem(
            "run_path",
            format!("{path}: {why}"),
            "name another one, or mount an emptyDir or tmpfs there that this user may write to",
        ),
    }
}

fn control(Control { place, configured, taken }: &Control) -> Finding {
    let Place { path, state } = place;
    match (state, taken) {
        (_, true) => note(
            "control",
            format!("a wrapper answers on {path} already"),
            "give the second one another run_path",
        ),
        (State::Refused(why), _) if *configured => problem(
            "control",
            format!("{path}: {why}"),
            "name another path in control.socket, or `none`",
        ),
        (State::Refused(why), _) => note(
            "control",
            format!("there will be no control socket at {path}: {why}"),
            "name another path in control.socket, or `none` to turn it off",
        ),
        _ => ok("control", format!("the control socket is {path}")),
    }
}

fn cgroup(facts: &Facts) -> Option<Finding> {
    Some(match (facts.cgroup?, facts.cgroup_kill) {
        (2, true) => ok("cgroup", "version 2, and cgroup.kill can be written to"),
        (version, _) => ok(
            "cgroup",
            format!(
                "version {version} and no cgroup.kill: groups of processes are killed one by one"
            ),
        ),
    })
}

fn memory(facts: &Facts) -> Vec<Finding> {
    let mut all = Vec::new();
    let memory = match facts.memory_limit {
        Some(limit) => format!("at most {} MiB", limit / (1024 * 1024)),
        None => "no limit".to_owned(),
    };
    all.push(ok("memory", memory));
    all.push(match facts.pids_limit {
        Some(limit) if limit < 64 => note(
            "processes",
            format!("at most {limit}, threads included"),
            "raise the limit (docker run --pids-limit): nginx has a process for each processor",
        ),
        Some(limit) => ok("processes", format!("at most {limit}, threads included")),
        None => ok("processes", "no limit"),
    });
    all
}

fn open_files(facts: &Facts) -> Finding {
    let shown = |limit: Option<u64>| limit.map_or("no limit".to_owned(), |one| one.to_string());
    let (soft, hard) = facts.open_files;
    let says = format!("{} open files, and {} at most", shown(soft), shown(hard));
    match soft {
        Some(soft) if soft < FILES => note(
            "open files",
            says,
            format!("raise it (docker run --ulimit nofile={FILES}), or limits.nofile in a table"),
        ),
        _ => ok("open files", says),
    }
}

fn clock(now: SystemTime) -> Finding {
    match now.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(since) if since >= LATE => ok("clock", "can be right"),
        _ => problem(
            "clock",
            "it is before 2025 by this clock",
            "set it: certificates are refused, and logs have wrong times; timeouts do not depend on it",
        ),
    }
}

/// What capabilities allow a limit above one's own.
pub(super) fn raises_limits(capabilities: Option<u64>) -> bool {
    capabilities.is_some_and(|has| has & RESOURCE != 0)
}
