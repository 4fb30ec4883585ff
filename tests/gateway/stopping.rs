//! How it ends where the main process is the upstream.

use std::net::TcpStream;
use std::thread;

use nix::sys::signal::Signal;
use serde_json::json;

use crate::client::Request;
use crate::rig::api;
use crate::support::{Place, Wrapper, eventually, free_port, puppet};

/// A main process that answers once the file `go` is there and ends at TERM at once, behind a gateway; and
/// a client whose request it has.
fn stage(rest: &str) -> (Place, Wrapper, u16, thread::JoinHandle<Option<u16>>) {
    let (place, port, main) = (Place::new(), free_port(), free_port());
    std::fs::create_dir(place.path().join("apis")).unwrap();
    place.write("apis/api.json", &api(main, json!({})).to_string());
    let exec = json!([puppet(), "hold", format!("127.0.0.1:{main}"), place.at("go")]);
    place.write(
        "coproc.toml",
        &format!(
            "run_path = \"{}\"\n{rest}\n[log]\nlevel = \"DEBUG\"\n[main]\nkind = \"program\"\n\
             exec = {exec}\nready = {{ log = \"listening\" }}\n\
             [gateway]\nlisten = \"127.0.0.1:{port}\"\napp_path = \"apis\"\n",
            place.at("run"),
        ),
    );
    let wrapper = place.run();
    wrapper.wait_for("event: [start] ");
    let client = thread::spawn(move || {
        Request::new(port, "GET", "/api/").try_send().map(|answer| answer.status())
    });
    wrapper.wait_for("main: asked");
    (place, wrapper, port, client)
}

#[test]
fn what_it_has_accepted_is_answered_before_main_is_told_to_stop() {
    let (place, mut wrapper, port, client) = stage("");
    wrapper.signal(Signal::SIGTERM);
    // It takes nobody more, and main knows nothing of that yet.
    eventually("it has closed", || TcpStream::connect(("127.0.0.1", port)).is_err());
    assert_eq!(wrapper.count("with signal 15"), 0, "{}", wrapper.dump());
    place.write("go", "");
    assert_eq!(client.join().unwrap(), Some(200));
    wrapper.wait();
    assert_eq!(wrapper.count("with signal 15"), 1, "{}", wrapper.dump());
}

#[test]
fn main_does_not_wait_for_ever() {
    let (_place, mut wrapper, _port, client) = stage("shutdown_timeout = \"2s\"");
    wrapper.signal(Signal::SIGTERM);
    wrapper.wait_for("with signal 15");
    assert_eq!(client.join().unwrap(), Some(502));
    wrapper.wait();
}
