//! Plugin servers in Python with code generated from today's schema, and from that of June 2018.
#![allow(clippy::disallowed_methods)]

use std::io::{BufRead, BufReader, Lines};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use bytes::Bytes;
use coproc_gateway::api::{BodyWanted, Hook, OnError};
use coproc_gateway::driver::grpc::{Grpc, GrpcConfig};
use coproc_gateway::driver::{Call, Driver, Failure, reply};
use coproc_gateway::exchange::{Draft, Scheme, Target, Whole};
use coproc_gateway::object::{self, Rules};
use coproc_gateway::wire::{
    Event, Header, HookType, MiniRequestObject, Object, ResponseObject, SessionState, Texts,
};
use http::{HeaderMap, Method, StatusCode};
use prost::Message;
use tempfile::TempDir;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
/// How long any fact may take to come true on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A plugin server, ended when it is dropped.
struct Plugin {
    child: Child,
    out: Lines<BufReader<ChildStdout>>,
    grpc: Grpc,
    _folder: TempDir,
}

impl Plugin {
    /// Generates code from a schema, and serves with it.
    fn start(schema: &str) -> Self {
        let python = format!("{ROOT}/target/python/bin/python");
        assert!(Path::new(&python).exists(), "`make deps` installs what Python plugins need");
        let folder = tempfile::Builder::new().prefix("coproc-test-").tempdir().unwrap();
        let stubs = folder.path().display();
        let made = Command::new(&python)
            .args(["-m", "grpc_tools.protoc", "-I", &format!("{ROOT}/{schema}")])
            .args([format!("--python_out={stubs}"), format!("--grpc_python_out={stubs}")])
            .arg("coprocess.proto")
            .status();
        assert!(made.unwrap().success());
        let address = format!("unix:{stubs}/socket");
        let mut child = Command::new(&python)
            .arg(format!("{ROOT}/tests/plugins/python/plugin.py"))
            .args([folder.path().as_os_str(), address.as_ref()])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let out = BufReader::new(child.stdout.take().unwrap()).lines();
        let config = GrpcConfig { addresses: vec![address], ..GrpcConfig::default() };
        let grpc = Grpc::open(&config).unwrap();
        let mut plugin = Self { child, out, grpc, _folder: folder };
        assert_eq!(plugin.line(), "ready");
        plugin
    }

    fn line(&mut self) -> String {
        self.out.next().unwrap().unwrap()
    }

    async fn call(&self, object: Object) -> Result<Object, Failure> {
        let call =
            Call { object: (&object).into(), deadline: Instant::now() + PATIENCE, trace: &[] };
        self.grpc.dispatch(call).await
    }
}

