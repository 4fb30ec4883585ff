//! coproc beside s6, runit, supervisord and tini, in one run: start, restart, stop, memory, idleness,
//! one-shot overhead, and logs beside s6-log. Prints medians and ratios.
//!
//! A service is `service.c`, started as `run` in a folder of its own: it writes the time of its first
//! instruction and its pid to `stamp` and sleeps. Supervisors take turns within a round. A peer that
//! is not installed is left out, and said so. A part alone: `cargo bench --bench wrapper -- one-shot`,
//! or `supervision`, or `logs`.
#![allow(clippy::print_stdout, clippy::disallowed_methods, clippy::exit, missing_docs)]

use std::fs;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

fn main() {
    let words: Vec<String> = std::env::args().collect();
    match words.get(1).map(String::as_str) {
        Some("write-lines") => write_lines(words[2].parse().unwrap(), 1, &words[3]),
        Some("write-blocks") => write_lines(words[2].parse().unwrap(), 655, &words[3]),
        _ => {
            let parts = ["supervision", "one-shot", "logs"];
            let asked = |part| words.iter().any(|word| word == part);
            let all = !parts.into_iter().any(asked);
            if all || asked("supervision") {
                supervision();
            }
            if all || asked("one-shot") {
                one_shot();
            }
            if all || asked("logs") {
                logs();
            }
        }
    }
}

/// Nanoseconds of the monotonic clock, which all processes share.
fn now() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// Compiles the service, once for all.
fn service() -> &'static Path {
    static SERVICE: LazyLock<PathBuf> = LazyLock::new(|| {
        let folder = tempfile::Builder::new().prefix("coproc-bench-").tempdir().unwrap().keep();
        let program = folder.join("run");
        let compiled = Command::new("cc")
            .args(["-O2", "-static", "-nostdlib", "-ffreestanding", "-fno-stack-protector", "-o"])
            .arg(&program)
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/benches/service.c"))
            .status();
        assert!(compiled.expect("a C compiler").success());
        program
    });
    &SERVICE
}

/// Writes so many lines of 100 bytes, `batch` of them in one write, then its own processor time.
fn write_lines(count: usize, batch: usize, report: &str) {
    let line = [b'x'; 99].into_iter().chain([b'\n']).collect::<Vec<u8>>();
    let block = line.repeat(batch);
    let mut out = std::io::stdout().lock();
    for _ in 0..count / batch {
        // Not through the line buffer of `Stdout`: one write each.
        rustix::io::write(&out, &block).unwrap();
    }
    out.flush().unwrap();
    let stat = fs::read_to_string("/proc/self/schedstat").unwrap();
    fs::write(report, stat.split(' ').next().unwrap()).unwrap();
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Peer {
    Coproc,
    S6,
    Runit,
    Supervisor,
}

impl Peer {
    const ALL: [Self; 4] = [Self::Coproc, Self::S6, Self::Runit, Self::Supervisor];

    fn name(self) -> &'static str {
        match self {
            Self::Coproc => "coproc",
            Self::S6 => "s6",
            Self::Runit => "runit",
            Self::Supervisor => "supervisord",
        }
    }

    fn program(self) -> &'static str {
        match self {
            Self::Coproc => env!("CARGO_BIN_EXE_coproc"),
            Self::S6 => "s6-svscan",
            Self::Runit => "runsvdir",
            Self::Supervisor => "supervisord",
        }
    }
}

fn installed(program: &str) -> bool {
    let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin";
    program.contains('/') || path.split(':').any(|folder| Path::new(folder).join(program).exists())
}

/// A supervisor with its services, ended with all of them when it is dropped.
struct Running {
    child: Child,
    peer: Peer,
    folder: tempfile::TempDir,
    services: usize,
    started: u64,
}

