//! The exec socket beside bare loops of posix_spawn(3) and wait, in one run: calls of `/bin/true` at
//! 1, 8 and 64 at once, streams from a program and through `cat`, and resident memory.
//!
//! The bare loops start the program with the same three pipes, read both outputs to their end and
//! wait: one thread alone, and as many threads as there are calls at once. They and the server take
//! turns within a round; each server is a fresh one. A part alone: `cargo bench --bench exec -- calls`,
//! or `streams`, or `memory`.
#![allow(clippy::print_stdout, clippy::disallowed_methods, missing_docs)]

use std::fs;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::spawn::{PosixSpawnAttr, PosixSpawnFileActions, posix_spawn};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::waitpid;
use nix::unistd::Pid;
use rustix::event::epoll;
use rustix::pipe::{PipeFlags, pipe_with};

/// Calls in a measurement, after [`WARM_UP`] that do not count.
const CALLS: usize = 4000;
const WARM_UP: usize = 100;
const ROUNDS: usize = 3;
/// How much is streamed.
const GIB: u64 = 1 << 30;

const TRUE: &[u8] = b"1:1,9:/bin/true,0:,";
const TRUE_REPLY: &[u8] = b"8:exitcode,1:0,";

fn main() {
    let words: Vec<String> = std::env::args().collect();
    let parts = ["calls", "streams", "memory"];
    let asked = |part| words.iter().any(|word| word == part);
    let all = !parts.into_iter().any(asked);
    if all || asked("calls") {
        calls();
    }
    if all || asked("streams") {
        streams();
    }
    if all || asked("memory") {
        memory();
    }
}

/// An exec server in a folder of its own, ended when it is dropped.
struct Server {
    child: Child,
    folder: tempfile::TempDir,
}

impl Server {
    fn start() -> Self {
        let folder = tempfile::Builder::new().prefix("coproc-bench-").tempdir().unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_coproc"))
            .args(["exec-server", "-m", "256", "-q", "256"])
            .arg(folder.path().join("exec.sock"))
            .current_dir(folder.path())
            .env("COPROC_RUN_PATH", folder.path().join("run"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let server = Self { child, folder };
        let deadline = Instant::now() + Duration::from_secs(10);
        while UnixStream::connect(server.socket()).is_err() {
            assert!(Instant::now() < deadline, "the server never listened");
            thread::sleep(Duration::from_millis(5));
        }
        server
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("exec.sock")
    }

    /// Resident memory of the server's own processes in KiB, now and at its highest.
    fn resident(&self) -> (u64, u64) {
        let pid = self.child.id();
        let mut all = vec![pid.to_string()];
        let children = format!("/proc/{pid}/task/{pid}/children");
        all.extend(
            fs::read_to_string(children).unwrap_or_default().split_whitespace().map(str::to_owned),
        );
        let mut sum = (0, 0);
        for pid in all {
            let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
            let value = |key: &str| -> u64 {
                let line = status.lines().find(|line| line.starts_with(key));
                line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok()).unwrap_or(0)
            };
            sum = (sum.0 + value("VmRSS:"), sum.1 + value("VmHWM:"));
        }
        sum
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = kill(Pid::from_raw(self.child.id() as i32), Signal::SIGTERM);
        let _ = self.child.wait();
    }
}

/// How a measurement of calls went.
struct Calls {
    per_second: f64,
    /// In milliseconds, sorted.
    times: Vec<f64>,
}

impl Calls {
    fn new(seconds: f64, mut times: Vec<f64>) -> Self {
        times.sort_by(f64::total_cmp);
        Self { per_second: times.len() as f64 / seconds, times }
    }

