//! The gateway beside nginx's `proxy_pass`, in one run: requests for each second of processor time that
//! the proxy used, and how long they took. Prints medians and ratios.
//!
//! Both pass the same requests on to the same nginx, which answers from memory; both keep connections
//! alive on both sides, speak HTTP/1.1 and say on whose behalf they ask. Client and upstream are
//! processes of their own, and cost both sides the same. The two take turns, so that what else the
//! machine does falls on both. The gateway without hooks is the library, served by this program. A part
//! alone: `cargo bench --bench gateway -- proxy`, `hook` or `extractor`.
#![allow(clippy::print_stdout, clippy::disallowed_methods, missing_docs)]

#[path = "support/extractor.rs"]
mod extractor;
#[path = "support/load.rs"]
mod load;
#[path = "../tests/support/plugin.rs"]
mod plugin;
#[path = "support/servers.rs"]
mod servers;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use coproc_gateway::api::{Api, BodyWanted, Hook, Hooks, OnError};
use coproc_gateway::config::{Config, Listen, StoreConfig};
use coproc_gateway::driver::grpc::GrpcConfig;
use coproc_gateway::server::Bound;
use load::{BODY, Speed, round};
use servers::{Nginx, Started, await_file, await_port, free_port};

/// How often they take turns; odd, for there to be one in the middle.
const ROUNDS: usize = 7;

fn main() {
    let words: Vec<String> = std::env::args().collect();
    match words.get(1).map(String::as_str) {
        Some("gateway") => {
            return gateway(&words[2], &words[3], &words[4], words.get(5).map(String::as_str));
        }
        // The same program is the plugin server.
        Some(address) if address.starts_with("unix:") || address.starts_with("http:") => {
            return plugin::main();
        }
        Some("load") => return load::load(words[2].parse().unwrap(), words[3].parse().unwrap()),
        _ => {}
    }
    let folder = tempfile::Builder::new().prefix("coproc-bench-").tempdir().unwrap();
    let alone = words.iter().find(|word| ["proxy", "hook", "extractor"].contains(&word.as_str()));
    let asked = |part| alone.is_none_or(|alone| alone == part);
    if asked("proxy") {
        proxy(folder.path());
    }
    if asked("hook") {
        hook(folder.path());
    }
    if asked("extractor") {
        extractor::measure(folder.path());
    }
}

/// Requests with one hook that sees headers alone, with none, and through nginx, whose `auth_request` asks the
/// same plugin program for the same hook over HTTP/1.1, and the same plugin over gRPC by way of coproc. All
/// share both processors, all plugins are asked over Unix sockets.
fn hook(folder: &Path) {
    let upstream = Nginx::upstream(&folder.join("upstream-of-hooks"));
    let socket = format!("unix:{}", folder.join("plugin").display());
    let _plugin = Started::new(&std::env::current_exe().unwrap(), &[&socket], "0,1");
    let hookless = Coproc::start(upstream.port, 2, "0,1", None);
    let hooked = Coproc::start(upstream.port, 2, "0,1", Some(&socket));
    let own = folder.join("auth").display().to_string();
    let words = [&*format!("http:unix:{own}")];
    let _auth = Started::new(&std::env::current_exe().unwrap(), &words, "0,1");
    await_file(Path::new(&own));
    let nginx = asking(&folder.join("asking"), upstream.port, &format!("unix:{own}"), "/SetHeader");
    let through = format!("127.0.0.1:{}", hooked.port);
    let through = asking(&folder.join("through"), upstream.port, &through, "/auth/b1");
    println!("requests per second with a hook, two cores shared with plugin, client and upstream");
    println!(
        "{:>7} {:>10} {:>10} {:>7} {:>12} {:>12} {:>9} {:>9} {:>12} {:>12}",
        "clients",
        "hookless",
        "one hook",
        "ratio",
        "auth_request",
        "and coproc",
        "p50 ms",
        "one hook",
        "auth_request",
        "and coproc"
    );
    for clients in [1, 64] {
        let (mut none, mut one) = (Vec::new(), Vec::new());
        let (mut asked, mut both) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            none.push(round(hookless.port, clients, || hookless.started.seconds()));
            one.push(round(hooked.port, clients, || hooked.started.seconds()));
            asked.push(round(nginx.port, clients, || nginx.started.seconds()));
            both.push(round(through.port, clients, || through.started.seconds()));
        }
        let [none, one, asked, both] = [none, one, asked, both].map(Speed::median);
        println!(
            "{clients:>7} {:>10.0} {:>10.0} {:>7.2} {:>12.0} {:>12.0} {:>9.3} {:>9.3} {:>12.3} {:>12.3}",
            none.rate,
            one.rate,
            one.rate / none.rate,
            asked.rate,
            both.rate,
            none.p50,
            one.p50,
            asked.p50,
            both.p50,
        );
    }
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
            nginx_proxy(&folder.join(format!("proxy{threads}")), upstream.port, threads, cores);
        let coproc = Coproc::start(upstream.port, threads, cores, None);
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
    let api = api(
        upstream,
        Hooks { driver: "grpc".into(), pre: hook.into_iter().collect(), ..Hooks::default() },
    );
    let config = Config {
        listen: vec![Listen::Tcp(SocketAddr::from(([127, 0, 0, 1], port.parse().unwrap())))],
        worker_threads: Some(threads.parse().unwrap()),
        auth_request: plugin.map(|_| "/auth".to_owned()),
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
    let _server = bound.start().unwrap();
    loop {
        std::thread::park();
    }
}