impl Running {
    fn start(peer: Peer, services: usize) -> Self {
        let folder = tempfile::Builder::new().prefix("coproc-bench-").tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for number in 0..services {
            let service = at(&format!("services/s{number}"));
            fs::create_dir_all(&service).unwrap();
            fs::copy(self::service(), service.join("run")).unwrap();
        }
        let mut command = Command::new(peer.program());
        match peer {
            Peer::Coproc => {
                let mut text = format!(
                    "run_path = {:?}\n[log]\nlevel = \"WARN\"\n[main]\nexec = \"sleep infinity\"\n",
                    at("run")
                );
                for number in 0..services {
                    let service = at(&format!("services/s{number}"));
                    text.push_str(&format!(
                        "[coprocess.s{number}]\nname = \"s{number}\"\nexec = [{:?}, {:?}]\n\
                         restarts = \"unlimited\"\nbackground = true\nexec_event = \"pre-start\"\n",
                        service.join("run"),
                        service.join("stamp"),
                    ));
                }
                fs::write(at("coproc.toml"), text).unwrap();
                command.arg("run").arg("-c").arg(at("coproc.toml"));
            }
            Peer::S6 | Peer::Runit => {
                command.arg(at("services"));
                // runsvdir waits with folders that are younger than a second.
                std::thread::sleep(Duration::from_millis(2100));
            }
            Peer::Supervisor => {
                let mut text = format!(
                    "[supervisord]\nnodaemon=true\nuser=root\nlogfile=/dev/null\nlogfile_maxbytes=0\npidfile={}\n",
                    at("pid").display()
                );
                for number in 0..services {
                    let service = at(&format!("services/s{number}"));
                    text.push_str(&format!(
                        "[program:s{number}]\ncommand={}/run {}/stamp\nstartsecs=0\nautorestart=true\n",
                        service.display(),
                        service.display()
                    ));
                }
                fs::write(at("supervisord.conf"), text).unwrap();
                command.arg("-c").arg(at("supervisord.conf"));
            }
        }
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
        let started = now();
        let child = command.spawn().unwrap();
        Self { child, peer, folder, services, started }
    }

    /// The time and the pid that a service wrote, if it did so after `since`.
    fn stamp(&self, number: usize, since: u64) -> Option<(u64, i32)> {
        let file = self.folder.path().join(format!("services/s{number}/stamp"));
        let text = fs::read_to_string(file).ok()?;
        let (time, pid) = text.split_once(' ')?;
        let time = time.parse().ok()?;
        (time > since).then_some((time, pid.parse().ok()?))
    }

    fn wait_for(&self, number: usize, since: u64) -> (u64, i32) {
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            if let Some(found) = self.stamp(number, since) {
                return found;
            }
            assert!(Instant::now() < deadline, "{}: s{number} never came", self.peer.name());
            std::thread::sleep(Duration::from_micros(200));
        }
    }

    /// From its start to the last service's first instruction, in milliseconds.
    fn start_time(&self) -> f64 {
        let last = (0..self.services).map(|n| self.wait_for(n, self.started).0).max().unwrap();
        ms(last - self.started)
    }

    /// From SIGKILL of a service to its replacement's first instruction.
    fn restart_time(&self, number: usize) -> f64 {
        let (_, pid) = self.wait_for(number, 0);
        let killed = now();
        kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
        ms(self.wait_for(number, killed).0 - killed)
    }

    /// The supervisor's own processes: all that descend from it and are no services.
    fn own(&self) -> Vec<i32> {
        let mut all = vec![self.child.id() as i32];
        let mut at = 0;
        while at < all.len() {
            let children = format!("/proc/{0}/task/{0}/children", all[at]);
            for child in fs::read_to_string(children).unwrap_or_default().split_whitespace() {
                all.push(child.parse().unwrap());
            }
            at += 1;
        }
        all.retain(|pid| {
            let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let program =
                String::from_utf8_lossy(line.split(|b| *b == 0).next().unwrap_or(b"")).into_owned();
            !program.ends_with("run") && program != "sleep"
        });
        all
    }

    fn pss(&self) -> u64 {
        let pss = |pid: &i32| -> Option<u64> {
            let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
            let line = text.lines().find(|line| line.starts_with("Pss:"))?;
            line.split_whitespace().nth(1)?.parse().ok()
        };
        self.own().iter().filter_map(pss).sum()
    }

    fn switches(&self) -> u64 {
        let mut sum = 0;
        for pid in self.own() {
            for task in fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten() {
                let status = fs::read_to_string(task.path().join("status")).unwrap_or_default();
                sum += status
                    .lines()
                    .filter(|line| line.contains("ctxt_switches"))
                    .filter_map(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok())
                    .sum::<u64>();
            }
        }
        sum
    }

    /// From TERM to the end of the supervisor.
    fn stop_time(mut self) -> f64 {
        let signal = if self.peer == Peer::Runit { Signal::SIGHUP } else { Signal::SIGTERM };
        let asked = now();
        kill(Pid::from_raw(self.child.id() as i32), signal).unwrap();
        self.child.wait().unwrap();
        ms(now() - asked)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let signal = if self.peer == Peer::Runit { Signal::SIGHUP } else { Signal::SIGTERM };
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = kill(Pid::from_raw(self.child.id() as i32), signal);
            let _ = self.child.wait();
        }
        // Some leave their services behind.
        for number in 0..self.services {
            if let Some((_, pid)) = self.stamp(number, 0) {
                let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
            }
        }
    }
}

