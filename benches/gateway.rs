//! The gateway beside nginx's `proxy_pass`, in one run: requests for each second of processor time that
//! the proxy used, and how long they took. Prints medians and ratios.
//!
//! Both pass the same requests on to the same nginx, which answers from memory; both keep connections
//! alive on both sides, speak HTTP/1.1 and say on whose behalf they ask. Client and upstream are
//! processes of their own, and cost both sides the same. The two take turns, so that what else the
//! machine does falls on both. The gateway without hooks is the library, served by this program. A part
//! alone: `cargo bench --bench gateway -- proxy`, or `hook`.
#![allow(clippy::print_stdout, clippy::disallowed_methods, missing_docs)]

#[path = "../tests/support/plugin.rs"]
mod plugin;

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use coproc_gateway::api::{Api, BodyWanted, Hook, Hooks, OnError, Upstream};
use coproc_gateway::config::{Config, Listen, StoreConfig};
use coproc_gateway::driver::grpc::GrpcConfig;
use coproc_gateway::server::{Bound, Server};
use rustix::event::epoll;

/// How long either side runs in a round.
const ROUND: Duration = Duration::from_secs(2);
/// How long it runs before anything is counted.
const WARMTH: Duration = Duration::from_millis(300);
/// How often they take turns; odd, for there to be one in the middle.
const ROUNDS: usize = 7;
/// What the upstream answers with.
const BODY: usize = 128;

fn main() {
    let words: Vec<String> = std::env::args().collect();
    match words.get(1).map(String::as_str) {
        Some("gateway") => {
            return gateway(&words[2], &words[3], &words[4], words.get(5).map(String::as_str));
        }
        Some("auth") => return auth(words[2].parse().unwrap()),
        // The same program is the plugin server.
        Some(address) if address.starts_with("unix:") => return plugin::main(),
        Some("load") => return load(words[2].parse().unwrap(), words[3].parse().unwrap()),
        _ => {}
    }
    let folder = tempfile::Builder::new().prefix("coproc-bench-").tempdir().unwrap();
    let alone = words.iter().find(|word| ["proxy", "hook"].contains(&word.as_str()));
    let asked = |part| alone.is_none_or(|alone| alone == part);
    if asked("proxy") {
        proxy(folder.path());
    }
    if asked("hook") {
        hook(folder.path());
    }
}

/// Requests with one hook that sees headers alone, with none, and through nginx, whose `auth_request` asks a
/// server of HTTP that does what the hook does. All share both processors.
fn hook(folder: &Path) {
    let upstream = Nginx::upstream(&folder.join("upstream-of-hooks"));
    let socket = format!("unix:{}", folder.join("plugin").display());
    let _plugin = Started::new(&std::env::current_exe().unwrap(), &[&socket], "0,1");
    let hookless = Started::gateway(upstream.port, 2, "0,1", None);
    let hooked = Started::gateway(upstream.port, 2, "0,1", Some(&socket));
    let auth = free_port();
    let words = ["auth", &auth.to_string()];
    let _auth = Started::new(&std::env::current_exe().unwrap(), &words, "0,1");
    await_port(auth);
    let nginx = Nginx::asking(&folder.join("asking"), upstream.port, auth);
    println!("requests per second with a hook, two cores shared with plugin, client and upstream");
    println!(
        "{:>7} {:>10} {:>10} {:>7} {:>12} {:>9} {:>9} {:>12}",
        "clients",
        "hookless",
        "one hook",
        "ratio",
        "auth_request",
        "p50 ms",
        "one hook",
        "auth_request"
    );
    for clients in [1, 64] {
        let (mut none, mut one, mut asked) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            none.push(round(hookless.port, clients, || hookless.started.seconds()));
            one.push(round(hooked.port, clients, || hooked.started.seconds()));
            asked.push(round(nginx.port, clients, || nginx.started.seconds()));
        }
        let [none, one, asked] = [none, one, asked].map(Speed::median);
        println!(
            "{clients:>7} {:>10.0} {:>10.0} {:>7.2} {:>12.0} {:>9.3} {:>9.3} {:>12.3}",
            none.rate,
            one.rate,
            one.rate / none.rate,
            asked.rate,
            none.p50,
            one.p50,
            asked.p50,
        );
    }
}

