//! Cases of authentication, extractors and sessions, with hooks in Lua.

use serde_json::{Value, json};

use crate::auth::{asked_twice, extractor, nameless, now};
use crate::extracting::{self, OF_MATCH, OF_TESTKEY, form, get, is_missing, is_stored};
use crate::lua::Stage;
use crate::rig::{api, checked, hook, with};
use crate::support::eventually;

/// A hook of no name would be called through this; it counts what is asked for instead.
const COUNTS: &str = "
calls = 0
function h(request, session, metadata, spec)
  calls = calls + 1
  tyk.log('call ' .. calls)
  session.rate, session.per = 100, 1
  metadata.token = 'some-token'
  return request, session, metadata
end";

#[test]
fn t09_t10_t11_t12_a_hook_without_a_name_lets_nobody_in() {
    let stage = Stage::start("", nameless);
    let something = || stage.rig.request("GET", "/api/something");
    is_missing(&something().send());
    assert_eq!(something().header("Authorization", "bad").send().status(), 403);
    let anything = || stage.rig.request("GET", "/api/anything");
    assert_eq!(anything().send().status(), 200);
    assert_eq!(anything().header("Authorization", "bad").send().status(), 200);
}

#[test]
fn t13_t14_a_session_is_stored_under_the_extracted_id_or_its_token() {
    let hooks = format!(
        "function h(request, session, metadata, spec)
           session.rate, session.per = 100, 1
           session.id_extractor_deadline = {}
           metadata.token = 'abc'
           return request, session, metadata
         end",
        now() + 60
    );
    for (disabled, id) in [(false, "org1900150983cd24fb0d6963f7d28e17f72"), (true, "abc")] {
        let mut extractor = extractor();
        extractor["disabled"] = disabled.into();
        let stage = Stage::start(&hooks, |port| {
            checked(port, json!({ "auth_check": hook("h"), "id_extractor": extractor }))
        });
        assert_eq!(stage.get("abc").status(), 200, "{}", stage.rig.wrapper.dump());
        let (status, session) = stage.rig.stored(id);
        assert_eq!((status, &session["rate"]), (200, &json!(100.0)));
    }
}

#[test]
fn t15_t16_the_session_of_the_hook_or_that_of_the_key_counts() {
    let hooks = "
function h(request, session, metadata, spec)
  session.rate, session.per = 100, 1
  metadata.token, metadata.sessionMetaKey = 'abc', 'fromPlugin'
  return request, session, metadata
end";
    for (identity, who) in [("custom_auth", "fromPlugin"), ("auth_token", "fromKey")] {
        let stage = Stage::start(hooks, |port| asked_twice(port, identity));
        let metadata = json!({ "sessionMetaKey": "fromKey" });
        stage.rig.key("k-0015", &json!({ "rate": 200.0, "per": 1.0, "meta_data": metadata }));
        let request = stage.rig.request("GET", "/api/get").header("Authorization", "abc");
        let answer = request.header("AuthToken", "k-0015").send();
        assert_eq!(answer.status(), 200, "{}", stage.rig.wrapper.dump());
        assert_eq!(answer.header("x-who"), Some(who));
        if identity == "custom_auth" {
            assert_eq!(stage.rig.stored("abc").1["rate"], 100.0);
        }
        assert_eq!(stage.rig.stored("k-0015").1["rate"], 200.0);
        assert_eq!(stage.get("abc").status(), 401);
    }
}

/// A gateway whose hook lets everybody in, behind an extractor.
fn behind(extractor: Value) -> Stage {
    Stage::start(COUNTS, |port| {
        checked(port, json!({ "auth_check": hook("h"), "id_extractor": extractor }))
    })
}

#[test]
fn t47_t48_a_value_of_a_header_or_a_form_makes_the_id() {
    let stage = behind(extractor());
    is_missing(&get(&stage.rig, None));
    assert_eq!(get(&stage.rig, Some("testkey")).status(), 200, "{}", stage.rig.wrapper.dump());
    is_stored(&stage.rig, OF_TESTKEY);
    let stage = behind(json!({ "extract_from": "form", "extract_with": "value",
        "extractor_config": { "param_name": "auth" } }));
    is_missing(&form(&stage.rig, "other=testkey"));
    assert_eq!(form(&stage.rig, "a=1&auth=testkey").status(), 200);
    is_stored(&stage.rig, OF_TESTKEY);
    assert_eq!(stage.upstream.last().text(), "a=1&auth=testkey");
}

