//! `coproc reload --config`: exactly what differs is carried out, or nothing at all.

mod support;

use std::io::Read;

use serde_json::Value;
use support::{Place, Wrapper, alive, coprocess, eventually, http, puppet};

/// A main process that is no nginx.
const MAIN: &str = "[main]\nexec = [\"sh\", \"-c\", \"echo up; exec sleep 1000\"]\n";

fn background(name: &str, exec: &str, rest: &str) -> String {
    coprocess(name, exec, &format!("background = true\n{rest}"))
}

fn config(place: &Place, main: &str, parts: &[&str]) {
    place.config(&format!("{main}{}", parts.concat()));
}

/// Starts a wrapper and waits for its main process.
fn run(place: &Place) -> Wrapper {
    let wrapper = place.run();
    wrapper.wait_for("main: up");
    eventually("it runs", || status(place)["main"]["state"] == "running");
    wrapper
}

/// Exit status, standard output and standard error of `coproc reload --config`.
fn reload(place: &Place, more: &[&str]) -> (Option<i32>, String, String) {
    let output = place.coproc(&[&["reload", "--config"], more].concat());
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

fn status(place: &Place) -> Value {
    // The config may be one that names no socket just now.
    let socket = place.at("run/control.sock");
    let output = place.coproc(&["status", "--format", "json", "--socket", &socket]);
    serde_json::from_slice(&output.stdout).unwrap_or_default()
}

fn of<'a>(status: &'a Value, name: &str) -> &'a Value {
    let all = status["coprocesses"].as_array().unwrap();
    all.iter().find(|one| one["name"] == name).unwrap_or(&Value::Null)
}

fn pid(status: &Value, name: &str) -> i32 {
    i32::try_from(of(status, name)["pid"].as_i64().unwrap_or(0)).unwrap()
}

#[test]
fn what_differs_is_carried_out_and_nothing_else_is_touched() {
    let place = Place::new();
    let same = background("same", "\"sleep 1000\"", "");
    let stop = "stop_exec = [\"sh\", \"-c\", \"echo gone\"]";
    let gone = background("gone", "\"sleep 1000\"", stop);
    let changed = background("changed", "\"sleep 1000\"", "");
    let live = background("live", "\"sleep 1000\"", "restarts = 3");
    config(&place, MAIN, &[&same, &gone, &changed, &live]);
    let mut wrapper = run(&place);
    let before = status(&place);
    let new = background("new", "\"sleep 1000\"", "");
    let later = background("later", "\"sleep 1000\"", "exec_event = \"custom.go\"");
    let changed = background("changed", "\"sleep 2000\"", "");
    let live = background("live", "\"sleep 1000\"", "restarts = 7");
    config(&place, MAIN, &[&new, &changed, &later, &live, &same]);

    let (code, plan, stderr) = reload(&place, &["--plan"]);
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    let expected = "gone: stops, since the config has it no more\nnew: starts\n\
                    changed: restarts (exec)\nlater: is new, and starts with custom.go\n\
                    live: changes and runs on (restarts)\n\
                    the coprocesses have another order from now on\n\
                    1 coprocess is not touched\n";
    assert_eq!(plan, expected);
    assert_eq!(pid(&status(&place), "gone"), pid(&before, "gone"), "a plan does nothing");

    let (code, told, stderr) = reload(&place, &[]);
    assert_eq!((code, told.as_str(), stderr.as_str()), (Some(0), expected, ""));
    let after = status(&place);
    let names = after["coprocesses"].as_array().unwrap().iter().map(|one| &one["name"]);
    assert_eq!(names.collect::<Vec<_>>(), ["new", "changed", "later", "live", "same"]);
    assert_eq!(pid(&after, "same"), pid(&before, "same"));
    assert_eq!(pid(&after, "live"), pid(&before, "live"));
    assert_eq!(of(&after, "live")["policy"], "7");
    assert_eq!(after["main"]["pid"], before["main"]["pid"]);
    assert_ne!(pid(&after, "changed"), pid(&before, "changed"));
    assert!(!alive(pid(&before, "changed")) && alive(pid(&after, "changed")));
    assert!(!alive(pid(&before, "gone")) && alive(pid(&after, "new")));
    wrapper.wait_for("stop-gone: gone");
    assert_eq!(of(&after, "later")["state"], "waiting");
    assert_eq!(place.coproc(&["emit", "go"]).status.code(), Some(0));
    eventually("its event starts it", || of(&status(&place), "later")["state"] == "running");

    assert_eq!(reload(&place, &[]), (Some(0), "nothing changes\n".into(), String::new()));
    assert_eq!(wrapper.stop(), 143);
    assert!(!alive(pid(&after, "new")));
}