    fn percentile(&self, part: f64) -> f64 {
        self.times[((self.times.len() - 1) as f64 * part) as usize]
    }
}

fn calls() {
    println!("calls of /bin/true; medians of {ROUNDS} rounds of {CALLS}");
    println!("{:>8} {:22} {:>8} {:>8} {:>8}", "at once", "", "calls/s", "p50 ms", "p99 ms");
    for at_once in [1, 8, 64] {
        let mut results: [Vec<Calls>; 3] = Default::default();
        for _ in 0..ROUNDS {
            results[0].push(bare(1));
            results[1].push(bare(at_once));
            let server = Server::start();
            call(&server.socket(), at_once, WARM_UP);
            results[2].push(call(&server.socket(), at_once, CALLS));
        }
        let rates = results.map(|mut rounds| {
            rounds.sort_by(|a, b| a.per_second.total_cmp(&b.per_second));
            let median = &rounds[rounds.len() / 2];
            (median.per_second, median.percentile(0.5), median.percentile(0.99))
        });
        for ((rate, p50, p99), name) in
            rates.iter().zip(["bare loop, 1 thread", "bare loop, parallel", "exec socket"])
        {
            println!("{at_once:8} {name:22} {rate:8.0} {p50:8.2} {p99:8.2}");
        }
        println!(
            "{at_once:8} ratio to 1 thread ×{:.2}, to parallel ×{:.2}",
            rates[2].0 / rates[0].0,
            rates[2].0 / rates[1].0
        );
    }
}

/// The floor: so many threads that start the program and wait for it.
fn bare(threads: usize) -> Calls {
    let started = Instant::now();
    let workers: Vec<_> = (0..threads)
        .map(|_| {
            thread::spawn(move || -> Vec<f64> {
                (0..CALLS / threads).map(|_| bare_call()).collect()
            })
        })
        .collect();
    let times = workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect();
    Calls::new(started.elapsed().as_secs_f64(), times)
}

fn bare_call() -> f64 {
    let started = Instant::now();
    let pipes = [(); 3].map(|()| pipe_with(PipeFlags::CLOEXEC).unwrap());
    let [(input, feed), (out, output), (err, errors)] = pipes;
    let mut files = PosixSpawnFileActions::init().unwrap();
    for (number, fd) in [&input, &output, &errors].into_iter().enumerate() {
        files.add_dup2(std::os::fd::AsRawFd::as_raw_fd(fd), number as i32).unwrap();
    }
    let attributes = PosixSpawnAttr::init().unwrap();
    let pid =
        posix_spawn(c"/bin/true", &files, &attributes, &[c"/bin/true"], &[] as &[&std::ffi::CStr])
            .unwrap();
    drop((input, output, errors, feed));
    for stream in [out, err] {
        assert_eq!(fs::File::from(stream).read(&mut [0; 64]).unwrap(), 0);
    }
    waitpid(pid, None).unwrap();
    started.elapsed().as_secs_f64() * 1e3
}

/// A call that waits for its reply.
struct Pending {
    stream: UnixStream,
    started: Instant,
    reply: Vec<u8>,
}

impl Pending {
    fn send(socket: &Path, waiting: &OwnedFd, key: usize) -> Self {
        let started = Instant::now();
        let mut stream = UnixStream::connect(socket).unwrap();
        stream.write_all(TRUE).unwrap();
        stream.set_nonblocking(true).unwrap();
        let data = epoll::EventData::new_u64(key as u64);
        epoll::add(waiting, &stream, data, epoll::EventFlags::IN).unwrap();
        Self { stream, started, reply: Vec::with_capacity(64) }
    }

    /// Whether the server has closed.
    fn receive(&mut self) -> bool {
        let mut buffer = [0; 256];
        loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => return true,
                Ok(read) => self.reply.extend_from_slice(&buffer[..read]),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return false,
                Err(error) => panic!("reply: {error}"),
            }
        }
    }
}

/// Makes calls, always so many at once, from one thread.
fn call(socket: &Path, at_once: usize, count: usize) -> Calls {
    let waiting = epoll::create(epoll::CreateFlags::CLOEXEC).unwrap();
    let begun = Instant::now();
    let mut times = Vec::with_capacity(count);
    let mut sent = at_once.min(count);
    let mut pending: Vec<_> =
        (0..sent).map(|key| Some(Pending::send(socket, &waiting, key))).collect();
    let mut events = Vec::with_capacity(64);
    while times.len() < count {
        epoll::wait(&waiting, rustix::buffer::spare_capacity(&mut events), None).unwrap();
        for event in events.drain(..) {
            let key = { event.data }.u64() as usize;
            let Some(call) = &mut pending[key] else { continue };
            if !call.receive() {
                continue;
            }
            assert_eq!(call.reply, TRUE_REPLY, "{:?}", String::from_utf8_lossy(&call.reply));
            times.push(call.started.elapsed().as_secs_f64() * 1e3);
            pending[key] = None;
            if sent < count {
                sent += 1;
                pending[key] = Some(Pending::send(socket, &waiting, key));
            }
        }
    }
    Calls::new(begun.elapsed().as_secs_f64(), times)
}

