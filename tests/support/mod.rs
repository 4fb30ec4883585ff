//! What black-box tests need: a folder of their own, a wrapper in it, and waiting for facts.
//!
//! Every test has its own run path, so that all can run side by side, and ends what it started by
//! its id, also when it fails.
#![allow(dead_code, unreachable_pub)]

pub mod archive;
pub mod certificates;
pub mod event;
pub mod exec;
pub mod http;
pub mod together;

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

/// How long any fact may take to come true on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// The release of the binary that this test run was built with.
pub fn coproc() -> &'static str {
    env!("CARGO_BIN_EXE_coproc")
}

/// The puppet, which cargo builds as an example beside the tests.
pub fn puppet() -> String {
    let mut path = PathBuf::from(coproc());
    path.pop();
    path.push("examples/puppet");
    assert!(path.exists(), "the puppet is built by `cargo test`, or by `cargo build --examples`");
    path.display().to_string()
}

/// A port that is free just now, on loopback: none of those that the system itself gives to
/// connections, and none that another test asks for at the same time.
pub fn free_port() -> u16 {
    static ASKED: AtomicU32 = AtomicU32::new(0);
    loop {
        let asked = ASKED.fetch_add(1, Ordering::Relaxed);
        let port = 10_000 + std::process::id().wrapping_mul(61).wrapping_add(asked) % 20_000;
        if TcpListener::bind(("127.0.0.1", port as u16)).is_ok() {
            return port as u16;
        }
    }
}

/// Says loudly that a test proves nothing here.
#[allow(clippy::print_stderr)]
pub fn skipped(why: &str) {
    eprintln!("skipped: {why}");
}

/// Whether these tests run as root, for those that switch users.
pub fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// A folder with a config.
pub struct Place {
    folder: TempDir,
}

impl Place {
    /// An empty folder with an empty run path.
    pub fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("coproc-test-").tempdir().unwrap();
        // Other users' programs are run in here as well.
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs::set_permissions(folder.path(), open).unwrap();
        fs::create_dir_all(folder.path().join("run/conf")).unwrap();
        Self { folder }
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// A path in the folder, as text.
    pub fn at(&self, name: &str) -> String {
        self.path().join(name).display().to_string()
    }

    /// Writes a file.
    pub fn write(&self, name: &str, text: &str) {
        fs::write(self.path().join(name), text).unwrap();
    }

    /// Reads a file; empty if it is not there.
    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path().join(name)).unwrap_or_default()
    }

    /// The beginning of every config: its run path, the puppet in nginx's place, every log line.
    pub fn preamble(&self) -> String {
        format!(
            "run_path = \"{}\"\nnginx_binary = \"{}\"\n[log]\nlevel = \"DEBUG\"\n",
            self.at("run"),
            puppet()
        )
    }

    /// Writes `coproc.toml`: the preamble with the puppet as main process, then `text`.
    pub fn config(&self, text: &str) {
        self.write("coproc.toml", &format!("{}{text}", self.preamble()));
    }

    /// Writes `coproc.toml` and an nginx configuration for the real nginx, whose `server` block
    /// holds `server`; gives the port. Logs go to stdout at level info.
    pub fn nginx(&self, workers: usize, server: &str, text: &str) -> u16 {
        let port = free_port();
        self.nginx_conf(port, workers, "/dev/stdout info", "", server);
        self.write(
            "coproc.toml",
            &format!("run_path = \"{}\"\n[log]\nlevel = \"DEBUG\"\n{text}", self.at("run")),
        );
        port
    }

    /// Writes the nginx configuration alone.
    pub fn nginx_conf(&self, port: u16, workers: usize, error_log: &str, http: &str, server: &str) {
        let run = self.at("run");
        let user = if is_root() { "user www-data;" } else { "" };
        let temp: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|kind| format!("{kind}_temp_path {run}/{kind};\n"))
            .concat();
        self.write(
            "run/conf/nginx.conf",
            &format!(
                "{user}\ndaemon off;\nworker_processes {workers};\npid {run}/nginx.pid;\n\
                 error_log {error_log};\nevents {{}}\nhttp {{\n{temp}access_log off;\n{http}\n\
                 server {{ listen 127.0.0.1:{port}; {server} }} }}\n"
            ),
        );
    }

    /// A command of coproc in this folder, with an environment that changes nothing.
    pub fn command(&self, words: &[&str]) -> Command {
        self.command_below(&[], words)
    }

    /// The same, started by a program that changes what it inherits, such as `env`.
    pub fn command_below(&self, above: &[&str], words: &[&str]) -> Command {
        let all = [above, &[coproc()], words].concat();
        let mut command = Command::new(all[0]);
        command.args(&all[1..]).current_dir(self.path()).stdin(Stdio::null());
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            if text.starts_with("COPROC_") || text.starts_with("NW_") || text.starts_with("F_") {
                command.env_remove(&name);
            }
        }
        command.env("TZ", "UTC");
        command
    }

    /// Runs a command of coproc to its end.
    #[allow(clippy::disallowed_methods)]
    pub fn coproc(&self, words: &[&str]) -> Output {
        self.command(words).output().unwrap()
    }

    /// Starts `coproc run`.
    pub fn run(&self) -> Wrapper {
        self.run_with(&[], &[])
    }

    /// Starts `coproc run` with this config, and waits until the puppet is up.
    pub fn up(&self, text: &str) -> Wrapper {
        self.config(text);
        let wrapper = self.run();
        wrapper.wait_for(": up");
        wrapper
    }

    /// The same until it serves, as nginx's log would tell.
    pub fn serving(&self, text: &str) -> Wrapper {
        self.config(text);
        let wrapper = self.run_with(&[], &[("F_EV", "1")]);
        wrapper.wait_for("event: [start-worker]");
        wrapper
    }

    /// Starts `coproc run` with further words and variables.
    pub fn run_with(&self, words: &[&str], variables: &[(&str, &str)]) -> Wrapper {
        let mut command = self.command(&["run"]);
        command.args(words).envs(variables.iter().copied());
        Wrapper::start(command)
    }
}

