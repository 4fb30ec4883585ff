//! Bundles from outside: what of them runs, and what becomes of an API whose bundle is none. Hooks run in a
//! plugin server here; `python_bundles` has those that are files.

use std::io::{BufReader, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex, mpsc};

use serde_json::{Value, json};

use crate::bundle_store::{Store, bundled, manifest, md5, packed};
use crate::client::{Message, read_message};
use crate::plugin::Plugin;
use crate::rig::{Rig, api, hook, with};
use crate::support::certificates::Certificates;
use crate::support::{archive, eventually};
use crate::upstream::Upstream;
use crate::world::Gate;

/// A bundle without files whose hooks are a plugin server's.
fn of_hooks(mut hooks: Value) -> Vec<u8> {
    hooks["driver"] = "grpc".into();
    packed(&manifest(&[], hooks), &[])
}

/// Another API, at `/other/`.
fn other(upstream: u16) -> Value {
    let mut api = with(api(upstream, json!({})), json!({ "api_id": "other", "name": "other" }));
    api["proxy"]["listen_path"] = "/other/".into();
    api
}

/// A gateway with one API that names bundles, and one beside it that does not.
struct Stage {
    rig: Rig,
    plugin: Plugin,
}

impl Stage {
    fn new(store: &Store, names: &str) -> Self {
        Self::with(&store.keys(), names)
    }

    fn with(keys: &str, names: &str) -> Self {
        Self::of(keys, |port| bundled(port, names))
    }

    fn of(keys: &str, api: impl FnOnce(u16) -> Value) -> Self {
        let plugin = Plugin::start(|object| object);
        let upstream = Upstream::start();
        let keys = format!("grpc = \"{}\"\n{keys}", plugin.address);
        let rig = Rig::with(&keys, "", &[api(upstream.port), other(upstream.port)]);
        Self { rig, plugin }
    }

    fn status(&self) -> u16 {
        self.rig.get("/api/get").status()
    }

    /// The API is not there, the other one is, and the log says what is wrong.
    #[track_caller]
    fn is_down(&self, why: &str) {
        let told = "custom_middleware_bundle: the API `api1`: the bundle ";
        self.rig.wrapper.wait_for(told);
        let status = [self.status(), self.rig.get("/other/get").status()];
        let dump = self.rig.wrapper.dump();
        assert_eq!(status, [404, 200], "{dump}");
        let lines = dump.lines().filter(|line| line.contains(told)).collect::<Vec<_>>();
        assert_eq!(lines.len(), 1, "{dump}");
        assert!(lines[0].contains(why), "{}", lines[0]);
        assert!(!dump.contains("panicked"), "{dump}");
    }

    #[track_caller]
    fn is_up(&self) {
        assert_eq!(self.status(), 200, "{}", self.rig.wrapper.dump());
    }

    /// The hooks that were called, in their order.
    fn called(&self) -> Vec<String> {
        self.plugin.calls().into_iter().map(|called| called.object.hook_name).collect()
    }
}

/// A server of one file, under whatever name; what it says, and what it was asked.
struct Server {
    port: u16,
    says: Arc<Mutex<Vec<u8>>>,
    asked: Arc<Mutex<Vec<Message>>>,
}

impl Server {
    fn start(says: Vec<u8>) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let (says, asked) = (Arc::new(Mutex::new(says)), Arc::<Mutex<Vec<Message>>>::default());
        let (saying, asking) = (says.clone(), asked.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let request = read_message(&mut BufReader::new(&stream), false);
                asking.lock().unwrap().extend(request);
                let says = saying.lock().unwrap().clone();
                let _ = stream.write_all(&says);
            }
        });
        Self { port, says, asked }
    }

    fn say(&self, says: Vec<u8>) {
        *self.says.lock().unwrap() = says;
    }

    fn asked(&self) -> Vec<Message> {
        self.asked.lock().unwrap().clone()
    }

    fn keys(&self, store: &Store) -> String {
        let middleware = store.at("middleware");
        let (middleware, port) = (middleware.display(), self.port);
        format!(
            "middleware_path = \"{middleware}\"\nbundle_base_url = \"http://127.0.0.1:{port}/b/\"\n"
        )
    }
}

/// An answer with a body of bytes.
fn ok(headers: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!(
        "HTTP/1.1 200 OK\r\n{headers}Content-Length: {length}\r\nConnection: close\r\n\r\n"
    );
    [head.as_bytes(), body].concat()
}

