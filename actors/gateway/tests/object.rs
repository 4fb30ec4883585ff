//! Objects in and out, case by case: what is pure of the acceptance cases, and each quirk both ways.
#![allow(missing_docs)]

#[path = "laws/mod.rs"]
mod laws;

use bytes::Bytes;
use coproc_gateway::api::{Api, BodyWanted, Hook};
use coproc_gateway::exchange::{Denied, Draft, Reply, Whole};
use coproc_gateway::object::{self, Rules, Unfit, Verdict};
use coproc_gateway::wire::{Header, HookType, MiniRequestObject, Object, ReturnOverrides, Texts};
use http::{HeaderMap, StatusCode};
use laws::{Parts, answered, api, asked, echoed, hook};

const TYK: Rules = Rules { strict: false, verbatim_names: false };
const STRICT: Rules = Rules { strict: true, verbatim_names: false };

fn draft(url: &str, headers: &[(&str, &str)], body: &str) -> Draft {
    let (url, body) = (url.to_owned(), Some(body.as_bytes().to_vec()));
    let parts = Parts { url, headers: Vec::new(), body, wanted: 2, strict: false };
    Draft { headers: map(headers), ..parts.draft().unwrap() }
}

fn map(headers: &[(&str, &str)]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.append(name.parse::<http::HeaderName>().unwrap(), value.parse().unwrap());
    }
    map
}

fn full() -> Hook {
    hook(BodyWanted::Full)
}

/// Runs one hook on a draft.
fn run(
    draft: &mut Draft,
    rules: Rules,
    plugin: impl FnOnce(&mut MiniRequestObject),
) -> Result<Verdict, Unfit> {
    let mut object = echoed(&asked(HookType::Pre, &full(), &api(), draft));
    plugin(object.request.as_mut().unwrap());
    object::apply_request(draft, &full(), object, rules)
}

/// Runs one hook that lets the request go on.
#[track_caller]
fn go_on(draft: &mut Draft, rules: Rules, plugin: impl FnOnce(&mut MiniRequestObject)) {
    let verdict = run(draft, rules, plugin);
    assert!(matches!(verdict, Ok(Verdict::Continue { .. })), "{verdict:?}");
}

fn texts(pairs: &[(&str, &str)]) -> Texts {
    pairs.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect()
}

fn answer(overrides: ReturnOverrides) -> Verdict {
    run(&mut draft("/", &[], ""), TYK, |request| request.return_overrides = Some(overrides))
        .unwrap()
}

#[track_caller]
fn reply(overrides: ReturnOverrides) -> Reply {
    match answer(overrides) {
        Verdict::Reply(reply) => reply,
        other => panic!("no reply: {other:?}"),
    }
}

#[track_caller]
fn refusal(overrides: ReturnOverrides) -> Denied {
    match answer(overrides) {
        Verdict::Refuse(denied) => denied,
        other => panic!("no refusal: {other:?}"),
    }
}

fn code(response_code: i32) -> ReturnOverrides {
    ReturnOverrides { response_code, ..Default::default() }
}

#[test]
fn a_request_is_shown_as_the_contract_says() {
    let headers = [("accept", "one"), ("accept", "two"), ("x-api-key", "1"), ("host", "lies")];
    let mut draft = draft("/get?a=1&a=2&b=%20", &headers, "{}");
    draft.received = "/GET".to_owned();
    let object = asked(HookType::Pre, &full(), &api(), &draft);
    assert_eq!((object.hook_type, object.hook_name.as_str()), (1, "Hook"));
    assert!(object.session.is_none() && object.response.is_none() && object.metadata.is_empty());
    let request = object.request.unwrap();
    let shown = texts(&[("Accept", "one"), ("Host", "example.org:8080"), ("X-Api-Key", "1")]);
    assert_eq!(request.headers, shown);
    let repeated = Header { key: "Accept".into(), values: vec!["one".into(), "two".into()] };
    assert_eq!(request.repeated_headers, [repeated]);
    assert_eq!(
        (request.url.as_str(), request.request_uri.as_str()),
        ("/get?a=1&a=2&b=%20", "/GET")
    );
    assert_eq!(request.params, texts(&[("a", "1"), ("b", " ")]));
    assert_eq!((request.method.as_str(), request.scheme.as_str()), ("POST", "http"));
    assert_eq!((request.body.as_str(), &request.raw_body[..]), ("{}", &b"{}"[..]));
    assert_eq!(request.return_overrides, Some(code(-1)));
}

