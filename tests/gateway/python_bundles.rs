//! Bundles of hooks in Python: they get to workers, are private to each other, and make way for their
//! successors.

use std::os::unix::fs::{MetadataExt, PermissionsExt};

use serde_json::{Value, json};

use crate::bundles::{Store, bundled, manifest, packed};
use crate::python::interpreters;
use crate::rig::{Rig, hook, with};
use crate::support::{eventually, is_root, skipped};
use crate::upstream::Upstream;

const BEGIN: &str = "from tyk.decorators import *\nfrom gateway import TykGateway as tyk\n";

/// A hook that answers with what `expression` is.
fn answering(name: &str, expression: &str) -> String {
    format!(
        "{BEGIN}\n@Hook\ndef {name}(request, session, spec):\n    overrides = request.object.return_overrides\n    \
         overrides.response_code = 200\n    overrides.response_body = str({expression})\n    \
         return request, session\n"
    )
}

fn python(names: &str) -> Value {
    json!({ "driver": "python", "pre": [hook(names)] })
}

fn offer(store: &Store, name: &str, hook: &str, files: &[(&str, &str)]) {
    store.offer(name, &packed(&manifest(files, python(hook)), files));
}

fn start(store: &Store, keys: &str, tables: &str, apis: &[(&str, &str)]) -> Rig {
    let upstream = Upstream::start();
    let api = |(id, names): &(&str, &str)| {
        let mut api = with(bundled(upstream.port, names), json!({ "api_id": id, "name": id }));
        api["proxy"]["listen_path"] = format!("/{id}/").into();
        api
    };
    let apis: Vec<_> = apis.iter().map(api).collect();
    let [interpreter, _] = interpreters();
    let tables = format!("[gateway.python]\n{tables}\ninterpreter = \"{interpreter}\"");
    Rig::with(&format!("{}{keys}\n", store.keys()), &tables, &apis)
}

#[track_caller]
fn says(rig: &Rig, target: &str, what: &str) {
    let answer = rig.get(target);
    let (status, text) = (answer.status(), answer.text());
    assert_eq!((status, text.as_str()), (200, what), "{target}: {}", rig.wrapper.dump());
}

#[test]
fn modules_of_a_bundle_are_its_own() {
    let store = Store::new();
    for (bundle, value) in [("a.zip", "1"), ("b.zip", "2")] {
        let main = format!(
            "import helper\nfrom package.inner import twice\n{}",
            answering("Who", "twice(helper.value)")
        );
        let files = [
            ("middleware.py", main.as_str()),
            ("helper.py", &format!("value = {value}\n")),
            ("package/inner.py", "def twice(value):\n    return 2 * value\n"),
            ("package/__init__.py", ""),
        ];
        offer(&store, bundle, "Who", &files);
    }
    // One file alone is loaded whatever it is called.
    offer(&store, "c.zip", "Who", &[("only.py", &answering("Who", "'alone'"))]);
    let apis = [("a", "a.zip"), ("b", "b.zip"), ("c", "c.zip"), ("all", "c.zip,a.zip")];
    let rig = start(&store, "", "workers = 1", &apis);
    says(&rig, "/a/", "2");
    says(&rig, "/b/", "4");
    says(&rig, "/c/", "alone");
    // Of two hooks of one name in one API's bundles the first counts.
    says(&rig, "/all/", "alone");
    // Nothing is written beside the files.
    assert!(!store.kept("a.zip").join("__pycache__").exists());
}

#[test]
fn a_bundle_that_cannot_be_loaded_fails_its_own_api() {
    let store = Store::new();
    offer(&store, "good.zip", "Who", &[("only.py", &answering("Who", "'good'"))]);
    offer(&store, "bad.zip", "Who", &[("only.py", "def broken(:\n")]);
    offer(&store, "lacks.zip", "Who", &[("a.py", ""), ("b.py", "")]);
    let apis = [("good", "good.zip"), ("bad", "bad.zip"), ("lacks", "lacks.zip")];
    let rig = start(&store, "", "workers = 1", &apis);
    says(&rig, "/good/", "good");
    assert_eq!(rig.get("/bad/").status(), 500, "{}", rig.wrapper.dump());
    assert_eq!(rig.get("/lacks/").status(), 500, "{}", rig.wrapper.dump());
    rig.wrapper.wait_for("only.py:1: SyntaxError");
    rig.wrapper.wait_for("middleware.py: FileNotFoundError: there is no such file");
    says(&rig, "/good/", "good");
}