fn status(line: &str) -> Vec<u8> {
    format!("HTTP/1.1 {line}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").into_bytes()
}

#[test]
fn t60_a_bundle_that_is_nowhere_takes_its_api_down_alone() {
    let store = Store::new();
    let stage = Stage::new(&store, "b.zip");
    stage.is_down("the bundle `b.zip`: ");
    stage.is_down("/source/b.zip cannot be read: No such file or directory");
    let server = Server::start(status("404 Not Found"));
    let stage = Stage::with(&server.keys(&store), "b.zip");
    stage.is_down("/b/b.zip: answered with 404 Not Found");
    assert_eq!(server.asked().len(), 1, "what is not there is not asked for again");
}

#[test]
fn t61_hooks_and_driver_are_the_manifests() {
    let store = Store::new();
    let hooks = json!({ "driver": "grpc", "pre": [hook("FromBundle")] });
    let manifest = json!({ "file_list": [], "checksum": "d41d8cd98f00b204e9800998ecf8427e",
        "custom_middleware": hooks });
    store.offer("b.zip", &packed(&manifest, &[]));
    // What the definition has itself does not count.
    let stage = Stage::of(&store.keys(), |port| {
        let own = json!({ "pre": [hook("Own")], "post": [hook("Own")] });
        let mut api = with(api(port, own), json!({ "custom_middleware_bundle": "b.zip" }));
        api["custom_middleware"]["driver"] = "lua".into();
        api
    });
    stage.is_up();
    assert!(store.kept("b.zip").join("manifest.json").is_file());
    assert_eq!(stage.called(), ["FromBundle"]);
    assert_eq!(stage.plugin.only().object.spec["bundle_hash"], md5(b"b.zip"));
}

#[test]
fn a_manifest_without_hooks_is_told_of() {
    let store = Store::new();
    store.offer("b.zip", &packed(&json!({ "checksum": md5(b""), "custom_midleware": {} }), &[]));
    let stage = Stage::new(&store, "b.zip");
    stage.is_up();
    stage.rig.wrapper.wait_for("the API `api1`: the bundle `b.zip`: its manifest names no hooks");
}

#[test]
fn t62_a_bundle_that_is_switched_off_is_none() {
    let store = Store::new();
    let off = json!({ "custom_middleware_bundle_disabled": true });
    for (names, more) in [("b.zip", off), ("", json!({})), (", , ", json!({}))] {
        let stage = Stage::of(&store.keys(), |port| with(bundled(port, names), more));
        stage.is_up();
        assert!(stage.called().is_empty());
        assert_eq!(stage.rig.wrapper.count("the bundle"), 0);
    }
}