/// Answers everything as the hook would: 200, with the header that it sets.
fn auth(port: u16) {
    let answer = |_| async {
        let mut response = hyper::Response::new(String::new());
        response
            .headers_mut()
            .insert("testheader", hyper::header::HeaderValue::from_static("testvalue"));
        Ok::<_, std::convert::Infallible>(response)
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await.unwrap();
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            stream.set_nodelay(true).unwrap();
            let io = hyper_util::rt::TokioIo::new(stream);
            let service = hyper::service::service_fn(answer);
            tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(io, service));
        }
    });
}

/// Requests without a hook.
fn proxy(folder: &Path) {
    println!(
        "requests for each second of the proxy's processor time; {BODY} bytes, HTTP/1.1, keep-alive; \
         medians of {ROUNDS} rounds"
    );
    println!(
        "{:>5} {:>7} {:>10} {:>10} {:>7} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9}",
        "cores",
        "clients",
        "coproc",
        "nginx",
        "ratio",
        "coproc/s",
        "nginx/s",
        "p50 ms",
        "nginx",
        "p99 ms",
        "nginx"
    );
    let upstream = Nginx::upstream(&folder.join("upstream"));
    for (threads, cores) in [(1, "0"), (2, "0,1")] {
        let nginx =
            Nginx::proxy(&folder.join(format!("proxy{threads}")), upstream.port, threads, cores);
        let coproc = Started::gateway(upstream.port, threads, cores, None);
        for clients in [1, 64] {
            let (mut ours, mut theirs) = (Vec::new(), Vec::new());
            for _ in 0..ROUNDS {
                theirs.push(round(nginx.port, clients, || nginx.started.seconds()));
                ours.push(round(coproc.port, clients, || coproc.started.seconds()));
            }
            let (ours, theirs) = (Speed::median(ours), Speed::median(theirs));
            println!(
                "{threads:>5} {clients:>7} {:>10.0} {:>10.0} {:>7.2} {:>9.0} {:>9.0} {:>9.3} {:>9.3} {:>9.3} {:>9.3}",
                ours.per_cpu,
                theirs.per_cpu,
                ours.per_cpu / theirs.per_cpu,
                ours.rate,
                theirs.rate,
                ours.p50,
                theirs.p50,
                ours.p99,
                theirs.p99,
            );
        }
    }
}

/// What came of a round; of several, each is a median.
#[derive(Clone, Copy)]
struct Speed {
    /// Requests for each second of processor time.
    per_cpu: f64,
    /// Requests per second.
    rate: f64,
    /// In milliseconds.
    p50: f64,
    p99: f64,
}

impl Speed {
    fn median(all: Vec<Self>) -> Self {
        let of = |value: fn(&Self) -> f64| {
            let mut values: Vec<_> = all.iter().map(value).collect();
            values.sort_by(f64::total_cmp);
            values[values.len() / 2]
        };
        Self {
            per_cpu: of(|one| one.per_cpu),
            rate: of(|one| one.rate),
            p50: of(|one| one.p50),
            p99: of(|one| one.p99),
        }
    }
}

/// Has a client ask for a while. It prints when it begins to count, then what it has counted.
fn round(port: u16, clients: usize, seconds: impl Fn() -> f64) -> Speed {
    let mut client = Command::new(std::env::current_exe().unwrap())
        .args(["load", &port.to_string(), &clients.to_string()])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = client.stdout.take().unwrap();
    let mut begun = [0];
    output.read_exact(&mut begun).unwrap();
    let before = seconds();
    let mut counted = String::new();
    output.read_to_string(&mut counted).unwrap();
    let used = seconds() - before;
    assert!(client.wait().unwrap().success());
    let figures: Vec<f64> = counted.split_whitespace().map(|word| word.parse().unwrap()).collect();
    let [requests, time, p50, p99] = figures[..] else { panic!("{counted}") };
    Speed { per_cpu: requests / used, rate: requests / time, p50, p99 }
}