#[test]
fn t02_bytes_are_no_text() {
    let mut draft = draft("/", &[], "");
    draft.body = Some(Bytes::from_static(b"\xff\xfe"));
    let request = |hook: &Hook| asked(HookType::Pre, hook, &api(), &draft).request.unwrap();
    assert_eq!((request(&full()).body.as_str(), request(&full()).raw_body.len()), ("", 2));
    assert_eq!(request(&hook(BodyWanted::None)).raw_body.len(), 0);
}

#[test]
fn t03_text_is_both() {
    let draft = draft("/", &[], "{}");
    let request = |body| asked(HookType::Pre, &hook(body), &api(), &draft).request.unwrap();
    assert_eq!(request(BodyWanted::Full).body.as_bytes(), &request(BodyWanted::Full).raw_body[..]);
    let raw = request(BodyWanted::Raw);
    assert_eq!((raw.body.as_str(), &raw.raw_body[..]), ("", &b"{}"[..]));
}

#[test]
fn t33_headers_are_set_and_deleted() {
    let mut draft =
        draft("/", &[("Deletethisheader", "x"), ("Both", "old"), ("Both", "older")], "");
    go_on(&mut draft, TYK, |request| {
        request.delete_headers = vec!["DELETETHISHEADER".into(), "both".into()];
        request.set_headers = texts(&[("test", "value"), ("Both", "new")]);
    });
    let left: Vec<_> = draft.headers.iter().map(|(name, value)| (name.as_str(), value)).collect();
    assert_eq!(left.len(), 2);
    assert_eq!(
        (&draft.headers["test"], &draft.headers["both"]),
        (&"value".parse().unwrap(), &"new".parse().unwrap())
    );
}

#[test]
fn t34_parameters_are_added_and_deleted() {
    let mut draft = draft("/get?a=a_value&b=123&remove=3", &[], "");
    go_on(&mut draft, TYK, |request| {
        request.delete_params = vec!["remove".into()];
        request.add_params = texts(&[("customparam", "custom value")]);
    });
    assert_eq!(draft.target.query.as_deref(), Some("a=a_value&b=123&customparam=custom+value"));
    assert_eq!(draft.target.path, "/get");
}

#[test]
fn t36_an_override_answers() {
    let said = ReturnOverrides {
        headers: texts(&[("header", "value")]),
        response_body: "body".into(),
        ..code(200)
    };
    let reply = reply(said);
    assert_eq!((reply.status, &reply.body[..]), (StatusCode::OK, &b"body"[..]));
    assert_eq!(reply.headers["header"], "value");
    assert_eq!(reply.headers["content-type"], "text/plain; charset=utf-8");
}

#[test]
fn t37_an_override_refuses() {
    let said = ReturnOverrides { response_error: "custom error message".into(), ..code(401) };
    let denied = refusal(said);
    assert_eq!((denied.status.as_u16(), denied.message.as_str()), (401, "custom error message"));
    assert_eq!(refusal(code(403)).message, "Key not authorised");
}

/// The answers of cases 39 to 46 all have this header.
fn foo_bar(response_code: i32, override_error: bool, body: bool) -> ReturnOverrides {
    ReturnOverrides {
        headers: texts(&[("X-Foo", "Bar")]),
        response_error: if body { String::new() } else { "{\"foo\": \"bar\"}".to_owned() },
        response_body: if body { "foobar".to_owned() } else { String::new() },
        override_error,
        ..code(response_code)
    }
}

#[test]
fn t39_t40_an_answer_has_its_error_or_its_body() {
    for (body, text) in [(false, "{\"foo\": \"bar\"}"), (true, "foobar")] {
        let reply = reply(foo_bar(200, false, body));
        assert_eq!((reply.status.as_u16(), &reply.body[..]), (200, text.as_bytes()));
        assert_eq!(reply.headers["x-foo"], "Bar");
    }
    let both = ReturnOverrides { response_body: "not this".into(), ..foo_bar(200, false, false) };
    assert_eq!(reply(both).body, "{\"foo\": \"bar\"}");
}

