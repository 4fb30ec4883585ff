//! Where plugin servers are said to be.

use serde_json::json;

use crate::plugin::Plugin;
use crate::rig::{Rig, api, hook};
use crate::support::Place;
use crate::upstream::Upstream;

/// Whether a hook is called that is at this address.
fn is_reached(address: impl FnOnce(&str) -> String) {
    let plugin = Plugin::start(|object| object);
    let port = plugin.address.rsplit(':').next().unwrap();
    let upstream = Upstream::start();
    let keys = format!("grpc = \"{}\"\n", address(port));
    let rig = Rig::with(&keys, "", &[api(upstream.port, json!({ "pre": [hook("h")] }))]);
    assert_eq!(rig.get("/api/").status(), 200, "{}", rig.wrapper.dump());
    assert_eq!(plugin.only().object.hook_name, "h");
}

#[test]
fn t58_a_name_with_a_port() {
    is_reached(|port| format!("localhost:{port}"));
}

#[test]
fn t58_the_scheme_tcp() {
    is_reached(|port| format!("tcp://localhost:{port}"));
}

#[test]
fn t58_what_is_no_address_is_refused_before_anything_is_started() {
    let place = Place::new();
    place.write("coproc.toml", "[main]\nkind = \"none\"\n[gateway]\ngrpc = \"://invalid\"\n");
    for command in ["check", "run"] {
        let output = place.coproc(&[command]);
        assert_eq!(output.status.code(), Some(2), "{command}");
        let told = String::from_utf8(output.stderr).unwrap();
        assert!(told.contains("gateway.grpc: `://invalid` is not an address"), "{told}");
    }
}
