//! The description of the control API, and whether a wrapper keeps to it.

mod support;

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use support::{Place, Wrapper, coprocess, skipped};

const TOKEN: &str = "admin-0123456789abcdef0123456789abcdef";

/// A wrapper with a port, and where that is.
fn up(place: &Place) -> (Wrapper, String) {
    place.write("token", TOKEN);
    place.config(
        &[
            coprocess("agent", "\"sleep 1000\"", "background = true\nrestarts = \"unlimited\""),
            coprocess("once", "[\"sh\", \"-c\", \"echo done; exit 3\"]", ""),
            "[control]\nlisten = \"127.0.0.1:0\"\ntoken_files = { admin = \"token\" }\n".to_owned(),
        ]
        .concat(),
    );
    let words = ["--set", "log.level=info"];
    let wrapper = place.run_with(&words, &[("F_EV", "1")]);
    let line = wrapper.wait_for("are told on http://");
    let address = line.split_once("http://").unwrap().1.split_once('/').unwrap().0.to_owned();
    assert_eq!(place.coproc(&["wait", "main"]).status.code(), Some(0), "{}", wrapper.dump());
    (wrapper, address)
}

#[test]
fn a_wrapper_serves_what_the_program_prints() {
    let place = Place::new();
    let (mut wrapper, _) = up(&place);
    let mut stream = UnixStream::connect(place.at("run/control.sock")).unwrap();
    stream
        .write_all(b"GET /openapi.json HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let served: Value = serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap();
    let printed = place.coproc(&["schema", "--openapi"]);
    assert_eq!(printed.status.code(), Some(0));
    let printed: Value = serde_json::from_slice(&printed.stdout).unwrap();
    assert_eq!(served, printed);
    assert_eq!(printed["openapi"], "3.1.0");
    assert_eq!(printed["info"]["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(wrapper.stop(), 0);
}

/// Requests that a program makes of the description, good ones and wrong ones: the answers have the
/// statuses, the types and the forms that it says, and the wrapper is well afterwards.
#[test]
fn requests_made_of_the_description_are_answered_as_it_says() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let program = root.join("target/python/bin/schemathesis");
    if !program.exists() {
        return skipped("schemathesis is installed by .ci/install");
    }
    let place = Place::new();
    let (mut wrapper, address) = up(&place);
    let mut command = Command::new(program);
    command
        .args(["run", &format!("http://{address}/openapi.json")])
        .args(["--header", &format!("Authorization: Bearer {TOKEN}")])
        // A signal to the main process ends the wrapper, and who waits may wait for ever.
        .args(["--exclude-path", "/v1/coprocesses/main/signal"])
        .args(["--exclude-path", "/v1/coprocesses/{name}/wait"])
        // Texts have a grammar of their own, of names and signals and durations, which is not described.
        // A 503 is an answer of health checks; a 500 is none that the description knows.
        .args(["--exclude-checks", "positive_data_acceptance,not_a_server_error"])
        .args(["--phases", "examples,coverage,fuzzing", "--max-examples", "15"])
        .args(["--generation-deterministic", "--no-shrink"])
        .args(["--request-timeout", "20", "--warnings", "off"])
        .args(["--no-color"])
        .env("SCHEMATHESIS_HOOKS", root.join("tests/plugins/python/api_hooks.py"))
        .current_dir(place.path());
    let mut tester = Wrapper::start(command);
    assert_eq!(tester.wait(), 0, "{}", tester.dump());
    assert_eq!(place.coproc(&["status"]).status.code(), Some(0), "{}", wrapper.dump());
    assert_eq!(wrapper.stop(), 0);
}