#[test]
fn t41_t43_errors_go_to_the_page() {
    for (status, body, text) in [
        (400, false, "{\"foo\": \"bar\"}"),
        (400, true, "foobar"),
        (401, false, "{\"foo\": \"bar\"}"),
    ] {
        let denied = refusal(foo_bar(status, false, body));
        assert_eq!((i32::from(denied.status.as_u16()), denied.message.as_str()), (status, text));
        assert_eq!(denied.headers["x-foo"], "Bar");
    }
}

#[test]
fn t44_t46_overridden_errors_are_answers() {
    for (status, body, text) in [
        (400, false, "{\"foo\": \"bar\"}"),
        (400, true, "foobar"),
        (401, false, "{\"foo\": \"bar\"}"),
    ] {
        let reply = reply(foo_bar(status, true, body));
        assert_eq!((i32::from(reply.status.as_u16()), &reply.body[..]), (status, text.as_bytes()));
    }
}

#[test]
fn t76_a_redirect_is_an_answer() {
    let said = ReturnOverrides { headers: texts(&[("Location", "/there")]), ..code(302) };
    let reply = reply(said);
    assert_eq!((reply.status.as_u16(), reply.body.len()), (302, 0));
    assert_eq!(reply.headers["location"], "/there");
    assert!(!reply.headers.contains_key("content-type"), "nothing is sniffed in nothing");
}

#[test]
fn no_override_means_to_go_on() {
    for overrides in [None, Some(code(0)), Some(code(-7))] {
        let mut draft = draft("/", &[], "");
        go_on(&mut draft, TYK, |request| request.return_overrides = overrides);
    }
}

#[test]
fn a_status_that_is_none_is_an_error() {
    for wrong in [1, 99, 100, 101, 1000, i32::MAX] {
        match answer(code(wrong)) {
            Verdict::Unanswerable(Unfit(why)) => assert_eq!(why, format!("{wrong} is no status")),
            other => panic!("{wrong}: {other:?}"),
        }
    }
}

#[test]
fn t53_the_map_is_followed_by_the_list() {
    let apply = |plugin: fn(&mut Texts)| {
        let mut whole = whole(&[("a", "1"), ("b", "2")], "");
        respond(&mut whole, TYK, |object| plugin(&mut object.response.as_mut().unwrap().headers));
        sorted(&whole.headers)
    };
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let added = apply(|headers| drop(headers.insert("C".into(), "3".into())));
    assert_eq!(added, [pair("a", "1"), pair("b", "2"), pair("c", "3")]);
    assert_eq!(apply(|headers| drop(headers.remove("A"))), [pair("b", "2")]);
    let updated = apply(|headers| drop(headers.insert("A".into(), "new".into())));
    assert_eq!(updated, [pair("a", "new"), pair("b", "2")]);
}

#[test]
fn t54_the_first_of_several_values_is_replaced() {
    let cookies = [("set-cookie", "a=1"), ("set-cookie", "b=2"), ("set-cookie", "c=3")];
    let mut whole = whole(&cookies, "");
    respond(&mut whole, TYK, |object| {
        let headers = &mut object.response.as_mut().unwrap().headers;
        headers.insert("Set-Cookie".into(), "a=new".into());
    });
    let values: Vec<_> = whole.headers.get_all("set-cookie").iter().collect();
    assert_eq!(values, ["a=new", "b=2", "c=3"]);
}

#[test]
fn t55_without_a_list_the_map_counts() {
    let mut whole = whole(&[("old", "1")], "");
    respond(&mut whole, TYK, |object| {
        let response = object.response.as_mut().unwrap();
        response.multivalue_headers.clear();
        response.headers = texts(&[("X-New", "2")]);
    });
    assert_eq!(sorted(&whole.headers), [("x-new".to_owned(), "2".to_owned())]);
}

