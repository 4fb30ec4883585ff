//! Hooks in Python, each case with messages of `protobuf` and with those in plain Python: a real `coproc run`
//! with workers.

use serde_json::{Value, json};

use crate::client::Message;
use crate::rig::{Rig, SECRET, api, checked, hook, keyed, with};
use crate::support::eventually;
use crate::upstream::Upstream;

/// What `make deps` makes, with `protobuf`, and what is there anyway.
pub(crate) fn interpreters() -> [String; 2] {
    let made = concat!(env!("CARGO_MANIFEST_DIR"), "/target/python/bin/python");
    assert!(std::path::Path::new(made).exists(), "`make deps` installs what Python plugins need");
    [made.to_owned(), "python3".to_owned()]
}

/// A gateway, the upstream behind it, and the folder of its hooks.
pub(crate) struct Stage {
    pub(crate) rig: Rig,
    pub(crate) upstream: Upstream,
    pub(crate) hooks: tempfile::TempDir,
}

/// An API whose hooks are in Python.
pub(crate) fn python(mut api: Value) -> Value {
    api["custom_middleware"]["driver"] = "python".into();
    api
}

impl Stage {
    /// One whose hooks are in one file, and whose workers are up.
    pub(crate) fn start(
        interpreter: &str,
        file: &str,
        tables: &str,
        apis: impl FnOnce(u16) -> Value,
    ) -> Self {
        Self::with("", &format!("interpreter = \"{interpreter}\"\n{tables}"), file, apis)
    }

    /// The same with further keys of `[gateway]` and of `[gateway.python]`.
    pub(crate) fn with(
        keys: &str,
        tables: &str,
        file: &str,
        apis: impl FnOnce(u16) -> Value,
    ) -> Self {
        let hooks = tempfile::Builder::new().prefix("coproc-test-").tempdir().unwrap();
        let text =
            format!("from tyk.decorators import *\nfrom gateway import TykGateway as tyk\n{file}");
        std::fs::write(hooks.path().join("middleware.py"), text).unwrap();
        let upstream = Upstream::start();
        let path = hooks.path().display();
        let tables = format!("[gateway.python]\npath = \"{path}\"\n{tables}\n");
        let rig = Rig::with(keys, &tables, &[python(apis(upstream.port))]);
        Self { rig, upstream, hooks }
    }

    pub(crate) fn get(&self, key: &str) -> Message {
        self.rig.request("GET", "/api/get").header("Authorization", key).send()
    }

    /// How often a line is in the log.
    pub(crate) fn logged(&self, line: &str) -> usize {
        self.rig.wrapper.dump().matches(line).count()
    }
}

const LIMITS: &str = "
@Hook
def Auth(request, session, metadata, spec):
    if request.get_header('Authorization') == 'valid':
        session.rate = 1000
        session.per = 1
        session.quota_max = 1
        session.quota_renewal_rate = 60
        metadata['token'] = 'valid-token'
    return request, session, metadata
";

/// What a valid, a bad and again a valid token come to.
fn quota(stage: &Stage) -> [u16; 3] {
    ["valid", "bad", "valid"].map(|key| stage.get(key).status())
}

#[test]
fn t19_t20_a_session_and_its_quota_are_the_hooks() {
    for interpreter in interpreters() {
        let stage = asked_by_hook(&interpreter);
        assert_eq!(quota(&stage), [200, 403, 403], "{}", stage.rig.wrapper.dump());
    }
}

#[test]
fn t21_the_quota_that_a_hook_sets_is_used_up_by_valid_tokens_alone() {
    for interpreter in interpreters() {
        let stage = asked_by_hook(&interpreter);
        let seen = ["bad", "bad", "valid", "valid"].map(|key| stage.get(key).status());
        assert_eq!(seen, [403, 403, 200, 403], "{}", stage.rig.wrapper.dump());
    }
}

/// An API whose hook sets a quota of one request.
fn asked_by_hook(interpreter: &str) -> Stage {
    Stage::start(interpreter, LIMITS, "", |port| {
        let api = keyed(port, json!({ "auth_check": hook("Auth") }));
        with(api, json!({ "enable_coprocess_auth": true }))
    })
}

