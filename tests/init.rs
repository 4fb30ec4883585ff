//! The init above the runtime: orphans are reaped, statuses are right, and nothing outlives it.

mod support;

use std::time::Duration;

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use support::{
    Place, Wrapper, alive, children, coprocess, descendants, eventually, is_root, puppet, state,
    with_command_line,
};

/// A time to sleep that no other test sleeps.
fn unique(n: u32) -> u32 {
    n * 10_000_000 + std::process::id()
}

fn background(name: &str, exec: &str) -> String {
    coprocess(name, exec, "background = true")
}

fn shell(script: &str) -> String {
    format!("[\"sh\", \"-c\", \"{script}\"]")
}

/// `coproc run` as PID 1 of a namespace of its own; `None` where that is not allowed.
#[allow(clippy::disallowed_methods)]
fn run_as_pid_1(place: &Place) -> Option<Wrapper> {
    let unshare = |place: &Place| {
        let mut command = place.command(&[]);
        let run = command.get_program().to_owned();
        let folder = place.path().to_owned();
        command = std::process::Command::new("unshare");
        command.args(["--pid", "--fork", "--kill-child", "--mount-proc"]).current_dir(folder);
        (command, run)
    };
    let (mut probe, _) = unshare(place);
    if !is_root() || !probe.arg("true").status().is_ok_and(|status| status.success()) {
        support::skipped("no PID namespace may be made here");
        return None;
    }
    let (mut command, run) = unshare(place);
    command.arg(run).arg("run");
    Some(Wrapper::start(command))
}

/// Programs that make orphans of every kind, one of which stays.
fn orphans(place: &Place, mark: u32, top: &str) {
    let exec = format!(
        "(sleep 0.1 &); (sleep 0.2 &); setsid -f sleep 0.3; setsid -f sleep {mark}; \
         echo made; exec sleep 1000"
    );
    place.write(
        "coproc.toml",
        &format!(
            "{top}{}{}{}",
            place.preamble(),
            background("a", &shell(&exec)),
            coprocess("b", &shell("exit 7"), "background = true\nrestarts = 20"),
        ),
    );
}

fn short_sleepers(below: i32) -> Vec<i32> {
    descendants(below)
        .into_iter()
        .filter(|pid| {
            let line = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            line.starts_with("sleep\0") && line["sleep\0".len()..].starts_with("0.")
        })
        .collect()
}

fn reaps_and_leaves_nothing(mut wrapper: Wrapper, mark: u32, init: i32) {
    wrapper.wait_for("a: made");
    wrapper.wait_for(": up");
    let daemon = format!("sleep {mark}");
    eventually("the daemon alone bears its name", || with_command_line(&daemon).len() == 1);
    eventually("the short sleepers end", || short_sleepers(init).is_empty());
    eventually("no zombie is left", || {
        descendants(init).into_iter().all(|pid| state(pid) != Some('Z'))
    });
    wrapper.wait_for_nth("b: ended with exit status 7", 21);
    assert_eq!(wrapper.count("b: ended"), 21, "{}", wrapper.dump());
    let all = descendants(init);
    kill(Pid::from_raw(init), Signal::SIGTERM).unwrap();
    assert_eq!(wrapper.wait(), 0, "{}", wrapper.dump());
    assert!(!all.into_iter().any(alive));
    assert_eq!(with_command_line(&daemon), []);
}

// D22 as well.
#[test]
fn w84_as_pid_1() {
    let (place, mark) = (Place::new(), unique(1));
    orphans(&place, mark, "");
    let Some(wrapper) = run_as_pid_1(&place) else { return };
    wrapper.wait_for(": up");
    let init = children(wrapper.pid())[0];
    reaps_and_leaves_nothing(wrapper, mark, init);
}

#[test]
fn w84_as_subreaper() {
    let (place, mark) = (Place::new(), unique(2));
    orphans(&place, mark, "");
    let wrapper = place.run();
    let init = wrapper.pid();
    reaps_and_leaves_nothing(wrapper, mark, init);
}

#[test]
fn without_a_subreaper_there_is_one_process_and_groups_are_stopped_all_the_same() {
    let place = Place::new();
    let exec = shell("sleep 300 & echo inner $!; wait");
    place.write(
        "coproc.toml",
        &format!(
            "subreaper = false\n{}{}{}",
            place.preamble(),
            background("a", &exec),
            coprocess("b", &shell("exit 7"), "")
        ),
    );
    let mut wrapper = place.run();
    wrapper.wait_for(": up");
    wrapper.wait_for("b: ended with exit status 7");
    let line = wrapper.wait_for("a: inner ");
    let inner: i32 = line.rsplit_once(' ').unwrap().1.trim_end_matches('"').parse().unwrap();
    let below = children(wrapper.pid());
    assert!(below.contains(&wrapper.started("a", 1)), "they are its own children");
    assert_eq!(wrapper.stop(), 0);
    assert!(!below.into_iter().chain([inner]).any(alive));
}