#[test]
fn q8_a_plugin_that_does_not_know_the_list_loses_nothing() {
    let headers = [("a", "1"), ("set-cookie", "b=2"), ("set-cookie", "c=3")];
    let mut whole = whole(&headers, "");
    let before = sorted(&whole.headers);
    respond(&mut whole, TYK, |object| {
        object.response.as_mut().unwrap().multivalue_headers.clear();
    });
    assert_eq!(sorted(&whole.headers), before);
}

#[test]
fn a_list_alone_may_be_edited_too() {
    let mut whole = whole(&[("a", "1"), ("b", "2")], "");
    respond(&mut whole, TYK, |object| {
        let header = Header { key: "x-list".into(), values: vec!["1".into(), "2\r\n3".into()] };
        object.response.as_mut().unwrap().multivalue_headers = vec![header];
    });
    let values: Vec<_> = whole.headers.get_all("x-list").iter().collect();
    assert_eq!(whole.headers.len(), 2);
    assert_eq!(values, ["1", "2  3"]);
}

#[test]
fn t56_config_data_is_there_if_it_is_there() {
    let spec = |api: &Api| asked(HookType::Pre, &full(), api, &draft("/", &[], "")).spec;
    let mut api = api();
    let expected = texts(&[
        ("APIID", "o1"),
        ("ListenPath", "/orders/"),
        ("Name", "orders"),
        ("OrgID", "org"),
        ("TargetURL", "http://127.0.0.1:9001/"),
        ("bundle_hash", "d41d8cd98f00b204e9800998ecf8427e"),
    ]);
    assert_eq!(spec(&api), expected);
    api.config_data = Some("{\"key\":\"value\"}".to_owned());
    assert_eq!(spec(&api)["config_data"], "{\"key\":\"value\"}");
}

#[test]
fn t06_a_response_gets_another_body() {
    let mut whole = whole(&[("content-length", "3"), ("a", "1")], "old");
    let object = respond(&mut whole, TYK, |object| {
        let response = object.response.as_mut().unwrap();
        response.raw_body = Bytes::from_static(b"newbody");
        response.status_code = 201;
    });
    assert_eq!((whole.status.as_u16(), &whole.body[..]), (201, &b"newbody"[..]));
    assert_eq!(
        sorted(&whole.headers),
        [("a".to_owned(), "1".to_owned()), ("content-length".to_owned(), "7".to_owned())]
    );
    assert!(object.session.is_some(), "response hooks always have a session");
    assert_eq!(object.request.unwrap().raw_body.len(), 0);
    let response = object.response.unwrap();
    assert_eq!((response.body.as_str(), &response.raw_body[..]), ("old", &b"old"[..]));
}

#[test]
fn a_response_without_a_body_keeps_what_is_said_of_it() {
    // As the answer to HEAD has it.
    let mut whole = whole(&[("content-length", "1000")], "");
    respond(&mut whole, TYK, |_| {});
    assert_eq!(whole.headers["content-length"], "1000");
}

#[test]
fn bytes_that_are_no_text_survive_a_response_hook() {
    let mut whole = whole(&[("a", "1")], "");
    whole.headers.append("a", http::HeaderValue::from_bytes(b"caf\xe9").unwrap());
    respond(&mut whole, TYK, |object| {
        let response = object.response.as_mut().unwrap();
        assert_eq!(response.multivalue_headers[0].values[1], "caf\u{e9}");
    });
    assert_eq!(whole.headers.get_all("a").iter().nth(1).unwrap().as_bytes(), b"caf\xe9");
}

#[test]
fn q14_a_response_has_a_status() {
    for wrong in [0, -1, 99, 100, 1000] {
        let mut whole = whole(&[("a", "1")], "");
        let mut object = answered(&full(), &api(), &draft("/", &[], ""), &whole);
        object.response.as_mut().unwrap().status_code = wrong;
        let Unfit(why) = object::apply_response(&mut whole, &full(), object, TYK).unwrap_err();
        assert_eq!((why, whole.headers.len()), (format!("{wrong} is no status"), 1));
    }
}

