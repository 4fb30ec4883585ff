//! The coordinator's samples: one with a stand-in for the provider, one with the provider itself.

use std::io::{Read, Write};
use std::net::TcpStream;

use crate::sample::Sample;
use crate::support::{eventually, puppet};

#[test]
fn a_task_without_a_provider_is_refused_and_the_provider_is_told_where_to_register() {
    let sample = Sample::copy("coordinator.toml", &[], &[]);
    sample.stand_in("guests", "echo \"$@\" >> $calls; exec sleep 1000");
    let port = crate::support::free_port();
    let mut wrapper = sample.run(&["--set", &format!("coordinator.external_port={port}")]);
    wrapper.started("guests", 1);
    eventually("the provider is called", || !sample.calls().is_empty());
    let run = sample.place.at("run");
    let expected = format!("-s {run}/tasks -n guests -u unix://{run}/tasks/coordinator/main.sock");
    assert_eq!(sample.calls(), [expected]);
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let request = r#"{"id":"1","task":"resize","responsehook":"http://127.0.0.1:9/"}"#;
    let length = request.len();
    write!(stream, "POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{request}")
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.contains("no providers available for task"), "{answer}");
    sample.healthy();
    assert_eq!(wrapper.stop(), 0, "{}", wrapper.dump());
}

#[test]
fn a_provider_in_the_tree_is_asked_and_comes_back() {
    let sample = Sample::copy("tasks.toml", &[], &[]);
    let greeter = std::path::Path::new(&puppet()).with_file_name("greeter");
    std::os::unix::fs::symlink(greeter, sample.place.path().join("bin/greeter")).unwrap();
    let port = crate::support::free_port();
    let mut wrapper = sample.run(&["--set", &format!("coordinator.external_port={port}")]);
    wrapper.wait_for("coproc's own tasks are offered");
    let url = format!("http://127.0.0.1:{port}");
    let greeting = "{\"greeting\":\"Hello, you!\"}\n";
    let asks = |words: &[&str]| {
        let output = sample.coproc(&[&["task"], words].concat());
        let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
        (String::from_utf8_lossy(&output.stdout).into_owned(), complaint)
    };
    assert_eq!(asks(&["Greet", "-a", "name=you"]), (greeting.into(), String::new()));
    assert_eq!(asks(&["-u", &url, "Greet", "-a", "name=you"]), (greeting.into(), String::new()));
    assert!(asks(&["exec", "{\"argv\": [\"uptime\"]}"]).0.contains("load average"));
    let pid = wrapper.started("greeter", 1);
    let restart = "{\"action\": \"restart\", \"name\": \"greeter\"}";
    assert!(asks(&["coprocess", restart]).0.contains("\"greeter\""));
    assert_eq!(asks(&["Greet", "-a", "name=you"]), (greeting.into(), String::new()));
    assert_ne!(wrapper.started("greeter", 2), pid);
    sample.healthy();
    assert_eq!(wrapper.stop(), 0, "{}", wrapper.dump());
}
