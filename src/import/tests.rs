//! Whatever a file says, what comes of it is a config that `coproc check` takes.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::draft::{Draft, Key};
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
fn copies_that_differ_in_their_number_alone_are_replicas() {
    let draft = of_supervisord(
        "[program:queue]\ncommand=php artisan queue:work\nnumprocs=8\nautorestart=true\n\
         process_name=%(program_name)s_%(process_num)02d\nstdout_logfile=/var/log/%(process_num)d.log\n\
         [program:shard]\ncommand=shard --number %(process_num)d\nnumprocs=2\nnumprocs_start=1\n\
         autorestart=true\n\
         [program:padded]\ncommand=x %(process_num)02d\nnumprocs=2\nnumprocs_start=1\nautorestart=true\n\
         [program:apart]\ncommand=x\nnumprocs=2\nautorestart=true\nprocess_name=%(process_num)s\n\
         environment=N=\"%(process_num)d\"\n\
         [program:queue-2]\ncommand=x\nautorestart=true\n\
         [program:none]\ncommand=x\nnumprocs=0\nautorestart=true\n",
    );
    let all: Vec<_> =
        draft.coprocesses.iter().map(|one| (one.name.as_str(), one.replicas)).collect();
    let expected = [
        ("queue", 8),
        ("shard", 2),
        ("padded_1", 0),
        ("padded_2", 0),
        ("apart_0", 0),
        ("apart_1", 0),
        ("queue-2-2", 0),
    ];
    assert_eq!(all, expected);
    let exec = "[\"shard\", \"--number\", \"${replica}\"]";
    assert_eq!(draft.coprocesses[1].keys[0], ("exec", exec.to_owned()));
    let told = remarks(&draft);
    let logfile = "s.conf:6: stdout_logfile: its output goes to the wrapper's log, with its name \
                   (log.destination)";
    let none = "s.conf:26: numprocs: it is 0: there is none of it";
    for expected in [logfile, none] {
        assert!(told.iter().any(|one| one == expected), "{told:#?}");
    }
    check(&draft).unwrap();
}

#[test]
fn what_the_daemon_gives_on_is_said_for_each() {
    let draft = of_supervisord(
        "[supervisord]\nuser=app\numask=027\n\
         [program:a]\ncommand=a # and no more ; than this\nautorestart=no\n\
         [program:b]\ncommand=b\nautorestart=no\nuser=other\n",
    );
    let of = |at: usize, key: &str| {
        let keys = &draft.coprocesses[at].keys;
        keys.iter().find(|(one, _)| *one == key).map(|(_, value)| value.clone())
    };
    assert_eq!(of(0, "exec").unwrap(), "[\"a\"]");
    assert_eq!([of(0, "user").unwrap(), of(1, "user").unwrap()], ["\"app\"", "\"other\""]);
    assert_eq!([of(0, "umask").unwrap(), of(1, "umask").unwrap()], ["\"0027\"", "\"0027\""]);
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
        can_be_run: true,
    }
}

#[test]
fn services_start_after_all_that_they_need() {
    let services: BTreeMap<_, _> = [
        ("a-web", service("longrun", &[("run", "")], &["db", "setup", "fill", "cache"])),
        ("cache", service("longrun", &[("run", "")], &[])),
        ("db", service("longrun", &[("run", ""), ("notification-fd", "3\n")], &["setup"])),
        ("fill", service("oneshot", &[("up", "fill")], &["db"])),
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
            let start = |(key, _): &&Key| *key == "exec_event" || *key == "after";
            let (key, value) = one.keys.iter().find(start).unwrap();
            format!("{}: {key} = {value}", one.name)
        })
        .collect();
    let expected = [
        "cache: exec_event = \"pre-start\"",
        "setup: exec_event = \"pre-start\"",
        "db: exec_event = \"pre-start\"",
        "fill: after = [\"db\"]",
        "a-web: after = [\"cache\", \"db\", \"fill\"]",
    ];
    assert_eq!(told, expected);
    assert!(draft.coprocesses[2].keys.contains(&("ready", "{ fd = 3 }".to_owned())));
    assert_eq!(remarks(&draft), [] as [&str; 0]);
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
        "numprocs_start",
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
                    Service {
                        kind: kind.to_owned(),
                        files,
                        needs,
                        path: "/src".to_owned(),
                        can_be_run: false,
                    };
                (name, service)
            })
            .collect();
        prop_assert_eq!(check(&s6::convert("s6-rc.d", &services)), Ok(()));
    }
}