#[test]
fn q7_what_is_missing_in_an_answer_is_an_error_of_the_plugin() {
    let mut request = draft("/", &[], "");
    let object = Object::default();
    let unfit = object::apply_request(&mut request, &full(), object.clone(), TYK).unwrap_err();
    assert_eq!(unfit.to_string(), "it has no request");
    let unfit = object::apply_response(&mut whole(&[], ""), &full(), object, TYK).unwrap_err();
    assert_eq!(unfit.to_string(), "it has no response");
}

#[test]
fn t73_a_url_is_mandatory() {
    for url in ["", "a/b", "?a=1", "://x", "/%zz"] {
        let mut request = draft("/get?a=1", &[("a", "1")], "");
        let before = request.clone();
        let verdict = run(&mut request, TYK, |object| {
            object.url = url.to_owned();
            object.delete_headers = vec!["a".into()];
        });
        assert!(verdict.is_err(), "{url}");
        assert_eq!((request.target, request.headers), (before.target, before.headers));
    }
}

#[test]
fn t74_q5_a_query_within_the_url_does_not_count() {
    let mut request = draft("/get?a=1", &[], "");
    go_on(&mut request, TYK, |object| object.url = "/other?b=2".to_owned());
    assert_eq!(
        (request.target.path.as_str(), request.target.query.as_deref()),
        ("/other", Some("a=1"))
    );

    let mut request = draft("/get?a=1", &[], "");
    go_on(&mut request, STRICT, |object| object.url = "/other?b=2".to_owned());
    assert_eq!(request.target.query.as_deref(), Some("b=2"));

    let mut request = draft("/get?a=1", &[], "");
    go_on(&mut request, STRICT, |object| {
        object.url = "/other?b=2".to_owned();
        object.add_params = texts(&[("c", "3")]);
    });
    assert_eq!(request.target.query.as_deref(), Some("a=1&c=3"));
}

#[test]
fn a_query_is_only_rewritten_where_it_differs() {
    for (url, query) in
        [("/x?b=%31&a=2", "b=%31&a=2"), ("/x?a=2&b=1", "a=2&b=1"), ("/x", "a=2&b=1")]
    {
        let mut request = draft("/get?b=1&a=2", &[], "");
        go_on(&mut request, TYK, |object| object.url = url.to_owned());
        assert_eq!(request.target.query.as_deref(), Some(query), "{url}");
    }
    let mut request = draft("/get?b=1", &[], "");
    go_on(&mut request, TYK, |object| object.delete_params = vec!["b".into()]);
    assert_eq!(request.target.query, None);
}

#[test]
fn t75_q1_a_body_that_is_text_does_not_count() {
    let mut request = draft("/", &[("content-length", "1")], "x");
    go_on(&mut request, TYK, |object| object.body = "other".to_owned());
    assert_eq!(request.body.as_deref(), Some(&b"x"[..]));

    let mut request = draft("/", &[], "x");
    go_on(&mut request, STRICT, |object| object.body = "other".to_owned());
    assert_eq!(request.body.as_deref(), Some(&b"other"[..]));
    assert_eq!(request.headers["content-length"], "5");

    let mut request = draft("/", &[], "x");
    go_on(&mut request, STRICT, |object| {
        object.body = "other".to_owned();
        object.raw_body = Bytes::from_static(b"raw");
    });
    assert_eq!(request.body.as_deref(), Some(&b"raw"[..]));

    for (rules, body) in [(TYK, "x"), (STRICT, "other")] {
        let mut whole = whole(&[], "x");
        respond(&mut whole, rules, |object| {
            object.response.as_mut().unwrap().body = "other".to_owned();
        });
        assert_eq!(&whole.body[..], body.as_bytes());
    }
}

#[test]
fn a_chunked_request_gets_a_length() {
    let mut request = draft("/", &[], "x");
    request.headers.insert("transfer-encoding", "chunked".parse().unwrap());
    go_on(&mut request, TYK, |object| object.raw_body = Bytes::new());
    assert_eq!(request.headers.len(), 1);
    assert_eq!(request.headers["content-length"], "0");
}