/// Both the report and that nothing happened.
#[test]
fn a_config_that_check_refuses_changes_nothing() {
    let place = Place::new();
    config(&place, MAIN, &[&background("a", "\"sleep 1000\"", "")]);
    let mut wrapper = run(&place);
    let before = status(&place);
    let wrong = "restart_limit = 5\nbackgruond = true";
    config(&place, MAIN, &[&background("b", "\"sleep 1000\"", wrong)]);
    let check = place.coproc(&["check"]);
    assert_eq!(check.status.code(), Some(2));
    let socket = place.at("run/control.sock");
    // By the command itself, which looks for the wrapper there, and by the wrapper.
    for more in [&[][..], &["--plan"], &["--socket", &socket], &["--plan", "--socket", &socket]] {
        let (code, stdout, stderr) = reload(&place, more);
        assert_eq!((code, stdout.as_str()), (Some(1), ""));
        assert_eq!(stderr, String::from_utf8_lossy(&check.stderr));
    }
    let after = status(&place);
    assert_eq!(pid(&after, "a"), pid(&before, "a"));
    assert_eq!(of(&after, "b"), &Value::Null);
    assert_eq!(wrapper.stop(), 143);
}

#[test]
fn what_cannot_be_is_found_before_anything_is_touched() {
    let place = Place::new();
    let a = background("a", "\"sleep 1000\"", "");
    config(&place, MAIN, &[&a]);
    let mut wrapper = run(&place);
    let before = status(&place);
    let taken = |expected: &str| {
        let (code, stdout, stderr) = reload(&place, &[]);
        assert_eq!((code, stdout.as_str()), (Some(1), ""), "{stderr}");
        assert!(stderr.contains(expected), "{stderr}");
        assert_eq!(pid(&status(&place), "a"), pid(&before, "a"));
    };
    let b = background("b", "\"/no/such\"", "");
    config(&place, MAIN, &[&b]);
    taken("nothing was changed: b: `/no/such` cannot be started");
    let b = background("b", "\"sleep 1000\"", "user = \"no-such-user\"");
    config(&place, MAIN, &[&b]);
    taken("there is no user `no-such-user`");
    place.config(&format!("destination = \"/no/such/log\"\n{MAIN}"));
    taken("log.destination cannot be opened");
    config(&place, &format!("{MAIN}user = \"root\"\n"), &[&background("b", "\"sleep 1\"", "")]);
    taken("error: nothing was changed: main.user cannot change while coproc runs\n");
    assert_eq!(wrapper.stop(), 143);
}

#[test]
fn what_was_set_stays_and_the_log_changes_at_once() {
    let place = Place::new();
    let a = |rest: &str| background("a", "\"sleep 1000\"", rest);
    config(&place, MAIN, &[&a("restarts = 3\ntime_between_restarts = \"1s\"")]);
    let mut wrapper = run(&place);
    assert_eq!(place.coproc(&["set", "a", "restarts=9"]).status.code(), Some(0));
    let text = format!("formatter_name = \"json\"\n{MAIN}");
    config(&place, &text, &[&a("restarts = 3\ntime_between_restarts = \"2s\"")]);
    let (code, told, _) = reload(&place, &[]);
    assert_eq!(code, Some(0));
    assert_eq!(
        told,
        "a: changes and runs on (time_between_restarts)\nlog.formatter_name: changes at once\n"
    );
    assert_eq!(of(&status(&place), "a")["policy"], "9");
    assert_eq!(place.coproc(&["emit", "seen"]).status.code(), Some(0));
    wrapper.wait_for("\"msg\":\"[custom.seen] triggered");
    config(&place, &text, &[&a("restarts = 4\ntime_between_restarts = \"2s\"")]);
    assert_eq!(reload(&place, &[]).0, Some(0));
    assert_eq!(of(&status(&place), "a")["policy"], "4");
    assert_eq!(wrapper.stop(), 143);
}