fn streams() {
    println!("\nstreams of 1 GiB, one connection, 10^6 bytes per second; medians of {ROUNDS}");
    let mut rates: [Vec<f64>; 3] = Default::default();
    let mut highest = 0;
    for _ in 0..ROUNDS {
        rates[0].push(bare_stream());
        let server = Server::start();
        let head = format!("1:4,4:head,2:-c,{}:{GIB},9:/dev/zero,0:,", GIB.to_string().len());
        rates[1].push(stream(&server, head.as_bytes(), 0));
        let server = Server::start();
        rates[2].push(stream(&server, b"1:1,3:cat,", GIB));
        highest = highest.max(server.resident().1);
    }
    let median = |at: usize| {
        let mut values = rates[at].clone();
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    println!("head -c 1G | cat | cat >/dev/null {:6.0} MB/s", median(0));
    println!("from `head -c 1G /dev/zero`       {:6.0} MB/s", median(1));
    println!("through `cat`                     {:6.0} MB/s, {highest} KiB at most", median(2));
}

/// The floor: the same bytes through two pipes.
fn bare_stream() -> f64 {
    let started = Instant::now();
    let line = format!("head -c {GIB} /dev/zero | cat | cat >/dev/null");
    assert!(Command::new("sh").args(["-c", &line]).status().unwrap().success());
    GIB as f64 / started.elapsed().as_secs_f64() / 1e6
}

/// Sends a request and then `input` bytes of stdin; the rate at which 1 GiB of stdout came back.
fn stream(server: &Server, request: &[u8], input: u64) -> f64 {
    let started = Instant::now();
    let mut socket = UnixStream::connect(server.socket()).unwrap();
    socket.write_all(request).unwrap();
    let mut feed = socket.try_clone().unwrap();
    let feeder = thread::spawn(move || {
        let mut piece = b"65536:".to_vec();
        piece.resize(6 + 65536, b'x');
        piece.push(b',');
        for _ in 0..input / 65536 {
            feed.write_all(&piece).unwrap();
        }
        if input > 0 {
            feed.write_all(b"0:,").unwrap();
        }
    });
    let received = receive_stream(&mut socket);
    feeder.join().unwrap();
    assert_eq!(received, GIB);
    GIB as f64 / started.elapsed().as_secs_f64() / 1e6
}

/// Reads pairs to the end of the connection: how many bytes of stdout they held.
fn receive_stream(socket: &mut UnixStream) -> u64 {
    let mut buffer = vec![0; 256 * 1024];
    let (mut filled, mut total, mut is_stdout, mut is_tag) = (0, 0, false, true);
    loop {
        let read = socket.read(&mut buffer[filled..]).unwrap();
        if read == 0 {
            assert_eq!(filled, 0, "the last netstring is cut");
            return total;
        }
        filled += read;
        let mut at = 0;
        while let Some(colon) = buffer[at..filled.min(at + 24)].iter().position(|b| *b == b':') {
            let length: usize =
                std::str::from_utf8(&buffer[at..at + colon]).unwrap().parse().unwrap();
            let end = at + colon + 1 + length;
            if end >= filled {
                break;
            }
            assert_eq!(buffer[end], b',');
            match is_tag {
                true => is_stdout = &buffer[at + colon + 1..end] == b"stdout",
                false if is_stdout => total += length as u64,
                false => assert_eq!(&buffer[at + colon + 1..end], b"0"),
            }
            is_tag = !is_tag;
            at = end + 1;
        }
        buffer.copy_within(at..filled, 0);
        filled -= at;
    }
}

fn memory() {
    let server = Server::start();
    let idle = server.resident().0;
    let clients: Vec<_> = (0..64)
        .map(|_| {
            let mut socket = UnixStream::connect(server.socket()).unwrap();
            socket.write_all(b"1:1,3:cat,2:hi,").unwrap();
            // An answer shows that its program runs.
            let mut answer = [0; 14];
            socket.read_exact(&mut answer).unwrap();
            assert_eq!(&answer, b"6:stdout,2:hi,");
            socket
        })
        .collect();
    let busy = server.resident().0;
    println!("\nresident memory: {idle} KiB idle, {busy} KiB with 64 programs running");
    drop(clients);
}