impl Drop for Plugin {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A request as a hook of this name is sent it.
fn asked(hook: &str) -> Object {
    let request = MiniRequestObject {
        headers: texts(&[("Authorization", "abc"), ("Host", "a")]),
        url: "/get?a=1&remove=3".to_owned(),
        method: "POST".to_owned(),
        body: "caf\u{e9}".to_owned(),
        raw_body: Bytes::from("caf\u{e9}"),
        repeated_headers: vec![Header { key: "A".into(), values: vec!["1".into(), "2".into()] }],
        ..Default::default()
    };
    Object {
        hook_type: HookType::Pre.into(),
        hook_name: hook.to_owned(),
        request: Some(request),
        spec: texts(&[("APIID", "o1")]),
        ..Default::default()
    }
}

fn texts(pairs: &[(&str, &str)]) -> Texts {
    pairs.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect()
}

fn draft() -> Draft {
    Draft {
        method: Method::POST,
        target: Target { path: "/get".to_owned(), query: Some("a=1&remove=3".to_owned()) },
        received: "/get?a=1&remove=3".to_owned(),
        authority: "a".to_owned(),
        scheme: Scheme::Http,
        headers: HeaderMap::new(),
        body: Some(Bytes::from("caf\u{e9}")),
        client: None,
        session: None,
    }
}

const HOOK: Hook =
    Hook { name: String::new(), body: BodyWanted::Full, timeout: None, on_error: OnError::Open };
const RULES: Rules = Rules { strict: false, verbatim_names: false };

/// What plugins of both ages can do.
async fn whatever_the_age(plugin: &mut Plugin) {
    let echo = plugin.call(asked("Echo")).await.unwrap();
    let asked_for = asked("Echo");
    let heeded = reply::read(asked_for.hook_type, &*asked_for.encode_to_vec()).unwrap();
    assert_eq!(echo, heeded, "what it does not know it leaves alone");

    let mut changed = draft();
    for hook in ["SetHeader", "Params", "Body"] {
        let answer = plugin.call(asked(hook)).await.unwrap();
        object::apply_request(&mut changed, &HOOK, answer, RULES).unwrap();
    }
    assert_eq!(changed.headers["testheader"], "testvalue");
    assert_eq!(changed.target.query.as_deref(), Some("a=1&customparam=customvalue"));

    let refused = plugin.call(asked("Refuse")).await.unwrap();
    let overrides = refused.request.unwrap().return_overrides.unwrap();
    assert_eq!(
        (overrides.response_code, overrides.response_error.as_str()),
        (401, "custom error message")
    );

    let token = Object { hook_type: HookType::CustomKeyCheck.into(), ..asked("Token") };
    let session = plugin.call(token).await.unwrap();
    assert_eq!((session.session.unwrap().rate, session.metadata["token"].as_str()), (100.0, "abc"));

    let metadata = texts(&[("key", "{\"nested\":1}")]);
    let session = SessionState {
        metadata: metadata.clone(),
        key_id: "id".to_owned(),
        post_expiry_grace_period: -1,
        ..Default::default()
    };
    let sent =
        Object { session: Some(Box::new(session.clone())), metadata, ..asked("TellMetadata") };
    let sent = Object { hook_type: HookType::CustomKeyCheck.into(), ..sent };
    let answer = plugin.call(sent).await.unwrap();
    assert_eq!(answer.session.as_deref(), Some(&session));
    assert_eq!(answer.request.unwrap().set_headers["X-key"], "{\"nested\":1}");

    let wrong = plugin.call(asked("Wrong")).await;
    assert!(matches!(&wrong, Err(Failure::Refused(why)) if why.contains("as asked")), "{wrong:?}");

    let event = Event { payload: "{\"message\":{}}".to_owned() };
    plugin.grpc.dispatch_event(event, Instant::now() + PATIENCE).await.unwrap();
    assert_eq!(plugin.line(), "{\"message\":{}}");
}

fn responded() -> (Whole, Object) {
    let mut headers = HeaderMap::new();
    headers.append("set-cookie", "a=1".parse().unwrap());
    headers.append("set-cookie", "b=2".parse().unwrap());
    let whole = Whole { status: StatusCode::OK, headers, body: Bytes::from_static(b"old") };
    let response = ResponseObject {
        status_code: 200,
        raw_body: whole.body.clone(),
        body: "old".to_owned(),
        headers: texts(&[("Set-Cookie", "a=1")]),
        multivalue_headers: vec![Header {
            key: "Set-Cookie".to_owned(),
            values: vec!["a=1".to_owned(), "b=2".to_owned()],
        }],
    };
    let sent = Object {
        hook_type: HookType::Response.into(),
        response: Some(response),
        ..asked("NewBody")
    };
    (whole, sent)
}

#[tokio::test]
async fn a_plugin_of_today() {
    let mut plugin = Plugin::start("actors/gateway/proto");
    whatever_the_age(&mut plugin).await;
    let (mut whole, sent) = responded();
    let answer = plugin.call(sent).await.unwrap();
    object::apply_response(&mut whole, &HOOK, answer, RULES).unwrap();
    assert_eq!(
        (&whole.body[..], &whole.headers["x-python"]),
        (&b"newbody"[..], &"yes".parse().unwrap())
    );
    assert_eq!(whole.headers.get_all("set-cookie").iter().count(), 2);
}

#[tokio::test]
async fn a_plugin_of_2018() {
    let mut plugin = Plugin::start("tests/plugins/schema-2018-06");
    whatever_the_age(&mut plugin).await;
    // It has no response hooks, and returns what it cannot read.
    let (mut whole, mut sent) = responded();
    sent.hook_name = "Echo".to_owned();
    let answer = plugin.call(sent).await.unwrap();
    let before = whole.headers.clone();
    object::apply_response(&mut whole, &HOOK, answer, RULES).unwrap();
    assert_eq!((whole.headers, &whole.body[..]), (before, &b"old"[..]));
}