/// A level that is lowered, seen in coproc's own lines.
#[test]
fn the_level_of_the_log_changes_at_once() {
    let place = Place::new();
    let text = |level: &str| {
        format!("run_path = {:?}\n[log]\nlevel = \"{level}\"\n{MAIN}", place.at("run"))
    };
    place.write("coproc.toml", &text("info"));
    let mut wrapper = place.run();
    wrapper.wait_for("main: up");
    eventually("it runs", || status(&place)["main"]["state"] == "running");
    place.write("coproc.toml", &text("debug"));
    assert_eq!(reload(&place, &[]), (Some(0), "log.level: changes at once\n".into(), "".into()));
    assert_eq!(place.coproc(&["emit", "seen"]).status.code(), Some(0));
    wrapper.wait_for("event: [custom.seen]");
    assert_eq!(wrapper.stop(), 143);
}

#[test]
fn one_that_was_given_up_starts_when_its_program_is_mended() {
    let place = Place::new();
    config(&place, MAIN, &[&background("a", "\"false\"", "restarts = 1")]);
    let mut wrapper = run(&place);
    eventually("it is given up", || of(&status(&place), "a")["state"] == "failed");
    config(&place, MAIN, &[&background("a", "\"sleep 1000\"", "restarts = 1")]);
    let (code, told, _) = reload(&place, &[]);
    assert_eq!((code, told.as_str()), (Some(0), "a: restarts (exec)\n"));
    assert_eq!(of(&status(&place), "a")["state"], "running");
    let unfit = "restarts = \"never\"\nready = { file = \"/no/such\", within = \"100ms\" }";
    config(&place, MAIN, &[&background("a", "\"sleep 1000\"", unfit)]);
    let (code, told, stderr) = reload(&place, &[]);
    assert_eq!((code, told.as_str()), (Some(1), "a: restarts (ready, restarts)\n"));
    assert_eq!(stderr, "error: `a` does not run: it is in state failed\n");
    assert_eq!(wrapper.stop(), 143);
}

/// Stopping runs in the new order, and the old stop command is the one that the old program had.
#[test]
fn a_restart_runs_the_stop_command_that_it_began_with() {
    let place = Place::new();
    let with = |exec: &str, word: &str| {
        background("a", exec, &format!("stop_exec = [\"echo\", \"{word}\"]"))
    };
    let b = background("b", "\"sleep 1000\"", "stop_exec = [\"echo\", \"b\"]");
    config(&place, MAIN, &[&with("\"sleep 1000\"", "old"), &b]);
    let mut wrapper = run(&place);
    config(&place, MAIN, &[&b, &with("\"sleep 2000\"", "new")]);
    assert_eq!(reload(&place, &[]).0, Some(0));
    wrapper.wait_for("stop-a: old");
    assert_eq!(wrapper.count("stop-a: new"), 0);
    assert_eq!(wrapper.stop(), 143);
    assert!(wrapper.position("stop-b: b") < wrapper.position("stop-a: new"));
}

