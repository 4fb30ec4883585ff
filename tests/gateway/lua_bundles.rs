//! Bundles of hooks in Lua: each has states of its own, and a changed one takes the place of what was there.

use serde_json::json;

use crate::bundle_store::{self, Store, bundled, says};
use crate::rig::{Rig, with};
use crate::support::eventually;
use crate::upstream::Upstream;

/// A hook that answers with what `expression` is.
fn answering(name: &str, expression: &str) -> String {
    format!(
        "function {name}(request)\n  request.return_overrides = {{ response_code = 200, \
         response_body = tostring({expression}) }}\nend\n"
    )
}

fn offer(store: &Store, name: &str, hook: &str, files: &[(&str, &str)]) {
    bundle_store::offer(store, "lua", name, hook, files);
}

fn start(store: &Store, keys: &str, table: &str, apis: &[(&str, &str)]) -> Rig {
    bundle_store::rig(store, keys, &format!("[gateway.lua]\n{table}"), apis)
}

#[test]
fn files_of_a_bundle_are_its_own() {
    let store = Store::new();
    for (bundle, value) in [("a.zip", "1"), ("b.zip", "2")] {
        let main = format!("word = {value}\n{}", answering("Who", "require('lib.twice')(word)"));
        let twice = "return function(value) return 2 * value end";
        offer(&store, bundle, "Who", &[("hooks.lua", &main), ("lib/twice.lua", twice)]);
    }
    offer(&store, "c.zip", "Other", &[("hooks.lua", &answering("Other", "word"))]);
    let apis = [("a", "a.zip"), ("b", "b.zip"), ("c", "c.zip"), ("all", "c.zip,b.zip,a.zip")];
    let rig = start(&store, "worker_threads = 1", "", &apis);
    for _ in 0..2 {
        says(&rig, "/a/", "2");
        says(&rig, "/b/", "4");
        // Nobody else's globals are seen.
        says(&rig, "/c/", "nil");
        // Hooks of several bundles follow each other; of two of one name the first counts.
        says(&rig, "/all/", "nil");
    }
    let store = Store::new();
    let second = [("z.lua", answering("Who", "'second'"))];
    offer(&store, "one.zip", "Who", &[("z.lua", &answering("Who", "'first'"))]);
    offer(&store, "two.zip", "Who", &[("z.lua", &second[0].1)]);
    says(&start(&store, "", "", &[("a", "one.zip,two.zip")]), "/a/", "first");
}

#[test]
fn files_of_the_folder_can_be_asked_for_and_are_no_hooks_of_a_bundle() {
    let store = Store::new();
    let asks = answering("Who", "require('shared').word");
    offer(&store, "a.zip", "Who", &[("hooks.lua", &asks)]);
    offer(&store, "b.zip", "Shared", &[]);
    std::fs::create_dir(store.at("hooks")).unwrap();
    let shared = format!("{}return {{ word = 'shared' }}", answering("Shared", "'own'"));
    std::fs::write(store.at("hooks/shared.lua"), shared).unwrap();
    let table = format!("path = \"{}\"", store.at("hooks").display());
    let rig = start(&store, "", &table, &[("a", "a.zip"), ("b", "b.zip")]);
    says(&rig, "/a/", "shared");
    assert_ne!(rig.get("/b/").text(), "own");
    rig.wrapper.wait_for("there is no function `Shared`");
}

#[test]
fn a_bundle_that_cannot_be_loaded_takes_its_api_down_alone() {
    let store = Store::new();
    offer(&store, "good.zip", "Who", &[("hooks.lua", &answering("Who", "'good'"))]);
    offer(&store, "bad.zip", "Who", &[("fine.lua", ""), ("bad.lua", "function (")]);
    let rig = start(&store, "", "", &[("good", "good.zip"), ("bad", "bad.zip")]);
    rig.wrapper.wait_for("the API `bad`: the bundle `bad.zip`: bad.lua:1:");
    says(&rig, "/good/", "good");
    assert_eq!(rig.get("/bad/").status(), 404);
    // A reload finds it mended.
    std::fs::remove_dir_all(store.kept("bad.zip")).unwrap();
    offer(&store, "bad.zip", "Who", &[("bad.lua", &answering("Who", "'mended'"))]);
    rig.coproc(&["reload"]);
    eventually("it is there", || rig.get("/bad/").text() == "mended");
}

#[test]
fn changed_content_is_run_from_the_reload_on() {
    let store = Store::new();
    let put = |bundle: &str, text: &str| offer(&store, bundle, "Who", &[("hooks.lua", text)]);
    put("a.zip", &format!("n = 0\n{}", answering("Who", "'old'")));
    put("b.zip", &answering("Who", "'other'"));
    let apis = [("a", "a.zip"), ("b", "b.zip")];
    let rig = start(&store, "bundle_refresh = true", "", &apis);
    says(&rig, "/a/", "old");
    says(&rig, "/b/", "other");
    put("a.zip", &answering("Who", "'new one'"));
    rig.coproc(&["reload"]);
    eventually("the new one runs", || {
        let answer = rig.get("/a/");
        assert_eq!(answer.status(), 200, "{}\n{}", answer.text(), rig.wrapper.dump());
        answer.text() == "new one"
    });
    // What cannot be run leaves what was there.
    put("a.zip", "function (");
    rig.coproc(&["reload"]);
    rig.wrapper.wait_for("hooks.lua:1:");
    says(&rig, "/a/", "new one");
    says(&rig, "/b/", "other");
}

#[test]
fn handlers_of_events_may_be_in_bundles() {
    let store = Store::new();
    let hooks = "
function Refuse(request) request.return_overrides = { response_code = 403, response_error = 'no' } end
function my_handler(event, spec) tyk.log('heard ' .. event.Type .. ' of ' .. spec.APIID) end";
    offer(&store, "a.zip", "Refuse", &[("hooks.lua", hooks)]);
    let upstream = Upstream::start();
    let handler =
        json!({ "handler_name": "cp_dynamic_handler", "handler_meta": { "name": "my_handler" } });
    let events = json!({ "events": { "AuthFailure": [handler] } });
    let api = with(bundled(upstream.port, "a.zip"), json!({ "event_handlers": events }));
    let rig = Rig::with(&store.keys(), "[gateway.lua]\n", &[api]);
    assert_eq!(rig.get("/api/").status(), 403, "{}", rig.wrapper.dump());
    rig.wrapper.wait_for("heard AuthFailure of api1");
}