#[test]
fn t22_the_same_again_once_the_key_is_removed() {
    let [interpreter, _] = interpreters();
    let stage = Stage::start(&interpreter, LIMITS, "", |port| {
        checked(port, json!({ "auth_check": hook("Auth") }))
    });
    assert_eq!(quota(&stage), [200, 403, 403]);
    let removed = stage.rig.request("DELETE", "/tyk/keys/valid-token");
    assert_eq!(removed.header(SECRET.0, SECRET.1).send().status(), 200);
    assert_eq!(quota(&stage), [200, 403, 403]);
}

#[test]
fn t23_a_hook_names_a_policy() {
    let policies = tempfile::tempdir().unwrap();
    let file = policies.path().join("policies.json");
    let policy = json!({ "p1": {
        "id": "p1", "org_id": "org1", "active": true, "rate": 1000, "per": 1, "quota_max": 1,
        "quota_renewal_rate": 3600, "access_rights": { "api1": {
            "api_name": "api", "api_id": "api1", "versions": ["Default"],
            "limit": { "rate": 1000, "per": 1, "quota_max": 1, "quota_renewal_rate": 3600 } } },
        "partitions": { "per_api": false }
    } });
    std::fs::write(&file, policy.to_string()).unwrap();
    let hooks = "
@Hook
def Auth(request, session, metadata, spec):
    session.apply_policy_id = request.get_header('Policy')
    metadata['token'] = 'with-policy'
    return request, session, metadata
";
    for interpreter in interpreters() {
        let stage = Stage::with(
            &format!("policies = \"{}\"", file.display()),
            &format!("interpreter = \"{interpreter}\""),
            hooks,
            |port| checked(port, json!({ "auth_check": hook("Auth") })),
        );
        let get = || stage.rig.request("GET", "/api/get").header("Policy", "p1").send().status();
        assert_eq!([get(), get()], [200, 403], "{}", stage.rig.wrapper.dump());
    }
}

#[test]
fn t24_a_post_hook_reads_metadata() {
    let hooks = "
import json

@Hook
def Check(request, session, spec):
    assert json.loads(session.metadata['testkey']) == {'nestedkey': 'nestedvalue'}
    assert session.metadata['testkey2'] == 'testvalue'
    assert spec['APIID'] == 'api1' and spec['OrgID'] == 'org1', spec
    return request, session
";
    for interpreter in interpreters() {
        let stage = Stage::start(&interpreter, hooks, "", |port| {
            keyed(port, json!({ "post": [hook("Check")] }))
        });
        let metadata =
            json!({ "testkey": { "nestedkey": "nestedvalue" }, "testkey2": "testvalue" });
        stage.rig.key("k-0024", &json!({ "meta_data": metadata }));
        let answer = stage.get("k-0024");
        assert_eq!(answer.status(), 200, "{}\n{}", answer.text(), stage.rig.wrapper.dump());
    }
}

#[test]
fn t25_a_response_hook_has_five_parameters() {
    let hooks = "
@Hook
def NewBody(request, response, session, metadata, spec):
    response.raw_body = b'newbody'
    return response
";
    for interpreter in interpreters() {
        let stage = Stage::start(&interpreter, hooks, "", |port| {
            api(port, json!({ "response": [hook("NewBody")] }))
        });
        let answer = stage.rig.get("/api/get");
        assert_eq!((answer.status(), answer.text()), (200, "newbody".to_owned()));
        assert_eq!(answer.header("content-length"), Some("7"));
    }
}

#[test]
fn t26_a_pre_hook_sees_bodies_as_they_are() {
    let hooks = "
@Hook
def Bodies(request, session, spec):
    o = request.object
    if 'multipart' in request.get_header('Content-Type'):
        fine = o.body == '' and len(o.raw_body) > 0
    else:
        fine = o.body == '{}' and o.raw_body == b'{}'
    if not fine:
        o.return_overrides.response_code = 400
        o.return_overrides.response_error = 'unexpected'
    return request, session
";
    for interpreter in interpreters() {
        let stage = Stage::start(&interpreter, hooks, "", |port| {
            api(port, json!({ "pre": [hook("Bodies")] }))
        });
        let mut multipart = b"--b\r\nContent-Disposition: form-data; name=\"f\"\r\n\r\n".to_vec();
        multipart.extend([0, 159, 146, 150, 255]);
        multipart.extend(b"\r\n--b--\r\n");
        let post = |kind: &str, body: Vec<u8>| {
            stage.rig.request("POST", "/api/post").body(kind, body).send().status()
        };
        assert_eq!(post("multipart/form-data; boundary=b", multipart), 200);
        assert_eq!(post("application/json", b"{}".to_vec()), 200);
    }
}

