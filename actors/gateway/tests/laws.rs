//! The laws of objects on random messages and answers.
#![allow(missing_docs)]

#[path = "laws/mod.rs"]
mod laws;

use coproc_gateway::wire::{Header, MiniRequestObject, Object, ResponseObject, ReturnOverrides};
use laws::Parts;
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use prost::Message;

prop_compose! {
    fn parts()(
        url in "/[a-zA-Z0-9%/._~-]{0,12}(\\?([a-c%+;=&]|%[0-9a-fA-F]{2}){0,16})?",
        headers in vec(("[a-zA-Z-]{1,3}", vec(any::<u8>(), 0..6)), 0..6),
        body in option::of(prop_oneof![vec(any::<u8>(), 0..20), Just(b"text".to_vec())]),
        wanted in 0..3_u8,
        strict: bool,
    ) -> Parts {
        Parts { url, headers, body, wanted, strict }
    }
}

fn texts() -> impl Strategy<Value = std::collections::BTreeMap<String, String>> {
    btree_map("[a-zA-Z -]{0,3}|Content-Length|Transfer-Encoding", ".{0,5}", 0..4)
}

prop_compose! {
    fn overrides()(
        response_code in prop_oneof![Just(-1), -2..1200, any::<i32>()],
        response_error in ".{0,4}",
        headers in texts(),
        override_error: bool,
    ) -> ReturnOverrides {
        ReturnOverrides { response_code, response_error, headers, override_error, ..Default::default() }
    }
}

prop_compose! {
    fn answer()(
        url in prop_oneof!["/.{0,8}", ".{0,6}", "/[a-c%?=&+ ]{0,10}", "(http|tyk)://[a-z:@?/]{0,8}"],
        set_headers in texts(),
        delete_headers in vec("[a-zA-Z -]{0,3}", 0..3),
        add_params in texts(),
        delete_params in vec("[a-c]{0,2}", 0..3),
        method in prop_oneof![Just("GET".to_owned()), ".{0,4}".boxed()],
        body in ".{0,4}",
        raw_body in vec(any::<u8>(), 0..6),
        overrides in option::of(overrides()),
        status_code in prop_oneof![100..600, any::<i32>()],
        headers in texts(),
        list in vec((".{0,4}", vec(".{0,4}", 0..3)), 0..4),
        present in any::<[bool; 2]>(),
    ) -> Object {
        let raw_body = bytes::Bytes::from(raw_body);
        let request = MiniRequestObject {
            url, set_headers, delete_headers, add_params, delete_params, method,
            body: body.clone(), raw_body: raw_body.clone(), return_overrides: overrides,
            ..Default::default()
        };
        let list = list.into_iter().map(|(key, values)| Header { key, values });
        let response =
            ResponseObject { status_code, raw_body, body, headers, multivalue_headers: list.collect() };
        Object {
            request: present[0].then_some(request),
            response: present[1].then_some(response),
            ..Default::default()
        }
    }
}

proptest! {
    #[test]
    fn an_echo_changes_nothing(parts in parts()) {
        laws::an_echo_changes_nothing(&parts);
    }

    #[test]
    fn any_answer_is_harmless(parts in parts(), answer in answer()) {
        laws::any_answer_is_harmless(&parts, &answer.encode_to_vec());
    }
}