/// An API with hooks that lets everybody in.
fn api(upstream: &str, hooks: Hooks) -> Api {
    Api {
        org: "bench".into(),
        hooks,
        disable_rate_limit: true,
        disable_quota: true,
        ..Api::new("b1", "/bench/", format!("http://127.0.0.1:{upstream}/").parse().unwrap())
    }
}

/// Who listens where.
struct Coproc {
    started: Started,
    port: u16,
}

impl Coproc {
    fn start(upstream: u16, threads: usize, cores: &str, plugin: Option<&str>) -> Self {
        let port = free_port();
        let numbers = [upstream.to_string(), threads.to_string(), port.to_string()];
        let [upstream, threads, own] = numbers.each_ref().map(String::as_str);
        let words: Vec<_> = ["gateway", upstream, threads, own].into_iter().chain(plugin).collect();
        let started = Started::new(&std::env::current_exe().unwrap(), &words, cores);
        await_port(port);
        Self { started, port }
    }
}

/// Asks the server at `auth` about each request, under a path.
fn asking(folder: &Path, upstream: u16, auth: &str, path: &str) -> Nginx {
    let port = free_port();
    let keep = "keepalive 128; keepalive_requests 100000000;";
    let http = format!(
        "upstream up {{ server 127.0.0.1:{upstream}; {keep} }}\n\
         upstream auth {{ server {auth}; {keep} }}\n\
         server {{ listen 127.0.0.1:{port};\n\
         location /bench/ {{ auth_request /auth;\n\
         auth_request_set $seen $upstream_http_testheader;\n\
         proxy_set_header Testheader $seen;\n\
         proxy_pass http://up/; proxy_http_version 1.1; proxy_set_header Connection \"\"; }}\n\
         location = /auth {{ internal; proxy_pass http://auth{path}; proxy_http_version 1.1;\n\
         proxy_set_header Connection \"\"; proxy_pass_request_body off;\n\
         proxy_set_header Content-Length \"\"; proxy_set_header X-Original-URI $request_uri;\n\
         proxy_set_header X-Original-Method $request_method; }} }}"
    );
    Nginx::new(folder, port, 2, "0,1", &http)
}

/// Passes requests on.
fn nginx_proxy(folder: &Path, upstream: u16, workers: usize, cores: &str) -> Nginx {
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
    Nginx::new(folder, port, workers, cores, &http)
}
