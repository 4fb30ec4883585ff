//! Calls of a hook that looks at headers alone, from each driver over Unix sockets on the same processors: how
//! many a second, and how long they take, at 1 and 64 at once. gRPC goes to a plugin server in Rust and to one
//! in Python (`make deps` installs what that needs); the Python driver goes to one worker, and where messages
//! are in plain Python as well. Building the object and applying it are part of a call. Lua and
//! native code run in this process: Lua with its bounds, and compiled without that on instructions.
//!
//! Then from end to end, by requests: a whole `coproc run` whose hook is in Python, beside one whose hook is in a
//! plugin server in Python, and one with a hook in neither.
//!
//! `cargo bench --bench hooks`; with `-- through` only the latter, with `-- calls` only the former, and with a word
//! behind that only drivers whose names begin with it; with `-- leak` instead of both what a million
//! requests leave behind in the gateway and in its worker.
#![allow(clippy::print_stdout, clippy::disallowed_methods, missing_docs)]

#[path = "support/load.rs"]
mod load;
#[path = "../tests/support/plugin.rs"]
mod plugin;
#[path = "support/servers.rs"]
mod servers;
#[path = "support/whole.rs"]
mod whole;

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use coproc_gateway::api::{Api, BodyWanted, Hook, OnError};
use coproc_gateway::driver::grpc::{Grpc, GrpcConfig};
use coproc_gateway::driver::lua::{Lua, LuaConfig};
use coproc_gateway::driver::native::{Native, NativeConfig};
use coproc_gateway::driver::python::{Python, PythonConfig};
use coproc_gateway::driver::{Call, Driver, reply};
use coproc_gateway::exchange::{Draft, Scheme, Target};
use coproc_gateway::object::{self, Rules, Spec};
use coproc_gateway::wire::HookType;
use futures_util::future::join_all;
use http::{HeaderMap, HeaderName, Method, Uri};
use load::{Speed, round};
use servers::Nginx;
use whole::Whole;

const WARM_UP: Duration = Duration::from_millis(300);
const MEASURED: Duration = Duration::from_secs(2);
const ROUNDS: usize = 3;
/// How often those from end to end take turns; odd, for there to be one in the middle.
const TURNS: usize = 5;
/// Requests of which is looked what they leave behind, and those before them.
const REQUESTS: u64 = 1_000_000;
const WARM_REQUESTS: u64 = 100_000;

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

/// The same in Lua.
const LUA_HOOK: &str = "\
function SetHeader(request, session, spec)
  tyk.req.set_header('Testheader', 'testvalue')
  tyk.req.clear_header('Deletethisheader')
  return request, session
end
";

fn main() {
    // The same program is the plugin server and the client.
    let words: Vec<String> = std::env::args().skip(1).collect();
    match words.first().map(String::as_str) {
        Some(address) if address.starts_with("unix:") => return plugin::main(),
        Some("load") => return load::load(words[1].parse().unwrap(), words[2].parse().unwrap()),
        Some("leak") => return leak(),
        Some("through") => return through(),
        Some("calls") => return calls(words.get(1).map_or("", String::as_str)),
        _ => {}
    }
    calls("");
    through();
}

/// Calls of drivers alone, of those whose names begin so.
fn calls(names: &str) {
    println!("building and applying alone: {:.2} us", alone());
    println!("| driver | at once | calls/s | p50 us | p99 us |\n|---|---|---|---|---|");
    let venv = format!("{ROOT}/target/python/bin/python");
    for at_once in [1, 64] {
        for _ in 0..ROUNDS {
            let sides: [(&'static str, &dyn Fn(&'static str) -> Side); 7] = [
                ("gRPC, Rust", &Side::rust),
                ("gRPC, Python", &|name| Side::grpc_python(name, &venv)),
                ("Python, protobuf", &|name| Side::python(name, &venv)),
                ("Python, plain", &|name| Side::python(name, "/usr/bin/python3")),
                ("Lua", &|name| Side::lua(name, LuaConfig::default().instructions)),
                ("Lua, compiled", &|name| Side::lua(name, 0)),
                ("native, C", &Side::native),
            ];
            for (name, side) in sides.into_iter().filter(|(name, _)| name.starts_with(names)) {
                let side = side(name);
                let mut times = measure(&*side.driver, at_once);
                times.sort_unstable();
                let at = |share: usize| times[times.len() * share / 100].as_nanos() as f64 / 1000.0;
                let rate = times.len() as f64 / MEASURED.as_secs_f64();
                println!(
                    "| {} | {at_once} | {rate:.0} | {:.1} | {:.1} |",
                    side.name,
                    at(50),
                    at(99)
                );
            }
        }
    }
}

