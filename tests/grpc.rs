//! The gRPC driver with a real plugin server, which is killed, stopped and started anew, and with servers
//! that break the rules.
#![allow(clippy::disallowed_methods)]

use std::convert::Infallible;
use std::io::{BufRead, BufReader, Lines};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use coproc_gateway::driver::grpc::{Grpc, GrpcConfig, Presence, breaker};
use coproc_gateway::driver::{Call, Driver, Failure, reply};
use coproc_gateway::wire::{Event, MiniRequestObject, Object};
use futures_util::future::join_all;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use prost::Message;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixListener;
use tokio::sync::watch;

/// How long any fact may take to come true on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// The plugin server of `tests/support/plugin.rs`, ended when it is dropped.
struct Plugin {
    child: Child,
    out: Lines<BufReader<ChildStdout>>,
}

impl Plugin {
    fn start(address: &str) -> Self {
        let mut path = PathBuf::from(env!("CARGO_BIN_EXE_coproc"));
        path.pop();
        path.push("examples/plugin");
        let mut command = Command::new(path);
        let mut child = command.arg(address).stdout(Stdio::piped()).spawn().unwrap();
        let out = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut plugin = Self { child, out };
        assert_eq!(plugin.line(), "ready");
        plugin
    }

    fn at(folder: &Path, name: &str) -> Self {
        Self::start(&format!("unix:{}", folder.join(name).display()))
    }

    fn line(&mut self) -> String {
        self.out.next().unwrap().unwrap()
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().cast_signed()), signal).unwrap();
    }
}

impl Drop for Plugin {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn folder() -> TempDir {
    tempfile::Builder::new().prefix("coproc-test-").tempdir().unwrap()
}

/// A driver for sockets in a folder.
fn config(folder: &Path, names: &[&str]) -> GrpcConfig {
    let address = |name: &&str| format!("unix://{}", folder.join(name).display());
    GrpcConfig { addresses: names.iter().map(address).collect(), ..GrpcConfig::default() }
}

fn open(folder: &Path, names: &[&str]) -> Grpc {
    Grpc::open(&config(folder, names)).unwrap()
}

fn object(hook: &str) -> Object {
    let request = MiniRequestObject { url: "/".to_owned(), ..Default::default() };
    Object {
        hook_type: 1,
        hook_name: hook.to_owned(),
        request: Some(request),
        ..Default::default()
    }
}

/// Calls a hook; the answer is the headers that it sets.
async fn within(grpc: &Grpc, hook: &str, time: Duration) -> Result<Object, Failure> {
    let trace = [("traceparent", "00-1-2-01".to_owned())];
    let object = object(hook);
    let deadline = Instant::now() + time;
    let call = Call { object: (&object).into(), deadline, trace: &trace };
    grpc.dispatch(call).await
}

async fn call(grpc: &Grpc, hook: &str) -> Result<Object, Failure> {
    within(grpc, hook, PATIENCE).await
}

fn header<'a>(object: &'a Object, name: &str) -> &'a str {
    &object.request.as_ref().unwrap().set_headers[name]
}

#[track_caller]
fn is_unreachable(answer: &Result<Object, Failure>) {
    assert!(matches!(answer, Err(Failure::Unreachable(_))), "{answer:?}");
}

#[tokio::test]
async fn calls_events_and_what_comes_with_them() {
    let folder = folder();
    let mut plugin = Plugin::at(folder.path(), "s");
    let grpc = open(folder.path(), &["s"]);
    assert_eq!(header(&call(&grpc, "SetHeader").await.unwrap(), "Testheader"), "testvalue");
    let asked = object("Unknown");
    let heeded = reply::read(asked.hook_type, &*asked.encode_to_vec()).unwrap();
    assert_eq!(call(&grpc, "Unknown").await.unwrap(), heeded);

    let told = call(&grpc, "TellMetadata").await.unwrap();
    assert_eq!(header(&told, "authority"), "localhost");
    assert_eq!(header(&told, "traceparent"), "00-1-2-01");
    assert!(!header(&told, "grpc-timeout").is_empty());

    let event = Event { payload: "{\"a\":1}".to_owned() };
    grpc.dispatch_event(event, Instant::now() + PATIENCE).await.unwrap();
    assert_eq!(plugin.line(), "{\"a\":1}");

    let figures = grpc.figures();
    assert_eq!((figures.calls, figures.failures, figures.in_flight), (4, [0; 7], 0));
    assert_eq!(figures.buckets.iter().sum::<u64>(), 4);
}

