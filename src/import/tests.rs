//! Whatever a file says, what comes of it is a config that `coproc check` takes.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::draft::Draft;
use super::s6::Service;
use super::{procfile, s6, supervisord};
use crate::config::{self, Sources};

/// Checks what a draft comes to.
fn check(draft: &Draft) -> Result<(), String> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("coproc.toml");
    let text = draft.render();
    std::fs::write(&file, &text).unwrap();
    let sources = Sources { files: vec![file], folder: "/".into(), ..Sources::default() };
    config::load(&sources).map(drop).map_err(|errors| format!("{errors}\n{text}"))
}

fn of_supervisord(text: &str) -> Draft {
    supervisord::convert(&[("s.conf".to_owned(), text.to_owned())], "/here")
}

fn remarks(draft: &Draft) -> Vec<String> {
    draft.remarks.iter().map(ToString::to_string).collect()
}

#[test]
fn priorities_are_the_order_and_copies_are_written_out() {
    let draft = of_supervisord(
        "[program:late]\ncommand=late\nautorestart=true\n\
         [program:w]\ncommand=w --port=80%(process_num)02d\nprocess_name=%(program_name)s_%(process_num)d\n\
         numprocs=2\npriority=5\nautorestart=false\n",
    );
    let names: Vec<_> = draft.coprocesses.iter().map(|one| one.name.as_str()).collect();
    assert_eq!(names, ["w_0", "w_1", "late"]);
    assert_eq!(draft.coprocesses[1].keys[0], ("exec", "[\"w\", \"--port=8001\"]".to_owned()));
    assert_eq!(remarks(&draft), [] as [&str; 0]);
    check(&draft).unwrap();
}

#[test]
fn names_and_the_environment_are_replaced() {
    let draft = of_supervisord(
        "[supervisord]\nenvironment=A=\"1\",B=2\n\
         [program:x]\ncommand=%(here)s/x %(ENV_HOME)s 100%% %(host_node_name)s ; a comment\n\
         environment=B=\"two, or 'three'\",\n  C='%(program_name)s'\nautorestart=true\n",
    );
    let keys = &draft.coprocesses[0].keys;
    let exec = "[\"/here/x\", \"${HOME}\", \"100%\", \"%(host_node_name)s\"]";
    assert_eq!(keys[0], ("exec", exec.to_owned()));
    let env = "{ \"A\" = \"1\", \"B\" = \"two, or 'three'\", \"C\" = \"x\" }";
    assert_eq!(keys.last(), Some(&("env", env.to_owned())));
    assert_eq!(remarks(&draft), ["s.conf:4: command: %(host_node_name)s stands for nothing here"]);
    check(&draft).unwrap();
}

#[test]
fn a_name_that_cannot_be_one_is_changed_and_told_of() {
    let text =
        "[program:main]\ncommand=a\nautorestart=no\n[program:a.b]\ncommand=b\nautorestart=no\n";
    let draft = of_supervisord(text);
    let names: Vec<_> = draft.coprocesses.iter().map(|one| one.name.as_str()).collect();
    assert_eq!(names, ["main-2", "a-b"]);
    assert_eq!(draft.remarks.len(), 2);
    check(&draft).unwrap();
}

#[test]
fn web_is_the_main_process_and_release_comes_first() {
    let draft =
        procfile::parse("Procfile", "web: server -p $PORT\nworker: w 'a b'\nrelease: migrate\n");
    assert_eq!(draft.main, [("exec", "[\"sh\", \"-c\", \"server -p $PORT\"]".to_owned())]);
    let names: Vec<_> = draft.coprocesses.iter().map(|one| one.name.as_str()).collect();
    assert_eq!(names, ["release", "worker"]);
    assert_eq!(draft.coprocesses[1].keys[0], ("exec", "[\"w\", \"a b\"]".to_owned()));
    check(&draft).unwrap();
}

fn service(kind: &str, files: &[(&str, &str)], needs: &[&str]) -> Service {
    Service {
        kind: kind.to_owned(),
        files: files.iter().map(|(name, text)| (name.to_string(), text.to_string())).collect(),
        needs: needs.iter().map(ToString::to_string).collect(),
        path: "/src/x".to_owned(),
    }
}

