//! Hooks in Lua, by the cases of plugin servers: a real `coproc run`.

use serde_json::{Value, json};

use crate::client::Message;
use crate::rig::{Rig, SECRET, api, checked, hook, keyed, with};
use crate::support::eventually;
use crate::upstream::Upstream;

/// A gateway, the upstream behind it, and the folder of its hooks.
pub(crate) struct Stage {
    pub(crate) rig: Rig,
    pub(crate) upstream: Upstream,
    hooks: tempfile::TempDir,
}

impl Stage {
    pub(crate) fn start(file: &str, apis: impl FnOnce(u16) -> Value) -> Self {
        Self::with("", "", file, apis)
    }

    /// The same with further keys of `[gateway]` and of `[gateway.lua]`.
    pub(crate) fn with(
        keys: &str,
        table: &str,
        file: &str,
        apis: impl FnOnce(u16) -> Value,
    ) -> Self {
        let hooks = tempfile::Builder::new().prefix("coproc-test-").tempdir().unwrap();
        std::fs::write(hooks.path().join("hooks.lua"), file).unwrap();
        let upstream = Upstream::start();
        let mut api = apis(upstream.port);
        api["custom_middleware"]["driver"] = "lua".into();
        let tables = format!("[gateway.lua]\npath = \"{}\"\n{table}\n", hooks.path().display());
        let rig = Rig::with(keys, &tables, &[api]);
        Self { rig, upstream, hooks }
    }

    pub(crate) fn get(&self, key: &str) -> Message {
        self.rig.request("GET", "/api/get").header("Authorization", key).send()
    }

    pub(crate) fn logged(&self, line: &str) -> usize {
        self.rig.wrapper.dump().matches(line).count()
    }
}

#[test]
fn t01_t33_t34_headers_and_parameters_are_changed() {
    let hooks = "
function Change(request, session, spec)
  tyk.req.set_header('Testheader', 'testvalue')
  tyk.req.clear_header('Deletethisheader')
  request.add_params.customparam = 'customvalue'
  request.delete_params[1] = 'remove'
  return request, session
end";
    let stage = Stage::start(hooks, |port| api(port, json!({ "pre": [hook("Change")] })));
    let request = stage.rig.request("GET", "/api/get?a=a_value&b=123&remove=3");
    let answer = request.header("Deletethisheader", "x").send();
    assert_eq!(answer.status(), 200, "{}\n{}", answer.text(), stage.rig.wrapper.dump());
    let seen = stage.upstream.only();
    assert_eq!(seen.header("testheader"), Some("testvalue"));
    assert_eq!(seen.header("deletethisheader"), None);
    assert_eq!(seen.target(), "/get?a=a_value&b=123&customparam=customvalue");
}

#[test]
fn t02_t03_t04_bodies_are_text_only_where_they_are_utf8() {
    let hooks = "
function Bodies(request, session, spec)
  local fine
  if request.headers['Content-Type']:find('multipart') then
    fine = request.body == nil and #tyk.req.get_body() > 0
  elseif request.headers['Content-Type'] == 'application/json' then
    fine = request.body == '{}' and tyk.req.get_body() == '{}'
  end
  if not fine then
    request.return_overrides = { response_code = 400, response_error = 'unexpected' }
  end
  return request, session
end";
    let stage = Stage::start(hooks, |port| api(port, json!({ "pre": [hook("Bodies")] })));
    let mut multipart = b"--b\r\nContent-Disposition: form-data; name=\"f\"\r\n\r\n".to_vec();
    multipart.extend([0, 159, 146, 150, 255]);
    multipart.extend(b"\r\n--b--\r\n");
    let post =
        |kind: &str, body: Vec<u8>| stage.rig.request("POST", "/api/post").body(kind, body).send();
    let sent = post("multipart/form-data; boundary=b", multipart.clone());
    assert_eq!(sent.status(), 200, "{}", stage.rig.wrapper.dump());
    assert_eq!(stage.upstream.only().body, multipart);
    assert_eq!(post("application/json", b"{}".to_vec()).status(), 200);
    let refused = post("text/plain", b"x".to_vec());
    assert_eq!(refused.status(), 400);
    assert_eq!(refused.text(), "{\n    \"error\": \"unexpected\"\n}");
}

#[test]
fn t05_t24_metadata_are_text() {
    let hooks = "
local cjson = require('cjson')
function Look(request, session, spec)
  local nested = cjson.decode(session.metadata.testkey)
  assert(nested.nestedkey == 'nestedvalue' and session.metadata.testkey2 == 'testvalue')
  for name, value in pairs(object.metadata) do assert(session.metadata[name] == value) end
  return request, session
end";
    let stage = Stage::start(hooks, |port| keyed(port, json!({ "post": [hook("Look")] })));
    let metadata = json!({ "testkey": { "nestedkey": "nestedvalue" }, "testkey2": "testvalue" });
    stage.rig.key("key1", &json!({ "rate": 100, "per": 1, "meta_data": metadata }));
    let answer = stage.get("key1");
    assert_eq!(answer.status(), 200, "{}\n{}", answer.text(), stage.rig.wrapper.dump());
}