/// What a program wrote.
pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The lines of a stream as far as they have come, and whether it has ended.
type Heard = (Vec<String>, bool);

/// A stream that is followed.
#[derive(Clone, Default)]
struct Lines(Arc<(Mutex<Heard>, Condvar)>);

impl Lines {
    fn follow(stream: impl Read + Send + 'static) -> Self {
        let lines = Self::default();
        let to = lines.clone();
        std::thread::spawn(move || {
            let mut stream = BufReader::new(stream);
            let mut line = Vec::new();
            while matches!(stream.read_until(b'\n', &mut line), Ok(n) if n > 0) {
                let text = String::from_utf8_lossy(&line).trim_end_matches('\n').to_owned();
                to.0.0.lock().unwrap().0.push(text);
                to.0.1.notify_all();
                line.clear();
            }
            to.0.0.lock().unwrap().1 = true;
            to.0.1.notify_all();
        });
        lines
    }

    fn now(&self) -> Vec<String> {
        self.0.0.lock().unwrap().0.clone()
    }

    fn wait<T>(&self, mut fact: impl FnMut(&[String], bool) -> Option<T>) -> Option<T> {
        let deadline = Instant::now() + PATIENCE;
        let mut guard = self.0.0.lock().unwrap();
        loop {
            if let Some(found) = fact(&guard.0, guard.1) {
                return Some(found);
            }
            let left = deadline.checked_duration_since(Instant::now())?;
            guard = self.0.1.wait_timeout(guard, left).unwrap().0;
        }
    }
}

/// A running wrapper. It is killed with all that is below it when the test is over.
pub struct Wrapper {
    child: Child,
    stdout: Lines,
    stderr: Lines,
    status: Option<ExitStatus>,
}

impl Wrapper {
    /// Starts a command whose output is followed.
    #[allow(clippy::disallowed_methods)]
    pub fn start(mut command: Command) -> Self {
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        let mut child = command.spawn().unwrap();
        let stdout = Lines::follow(child.stdout.take().unwrap());
        let stderr = Lines::follow(child.stderr.take().unwrap());
        Self { child, stdout, stderr, status: None }
    }

    /// The wrapper's pid.
    pub fn pid(&self) -> i32 {
        self.child.id() as i32
    }

