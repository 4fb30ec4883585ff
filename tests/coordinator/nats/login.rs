//! Servers that ask who comes, and are asked who they are.

use serde_json::json;

use super::{NONE, Server, request, wait_until_shared};
use crate::rig::{Answer, Hook, failed, ok};
use crate::support::certificates::Certificates;
use crate::support::{Place, eventually};

#[test]
fn a_server_that_comes_later_is_found_and_knows_who_asks() {
    let mut server = Server::absent(&["--user", "u", "--pass", "a-secret-password"]);
    let keys = [("nats__user", "u"), ("nats__password", "a-secret-password")];
    let (a, b) = (server.rig(&keys), server.rig(&keys));
    let f = b.provider("foo", "1-b.sock", Answer::Result(json!(1)));
    // Meanwhile each serves its own.
    let hook = Hook::start();
    assert_eq!(a.post(&request("1", "foo", &hook.url("/"))), failed("1", NONE));
    assert_eq!(b.post(&request("2", "foo", &hook.url("/"))), ok("2"));
    server.begin();
    wait_until_shared(&a, "foo");
    assert!(f.requests.all().len() >= 2);
    for rig in [&a, &b] {
        assert!(!rig.wrapper.stderr().contains("a-secret"), "{}", rig.wrapper.stderr());
    }
}

#[test]
fn a_server_may_ask_for_a_token() {
    let server = Server::start(&["--auth", "a-secret-token"]);
    let keys = [("nats__token", "a-secret-token")];
    let (a, b) = (server.rig(&keys), server.rig(&keys));
    let stranger = server.rig(&[("nats__token", "another")]);
    let _f = b.provider("foo", "1-b.sock", Answer::Result(json!(1)));
    wait_until_shared(&a, "foo");
    let hook = Hook::start();
    assert_eq!(stranger.post(&request("s", "foo", &hook.url("/"))), failed("s", NONE));
    eventually("it is told why", || {
        stranger.wrapper.stderr().to_lowercase().contains("authorization violation")
    });
    for rig in [&a, &b, &stranger] {
        assert!(!rig.wrapper.stderr().contains("a-secret"), "{}", rig.wrapper.stderr());
    }
}

#[test]
fn the_password_is_shown_nowhere() {
    let place = Place::new();
    place.write(
        "c.toml",
        "[coordinator]\nservice_name = \"c\"\n[coordinator.nats]\nurl = \"nats://127.0.0.1\"\n\
         user = \"u\"\npassword = \"a-secret-password\"\n[main]\nexec = \"true\"\n",
    );
    for words in [["debug", "-c", "c.toml"], ["check", "-c", "c.toml"]] {
        let output = place.coproc(&words);
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&text);
        assert!(output.status.success(), "{text}");
        assert!(!text.contains("a-secret"), "{text}");
    }
    let bad = "[coordinator]\nservice_name = \"c\"\n[coordinator.nats]\nurl = \"http://h\"\n";
    place.write("c.toml", bad);
    let output = place.coproc(&["check", "-c", "c.toml"]);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && text.contains("is not the URL of a NATS server"), "{text}");
    assert!(text.contains("c.toml:4:"), "{text}");
}

#[test]
fn tasks_are_shared_over_tls_with_a_server_that_is_who_it_says() {
    let (own, other) = (Certificates::new(), Certificates::new());
    let file = |certificates: &Certificates, name: &str| {
        certificates.file(name).to_str().unwrap().to_owned()
    };
    let (certificate, key) = (file(&own, "cert.pem"), file(&own, "key.pem"));
    let server = Server::start(&["--tls", "--tlscert", &certificate, "--tlskey", &key]);
    let url = server.url().replace("nats://", "tls://");
    let (root, others) = (file(&own, "ca.pem"), file(&other, "ca.pem"));
    let keys = [("nats__url", url.as_str()), ("nats__ca", &root)];
    let (a, b) = (server.rig(&keys), server.rig(&keys));
    let _f = b.provider("foo", "1-b.sock", Answer::Result(json!(1)));
    wait_until_shared(&a, "foo");
    // A server that asks for TLS gets it by either scheme.
    let plain = server.rig(&[("nats__ca", &root)]);
    wait_until_shared(&plain, "foo");
    // One that nobody vouches for is not talked to, and the log says why.
    let stranger = server.rig(&[("nats__url", url.as_str()), ("nats__ca", &others)]);
    let hook = Hook::start();
    assert_eq!(stranger.post(&request("s", "foo", &hook.url("/"))), failed("s", NONE));
    eventually(&format!("it is told why\n{}", stranger.wrapper.dump()), || {
        stranger.wrapper.stderr().contains("invalid peer certificate")
    });
    // And one that speaks no TLS is not taken for one that does.
    let open = Server::start(&[]);
    let url = open.url().replace("nats://", "tls://");
    let strict = open.rig(&[("nats__url", url.as_str()), ("nats__ca", &root)]);
    assert_eq!(strict.post(&request("s", "foo", &hook.url("/"))), failed("s", NONE));
    assert!(!strict.wrapper.stderr().contains("NATS: connected"));
}

#[test]
fn a_file_of_certificates_that_is_none_keeps_it_from_its_start() {
    let place = Place::new();
    place.write("empty.pem", "");
    for (name, why) in [("none.pem", "No such file"), ("empty.pem", "has no certificate")] {
        let keys = [("nats__url", "tls://127.0.0.1:1"), ("nats__ca", &place.at(name))];
        let mut wrapper = crate::rig::Rig::launch(&place, crate::support::free_port(), &keys);
        assert_eq!(wrapper.wait(), 1);
        let said = wrapper.stderr();
        assert!(said.contains("coordinator.nats.ca") && said.contains(why), "{said}");
    }
}