#[test]
fn a_daemon_that_ignores_term_is_killed() {
    let place = Place::new();
    let daemon = format!("{} ignore TERM INT {}", puppet(), unique(3));
    place.write(
        "coproc.toml",
        &format!(
            "stray_timeout = \"300ms\"\n{}{}",
            place.preamble(),
            background("a", &shell(&format!("setsid -f {daemon}; exec sleep 1000")))
        ),
    );
    let mut wrapper = place.run();
    wrapper.wait_for("a: ready");
    wrapper.wait_for(": up");
    eventually("the daemon alone bears its name", || with_command_line(&daemon).len() == 1);
    assert_eq!(wrapper.stop(), 0);
    assert_eq!(with_command_line(&daemon), []);
}

/// Main, a coprocess, a stop command and a daemon, and the pids of what runs.
fn family(place: &Place, mark: u32) -> (Wrapper, Vec<i32>) {
    let exec = shell(&format!("setsid -f sleep {mark}; echo made; exec sleep 1000"));
    place.config(&background("a", &exec));
    let wrapper = place.run();
    wrapper.wait_for("a: made");
    wrapper.wait_for(": up");
    eventually("the daemon alone bears its name", || {
        with_command_line(&format!("sleep {mark}")).len() == 1
    });
    let below = descendants(wrapper.pid());
    assert!(below.len() >= 4, "runtime, main, coprocess, daemon: {below:?}");
    (wrapper, below)
}

#[test]
fn when_the_init_is_killed_the_runtime_stops_everything() {
    let place = Place::new();
    let mark = unique(4);
    let (mut wrapper, below) = family(&place, mark);
    wrapper.signal(Signal::SIGKILL);
    assert_eq!(wrapper.wait(), 137);
    let daemon = with_command_line(&format!("sleep {mark}"));
    eventually("all but the daemon, whom nobody can know, is gone", || {
        below.iter().all(|pid| !alive(*pid) || daemon.contains(pid))
    });
    // It stopped in good order.
    assert!(wrapper.position("event: [exit]") < wrapper.position("a: ended with signal TERM"));
    for pid in daemon {
        kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
    }
}

#[test]
fn when_the_runtime_is_killed_the_init_ends_everything() {
    let place = Place::new();
    let (mut wrapper, below) = family(&place, unique(5));
    let runtime = children(wrapper.pid()).into_iter().find(|pid| {
        std::fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name == "coproc\n")
    });
    kill(Pid::from_raw(runtime.unwrap()), Signal::SIGKILL).unwrap();
    assert_eq!(wrapper.wait(), 1);
    assert!(wrapper.stderr().contains("runtime was ended by"), "{}", wrapper.stderr());
    assert!(!below.into_iter().any(alive));
}

/// What a terminal does: INT to the whole foreground group.
#[test]
fn ctrl_c_counts_once() {
    for subreaper in ["true", "false"] {
        let place = Place::new();
        // Takes its time to end, so that a second INT would come while it stops.
        let exec = shell(
            "trap 'echo got INT' INT; trap 'echo got TERM; sleep 0.3; exit 0' TERM; echo set; \
             while :; do sleep 0.05; done",
        );
        place.write(
            "coproc.toml",
            &format!("subreaper = {subreaper}\n{}{}", place.preamble(), background("a", &exec)),
        );
        let mut wrapper = place.run();
        wrapper.wait_for("a: set");
        wrapper.wait_for(": up");
        killpg(Pid::from_raw(wrapper.pid()), Signal::SIGINT).unwrap();
        assert_eq!(wrapper.wait(), 0, "{}", wrapper.dump());
        assert_eq!(wrapper.count("signal received: interrupt"), 1, "{}", wrapper.dump());
        assert_eq!(wrapper.count("a: got INT"), 0, "{}", wrapper.dump());
        assert_eq!(wrapper.count("a: got TERM"), 1, "{}", wrapper.dump());
    }
}

#[test]
fn the_pid_file_and_the_name_mean_the_outer_process() {
    let place = Place::new();
    // A crashed wrapper left one; that a process of this pid lives means nothing.
    place.write("run/coproc.pid", "1\n");
    let mut wrapper = place.up(&coprocess("a", "\"echo ${wrapper_pid}\"", ""));
    let pid = wrapper.pid().to_string();
    wrapper.wait_for(&format!("msg=\"a: {pid}\""));
    for file in ["run/coproc.pid", "run/nginx-wrapper.pid"] {
        assert_eq!(place.read(file).trim(), pid, "{file}");
    }
    assert_eq!(wrapper.stop(), 0);
    assert!(!place.path().join("run/coproc.pid").exists());
    assert!(!place.path().join("run/nginx-wrapper.pid").exists());
}

#[test]
fn what_outlives_a_second_term_is_killed_too() {
    let place = Place::new();
    let daemon = format!("{} ignore TERM INT {}", puppet(), unique(6));
    let stubborn = format!("[\"{}\", \"ignore\", \"TERM\", \"INT\"]", puppet());
    place.config(
        &[
            background("a", &shell(&format!("setsid -f {daemon}; exec sleep 1000"))),
            background("b", &stubborn),
        ]
        .concat(),
    );
    let mut wrapper = place.run();
    wrapper.wait_for("a: ready");
    wrapper.wait_for("b: ready");
    wrapper.wait_for(": up");
    wrapper.signal(Signal::SIGTERM);
    wrapper.wait_for("b: sending TERM");
    let began = std::time::Instant::now();
    assert_eq!(wrapper.stop(), 1, "{}", wrapper.dump());
    // Not the sum of the bounds: five seconds for b alone.
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
    assert_eq!(with_command_line(&daemon), []);
}