#[test]
fn t06_t25_a_response_hook_changes_the_body() {
    let hooks = "
function New(request, response, session, metadata, spec)
  response.raw_body = 'bmV3Ym9keQ=='
  response.status_code = 203
  return response
end";
    let stage = Stage::start(hooks, |port| api(port, json!({ "response": [hook("New")] })));
    let answer = stage.rig.get("/api/get");
    assert_eq!((answer.status(), answer.text().as_str()), (203, "newbody"));
    assert_eq!(answer.header("content-length"), Some("7"));
}

const LIMITS: &str = "
function Auth(request, session, metadata, spec)
  if request.headers.Authorization == 'valid' then
    session.rate, session.per = 1000, 1
    session.quota_max, session.quota_renewal_rate = 1, 60
    metadata.token = 'valid-token'
  end
  return request, session, metadata
end";

/// What a valid, a bad and again a valid token come to.
fn quota(stage: &Stage) -> [u16; 3] {
    ["valid", "bad", "valid"].map(|key| stage.get(key).status())
}

#[test]
fn t19_t20_t21_t22_a_session_and_its_quota_are_the_hooks() {
    let stage = Stage::start(LIMITS, |port| {
        let api = keyed(port, json!({ "auth_check": hook("Auth") }));
        with(api, json!({ "enable_coprocess_auth": true }))
    });
    assert_eq!(quota(&stage), [200, 403, 403], "{}", stage.rig.wrapper.dump());
    let removed = stage.rig.request("DELETE", "/tyk/keys/valid-token");
    assert_eq!(removed.header(SECRET.0, SECRET.1).send().status(), 200);
    assert_eq!(quota(&stage), [200, 403, 403]);
}

#[test]
fn t35_t77_without_a_session_nobody_is_let_in_and_the_handler_hears_of_it() {
    let hooks = "
function Refuse(request, session, metadata, spec)
  object.session, object.metadata = nil, { token = 'abc' }
end
function my_handler(event, spec)
  tyk.log('heard ' .. event.Type .. ' ' .. event.Meta.Message .. ' of ' .. spec.APIID)
end";
    let stage = Stage::start(hooks, |port| {
        let handler = json!({ "handler_name": "cp_dynamic_handler",
            "handler_meta": { "name": "my_handler" } });
        let events = json!({ "events": { "AuthFailure": [handler] } });
        let api = checked(port, json!({ "auth_check": hook("Refuse") }));
        with(api, json!({ "event_handlers": events }))
    });
    assert_eq!(stage.get("abc").status(), 403);
    eventually("the handler hears", || stage.logged("heard AuthFailure Auth Failure of api1") == 1);
}

#[test]
fn t36_t37_t76_a_hook_answers_by_itself() {
    let hooks = "
function Answer(request, session, spec)
  local answers = {
    ok = { response_code = 200, response_body = 'body', headers = { header = 'value' } },
    no = { response_code = 401, response_error = 'custom error message' },
    there = { response_code = 302, headers = { Location = '/there' } },
  }
  request.return_overrides = answers[request.params.want]
  return request, session
end";
    let stage = Stage::start(hooks, |port| api(port, json!({ "pre": [hook("Answer")] })));
    let want = |word: &str| stage.rig.get(&format!("/api/get?want={word}"));
    let ok = want("ok");
    assert_eq!((ok.status(), ok.text().as_str()), (200, "body"), "{}", stage.rig.wrapper.dump());
    assert_eq!(ok.header("header"), Some("value"));
    let no = want("no");
    assert_eq!(no.status(), 401);
    assert_eq!(no.text(), "{\n    \"error\": \"custom error message\"\n}");
    let there = want("there");
    assert_eq!((there.status(), there.header("location")), (302, Some("/there")));
    assert!(stage.upstream.seen().is_empty());
}