fn ms(nanoseconds: u64) -> f64 {
    nanoseconds as f64 / 1e6
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Start, restart, stop, memory and idleness of every supervisor.
fn supervision() {
    let peers: Vec<Peer> = Peer::ALL.into_iter().filter(|peer| installed(peer.program())).collect();
    for peer in Peer::ALL.iter().filter(|peer| !peers.contains(peer)) {
        println!("{} is not installed and left out", peer.name());
    }
    println!("medians; start: exec of the supervisor to the last service's first instruction");
    println!(
        "{:12} {:>8} {:>10} {:>10} {:>10} {:>10} {:>12}",
        "", "services", "start ms", "stop ms", "PSS kB", "restart ms", "switches/s"
    );
    for services in [1, 10, 100] {
        let rounds = if services == 100 { 3 } else { 5 };
        let mut starts = vec![Vec::new(); peers.len()];
        let mut stops = vec![Vec::new(); peers.len()];
        let mut rest = vec![(0, 0.0, 0.0); peers.len()];
        for round in 0..rounds {
            for (at, peer) in peers.iter().enumerate() {
                let running = Running::start(*peer, services);
                starts[at].push(running.start_time());
                if round == 0 {
                    std::thread::sleep(Duration::from_millis(1600));
                    let pss = running.pss();
                    let times = (0..services.min(10)).map(|n| running.restart_time(n)).collect();
                    std::thread::sleep(Duration::from_millis(500));
                    let before = running.switches();
                    std::thread::sleep(Duration::from_secs(5));
                    let switches = (running.switches() - before) as f64 / 5.0;
                    rest[at] = (pss, median(times), switches);
                }
                stops[at].push(running.stop_time());
            }
        }
        for (at, peer) in peers.iter().enumerate() {
            let (pss, restart, switches) = rest[at];
            println!(
                "{:12} {services:8} {:10.1} {:10.1} {pss:10} {restart:10.2} {switches:12.1}",
                peer.name(),
                median(starts[at].clone()),
                median(stops[at].clone()),
            );
        }
    }
    // Its folder is this run's alone.
    let _ = fs::remove_dir_all(service().parent().unwrap());
}

/// `true` alone and below one-child wrappers.
fn one_shot() {
    let folder = tempfile::tempdir().unwrap();
    let set = format!("run_path={}", folder.path().display());
    let coproc = env!("CARGO_BIN_EXE_coproc");
    let mut candidates = vec![
        ("true", vec!["/bin/true"]),
        ("coproc run -- true", vec![coproc, "run", "--set", &set, "--", "/bin/true"]),
    ];
    if installed("tini") {
        candidates.push(("tini -s -- true", vec!["tini", "-s", "--", "/bin/true"]));
    }
    let mut times = vec![Vec::new(); candidates.len()];
    for _ in 0..300 {
        for (at, (_, words)) in candidates.iter().enumerate() {
            let started = now();
            Command::new(words[0])
                .args(&words[1..])
                .current_dir(folder.path())
                .stdin(Stdio::null())
                .status()
                .unwrap();
            times[at].push(ms(now() - started));
        }
    }
    let base = median(times[0].clone());
    println!("\none-shot");
    for (at, (name, _)) in candidates.iter().enumerate() {
        let time = median(times[at].clone());
        println!("{name:24} {time:6.2} ms  {:6.2} ms over true", time - base);
    }
}

/// A million lines of 100 bytes into a file, beside s6-log.
fn logs() {
    if !installed("s6-log") {
        println!("\ns6-log is not installed: logs are left out");
        return;
    }
    const LINES: usize = 1_000_000;
    println!("\nlogs: {LINES} lines of 100 bytes into a file; CPU is the logger's own");
    for mode in ["write-lines", "write-blocks"] {
        let mut results: [Vec<(f64, f64)>; 2] = [Vec::new(), Vec::new()];
        for _ in 0..3 {
            results[0].push(log_with_coproc(mode, LINES));
            results[1].push(log_with_s6(mode, LINES));
        }
        let rate = |at: usize| median(results[at].iter().map(|(rate, _)| *rate).collect());
        let cpu = |at: usize| median(results[at].iter().map(|(_, cpu)| *cpu).collect());
        println!(
            "{mode:14} coproc {:5.2} M lines/s, {:4.0} ms CPU   s6-log {:5.2} M lines/s, {:4.0} ms CPU   rate ×{:.2}, CPU ×{:.2}",
            rate(0) / 1e6,
            cpu(0),
            rate(1) / 1e6,
            cpu(1),
            rate(0) / rate(1),
            cpu(0) / cpu(1),
        );
    }
}

/// Lines per second and the logger's processor time in milliseconds.
fn log_with_coproc(mode: &str, lines: usize) -> (f64, f64) {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).display().to_string();
    let me = std::env::current_exe().unwrap().display().to_string();
    let before = children_cpu();
    let started = now();
    let status = Command::new(env!("CARGO_BIN_EXE_coproc"))
        .args(["run", "--set", &format!("run_path={}", at("run"))])
        .args(["--set", &format!("log.destination={}", at("log"))])
        .args(["--", &me, mode, &lines.to_string(), &at("cpu")])
        .stdin(Stdio::null())
        .status()
        .unwrap();
    let seconds = (now() - started) as f64 / 1e9;
    assert!(status.success());
    let written = fs::read(at("log")).unwrap().iter().filter(|byte| **byte == b'\n').count();
    let expected = if mode == "write-lines" { lines } else { lines / 655 * 655 };
    assert!(written >= expected, "{written} lines of {expected}");
    let writer: f64 = fs::read_to_string(at("cpu")).unwrap().trim().parse().unwrap();
    (lines as f64 / seconds, children_cpu() - before - writer / 1e6)
}