/// Requests from end to end. All share the processors.
fn through() {
    let upstream = folder();
    let upstream = Nginx::upstream(&upstream.path().join("upstream"));
    let stages = [
        ("gRPC, Python", whole_of_grpc(upstream.port)),
        ("Python, 1 worker", whole_of_python(upstream.port, 1)),
        ("Python, 2 workers", whole_of_python(upstream.port, 2)),
        ("no hook", whole_without(upstream.port)),
    ];
    println!("| end to end | clients | requests/s | p50 ms | p99 ms | of gRPC |");
    println!("|---|---|---|---|---|---|");
    for clients in [1, 64] {
        let mut speeds = stages.each_ref().map(|_| Vec::new());
        for _ in 0..TURNS {
            for ((_, stage), speeds) in stages.iter().zip(&mut speeds) {
                speeds.push(round(stage.port, clients, || stage.started.seconds()));
            }
        }
        let medians = speeds.map(Speed::median);
        for ((name, _), speed) in stages.iter().zip(&medians) {
            let Speed { rate, p50, p99, .. } = speed;
            let ratio = rate / medians[0].rate;
            println!("| {name} | {clients} | {rate:.0} | {p50:.3} | {p99:.3} | {ratio:.2} |");
        }
    }
}

/// What requests leave behind.
fn leak() {
    let upstream = folder();
    let upstream = Nginx::upstream(&upstream.path().join("upstream"));
    let stage = whole_of_python(upstream.port, 1);
    println!("| requests | process | KiB | descriptors |\n|---|---|---|---|");
    let mut requests = 0;
    for until in (0..=5).map(|part| part * REQUESTS / 5 + WARM_REQUESTS) {
        while requests < until {
            requests += round(stage.port, 64, || 0.0).requests;
        }
        for (name, memory, descriptors) in stage.held() {
            println!("| {requests} | {name} | {memory} | {descriptors} |");
        }
    }
}

fn whole_of_python(upstream: u16, workers: usize) -> Whole {
    let folder = folder();
    let hooks = folder.path().join("hooks");
    std::fs::create_dir(&hooks).unwrap();
    std::fs::write(hooks.join("hook.py"), HOOK).unwrap();
    let tables = format!(
        "[gateway.python]\npath = \"{}\"\nworkers = {workers}\n\
         interpreter = \"{ROOT}/target/python/bin/python\"\n",
        hooks.display()
    );
    Whole::start(folder, upstream, "python", "", &tables)
}

fn whole_of_grpc(upstream: u16) -> Whole {
    let folder = folder();
    let python = format!("{ROOT}/target/python/bin/python");
    let stubs = folder.path().display().to_string();
    make_stubs(&python, &stubs);
    let tables = format!(
        "[coprocess.plugin]\nname = \"plugin\"\nbackground = true\nrestarts = \"unlimited\"\nexec_event = \"pre-start\"\n\
         stop_event = \"exit\"\nready = {{ unix = \"{stubs}/s\" }}\n\
         exec = [\"{python}\", \"{ROOT}/tests/plugins/python/plugin.py\", \"{stubs}\", \"unix:{stubs}/s\"]\n"
    );
    let keys = format!("grpc = \"unix:{stubs}/s\"");
    Whole::start(folder, upstream, "grpc", &keys, &tables)
}

/// One that calls no hook.
fn whole_without(upstream: u16) -> Whole {
    Whole::start(folder(), upstream, "grpc", "enable_coprocess = false", "")
}

