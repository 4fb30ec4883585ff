//! Metrics on the control socket, and the TCP ports on which health and metrics are told.

mod support;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;

use support::{PATIENCE, Place, Wrapper, coprocess, eventually, http, skipped};

const TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// A wrapper that listens on `listen`, and where it really does.
fn listening(place: &Place, listen: &str, text: &str) -> (Wrapper, Vec<SocketAddr>) {
    let wrapper = place.serving(&format!("{text}\n[control]\nlisten = {listen}\n"));
    let addresses = addresses(&wrapper);
    (wrapper, addresses)
}

fn addresses(wrapper: &Wrapper) -> Vec<SocketAddr> {
    let lines = wrapper.lines();
    let told = lines.iter().filter_map(|line| line.split_once("are told on http://"));
    told.map(|(_, rest)| rest.split_once('/').unwrap().0.parse().unwrap()).collect()
}

fn background(name: &str, exec: &str, rest: &str) -> String {
    coprocess(name, exec, &format!("background = true\n{rest}"))
}

/// The metrics, as the control socket tells them.
fn metrics(place: &Place) -> String {
    let mut stream = UnixStream::connect(place.at("run/control.sock")).unwrap();
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    assert!(head.contains(&format!("content-type: {TYPE}\r\n")), "{head}");
    body.to_owned()
}

/// The value of a sample.
#[track_caller]
fn value(metrics: &str, sample: &str) -> f64 {
    let found = metrics.lines().find_map(|line| line.strip_prefix(sample)?.strip_prefix(' '));
    found.unwrap_or_else(|| panic!("no `{sample}` in\n{metrics}")).parse().unwrap()
}

#[test]
fn metrics_of_a_whole_tree() {
    let place = Place::new();
    let mut wrapper = place.serving(
        &[
            background("agent", "\"sleep 1000\"", "restarts = 3"),
            coprocess("once", "[\"sh\", \"-c\", \"echo one; exit 3\"]", ""),
            background("absent", "\"/no/such\"", ""),
            background("later", "\"true\"", "exec_event = \"custom.later\""),
        ]
        .concat(),
    );
    for life in 0..2 {
        place.coproc(&["signal", "agent", "KILL"]);
        wrapper.wait_for_nth("event: [coprocess.agent.ready]", 2 * life + 2);
        place.coproc(&["restart", "agent"]);
        wrapper.wait_for_nth("event: [coprocess.agent.ready]", 2 * life + 3);
    }
    assert_eq!(place.coproc(&["reload"]).status.code(), Some(0));
    wrapper.wait_for("event: [reload]");

    let text = metrics(&place);
    assert!(text.ends_with("\n# EOF\n"));
    let of = |sample: &str| value(&text, sample);
    assert_eq!(of("coproc_main_up"), 1.0);
    assert_eq!(of("coproc_main_ready"), 1.0);
    assert_eq!(of("coproc_main_state{coproc_main_state=\"running\"}"), 1.0);
    assert_eq!(of("coproc_main_state{coproc_main_state=\"waiting\"}"), 0.0);
    let (began, launched) = (of("coproc_start_time_seconds"), of("coproc_main_start_time_seconds"));
    assert!(began > 1.7e9 && launched >= began && launched < began + 600.0, "{began} {launched}");
    assert!(of("coproc_main_uptime_seconds") < 600.0);
    assert!(of("coproc_main_resident_memory_bytes") > 4096.0);
    assert!(!text.contains("\ncoproc_main_exit_status "));

    // An operator's restart is a new life, which begins its own count, but no new sum.
    assert_eq!(of("coproc_coprocess_restarts_total{name=\"agent\"}"), 2.0);
    assert_eq!(of("coproc_coprocess_starts_total{name=\"agent\"}"), 5.0);
    assert_eq!(of("coproc_coprocess_exits_total{name=\"agent\",class=\"signal\"}"), 4.0);
    assert_eq!(of("coproc_coprocess_up{name=\"agent\"}"), 1.0);
    assert!(of("coproc_coprocess_start_time_seconds{name=\"agent\"}") >= began);
    assert!(of("coproc_coprocess_resident_memory_bytes{name=\"agent\"}") > 4096.0);
    let state = |name: &str, state: &str| {
        of(&format!("coproc_coprocess_state{{name=\"{name}\",coproc_coprocess_state=\"{state}\"}}"))
    };
    assert_eq!(state("once", "failed"), 1.0);
    assert_eq!(state("later", "waiting"), 1.0);
    assert_eq!(state("later", "running"), 0.0);
    assert_eq!(of("coproc_coprocess_exits_total{name=\"once\",class=\"nonzero\"}"), 1.0);
    assert_eq!(of("coproc_coprocess_exits_total{name=\"absent\",class=\"not-started\"}"), 1.0);
    assert_eq!(of("coproc_coprocess_ready{name=\"absent\"}"), 0.0);
    assert!(!text.contains("coproc_coprocess_uptime_seconds{name=\"once\"}"));

    assert_eq!(of("coproc_events_total{event=\"coprocess.started\"}"), 6.0);
    assert_eq!(of("coproc_events_total{event=\"pre-start\"}"), 1.0);
    assert_eq!(of("coproc_events_total{event=\"custom\"}"), 0.0);
    assert_eq!(of("coproc_reloads_total{result=\"done\"}"), 1.0);
    assert_eq!(of("coproc_reloads_total{result=\"refused\"}"), 0.0);
    assert!(of("coproc_log_lines_total") >= 4.0);
    assert_eq!(of("coproc_log_follower_missed_lines_total"), 0.0);
    assert_eq!(of("coproc_control_open_connections{entrance=\"socket\"}"), 1.0);
    assert!(of("coproc_control_connections_total{entrance=\"socket\"}") >= 6.0);
    assert_eq!(of("coproc_control_connections_total{entrance=\"port\"}"), 0.0);
    assert_eq!(wrapper.stop(), 0);
}

