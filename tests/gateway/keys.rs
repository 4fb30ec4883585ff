//! `coproc keys` beside a running wrapper.

use std::io::Write;
use std::process::{Output, Stdio};

use serde_json::{Value, json};

use crate::plugin::Plugin;
use crate::rig::{Rig, keyed, one};
use crate::support::Place;
use crate::upstream::Upstream;

fn stage() -> (Upstream, Rig) {
    one(&Plugin::start(|object| object), |port| keyed(port, json!({})))
}

fn with_key(rig: &Rig, key: &str) -> u16 {
    rig.request("GET", "/api/").header("Authorization", key).send().status()
}

fn shown(rig: &Rig, words: &[&str]) -> Value {
    serde_json::from_str(&rig.coproc(&[&["keys", "show"], words].concat())).unwrap()
}

/// What a command says that fails.
#[track_caller]
fn refused(place: &Place, words: &[&str], code: i32) -> String {
    let Output { status, stdout, stderr } = place.coproc(words);
    let told = String::from_utf8(stderr).unwrap();
    assert_eq!((status.code(), stdout.as_slice()), (Some(code), &b""[..]), "{words:?}: {told}");
    told
}

#[test]
fn a_key_is_added_shown_changed_and_deleted() {
    let (_upstream, rig) = stage();
    assert_eq!(rig.coproc(&["keys", "list"]), "");
    let added = rig.coproc(&[
        "keys",
        "add",
        "--api",
        "api1",
        "--rate",
        "100",
        "--per",
        "60",
        "--quota",
        "2",
        "--quota-period",
        "3600",
        "--alias",
        "somebody",
        "--org",
        "org1",
    ]);
    let key = added.trim_end();
    assert!(key.len() >= 32 && added == format!("{key}\n"), "{added:?}");
    assert_eq!(rig.coproc(&["keys", "list"]), added);
    assert_eq!(with_key(&rig, key), 200);
    let session = shown(&rig, &[key]);
    let facts = ["rate", "per", "quota_max", "quota_remaining", "alias"].map(|name| &session[name]);
    assert_eq!(facts, [&json!(100.0), &json!(60.0), &json!(2), &json!(1), &json!("somebody")]);

    // What is set counts at once, and its quota begins anew.
    assert_eq!([with_key(&rig, key), with_key(&rig, key)], [200, 403]);
    assert_eq!(rig.coproc(&["keys", "set", key, "--quota", "1", "--quota-period", "3600"]), "");
    assert_eq!([with_key(&rig, key), with_key(&rig, key)], [200, 403]);
    rig.coproc(&["keys", "set", key, "--inactive"]);
    assert_eq!(with_key(&rig, key), 403);
    let output = rig.place.coproc(&["keys", "set", key, "--api", "other"]);
    let warned = String::from_utf8(output.stderr).unwrap();
    assert_eq!(warned, "warning: no API with the id `other` is served now\n");
    assert_eq!(with_key(&rig, key), 403);
    rig.coproc(&["keys", "set", key, "--expires", "1"]);
    assert_eq!(with_key(&rig, key), 401);

    assert_eq!(rig.coproc(&["keys", "delete", key]), "");
    assert_eq!(with_key(&rig, key), 403);
    assert_eq!(rig.coproc(&["keys", "list"]), "");
}

#[test]
fn a_key_may_have_a_name_and_its_session_be_json() {
    let (_upstream, rig) = stage();
    let own = ["keys", "add", "--key", "a/b c", "--json", "{\"rate\": 5, \"own\": [1]}"];
    assert_eq!(rig.coproc(&own), "a/b c\n");
    let session = shown(&rig, &["a/b c"]);
    assert_eq!((&session["rate"], &session["own"]), (&json!(5.0), &json!([1])));
    // Flags win over what is read.
    let mut command = rig.place.command(&["keys", "set", "a/b c", "--json", "-", "--rate", "7"]);
    let command = command.stdin(Stdio::piped()).stdout(Stdio::piped());
    #[allow(clippy::disallowed_methods, reason = "a command that ends by itself")]
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"{\"rate\": 6, \"per\": 2}").unwrap();
    #[allow(clippy::disallowed_methods, reason = "a command that ends by itself")]
    let ended = child.wait().unwrap();
    assert!(ended.success());
    let session = shown(&rig, &["a/b c"]);
    assert_eq!((&session["rate"], &session["per"]), (&json!(7.0), &json!(1.0)));
    assert_eq!(rig.coproc(&["keys", "list"]), "a/b c\n");
}

#[test]
fn what_cannot_be_done_is_said() {
    let (_upstream, rig) = stage();
    let refused = |words: &[&str], code| refused(&rig.place, &[&["keys"], words].concat(), code);
    for words in [&["show", "none"][..], &["delete", "none"]] {
        assert!(refused(words, 1).contains("there is no such key"), "{words:?}");
    }
    assert!(refused(&["add", "--json", "{"], 2).contains("not a JSON object"));
    assert!(refused(&["add", "--json", "{\"rate\": \"x\"}"], 1).contains("this is no session"));
    assert!(refused(&["add", "--policy", "gold"], 1).contains("there is no policy `gold`"));
    assert!(refused(&["add", "--key", "ab"], 1).contains("at least 3 characters"));
    let hashed = refused(&["show", "--hashed", "00000000"], 1);
    assert!(hashed.contains("`hash_keys` is not set"), "{hashed}");
    assert_eq!(rig.coproc(&["keys", "list"]), "");
    assert!(!rig.wrapper.dump().contains("panicked"));
}

#[test]
fn without_a_gateway_or_a_wrapper_there_are_no_keys() {
    let place = Place::new();
    place.config("");
    assert_eq!(place.coproc(&["keys", "list"]).status.code(), Some(3));
    let wrapper = place.run();
    wrapper.wait_for(": up");
    let told = refused(&place, &["keys", "list"], 1);
    assert!(told.contains("this wrapper has no gateway"), "{told}");
}

#[test]
fn keys_that_are_hashed_are_managed_by_their_hashes() {
    let upstream = Upstream::start();
    let rig = Rig::with("hash_keys = true", "", &[keyed(upstream.port, json!({}))]);
    let quota = ["--quota", "1", "--quota-period", "3600"];
    rig.coproc(&[&["keys", "add", "--key", "a-long-key"][..], &quota].concat());
    let list = rig.coproc(&["keys", "list"]);
    let hash = list.trim_end();
    assert!(!hash.is_empty() && !list.contains("a-long-key"));
    assert_eq!([with_key(&rig, "a-long-key"), with_key(&rig, "a-long-key")], [200, 403]);
    assert_eq!(shown(&rig, &["--hashed", hash])["quota_remaining"], 0);
    assert_eq!(shown(&rig, &["a-long-key"])["quota_remaining"], 0);
    // Its quota begins anew, and what this gateway remembers of it is forgotten.
    rig.coproc(&[&["keys", "set", "--hashed", hash][..], &quota].concat());
    assert_eq!([with_key(&rig, "a-long-key"), with_key(&rig, "a-long-key")], [200, 403]);
    rig.coproc(&["keys", "delete", "--hashed", hash]);
    assert_eq!(with_key(&rig, "a-long-key"), 403);
    assert_eq!(rig.coproc(&["keys", "list"]), "");
    assert!(!rig.wrapper.dump().contains("a-long-key"), "keys are not in the log");
}