/// Has grpcio's tools make what a plugin server in Python needs.
fn make_stubs(python: &str, folder: &str) {
    let made = Command::new(python)
        .args(["-m", "grpc_tools.protoc", "-I", &format!("{ROOT}/actors/gateway/proto")])
        .args([format!("--python_out={folder}"), format!("--grpc_python_out={folder}")])
        .arg("coprocess.proto")
        .status();
    assert!(made.unwrap().success());
}

/// A driver and the process that it calls, which is ended when it is dropped.
struct Side {
    name: &'static str,
    driver: Box<dyn Driver>,
    /// `None` where hooks run in this process.
    child: Option<Child>,
    _folder: tempfile::TempDir,
}

fn folder() -> tempfile::TempDir {
    tempfile::Builder::new().prefix("coproc-bench-").tempdir().unwrap()
}

impl Side {
    fn rust(name: &'static str) -> Self {
        let folder = folder();
        let address = format!("unix:{}", folder.path().join("s").display());
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.arg(&address);
        Self::grpc(name, command, address, folder)
    }

    fn grpc_python(name: &'static str, python: &str) -> Self {
        let folder = folder();
        let stubs = folder.path().display().to_string();
        make_stubs(python, &stubs);
        let address = format!("unix:{stubs}/s");
        let mut command = Command::new(python);
        command.arg(format!("{ROOT}/tests/plugins/python/plugin.py"));
        command.args([&stubs, &address]);
        Self::grpc(name, command, address, folder)
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
        Self { name, driver, child: Some(child), _folder: folder }
    }

    /// `instructions` bounds a call; 0: nothing does.
    fn lua(name: &'static str, instructions: u32) -> Self {
        let folder = folder();
        std::fs::write(folder.path().join("hooks.lua"), LUA_HOOK).unwrap();
        let path = folder.path().to_owned();
        let driver =
            Lua::open(LuaConfig { path: Some(path), instructions, ..LuaConfig::default() });
        Self { name, driver: Box::new(driver), child: None, _folder: folder }
    }

    /// The sample in C.
    fn native(name: &'static str) -> Self {
        let folder = folder();
        let library = folder.path().join("hooks.so");
        let mut compiler = Command::new("cc");
        compiler.args(["-O2", "-shared", "-fPIC", "-I", &format!("{ROOT}/include"), "-o"]);
        compiler.arg(&library).arg(format!("{ROOT}/config-samples/gateway-native/hooks.c"));
        assert!(compiler.status().unwrap().success());
        let driver = Native::open(&NativeConfig { library }).unwrap();
        driver.start(None).unwrap();
        Self { name, driver: Box::new(driver), child: None, _folder: folder }
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
        Self { name, driver: Box::new(driver), child: Some(child), _folder: folder }
    }
}

impl Drop for Side {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
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
    let (spec, hook, mut draft) = (Spec::of(&api()), hook(), draft());
    let mut times = Vec::new();
    loop {
        let begun = Instant::now();
        if begun >= begin + MEASURED {
            return times;
        }
        let object = object::request(HookType::Pre, &hook, &spec, &draft);
        let deadline = begun + Duration::from_secs(30);
        let answer = driver.dispatch(Call { object, deadline, trace: &[] }).await.unwrap();
        object::apply_request(&mut draft, &hook, answer, Rules::default()).unwrap();
        if begun >= begin {
            times.push(begun.elapsed());
        }
    }
}

/// Microseconds for writing an object, reading and applying it.
fn alone() -> f64 {
    const TIMES: u32 = 100_000;
    let (spec, hook, mut draft) = (Spec::of(&api()), hook(), draft());
    let begun = Instant::now();
    for _ in 0..TIMES {
        let object = object::request(HookType::Pre, &hook, &spec, &draft);
        let returned = reply::read(object.kind, &*object.bytes).unwrap();
        object::apply_request(&mut draft, &hook, returned, Rules::default()).unwrap();
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
        org: "53ac07777cbb8c2d53000002".to_owned(),
        bundle_hash: "d41d8cd98f00b204e9800998ecf8427e".to_owned(),
        ..Api::new("o1", "/orders/", Uri::from_static("http://127.0.0.1:9001/"))
    }
}
