//! A coordinator in the tree: beside a main process and its coprocesses.

use serde_json::{Value, json};

use crate::rig::{Answer, Hook, Rig, failed, ok, unix};
use crate::support::{Place, free_port};

/// A coordinator beside the puppet.
pub(crate) fn up(keys: &str) -> Rig {
    let (place, port) = (Place::new(), free_port());
    let wrapper = place.up(&format!(
        "[coordinator]\nservice_name = \"coord\"\nsocket_dir = \"${{run_path}}/../d\"\n\
         external_port = {port}\n{keys}\n"
    ));
    Rig { place, port, wrapper }
}

fn request(hook: &Hook) -> Value {
    json!({ "id": "a", "task": "foo", "responsehook": hook.url("/") })
}

#[test]
fn it_serves_beside_a_main_process_and_the_status_tells_of_it() {
    let mut rig = up("");
    let hook = Hook::start();
    let f = rig.provider("foo", "50-f.sock", Answer::Result(json!(4)));
    assert_eq!(rig.post(&request(&hook)), ok("a"));
    assert_eq!(hook.posts.nth(0).body["result"], 4);
    f.requests.nth(0);
    let output = rig.place.coproc(&["status", "--format", "json"]);
    let status: Value = serde_json::from_slice(&output.stdout).unwrap();
    let coordinator = &status["coordinator"];
    assert_eq!(coordinator["service_name"], "coord");
    assert_eq!(coordinator["figures"]["taken"], 1);
    assert_eq!(coordinator["tasks"][0]["task"], "foo");
    let provider = &coordinator["tasks"][0]["providers"][0];
    assert_eq!((&provider["priority"], &provider["service"]), (&json!(50), &json!("f")));
    assert_eq!(rig.wrapper.stop(), 0);
    assert!(!rig.internal().exists() && !rig.response().exists());
}

#[test]
fn what_is_open_is_answered_before_the_exit_event() {
    let mut rig = up("request_timeout = 1");
    let hook = Hook::start();
    let _f = rig.provider("foo", "50-f.sock", Answer::Ack);
    assert_eq!(rig.post(&request(&hook)), ok("a"));
    assert_eq!(rig.wrapper.stop(), 0);
    assert_eq!(hook.posts.nth(0).body, failed("a", "response timeout"));
}

#[test]
fn a_table_that_is_wrong_is_told_of_with_all_its_problems() {
    let place = Place::new();
    place.config("[coordinator]\nexternal_port = 0\nlisten = \"here\"\nsocketdir = 1\n");
    let output = place.coproc(&["check"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    for part in [
        "missing external_port",
        "missing service_name",
        "`here` is not an address to listen on",
        "did you mean `socket_dir`?",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
}

#[test]
fn tasks_that_nobody_could_ask_for_are_told_of() {
    let place = Place::new();
    let check = |coordinator: &str, tasks: &str| {
        let more = format!("exec_event = \"pre-start\"\ntasks = {tasks}");
        let provider = crate::support::coprocess("p", "\"true\"", &more);
        place.config(&format!("{coordinator}{provider}"));
        let output = place.coproc(&["check"]);
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let coordinator = "[coordinator]\nservice_name = \"c\"\n";
    assert_eq!(check(coordinator, "[\"a\", \"b c\"]").0, Some(0));
    let long = format!("\"{}\"", "x".repeat(129));
    for task in ["\"a/b\"", "\".a\"", "\"..\"", "\"streams\"", "\"a\\u0000\"", &long] {
        let (code, said) = check(coordinator, &format!("[\"fine\", {task}]"));
        assert_eq!(code, Some(2), "{task}: {said}");
        assert!(said.contains("is not the name of a task\n"), "{task}: {said}");
        assert!(said.contains("coprocess.p.tasks") && said.contains("coproc.toml:"), "{said}");
    }
    let (code, said) = check("", "[\"a\"]");
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("there is no [coordinator] whose requests would wait"), "{said}");
}

#[test]
fn a_short_secret_leaves_the_words_of_an_error_alone() {
    let place = Place::new();
    place.config(
        "[coordinator]\nservice_name = \"c\"\n[coordinator.nats]\nurl = \"nats://h\"\n\
         password = \"is\"\n",
    );
    let output = place.coproc(&["check"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("coordinator.nats.password: `password` is set without `user`"), "{said}");
}

#[test]
fn without_a_port_there_are_the_sockets_alone() {
    let mut rig = up("listen = \"none\"");
    let _f = rig.provider("foo", "50-f.sock", Answer::Ack);
    let plain = json!({ "id": "b", "task": "foo", "responsehook": unix("/x") });
    assert_eq!(rig.ask(&plain), ok("b"));
    assert!(std::net::TcpStream::connect(("127.0.0.1", rig.port)).is_err());
    assert_eq!(rig.wrapper.stop(), 0);
}
