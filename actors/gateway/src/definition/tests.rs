//! Definitions: what they come to, and what is wrong with them.

use std::time::Duration;

use http::StatusCode;
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::api::{BodyWanted, Identity, OnError};
use crate::extractor::{Source, With};

fn rules() -> Rules {
    Rules { strict: false, hooks: true, drivers: vec!["grpc"], checking: false }
}

/// The example of the specification, which uses everything once.
fn orders() -> Value {
    json!({
        "name": "orders", "api_id": "o1", "org_id": "53ac07777cbb8c2d53000002", "active": true,
        "use_keyless": false, "custom_plugin_auth_enabled": true,
        "version_data": {"not_versioned": true, "versions": {"Default": {"name": "Default"}}},
        "proxy": {"listen_path": "/orders/", "target_url": "http://127.0.0.1:9001/", "strip_listen_path": true},
        "config_data": {"tier": "gold"},
        "custom_middleware": {
            "driver": "grpc", "pre": [{"name": "Stamp", "raw_body_only": true}], "auth_check": {"name": "Check"},
            "post_key_auth": [{"name": "Who"}], "post": [{"name": "Sign"}], "response": [{"name": "Scrub"}],
            "id_extractor": {"extract_from": "header", "extract_with": "value",
                "extractor_config": {"header_name": "Authorization"}},
        },
    })
}

/// `orders` with another value at a path; null takes it out.
fn with(path: &str, value: Value) -> Value {
    let mut definition = orders();
    let mut at = &mut definition;
    for key in path.split('.') {
        at = match key.parse::<usize>() {
            Ok(number) if at.is_array() => &mut at[number],
            _ => &mut at[key],
        };
    }
    *at = value;
    definition
}

fn api(definition: &Value) -> Arc<Api> {
    let read = read(definition, &rules());
    assert_eq!(read.faults, [], "{definition:#}");
    read.api.unwrap()
}

fn faults(definition: &Value, rules: &Rules) -> Vec<String> {
    read(definition, rules).faults.iter().map(ToString::to_string).collect()
}

