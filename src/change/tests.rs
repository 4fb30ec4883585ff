//! Plans of changes, whole.

use std::fs;

use super::*;
use crate::config::{Sources, load};

/// A config of this text.
fn config(text: &str) -> Loaded {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("coproc.toml");
    fs::write(&file, text).unwrap();
    let main = vec!["server".to_owned()];
    let sources = Sources { files: vec![file], folder: "/".into(), main, ..Sources::default() };
    load(&sources).unwrap()
}

fn coprocess(name: &str, rest: &str) -> String {
    let mut text = format!("[coprocess.{name}]\nname = \"{name}\"\n{rest}\n");
    for (key, value) in [("exec", "prog"), ("restarts", "unlimited"), ("exec_event", "pre-start")] {
        if !rest.contains(&format!("{key} =")) {
            text.push_str(&format!("{key} = \"{value}\"\n"));
        }
    }
    text
}

fn now(lives: &[(&str, Life)]) -> Now {
    let lives = lives.iter().map(|(name, life)| ((*name).to_owned(), *life)).collect();
    Now { started: true, lives }
}

const UP: Life = Life::Up { ready: true };

/// The sentences of a plan.
fn plan(old: &str, new: &str, lives: &[(&str, Life)]) -> String {
    Plan::of(&config(old), &config(new), &now(lives)).lines().join("\n") + "\n"
}

fn same(name: &str, told: &str) {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/snapshots");
    insta::with_settings!({ snapshot_path => path, prepend_module_to_snapshot => false, omit_expression => true }, {
        insta::assert_snapshot!(format!("change__{name}"), told);
    });
}

#[test]
fn nothing_follows_from_the_same_said_in_another_way() {
    let old = coprocess("a", "background = \"true\"\nstop_timeout = \"1m\"");
    let new = coprocess("a", "background = true\nstop_timeout = \"60s\"\nstop_event = \"exit\"");
    assert_eq!(plan(&old, &new, &[("a", UP)]), "nothing changes\n");
}

#[test]
fn each_thing_that_can_happen() {
    let old = [
        "shutdown_timeout = \"20s\"\nsite = \"a\"\n[log]\nlevel = \"info\"\n".to_owned(),
        coprocess("gone", ""),
        coprocess("same", ""),
        coprocess("restarted", "env = { A = \"1\" }"),
        coprocess("failed", ""),
        coprocess("live", "restarts = 3"),
        coprocess("job", "restarts = \"never\""),
        coprocess("moved", "exec_event = \"custom.x\""),
    ]
    .concat();
    let new = [
        "shutdown_timeout = \"25s\"\nsite = \"b\"\n[log]\nlevel = \"debug\"\nformatter_name = \"json\"\n\
         [main]\nstop_signal = \"QUIT\"\n[template]\n"
            .to_owned(),
        coprocess("new", ""),
        coprocess("on-start", "exec_event = \"start\""),
        coprocess("later", "exec_event = \"custom.go\""),
        coprocess("beside", "exec_event = \"coprocess.same.ready\""),
        coprocess("after", "exec_event = \"coprocess.restarted.ready\""),
        coprocess("restarted", "env = { A = \"2\" }\ncwd = \"/tmp\"\nrestarts = 3"),
        coprocess("same", ""),
        coprocess("failed", "exec = \"better\""),
        coprocess("live", "restarts = 4\nbackground = true\nbackoff = { max = \"1m\" }"),
        coprocess("job", "restarts = \"never\"\nexec = \"better\""),
        coprocess("moved", "exec_event = \"start\""),
    ]
    .concat();
    let old_with = format!("{old}[template]\n");
    let lives = [
        ("gone", UP),
        ("same", UP),
        ("restarted", UP),
        ("failed", Life::Failed),
        ("live", UP),
        ("job", Life::Ended),
        ("moved", Life::Waiting),
    ];
    same("each_thing_that_can_happen", &plan(&old_with, &new, &lives));
    let plan = Plan::of(&config(&old_with), &config(&new), &now(&lives));
    same("as_json", &format!("{:#}\n", plan.to_json(true)));
}