/// Makes a pair of keys, and signs.
#[allow(clippy::disallowed_methods, reason = "nothing else waits for processes here")]
fn openssl(folder: &Path, line: &str) -> Vec<u8> {
    let output =
        Command::new("openssl").args(line.split(' ')).current_dir(folder).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// Makes `NAME.key` and `NAME.pem`.
fn key(store: &Store, name: &str) -> String {
    let folder = store.0.path();
    openssl(folder, &format!("genrsa -out {name}.key 2048"));
    openssl(folder, &format!("rsa -in {name}.key -pubout -out {name}.pem"));
    format!(
        "{}public_key_path = \"{}\"\n",
        store.keys(),
        store.at(&format!("{name}.pem")).display()
    )
}

/// A signature of a content.
fn signature(store: &Store, name: &str, content: &str) -> String {
    std::fs::write(store.at("content"), content).unwrap();
    openssl(store.0.path(), &format!("dgst -sha256 -sign {name}.key -out signature content"));
    let base64 = openssl(store.0.path(), "base64 -A -in signature");
    String::from_utf8(base64).unwrap()
}

const FILES: [(&str, &str); 2] = [("a", "file1 content"), ("b", "file2 content")];

/// A manifest over [`FILES`] with a signature.
fn signed(signature: &str) -> Value {
    let hooks = json!({ "driver": "grpc", "pre": [hook("Signed")] });
    with(manifest(&FILES, hooks), json!({ "signature": signature }))
}

#[test]
fn t63_with_a_key_bundles_are_signed() {
    let store = Store::new();
    let keys = key(&store, "own");
    let others = signature(&store, "own", "something else");
    let cases = [
        ("", "Bundle isn't signed"),
        (&others, "RSA verification error"),
        ("no base64!", "its signature is no base64"),
    ];
    for (signature, why) in cases {
        store.offer("b.zip", &packed(&signed(signature), &FILES));
        Stage::with(&keys, "b.zip").is_down(why);
        assert!(!store.kept("b.zip").exists(), "nothing of it stays");
    }
    let keys = format!("{}public_key_path = \"{}\"\n", store.keys(), store.at("content").display());
    Stage::with(&keys, "b.zip").rig.wrapper.wait_for("is no public key in PEM");
}

#[test]
fn t64_what_is_on_disk_and_signed_is_verified_again() {
    let store = Store::new();
    let keys = key(&store, "own");
    let others = signature(&store, "own", "something else");
    store.put("b.zip", Some(signed(&others)), &FILES);
    Stage::with(&keys, "b.zip").is_down("RSA verification error");
    let good = signature(&store, "own", "file1 contentfile2 content");
    store.put("b.zip", Some(signed(&good)), &FILES);
    Stage::with(&keys, "b.zip").is_up();
}

#[test]
fn t65_a_folder_without_a_manifest_is_no_bundle() {
    let store = Store::new();
    store.put("b.zip", None, &FILES);
    Stage::new(&store, "b.zip").is_down("manifest.json cannot be read: No such file or directory");
}

#[test]
fn t66_a_checksum_has_to_be_right() {
    let hooks = json!({ "driver": "grpc", "pre": [hook("Summed")] });
    let right = manifest(&FILES, hooks);
    assert_eq!(right["checksum"], "1510d0e71b31de1c78fd9e823a7c6de9");
    let store = Store::new();
    store.offer("b.zip", &packed(&with(right.clone(), json!({ "checksum": "1" })), &FILES));
    Stage::new(&store, "b.zip").is_down("invalid checksum");
    store.offer("b.zip", &packed(&right, &FILES[..1]));
    Stage::new(&store, "b.zip").is_down("`b` of `file_list` cannot be read");
    let lists = json!({ "file_list": ["a", "../b"] });
    store.offer("b.zip", &packed(&with(right.clone(), lists), &FILES));
    Stage::new(&store, "b.zip").is_down("`../b` in `file_list` leads out of the bundle");
    store.offer("b.zip", &packed(&right, &FILES));
    Stage::new(&store, "b.zip").is_up();
}

#[test]
fn t67_what_is_on_disk_and_not_signed_is_taken_as_it_is() {
    let store = Store::new();
    let wrong = json!({ "checksum": "1" });
    store.put("b.zip", Some(with(signed(""), wrong.clone())), &FILES);
    Stage::new(&store, "b.zip").is_up();
    store.put("b.zip", Some(with(signed("c2lnbmVk"), wrong)), &FILES);
    Stage::new(&store, "b.zip").is_down("invalid checksum");
    let keys = format!("{}skip_verify_existing_plugin_bundle = true\n", store.keys());
    Stage::with(&keys, "b.zip").is_up();
}

#[test]
fn t68_hooks_of_several_bundles_follow_each_other() {
    let store = Store::new();
    let a = json!({ "pre": [hook("A1"), hook("A2")], "post": [hook("A3")] });
    store.offer("a.zip", &of_hooks(a));
    store.offer("b.zip", &of_hooks(json!({ "pre": [hook("B1")], "response": [hook("B2")] })));
    let stage = Stage::new(&store, "a.zip,b.zip");
    stage.is_up();
    assert_eq!(stage.called(), ["A1", "A2", "B1", "A3", "B2"]);
}

#[test]
fn t69_bundles_that_exclude_each_other_are_none() {
    let store = Store::new();
    let check = json!({ "auth_check": hook("Check") });
    store.offer("a.zip", &of_hooks(check.clone()));
    store.offer("b.zip", &of_hooks(check));
    Stage::new(&store, "a.zip,b.zip").is_down("b: another bundle has an auth_check already");
    let lua = json!({ "driver": "lua", "pre": [hook("L")] });
    store.offer("c.zip", &packed(&manifest(&[], lua), &[]));
    Stage::new(&store, "a.zip,c.zip").is_down("c: its driver is `lua`, that of another is `grpc`");
}

#[test]
fn t70_names_may_have_blanks_and_folders() {
    let store = Store::new();
    store.offer("a.zip", &of_hooks(json!({ "pre": [hook("A")] })));
    std::fs::create_dir(store.at("source/platform")).unwrap();
    let name = "platform/correlation-id-1.4.0.zip";
    store.offer(name, &of_hooks(json!({ "pre": [hook("B")] })));
    let names = format!(" a.zip , {name} ");
    let stage = Stage::new(&store, &names);
    stage.is_up();
    assert_eq!(stage.called(), ["A", "B"]);
    for folder in ["a", "platform__correlation-id-1.4.0"] {
        assert!(store.kept(&names).join(folder).join("manifest.json").is_file(), "{folder}");
    }
}

#[test]
fn t71_signed_bundles_from_a_server() {
    let store = Store::new();
    let (own, other) = (key(&store, "own"), key(&store, "other"));
    let signature = signature(&store, "own", "file1 contentfile2 content");
    // What is not signed does not come along.
    let more = [FILES[0], FILES[1], ("more.py", "import os")];
    let server = Server::start(ok("", &packed(&signed(&signature), &more)));
    let with_key = |keys: &str| {
        let key = keys.lines().last().unwrap();
        format!("{}{key}\n", server.keys(&store))
    };
    Stage::with(&with_key(&other), "b.zip").is_down("RSA verification error");
    assert!(!store.kept("b.zip").exists());
    Stage::with(&with_key(&own), "b.zip").is_up();
    assert!(store.kept("b.zip").join("a").is_file());
    assert!(!store.kept("b.zip").join("more.py").exists());
    std::fs::remove_dir_all(store.at("middleware")).unwrap();
    Stage::with(&server.keys(&store), "b.zip").is_up();
    assert!(store.kept("b.zip").join("more.py").is_file());
    // A URL is no name.
    let keys = format!("middleware_path = \"{}\"\n", store.at("middleware").display());
    let stage = Stage::with(&keys, &format!("http://127.0.0.1:{}/b/b.zip", server.port));
    assert_eq!(stage.status(), 404);
    stage.rig.wrapper.wait_for("is a URL, and not a name below `bundle_base_url`");
}

#[test]
fn what_a_server_says_is_bounded_in_every_way() {
    let bundle = of_hooks(json!({ "pre": [hook("One")] }));
    let store = Store::new();
    let server = Server::start(ok("", &bundle));
    let keys = |more: &str| format!("{}{more}\n", server.keys(&store));
    Stage::with(&keys("bundle_max_size = \"100B\""), "b.zip").is_down("is larger than 100 bytes");
    server.say(b"HTTP/1.1 200 OK\r\nContent-Length: 101\r\n\r\n".to_vec());
    let asked = server.asked().len();
    Stage::with(&keys("bundle_max_size = \"100B\""), "b.zip").is_down("is larger than 100 bytes");
    assert_eq!(server.asked().len(), asked + 1, "it is not asked again");
    server.say(ok("", &bundle));
    Stage::with(&keys("bundle_max_unpacked_size = \"10B\""), "b.zip").is_down("more than 10 bytes");
    let two = archive::files(&[("manifest.json", b"{}"), ("a", b"")]);
    server.say(ok("", &two));
    Stage::with(&keys("bundle_max_files = 1"), "b.zip").is_down("more than 1 files and folders");
    server.say(ok("", b"<html>"));
    Stage::with(&keys(""), "b.zip").is_down("is no archive");
    server.say(ok("", &archive::files(&[("a", b"")])));
    Stage::with(&keys(""), "b.zip").is_down("has no manifest.json");
    let link = archive::zip(&[
        (b"manifest.json", archive::PLAIN, b"{}"),
        (b"passwd", 0o120_777, b"/etc/passwd"),
    ]);
    server.say(ok("", &link));
    Stage::with(&keys(""), "b.zip").is_down("`passwd` is neither a file nor a folder");
    server.say(status("302 Found"));
    Stage::with(&keys(""), "b.zip").is_down("answered with 302 Found");
}

/// A server that is reached over TLS alone.
struct Behind {
    server: Server,
    certificates: Certificates,
    store: Store,
    gate: Gate,
}

impl Behind {
    fn start() -> Self {
        let certificates = Certificates::new();
        let server = Server::start(ok("", &of_hooks(json!({ "pre": [hook("One")] }))));
        let address = ([127, 0, 0, 1], server.port).into();
        let gate = Gate::with(address, |config| config.tls = certificates.tls());
        Self { server, certificates, store: Store::new(), gate }
    }

    /// The keys of a gateway that asks it by this name.
    fn keys(&self, host: &str) -> String {
        format!(
            "middleware_path = \"{}\"\nbundle_base_url = \"https://{host}:{}/a/\"\n",
            self.store.at("middleware").display(),
            self.gate.address.port(),
        )
    }
}

#[test]
fn a_server_behind_tls_proves_who_it_is() {
    let behind = Behind::start();
    let keys = behind.keys("localhost");
    Stage::with(&keys, "b.zip").is_down("invalid peer certificate");
    assert!(behind.server.asked().is_empty());
    let ca = behind.certificates.file("ca.pem");
    let stage = Stage::with(&format!("{keys}upstream_ca = \"{}\"\n", ca.display()), "b.zip");
    stage.is_up();
    assert_eq!(stage.called(), ["One"]);
}

#[test]
fn a_server_need_not_prove_who_it_is_where_that_is_said() {
    let behind = Behind::start();
    let keys = behind.keys("127.0.0.1") + "bundle_insecure_skip_verify = true\n";
    let stage = Stage::with(&keys, "b.zip");
    stage.is_up();
    assert_eq!(stage.called(), ["One"]);
    stage.rig.wrapper.wait_for("servers of bundles need not prove who they are");
}

#[test]
fn bundles_that_no_api_names_any_more_are_removed_once_their_requests_have_ended() {
    let store = Store::new();
    store.offer("old.zip", &of_hooks(json!({ "pre": [hook("Old")] })));
    store.offer("new.zip", &of_hooks(json!({ "pre": [hook("New")] })));
    store.put("hand.zip", Some(manifest(&[], json!({}))), &[]);
    // An upstream that answers when it is told to.
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let (begun, has_begun) = mpsc::channel();
    let (end, ending) = mpsc::channel::<()>();
    std::thread::spawn(move || {
        let mut stream = listener.accept().unwrap().0;
        read_message(&mut BufReader::new(&stream), false);
        begun.send(()).unwrap();
        ending.recv().unwrap();
        stream.write_all(&ok("", b"late")).unwrap();
    });
    let plugin = Plugin::start(|object| object);
    let upstream = Upstream::start();
    let keys = format!("grpc = \"{}\"\n{}", plugin.address, store.keys());
    let rig = Rig::with(&keys, "", &[bundled(port, "old.zip")]);
    let request = rig.request("GET", "/api/get");
    let slow = std::thread::spawn(move || request.send().status());
    has_begun.recv().unwrap();
    rig.place.write("apis/0.json", &bundled(upstream.port, "new.zip").to_string());
    // What cannot be read may name anything: nothing goes.
    rig.place.write("apis/1.json", "{");
    rig.coproc(&["reload"]);
    eventually("the new one is there", || store.kept("new.zip").is_dir());
    rig.wrapper.wait_for("1.json:1:1: is no JSON");
    assert!(store.kept("old.zip").is_dir());
    std::fs::remove_file(rig.place.path().join("apis/1.json")).unwrap();
    rig.coproc(&["reload"]);
    eventually("the new hooks run", || {
        rig.get("/api/get").status() == 200
            && plugin.calls().iter().any(|called| called.object.hook_name == "New")
    });
    assert!(store.kept("old.zip").is_dir(), "a request still has it");
    end.send(()).unwrap();
    assert_eq!(slow.join().unwrap(), 200);
    eventually("it is removed", || !store.kept("old.zip").exists());
    assert!(store.kept("new.zip").is_dir());
    assert!(store.kept("hand.zip").is_dir(), "what was put there by hand stays");
    // Where that is not wanted nothing goes.
    drop(rig);
    let keys = format!("{keys}bundle_remove_unused = false\n");
    let rig = Rig::with(&keys, "", &[other(upstream.port)]);
    rig.coproc(&["reload"]);
    assert_eq!(rig.get("/other/get").status(), 200);
    assert!(store.kept("new.zip").is_dir());
}

#[test]
fn a_server_that_fails_is_asked_again() {
    let store = Store::new();
    let server = Server::start(status("503 Service Unavailable"));
    let stage = Stage::with(&server.keys(&store), "b.zip");
    stage.is_down("answered with 503 Service Unavailable");
    assert_eq!(server.asked().len(), 5);
    assert_eq!(server.asked()[0].start, "GET /b/b.zip HTTP/1.1");
    // Once it is there again a reload has the API served.
    server.say(ok("", &of_hooks(json!({ "pre": [hook("One")] }))));
    stage.rig.coproc(&["reload"]);
    eventually("the API is there", || stage.status() == 200);
    assert_eq!(stage.called(), ["One"]);
}

#[test]
fn others_do_not_wait_for_a_server_that_does_not_answer() {
    // It is connected to, and says nothing.
    let silent = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = silent.local_addr().unwrap().port();
    let store = Store::new();
    let keys = format!(
        "middleware_path = \"{}\"\nbundle_base_url = \"http://127.0.0.1:{port}/\"\nbundle_timeout = \"200ms\"\n",
        store.at("middleware").display()
    );
    let stage = Stage::with(&keys, "b.zip");
    assert_eq!(stage.rig.get("/other/get").status(), 200);
    stage.rig.wrapper.wait_for("no answer within 200ms");
    stage.is_down("no answer within 200ms");
}

#[test]
fn an_api_whose_bundle_has_come_does_not_wait_for_others() {
    // Whoever asks for the one is answered, and whoever asks for the other never is.
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let answer = ok("", &of_hooks(json!({ "pre": [hook("One")] })));
    std::thread::spawn(move || {
        let mut silent = Vec::new();
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let request = read_message(&mut BufReader::new(&stream), false);
            if request.is_some_and(|request| request.start.contains("there.zip")) {
                let _ = stream.write_all(&answer);
            } else {
                silent.push(stream);
            }
        }
    });
    let store = Store::new();
    let keys = format!(
        "middleware_path = \"{}\"\nbundle_base_url = \"http://127.0.0.1:{port}/\"\nbundle_timeout = \"2s\"\n",
        store.at("middleware").display()
    );
    let plugin = Plugin::start(|object| object);
    let upstream = Upstream::start();
    let keys = format!("grpc = \"{}\"\n{keys}", plugin.address);
    let mut late = with(bundled(upstream.port, "late.zip"), json!({ "api_id": "late" }));
    late["proxy"]["listen_path"] = "/late/".into();
    let rig = Rig::with(&keys, "", &[bundled(upstream.port, "there.zip"), late]);
    eventually("its bundle has come", || rig.get("/api/get").status() == 200);
    assert_eq!(rig.get("/late/get").status(), 404);
    assert!(!rig.wrapper.dump().contains("no answer within"), "{}", rig.wrapper.dump());
}

