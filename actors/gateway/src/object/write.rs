//! Messages of protobuf, written in one pass. prost asks each message how long it will be before it writes it, and
//! wants maps of texts of its own: for a request that is most of the work.

/// What a field's value looks like, beside its number.
const VARINT: u32 = 0;
const DELIMITED: u32 = 2;

/// Bytes of a message that is being written. Fields that are empty are left out, as protobuf does it.
#[derive(Debug, Default)]
pub(super) struct Writer(Vec<u8>);

impl Writer {
    /// A message of about this length.
    pub(super) fn with_room(about: usize) -> Self {
        Self(Vec::with_capacity(about))
    }

    /// The message.
    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    /// What prost writes.
    pub(super) fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.0
    }

    /// Fields that are written already.
    pub(super) fn fields(&mut self, written: &[u8]) {
        self.0.extend_from_slice(written);
    }

    /// A field of the type int32, or of an enumeration.
    pub(super) fn number(&mut self, tag: u32, value: i32) {
        if value != 0 {
            self.key(tag, VARINT);
            // Negative numbers are written as if they had 64 bits.
            self.varint(i64::from(value).cast_unsigned());
        }
    }

    /// A field of the type string.
    pub(super) fn text(&mut self, tag: u32, text: &str) {
        self.bytes(tag, text.as_bytes());
    }

    /// A field of the type bytes.
    pub(super) fn bytes(&mut self, tag: u32, bytes: &[u8]) {
        if !bytes.is_empty() {
            self.delimited(tag, bytes.len());
            self.0.extend_from_slice(bytes);
        }
    }

    /// An entry of a map of texts.
    pub(super) fn entry(&mut self, tag: u32, name: &str, value: &str) {
        self.entry_as(tag, name, value, |name, out| out.extend_from_slice(name.as_bytes()));
    }

    /// An entry whose name is written in a form of the same length.
    pub(super) fn entry_as(
        &mut self,
        tag: u32,
        name: &str,
        value: &str,
        write: impl FnOnce(&str, &mut Vec<u8>),
    ) {
        let part = |text: &str| 1 + varint_length(text.len()) + text.len();
        self.delimited(tag, part(name) + part(value));
        self.delimited(1, name.len());
        write(name, &mut self.0);
        self.delimited(2, value.len());
        self.0.extend_from_slice(value.as_bytes());
    }

    /// A message within this one. Its length is known once it is written: where it is not `about` what was
    /// expected, what was written is moved.
    pub(super) fn message(&mut self, tag: u32, about: usize, write: impl FnOnce(&mut Self)) {
        self.key(tag, DELIMITED);
        let (start, room) = (self.0.len(), varint_length(about));
        self.0.resize(start + room, 0);
        write(self);
        let length = self.0.len() - start - room;
        let needed = varint_length(length);
        if needed > room {
            self.0.resize(start + needed + length, 0);
        }
        self.0.copy_within(start + room..start + room + length, start + needed);
        self.0.truncate(start + needed + length);
        let mut rest = length;
        for place in &mut self.0[start..start + needed] {
            *place = (rest & 0x7f) as u8 | 0x80;
            rest >>= 7;
        }
        self.0[start + needed - 1] &= 0x7f;
    }

    fn delimited(&mut self, tag: u32, length: usize) {
        self.key(tag, DELIMITED);
        self.varint(length as u64);
    }

    fn key(&mut self, tag: u32, kind: u32) {
        self.varint((tag << 3 | kind).into());
    }

    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push((value & 0x7f) as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }
}

/// How many bytes a number takes.
fn varint_length(number: usize) -> usize {
    (usize::BITS - (number | 1).leading_zeros()).div_ceil(7) as usize
}

#[cfg(test)]
mod tests {
    use prost::Message;

    use super::*;
    use crate::wire::{Object, ReturnOverrides};

    #[test]
    fn what_is_written_is_what_prost_writes() {
        let overrides = ReturnOverrides {
            response_code: -1,
            response_error: "e".repeat(128),
            headers: [("Name".to_owned(), "v".repeat(300))].into(),
            ..Default::default()
        };
        let mut writer = Writer::default();
        writer.number(1, -1);
        writer.text(2, &overrides.response_error);
        writer.entry_as(3, "name", &"v".repeat(300), |_, out| out.extend_from_slice(b"Name"));
        writer.text(5, "");
        assert_eq!(writer.into_bytes(), overrides.encode_to_vec());
    }

    #[test]
    fn a_message_may_be_longer_or_shorter_than_expected() {
        for length in [0, 1, 127, 128, 16_383, 16_384, 70_000] {
            let hook_name = "n".repeat(length);
            let object = Object { hook_name: hook_name.clone(), ..Object::default() };
            let expected = [&[0x1a][..], &object.encode_length_delimited_to_vec()].concat();
            for about in [0, 127, 128, 20_000, 3_000_000] {
                let mut writer = Writer::default();
                writer.message(3, about, |writer| writer.text(2, &hook_name));
                assert_eq!(writer.into_bytes(), expected, "{length} {about}");
            }
        }
    }
}