#[test]
fn the_example_is_what_it_says() {
    let api = api(&orders());
    assert_eq!((api.name.as_str(), api.id.as_str()), ("orders", "o1"));
    assert_eq!(
        (api.org.as_str(), api.listen_path.as_str()),
        ("53ac07777cbb8c2d53000002", "/orders/")
    );
    assert_eq!(api.upstream.url, "http://127.0.0.1:9001/");
    assert!(api.upstream.strip_listen_path && !api.upstream.preserve_host);
    let auth = api.auth.as_ref().unwrap();
    assert!(auth.custom && !auth.standard && auth.identity == Identity::Custom);
    assert_eq!(api.config_data.as_deref(), Some(r#"{"tier":"gold"}"#));
    assert_eq!(api.bundle_hash, "d41d8cd98f00b204e9800998ecf8427e");
    let hooks = &api.hooks;
    assert_eq!((hooks.pre[0].name.as_str(), hooks.pre[0].body), ("Stamp", BodyWanted::Raw));
    assert_eq!((hooks.post[0].name.as_str(), hooks.post[0].body), ("Sign", BodyWanted::Full));
    assert_eq!(hooks.auth.as_ref().unwrap().name, "Check");
    let extractor = hooks.extractor.as_ref().unwrap();
    assert_eq!(extractor.source, Source::Header(http::header::AUTHORIZATION));
    assert!(matches!(extractor.with, With::Value));
    assert_eq!(read(&orders(), &rules()).unknown, Vec::<String>::new());
}

#[test]
fn the_same_keys_in_toml_are_the_same_api() {
    let toml: Value = toml::from_str(
        r#"
        api_id = "o1"
        use_keyless = true
        proxy = { listen_path = "/o/", target_url = "http://h" }
        [custom_middleware]
        driver = "grpc"
        pre = [{ name = "a", timeout = "1s", on_error = { mode = "closed", status = 503 }, body = "none" }]
        "#,
    )
    .unwrap();
    let api = api(&toml);
    assert_eq!((api.name.as_str(), api.auth.is_none()), ("o1", true));
    let hook = &api.hooks.pre[0];
    assert_eq!(hook.timeout, Some(Duration::from_secs(1)));
    assert_eq!(hook.on_error, OnError::Closed(Some(StatusCode::SERVICE_UNAVAILABLE)));
    assert_eq!(hook.body, BodyWanted::None);
}

#[test]
fn keys_that_mean_nothing_are_named() {
    let mut definition = with("custom_middleware.pre.0", json!({"name": "a", "colour": 1}));
    definition["listen"] = json!(1);
    definition["proxy"]["transport"] = json!({});
    let mut unknown = read(&definition, &rules()).unknown;
    unknown.sort();
    assert_eq!(unknown, ["custom_middleware.pre.0.colour", "listen", "proxy.transport"]);
}

#[test]
fn what_keeps_a_definition_out() {
    let cases = [
        (
            "proxy.listen_path",
            Value::Null,
            "proxy.listen_path: is required, expected a path that begins with `/`, without blanks",
        ),
        (
            "proxy.listen_path",
            json!(""),
            "proxy.listen_path: is required, expected a path that begins with `/`, without blanks",
        ),
        (
            "proxy.listen_path",
            json!("/a b/"),
            "proxy.listen_path: `/a b/` is not a path, expected a path that begins with `/`, without blanks",
        ),
        (
            "proxy.listen_path",
            json!("orders"),
            "proxy.listen_path: `orders` is not a path, expected a path that begins with `/`, without blanks",
        ),
        (
            "proxy.target_url",
            json!("ftp://x"),
            "proxy.target_url: `ftp://x` is not the address of an upstream, expected `http://HOST` or `https://HOST`, with port and path if need be",
        ),
        (
            "proxy.target_url",
            json!("http://u:p@x/"),
            "proxy.target_url: `http://u:p@x/` is not the address of an upstream, expected `http://HOST` or `https://HOST`, with port and path if need be",
        ),
        (
            "proxy.target_url",
            Value::Null,
            "proxy.target_url: is required, expected `http://HOST` or `https://HOST`, with port and path if need be",
        ),
        ("proxy", json!([]), "proxy: a list has the wrong type, expected a table"),
        (
            "api_id",
            json!("a/b"),
            "api_id: `a/b` is not an id, expected letters, digits, `-`, `_` and `.`",
        ),
        ("api_id", json!(3), "api_id: `3` has the wrong type, expected a text"),
        (
            "use_keyless",
            json!("yes"),
            "use_keyless: `yes` has the wrong type, expected `true` or `false`",
        ),
        (
            "custom_middleware.pre",
            json!({}),
            "custom_middleware.pre: a table has the wrong type, expected a list",
        ),
        (
            "custom_middleware.pre.0",
            json!("x"),
            "custom_middleware.pre.0: `x` has the wrong type, expected a table",
        ),
        (
            "custom_middleware.pre.0.body",
            json!("all"),
            "custom_middleware.pre.0.body: `all` is not known, expected `none`, `raw` or `full`",
        ),
        (
            "custom_middleware.pre.0.timeout",
            json!("0s"),
            "custom_middleware.pre.0.timeout: `0s` is not a duration above zero, expected numbers with a unit of `ns`, `us`, `ms`, `s`, `m` or `h`, such as `1m30s`",
        ),
        (
            "custom_middleware.pre.0.timeout",
            json!(5),
            "custom_middleware.pre.0.timeout: `5` has the wrong type, expected a duration such as `500ms`",
        ),
        (
            "custom_middleware.pre.0.on_error",
            json!({"status": 200}),
            "custom_middleware.pre.0.on_error.status: `200` is not the status of an error, expected a number from 400 to 599",
        ),
        (
            "custom_middleware.pre.0.on_error",
            json!({"mode": "open", "status": 503}),
            "custom_middleware.pre.0.on_error.status: a request that goes on has no status of an error, expected none with the mode `open`",
        ),
        (
            "custom_middleware_bundle",
            json!("../b.zip"),
            "custom_middleware_bundle: `../b.zip` leads out of the place of the bundles, expected names below `bundle_base_url`",
        ),
        (
            "base_identity_provided_by",
            json!("jwt_claim"),
            "base_identity_provided_by: `jwt_claim` is not known, expected ``, `custom_auth` or `auth_token`",
        ),
        (
            "auth_configs",
            json!({"authToken": {"disable_header": true}}),
            "auth_configs.authToken.disable_header: the key can stand nowhere, expected a header, a parameter or a cookie",
        ),
        (
            "session_lifetime",
            json!(1.5),
            "session_lifetime: `1.5` has the wrong type, expected a whole number",
        ),
        ("config_data", json!("x"), "config_data: `x` has the wrong type, expected a table"),
        (
            "event_handlers",
            json!({"events": {"AuthFailure": [{"handler_name": "cp_dynamic_handler"}]}}),
            "event_handlers.events.AuthFailure.0: `handler_meta.name` is required, expected the name that the plugin knows it by",
        ),
    ];
    for (path, value, fault) in cases {
        let definition = with(path, value);
        for strict in [false, true] {
            assert_eq!(faults(&definition, &Rules { strict, ..rules() }), [fault]);
        }
        assert!(read(&definition, &rules()).api.is_none(), "{path}");
    }
    assert_eq!(faults(&json!([]), &rules()), ["a list has the wrong type, expected a table"]);
    let openapi = json!({"openapi": "3.0.3", "x-tyk-api-gateway": {}});
    assert_eq!(
        faults(&openapi, &rules()),
        ["openapi: definitions in OpenAPI are not supported, expected a classic definition"]
    );
}

#[test]
fn every_fault_is_told_at_once() {
    let mut definition = with("api_id", json!(""));
    definition["proxy"] = json!({"listen_path": 1});
    definition["custom_middleware"]["auth_check"] = json!({"timeout": "x"});
    assert_eq!(faults(&definition, &rules()).len(), 4, "{:?}", faults(&definition, &rules()));
}

#[test]
fn q6_sources_that_give_all_clients_one_session_are_refused() {
    let extractor = |from: &str, with_what: &str| {
        with(
            "custom_middleware.id_extractor",
            json!({
                "extract_from": from, "extract_with": with_what,
                "extractor_config": {"header_name": "a", "param_name": "a", "regex_expression": "a", "xpath_expression": "//a"},
            }),
        )
    };
    let sources = ["header", "form", "body", "querystring", ""];
    let good = [("value", 2), ("regex", 3), ("xpath", 3)];
    for (kind, number) in good {
        for (at, source) in sources.iter().enumerate() {
            for strict in [false, true] {
                let faults = faults(&extractor(source, kind), &Rules { strict, ..rules() });
                assert_eq!(faults.is_empty(), at < number, "{kind} of {source}: {faults:?}");
            }
        }
    }
}

#[test]
fn t51_extractors_that_are_off() {
    let with_extractor = |key: &str, value: Value| {
        let mut definition = orders();
        definition["custom_middleware"]["id_extractor"][key] = value;
        definition
    };
    assert!(api(&with_extractor("disabled", json!(true))).hooks.extractor.is_none());
    assert!(api(&with_extractor("extract_with", json!(""))).hooks.extractor.is_none());
    assert!(api(&with("custom_plugin_auth_enabled", json!(false))).hooks.extractor.is_none());
    assert!(api(&with("use_keyless", json!(true))).hooks.extractor.is_none());
}

#[test]
fn expressions_of_extractors_are_checked() {
    let of = |kind: &str, config: Value| {
        faults(
            &with(
                "custom_middleware.id_extractor",
                json!({
                    "extract_from": "header", "extract_with": kind, "extractor_config": config,
                }),
            ),
            &rules(),
        )
    };
    let at = "custom_middleware.id_extractor.extractor_config";
    assert_eq!(
        of("value", json!({})),
        [format!("{at}.header_name: is required, expected the name of a header")]
    );
    let bad =
        of("regex", json!({"header_name": "a", "regex_expression": "(", "regex_match_index": -1}));
    assert_eq!(
        bad,
        [
            format!("{at}.regex_expression: `(` is not a regular expression: unclosed group"),
            format!(
                "{at}.regex_match_index: is below zero, expected the number of a match, from 0"
            ),
        ]
    );
    let bad = of("xpath", json!({"header_name": "a", "xpath_expression": "count(//a)"}));
    assert_eq!(
        bad,
        [format!(
            "{at}.xpath_expression: `count(//a)` is not a path that is supported: functions, other axes and prefixes are not supported at byte 0"
        )]
    );
}

#[test]
fn t52_a_driver_that_is_not_there_is_a_warning_or_an_error() {
    let all = "`grpc`, `python`, `lua` or `native`";
    for (driver, what) in [
        ("cobol", "`cobol` is no driver"),
        ("", "there are hooks, and no driver"),
        ("python", "there is no table `gateway.python`"),
    ] {
        let definition = with("custom_middleware.driver", json!(driver));
        let read = super::read(&definition, &rules());
        assert_eq!(read.api.unwrap().hooks.driver, driver);
        let warning = format!(
            "custom_middleware.driver: {what}: requests are answered with 500, expected {all}"
        );
        assert_eq!(read.warnings.iter().map(ToString::to_string).collect::<Vec<_>>(), [warning]);
        let strict = faults(&definition, &Rules { strict: true, ..rules() });
        assert_eq!(strict, [format!("custom_middleware.driver: {what}, expected {all}")]);
    }
    let checking = Rules { checking: true, ..rules() };
    assert_eq!(faults(&with("custom_middleware.driver", json!("lua")), &checking).len(), 0);
    assert_eq!(faults(&with("custom_middleware.driver", json!("cobol")), &checking).len(), 0);
    let no_grpc = Rules { drivers: Vec::new(), ..rules() };
    assert_eq!(super::read(&orders(), &no_grpc).warnings.len(), 1);
}

#[test]
fn t81_without_coprocesses_hooks_are_passed_over() {
    let off = Rules { hooks: false, ..rules() };
    let read = super::read(&orders(), &off);
    let api = read.api.unwrap();
    assert!(api.hooks.is_empty() && read.warnings.len() == 1, "{:?}", read.warnings);
    let auth = api.auth.as_ref().unwrap();
    assert!(auth.standard && !auth.custom, "a key is asked for in the hook's place");
    assert_eq!(faults(&orders(), &Rules { strict: true, ..off }).len(), 1);
}

#[test]
fn q4_a_hook_of_authentication_without_a_name_is_asked_all_the_same() {
    for check in [json!({"disabled": true, "name": "x"}), json!({}), Value::Null] {
        let api = api(&with("custom_middleware.auth_check", check));
        assert_eq!(api.hooks.auth.as_ref().unwrap().name, "");
    }
    let legacy = {
        let mut definition = with("custom_plugin_auth_enabled", Value::Null);
        definition["enable_coprocess_auth"] = json!(true);
        definition
    };
    assert!(api(&legacy).hooks.auth.is_some());
    let keyless = api(&with("use_keyless", json!(true)));
    assert!(keyless.auth.is_none() && keyless.hooks.auth.is_none());
}

#[test]
fn where_the_key_stands_and_whose_session_counts() {
    let mut both = with("use_standard_auth", json!(true));
    both["auth_configs"] = json!({
        "authToken": {"auth_header_name": "AuthToken", "use_param": true, "use_cookie": true, "cookie_name": "k"},
        "coprocess": {"auth_header_name": "X-Other"},
    });
    let auth = api(&both).auth.clone().unwrap();
    assert!(auth.custom && auth.standard && auth.identity == Identity::Custom);
    assert_eq!(auth.key.header.unwrap(), "authtoken");
    assert_eq!(
        (auth.key.param.as_deref(), auth.key.cookie.as_deref()),
        (Some("AuthToken"), Some("k"))
    );
    assert_eq!(auth.custom_key.header.unwrap(), "x-other");
    both["base_identity_provided_by"] = json!("auth_token");
    assert_eq!(api(&both).auth.as_ref().unwrap().identity, Identity::Token);
    both["custom_plugin_auth_enabled"] = json!(false);
    both["auth_configs"] = Value::Null;
    both["auth"] = json!({"auth_header_name": "X-Old"});
    let auth = api(&both).auth.clone().unwrap();
    assert!(auth.standard && !auth.custom);
    assert_eq!(auth.key.header.unwrap(), "x-old");
}

#[test]
fn ways_to_keep_requests_out_are_not_passed_over_silently() {
    let told = |path: &str, value: Value| {
        let definition = with(path, value);
        let warnings = read(&definition, &rules()).warnings.len();
        assert_eq!(faults(&definition, &Rules { strict: true, ..rules() }).len(), warnings);
        warnings
    };
    let version = |keys: Value| told("version_data.versions.Default", keys);
    let extended = |key: &str, rules: Value| version(json!({"extended_paths": {key: rules}}));
    let rule = json!([{"path": "/a"}]);
    for (path, value) in [
        ("enable_ip_whitelisting", json!(true)),
        ("internal", json!(true)),
        ("domain", json!("a.example")),
        ("global_rate_limit", json!({"rate": 10, "per": 1})),
    ] {
        assert_eq!(told(path, value), 1, "{path}");
    }
    for (path, value) in [
        ("internal", json!(false)),
        ("domain", json!("")),
        ("global_rate_limit", json!({"rate": 0, "per": 0})),
        ("global_rate_limit", json!({"rate": 10, "per": 1, "disabled": true})),
    ] {
        assert_eq!(told(path, value), 0, "{path}");
    }
    for key in ["white_list", "black_list", "internal", "size_limits", "validate_json"] {
        assert_eq!(extended(key, rule.clone()), 1, "{key}");
        assert_eq!(extended(key, json!([])), 0, "{key}");
        assert_eq!(extended(key, json!([{"path": "/a", "disabled": true}])), 0, "{key}");
    }
    for (expires, count) in [("2020-01-02 15:04", 1), ("soon", 1), ("3000-01-02 15:04", 0)] {
        assert_eq!(version(json!({ "expires": expires })), count, "{expires}");
    }
    assert_eq!(version(json!({ "expires": "-1" })) + version(json!({ "expires": "" })), 0);
    assert_eq!(version(json!({"global_size_limit": 100})), 1);
    assert_eq!(version(json!({"global_size_limit": 0})), 0);
    assert_eq!(version(json!({"paths": {"black_list": ["/bad"]}})), 1);
    for (is_extended, count) in [(true, 1), (false, 2)] {
        let both = json!({"use_extended_paths": is_extended, "extended_paths": {"black_list": rule},
            "paths": {"black_list": ["/bad"], "white_list": ["/good"]}});
        assert_eq!(version(both), count);
    }
}

#[test]
fn t10_ignored_paths_by_method() {
    let api = api(&with(
        "version_data.versions",
        json!({"v1": {
            "use_extended_paths": true,
            "extended_paths": {"ignored": [
                {"path": "/anything", "method_actions": {"GET": {"action": "no_action", "code": 200}}},
                {"path": "/user/{id}/Public", "ignore_case": true},
                {"path": "/off", "disabled": true},
            ]},
            "paths": {"ignored": ["/old"]},
        }}),
    ));
    assert!(api.ignores("GET", "/anything") && api.ignores("GET", "/anything/else"));
    assert!(!api.ignores("POST", "/anything") && !api.ignores("GET", "/something"));
    assert!(!api.ignores("GET", "/x/anything"), "from the beginning");
    assert!(api.ignores("PUT", "/user/7/public") && !api.ignores("PUT", "/user/7/8/public"));
    assert!(!api.ignores("GET", "/old") && !api.ignores("GET", "/off"));
}

#[test]
fn ignored_paths_are_those_of_the_form_that_counts() {
    let ignores = |uses: Value| {
        let api = api(&with(
            "version_data.versions.Default",
            json!({"use_extended_paths": uses, "extended_paths": {"ignored": [{"path": "/new"}]},
                "paths": {"ignored": ["old"]}}),
        ));
        (api.ignores("GET", "/new"), api.ignores("GET", "/old"))
    };
    assert_eq!(ignores(json!(true)), (true, false));
    assert_eq!(ignores(json!(false)), (false, true));
    assert_eq!(ignores(json!(null)), (true, true));
}

#[test]
fn t56_config_data_that_is_empty_or_off() {
    assert_eq!(api(&with("config_data", json!({}))).config_data, None);
    let mut off = orders();
    off["config_data_disabled"] = json!(true);
    assert_eq!(api(&off).config_data, None);
}

#[test]
fn events_for_plugins_and_headers_of_responses() {
    let mut definition = with(
        "event_handlers",
        json!({"events": {
            "AuthFailure": [
                {"handler_name": "cp_dynamic_handler", "handler_meta": {"name": "my_handler"}},
                {"handler_name": "eh_log_handler"},
            ],
        }}),
    );
    definition["version_data"]["versions"]["Default"]["global_response_headers"] =
        json!({"x-meta": "$tyk_meta.name"});
    let read = read(&definition, &rules());
    let api = read.api.unwrap();
    assert_eq!(api.events, [("AuthFailure".to_owned(), "my_handler".to_owned())]);
    assert_eq!(read.warnings.len(), 1);
    assert_eq!(api.response_headers[0].0, "x-meta");
}

#[test]
fn an_api_that_is_off_is_not_there_and_its_faults_are() {
    let off = read(&with("active", json!(false)), &rules());
    assert!(off.api.is_none() && off.faults.is_empty());
}

fn folder(files: &[(&str, String)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    folder
}

fn told(loaded: &Loaded) -> Vec<String> {
    loaded.problems.iter().map(ToString::to_string).collect()
}

#[test]
fn a_folder_is_read_in_order_and_a_bad_file_takes_no_other_down() {
    let orders = |id: &str, path: &str| {
        let mut definition = with("api_id", json!(id));
        definition["proxy"]["listen_path"] = json!(path);
        definition.to_string()
    };
    let folder = folder(&[
        ("b.json", orders("b", "/b/")),
        ("a.json", orders("a", "/a/")),
        ("c.json", "{\n  \"api_id\": \"c\",\n  \"proxy\": {\"listen_path\": \"c\",\n    \"target_url\": 3}\n}".to_owned()),
        ("d.json", "{\"api_id\": \"d\",\n}".to_owned()),
        ("e.json", orders("b", "/e/")),
        ("f.json", orders("f", "/a/")),
        ("g.json", orders("z", "/z/")),
        ("off.json", with("active", json!(false)).to_string()),
        ("a-oas.json", "{}".to_owned()),
        (".hidden.json", "{".to_owned()),
        ("notes.txt", "{".to_owned()),
    ]);
    let before = [api(&with("api_id", json!("z")))];
    let loaded = load(folder.path(), &rules(), &before);
    let ids: Vec<_> = loaded.apis.iter().map(|api| api.id.as_str()).collect();
    assert_eq!(ids, ["a", "b", "f"]);
    let taken = "`/a/` is the path of the API in a.json already";
    let warned = loaded.warnings.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert!(warned[0].contains(&format!("{taken}: this one is served at `/a/-f`")), "{warned:?}");
    let strict = load(folder.path(), &Rules { strict: true, ..rules() }, &before);
    assert!(told(&strict).iter().any(|told| told.starts_with("f.json:1:") && told.contains(taken)));
    let expected = [
        "c.json:4:19: proxy.target_url: `3` has the wrong type, expected a text",
        "c.json:3:28: proxy.listen_path: `c` is not a path, expected a path that begins with `/`",
        "d.json:2:1: is no JSON: trailing comma",
        "e.json:1:27: api_id: `b` is the id of the API in b.json already, expected an id of its own",
        "g.json:1:27: api_id: `z` is the id of the API in the config already",
    ];
    let told = told(&loaded);
    assert_eq!(told.len(), expected.len(), "{told:#?}");
    for (told, expected) in told.iter().zip(expected) {
        assert!(told.starts_with(expected), "{told}\n{expected}");
    }
}

#[test]
fn a_folder_that_is_not_there_is_a_problem() {
    let loaded = load(Path::new("/nowhere/at/all"), &rules(), &[]);
    assert_eq!(told(&loaded).len(), 1);
    assert!(
        told(&loaded)[0].starts_with("/nowhere/at/all: cannot be read: "),
        "{:?}",
        told(&loaded)
    );
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("a.json"), [0xff, b'{']).unwrap();
    std::fs::create_dir(folder.path().join("b.json")).unwrap();
    let loaded = load(folder.path(), &rules(), &[]);
    assert_eq!(told(&loaded)[0], "a.json: is not UTF-8 at byte 0");
    assert!(told(&loaded)[1].starts_with("b.json: cannot be read: "));
}

proptest! {
    #[test]
    fn any_value_is_read_or_refused(key in "[a-z_.]{0,20}", text in "\\PC{0,12}") {
        for value in [json!(text), json!({ text.clone(): [text.clone()] }), json!(-1.5)] {
            let mut definition = orders();
            definition[key.as_str()] = value.clone();
            read(&definition, &rules());
            for known in ["proxy", "auth", "custom_middleware", "version_data", "event_handlers"] {
                definition[known] = value.clone();
            }
            read(&definition, &rules());
        }
    }
}

#[test]
fn what_would_lead_elsewhere_is_refused_before_any_request() {
    let loops = "loops to other APIs (`tyk://`) are not supported";
    let expected = "`http://HOST` or `https://HOST`, with port and path if need be";
    let definition = with("proxy.target_url", json!("tyk://other/path"));
    let fault = format!("proxy.target_url: {loops}, expected {expected}");
    assert_eq!(faults(&definition, &rules()), [fault]);

    let version = |keys: Value, not_versioned: bool| {
        let data = json!({"not_versioned": not_versioned, "versions": {"Default": keys}});
        faults(&with("version_data", data), &rules())
    };
    let rewrite = |to: &str, disabled: bool| {
        let rules =
            json!([{"path": "a", "match_pattern": "a", "rewrite_to": to, "disabled": disabled}]);
        version(json!({"extended_paths": {"url_rewrites": rules}}), true)
    };
    let at = "version_data.versions.Default";
    let fault = format!("{at}.extended_paths.url_rewrites.0.rewrite_to: {loops}");
    assert_eq!(rewrite("TYK://self/b", false), [fault]);
    assert!(rewrite("tyk://self/b", true).is_empty() && rewrite("/b", false).is_empty());
    let target = json!({"override_target": "http://a/"});
    let fault = format!(
        "{at}.override_target: a target of a version's own is not supported, expected `proxy.target_url`"
    );
    assert_eq!(version(target.clone(), false), [fault]);
    assert!(version(target, true).is_empty(), "without versions it is nobody's");
}

#[test]
fn events_that_never_come_are_a_warning() {
    let warnings = |event: &str| {
        let handlers =
            json!([{"handler_name": "cp_dynamic_handler", "handler_meta": {"name": "h"}}]);
        let read = read(&with("event_handlers", json!({"events": {event: handlers}})), &rules());
        assert!(read.api.is_some(), "{event}");
        read.warnings.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert!(warnings("HostDown").is_empty());
    assert_eq!(
        warnings("VersionFailure"),
        ["event_handlers.events.VersionFailure: never happens here"]
    );
    let elsewhere = "happens to no API: `event_handlers` of `[gateway]` registers it";
    assert_eq!(
        warnings("TokenCreated"),
        [format!("event_handlers.events.TokenCreated: {elsewhere}")]
    );
}
