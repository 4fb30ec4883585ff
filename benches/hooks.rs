//! Calls of a hook that looks at headers alone, from each driver over Unix sockets on the same processors: how
//! many a second, and how long they take, at 1 and 64 at once. gRPC goes to a plugin server in Rust and to one
//! in Python (`make deps` installs what that needs); the Python driver goes to one worker, and where messages
//! are in plain Python as well. Building the object and applying it are part of a call.
//! `cargo bench --bench hooks`
#![allow(clippy::print_stdout, clippy::disallowed_methods, missing_docs)]

#[path = "../tests/support/plugin.rs"]
mod plugin;

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use coproc_gateway::api::{Api, BodyWanted, Hook, Hooks, OnError, Upstream};
use coproc_gateway::driver::grpc::{Grpc, GrpcConfig};
use coproc_gateway::driver::python::{Python, PythonConfig};
use coproc_gateway::driver::{Call, Driver};
use coproc_gateway::exchange::{Draft, Scheme, Target};
use coproc_gateway::object::{self, Rules};
use coproc_gateway::wire::HookType;
use futures_util::future::join_all;
use http::{HeaderMap, HeaderName, Method, Uri};

const WARM_UP: Duration = Duration::from_millis(300);
const MEASURED: Duration = Duration::from_secs(3);
const ROUNDS: usize = 3;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
/// A hook for the Python driver.
const HOOK: &str = "\
from tyk.decorators import *

@Hook
def SetHeader(request, session, spec):
    request.add_header('Testheader', 'testvalue')
    request.delete_header('Deletethisheader')
    return request, session
";

fn main() {
    // The same program is the plugin server.
    if std::env::args().nth(1).is_some_and(|word| word.starts_with("unix:")) {
        return plugin::main();
    }
    println!("building and applying alone: {:.2} us", alone());
    println!("| driver | at once | calls/s | p50 us | p99 us |\n|---|---|---|---|---|");
    let venv = format!("{ROOT}/target/python/bin/python");
    for at_once in [1, 64] {
        for _ in 0..ROUNDS {
            for side in [
                Side::rust(),
                Side::grpc_python(&venv),
                Side::python("Python, protobuf", &venv),
                Side::python("Python, plain", "/usr/bin/python3"),
            ] {
                let mut times = measure(&*side.driver, at_once);
                times.sort_unstable();
                let at = |share: usize| times[times.len() * share / 100].as_micros();
                let rate = times.len() as f64 / MEASURED.as_secs_f64();
                println!("| {} | {at_once} | {rate:.0} | {} | {} |", side.name, at(50), at(99));
            }
        }
    }
}

/// A driver and the process that it calls, which is ended when it is dropped.
struct Side {
    name: &'static str,
    driver: Box<dyn Driver>,
    child: Child,
    _folder: tempfile::TempDir,
}

fn folder() -> tempfile::TempDir {
    tempfile::Builder::new().prefix("coproc-bench-").tempdir().unwrap()
}

impl Side {
    fn rust() -> Self {
        let folder = folder();
        let address = format!("unix:{}", folder.path().join("s").display());
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.arg(&address);
        Self::grpc("gRPC, Rust", command, address, folder)
    }

    fn grpc_python(python: &str) -> Self {
        let folder = folder();
        let stubs = folder.path().display();
        let made = Command::new(python)
            .args(["-m", "grpc_tools.protoc", "-I", &format!("{ROOT}/actors/gateway/proto")])
            .args([format!("--python_out={stubs}"), format!("--grpc_python_out={stubs}")])
            .arg("coprocess.proto")
            .status();
        assert!(made.unwrap().success());
        let address = format!("unix:{stubs}/s");
        let mut command = Command::new(python);
        command.arg(format!("{ROOT}/tests/plugins/python/plugin.py"));
        command.args([&stubs.to_string(), &address]);
        Self::grpc("gRPC, Python", command, address, folder)
    }

    fn grpc(
        name: &'static str,
        mut command: Command,
        address: String,
        folder: tempfile::TempDir,
    ) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut ready = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut ready).unwrap();
        let config = GrpcConfig { addresses: vec![address], ..GrpcConfig::default() };
        let driver = Box::new(Grpc::open(&config).unwrap());
        Self { name, driver, child, _folder: folder }
    }

    fn python(name: &'static str, interpreter: &str) -> Self {
        let folder = folder();
        let at = |name: &str| folder.path().join(name);
        std::fs::create_dir(at("hooks")).unwrap();
        std::fs::write(at("hooks/hook.py"), HOOK).unwrap();
        let config = PythonConfig {
            path: Some(at("hooks")),
            workers: 1,
            interpreter: interpreter.to_owned(),
            folder: at("python"),
            socket: at("s"),
            ..PythonConfig::default()
        };
        let worker = PythonConfig::name(1);
        let words = config.command();
        let variables = config.variables(&worker);
        let driver = Python::open(config).unwrap();
        let mut command = Command::new(&words[0]);
        let child = command.args(&words[1..]).envs(variables).spawn().unwrap();
        while driver.connected() == 0 {
            thread::sleep(Duration::from_millis(5));
        }
        Self { name, driver: Box::new(driver), child, _folder: folder }
    }
}