/// A hook that lets each of `good` in only once.
fn once(value: &str, good: &str) -> String {
    format!(
        "
import time

@Hook
def Once(request, session, metadata, spec):
    value = {value}
    if value == '{good}' and tyk.get_data('seen') == b'':
        tyk.store_data('seen', 'yes', 60)
        session.rate = 1000
        session.per = 1
        session.id_extractor_deadline = int(time.time()) + 60
        metadata['token'] = value
    return request, session, metadata
"
    )
}

fn extracted(port: u16, extractor: Value) -> Value {
    checked(port, json!({ "auth_check": hook("Once"), "id_extractor": extractor }))
}

#[test]
fn t29_t30_a_session_is_remembered_by_a_header() {
    let extractor = json!({ "extract_from": "header", "extract_with": "value",
        "extractor_config": { "header_name": "Authorization" } });
    for interpreter in interpreters() {
        let file = once("request.get_header('Authorization')", "good");
        let stage =
            Stage::start(&interpreter, &file, "", |port| extracted(port, extractor.clone()));
        let all = ["good", "good", "other"].map(|key| stage.get(key).status());
        assert_eq!(all, [200, 200, 403], "{}", stage.rig.wrapper.dump());
    }
}

#[test]
fn t31_a_session_is_remembered_by_a_form() {
    let extractor = json!({ "extract_from": "form", "extract_with": "value",
        "extractor_config": { "param_name": "auth" } });
    let value = "__import__('urllib.parse').parse.parse_qs(request.object.body)['auth'][0]";
    for interpreter in interpreters() {
        let file = once(value, "good");
        let stage =
            Stage::start(&interpreter, &file, "", |port| extracted(port, extractor.clone()));
        let all = ["auth=good", "auth=good", "auth=bad"].map(|form| {
            let request = stage.rig.request("POST", "/api/post");
            request
                .body("application/x-www-form-urlencoded", form.as_bytes().to_vec())
                .send()
                .status()
        });
        assert_eq!(all, [200, 200, 403], "{}", stage.rig.wrapper.dump());
    }
}

#[test]
fn t32_a_session_is_remembered_by_a_part_of_a_header() {
    let extractor = json!({ "extract_from": "header", "extract_with": "regex",
        "extractor_config": { "header_name": "Authorization", "regex_expression": "[0-9]+",
            "regex_match_index": 0 } });
    for interpreter in interpreters() {
        let file = once("request.get_header('Authorization').split('-')[1]", "12345");
        let stage =
            Stage::start(&interpreter, &file, "", |port| extracted(port, extractor.clone()));
        let all =
            ["prefix-12345", "prefix-12345", "prefix-123456"].map(|key| stage.get(key).status());
        assert_eq!(all, [200, 200, 403], "{}", stage.rig.wrapper.dump());
    }
}

#[test]
fn t33_t34_headers_and_parameters_are_changed() {
    let hooks = "
@Pre
def Change(request, session, spec):
    request.add_header('Test', 'value')
    request.delete_header('Deletethisheader')
    request.add_param('customparam', 'customvalue')
    request.delete_param('remove')
    assert request.get_header('Nothing') is None
    return request, session
";
    for interpreter in interpreters() {
        let stage = Stage::start(&interpreter, hooks, "", |port| {
            api(port, json!({ "pre": [hook("Change")] }))
        });
        let request = stage.rig.request("GET", "/api/get?a=a_value&b=123&remove=3");
        let answer = request.header("Deletethisheader", "x").send();
        assert_eq!(answer.status(), 200, "{}\n{}", answer.text(), stage.rig.wrapper.dump());
        let seen = stage.upstream.only();
        assert_eq!(seen.header("test"), Some("value"));
        assert_eq!(seen.header("deletethisheader"), None);
        assert_eq!(seen.target(), "/get?a=a_value&b=123&customparam=customvalue");
    }
}