#[test]
fn t59_data_are_kept_and_events_are_fired() {
    let hooks = "
function Ask(request)
  local before = tyk.get_data('k')
  tyk.store_data('k', 'a\\0b', 60)
  tyk.trigger_event('HostDown', 'test-payload')
  tyk.log('a line', 'warning')
  tyk.log_error('an error')
  print('printed', 7)
  request.return_overrides = { response_code = 200, response_body = #before .. ' ' .. #tyk.get_data('k') }
end
function my_handler(event) tyk.log('heard ' .. event.Type .. ' ' .. event.Meta.Message) end";
    let events = "event_handlers = { events = { HostDown = [{ handler_name = \"cp_dynamic_handler\", \
                  handler_meta = { name = \"my_handler\" } }] } }";
    let stage = Stage::with(events, "", hooks, |port| api(port, json!({ "pre": [hook("Ask")] })));
    assert_eq!(stage.rig.get("/api/get").text(), "0 3", "{}", stage.rig.wrapper.dump());
    assert_eq!(stage.rig.get("/api/get").text(), "3 3");
    eventually("the lines are logged", || {
        stage.logged("a line") >= 2
            && stage.logged("an error") >= 2
            && stage.logged("printed\t7") + stage.logged("printed\\t7") >= 2
            && stage.logged("heard HostDown test-payload") >= 2
    });
}

#[test]
fn t80_the_next_hook_sees_what_the_one_before_set() {
    let hooks = "
function One(request) tyk.req.set_header('X-One', '1') end
function Two(request) tyk.req.set_header('X-Two', request.headers['X-One'] .. '2') end";
    let stage = Stage::start(hooks, |port| api(port, json!({ "pre": [hook("One"), hook("Two")] })));
    assert_eq!(stage.rig.get("/api/get").status(), 200, "{}", stage.rig.wrapper.dump());
    assert_eq!(stage.upstream.only().header("x-two"), Some("12"));
}

#[test]
fn an_error_a_loop_and_a_flood_end_in_the_policy_and_nothing_else() {
    let hooks = "
function Fails() local t = nil return t.x end
function Loops() while true do end end
function Floods() local all = {} while true do all[#all + 1] = ('x'):rep(1e5) .. #all end end
function Fine(request) tyk.req.set_header('Fine', 'yes') end";
    for (name, said) in [
        ("Fails", "Hook 'Fails' returned an error: hooks.lua:2: attempt to index local 't'"),
        ("Loops", "Hook 'Loops' returned an error: it ran for more than 1000000 instructions"),
        ("Floods", "Hook 'Floods' returned an error: it needed more than 8388608 bytes of memory"),
    ] {
        let table = "instructions = 1000000\nmemory = \"8MiB\"";
        let stage = Stage::with("", table, hooks, |port| {
            let bad = json!({ "name": name, "on_error": { "mode": "closed", "status": 503 } });
            checked(port, json!({ "pre": [hook("Fine")], "auth_check": bad }))
        });
        for _ in 0..5 {
            assert_eq!(stage.get("k").status(), 503, "{}", stage.rig.wrapper.dump());
        }
        eventually(said, || stage.logged(said) == 1);
        assert_eq!(stage.logged("stack traceback"), 0);
        assert!(stage.upstream.seen().is_empty());
    }
}

#[test]
fn a_hook_that_is_late_is_ended_at_its_deadline() {
    let hooks = "function Loops() while true do end end";
    let stage = Stage::with("", "instructions = 4294967295", hooks, |port| {
        api(port, json!({ "pre": [{ "name": "Loops", "timeout": "50ms" }] }))
    });
    assert_eq!(stage.rig.get("/api/get").status(), 500);
    eventually("it is told", || stage.logged("the plugin did not answer in time") == 1);
}

#[test]
fn a_reload_takes_up_what_changed_and_tells_what_is_wrong() {
    let stage = Stage::start("function Say() tyk.req.set_header('Say', 'old') end", |port| {
        api(port, json!({ "pre": [hook("Say")] }))
    });
    stage.rig.get("/api/get");
    let write = |name: &str, text: &str| {
        std::fs::write(stage.hooks.path().join(name), text).unwrap();
    };
    write("hooks.lua", "function Say() tyk.req.set_header('Say', 'new') end");
    write("wrong.lua", "function (");
    write("endless.lua", "while true do end");
    write("compiled.lua", "\u{1b}LJ");
    let reload = stage.rig.request("GET", "/tyk/reload").header(SECRET.0, SECRET.1).send();
    assert_eq!(reload.status(), 200, "{}", reload.text());
    eventually("the new one runs", || {
        stage.rig.get("/api/get");
        stage.upstream.seen().last().and_then(|seen| seen.header("say").map(str::to_owned))
            == Some("new".to_owned())
    });
    eventually("the wrong one is told", || stage.logged("wrong.lua:1:") == 1);
    assert_eq!(stage.logged("lua: endless.lua: it ran for more than"), 1);
    assert_eq!(stage.logged("lua: compiled.lua: "), 1);
}

#[test]
fn a_function_that_is_not_there_changes_nothing_and_is_told_once() {
    let stage = Stage::start("", |port| api(port, json!({ "pre": [hook("Nobody")] })));
    assert_eq!(stage.rig.get("/api/get").status(), 200);
    assert_eq!(stage.rig.get("/api/get").status(), 200);
    eventually("it is told", || stage.logged("there is no function `Nobody`") == 1);
}