impl Drop for Side {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// How long each call took. As in the gateway there are as many threads as processors, with runtimes of
/// their own.
fn measure(driver: &dyn Driver, at_once: usize) -> Vec<Duration> {
    let threads = thread::available_parallelism().unwrap().get().min(at_once);
    let begin = Instant::now() + WARM_UP;
    let callers = move |number: usize| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let callers = (number..at_once).step_by(threads).map(|_| call(driver, begin));
        runtime.block_on(join_all(callers)).concat()
    };
    thread::scope(|scope| {
        let all: Vec<_> = (0..threads).map(|number| scope.spawn(move || callers(number))).collect();
        all.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    })
}

/// Calls one after another; how long each took that began in time.
async fn call(driver: &dyn Driver, begin: Instant) -> Vec<Duration> {
    let (api, hook, mut draft) = (api(), hook(), draft());
    let mut times = Vec::new();
    loop {
        let begun = Instant::now();
        if begun >= begin + MEASURED {
            return times;
        }
        let object = object::request(HookType::Pre, &hook, &api, &draft);
        let deadline = begun + Duration::from_secs(30);
        let answer = driver.dispatch(Call { object, deadline, trace: &[] }).await.unwrap();
        object::apply_request(&mut draft, &hook, answer, Rules::default()).unwrap();
        if begun >= begin {
            times.push(begun.elapsed());
        }
    }
}

/// Microseconds for building an object and applying it.
fn alone() -> f64 {
    const TIMES: u32 = 100_000;
    let (api, hook, mut draft) = (api(), hook(), draft());
    let begun = Instant::now();
    for _ in 0..TIMES {
        let object = object::request(HookType::Pre, &hook, &api, &draft);
        object::apply_request(&mut draft, &hook, object, Rules::default()).unwrap();
    }
    begun.elapsed().as_secs_f64() * 1e6 / f64::from(TIMES)
}

fn hook() -> Hook {
    let (body, on_error) = (BodyWanted::None, OnError::Closed(None));
    Hook { name: "SetHeader".to_owned(), body, timeout: None, on_error }
}

/// A browser's request.
fn draft() -> Draft {
    let headers: HeaderMap = [
        ("accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
        ("accept-encoding", "gzip, deflate, br"),
        ("accept-language", "en-US,en;q=0.5"),
        ("authorization", "Bearer 4f3a9c1be07d4d7ea1b2c3d4e5f60718"),
        ("cache-control", "no-cache"),
        ("connection", "keep-alive"),
        ("cookie", "session=0123456789abcdef; theme=dark"),
        ("referer", "https://example.org/orders/"),
        ("upgrade-insecure-requests", "1"),
        ("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"),
        ("x-request-id", "b7ad6b7169203331"),
    ]
    .into_iter()
    .map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap()))
    .collect();
    Draft {
        method: Method::GET,
        target: Target { path: "/orders/7".to_owned(), query: Some("a=1&b=2".to_owned()) },
        received: "/orders/7?a=1&b=2".to_owned(),
        authority: "example.org".to_owned(),
        scheme: Scheme::Http,
        headers,
        body: None,
        client: None,
        session: None,
    }
}

fn api() -> Api {
    Api {
        name: "orders".to_owned(),
        id: "o1".to_owned(),
        org: "53ac07777cbb8c2d53000002".to_owned(),
        listen_path: "/orders/".to_owned(),
        upstream: Upstream {
            url: Uri::from_static("http://127.0.0.1:9001/"),
            strip_listen_path: true,
            preserve_host: false,
        },
        auth: None,
        hooks: Hooks::default(),
        ignored: Vec::new(),
        config_data: None,
        bundle_hash: "d41d8cd98f00b204e9800998ecf8427e".to_owned(),
        events: Vec::new(),
        session_lifetime: Duration::ZERO,
        lifetime_respects_expiration: false,
        strip_auth_data: false,
        disable_rate_limit: false,
        disable_quota: false,
        response_headers: Vec::new(),
    }
}