#[tokio::test]
async fn servers_on_ports_are_found_by_address_and_by_name() {
    let port = {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        free.local_addr().unwrap().port()
    };
    let _plugin = Plugin::start(&format!("127.0.0.1:{port}"));
    for (address, authority) in [
        (format!("tcp://127.0.0.1:{port}"), format!("127.0.0.1:{port}")),
        (format!("127.0.0.1:{port}"), format!("127.0.0.1:{port}")),
        (format!("dns:///localhost:{port}"), format!("localhost:{port}")),
        (format!("passthrough:///localhost:{port}"), format!("localhost:{port}")),
    ] {
        let config = GrpcConfig { addresses: vec![address], ..GrpcConfig::default() };
        let told = call(&Grpc::open(&config).unwrap(), "TellMetadata").await.unwrap();
        assert_eq!(header(&told, "authority"), authority);
        let config = GrpcConfig { authority: Some("plugin.test".to_owned()), ..config };
        let told = call(&Grpc::open(&config).unwrap(), "TellMetadata").await.unwrap();
        assert_eq!(header(&told, "authority"), "plugin.test");
    }
}

#[tokio::test]
async fn t72_a_server_that_is_not_there_is_told_at_once_and_found_when_it_is() {
    let folder = folder();
    let grpc = open(folder.path(), &["s"]);
    is_unreachable(&call(&grpc, "Echo").await);
    let _plugin = Plugin::at(folder.path(), "s");
    call(&grpc, "Echo").await.unwrap();
}

#[tokio::test]
async fn a_server_that_is_killed_fails_its_calls_and_nothing_else() {
    let folder = folder();
    let plugin = Plugin::at(folder.path(), "s");
    let grpc = open(folder.path(), &["s"]);
    call(&grpc, "Echo").await.unwrap();
    let (caught, ()) = tokio::join!(call(&grpc, "Never"), async {
        while grpc.figures().in_flight == 0 {
            tokio::task::yield_now().await;
        }
        plugin.signal(Signal::SIGKILL);
    });
    is_unreachable(&caught);
    drop(plugin);
    is_unreachable(&call(&grpc, "Echo").await);
    let _plugin = Plugin::at(folder.path(), "s");
    call(&grpc, "Echo").await.unwrap();
    is_unreachable(&call(&grpc, "Exit").await);
}