#[test]
fn services_start_after_what_they_need() {
    let services: BTreeMap<_, _> = [
        ("a-web", service("longrun", &[("run", "")], &["db", "setup"])),
        ("db", service("longrun", &[("run", ""), ("notification-fd", "3\n")], &["setup"])),
        ("setup", service("oneshot", &[("up", "mkdir -p /run/x"), ("down", "rm -r /run/x")], &[])),
        ("all", service("bundle", &[], &["a-web", "db"])),
    ]
    .map(|(name, service)| (name.to_owned(), service))
    .into();
    let draft = s6::convert("s6-rc.d", &services);
    let told: Vec<_> = draft
        .coprocesses
        .iter()
        .map(|one| {
            let event = one.keys.iter().find(|(key, _)| *key == "exec_event").unwrap();
            (one.name.as_str(), event.1.as_str())
        })
        .collect();
    let expected =
        [("setup", "\"pre-start\""), ("db", "\"pre-start\""), ("a-web", "\"coprocess.db.ready\"")];
    assert_eq!(told, expected);
    assert!(draft.coprocesses[1].keys.contains(&("ready", "{ fd = 3 }".to_owned())));
    check(&draft).unwrap();
}

#[test]
fn a_circle_is_cut() {
    let services: BTreeMap<_, _> = [
        ("a", service("longrun", &[("run", "")], &["b"])),
        ("b", service("longrun", &[("run", "")], &["a"])),
    ]
    .map(|(name, service)| (name.to_owned(), service))
    .into();
    let draft = s6::convert("s6-rc.d", &services);
    assert_eq!(remarks(&draft), ["s6-rc.d/a: dependencies.d: they go round in a circle"]);
    check(&draft).unwrap();
}

/// Lines that are nearly, or quite, those of supervisord.conf.
fn line() -> impl Strategy<Value = String> {
    let key = prop::sample::select(vec![
        "command",
        "numprocs",
        "process_name",
        "priority",
        "environment",
        "user",
        "directory",
        "umask",
        "exitcodes",
        "stopwaitsecs",
        "stopsignal",
        "autostart",
        "autorestart",
        "startsecs",
        "stdout_logfile",
        "programs",
        "files",
        "loglevel",
        "file",
    ]);
    let section = prop::sample::select(vec![
        "[program:a]",
        "[program:b.c]",
        "[program:]",
        "[group:g]",
        "[supervisord]",
        "[include]",
        "[eventlistener:e]",
        "[unix_http_server]",
        "[fcgi-program:f]",
        "[",
        "[x",
    ]);
    prop_oneof![
        section.prop_map(str::to_owned),
        (key.clone(), any::<String>()).prop_map(|(key, value)| format!("{key}={value}")),
        (key, "[%()sdA-Z_a-z0-9\"', ;=$\\\\{}-]{0,24}")
            .prop_map(|(key, value)| format!("{key}={value}")),
        any::<String>(),
        " [ -~]{0,12}",
    ]
}

proptest! {
    #[test]
    fn any_supervisord_conf_becomes_a_config(lines in prop::collection::vec(line(), 0..24)) {
        let draft = of_supervisord(&lines.join("\n"));
        prop_assert_eq!(check(&draft), Ok(()));
    }

    #[test]
    fn any_procfile_becomes_a_config(
        text in prop_oneof![any::<String>(), "([a-z.]{0,4}:? [ -~]{0,12}\n){0,6}"],
    ) {
        prop_assert_eq!(check(&procfile::parse("Procfile", &text)), Ok(()));
    }

    #[test]
    fn any_services_become_a_config(
        all in prop::collection::btree_map(
            "[a-d.]{1,2}",
            (
                prop::sample::select(vec!["longrun", "oneshot", "bundle", "", "x"]),
                prop::collection::btree_map(
                    prop::sample::select(vec![
                        "run", "up", "down", "finish", "notification-fd", "timeout-up",
                        "timeout-down", "timeout-kill", "env",
                    ]),
                    prop_oneof![any::<String>(), "[0-9]{1,9}", "[a-z ]{1,9}"],
                    0..6,
                ),
                prop::collection::btree_set("[a-d.]{1,2}", 0..3),
            ),
            0..5,
        ),
    ) {
        let services = all
            .into_iter()
            .map(|(name, (kind, files, needs))| {
                let files = files.into_iter().map(|(name, text)| (name.to_owned(), text)).collect();
                let service =
                    Service { kind: kind.to_owned(), files, needs, path: "/src".to_owned() };
                (name, service)
            })
            .collect();
        prop_assert_eq!(check(&s6::convert("s6-rc.d", &services)), Ok(()));
    }
}