/// Asks over `clients` connections, one request at a time on each.
fn load(port: u16, clients: usize) {
    let request = b"GET /bench/item?number=7 HTTP/1.1\r\nHost: bench.example\r\n\
        User-Agent: bench/1.0\r\nAccept: */*\r\nAccept-Encoding: gzip, deflate\r\n\
        Authorization: Bearer 0123456789abcdef\r\n\r\n";
    let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).unwrap();
    let mut streams: Vec<_> = (0..clients)
        .map(|number| {
            let mut stream = TcpStream::connect((std::net::Ipv4Addr::LOCALHOST, port)).unwrap();
            stream.set_nodelay(true).unwrap();
            stream.set_nonblocking(true).unwrap();
            let data = epoll::EventData::new_u64(number as u64);
            epoll::add(&epoll, &stream, data, epoll::EventFlags::IN).unwrap();
            stream.write_all(request).unwrap();
            (stream, Instant::now(), 0)
        })
        .collect();
    let (mut whole, mut times) = (None, Vec::new());
    let (begin, mut counting) = (Instant::now() + WARMTH, None::<Instant>);
    let mut events = Vec::with_capacity(clients);
    let mut buffer = [0; 16 << 10];
    loop {
        events.clear();
        epoll::wait(&epoll, rustix::buffer::spare_capacity(&mut events), None).unwrap();
        for event in &events {
            let (stream, asked, length) = &mut streams[usize::try_from(event.data.u64()).unwrap()];
            match stream.read(&mut buffer) {
                Ok(0) => panic!("a connection was closed"),
                Ok(read) => {
                    let first = *length == 0;
                    *length += read;
                    if first {
                        assert!(buffer.starts_with(b"HTTP/1.1 200 "), "no 200");
                    }
                    if whole.is_none() && buffer[..read].windows(4).any(|four| four == b"\r\n\r\n")
                    {
                        // All responses are as long as the first, of which the body may be missing.
                        let head = buffer.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
                        whole = Some(head + 4 + BODY);
                    }
                    if Some(*length) != whole {
                        continue;
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => continue,
                Err(error) => panic!("{error}"),
            }
            let now = Instant::now();
            if counting.is_some() {
                times.push(now - *asked);
            }
            (*asked, *length) = (now, 0);
            stream.write_all(request).unwrap();
        }
        match counting {
            None if begin <= Instant::now() => {
                counting = Some(Instant::now());
                print!("!");
                std::io::stdout().flush().unwrap();
            }
            Some(since) if since.elapsed() >= ROUND => {
                let time = since.elapsed().as_secs_f64();
                times.sort();
                let at = |part: f64| {
                    times[((times.len() - 1) as f64 * part) as usize].as_secs_f64() * 1e3
                };
                println!("{} {time} {} {}", times.len(), at(0.5), at(0.99));
                return;
            }
            _ => {}
        }
    }
}

/// Serves one API, with one hook where there is a plugin server.
fn gateway(upstream: &str, threads: &str, port: &str, plugin: Option<&str>) {
    let hook = plugin.map(|_| {
        Arc::new(Hook {
            name: "SetHeader".into(),
            body: BodyWanted::None,
            timeout: None,
            on_error: OnError::Closed(None),
        })
    });
    let api = Api {
        name: "bench".into(),
        id: "b1".into(),
        org: "bench".into(),
        listen_path: "/bench/".into(),
        upstream: Upstream {
            url: format!("http://127.0.0.1:{upstream}/").parse().unwrap(),
            strip_listen_path: true,
            preserve_host: false,
        },
        auth: None,
        hooks: Hooks { driver: "grpc".into(), pre: hook.into_iter().collect(), ..Hooks::default() },
        ignored: Vec::new(),
        config_data: None,
        bundle_hash: String::new(),
        events: Vec::new(),
        session_lifetime: Duration::ZERO,
        lifetime_respects_expiration: false,
        strip_auth_data: false,
        disable_rate_limit: true,
        disable_quota: true,
        response_headers: Vec::new(),
    };
    let config = Config {
        listen: vec![Listen::Tcp(SocketAddr::from(([127, 0, 0, 1], port.parse().unwrap())))],
        worker_threads: Some(threads.parse().unwrap()),
        apis: vec![Arc::new(api)],
        grpc: plugin.map(|address| GrpcConfig {
            addresses: vec![address.to_owned()],
            ..GrpcConfig::default()
        }),
        store: StoreConfig::File(Some(
            std::env::temp_dir().join(format!("coproc-bench-{port}.redb")),
        )),
        ..Config::default()
    };
    let bound = Bound::open(config, None).unwrap();
    let _server = Server::start(&bound).unwrap();
    loop {
        std::thread::park();
    }
}

/// A process on its cores; it ends with this.
struct Started {
    child: Child,
}

/// Who listens where.
struct Coproc {
    started: Started,
    port: u16,
}

impl Started {
    fn new(program: &Path, words: &[&str], cores: &str) -> Self {
        // The command becomes the program, with the same pid.
        let mut command = Command::new("taskset");
        command.args(["-c", cores]).arg(program).args(words);
        let child = command.stdin(Stdio::null()).process_group(0).spawn().unwrap();
        Self { child }
    }

    fn gateway(upstream: u16, threads: usize, cores: &str, plugin: Option<&str>) -> Coproc {
        let port = free_port();
        let numbers = [upstream.to_string(), threads.to_string(), port.to_string()];
        let [upstream, threads, own] = numbers.each_ref().map(String::as_str);
        let words: Vec<_> = ["gateway", upstream, threads, own].into_iter().chain(plugin).collect();
        let started = Self::new(&std::env::current_exe().unwrap(), &words, cores);
        await_port(port);
        Coproc { started, port }
    }

    /// The processor time of the process and those that it started, in seconds.
    fn seconds(&self) -> f64 {
        let pid = self.child.id();
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
        let pids = children.split_whitespace().map(|pid| pid.parse().unwrap()).chain([pid]);
        let ticks = |pid: u32| {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
            let fields: Vec<_> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
            fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()
        };
        pids.map(ticks).sum::<f64>() / rustix::param::clock_ticks_per_second() as f64
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        let group = rustix::process::Pid::from_child(&self.child);
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        let _ = self.child.wait();
    }
}

struct Nginx {
    started: Started,
    port: u16,
}

impl Nginx {
    fn new(folder: &Path, port: u16, workers: usize, cores: &str, http: &str) -> Self {
        fs::create_dir_all(folder).unwrap();
        let config = format!(
            "daemon off;\nworker_processes {workers};\npid {0}/pid;\nerror_log {0}/error.log;\n\
             events {{ worker_connections 4096; }}\n\
             http {{\naccess_log off;\nkeepalive_requests 100000000;\n\
             client_body_temp_path {0}/c;\nproxy_temp_path {0}/p;\nfastcgi_temp_path {0}/f;\n\
             uwsgi_temp_path {0}/u;\nscgi_temp_path {0}/s;\n{http}\n}}\n",
            folder.display()
        );
        let file = folder.join("nginx.conf");
        fs::write(&file, config).unwrap();
        let prefix = folder.display().to_string();
        let words = ["-p", &prefix, "-c", &file.display().to_string(), "-e", "stderr"];
        let started = Started::new(Path::new("nginx"), &words, cores);
        await_port(port);
        Self { started, port }
    }

    fn upstream(folder: &Path) -> Self {
        let port = free_port();
        let http = format!(
            "server {{ listen 127.0.0.1:{port}; location / {{ return 200 \"{}\"; }} }}",
            "x".repeat(BODY)
        );
        Self::new(folder, port, 1, "0,1", &http)
    }

    /// Asks the server at `auth` about each request.
    fn asking(folder: &Path, upstream: u16, auth: u16) -> Self {
        let port = free_port();
        let keep = "keepalive 128; keepalive_requests 100000000;";
        let http = format!(
            "upstream up {{ server 127.0.0.1:{upstream}; {keep} }}\n\
             upstream auth {{ server 127.0.0.1:{auth}; {keep} }}\n\
             server {{ listen 127.0.0.1:{port};\n\
             location /bench/ {{ auth_request /auth;\n\
             auth_request_set $seen $upstream_http_testheader;\n\
             proxy_set_header Testheader $seen;\n\
             proxy_pass http://up/; proxy_http_version 1.1; proxy_set_header Connection \"\"; }}\n\
             location = /auth {{ internal; proxy_pass http://auth/; proxy_http_version 1.1;\n\
             proxy_set_header Connection \"\"; proxy_pass_request_body off;\n\
             proxy_set_header Content-Length \"\"; proxy_set_header X-Original-URI $request_uri; }} }}"
        );
        Self::new(folder, port, 2, "0,1", &http)
    }

    fn proxy(folder: &Path, upstream: u16, workers: usize, cores: &str) -> Self {
        let port = free_port();
        let http = format!(
            "upstream up {{ server 127.0.0.1:{upstream}; keepalive 128; \
             keepalive_requests 100000000; }}\n\
             server {{ listen 127.0.0.1:{port}; location /bench/ {{\n\
             proxy_pass http://up/; proxy_http_version 1.1; proxy_set_header Connection \"\";\n\
             proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;\n\
             proxy_set_header X-Forwarded-Proto $scheme;\n\
             proxy_set_header X-Forwarded-Host $http_host;\n}} }}"
        );
        Self::new(folder, port, workers, cores, &http)
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn await_port(port: u16) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while TcpStream::connect((std::net::Ipv4Addr::LOCALHOST, port)).is_err() {
        assert!(Instant::now() < deadline, "nobody listens on {port}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