#[test]
fn new_bundles_and_new_content_have_workers_make_way_without_a_failure() {
    let store = Store::new();
    offer(&store, "a.zip", "Who", &[("only.py", &answering("Who", "'old'"))]);
    let rig = start(&store, "bundle_refresh = true", "workers = 2", &[("a", "a.zip")]);
    says(&rig, "/a/", "old");
    offer(&store, "a.zip", "Who", &[("only.py", &answering("Who", "'new one'"))]);
    offer(&store, "b.zip", "Other", &[("only.py", &answering("Other", "'other'"))]);
    let mut more = bundled(1, "b.zip");
    more["api_id"] = "b".into();
    more["proxy"]["listen_path"] = "/b/".into();
    rig.place.write("apis/1.json", &more.to_string());
    rig.coproc(&["reload"]);
    let mut seen = std::collections::BTreeSet::new();
    eventually("both are there", || {
        let answer = rig.get("/a/");
        assert_eq!(answer.status(), 200, "{}\n{}", answer.text(), rig.wrapper.dump());
        seen.insert(answer.text());
        // A hook that is new is only asked of those that know it.
        let other = rig.get("/b/");
        assert!([200, 404].contains(&other.status()), "{}\n{}", other.text(), rig.wrapper.dump());
        other.status() == 200 && answer.text() == "new one"
    });
    assert!(seen.iter().all(|text| ["old", "new one"].contains(&text.as_str())), "{seen:?}");
    says(&rig, "/b/", "other");
}

#[test]
fn hooks_of_the_folder_and_of_bundles_go_together() {
    let store = Store::new();
    offer(&store, "a.zip", "Who", &[("only.py", &answering("Who", "'bundle'"))]);
    let hooks = tempfile::tempdir().unwrap();
    std::fs::write(hooks.path().join("own.py"), answering("Who", "'folder'")).unwrap();
    let upstream = Upstream::start();
    let mut own = with(bundled(upstream.port, ""), json!({ "custom_middleware": python("Who") }));
    own["api_id"] = "own".into();
    own["proxy"]["listen_path"] = "/own/".into();
    let [interpreter, _] = interpreters();
    let (path, keys) = (hooks.path().display(), store.keys());
    let tables = format!("[gateway.python]\npath = \"{path}\"\ninterpreter = \"{interpreter}\"");
    let rig = Rig::with(&keys, &tables, &[bundled(upstream.port, "a.zip"), own]);
    says(&rig, "/api/", "bundle");
    says(&rig, "/own/", "folder");
}

#[test]
fn workers_of_another_user_read_bundles_and_nobody_else_does() {
    if !is_root() {
        skipped("only root may switch users");
        return;
    }
    let store = Store::new();
    offer(&store, "a.zip", "Who", &[("only.py", &answering("Who", "__import__('os').getuid()"))]);
    std::fs::set_permissions(store.0.path(), PermissionsExt::from_mode(0o755)).unwrap();
    let upstream = Upstream::start();
    let tables =
        "[gateway.python]\nworkers = 1\nuser = \"nobody\"\ninterpreter = \"/usr/bin/python3\"";
    let rig = Rig::with(&store.keys(), tables, &[bundled(upstream.port, "a.zip")]);
    says(&rig, "/api/", "65534");
    let folder = store.kept("a.zip").metadata().unwrap();
    assert_eq!((folder.uid(), folder.mode() & 0o777), (0, 0o750));
    let file = store.kept("a.zip").join("only.py").metadata().unwrap();
    assert_eq!((file.uid(), file.gid(), file.mode() & 0o777), (0, folder.gid(), 0o640));
}
