//! The schema for plugins and the gateway's own messages are one: field by field, and byte by byte.
#![allow(missing_docs)]

use std::collections::BTreeMap;

use bytes::Bytes;
use coproc_gateway::wire::{
    AccessDefinition, AccessSpec, Header, HookType, MiniRequestObject, Object, ResponseObject,
    ReturnOverrides, SessionState,
};
use prost::Message;
use regex::Regex;

/// A field as both sides write it down: its type, and its label if it has one.
type Fields = BTreeMap<i32, (String, String)>;

/// What `proto/coprocess.proto` says, by message.
fn in_schema() -> BTreeMap<String, Fields> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/proto");
    let set = protox::compile(["coprocess.proto"], [folder]).unwrap();
    let file = &set.file[0];
    assert_eq!(file.package(), "coprocess");
    let kind = |field: &prost_types::FieldDescriptorProto| {
        let name = field.r#type().as_str_name().trim_start_matches("TYPE_").to_lowercase();
        match name.as_str() {
            "enum" => format!("enumeration {}", field.type_name().rsplit('.').next().unwrap()),
            "message" => format!("message {}", field.type_name().rsplit('.').next().unwrap()),
            _ => name,
        }
    };
    let mut messages = BTreeMap::new();
    for message in &file.message_type {
        let mut fields = Fields::new();
        for field in &message.field {
            let entry = message.nested_type.iter().find(|nested| {
                nested.options.as_ref().is_some_and(|options| options.map_entry())
                    && field.type_name().ends_with(&format!(".{}", nested.name()))
            });
            let form = match entry {
                Some(entry) => {
                    format!("map {}, {}", kind(&entry.field[0]), kind(&entry.field[1]))
                }
                None if field.label() == prost_types::field_descriptor_proto::Label::Repeated => {
                    format!("repeated {}", kind(field))
                }
                None => kind(field),
            };
            fields.insert(field.number(), (field.name().to_owned(), form));
        }
        messages.insert(message.name().to_owned(), fields);
    }
    messages
}

/// What `src/wire.rs` says, by message, read from its text.
fn in_source() -> BTreeMap<String, Fields> {
    let source = include_str!("../src/wire.rs");
    let message = Regex::new(
        r"(?s)prost::Message\)\]\s*(?:#\[allow\(.*?\)\]\s*)?pub struct (\w+) \{(.*?)\n?\}\n",
    );
    let field = Regex::new(r#"(?s)#\[prost\((.*?), tag = "(\d+)"\)\]\s*pub (\w+): (.*?),(?:\n|$)"#);
    let inner = Regex::new(r"^(?:Option|Vec)<(.*)>$").unwrap();
    let (message, field) = (message.unwrap(), field.unwrap());
    let mut messages = BTreeMap::new();
    for message in message.captures_iter(source) {
        let mut fields = Fields::new();
        for field in field.captures_iter(&message[2]) {
            let kind = inner.replace(&field[4], "$1").into_owned();
            let form = match &field[1] {
                "message, optional" => format!("message {}", named(&kind)),
                "message, optional, boxed" => {
                    let kind = kind.trim_start_matches("Box<").trim_end_matches('>');
                    format!("message {}", named(kind))
                }
                "message, repeated" => format!("repeated message {}", named(&kind)),
                r#"btree_map = "string, string""# => "map string, string".to_owned(),
                r#"btree_map = "string, message""# => {
                    let value = kind.trim_end_matches('>').rsplit(' ').next().unwrap();
                    format!("map string, message {value}")
                }
                r#"bytes = "bytes""# => "bytes".to_owned(),
                other => match (other.strip_suffix(", repeated"), other.split_once(" = ")) {
                    (Some(scalar), _) => format!("repeated {scalar}"),
                    (None, Some(("enumeration", of))) => {
                        format!("enumeration {}", of.trim_matches('"'))
                    }
                    _ => other.to_owned(),
                },
            };
            fields.insert(field[2].parse().unwrap(), (field[3].to_owned(), form));
        }
        messages.insert(named(&message[1]), fields);
    }
    messages
}

