//! Facts that are made up, and what is said of them.

use std::time::{Duration, SystemTime};

use super::facts::{Control, Daemon, Facts, File, Found, Limit, Place, Program, State, User};
use super::gather::directive;
use super::judge::{Grade, judge};
use super::{text, to_json};

fn place(path: &str, state: State) -> Place {
    Place { path: path.to_owned(), state }
}

/// A container in which all is well.
fn well() -> Facts {
    Facts {
        pid: 1,
        subreaper: true,
        uid: 1000,
        gid: 1000,
        capabilities: Some(0),
        no_new_privs: true,
        seccomp: true,
        cgroup: Some(2),
        cgroup_kill: true,
        memory_limit: Some(256 * 1024 * 1024),
        pids_limit: Some(4096),
        open_files: (Some(1_048_576), None),
        root_read_only: true,
        run_path: place("/run/coproc", State::CanBeMade),
        control: Some(Control {
            place: place("/run/coproc/control.sock", State::CanBeMade),
            configured: false,
            taken: false,
        }),
        termination_log: true,
        now: SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000),
        shutdown_timeout: Duration::from_secs(7),
        strays: Some(Duration::from_secs(1)),
        programs: vec![Program {
            key: "main.exec".into(),
            name: "nginx".into(),
            found: Found::At("/usr/sbin/nginx".into()),
        }],
        files: vec![File { key: "main.cwd".into(), path: "/srv".into(), wrong: None }],
        users: Vec::new(),
        limits: Vec::new(),
        nginx: Some(Daemon::Off),
    }
}

/// One in which nothing is.
fn unwell() -> Facts {
    let refused = State::Refused("it cannot be written to".into());
    Facts {
        pid: 12,
        subreaper: false,
        uid: 0,
        gid: 0,
        capabilities: Some(1),
        no_new_privs: false,
        seccomp: false,
        cgroup: Some(1),
        cgroup_kill: false,
        memory_limit: None,
        pids_limit: Some(20),
        open_files: (Some(256), Some(512)),
        root_read_only: false,
        run_path: place("/run/coproc", refused.clone()),
        control: Some(Control {
            place: place("/run/coproc/control.sock", refused),
            configured: true,
            taken: false,
        }),
        termination_log: false,
        now: SystemTime::UNIX_EPOCH,
        shutdown_timeout: Duration::from_secs(60),
        strays: None,
        programs: vec![
            Program {
                key: "main.exec".into(),
                name: "nginx".into(),
                found: Found::Not("`nginx` was not found on PATH".into()),
            },
            Program { key: "coprocess.a.exec".into(), name: "${X}".into(), found: Found::Depends },
        ],
        files: vec![File {
            key: "coprocess.a.secrets.PASSWORD".into(),
            path: "/run/secrets/db".into(),
            wrong: Some("No such file or directory (os error 2)".into()),
        }],
        users: vec![User {
            key: "coprocess.a.user".into(),
            name: "nobody2".into(),
            wrong: Some("there is no user `nobody2`".into()),
        }],
        limits: vec![Limit { key: "main.limits.nofile".into(), wanted: None, allowed: 512 }],
        nginx: Some(Daemon::On),
    }
}

fn snapshot(name: &str, text: &str) {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(concat!(env!("CARGO_MANIFEST_DIR"), "/snapshots"));
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(name, text));
}

#[test]
fn all_is_well() {
    let findings = judge(&well());
    assert!(findings.iter().all(|one| one.grade == Grade::Ok && one.advice.is_none()));
    snapshot("doctor__well", &text(&findings));
}

#[test]
fn nothing_is_well() {
    let findings = judge(&unwell());
    assert!(findings.iter().all(|one| (one.grade == Grade::Ok) == one.advice.is_none()));
    snapshot("doctor__unwell", &text(&findings));
    assert_eq!(to_json(&findings)["problems"], 9);
}

#[test]
fn who_switches_no_users_and_is_root_is_told_so() {
    let facts = Facts { uid: 0, capabilities: None, ..well() };
    let findings = judge(&facts);
    let privileges = findings.iter().find(|one| one.about == "privileges").unwrap();
    assert_eq!(privileges.grade, Grade::Note);
}

#[test]
fn a_grace_period_that_is_too_short_is_told_of() {
    for (seconds, docker, kubernetes) in [(7, false, false), (9, true, false), (30, true, true)] {
        let facts = Facts { shutdown_timeout: Duration::from_secs(seconds), ..well() };
        let findings = judge(&facts);
        let grace = findings.iter().find(|one| one.about == "grace period").unwrap();
        let advice = grace.advice.clone().unwrap_or_default();
        assert_eq!(advice.contains("docker stop"), docker, "{seconds}");
        assert_eq!(advice.contains("terminationGrace"), kubernetes, "{seconds}");
    }
}

#[test]
fn the_directive_counts_outside_of_blocks() {
    for (text, said) in [
        ("daemon off;", Some(Daemon::Off)),
        ("events {}\ndaemon on;\n", Some(Daemon::On)),
        ("# daemon off;\n", None),
        ("http {\n daemon off;\n}\n", None),
        ("user x; daemon   off; events { }", Some(Daemon::Off)),
        ("", None),
        ("}}} daemon off;", Some(Daemon::Off)),
    ] {
        assert_eq!(directive(text, false), said, "{text}");
    }
    assert_eq!(directive("nginx -g daemon off;", true), Some(Daemon::Off));
}
