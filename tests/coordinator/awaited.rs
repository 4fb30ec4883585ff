//! Tasks whose provider is known and down, beside other coordinators that may have one.

use serde_json::{Value, json};

use crate::nats::{Server, request, wait_until_shared};
use crate::rig::{Answer, Hook, Rig, failed, ok};
use crate::support::{Place, coprocess, eventually, free_port};

const NONE: &str = "no providers available for task";

/// A coordinator in a wrapper that supervises a provider of `foo`. The provider never offers it: in its
/// place the test makes the socket.
fn supervising(server: &Server) -> Rig {
    let (place, port) = (Place::new(), free_port());
    let provider = coprocess(
        "late",
        "\"sleep 1000\"",
        "background = true\nrestarts = \"unlimited\"\ntasks = [\"foo\"]",
    );
    let wrapper = place.up(&format!(
        "[coordinator]\nservice_name = \"coord\"\nsocket_dir = \"${{run_path}}/../d\"\n\
         external_port = {port}\nrequest_timeout = 20\n\
         [coordinator.nats]\nurl = \"{}\"\n{provider}",
        server.url()
    ));
    wrapper.wait_for("NATS: connected");
    Rig { place, port, wrapper }
}

/// Posts a request beside the test; gives the ack.
fn asking(
    rig: &std::sync::Arc<Rig>,
    id: &'static str,
    hook: &Hook,
) -> std::thread::JoinHandle<Value> {
    let (rig, url) = (rig.clone(), hook.url("/"));
    std::thread::spawn(move || rig.post(&request(id, "foo", &url)))
}

#[test]
fn another_coordinator_is_asked_before_a_provider_is_waited_for() {
    let server = Server::start(&[]);
    let a = std::sync::Arc::new(supervising(&server));
    let b = server.rig(&[]);
    let hook = Hook::start();
    let far = b.provider("foo", "1-b.sock", Answer::Result(json!("far")));
    // From a third one, so as not to wait where it is waited.
    wait_until_shared(&server.rig(&[]), "foo");
    let before = far.requests.all().len();
    assert_eq!(a.post(&request("far", "foo", &hook.url("/"))), ok("far"));
    assert_eq!(far.requests.nth(before)["args"]["k"], "far");
    // With nobody elsewhere its own is waited for.
    drop(far);
    let waiting = asking(&a, "own", &hook);
    a.wrapper.wait_for("`own` waits for `foo`");
    let near = a.provider("foo", "1-a.sock", Answer::Result(json!("near")));
    assert_eq!(waiting.join().unwrap(), ok("own"));
    eventually("it is answered by its own", || {
        let own = |posted: &crate::rig::Posted| posted.body["id"] == "own";
        hook.posts
            .all()
            .iter()
            .find(|posted| own(posted))
            .is_some_and(|p| p.body["result"] == "near")
    });
    drop(near);
}

#[test]
fn a_provider_that_is_awaited_elsewhere_is_waited_for_and_given_up() {
    let server = Server::start(&[]);
    let a = supervising(&server);
    let b = std::sync::Arc::new(server.rig(&[("request_timeout", "20s")]));
    let hook = Hook::start();
    // From the other coordinator, as soon as the two know each other.
    eventually("the other knows of it", || b.wrapper.stderr().contains("NATS: connected"));
    let waiting = asking(&b, "far", &hook);
    a.wrapper.wait_for("`foo` is waited for for another coordinator");
    let near = a.provider("foo", "1-a.sock", Answer::Result(json!("near")));
    assert_eq!(waiting.join().unwrap(), ok("far"));
    assert_eq!(hook.posts.nth(0).body["result"], "near");
    drop(near);
    // Once it is given up, nobody waits for it.
    let waiting = asking(&b, "late", &hook);
    a.wrapper.wait_for_nth("`foo` is waited for for another coordinator", 2);
    let stopped = asking(&b, "never", &hook);
    a.wrapper.wait_for_nth("`foo` is waited for for another coordinator", 3);
    assert!(a.place.coproc(&["stop", "late"]).status.success());
    let hook = Hook::start();
    eventually("it is refused at once", || {
        b.post(&request("z", "foo", &hook.url("/"))) == failed("z", NONE)
    });
    let posted: Vec<_> = hook.posts.all().into_iter().map(|post| post.body).collect();
    assert_eq!(posted, [Value::Null; 0]);
    // Those that waited had no provider in their time.
    for (id, ack) in [("late", waiting), ("never", stopped)] {
        assert_eq!(ack.join().unwrap(), failed(id, NONE));
    }
}
