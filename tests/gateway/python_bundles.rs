//! Bundles of hooks in Python: they get to workers, are private to each other, and make way for their
//! successors.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::bundle_store::{self, Store, bundled, says};
use crate::python::interpreters;
use crate::rig::{Rig, hook, with};
use crate::support::{PATIENCE, archive, eventually, is_root, skipped};
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
    bundle_store::offer(store, "python", name, hook, files);
}

fn start(store: &Store, keys: &str, tables: &str, apis: &[(&str, &str)]) -> Rig {
    let [interpreter, _] = interpreters();
    let tables = format!("[gateway.python]\n{tables}\ninterpreter = \"{interpreter}\"");
    bundle_store::rig(store, keys, &tables, apis)
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

/// A wheel of one module, `tiny`, as `pip` takes it.
fn wheel(store: &Store, version: &str) {
    wheel_of(store, "tiny", version);
}

/// The same under another name.
fn wheel_of(store: &Store, name: &str, version: &str) {
    let info = format!("{name}-{version}.dist-info");
    let module = format!("VERSION = '{version}'\n");
    let metadata = format!("Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n");
    let kind = "Wheel-Version: 1.0\nGenerator: none\nRoot-Is-Purelib: true\nTag: py3-none-any\n";
    let [named, tag, record] = ["METADATA", "WHEEL", "RECORD"].map(|name| format!("{info}/{name}"));
    let listed = format!("tiny.py,,\n{named},,\n{tag},,\n{record},,\n");
    let files = [
        ("tiny.py", module.as_bytes()),
        (&named, metadata.as_bytes()),
        (&tag, kind.as_bytes()),
        (&record, listed.as_bytes()),
    ];
    std::fs::create_dir_all(store.at("wheels")).unwrap();
    let path = store.at("wheels").join(format!("{name}-{version}-py3-none-any.whl"));
    std::fs::write(path, archive::files(&files)).unwrap();
}

/// A bundle that asks for a version of it, and answers with the one that it has.
fn offer_tiny(store: &Store, name: &str, version: &str) {
    let main = format!("import tiny\n{}", answering("Who", "tiny.VERSION"));
    let wanted = format!("tiny=={version}\n");
    offer(store, name, "Who", &[("middleware.py", &main), ("requirements.txt", &wanted)]);
}

/// A table with which packages come from the store's wheels, and from nowhere else.
fn offline(store: &Store) -> String {
    let wheels = store.at("wheels");
    let options = format!("[\"--no-index\", \"--find-links={}\"]", wheels.display());
    format!("workers = 1\npip_options = {options}")
}

/// The environments that are there.
fn environments(store: &Store) -> usize {
    let entries = std::fs::read_dir(store.at("middleware/virtualenvs"));
    let names = entries.into_iter().flatten().map(|entry| entry.unwrap().file_name());
    names.filter(|name| name.len() == 32).count()
}

/// Waits for a fact for as long as an environment may take to be made where all tests run at once.
#[track_caller]
fn in_the_end(rig: &Rig, what: &str, fact: impl Fn() -> bool) {
    let until = Instant::now() + 6 * PATIENCE;
    while !fact() {
        assert!(Instant::now() < until, "never came true: {what}\n{}", rig.wrapper.dump());
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[track_caller]
fn comes_to_say(rig: &Rig, target: &str, what: &str) {
    in_the_end(rig, what, || rig.get(target).text() == what);
}

#[track_caller]
fn comes_to_log(rig: &Rig, line: &str) {
    in_the_end(rig, line, || rig.wrapper.count(line) > 0);
}

#[test]
fn a_bundle_has_the_packages_that_it_asks_for() {
    let store = Store::new();
    wheel(&store, "1.0");
    wheel(&store, "2.0");
    for bundle in ["a.zip", "b.zip"] {
        offer_tiny(&store, bundle, "1.0");
    }
    offer(&store, "plain.zip", "Who", &[("only.py", &answering("Who", "'plain'"))]);
    let apis = [("a", "a.zip"), ("b", "b.zip"), ("plain", "plain.zip")];
    let rig = start(&store, "bundle_refresh = true", &offline(&store), &apis);
    comes_to_say(&rig, "/a/", "1.0");
    comes_to_say(&rig, "/b/", "1.0");
    comes_to_say(&rig, "/plain/", "plain");
    assert_eq!(environments(&store), 1, "what two ask for alike is there once");
    // What is there is used again, without pip.
    std::fs::remove_dir_all(store.at("wheels")).unwrap();
    rig.coproc(&["reload"]);
    comes_to_say(&rig, "/a/", "1.0");
    // Another version is another environment; one process has one of them.
    wheel(&store, "2.0");
    offer_tiny(&store, "b.zip", "2.0");
    rig.coproc(&["reload"]);
    comes_to_log(
        &rig,
        "the API `b`: the bundle `b.zip`: requirements.txt: tiny 2.0 is not possible beside tiny 1.0 of \
         another bundle",
    );
    comes_to_say(&rig, "/a/", "1.0");
    eventually("it is refused", || rig.get("/b/").status() == 404);
    // Once nobody has the old one it goes.
    offer_tiny(&store, "a.zip", "2.0");
    rig.coproc(&["reload"]);
    comes_to_say(&rig, "/a/", "2.0");
    comes_to_say(&rig, "/b/", "2.0");
    eventually("the old packages are removed", || environments(&store) == 1);
}

#[test]
fn packages_that_cannot_be_had_take_their_api_down_alone() {
    let store = Store::new();
    wheel(&store, "1.0");
    offer_tiny(&store, "lacks.zip", "9.9");
    offer(&store, "plain.zip", "Who", &[("only.py", &answering("Who", "'plain'"))]);
    let apis = [("lacks", "lacks.zip"), ("plain", "plain.zip")];
    let rig = start(&store, "", &offline(&store), &apis);
    comes_to_log(
        &rig,
        "the API `lacks`: the bundle `lacks.zip`: requirements.txt: `pip install` ended with exit status 1: ",
    );
    comes_to_log(&rig, "No matching distribution found for tiny==9.9");
    comes_to_say(&rig, "/plain/", "plain");
    assert_eq!(rig.get("/lacks/").status(), 404);
    assert_eq!(environments(&store), 0);
    drop(rig);
    // Nothing takes longer than it may.
    let table = format!("{}\ninstall_timeout = \"50ms\"", offline(&store));
    let rig = start(&store, "", &table, &apis);
    comes_to_log(&rig, "did not end within 50ms and was killed");
    comes_to_say(&rig, "/plain/", "plain");
    drop(rig);
    let table = format!("{}\ninstall_requirements = false", offline(&store));
    let rig = start(&store, "", &table, &apis);
    comes_to_say(&rig, "/plain/", "plain");
    comes_to_log(&rig, "ModuleNotFoundError: No module named 'tiny'");
    assert_eq!(rig.get("/lacks/").status(), 500);
}

#[test]
fn a_package_that_the_interpreter_hides_is_told() {
    let store = Store::new();
    wheel_of(&store, "protobuf", "1.0");
    let files = [("middleware.py", &*answering("Who", "'here'")), ("requirements.txt", "protobuf")];
    offer(&store, "a.zip", "Who", &files);
    let rig = start(&store, "", &offline(&store), &[("a", "a.zip")]);
    comes_to_say(&rig, "/a/", "here");
    comes_to_log(&rig, "/requirements.txt: protobuf 1.0 is hidden by ");
}

#[test]
fn packages_are_installed_by_the_workers_user() {
    if !is_root() {
        skipped("only root may switch users");
        return;
    }
    let store = Store::new();
    wheel(&store, "1.0");
    offer_tiny(&store, "a.zip", "1.0");
    let open = |path: &str| {
        std::fs::set_permissions(store.at(path), PermissionsExt::from_mode(0o755)).unwrap();
    };
    ["", "wheels"].into_iter().for_each(open);
    let upstream = Upstream::start();
    let tables = format!(
        "[gateway.python]\n{}\nuser = \"nobody\"\ninterpreter = \"/usr/bin/python3\"",
        offline(&store)
    );
    let rig = Rig::with(&store.keys(), &tables, &[bundled(upstream.port, "a.zip")]);
    comes_to_say(&rig, "/api/", "1.0");
    let made = std::fs::read_dir(store.at("middleware/virtualenvs")).unwrap();
    let folder = made.map(Result::unwrap).find(|entry| entry.file_name().len() == 32).unwrap();
    assert_eq!(folder.metadata().unwrap().uid(), 65534);
}
