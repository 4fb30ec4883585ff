//! A coordinator beside a bare echo, in one run: tasks per second, the time of a task, and the memory
//! of requests that wait. Prints medians and ratios.
//!
//! A task over Unix sockets is three exchanges, each with a connection of its own: the request and its
//! ack, the request to the provider and its ack, the response and its ack. The echo is one such
//! exchange. Both take turns, so that what else the machine does falls on both; the ratio is that of
//! exchanges per second. Requester and provider are threads of this process, coordinator and echo are
//! processes.
#![allow(clippy::print_stdout, clippy::disallowed_methods, missing_docs)]

use std::cell::{Cell, RefCell};
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::rc::Rc;
use std::time::{Duration, Instant};

use coproc_acomm::unix::{exchange, receive, send};
use coproc_acomm::{MAX_MESSAGE, Request, Response, Url};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::oneshot;
use tokio::task::{JoinSet, LocalSet};

/// How long either side runs in a round.
const ROUND: Duration = Duration::from_secs(1);
/// How often they take turns; odd, for there to be one in the middle.
const ROUNDS: usize = 5;
/// The requests that wait while the memory is looked at.
const TRACKED: usize = 10_000;

fn main() {
    let words: Vec<String> = std::env::args().collect();
    if words.get(1).is_some_and(|word| word == "echo") {
        return alone(echo(Path::new(&words[2])));
    }
    let folder = tempfile::Builder::new().prefix("coproc-bench-").tempdir().unwrap();
    let stage = Stage::set(folder.path());
    println!("{TRACKED} requests that wait");
    alone(memory(&stage));
    // Without what was tracked.
    drop(stage);
    let stage = Stage::set(folder.path());
    println!("\ntasks over Unix sockets beside exchanges with an echo; medians of {ROUNDS} rounds");
    println!(
        "{:>8} {:>9} {:>9} {:>9} {:>9} {:>12} {:>12} {:>7}",
        "at once", "tasks/s", "p50 ms", "p99 ms", "echoes/s", "echo p50 ms", "echo p99 ms", "ratio"
    );
    for at_once in [1, 8, 64] {
        alone(compare(&stage, at_once));
    }
}

fn alone(work: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    LocalSet::new().block_on(&runtime, work);
}

/// A coordinator, an echo, and a provider of the task `work`; the two processes end with it.
struct Stage {
    folder: PathBuf,
    coordinator: Child,
    echo: Child,
}

impl Stage {
    fn set(base: &Path) -> Self {
        let folder = base.join("d");
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(folder.join("work")).unwrap();
        let start =
            |command: &mut Command| command.stdin(Stdio::null()).process_group(0).spawn().unwrap();
        let coordinator = start(
            Command::new(env!("CARGO_BIN_EXE_coproc"))
                .args(["coordinator", "-n", "bench", "-p", "1", "-t", "600", "-s"])
                .arg(&folder)
                .env("COPROC_COORDINATOR__LISTEN", "none"),
        );
        let echo = start(
            Command::new(std::env::current_exe().unwrap()).arg("echo").arg(folder.join("echo")),
        );
        let listener =
            std::os::unix::net::UnixListener::bind(folder.join("work/1-p.sock")).unwrap();
        std::thread::spawn(move || alone(provide(listener)));
        let stage = Self { folder, coordinator, echo };
        let deadline = Instant::now() + Duration::from_secs(10);
        for socket in [stage.internal(), stage.echoing()] {
            while !socket.exists() {
                assert!(Instant::now() < deadline, "{} never came", socket.display());
                std::thread::sleep(Duration::from_millis(5));
            }
        }
        stage
    }

    fn internal(&self) -> PathBuf {
        self.folder.join("coordinator/bench.sock")
    }

    fn echoing(&self) -> PathBuf {
        self.folder.join("echo")
    }

