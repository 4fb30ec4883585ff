//! Further cases of plugin servers, with hooks in Lua.

use serde_json::{Value, json};

use crate::lua::Stage;
use crate::rig::{Rig, api, checked, hook, with};
use crate::upstream::Upstream;

fn pre(port: u16) -> Value {
    api(port, json!({ "pre": [hook("h")] }))
}

/// The hook of the cases T39 to T46: the query says what it answers.
const DRIVEN: &str = "
function h(request, session, spec)
  local params, answer = request.params, request.return_overrides
  answer.response_code = tonumber(params.status)
  answer.headers = { ['X-Foo'] = 'Bar' }
  answer.override_error = params.override == 'true'
  if params.response_body == 'true' then
    answer.response_body = 'foobar'
  else
    answer.response_error = '{\"foo\": \"bar\"}'
  end
  return request, session
end";

#[test]
fn t39_t40_t41_t42_t43_t44_t45_t46_what_a_hook_answers_instead() {
    let stage = Stage::start(DRIVEN, pre);
    let raw = "{\"foo\": \"bar\"}";
    let page = "{\n    \"error\": \"{\\\"foo\\\": \\\"bar\\\"}\"\n}";
    for (query, status, text) in [
        ("status=200", 200, raw),
        ("status=200&response_body=true", 200, "foobar"),
        ("status=400", 400, page),
        ("status=400&response_body=true", 400, "{\n    \"error\": \"foobar\"\n}"),
        ("status=401", 401, page),
        ("status=400&override=true", 400, raw),
        ("status=400&override=true&response_body=true", 400, "foobar"),
        ("status=401&override=true", 401, raw),
    ] {
        let answer = stage.rig.get(&format!("/api/get?{query}"));
        assert_eq!((answer.status(), answer.text().as_str()), (status, text), "{query}");
        assert_eq!(answer.header("X-Foo"), Some("Bar"), "{query}");
    }
    assert!(stage.upstream.seen().is_empty());
}

#[test]
fn t17_t18_config_data_reach_a_response_hook() {
    let hooks = "
function h(request, response, session, metadata, spec)
  response.headers['X-Config-Data'] = tostring(spec.config_data == '{\"key\":\"value\"}')
  return response
end";
    for (disabled, expected) in [(false, "true"), (true, "false")] {
        let stage = Stage::start(hooks, |port| {
            let keys =
                json!({ "config_data": { "key": "value" }, "config_data_disabled": disabled });
            with(api(port, json!({ "response": [hook("h")] })), keys)
        });
        assert_eq!(stage.rig.get("/api/get").header("x-config-data"), Some(expected));
    }
}

#[test]
fn t23_a_hook_names_a_policy() {
    let policies = tempfile::tempdir().unwrap();
    let file = policies.path().join("policies.json");
    let limit = json!({ "rate": 1000, "per": 1, "quota_max": 1, "quota_renewal_rate": 3600 });
    let rights = json!({ "api_name": "api", "api_id": "api1", "versions": ["Default"],
        "limit": limit });
    let policy = json!({ "p1": { "id": "p1", "org_id": "org1", "active": true, "rate": 1000, "per": 1,
        "quota_max": 1, "quota_renewal_rate": 3600, "access_rights": { "api1": rights },
        "partitions": { "per_api": false } } });
    std::fs::write(&file, policy.to_string()).unwrap();
    let hooks = "
function h(request, session, metadata, spec)
  session.apply_policy_id = request.headers.Policy
  metadata.token = 'with-policy'
  return request, session, metadata
end";
    let keys = format!("policies = \"{}\"", file.display());
    let stage =
        Stage::with(&keys, "", hooks, |port| checked(port, json!({ "auth_check": hook("h") })));
    let get = || stage.rig.request("GET", "/api/get").header("Policy", "p1").send().status();
    assert_eq!([get(), get()], [200, 403], "{}", stage.rig.wrapper.dump());
}

/// A hook that lets each of `good` in only once.
fn once(value: &str, good: &str) -> String {
    format!(
        "function h(request, session, metadata, spec)
           local value = {value}
           if value == '{good}' and tyk.get_data('seen') == '' then
             tyk.store_data('seen', 'yes', 60)
             session.rate, session.per = 1000, 1
             session.id_extractor_deadline = os.time() + 60
             metadata.token = value
           end
           return request, session, metadata
         end"
    )
}

