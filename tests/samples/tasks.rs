//! The coordinator's sample, with a stand-in for the provider.

use std::io::{Read, Write};
use std::net::TcpStream;

use crate::sample::Sample;
use crate::support::eventually;

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