    /// Sends a signal to the wrapper alone.
    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.pid()), signal).unwrap();
    }

    /// All lines on stdout so far.
    pub fn lines(&self) -> Vec<String> {
        self.stdout.now()
    }

    /// All of stderr so far.
    pub fn stderr(&self) -> String {
        self.stderr.now().join("\n")
    }

    /// How many lines on stdout hold this text so far.
    pub fn count(&self, text: &str) -> usize {
        self.lines().iter().filter(|line| line.contains(text)).count()
    }

    /// Waits for a line on stdout that holds this text.
    #[track_caller]
    pub fn wait_for(&self, text: &str) -> String {
        self.wait_for_nth(text, 1)
    }

    /// Waits until so many lines on stdout hold this text; gives the last of them.
    #[track_caller]
    pub fn wait_for_nth(&self, text: &str, n: usize) -> String {
        let found = self.stdout.wait(|lines, closed| {
            let found = lines.iter().filter(|line| line.contains(text)).nth(n - 1).cloned();
            // Nothing more comes out of a closed stream.
            (found.is_some() || closed).then_some(found)
        });
        found.flatten().unwrap_or_else(|| panic!("no line {n} with `{text}` in\n{}", self.dump()))
    }

    /// The place of the first line that holds this text, to compare orders. It is waited for: a child's
    /// line may be logged before the line that tells of its start.
    #[track_caller]
    pub fn position(&self, text: &str) -> usize {
        self.wait_for(text);
        let lines = self.lines();
        let found = lines.iter().position(|line| line.contains(text));
        found.unwrap_or_else(|| panic!("no line with `{text}` in\n{}", self.dump()))
    }

    /// The events that the debug lines tell of, in their order, `coprocess.*` left out.
    pub fn phases(&self) -> Vec<String> {
        self.lines()
            .iter()
            .filter_map(|line| line.split_once("msg=\"event: [")?.1.split_once(']'))
            .map(|(name, _)| name.to_owned())
            .filter(|name| !name.contains('.'))
            .collect()
    }

    /// The pid of the nth start of a coprocess; waits for it.
    #[track_caller]
    pub fn started(&self, name: &str, n: usize) -> i32 {
        let line = self.wait_for_nth(&format!("msg=\"{name}: started "), n);
        let (_, pid) = line.rsplit_once(" as ").unwrap();
        pid.trim_end_matches('"').parse().unwrap()
    }

    /// The messages of one logger so far.
    pub fn said(&self, name: &str) -> Vec<String> {
        let head = format!(" msg=\"{name}: ");
        let lines = self.lines();
        let texts = lines.iter().filter_map(|line| line.split_once(&head));
        texts.map(|(_, text)| text.trim_end_matches('"').to_owned()).collect()
    }

    /// Waits for the end of the wrapper and of its output; gives its exit code, or 128 and the
    /// signal's number.
    #[track_caller]
    pub fn wait(&mut self) -> i32 {
        let deadline = Instant::now() + PATIENCE;
        let status = loop {
            match self.child.try_wait().unwrap() {
                Some(status) => break status,
                None if Instant::now() > deadline => panic!("it does not end:\n{}", self.dump()),
                None => std::thread::sleep(Duration::from_millis(5)),
            }
        };
        self.status = Some(status);
        self.stdout.wait(|_, closed| closed.then_some(()));
        self.stderr.wait(|_, closed| closed.then_some(()));
        status.code().or(status.signal().map(|signal| 128 + signal)).unwrap()
    }

    /// TERM, then as [`Wrapper::wait`].
    #[track_caller]
    pub fn stop(&mut self) -> i32 {
        self.signal(Signal::SIGTERM);
        self.wait()
    }

    /// TERM, and a look at what was written once it has ended.
    #[track_caller]
    pub fn stop_and(mut self, look: impl FnOnce(&Self)) {
        assert_eq!(self.stop(), 0, "{}", self.dump());
        look(&self);
    }

    /// Everything that was written, for the message of a failed test.
    pub fn dump(&self) -> String {
        format!("{}\n--- stderr:\n{}", self.lines().join("\n"), self.stderr())
    }
}

impl Drop for Wrapper {
    fn drop(&mut self) {
        if self.status.is_none() {
            // Its children are swept by it on a second TERM.
            let pid = Pid::from_raw(self.pid());
            let _ = kill(pid, Signal::SIGTERM);
            let _ = kill(pid, Signal::SIGTERM);
            let deadline = Instant::now() + Duration::from_secs(3);
            while Instant::now() < deadline && matches!(self.child.try_wait(), Ok(None)) {
                std::thread::sleep(Duration::from_millis(10));
                let _ = kill(pid, Signal::SIGTERM);
            }
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// A `[coprocess.NAME]` table. Unless `rest` says otherwise it runs once, at `pre-start`.
pub fn coprocess(name: &str, exec: &str, rest: &str) -> String {
    let mut text = format!("[coprocess.{name}]\nname = \"{name}\"\nexec = {exec}\n{rest}\n");
    for (key, value) in [("restarts", "never"), ("exec_event", "pre-start")] {
        if !rest.lines().any(|line| line.trim_start().starts_with(&format!("{key} ="))) {
            text.push_str(&format!("{key} = \"{value}\"\n"));
        }
    }
    text
}

/// The state letter of a process, `Z` for a zombie; `None` once it is reaped.
pub fn state(pid: i32) -> Option<char> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.chars().next()
}

/// The pids of a process's children, zombies included.
pub fn children(pid: i32) -> Vec<i32> {
    let parent = |of: i32| -> Option<i32> {
        let stat = fs::read_to_string(format!("/proc/{of}/stat")).ok()?;
        stat.rsplit_once(") ")?.1.split(' ').nth(1)?.parse().ok()
    };
    fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|of| parent(*of) == Some(pid))
        .collect()
}

/// The pids of everything below a process, zombies included.
pub fn descendants(pid: i32) -> Vec<i32> {
    let mut all = children(pid);
    let mut at = 0;
    while let Some(pid) = all.get(at) {
        all.extend(children(*pid));
        at += 1;
    }
    all
}

/// Whether a process of this pid is alive and no zombie.
pub fn alive(pid: i32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat"))
        .ok()
        .and_then(|stat| Some(stat.rsplit_once(") ")?.1.starts_with('Z')))
        .is_some_and(|zombie| !zombie)
}

/// The pids whose command line holds this text.
pub fn with_command_line(text: &str) -> Vec<i32> {
    fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok())
        .filter(|pid| {
            fs::read(format!("/proc/{pid}/cmdline"))
                .map(|bytes| String::from_utf8_lossy(&bytes).replace('\0', " "))
                .is_ok_and(|line| line.contains(text) && alive(*pid))
        })
        .collect()
}

/// Waits until a fact is true.
#[track_caller]
pub fn eventually(what: &str, mut fact: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !fact() {
        assert!(Instant::now() < deadline, "never came true: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