/// A gateway with such a hook behind an extractor.
fn remembering(value: &str, good: &str, extractor: Value) -> Stage {
    Stage::start(&once(value, good), |port| {
        checked(port, json!({ "auth_check": hook("h"), "id_extractor": extractor }))
    })
}

#[test]
fn t29_t30_a_session_is_remembered_by_a_header() {
    let extractor = json!({ "extract_from": "header", "extract_with": "value",
        "extractor_config": { "header_name": "Authorization" } });
    let stage = remembering("request.headers.Authorization", "good", extractor);
    let all = ["good", "good", "other"].map(|key| stage.get(key).status());
    assert_eq!(all, [200, 200, 403], "{}", stage.rig.wrapper.dump());
}

#[test]
fn t31_a_session_is_remembered_by_a_form() {
    let extractor = json!({ "extract_from": "form", "extract_with": "value",
        "extractor_config": { "param_name": "auth" } });
    let stage = remembering("request.body:match('auth=(%w+)')", "good", extractor);
    let all = ["auth=good", "auth=good", "auth=bad"].map(|form| {
        let request = stage.rig.request("POST", "/api/post");
        request.body("application/x-www-form-urlencoded", form.as_bytes().to_vec()).send().status()
    });
    assert_eq!(all, [200, 200, 403], "{}", stage.rig.wrapper.dump());
}

#[test]
fn t32_a_session_is_remembered_by_a_part_of_a_header() {
    let extractor = json!({ "extract_from": "header", "extract_with": "regex",
        "extractor_config": { "header_name": "Authorization", "regex_expression": "[0-9]+",
            "regex_match_index": 0 } });
    let stage = remembering("request.headers.Authorization:match('-(%d+)')", "12345", extractor);
    let all = ["prefix-12345", "prefix-12345", "prefix-123456"].map(|key| stage.get(key).status());
    assert_eq!(all, [200, 200, 403], "{}", stage.rig.wrapper.dump());
}

#[test]
fn t53_t54_headers_of_a_response_are_added_removed_and_changed() {
    let hooks = "
function h(request, response, session, metadata, spec)
  response.headers['X-New'] = 'new'
  response.headers['Content-Type'] = nil
  return response
end";
    let stage = Stage::start(hooks, |port| api(port, json!({ "response": [hook("h")] })));
    let answer = stage.rig.get("/api/get");
    assert_eq!(answer.status(), 200, "{}", stage.rig.wrapper.dump());
    assert_eq!(answer.header("x-new"), Some("new"));
    assert_eq!(answer.header("content-type"), None);
}

#[test]
fn t73_t74_t75_the_url_and_the_body_that_count() {
    let hooks = "
function h(request)
  local want = request.params.want
  if want == 'empty' then request.url = '' end
  if want == 'other' then request.url = '/api/other?b=2' end
  if want == 'body' then request.body = 'changed' end
end";
    let stage = Stage::start(hooks, pre);
    assert_eq!(stage.rig.get("/api/get?want=empty").status(), 500);
    assert!(stage.upstream.seen().is_empty());
    assert_eq!(stage.rig.get("/api/get?want=other").status(), 200);
    assert_eq!(stage.upstream.only().target(), "/other?want=other");
    let posted = stage.rig.request("POST", "/api/post?want=body").body("text/plain", "x").send();
    assert_eq!(posted.status(), 200);
    assert_eq!(stage.upstream.seen()[1].body, b"x");
}

#[test]
fn t78_a_session_for_another_api_is_none_for_this() {
    let hooks = "
function h(request, session, metadata, spec)
  session.access_rights = { other = { api_id = 'other' } }
  metadata.token = 'abc'
  return request, session, metadata
end";
    let stage = Stage::start(hooks, |port| checked(port, json!({ "auth_check": hook("h") })));
    let answer = stage.get("abc");
    assert_eq!(answer.status(), 403);
    assert!(answer.text().contains("Access to this API has been disallowed"), "{}", answer.text());
}