/// Rust's name of a message as the schema writes it.
fn named(kind: &str) -> String {
    kind.replace("JwtData", "JWTData")
}

#[test]
fn both_have_the_same_fields() {
    let (schema, source) = (in_schema(), in_source());
    assert_eq!(source["SessionState"].len(), 34);
    for (message, fields) in &schema {
        assert_eq!(source.get(message), Some(fields), "{message}");
    }
    assert_eq!(source.keys().collect::<Vec<_>>(), schema.keys().collect::<Vec<_>>());
}

#[test]
fn both_have_the_same_hooks_and_methods() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/proto");
    let set = protox::compile(["coprocess.proto"], [folder]).unwrap();
    let values = &set.file[0].enum_type[0].value;
    assert_eq!(values.len(), 6);
    for value in values {
        let known = HookType::try_from(value.number()).unwrap();
        assert_eq!(format!("{known:?}"), value.name());
    }
    let methods: Vec<_> = set.file[0].service[0]
        .method
        .iter()
        .map(|method| format!("{}/{}", set.file[0].service[0].name(), method.name()))
        .collect();
    assert_eq!(methods, ["Dispatcher/Dispatch", "Dispatcher/DispatchEvent"]);
}

/// The bytes of a message, from its own text form: field numbers and wire types by hand.
fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn bytes_are_as_every_encoder_writes_them() {
    let object = Object {
        hook_type: HookType::Pre.into(),
        hook_name: "Stamp".into(),
        request: Some(MiniRequestObject {
            headers: [("Host".into(), "a".into())].into(),
            delete_headers: vec!["X".into()],
            url: "/".into(),
            return_overrides: Some(ReturnOverrides { response_code: -1, ..Default::default() }),
            raw_body: Bytes::from_static(b"\xff\x00"),
            ..Default::default()
        }),
        ..Default::default()
    };
    let request = [
        "0a090a04486f7374120161",     // headers: one entry of key and value
        "1a0158",                     // delete_headers
        "2a012f",                     // url
        "520b08ffffffffffffffffff01", // return_overrides: -1 has ten bytes
        "7202ff00",                   // raw_body
    ]
    .concat();
    let expected = format!("08011205{}1a{:02x}{request}", hex(b"Stamp"), request.len() / 2);
    assert_eq!(hex(&object.encode_to_vec()), expected);
    assert_eq!(Object::decode(object.encode_to_vec().as_slice()).unwrap(), object);

    let session = SessionState {
        rate: 1.5,
        expires: -1,
        access_rights: [(
            "a".to_owned(),
            AccessDefinition {
                api_id: "a".into(),
                allowed_urls: vec![AccessSpec { url: "/".into(), methods: vec!["GET".into()] }],
                ..Default::default()
            },
        )]
        .into(),
        metadata: [("token".into(), "t".into())].into(),
        post_expiry_grace_period: -1,
        ..Default::default()
    };
    let expected = [
        "19000000000000f83f",
        "28ffffffffffffffffff01",
        "52120a0161120d1201612208",
        "0a012f1203474554",
        "ba010a0a05746f6b656e120174",
        "9002ffffffffffffffffff01",
    ]
    .concat();
    assert_eq!(hex(&session.encode_to_vec()), expected);

    let response = ResponseObject {
        status_code: 200,
        multivalue_headers: vec![Header { key: "A".into(), values: vec!["1".into(), "2".into()] }],
        ..Default::default()
    };
    assert_eq!(hex(&response.encode_to_vec()), "08c8012a090a0141120131120132");
}

#[test]
fn fields_from_the_future_are_no_error() {
    // Field 99 of an object, and 15 of a request.
    let bytes = [0x9a, 0x06, 0x01, b'x', 0x1a, 0x02, 0x78, 0x01];
    let object = Object::decode(&bytes[..]).unwrap();
    assert_eq!(object.request, Some(MiniRequestObject::default()));
}