#[test]
fn what_takes_a_new_start() {
    let old = "[log]\nhistory = \"1KiB\"\n";
    let new = "run_path = \"/r\"\nhost_id = \"x\"\nsubreaper = false\n[log]\nhistory = \"2KiB\"\n\
               [main]\nuser = \"nobody\"\nready = { tcp = \"127.0.0.1:1\" }\n[control]\nmode = \"0660\"\n\
               [exec_socket]\npath = \"/x\"\n";
    same("what_takes_a_new_start", &plan(old, &[new, &coprocess("a", "")].concat(), &[]));
    let awaits = coprocess("a", "exec_event = \"exec.started\"");
    let socket = "[exec_socket]\npath = \"/x\"\n";
    let told = plan(socket, &[socket, &awaits].concat(), &[]);
    assert!(told.contains("coprocess.a.exec_event: takes a new start of coproc\n"), "{told}");
}

#[test]
fn exec_sockets_come_and_go_by_name_and_apis_change_at_once() {
    let alone = "[exec_socket]\npath = \"/x\"\n";
    let named = "[exec_socket.a]\npath = \"/a\"\n[exec_socket.b]\npath = \"/b\"\n";
    let (opens, closes) =
        ("exec socket exec: opens\n", "exec socket exec: closes, and its programs are ended\n");
    assert_eq!(plan("", alone, &[]), opens);
    assert_eq!(plan(alone, "", &[]), closes);
    let told = plan(alone, named, &[]);
    assert_eq!(told, format!("{closes}exec socket a: opens\nexec socket b: opens\n"));
    let other = "[exec_socket]\npath = \"/y\"\nenv = { A = \"1\" }\n";
    let told = plan(alone, other, &[]);
    assert!(
        told.starts_with("exec_socket.env.A: takes a new start of coproc\nexec_socket.path: takes"),
        "{told}"
    );
    let told = plan(named, "[exec_socket.b]\npath = \"/y\"\n[exec_socket.c]\npath = \"/a\"\n", &[]);
    let expected = "exec socket a: closes, and its programs are ended\nexec socket c: opens\n\
                    exec_socket.b.path: takes a new start of coproc\n";
    assert!(told.starts_with(expected), "{told}");
    // Who waits for programs of sockets that begin now is heard.
    let awaits = coprocess("a", "exec_event = \"exec.started\"");
    let told = plan(alone, &[named, &awaits].concat(), &[]);
    assert!(!told.contains("new start"), "{told}");

    let gateway = "[gateway]\nlisten = \"127.0.0.1:80\"\n";
    let api = |path: &str| {
        format!(
            "{gateway}[[gateway.api]]\napi_id = \"a\"\nproxy = {{ listen_path = \"/{path}/\", target_url = \"http://x/\" }}\n"
        )
    };
    assert_eq!(plan(&api("a"), &api("b"), &[]), "gateway.api: changes at once\n");
    assert_eq!(plan(gateway, &api("b"), &[]), "gateway.api: changes at once\n");
    let told = plan("", &api("b"), &[]);
    assert!(told.starts_with("gateway: takes a new start of coproc\n"), "{told}");
}

#[test]
fn one_that_is_named_anew_is_another() {
    let old = coprocess("a", "");
    let new = old.replace("name = \"a\"", "name = \"b\"");
    let expected = "a: stops, since the config has it no more\nb: starts\n";
    assert_eq!(plan(&old, &new, &[("a", UP)]), expected);
}

#[test]
fn the_order_alone() {
    let (a, b) = (coprocess("a", ""), coprocess("b", ""));
    let told = plan(&[&a[..], &b].concat(), &[&b[..], &a].concat(), &[("a", UP), ("b", UP)]);
    let expected =
        "the coprocesses have another order from now on\n2 coprocesses are not touched\n";
    assert_eq!(told, expected);
}