#[test]
fn t49_the_whole_match_counts_wherever_it_is() {
    for from in ["header", "body", "form"] {
        let stage = behind(extracting::regex(from));
        let ask = |value: &str| match from {
            "header" => get(&stage.rig, Some(value)),
            "form" => form(&stage.rig, &format!("auth={value}")),
            _ => stage.rig.request("POST", "/api/post").body("text/plain", value.to_owned()).send(),
        };
        is_missing(&ask("testkey123"));
        assert_eq!(ask("prefix-testkey123").status(), 200, "{}", stage.rig.wrapper.dump());
        is_stored(&stage.rig, OF_MATCH);
    }
}

#[test]
fn t50_the_text_of_a_node_wherever_it_is() {
    for from in ["header", "body", "form"] {
        let stage = behind(json!({ "extract_from": from, "extract_with": "xpath",
            "extractor_config": { "xpath_expression": "//object/key",
                "header_name": "Authorization", "param_name": "auth" } }));
        let ask = |key: &str| {
            let xml = format!("<object><key>{key}</key></object>");
            match from {
                "header" => get(&stage.rig, Some(&xml)),
                "form" => form(&stage.rig, &format!("auth={xml}")),
                _ => stage.rig.request("POST", "/api/post").body("text/xml", xml).send(),
            }
        };
        is_missing(&ask(""));
        assert_eq!(ask("testkey").status(), 200, "{from}: {}", stage.rig.wrapper.dump());
        is_stored(&stage.rig, OF_TESTKEY);
    }
}

#[test]
fn t51_an_extractor_that_is_off_extracts_nothing() {
    let stage = behind(with(extractor(), json!({ "disabled": true })));
    for key in [None, Some("testkey"), Some("testkey")] {
        assert_eq!(get(&stage.rig, key).status(), 200, "{}", stage.rig.wrapper.dump());
    }
    is_stored(&stage.rig, "some-token");
    assert_eq!(stage.logged("call "), 3, "{}", stage.rig.wrapper.dump());
    let stage = Stage::start(COUNTS, |port| {
        api(port, json!({ "auth_check": hook("h"), "id_extractor": extractor() }))
    });
    assert_eq!(get(&stage.rig, None).status(), 200);
    assert_eq!(stage.logged("call "), 0);
    assert_eq!(stage.rig.coproc(&["keys", "list"]), "");
}

#[test]
fn t57_what_is_to_happen_at_the_end_of_a_session_is_kept() {
    for (action, grace) in [("delete", 0), ("retain", -1), ("retain", 200), ("", 0)] {
        let hooks = format!(
            "function h(request, session, metadata, spec)
               session.rate, session.per = 100, 1
               session.post_expiry_action, session.post_expiry_grace_period = '{action}', {grace}
               metadata.token = 'abc'
               return request, session, metadata
             end"
        );
        let stage = Stage::start(&hooks, |port| checked(port, json!({ "auth_check": hook("h") })));
        assert_eq!(stage.get("abc").status(), 200, "{}", stage.rig.wrapper.dump());
        let stored = stage.rig.stored("abc").1;
        assert_eq!(stored["post_expiry_action"], action);
        assert_eq!(stored["post_expiry_grace_period"], grace);
    }
}

#[test]
fn t38_a_handler_is_told_what_happened_where_to_whom_and_with_which_key() {
    let hooks = "
function h(request, session, metadata, spec) end
function my_handler(event, spec)
  local m = event.Meta
  assert(type(m.OriginatingRequest) == 'string')
  tyk.log(table.concat({ event.Type, m.Message, m.Path, m.Origin, m.Key, spec.APIID }, '|'))
end";
    let stage = Stage::start(hooks, |port| {
        let handler = json!({ "handler_name": "cp_dynamic_handler",
            "handler_meta": { "name": "my_handler" } });
        let events = json!({ "events": { "AuthFailure": [handler] } });
        let mut api = checked(port, json!({ "auth_check": hook("h") }));
        api["proxy"]["listen_path"] = "/".into();
        with(api, json!({ "event_handlers": events }))
    });
    assert_eq!(stage.rig.request("GET", "/").header("Authorization", "abc").send().status(), 403);
    let line = "AuthFailure|Auth Failure|/|127.0.0.1|abc|api1";
    eventually("the handler hears", || stage.logged(line) == 1);
}
