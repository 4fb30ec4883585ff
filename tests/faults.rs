//! Faults of the system: each call that the wrapper makes to start, watch and end programs is made to fail,
//! one after another, in the real program. strace returns the error; programs that were executed are let go
//! and are not touched.
//!
//! Whatever fails and whenever: the wrapper ends in time with a code that is documented, says why where it
//! could not do its work, panics nowhere, has never two instances of a coprocess, and leaves no process.
//!
//! `random_faults` draws further ones; `COPROC_FAULTS_SEED` and `COPROC_FAULTS_ROUNDS` say which and how many.
//! An hour of them, the seeds 20261122 to 20261154 with 200 rounds each, broke none of this.

mod support;

use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use support::{Place, Wrapper, coprocess, skipped, with_command_line};

/// A call that fails, and with which error.
struct Fault {
    call: &'static str,
    error: &'static str,
    /// Which one of each thread fails, counted from 1.
    nth: usize,
    /// Only calls with this path.
    path: Option<String>,
}

/// What came of it: whether any call failed at all.
#[derive(PartialEq)]
enum Hit {
    Yes,
    No,
}

/// Codes of `run` that stand in the manual, and those of a stop by TERM.
const DOCUMENTED: [i32; 7] = [0, 1, 2, 126, 127, 137, 143];

/// A config with a coprocess of each kind, whose main process ends by itself.
fn config(place: &Place, mark: &str) -> String {
    format!(
        "run_path = \"{}\"\n[log]\nlevel = \"DEBUG\"\ndestination = \"{}\"\n\
         [main]\nexec = [\"sh\", \"-c\", \"sleep 0.15\"]\n{}{}{}{}",
        place.at("run"),
        place.at("log"),
        coprocess("once", "\"echo once\"", ""),
        coprocess(
            "agent",
            &format!("\"sleep {mark}\""),
            "background = true\nstop_exec = \"echo bye\""
        ),
        coprocess(
            "flaky",
            "[\"sh\", \"-c\", \"sleep 0.02; exit 1\"]",
            "exec_event = \"start\"\nbackground = true\nrestarts = \"unlimited\"\ntime_between_restarts = \"20ms\"",
        ),
        coprocess("daily", "\"true\"", "background = true\nschedule = { cron = \"0 4 * * *\" }"),
    )
}

/// Whether calls can be made to fail here.
#[allow(clippy::disallowed_methods)]
fn can_inject() -> bool {
    static CAN: OnceLock<bool> = OnceLock::new();
    *CAN.get_or_init(|| {
        let mut strace = Command::new("strace");
        strace.args(["-qq", "-e", "inject=getppid:error=EPERM", "true"]);
        let status = strace.stdout(Stdio::null()).stderr(Stdio::null()).status();
        status.is_ok_and(|status| status.success())
    })
}

/// Runs the wrapper with these faults, until its main process has ended.
fn run(faults: &[Fault]) -> Hit {
    let place = Place::new();
    // Seconds that nobody else sleeps.
    static RUNS: AtomicU32 = AtomicU32::new(0);
    let number = RUNS.fetch_add(1, Ordering::Relaxed);
    let mark = format!("{}{number:06}", 4_000_000 + std::process::id());
    place.write("coproc.toml", &config(&place, &mark));
    let injected: Vec<String> = faults
        .iter()
        .map(|fault| format!("inject={}:error={}:when={}", fault.call, fault.error, fault.nth))
        .collect();
    let calls: Vec<_> = faults.iter().map(|fault| fault.call).collect();
    let (trace, calls) = (place.at("trace"), format!("trace={}", calls.join(",")));
    let mut above = vec!["strace", "-f", "-b", "execve", "-qq", "-o", &trace, "-e", &calls];
    for inject in &injected {
        above.extend(["-e", inject]);
    }
    let paths: Vec<_> = faults.iter().filter_map(|fault| fault.path.as_deref()).collect();
    let paths: Vec<_> = paths.into_iter().map(|path| place.at(path)).collect();
    for path in &paths {
        above.extend(["-P", path]);
    }
    let mut wrapper = Wrapper::start(place.command_below(&above, &["run"]));
    let code = wrapper.wait();
    let told = format!("{}\n{}\n{}", injected.join(" "), place.read("log"), wrapper.dump());

    assert!(DOCUMENTED.contains(&code), "left with {code}\n{told}");
    assert!(!told.contains("panic"), "{told}");
    assert!(code == 0 || !wrapper.stderr().is_empty(), "nobody is told why\n{told}");
    let left = with_command_line(&format!("sleep {mark}"));
    assert!(left.is_empty(), "left behind: {left:?}\n{told}");
    let log = place.read("log");
    // Where lines were lost, which the log tells, an end may be among them.
    if !log.contains(" lost: ") {
        ["once", "agent", "flaky"].into_iter().for_each(|name| never_two(&log, name));
    }
    if place.read("trace").contains("INJECTED") { Hit::Yes } else { Hit::No }
}