/// The templates of a real nginx: what it refuses takes all else back.
#[test]
fn values_of_templates_are_rendered_anew_or_all_stays() {
    let place = Place::new();
    let port = place.nginx(1, "return 200 [[.word]];", "");
    let template = place.read("run/conf/nginx.conf");
    place.write("nginx.conf.tmpl", &template);
    std::fs::remove_file(place.path().join("run/conf/nginx.conf")).unwrap();
    let text = |word: &str, more: &str| {
        let (run, suffix) = (place.at("run"), "[template]\nrun_path_subdirs = \"conf\"\n");
        place.write(
            "coproc.toml",
            &format!(
                "run_path = {run:?}\nword = \"{word}\"\n[log]\nlevel = \"DEBUG\"\n{suffix}{more}"
            ),
        );
    };
    let a = background("a", "\"sleep 1000\"", "");
    text("old", &a);
    let mut wrapper = place.run();
    wrapper.wait_for("event: [start-worker]");
    let before = pid(&status(&place), "a");
    text("new", &a);
    let (code, told, stderr) = reload(&place, &[]);
    assert_eq!(code, Some(0), "{stderr}");
    let line = "word: templates are rendered anew, and the main process is reloaded";
    assert_eq!(told, format!("{line}\n1 coprocess is not touched\n"));
    eventually("new workers answer", || http::get(port, "/").ends_with("new"));
    text("} nonsense", &background("b", "\"sleep 1000\"", ""));
    let (code, told, stderr) = reload(&place, &[]);
    assert_eq!((code, told.as_str()), (Some(1), ""));
    assert!(stderr.contains("nothing was changed: reload 3: rejected by check: "), "{stderr}");
    assert_eq!(pid(&status(&place), "a"), before);
    assert_eq!(place.coproc(&["reload"]).status.code(), Some(0), "with the old values");
    assert!(http::get(port, "/").ends_with("new"));
    assert_eq!(wrapper.stop(), 0);
}

#[test]
fn while_the_start_is_held_nothing_changes() {
    let place = Place::new();
    let hold = format!("[\"{}\", \"until\", \"{}\"]", puppet(), place.at("go"));
    config(&place, MAIN, &[&coprocess("hold", &hold, "")]);
    let mut wrapper = place.run();
    wrapper.wait_for("hold: waiting");
    let (code, _, stderr) = reload(&place, &[]);
    assert_eq!(code, Some(1));
    assert_eq!(stderr, "error: the wrapper is starting or being stopped\n");
    place.write("go", "");
    wrapper.wait_for("main: up");
    assert_eq!(wrapper.stop(), 143);
}

#[test]
fn a_config_that_cannot_be_read_to_its_end_keeps_nobody_from_leaving() {
    let place = Place::new();
    config(&place, MAIN, &[]);
    let mut wrapper = run(&place);
    let config = place.at("coproc.toml");
    std::fs::remove_file(&config).unwrap();
    // Nobody ever writes to it.
    let mode = nix::sys::stat::Mode::S_IRUSR;
    nix::unistd::mkfifo(std::path::Path::new(&config), mode).unwrap();
    let (code, _, stderr) = reload(&place, &["--socket", &place.at("run/control.sock")]);
    assert_eq!(code, Some(1));
    assert_eq!(stderr, "error: the config cannot be read within 5 s\n");
    wrapper.signal(nix::sys::signal::Signal::SIGTERM);
    assert_eq!(wrapper.wait(), 143);
}

/// An exec socket of this name; `more` are further keys.
fn exec_socket(place: &Place, name: &str, more: &str) -> String {
    format!("[exec_socket.{name}]\npath = \"{}\"\n{more}\n", place.at(&format!("{name}.sock")))
}

