//! The whole text of metrics, of a wrapper in the middle of its life and of one that has just begun.

use std::time::{Duration, UNIX_EPOCH};

use coproc_control::connections::Connections;
use coproc_control::metrics::{
    Coprocess, ExecSocket, Facts, Gateway, GatewayApi, GatewayHook, Log, Main, Run, Times, Wrapper,
    render,
};

const STATES: [&str; 3] = ["waiting", "running", "stopped"];

fn waiting() -> Run {
    Run {
        states: &STATES,
        state: "waiting",
        up: false,
        ready: false,
        started: None,
        uptime: None,
        memory: None,
    }
}

fn running(seconds: u64) -> Run {
    Run {
        state: "running",
        up: true,
        ready: true,
        started: Some(UNIX_EPOCH + Duration::from_millis(1_800_000_000_123)),
        uptime: Some(Duration::from_secs(seconds)),
        memory: Some(4096 * seconds),
        ..waiting()
    }
}

fn coprocess(name: &str, run: Run, sum: u64) -> Coprocess {
    let exits = vec![("zero", 2 * sum), ("signal", 0)];
    Coprocess { name: name.to_owned(), run, starts: sum + 1, restarts: sum, exits }
}

fn facts() -> Facts {
    Facts {
        wrapper: Wrapper { version: "1.2.3", commit: "0123abcd", started: UNIX_EPOCH },
        main: Main { run: waiting(), exit_status: None },
        coprocesses: Vec::new(),
        exec_sockets: Vec::new(),
        coordinator: None,
        gateway: None,
        events: vec![("start", 0), ("custom", 0)],
        reloads: vec![("done", 0), ("refused", 0)],
        log: Log::default(),
        connections: vec![("socket", Connections::default())],
    }
}

fn times(buckets: [u64; 3]) -> Times {
    Times { bounds: &[1_000, 2_500_000], buckets: buckets.to_vec(), sum: 1_234_567 }
}

fn assert(name: &str, text: &str) {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(concat!(env!("CARGO_MANIFEST_DIR"), "/../../snapshots"));
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(name, text));
}

#[test]
fn a_wrapper_that_has_just_begun() {
    assert("metrics__just_begun", &render(&facts()));
}

#[test]
fn a_wrapper_in_the_middle_of_its_life() {
    let facts = Facts {
        main: Main { run: running(7), exit_status: Some(143) },
        coprocesses: vec![
            coprocess("agent", running(60), 3),
            coprocess("a \"quoted\\ one\"", waiting(), 0),
        ],
        exec_sockets: vec![ExecSocket {
            name: "exec".to_owned(),
            connected: 3,
            running: 2,
            sums: vec![("accepted", 20), ("started", 17), ("timed-out", 1)],
            bytes: [1024, 4096],
        }],
        gateway: Some(Gateway {
            connections: 4,
            in_flight: 3,
            upstream_failures: 2,
            buffered: 70_000,
            unbuffered: 1,
            events: vec![("delivered", 1), ("dropped", 0)],
            apis: vec![GatewayApi {
                id: "orders".to_owned(),
                answered: vec![("2xx", 30), ("5xx", 1)],
                times: times([20, 10, 1]),
            }],
            hooks: vec![GatewayHook {
                api: "orders".to_owned(),
                kind: "pre",
                name: "Stamp".to_owned(),
                failures: 1,
                pending: 2,
                times: times([30, 0, 1]),
            }],
        }),
        events: vec![("start", 1), ("custom", 12)],
        reloads: vec![("done", 4), ("refused", 5)],
        log: Log {
            lines: 1_000_000_000_000,
            missed: 8,
            dropped: 9,
            dropped_of: vec![("agent".into(), 1204)],
            forwarded: vec![("siem".into(), [17, 4])],
        },
        connections: vec![
            ("socket", Connections { open: 1, all: 10 }),
            ("port", Connections { open: 2, all: 20 }),
        ],
        ..facts()
    };
    assert("metrics__mid_life", &render(&facts));
}
