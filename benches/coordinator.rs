//! A coordinator beside a bare echo, in one run: tasks per second, the time of a task, and the memory
//! of requests that wait. Prints medians and ratios.
//!
//! A task is four messages, each with a connection and an ack of its own: the request to the
//! coordinator, the request to the provider, the response to the coordinator, the response to the
//! requester's hook. Only a hook that is HTTP has its response brought by the coordinator, so that the
//! last message is a POST over TCP, which costs more than a frame; it counts as one all the same. With a
//! hook that is a socket the provider brings the response itself: three messages, all frames.
//!
//! The echo answers each message with itself, on a connection of its own, in blocking threads that share
//! the listener, as many as there are processors: on the machines at hand that was faster than an event
//! loop. Both are asked by the same requester, take the same request, and take turns, so that what else
//! the machine does falls on both. The ratio is that of messages per second. Requester, hook and provider
//! are threads of this process, coordinator and echo are processes.
#![allow(clippy::print_stdout, clippy::disallowed_methods, missing_docs)]

use std::cell::{Cell, RefCell};
use std::fs;
use std::io::{Read, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::rc::Rc;
use std::time::{Duration, Instant};

use coproc_acomm::frame::{Decoder, HEAD};
use coproc_acomm::unix::{Link, exchange, receive, send};
use coproc_acomm::{MAX_MESSAGE, Request, Response, Url};
use serde_json::value::RawValue;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixListener};
use tokio::sync::oneshot;
use tokio::task::{JoinSet, LocalSet};

/// How long either side runs in a round.
const ROUND: Duration = Duration::from_secs(1);
/// How often they take turns; odd, for there to be one in the middle.
const ROUNDS: usize = 5;
/// The arguments of a request that is not answered.
const SILENT: &str = "\"silent\"";
/// The requests that wait while the memory is looked at.
const TRACKED: usize = 10_000;

fn main() {
    let words: Vec<String> = std::env::args().collect();
    if words.get(1).is_some_and(|word| word == "echo") {
        return echo(Path::new(&words[2]));
    }
    let folder = tempfile::Builder::new().prefix("coproc-bench-").tempdir().unwrap();
    let stage = Stage::set(folder.path());
    println!("{TRACKED} requests that wait");
    alone(memory(&stage));
    // Without what was tracked.
    drop(stage);
    let stage = Stage::set(folder.path());
    println!("\ntasks beside messages to an echo; medians of {ROUNDS} rounds");
    println!(
        "{:>6} {:>8} {:>9} {:>8} {:>8} {:>9} {:>12} {:>12} {:>6}",
        "hook",
        "at once",
        "tasks/s",
        "p50 ms",
        "p99 ms",
        "echoes/s",
        "echo p50 ms",
        "echo p99 ms",
        "ratio"
    );
    for kind in [Kind::Http, Kind::Unix] {
        for at_once in [1, 8, 64] {
            alone(compare(&stage, kind, at_once));
        }
    }
}

/// Where responses go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// To an HTTP server, by the coordinator.
    Http,
    /// To a socket, by the provider.
    Unix,
}

impl Kind {
    /// How many messages a task is.
    fn messages(self) -> f64 {
        match self {
            Self::Http => 4.0,
            Self::Unix => 3.0,
        }
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

/// Answers each message with itself.
fn echo(path: &Path) {
    let listener = std::os::unix::net::UnixListener::bind(path).unwrap();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let mut frame = vec![0; 64 << 10];
                loop {
                    let (mut stream, _) = listener.accept().unwrap();
                    let mut have = 0;
                    let end = loop {
                        have += stream.read(&mut frame[have..]).unwrap();
                        if have >= HEAD {
                            let length = u32::from_be_bytes(frame[..HEAD].try_into().unwrap());
                            if have == HEAD + length as usize {
                                break have;
                            }
                        }
                    };
                    stream.write_all(&frame[..end]).unwrap();
                }
            });
        }
    });
}