/// What a program of `coproc exec` prints, over this socket.
fn exec(place: &Place, name: &str, words: &[&str]) -> String {
    let socket = place.at(&format!("{name}.sock"));
    let output = place.coproc(&[&["exec", "--socket", &socket, "--"], words].concat());
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn exec_sockets_are_opened_and_closed() {
    let place = Place::new();
    let [stays, goes] = ["stays", "goes"].map(|name| exec_socket(&place, name, ""));
    config(&place, MAIN, &[&stays, &goes]);
    let mut wrapper = run(&place);
    // It ends with its socket.
    let there = ["sh", "-c", "echo there; exec sleep 1000"];
    let socket = place.at("goes.sock");
    let words = [&["exec", "--socket", &socket, "--"], &there[..]].concat();
    let mut held = Wrapper::start(place.command(&words));
    held.wait_for("there");
    let waits = background("waits", "\"sleep 1000\"", "exec_event = \"exec.started\"");
    config(&place, MAIN, &[&stays, &exec_socket(&place, "comes", "")]);
    let expected = "exec socket goes: closes, and its programs are ended\n\
                    exec socket comes: opens\n";
    let (code, plan, stderr) = reload(&place, &["--plan"]);
    assert_eq!((code, plan.as_str(), stderr.as_str()), (Some(0), expected, ""));
    assert!(!place.path().join("comes.sock").exists(), "a plan does nothing");

    let (code, told, stderr) = reload(&place, &[]);
    assert_eq!((code, told.as_str(), stderr.as_str()), (Some(0), expected, ""));
    assert_eq!(held.wait(), 143);
    assert!(!place.path().join("goes.sock").exists(), "its file is gone as well");
    assert_eq!(exec(&place, "comes", &["echo", "new"]), "new\n");
    assert_eq!(exec(&place, "stays", &["echo", "old"]), "old\n");
    let names: Vec<_> = status(&place)["exec_sockets"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["name"].clone())
        .collect();
    assert_eq!(names, ["stays", "comes"]);

    // What a socket that stays has otherwise takes a new start, and so does who waits for its programs.
    let other = exec_socket(&place, "stays", "timeout = \"3s\"");
    config(&place, MAIN, &[&other, &exec_socket(&place, "new", ""), &waits]);
    let (code, _, stderr) = reload(&place, &[]);
    assert_eq!(code, Some(1));
    let why = "error: nothing was changed: exec_socket.stays.timeout and \
               coprocess.waits.exec_event cannot change while coproc runs\n";
    assert_eq!(stderr, why);
    assert!(!place.path().join("new.sock").exists());

    // One that cannot be opened changes nothing, and the others that were to be are closed again.
    place.write("taken.sock", "no socket");
    config(&place, MAIN, &[&exec_socket(&place, "new", ""), &exec_socket(&place, "taken", "")]);
    let (code, _, stderr) = reload(&place, &[]);
    assert_eq!(code, Some(1));
    assert!(stderr.contains("exec socket `taken`") && stderr.contains("not a socket"), "{stderr}");
    assert!(!place.path().join("new.sock").exists());
    assert_eq!(exec(&place, "stays", &["echo", "old"]), "old\n");

    // With no socket left, none has to have known from its beginning that it is waited for.
    config(&place, MAIN, &[&exec_socket(&place, "new", ""), &waits]);
    assert_eq!(reload(&place, &[]).0, Some(0));
    assert_eq!(exec(&place, "new", &["echo", "heard"]), "heard\n");
    eventually("it was waited for", || of(&status(&place), "waits")["state"] == "running");
    assert_eq!(wrapper.stop(), 143);
    assert_eq!(wrapper.count("the actor of"), 0);
}

#[test]
fn apis_of_the_gateway_change_at_once() {
    let place = Place::new();
    let port = support::free_port();
    let gateway = format!("[gateway]\nlisten = \"127.0.0.1:{port}\"\n");
    let api = |path: &str| {
        format!(
            "[[gateway.api]]\napi_id = \"{path}\"\nproxy = {{ listen_path = \"/{path}/\", \
             target_url = \"http://127.0.0.1:9/\" }}\n"
        )
    };
    // The status line is enough: who is answered early is reset.
    let served = |path: &str| {
        let mut status = [0; 12];
        http::ask(port, &format!("/{path}/"), "").read_exact(&mut status).unwrap();
        &status != b"HTTP/1.1 404"
    };
    // A reload by HUP would end this one.
    let main = format!("{MAIN}reload_signal = \"CONT\"\n");
    config(&place, &main, &[&gateway, &api("one")]);
    let mut wrapper = run(&place);
    assert!(served("one") && !served("two"));
    config(&place, &main, &[&gateway, &api("two")]);
    let (code, told, stderr) = reload(&place, &[]);
    let expected = "gateway.api: changes at once\n";
    assert_eq!((code, told.as_str(), stderr.as_str()), (Some(0), expected, ""));
    assert!(served("two") && !served("one"));
    // A reload alone reads the APIs of the config that holds now.
    assert_eq!(place.coproc(&["reload"]).status.code(), Some(0));
    eventually("still the new one", || served("two") && !served("one"));
    let other = gateway.replace("[gateway]\n", "[gateway]\nhook_timeout = \"3s\"\n");
    config(&place, &main, &[&other, &api("one")]);
    let (code, _, stderr) = reload(&place, &[]);
    assert_eq!(code, Some(1));
    assert!(stderr.contains("gateway.hook_timeout cannot change while coproc runs"), "{stderr}");
    assert!(served("two"));
    wrapper.stop();
}