#[test]
fn metrics_of_a_coordinator() {
    let place = Place::new();
    let port = support::free_port();
    let mut wrapper = place.up(&format!(
        "[coordinator]\nservice_name = \"c\"\nsocket_dir = \"${{run_path}}/../d\"\n\
         external_port = {port}\n[coordinator.nats]\nurl = \"nats://127.0.0.1:1\"\n"
    ));
    std::fs::create_dir(place.path().join("d/foo")).unwrap();
    let _provider =
        std::os::unix::net::UnixListener::bind(place.path().join("d/foo/1-f.sock")).unwrap();
    let request = r#"{"id": "1", "task": "nope", "responsehook": "http://127.0.0.1:9/"}"#;
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let length = request.len();
    write!(stream, "POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{request}")
        .unwrap();
    stream.read_to_string(&mut String::new()).unwrap();
    let text = metrics(&place);
    let ours = text.lines().filter(|line| line.contains("coproc_coordinator_"));
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/snapshots");
    insta::with_settings!({ snapshot_path => path, omit_expression => true }, {
        insta::assert_snapshot!(ours.collect::<Vec<_>>().join("\n"));
    });
    assert_eq!(wrapper.stop(), 0);
}

/// Names are unique, every family is told once, and every sample belongs to the family above it.
#[test]
fn the_text_is_in_order() {
    let place = Place::new();
    let mut wrapper =
        place.up(&[background("a b", "\"sleep 1000\"", ""), background("c", "\"true\"", "")]
            .concat()
            .replace("[coprocess.a b]", "[coprocess.ab]"));
    wrapper.wait_for("event: [coprocess.c.stopped]");
    let text = metrics(&place);
    let (mut family, mut seen) = (String::new(), Vec::new());
    for line in text.lines() {
        let words: Vec<_> = line.split(' ').collect();
        match words.as_slice() {
            ["#", "TYPE", name, _] => {
                family = (*name).to_owned();
                assert!(!seen.contains(&family), "{line}");
                seen.push(family.clone());
            }
            ["#", "UNIT", name, unit] => {
                assert!(*name == family && name.ends_with(&format!("_{unit}")), "{line}");
            }
            ["#", "HELP", name, ..] => assert_eq!(*name, family),
            ["#", "EOF"] => family.clear(),
            _ => {
                let name = line.split(['{', ' ']).next().unwrap();
                let rest = name.strip_prefix(&family).unwrap_or_else(|| panic!("{line}"));
                assert!(["", "_total", "_info"].contains(&rest), "{line}");
                let (_, value) = line.rsplit_once(' ').unwrap();
                assert!(value.parse::<f64>().is_ok_and(f64::is_finite), "{line}");
            }
        }
    }
    assert!(family.is_empty() && seen.len() > 20, "{text}");
    assert_eq!(wrapper.stop(), 0);
}