#[test]
fn changed_content_is_noticed_where_that_is_asked_for() {
    let store = Store::new();
    let mark = "ETag: \"1\"\r\n";
    let server = Server::start(ok(mark, &of_hooks(json!({ "pre": [hook("One")] }))));
    let keys = |more: &str| format!("{}{more}\n", server.keys(&store));
    let stage = Stage::with(&keys("bundle_refresh = true"), "b.zip");
    stage.is_up();
    server.say(status("304 Not Modified"));
    stage.rig.coproc(&["reload"]);
    eventually("it was asked", || server.asked().len() == 2);
    assert_eq!(server.asked()[1].header("if-none-match"), Some("\"1\""));
    stage.is_up();
    server.say(ok("ETag: \"2\"\r\n", &of_hooks(json!({ "pre": [hook("Two")] }))));
    stage.rig.coproc(&["reload"]);
    eventually("the new hook is called", || {
        stage.is_up();
        stage.called().last().is_some_and(|name| name == "Two")
    });
    // What is worse than what is there stays out, and what is there stays.
    server.say(ok("", b"no archive"));
    stage.rig.coproc(&["reload"]);
    stage.rig.wrapper.wait_for("is no archive");
    stage.is_up();
    drop(stage);
    // Nobody asks where that is not wanted.
    let before = server.asked().len();
    let stage = Stage::with(&keys(""), "b.zip");
    stage.is_up();
    stage.rig.coproc(&["reload"]);
    stage.is_up();
    assert_eq!(server.asked().len(), before);
}

#[test]
fn what_is_wrong_with_a_bundles_hooks_names_it() {
    let store = Store::new();
    store.offer("b.zip", &of_hooks(json!({ "pre": [{ "name": "One", "timeout": "soon" }] })));
    let stage = Stage::new(&store, "b.zip");
    stage.is_down("`b.zip`: custom_middleware.pre.0.timeout: `soon` is not a duration above zero");
    store.offer("c.zip", &packed(&json!({ "custom_middleware": 7, "checksum": md5(b"") }), &[]));
    Stage::new(&store, "c.zip").is_down("`c.zip`: custom_middleware: `7` has the wrong type");
}
