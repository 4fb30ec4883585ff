//! What a hook is sent, as bytes that are written in one pass. prost asks each message how long it will be before
//! it writes it, for which the maps of an object are gone through three times.

use prost::Message;
use prost::encoding::{WireType, btree_map, encode_key, encode_varint, int32, string};

use crate::wire::{Object, Texts};

/// The largest buffer that is kept from one call to the next, in bytes.
const KEPT: usize = 64 << 10;

/// Room for an object, and for the part of it whose length has to be known first.
#[derive(Debug, Default)]
pub(super) struct Sent {
    whole: Vec<u8>,
    part: Vec<u8>,
}

impl Sent {
    /// The bytes of an object, those of [`Message::encode`].
    pub(super) fn write(&mut self, object: &Object) -> &mut [u8] {
        let Object { hook_type, hook_name, request, session, metadata, spec, response } = object;
        let Self { whole, part } = self;
        whole.clear();
        if *hook_type != 0 {
            int32::encode(1, hook_type, whole);
        }
        if !hook_name.is_empty() {
            string::encode(2, hook_name, whole);
        }
        message(3, request.as_ref(), part, whole);
        message(4, session.as_ref(), part, whole);
        texts(5, metadata, whole);
        texts(6, spec, whole);
        message(7, response.as_ref(), part, whole);
        whole
    }

    /// Whether it is small enough to be kept.
    pub(super) fn is_small(&self) -> bool {
        self.whole.capacity().max(self.part.capacity()) <= KEPT
    }
}

fn message(tag: u32, message: Option<&impl Message>, part: &mut Vec<u8>, whole: &mut Vec<u8>) {
    let Some(message) = message else { return };
    part.clear();
    message.encode_raw(part);
    encode_key(tag, WireType::LengthDelimited, whole);
    encode_varint(part.len() as u64, whole);
    whole.extend_from_slice(part);
}

fn texts(tag: u32, texts: &Texts, whole: &mut Vec<u8>) {
    let (encode, length) = (string::encode, string::encoded_len);
    btree_map::encode(encode, length, encode, length, tag, texts, whole);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{MiniRequestObject, ResponseObject, SessionState};

    #[test]
    fn the_bytes_are_those_of_prost() {
        let texts = |text: &str| Texts::from([(text.to_owned(), "v".to_owned())]);
        let request = MiniRequestObject {
            headers: texts("headers"),
            url: "/".repeat(200),
            raw_body: vec![0; 70_000].into(),
            ..Default::default()
        };
        let full = Object {
            hook_type: 3,
            hook_name: "name".into(),
            request: Some(request),
            session: Some(Box::new(SessionState {
                metadata: texts("m"),
                rate: 1.5,
                ..Default::default()
            })),
            metadata: texts("metadata"),
            spec: texts("spec"),
            response: Some(ResponseObject { status_code: 200, ..Default::default() }),
        };
        let bare = Object { request: Some(Default::default()), ..Object::default() };
        let mut sent = Sent::default();
        for object in [&full, &Object::default(), &bare, &full] {
            assert_eq!(sent.write(object), object.encode_to_vec());
        }
        assert!(!sent.is_small());
    }
}
