//! Hooks in native code, compiled here: in C, and in Cython as its users would build them.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::bundle_store::{Store, bundled, manifest, packed};
use crate::client::Message;
use crate::rig::{Rig, SECRET, api, hook, with};
use crate::support::{eventually, skipped};
use crate::upstream::Upstream;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

#[track_caller]
#[allow(clippy::disallowed_methods, reason = "nothing else waits for processes here")]
fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Builds a shared object of C.
#[track_caller]
#[allow(clippy::disallowed_methods, reason = "nothing else waits for processes here")]
fn compile(source: &Path, folder: &Path, words: &[&str]) -> PathBuf {
    let library = folder.join("hooks.so");
    let mut command = Command::new("cc");
    command.args(["-shared", "-fPIC", "-D_GNU_SOURCE", "-I"]).arg(format!("{ROOT}/include"));
    run(command.arg("-o").arg(&library).arg(source).args(words));
    library
}

struct Stage {
    rig: Rig,
    upstream: Upstream,
    folder: tempfile::TempDir,
}

impl Stage {
    fn start(build: impl FnOnce(&Path) -> PathBuf, middleware: Value) -> Self {
        Self::with(&[], build, middleware)
    }

    fn with(
        variables: &[(&str, &str)],
        build: impl FnOnce(&Path) -> PathBuf,
        middleware: Value,
    ) -> Self {
        let folder = tempfile::Builder::new().prefix("coproc-test-").tempdir().unwrap();
        let library = build(folder.path());
        let upstream = Upstream::start();
        let mut api = api(upstream.port, middleware);
        api["custom_middleware"]["driver"] = "native".into();
        let handler =
            "[{ handler_name = \"cp_dynamic_handler\", handler_meta = { name = \"h\" } }]";
        let keys = format!("event_handlers = {{ events = {{ HostDown = {handler} }} }}");
        let table = format!("[gateway.native]\nlibrary = \"{}\"", library.display());
        let rig = Rig::launch_with(variables, &keys, &table, &[api]);
        rig.wait_until_up();
        Self { rig, upstream, folder }
    }

    /// Hooks in C whose compiler has every access to memory checked, and all that C leaves undefined, that
    /// of memory which the gateway gives and takes included; `None` where the compiler cannot.
    fn checked(middleware: Value) -> Option<Self> {
        let asan = run(Command::new("cc").arg("-print-file-name=libasan.so"));
        // Without the library its name alone is printed.
        let asan = Some(asan.trim().to_owned()).filter(|path| path.starts_with('/'))?;
        let source = format!("{ROOT}/tests/plugins/native/hooks.c");
        let flags = ["-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"];
        let build = |folder: &Path| compile(Path::new(&source), folder, &flags);
        // What a gateway that runs has taken is no leak at its end.
        let variables = [("LD_PRELOAD", asan.as_str()), ("ASAN_OPTIONS", "detect_leaks=0")];
        Some(Self::with(&variables, build, middleware))
    }

    fn in_c(middleware: Value) -> Self {
        let source = format!("{ROOT}/tests/plugins/native/hooks.c");
        Self::start(|folder| compile(Path::new(&source), folder, &[]), middleware)
    }

    fn get(&self) -> Message {
        self.rig.get("/api/get")
    }

    fn logged(&self, line: &str) -> usize {
        self.rig.wrapper.dump().matches(line).count()
    }
}

#[test]
fn t01_a_hook_in_c_sets_a_header() {
    let stage = Stage::in_c(json!({ "pre": [hook("Set"), hook("Unknown")] }));
    assert_eq!(stage.get().status(), 200, "{}", stage.rig.wrapper.dump());
    assert_eq!(stage.upstream.only().header("x-native"), Some("from C"));
    eventually("it said that it is ready", || stage.logged("native hooks are ready") == 1);
}

#[test]
fn t59_what_a_hook_in_c_asks_of_the_gateway() {
    let stage = Stage::in_c(json!({ "pre": [hook("Ask")] }));
    assert_eq!(stage.get().status(), 200, "{}", stage.rig.wrapper.dump());
    assert_eq!(stage.get().status(), 200);
    let seen = stage.upstream.seen();
    let values = seen.iter().map(|seen| seen.header("x-native").unwrap().to_owned());
    assert_eq!(values.collect::<Vec<_>>(), ["-kept", "kept-kept"]);
    eventually("events are heard", || stage.logged("heard from C") == 2);
    eventually("lines are logged", || stage.logged("a line from C") == 2);
    let reload = stage.rig.request("GET", "/tyk/reload").header(SECRET.0, SECRET.1).send();
    assert_eq!(reload.status(), 200);
    eventually("it hears of a reload", || stage.logged("reloaded in C") == 1);
}

#[test]
fn what_is_no_answer_is_an_error_of_the_hook() {
    for (name, said) in [
        ("Null", "Hook 'Null': it returned nothing"),
        ("Garbage", "the plugin's answer cannot be read"),
        ("Negative", "Hook 'Negative': the length of what it returned is below zero"),
        ("Beyond", "Hook 'Beyond': what it returned goes beyond what it was given"),
        ("Inside", "Hook 'Inside': the length of what it returned is below zero"),
        ("Empty", "cannot be applied: it has no request"),
        ("End", "cannot be applied: it has no request"),
    ] {
        let stage = Stage::in_c(json!({ "pre": [hook(name)] }));
        for _ in 0..3 {
            let answer = stage.get();
            assert_eq!(answer.status(), 500, "{name}: {}", stage.rig.wrapper.dump());
            assert!(answer.text().contains("Middleware error"));
        }
        eventually(said, || stage.logged(said) > 0);
    }
}