#[test]
fn a_hook_without_a_body_does_not_empty_it() {
    for body in [None, Some(Bytes::from_static(b"x"))] {
        let hook = hook(BodyWanted::None);
        let mut request =
            Draft { body: body.clone(), ..draft("/", &[("content-length", "1")], "") };
        let mut object = asked(HookType::Pre, &hook, &api(), &request);
        object::apply_request(&mut request, &hook, object.clone(), STRICT).unwrap();
        assert_eq!(
            (&request.body, &request.headers["content-length"]),
            (&body, &"1".parse().unwrap())
        );
        object.request.as_mut().unwrap().raw_body = Bytes::from_static(b"new");
        object::apply_request(&mut request, &hook, object, TYK).unwrap();
        assert_eq!(request.body.as_deref(), Some(&b"new"[..]));
        assert_eq!(request.headers["content-length"], "3");
    }
}

#[test]
fn how_a_message_is_cut_is_not_for_plugins() {
    let mut request = draft("/", &[("content-length", "1")], "x");
    go_on(&mut request, TYK, |object| {
        assert_eq!(object.headers["Content-Length"], "1");
        object.delete_headers = vec!["content-length".into()];
        object.set_headers =
            texts(&[("Transfer-Encoding", "chunked"), ("Host", "evil"), ("Content-Length", "99")]);
    });
    assert_eq!(
        (request.headers.len(), &request.headers["content-length"]),
        (1, &"1".parse().unwrap())
    );
    assert_eq!(request.authority, "example.org:8080");
}

#[test]
fn a_method_is_taken_as_it_is() {
    for (text, method) in [("DELETE", "DELETE"), ("brew", "brew"), ("", "GET")] {
        let mut request = draft("/", &[], "");
        go_on(&mut request, TYK, |object| object.method = text.to_owned());
        assert_eq!(request.method.as_str(), method);
    }
}

#[test]
fn what_no_request_can_have_is_an_error_unless_the_hook_answers() {
    type Spoil = fn(&mut MiniRequestObject);
    let spoil: [(&str, Spoil); 3] = [
        ("its method is none", |object| object.method = "no method".to_owned()),
        ("the header `no name` cannot be sent", |object| {
            object.set_headers = texts(&[("no name", "x")]);
        }),
        ("the header `name` cannot be sent", |object| {
            object.set_headers = texts(&[("name", "line\nbreak")]);
        }),
    ];
    for (why, spoil) in spoil {
        let mut request = draft("/", &[], "");
        assert_eq!(run(&mut request, TYK, spoil).unwrap_err().to_string(), why);
        let verdict = run(&mut request, TYK, |object| {
            spoil(object);
            object.return_overrides = Some(code(204));
        });
        assert!(matches!(verdict, Ok(Verdict::Reply(_))));
    }
}

#[test]
fn what_an_auth_hook_returns_is_handed_on() {
    let mut request = draft("/", &[], "");
    let mut object = asked(HookType::CustomKeyCheck, &full(), &api(), &request);
    object.metadata = texts(&[("token", "t")]);
    object.session = Some(Default::default());
    match object::apply_request(&mut request, &full(), object, TYK) {
        Ok(Verdict::Continue { session: Some(_), metadata }) => assert_eq!(metadata["token"], "t"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn t80_a_hook_sees_what_the_one_before_did() {
    let mut request = draft("/", &[], "");
    go_on(&mut request, TYK, |object| object.set_headers = texts(&[("x-first", "1")]));
    go_on(&mut request, TYK, |object| assert_eq!(object.headers["X-First"], "1"));
}

fn whole(headers: &[(&str, &str)], body: &str) -> Whole {
    Whole { status: StatusCode::OK, headers: map(headers), body: body.to_owned().into() }
}

/// Runs a response hook; the answer is what it was sent.
fn respond(whole: &mut Whole, rules: Rules, plugin: impl FnOnce(&mut Object)) -> Object {
    let sent = answered(&full(), &api(), &draft("/", &[], ""), whole);
    let mut object = echoed(&sent);
    plugin(&mut object);
    object::apply_response(whole, &full(), object, rules).unwrap();
    sent
}

fn sorted(headers: &HeaderMap) -> Vec<(String, String)> {
    let text = |value: &http::HeaderValue| value.to_str().unwrap().to_owned();
    let mut all: Vec<_> =
        headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect();
    all.sort();
    all
}