fn log_with_s6(mode: &str, lines: usize) -> (f64, f64) {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).display().to_string();
    let me = std::env::current_exe().unwrap().display().to_string();
    let before = children_cpu();
    let started = now();
    let mut writer = Command::new(me)
        .args([mode, &lines.to_string(), &at("cpu")])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let out = writer.stdout.take().unwrap();
    let mut logger = Command::new("s6-log")
        .args(["n2", "s268435455", "t", &at("log")])
        .stdin(Stdio::from(out))
        .spawn()
        .unwrap();
    writer.wait().unwrap();
    logger.wait().unwrap();
    let seconds = (now() - started) as f64 / 1e9;
    let writer: f64 = fs::read_to_string(at("cpu")).unwrap().trim().parse().unwrap();
    (lines as f64 / seconds, children_cpu() - before - writer / 1e6)
}

/// The processor time of all children that were waited for, in milliseconds.
fn children_cpu() -> f64 {
    let usage =
        nix::sys::resource::getrusage(nix::sys::resource::UsageWho::RUSAGE_CHILDREN).unwrap();
    let time =
        |time: nix::sys::time::TimeVal| time.tv_sec() as f64 * 1e3 + time.tv_usec() as f64 / 1e3;
    time(usage.user_time()) + time(usage.system_time())
}