#[test]
fn older_decorators_do_what_hook_does() {
    let hooks = "
@Pre
def First(request, session, spec):
    request.add_header('First', 'pre')
    return request, session

@CustomKeyCheck
def Auth(request, session, metadata, spec):
    if request.get_header('Authorization') == 'valid':
        metadata['token'] = 'valid-token'
        metadata['First'] = request.get_header('First')
    return request, session, metadata

@PostKeyAuth
def Known(request, session, spec):
    request.add_header('Known', session.metadata['token'] + ' ' + session.metadata['First'])
    return request, session

@Post
def Last(request, session, metadata, spec):
    request.add_header('Last', metadata['token'])
    return request, session, metadata

@Event
def refused(event):
    tyk.log('refused: ' + event['Meta']['Origin'])
";
    for interpreter in interpreters() {
        let stage = Stage::start(&interpreter, hooks, "", |port| {
            let middleware = json!({
                "pre": [hook("First")], "auth_check": hook("Auth"), "post": [hook("Last")],
                "post_key_auth": [hook("Known")],
            });
            let handler = json!({ "handler_name": "cp_dynamic_handler",
                "handler_meta": { "name": "refused" } });
            let events = json!({ "events": { "AuthFailure": [handler] } });
            with(checked(port, middleware), json!({ "event_handlers": events }))
        });
        assert_eq!(stage.get("valid").status(), 200, "{}", stage.rig.wrapper.dump());
        let seen = stage.upstream.only();
        assert_eq!(seen.header("known"), Some("valid-token pre"));
        assert_eq!(seen.header("last"), Some("valid-token"));
        assert_eq!(stage.get("bad").status(), 403);
        eventually("the event is heard", || stage.logged("refused: 127.0.0.1") == 1);
    }
}

#[test]
fn what_hooks_ask_of_the_gateway() {
    let hooks = "
import json

@Hook
def Ask(request, session, spec):
    key = request.get_header('Key')
    before = tyk.get_data(key)
    tyk.store_data(key, b'\\x00data', 60)
    tyk.trigger_event('HostDown', 'from a hook')
    tyk.log('a line', 'warning')
    tyk.log_error('an error')
    o = request.object.return_overrides
    o.response_code = 200
    o.response_body = repr([before, tyk.get_data(key)])
    return request, session

@Event
def my_handler(event, spec):
    tyk.log('heard ' + event['Type'] + ' ' + event['Meta']['Message'])
";
    let events = "event_handlers = { events = { HostDown = [{ handler_name = \"cp_dynamic_handler\", \
                  handler_meta = { name = \"my_handler\" } }] } }";
    for interpreter in interpreters() {
        let stage =
            Stage::with(events, &format!("interpreter = \"{interpreter}\""), hooks, |port| {
                api(port, json!({ "pre": [hook("Ask")] }))
            });
        let ask = || stage.rig.request("GET", "/api/get").header("Key", "k1").send().text();
        assert_eq!(ask(), "[b'', b'\\x00data']", "{}", stage.rig.wrapper.dump());
        assert_eq!(ask(), "[b'\\x00data', b'\\x00data']");
        eventually("the lines are logged", || {
            stage.logged("a line") >= 2
                && stage.logged("an error") >= 2
                && stage.logged("heard HostDown from a hook") >= 2
        });
    }
}

#[test]
fn what_a_hook_gets_wrong_is_told_and_is_a_failure() {
    let hooks = "
def fail():
    raise ValueError('as\\nasked')

@Hook
def Raises(request, session, spec):
    fail()

@Hook
def Returns(request, session, spec):
    return request
";
    let [interpreter, _] = interpreters();
    for name in ["Raises", "Returns", "Unknown"] {
        let stage =
            Stage::start(&interpreter, hooks, "", |port| api(port, json!({ "pre": [hook(name)] })));
        let answer = stage.rig.get("/api/get");
        assert_eq!(answer.status(), 500);
        assert!(answer.text().contains("Middleware error"), "{}", answer.text());
        let said = match name {
            "Raises" => {
                "API `api`: the pre hook `Raises` failed: the plugin refused: Hook 'Raises' returned an \
                 error: middleware.py:9: middleware.py:5: ValueError: as asked"
            }
            "Returns" => "Hook 'Returns' returned an error",
            _ => "there is no hook 'Unknown'",
        };
        eventually(said, || stage.logged(said) == 1);
        assert_eq!(stage.logged("ValueError"), usize::from(name == "Raises"), "one record");
    }
}

#[test]
#[allow(clippy::disallowed_methods, reason = "nothing else waits for processes here")]
fn messages_in_plain_python_are_those_of_protobuf() {
    let [interpreter, _] = interpreters();
    let root = env!("CARGO_MANIFEST_DIR");
    let mut command = std::process::Command::new(interpreter);
    command.args(["-B".to_owned(), format!("{root}/tests/plugins/python/messages.py")]);
    let output = command.arg(format!("{root}/actors/gateway/python")).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(said, "alike\n", "{}", String::from_utf8_lossy(&output.stderr));
}