/// Takes requests, and responds to all that do not ask for silence.
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
            // Those whose response is not to come say so.
            if request.args.is_none_or(|args| args.get() != SILENT) {
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

async fn compare(stage: &Stage, kind: Kind, at_once: usize) {
    let hook = Rc::new(match kind {
        Kind::Http => Hook::http(at_once).await,
        Kind::Unix => Hook::unix(stage.folder.join(format!("hook-{at_once}")), at_once),
    });
    let (internal, echoing): (Rc<Path>, Rc<Path>) =
        (stage.internal().into(), stage.echoing().into());
    let (mut tasks, mut echoes) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let (path, url) = (echoing.clone(), hook.url.clone());
        echoes.push(
            run(at_once, move |worker, number| {
                let (path, id) = (path.clone(), format!("{worker}/{number}"));
                let message = request(id, url.clone()).encode();
                async move { say(&path, &message).await }
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
        "{:>6} {at_once:8} {:9.0} {:8.2} {:8.2} {:9.0} {:12.2} {:12.2} {:6.2}",
        format!("{kind:?}").to_lowercase(),
        middle(&|at| tasks[at].rate),
        middle(&|at| tasks[at].p50),
        middle(&|at| tasks[at].p99),
        middle(&|at| echoes[at].rate),
        middle(&|at| echoes[at].p50),
        middle(&|at| echoes[at].p99),
        middle(&|at| kind.messages() * tasks[at].rate / echoes[at].rate),
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
    fn unix(path: PathBuf, workers: usize) -> Self {
        let listener = UnixListener::bind(&path).unwrap();
        let hook = Self::of(Url::unix(path.display().to_string()), workers);
        let told = hook.waiting.clone();
        tokio::task::spawn_local(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let told = told.clone();
                tokio::task::spawn_local(async move {
                    let message = receive(&mut stream, MAX_MESSAGE).await.unwrap();
                    send(&mut stream, &Response::ack("").encode()).await.unwrap();
                    tell(&told, &message);
                });
            }
        });
        hook
    }

    /// The least that takes a POST.
    async fn http(workers: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let hook = Self::of(Url::parse(&format!("http://{address}/response")).unwrap(), workers);
        let told = hook.waiting.clone();
        tokio::task::spawn_local(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let told = told.clone();
                tokio::task::spawn_local(async move {
                    let message = posted(&mut stream).await;
                    stream.write_all(TAKEN).await.unwrap();
                    tell(&told, &message);
                });
            }
        });
        hook
    }

    fn of(url: Url, workers: usize) -> Self {
        let waiting = Rc::new(RefCell::new(Vec::new()));
        waiting.borrow_mut().resize_with(workers, || None);
        Self { url, waiting }
    }

    fn expect(&self, worker: usize) -> oneshot::Receiver<()> {
        let (told, response) = oneshot::channel();
        self.waiting.borrow_mut()[worker] = Some(told);
        response
    }
}

const TAKEN: &[u8] = b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n";

/// The body of a request.
async fn posted(stream: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(4096);
    loop {
        assert!(stream.read_buf(&mut bytes).await.unwrap() > 0, "it broke off");
        let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else { continue };
        let head = std::str::from_utf8(&bytes[..end]).unwrap().to_ascii_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
        if bytes.len() == end + 4 + length.parse::<usize>().unwrap() {
            return bytes.split_off(end + 4);
        }
    }
}

fn tell(waiting: &RefCell<Vec<Option<oneshot::Sender<()>>>>, message: &[u8]) {
    let response = Response::decode(message).unwrap();
    assert_eq!(response.error, "");
    let worker: usize = response.id.split('/').next().unwrap().parse().unwrap();
    waiting.borrow_mut()[worker].take().unwrap().send(()).unwrap();
}

/// Sends a message to the echo and reads what comes back.
async fn say(path: &Path, message: &[u8]) {
    let mut link = Link::connect(path).await.unwrap();
    link.send(message).await.unwrap();
    let answer = link.receive(&mut Decoder::new(MAX_MESSAGE)).await.unwrap();
    assert_eq!(answer.len(), message.len());
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
                let mut request = request(format!("m{number}"), hook.clone());
                request.args = Some(RawValue::from_string(SILENT.to_owned()).unwrap());
                let message = request.encode();
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