/// One request on a connection that stays: status, head and body.
fn say(stream: &mut BufReader<TcpStream>, request: &str) -> (String, String) {
    write!(stream.get_mut(), "{request} HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert!(stream.read_line(&mut head).unwrap() > 0, "{head}");
    }
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
    let length = if request.starts_with("HEAD") { 0 } else { length.parse().unwrap() };
    let mut body = vec![0; length];
    stream.read_exact(&mut body).unwrap();
    (head, String::from_utf8(body).unwrap())
}

fn connect(address: SocketAddr) -> BufReader<TcpStream> {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    BufReader::new(stream)
}

#[test]
fn a_port_tells_health_and_metrics_and_nothing_else() {
    let place = Place::new();
    let agent =
        background("agent", "\"sleep 1000\"", "ready = { file = \"up\", interval = \"20ms\" }");
    place.write("up", "");
    let (mut wrapper, addresses) = listening(&place, "\"127.0.0.1:0\"", &agent);
    let [address] = addresses[..] else { panic!("{}", wrapper.dump()) };
    wrapper.wait_for("event: [coprocess.agent.ready]");

    // All on one connection.
    let mut stream = connect(address);
    let mut ask = |request: &str| say(&mut stream, request);
    eventually("all is well", || ask("GET /readyz").1 == "ok\n");
    assert!(ask("GET /livez").0.starts_with("HTTP/1.1 200 OK\r\n"));
    let (head, body) = ask("GET /metrics");
    assert!(head.contains(&format!("content-type: {TYPE}\r\n")), "{head}");
    assert_eq!(value(&body, "coproc_control_open_connections{entrance=\"port\"}"), 1.0);
    for path in ["/livez", "/readyz?verbose", "/metrics"] {
        let (head, _) = ask(&format!("HEAD {path}"));
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
        assert!(!head.contains("content-length: 0\r\n"), "{head}");
    }
    for (request, status) in [
        ("GET /", "404 "),
        ("GET /v1/status", "404 "),
        ("GET /v1/events?follow=1", "404 "),
        ("GET /v1/logs", "404 "),
        ("HEAD /v1/logs", "404 "),
        ("POST /v1/reload", "404 "),
        ("POST /v1/coprocesses/agent/stop", "404 "),
        ("GET /metrics/../v1/status", "404 "),
        ("POST /metrics", "405 "),
    ] {
        let (head, body) = ask(request);
        assert!(head.starts_with(&format!("HTTP/1.1 {status}")), "{request}: {head}");
        assert!(!body.contains("agent\":") && !head.contains("ndjson"), "{request}: {body}");
    }
    // Nor is an order taken whose body comes late, or not at all.
    let mut order = TcpStream::connect(address).unwrap();
    order.set_read_timeout(Some(PATIENCE)).unwrap();
    let head = "POST /v1/emit HTTP/1.1\r\nHost: x\r\nContent-Length: 12\r\n\r\n";
    order.write_all(head.as_bytes()).unwrap();
    let mut line = String::new();
    BufReader::new(order).read_line(&mut line).unwrap();
    assert!(line.contains(" 404 "), "{line}");

    std::fs::remove_file(place.at("up")).unwrap();
    eventually("the agent is blamed", || {
        let (head, body) = ask("GET /readyz");
        // Without the probe's words, which may hold what is not for everybody.
        head.starts_with("HTTP/1.1 503 ") && body == "agent: not ready\n"
    });
    assert!(ask("GET /livez").0.starts_with("HTTP/1.1 200 OK\r\n"));
    // What is told there counts for nobody else: the command goes by the socket.
    let health = place.coproc(&["health"]);
    assert_eq!(health.status.code(), Some(1));
    assert_eq!(wrapper.stop(), 0);
    assert!(TcpStream::connect(address).is_err());
}