#[test]
fn t79_t82_names_of_headers_are_gos_and_xml_is_refused_in_xml() {
    let hooks = "
function h(request)
  assert(request.headers['X-Api-Key'] == '1' and request.headers.Host == 'gateway.test')
  request.return_overrides = { response_code = 403, response_body = 'no <entry>' }
end";
    let stage = Stage::start(hooks, pre);
    let request = stage.rig.request("POST", "/api/post").header("x-api-key", "1");
    let answer = request.body("text/xml", "<a/>").send();
    assert_eq!(answer.status(), 403, "{}", stage.rig.wrapper.dump());
    assert_eq!(
        answer.text(),
        "<?xml version = \"1.0\" encoding = \"UTF-8\"?>\n<error>no &lt;entry&gt;</error>"
    );
}

#[test]
fn t20_a_session_of_a_hook_in_the_older_form_counts_as_well() {
    let hooks = "
function h(request, session, spec)
  session.rate, session.per = 1000, 1
  session.metadata.token = 'three'
  return request, session
end";
    let stage = Stage::start(hooks, |port| checked(port, json!({ "auth_check": hook("h") })));
    assert_eq!(stage.get("any").status(), 200, "{}", stage.rig.wrapper.dump());
    assert_eq!(stage.rig.stored("three").0, 200);
}

/// A hook that returns what it is given.
const ECHO: &str = "function h(request, session) return request, session end";

#[test]
fn t07_t08_a_large_body_passes_where_the_bounds_let_it() {
    let limits = "[gateway.limits]\nmax_buffered_body = \"100MB\"";
    let raw = |port| api(port, json!({ "post": [{ "name": "h", "raw_body_only": true }] }));
    let stage = Stage::with("", &format!("memory = \"512MiB\"\n{limits}"), ECHO, raw);
    let body = vec![b'x'; 20 << 20];
    let answer = stage.rig.request("POST", "/api/post").body("text/plain", body.clone()).send();
    assert_eq!(answer.status(), 200, "{}", stage.rig.wrapper.dump());
    assert_eq!(stage.upstream.only().body, body);
    let stage = Stage::with("", &format!("memory = \"8MiB\"\n{limits}"), ECHO, raw);
    let answer = stage.rig.request("POST", "/api/post").body("text/plain", body).send();
    assert_eq!(answer.status(), 500);
    assert!(answer.text().contains("Middleware error"), "{}", answer.text());
    assert!(stage.upstream.seen().is_empty());
    assert_eq!(stage.rig.get("/api/get").status(), 200, "{}", stage.rig.wrapper.dump());
}

#[test]
fn t52_without_a_table_there_is_no_driver() {
    let upstream = Upstream::start();
    let mut api = pre(upstream.port);
    api["custom_middleware"]["driver"] = "lua".into();
    let rig = Rig::with("", "", &[api]);
    let answer = rig.get("/api/get");
    assert_eq!(answer.status(), 500, "{}", rig.wrapper.dump());
    assert!(answer.text().contains("Internal Server Error"));
    assert!(upstream.seen().is_empty());
    rig.wrapper.wait_for("there is no table `gateway.lua`");
}

#[test]
fn t55_an_empty_list_is_built_from_the_map() {
    let hooks = "
function h(request, response, session, metadata, spec)
  response.multivalue_headers = nil
  response.headers = { ['X-Only'] = 'one' }
end";
    let stage = Stage::start(hooks, |port| api(port, json!({ "response": [hook("h")] })));
    let answer = stage.rig.get("/api/get");
    assert_eq!(answer.status(), 200, "{}", stage.rig.wrapper.dump());
    assert_eq!(answer.header("x-only"), Some("one"));
    assert_eq!(answer.header("content-type"), None);
}

#[test]
fn t56_config_data_that_are_empty_are_not_there() {
    let hooks = "
function h(request, session, spec)
  request.return_overrides = { response_code = 200, response_body = type(spec.config_data) }
end";
    let stage = Stage::start(hooks, |port| with(pre(port), json!({ "config_data": {} })));
    assert_eq!(stage.rig.get("/api/get").text(), "nil", "{}", stage.rig.wrapper.dump());
}

#[test]
fn t81_hooks_that_are_switched_off_are_passed_over() {
    let hooks = "function h() error('it runs') end";
    let stage = Stage::with("enable_coprocess = false", "", hooks, pre);
    let answer = stage.rig.get("/api/get");
    assert_eq!((answer.status(), answer.text().as_str()), (200, "upstream"));
    stage.rig.wrapper.wait_for("enable_coprocess");
    assert_eq!(stage.logged("it runs"), 0);
}