#[test]
fn no_access_to_memory_is_wrong_on_either_side() {
    let all =
        ["Set", "Ask", "Null", "Garbage", "Negative", "Beyond", "Inside", "Empty", "End", "Echo"];
    for name in all {
        let Some(mut stage) = Stage::checked(json!({ "pre": [hook(name)], "post": [hook(name)] }))
        else {
            skipped("the compiler has no library that checks memory");
            return;
        };
        for _ in 0..20 {
            let answer = stage.get();
            assert!([200, 500].contains(&answer.status()), "{name}: {}", stage.rig.wrapper.dump());
        }
        let reload = stage.rig.request("GET", "/tyk/reload").header(SECRET.0, SECRET.1).send();
        assert_eq!(reload.status(), 200);
        let status = stage.rig.wrapper.stop();
        let dump = stage.rig.wrapper.dump();
        assert_eq!(status, 0, "{name}: {dump}");
        assert!(!dump.contains("Sanitizer") && !dump.contains("runtime error"), "{name}: {dump}");
    }
    // The checks are there: this one writes a byte too far.
    let stage = Stage::checked(json!({ "pre": [hook("Overrun")] })).unwrap();
    let _ = stage.rig.request("GET", "/api/get").try_send();
    eventually("it is told", || stage.logged("heap-buffer-overflow") >= 1);
}

#[test]
fn what_cannot_be_loaded_keeps_the_gateway_from_starting() {
    let folder = tempfile::Builder::new().prefix("coproc-test-").tempdir().unwrap();
    let source = folder.path().join("other.c");
    let start = |text: &str| {
        std::fs::write(&source, text).unwrap();
        let library = compile(&source, folder.path(), &[]);
        let table = format!("[gateway.native]\nlibrary = \"{}\"", library.display());
        Rig::launch("", &table, &[])
    };
    let init = "int CoProcessInit(void) { return 3; }\n";
    let dispatch = "#include \"coproc.h\"\nstruct CoProcessMessage \
                    CoProcessDispatch(struct CoProcessMessage m) { return m; }\n";
    for (text, said) in [
        (init.to_owned(), "has no function `CoProcessDispatch`"),
        (dispatch.to_owned(), "has no function `CoProcessInit`"),
        (format!("{dispatch}{init}"), "returned 3"),
        ("void f(void); void CoProcessInit(void) { f(); }".to_owned(), "undefined symbol: f"),
    ] {
        let rig = start(text.as_str());
        eventually(said, || rig.wrapper.dump().contains(said));
    }
    let rig = Rig::launch("", "[gateway.native]\nlibrary = \"/nowhere/hooks.so\"", &[]);
    eventually("it is told", || rig.wrapper.dump().contains("/nowhere/hooks.so: cannot open"));
}

#[test]
fn a_bundle_names_hooks_of_the_library_and_brings_no_code() {
    let store = Store::new();
    let hooks = json!({ "driver": "native", "pre": [hook("Set")] });
    store.offer("names.zip", &packed(&manifest(&[], hooks.clone()), &[]));
    let files = [("hooks.so", "what comes over a network")];
    store.offer("brings.zip", &packed(&manifest(&files, hooks), &files));
    let upstream = Upstream::start();
    let source = format!("{ROOT}/tests/plugins/native/hooks.c");
    let library = compile(Path::new(&source), store.0.path(), &[]);
    let table = format!("[gateway.native]\nlibrary = \"{}\"", library.display());
    let mut other = with(bundled(upstream.port, "brings.zip"), json!({ "api_id": "brings" }));
    other["proxy"]["listen_path"] = "/brings/".into();
    let rig = Rig::with(&store.keys(), &table, &[bundled(upstream.port, "names.zip"), other]);
    rig.wrapper.wait_for(
        "the API `brings`: the bundle `brings.zip`: brings files, and the driver `native` loads none \
         from bundles: its hooks are those of `gateway.native.library`",
    );
    assert_eq!(rig.get("/brings/get").status(), 404);
    assert_eq!(rig.get("/api/get").status(), 200, "{}", rig.wrapper.dump());
    assert_eq!(upstream.only().header("x-native"), Some("from C"));
}

/// What `cython` makes of a module, and the compiler of that.
#[track_caller]
#[allow(clippy::disallowed_methods, reason = "nothing else waits for processes here")]
fn cythonize(folder: &Path) -> PathBuf {
    let made = format!("{ROOT}/target/python/bin/python");
    assert!(Path::new(&made).exists(), "`make deps` installs what hooks in Cython need");
    let source = folder.join("hooks.c");
    let module = format!("{ROOT}/tests/plugins/native/hooks.pyx");
    run(Command::new(made).args(["-m", "cython", "-3"]).arg("-o").arg(&source).arg(module));
    let flags = |words: &[&str]| run(Command::new("/usr/bin/python3-config").args(words));
    let flags = [flags(&["--includes"]), flags(&["--embed", "--ldflags"])].join(" ");
    compile(&source, folder, &flags.split_whitespace().collect::<Vec<_>>())
}

#[test]
fn t01_t59_hooks_in_cython_do_the_same() {
    let stage = Stage::start(cythonize, json!({ "pre": [hook("Set")] }));
    assert_eq!(stage.get().status(), 200, "{}", stage.rig.wrapper.dump());
    assert_eq!(stage.upstream.only().header("x-native"), Some("from Cython"));
    eventually("the event is heard", || {
        stage.logged("heard {") == 1 && stage.logged("from Cython") >= 1
    });
    assert!(stage.folder.path().exists());
}

#[test]
fn an_exception_in_cython_is_an_error_of_the_hook() {
    let stage = Stage::start(cythonize, json!({ "pre": [hook("Raises")] }));
    assert_eq!(stage.get().status(), 500);
    eventually("it is told", || stage.logged("ValueError") == 1);
}