#[test]
fn several_ports_and_no_socket() {
    let place = Place::new();
    if TcpListener::bind("[::1]:0").is_err() {
        return skipped("there is no IPv6 here");
    }
    let listen = "[\"127.0.0.1:0\", \"[::1]:0\"]\nsocket = \"none\"";
    let (mut wrapper, addresses) = listening(&place, listen, "");
    assert!(addresses.len() == 2 && addresses[1].is_ipv6(), "{addresses:?}");
    for address in addresses {
        assert!(say(&mut connect(address), "GET /livez").1 == "ok\n", "{address}");
    }
    assert!(!place.path().join("run/control.sock").exists());
    assert_eq!(wrapper.stop(), 0);
}

#[test]
fn a_port_that_is_taken_ends_the_wrapper_before_anything_is_started() {
    let place = Place::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    place.config(&coprocess("a", "\"touch ran\"", ""));
    let mut wrapper = place.run_with(&[], &[("COPROC_CONTROL__LISTEN", &address.to_string())]);
    assert_eq!(wrapper.wait(), 1);
    let expected = format!("error: control.listen: `{address}` cannot be bound: ");
    assert!(wrapper.stderr().starts_with(&expected), "{}", wrapper.stderr());
    assert!(!place.path().join("ran").exists());
    assert!(!place.path().join("run/control.sock").exists());
    assert!(wrapper.lines().is_empty(), "{}", wrapper.dump());
}

#[test]
fn a_variable_overrides_the_file() {
    let place = Place::new();
    place.config("[control]\nlisten = \"127.0.0.1:1\"\n");
    let mut wrapper = place.run_with(&[], &[("COPROC_CONTROL__LISTEN", "127.0.0.1:0")]);
    wrapper.wait_for(": up");
    let port = addresses(&wrapper)[0].port();
    assert!(http::get(port, "/livez").ends_with("\r\n\r\nok\n"));
    assert_eq!(wrapper.stop(), 0);
    let mut wrapper = place.run_with(&[], &[("COPROC_CONTROL__LISTEN", "none")]);
    wrapper.wait_for(": up");
    assert_eq!(addresses(&wrapper), []);
    assert_eq!(wrapper.stop(), 0);
}

/// Clients of a port that say nothing, or only half of it, or do not listen.
#[test]
fn slow_clients_of_a_port_disturb_nobody() {
    let place = Place::new();
    let (mut wrapper, addresses) = listening(&place, "\"127.0.0.1:0\"", "");
    let address = addresses[0];
    let silent: Vec<_> = (0..60).map(|_| TcpStream::connect(address).unwrap()).collect();
    let mut half = TcpStream::connect(address).unwrap();
    half.write_all(b"GET /metr").unwrap();
    let mut deaf = TcpStream::connect(address).unwrap();
    deaf.set_write_timeout(Some(std::time::Duration::from_millis(100))).unwrap();
    let many = "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n".repeat(1000);
    // Until neither side can take any more.
    while deaf.write_all(many.as_bytes()).is_ok() {}
    assert_eq!(say(&mut connect(address), "GET /readyz").1, "ok\n");
    // Where a port has no seat left, who came first makes room; and the socket has its own.
    let crowd: Vec<_> = (0..200).map(|_| TcpStream::connect(address).unwrap()).collect();
    assert_eq!(say(&mut connect(address), "GET /livez").1, "ok\n");
    let mut first = &silent[0];
    first.set_read_timeout(Some(std::time::Duration::from_secs(5))).unwrap();
    assert_eq!(first.read(&mut [0]).unwrap(), 0, "long before its head would be late");
    assert_eq!(place.coproc(&["status"]).status.code(), Some(0));
    drop((silent, crowd));
    assert_eq!(say(&mut connect(address), "GET /readyz").1, "ok\n");
    assert_eq!(wrapper.stop(), 0);
}

/// Without that a few who ask and never read would have all seats.
#[test]
fn who_asks_and_does_not_listen_is_sent_away() {
    let place = Place::new();
    let (mut wrapper, addresses) = listening(&place, "\"127.0.0.1:0\"", "");
    let mut deaf = TcpStream::connect(addresses[0]).unwrap();
    deaf.set_write_timeout(Some(std::time::Duration::from_millis(100))).unwrap();
    let many = "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n".repeat(1000);
    while deaf.write_all(many.as_bytes()).is_ok() {}
    let open = "coproc_control_open_connections{entrance=\"port\"}";
    assert_eq!(value(&metrics(&place), open), 1.0);
    eventually("it has lost its seat", || value(&metrics(&place), open) == 0.0);
    assert_eq!(wrapper.stop(), 0);
}