#[tokio::test]
async fn a_server_may_be_stopped_and_killed_under_load() {
    let folder = folder();
    let plugin = Plugin::at(folder.path(), "s");
    let rest = Duration::from_millis(50);
    let limits = breaker::Limits { failures: 5, rest, longest: rest };
    let grpc =
        Grpc::open(&GrpcConfig { breaker: limits, ..config(folder.path(), &["s"]) }).unwrap();
    // Each goes on until it has seen failures, and answers after them.
    let caller = async || {
        let (mut failed, mut good) = (false, 0);
        let begun = Instant::now();
        while !failed || good < 20 {
            assert!(begun.elapsed() < PATIENCE);
            match call(&grpc, "Echo").await {
                Ok(_) => good += 1,
                Err(Failure::Unreachable(_) | Failure::Resting) => {
                    (failed, good) = (true, 0);
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
                Err(other) => panic!("{other}"),
            }
        }
    };
    let killer = async {
        while grpc.figures().calls < 200 {
            tokio::task::yield_now().await;
        }
        plugin.signal(Signal::SIGSTOP);
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert_eq!(grpc.figures().failures, [0; 7], "a pause is no failure");
        plugin.signal(Signal::SIGKILL);
        while grpc.figures().failures == [0; 7] {
            tokio::task::yield_now().await;
        }
        Plugin::at(folder.path(), "s")
    };
    tokio::join!(join_all((0..16).map(|_| caller())), killer);
}

#[tokio::test]
async fn a_server_that_is_stopped_makes_calls_late() {
    let folder = folder();
    let plugin = Plugin::at(folder.path(), "s");
    let grpc = open(folder.path(), &["s"]);
    call(&grpc, "Echo").await.unwrap();
    plugin.signal(Signal::SIGSTOP);
    for _ in 0..8 {
        let late = within(&grpc, "Echo", Duration::from_millis(20)).await;
        assert_eq!(late, Err(Failure::Late));
    }
    plugin.signal(Signal::SIGCONT);
    call(&grpc, "Echo").await.unwrap();
    let late = within(&grpc, "Never", Duration::from_millis(20)).await;
    assert_eq!((late, grpc.figures().in_flight), (Err(Failure::Late), 0));
}

#[tokio::test]
async fn what_is_wrong_with_an_answer_is_told_apart() {
    let folder = folder();
    let _plugin = Plugin::at(folder.path(), "s");
    let grpc = open(folder.path(), &["s"]);
    let refused = Failure::Refused("Internal: as asked".to_owned());
    assert_eq!(call(&grpc, "Error").await, Err(refused));
    let refused = Failure::Refused("Unavailable: as asked".to_owned());
    assert_eq!(call(&grpc, "Unavailable").await, Err(refused));
    let garbage = call(&grpc, "Garbage").await;
    assert!(matches!(garbage, Err(Failure::Malformed(_))), "{garbage:?}");
    let large = call(&grpc, "Large").await;
    assert!(matches!(large, Err(Failure::TooLarge(_))), "{large:?}");
    assert_eq!(call(&grpc, "NoRequest").await.unwrap().request, None);

    let config = GrpcConfig { send_max: 10, receive_max: 6 << 20, ..config(folder.path(), &["s"]) };
    let large = call(&Grpc::open(&config).unwrap(), "Echo of more than that").await;
    assert!(matches!(large, Err(Failure::TooLarge(_))), "{large:?}");
    let grpc = Grpc::open(&GrpcConfig { send_max: 0, ..config }).unwrap();
    let large = call(&grpc, "Large").await.unwrap();
    assert_eq!(large.request.unwrap().raw_body.len(), 5 << 20);
}

#[tokio::test]
async fn a_server_refuses_what_is_too_large_for_it() {
    let folder = folder();
    let listener = UnixListener::bind(folder.path().join("s")).unwrap();
    let server = goodbye(listener, usize::MAX, 1024);
    let grpc = open(folder.path(), &["s"]);
    let mut object = object("Echo");
    object.request.as_mut().unwrap().raw_body = Bytes::from(vec![b'x'; 1 << 20]);
    let call = Call { object: (&object).into(), deadline: Instant::now() + PATIENCE, trace: &[] };
    let large = grpc.dispatch(call).await;
    assert!(matches!(large, Err(Failure::TooLarge(_))), "{large:?}");
    server.abort();
}

#[tokio::test]
async fn what_speaks_no_grpc_is_unreachable() {
    let folder = folder();
    let listener = UnixListener::bind(folder.path().join("s")).unwrap();
    let server = tokio::spawn(async move {
        for turn in 0.. {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut some = [0; 24];
            stream.read_exact(&mut some).await.unwrap();
            match turn % 3 {
                0 => stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap(),
                1 => stream.shutdown().await.unwrap(),
                _ => continue,
            }
            // The other direction stays open until the client closes it.
            while stream.read(&mut some).await.is_ok_and(|read| read > 0) {}
        }
    });
    for _ in 0..3 {
        is_unreachable(&call(&open(folder.path(), &["s"]), "Echo").await);
    }
    server.abort();
}

#[tokio::test]
async fn several_servers_share_the_calls_and_stand_in_for_each_other() {
    let folder = folder();
    let first = Plugin::at(folder.path(), "a");
    let _second = Plugin::at(folder.path(), "b");
    let grpc = open(folder.path(), &["a", "b", "nobody"]);
    for _ in 0..20 {
        call(&grpc, "Echo").await.unwrap();
    }
    for name in ["a", "b"] {
        let count = call(&open(folder.path(), &[name]), "Count").await.unwrap();
        let count = header(&count, "Calls").parse::<u64>().unwrap();
        assert!(count > 5, "{name} had {count} of 20");
    }
    drop(first);
    for _ in 0..20 {
        call(&grpc, "Echo").await.unwrap();
    }
}

#[tokio::test]
async fn a_server_that_keeps_failing_is_left_alone_and_tried_again() {
    let folder = folder();
    let rest = Duration::from_millis(300);
    let limits = breaker::Limits { failures: 5, rest, longest: rest };
    let grpc =
        Grpc::open(&GrpcConfig { breaker: limits, ..config(folder.path(), &["s"]) }).unwrap();
    for _ in 0..5 {
        is_unreachable(&call(&grpc, "Echo").await);
    }
    let _plugin = Plugin::at(folder.path(), "s");
    let begun = Instant::now();
    // Whoever asks too early learns that at once.
    while call(&grpc, "Echo").await == Err(Failure::Resting) {
        assert!(begun.elapsed() < PATIENCE);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    call(&grpc, "Echo").await.unwrap();
}

#[tokio::test]
async fn calls_beyond_the_queue_are_refused() {
    let folder = folder();
    let _plugin = Plugin::at(folder.path(), "s");
    let config = GrpcConfig { max_in_flight: 2, queue: 3, ..config(folder.path(), &["s"]) };
    let grpc = Grpc::open(&config).unwrap();
    let answers = join_all((0..8).map(|_| call(&grpc, "Slow"))).await;
    let busy = answers.iter().filter(|answer| **answer == Err(Failure::Busy)).count();
    let good = answers.iter().filter(|answer| answer.is_ok()).count();
    assert_eq!((good, busy), (5, 3), "{answers:?}");
    let figures = grpc.figures();
    assert_eq!((figures.in_flight, figures.queued, figures.failures[3]), (0, 0, 3));
}

#[tokio::test]
async fn a_server_that_says_it_does_not_serve_is_not_asked() {
    let folder = folder();
    let _plugin = Plugin::at(folder.path(), "s");
    let other = open(folder.path(), &["s"]);
    let config = GrpcConfig { health: true, ..config(folder.path(), &["s"]) };
    let grpc = Grpc::open(&config).unwrap();
    call(&grpc, "Echo").await.unwrap();
    for (hook, serves) in [("Sick", false), ("Well", true)] {
        call(&other, hook).await.unwrap();
        let begun = Instant::now();
        while call(&grpc, "Echo").await.is_ok() != serves {
            assert!(begun.elapsed() < PATIENCE);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

#[tokio::test]
async fn calls_wait_for_a_coprocess_that_is_being_started() {
    let folder = folder();
    let (tell, presence) = watch::channel(Presence::Coming);
    let grpc = open(folder.path(), &["s"]).awaiting(presence);
    let (answer, _plugin) = tokio::join!(call(&grpc, "Echo"), async {
        let plugin = Plugin::at(folder.path(), "s");
        tell.send_replace(Presence::Up);
        plugin
    });
    answer.unwrap();
    tell.send_replace(Presence::Gone);
    is_unreachable(&call(&grpc, "Echo").await);
}

/// Echoes calls, takes messages up to a size, and says goodbye on each connection after so many calls.
fn goodbye(listener: UnixListener, calls: usize, max: usize) -> tokio::task::JoinHandle<()> {
    let connection = move |stream| async move {
        let served = Arc::new(AtomicUsize::new(0));
        let counted = served.clone();
        let service = hyper::service::service_fn(move |request: http::Request<Incoming>| {
            let served = counted.clone();
            async move {
                let codec = tonic_prost::ProstCodec::<Object, Object>::default();
                let mut server = tonic::server::Grpc::new(codec).max_decoding_message_size(max);
                let answer = server.unary(Echo, request).await;
                served.fetch_add(1, Ordering::Relaxed);
                Ok::<_, Infallible>(answer)
            }
        });
        let server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
        let mut connection = Box::pin(server.serve_connection(TokioIo::new(stream), service));
        let mut left = false;
        let _ = std::future::poll_fn(|context| {
            let done = Future::poll(connection.as_mut(), context);
            if !left && served.load(Ordering::Relaxed) >= calls {
                left = true;
                connection.as_mut().graceful_shutdown();
                context.waker().wake_by_ref();
            }
            done
        })
        .await;
    };
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(connection(stream));
        }
    })
}

struct Echo;

impl tonic::server::UnaryService<Object> for Echo {
    type Response = Object;
    type Future = std::future::Ready<Result<tonic::Response<Object>, tonic::Status>>;

    fn call(&mut self, request: tonic::Request<Object>) -> Self::Future {
        std::future::ready(Ok(tonic::Response::new(request.into_inner())))
    }
}

#[tokio::test]
async fn a_server_may_say_goodbye_at_any_time() {
    let folder = folder();
    let listener = UnixListener::bind(folder.path().join("s")).unwrap();
    let server = goodbye(listener, 3, 1 << 20);
    let grpc = open(folder.path(), &["s"]);
    let answers = join_all((0..200).map(|_| call(&grpc, "Echo"))).await;
    for answer in answers {
        answer.unwrap();
    }
    for _ in 0..20 {
        call(&grpc, "Echo").await.unwrap();
    }
    server.abort();
}