/// Between two starts of a coprocess there is an end.
fn never_two(log: &str, name: &str) {
    let mut running = false;
    for line in log.lines() {
        if line.contains(&format!("msg=\"{name}: started ")) {
            assert!(!running, "{name} runs twice\n{log}");
            running = true;
        } else if line.contains(&format!("msg=\"{name}: ended ")) {
            running = false;
        }
    }
}

/// Makes the first call fail, then the second, until no thread makes so many.
fn sweep(call: &'static str, error: &'static str, path: Option<&str>) {
    if !can_inject() {
        return skipped("strace is not allowed to trace here");
    }
    let mut hits = 0;
    for nth in 1..=60 {
        let path = path.map(str::to_owned);
        if run(&[Fault { call, error, nth, path }]) == Hit::No {
            break;
        }
        hits += 1;
    }
    assert!(hits > 0, "no {call} was made at all");
}

macro_rules! sweeps {
    ($(fn $name:ident: $call:literal $error:literal $($path:literal)?;)+) => {$(
        #[test]
        fn $name() {
            sweep($call, $error, None$(.or(Some($path)))?);
        }
    )+};
}

sweeps! {
    fn no_descriptor_for_a_pipe: "pipe2" "EMFILE";
    fn no_process_can_be_made: "clone3" "EAGAIN";
    fn no_memory_for_a_process: "clone3" "ENOMEM";
    fn no_descriptor_of_a_process: "pidfd_open" "EMFILE";
    fn no_room_in_the_event_loop: "epoll_ctl" "ENOSPC";
    fn no_event_loop: "epoll_create1" "EMFILE";
    fn nothing_to_wake_it_with: "eventfd2" "ENFILE";
    fn no_descriptor_for_a_socket: "socket" "EMFILE";
    fn no_pair_of_sockets: "socketpair" "EMFILE";
    fn an_address_that_is_taken: "bind" "EADDRINUSE";
    fn nobody_may_listen: "listen" "EACCES";
    fn a_folder_that_is_read_only: "mkdir" "EROFS";
    fn nothing_can_be_renamed: "rename" "EROFS";
    fn nothing_can_be_removed: "unlink" "EROFS";
    fn nobody_may_be_signalled: "kill" "EPERM";
    fn no_group_can_be_made: "setpgid" "EPERM";
    fn no_subreaper: "prctl" "EINVAL";
    fn no_timer_of_the_wall_clock: "timerfd_create" "EMFILE";
    fn a_timer_that_cannot_be_set: "timerfd_settime" "ECANCELED";
    fn waits_that_are_interrupted: "epoll_wait" "EINTR";
    fn a_log_on_a_full_disk: "write" "ENOSPC" "log";
    fn a_log_that_cannot_be_opened: "openat" "EMFILE" "log";
    fn a_config_that_cannot_be_read: "read" "EIO" "coproc.toml";
}

/// A generator that is the same everywhere (xorshift64*).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % bound
    }
}

fn setting(name: &str, or: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(or)
}

/// Two calls of different kinds fail in one run.
#[test]
fn random_faults() {
    const CALLS: [(&str, &str); 13] = [
        ("pipe2", "EMFILE"),
        ("clone3", "EAGAIN"),
        ("pidfd_open", "ENFILE"),
        ("epoll_ctl", "ENOSPC"),
        ("socket", "EMFILE"),
        ("bind", "EADDRINUSE"),
        ("mkdir", "EROFS"),
        ("timerfd_create", "EMFILE"),
        ("rename", "ENOSPC"),
        ("unlink", "EROFS"),
        ("kill", "EPERM"),
        ("setpgid", "EPERM"),
        ("openat", "EMFILE"),
    ];
    if !can_inject() {
        return skipped("strace is not allowed to trace here");
    }
    let mut random = Random(setting("COPROC_FAULTS_SEED", 20_261_122).max(1));
    for _ in 0..setting("COPROC_FAULTS_ROUNDS", 12) {
        let first = random.below(CALLS.len());
        let second = (first + 1 + random.below(CALLS.len() - 1)) % CALLS.len();
        let mut fault = |which: usize| {
            let (call, error) = CALLS[which];
            Fault { call, error, nth: 1 + random.below(12), path: None }
        };
        let faults = [fault(first), fault(second)];
        run(&faults);
    }
}