    /// The coordinator's memory in KiB.
    fn resident(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.coordinator.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        for child in [&mut self.coordinator, &mut self.echo] {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Answers each message with a bare ack.
async fn echo(path: &Path) {
    let listener = UnixListener::bind(path).unwrap();
    loop {
        let (mut stream, _) = listener.accept().await.unwrap();
        tokio::spawn(async move {
            let message = receive(&mut stream, MAX_MESSAGE).await.unwrap();
            send(&mut stream, &message).await.unwrap();
        });
    }
}

/// Takes requests, and responds to those whose hook is a socket.
async fn provide(listener: std::os::unix::net::UnixListener) {
    listener.set_nonblocking(true).unwrap();
    let listener = UnixListener::from_std(listener).unwrap();
    loop {
        let (mut stream, _) = listener.accept().await.unwrap();
        tokio::spawn(async move {
            let message = receive(&mut stream, MAX_MESSAGE).await.unwrap();
            let request = Request::decode(&message).unwrap();
            send(&mut stream, &Response::ack(&*request.id).encode()).await.unwrap();
            drop(stream);
            let hook = request.hook.unwrap();
            // That of requests which are tracked is the coordinator's.
            if !hook.path.ends_with("/bench.sock") {
                let response = Response::ack(request.id).encode();
                exchange(&hook.socket(), &response, MAX_MESSAGE).await.unwrap();
            }
        });
    }
}

/// What came of one round.
#[derive(Clone, Copy)]
struct Speed {
    /// Per second.
    rate: f64,
    /// In milliseconds.
    p50: f64,
    p99: f64,
}

impl Speed {
    fn of(mut times: Vec<f64>, whole: Duration) -> Self {
        times.sort_by(f64::total_cmp);
        let rate = times.len() as f64 / whole.as_secs_f64();
        Self { rate, p50: times[times.len() / 2], p99: times[times.len() * 99 / 100] }
    }
}

async fn compare(stage: &Stage, at_once: usize) {
    let hook = Rc::new(Hook::open(stage.folder.join(format!("hook-{at_once}")), at_once));
    let (internal, echoing): (Rc<Path>, Rc<Path>) =
        (stage.internal().into(), stage.echoing().into());
    let (mut tasks, mut echoes) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let path = echoing.clone();
        echoes.push(
            run(at_once, move |worker, number| {
                let (path, id) = (path.clone(), format!("{worker}/{number}"));
                let message = request(id, Url::unix("/tmp/nobody.sock")).encode();
                async move {
                    exchange(&path, &message, MAX_MESSAGE).await.unwrap();
                }
            })
            .await,
        );
        let (path, hook) = (internal.clone(), hook.clone());
        tasks.push(
            run(at_once, move |worker, number| {
                let (path, hook) = (path.clone(), hook.clone());
                async move {
                    let response = hook.expect(worker);
                    let message = request(format!("{worker}/{number}"), hook.url.clone()).encode();
                    let ack = exchange(&path, &message, MAX_MESSAGE).await.unwrap();
                    assert_eq!(ack.error, "");
                    response.await.unwrap();
                }
            })
            .await,
        );
    }
    let middle = |of: &dyn Fn(usize) -> f64| median((0..ROUNDS).map(of).collect());
    println!(
        "{at_once:8} {:9.0} {:9.2} {:9.2} {:9.0} {:12.2} {:12.2} {:7.2}",
        middle(&|at| tasks[at].rate),
        middle(&|at| tasks[at].p50),
        middle(&|at| tasks[at].p99),
        middle(&|at| echoes[at].rate),
        middle(&|at| echoes[at].p50),
        middle(&|at| echoes[at].p99),
        middle(&|at| 3.0 * tasks[at].rate / echoes[at].rate),
    );
}

fn request(id: String, hook: Url) -> Request {
    Request { id, task: "work".into(), hook: Some(hook), ..Request::default() }
}

/// So many workers do the same over and over for a round.
async fn run<F, W>(at_once: usize, work: F) -> Speed
where
    F: Fn(usize, usize) -> W + 'static,
    W: Future<Output = ()> + 'static,
{
    let work = Rc::new(work);
    let times = Rc::new(RefCell::new(Vec::new()));
    let started = Instant::now();
    let mut workers = JoinSet::new();
    for worker in 0..at_once {
        let (work, times) = (work.clone(), times.clone());
        workers.spawn_local(async move {
            let number = Cell::new(0);
            while started.elapsed() < ROUND {
                let begun = Instant::now();
                work(worker, number.replace(number.get() + 1)).await;
                times.borrow_mut().push(begun.elapsed().as_secs_f64() * 1e3);
            }
        });
    }
    while let Some(ended) = workers.join_next().await {
        ended.unwrap();
    }
    Speed::of(times.take(), started.elapsed())
}

/// The requester's socket for responses; a response's id begins with its worker's number.
struct Hook {
    url: Url,
    waiting: Rc<RefCell<Vec<Option<oneshot::Sender<()>>>>>,
}

impl Hook {
    fn open(path: PathBuf, workers: usize) -> Self {
        let listener = UnixListener::bind(&path).unwrap();
        let waiting = Rc::new(RefCell::new(Vec::new()));
        waiting.borrow_mut().resize_with(workers, || None);
        let told = waiting.clone();
        tokio::task::spawn_local(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::task::spawn_local(take(stream, told.clone()));
            }
        });
        Self { url: Url::unix(path.display().to_string()), waiting }
    }

    fn expect(&self, worker: usize) -> oneshot::Receiver<()> {
        let (told, response) = oneshot::channel();
        self.waiting.borrow_mut()[worker] = Some(told);
        response
    }
}

async fn take(mut stream: UnixStream, waiting: Rc<RefCell<Vec<Option<oneshot::Sender<()>>>>>) {
    let message = receive(&mut stream, MAX_MESSAGE).await.unwrap();
    send(&mut stream, &Response::ack("").encode()).await.unwrap();
    let response = Response::decode(&message).unwrap();
    let worker: usize = response.id.split('/').next().unwrap().parse().unwrap();
    waiting.borrow_mut()[worker].take().unwrap().send(()).unwrap();
}

/// The coordinator's memory with requests that wait for their response, against without.
async fn memory(stage: &Stage) {
    let internal: Rc<Path> = stage.internal().into();
    let hook = Url::parse("http://127.0.0.1:9/nobody").unwrap();
    let before = stage.resident();
    let mut asking = JoinSet::new();
    for worker in 0..64 {
        let (internal, hook) = (internal.clone(), hook.clone());
        asking.spawn_local(async move {
            for number in (worker..TRACKED).step_by(64) {
                let message = request(format!("m{number}"), hook.clone()).encode();
                let ack = exchange(&internal, &message, MAX_MESSAGE).await.unwrap();
                assert_eq!(ack.error, "");
            }
        });
    }
    while let Some(ended) = asking.join_next().await {
        ended.unwrap();
    }
    let after = stage.resident();
    let more = after.saturating_sub(before) as f64 / 1024.0;
    println!("resident: {before} KiB without, {after} KiB with them: {more:.1} MiB more");
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
