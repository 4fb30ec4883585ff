//! Frames between the gateway and its Python workers. Pure: bytes in, frames out.
//!
//! A frame is the length of its payload (4 bytes, little-endian), the number of the call that it belongs
//! to (4 bytes, little-endian), its kind (1 byte) and the payload.

use bytes::{Buf, BufMut, Bytes, BytesMut};

/// What stands before a payload, in bytes.
pub const HEAD: usize = 9;

/// How much is read at once, in bytes.
const READ: usize = 32 << 10;

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// From a worker, at the beginning of each connection: who it is, as JSON.
    Hello = 1,
    /// To a worker: an `Object` for a hook.
    Dispatch = 2,
    /// From a worker: what the hook made of it; nothing for an event.
    Reply = 3,
    /// From a worker: the hook failed, and why.
    Error = 4,
    /// To a worker: an `Event`.
    Event = 5,
    /// From a worker: a line for the log. The payload is a pair: the level and the line.
    Log = 6,
    /// From a worker: the name of data that it wants.
    Get = 7,
    /// From a worker: data to be stored. The payload is a pair: the name, and after 8 bytes with the
    /// seconds that it lives the data.
    Set = 8,
    /// From a worker: an event to be fired. The payload is a pair: its name and its message.
    Trigger = 9,
    /// To a worker: the data that it wanted.
    Value = 10,
    /// To a worker: a further connection, which comes with it as a descriptor.
    Lane = 11,
    /// To a worker: nothing more will come, so it is to end.
    Drain = 12,
    /// From a worker: this call is being worked on, and takes its time.
    Slow = 13,
    /// To a worker: nobody waits for this call any more.
    Cancel = 14,
    /// From a worker, once: its hooks are loaded, and which there are, as JSON.
    Ready = 15,
}

impl Kind {
    const ALL: [Self; 15] = [
        Self::Hello,
        Self::Dispatch,
        Self::Reply,
        Self::Error,
        Self::Event,
        Self::Log,
        Self::Get,
        Self::Set,
        Self::Trigger,
        Self::Value,
        Self::Lane,
        Self::Drain,
        Self::Slow,
        Self::Cancel,
        Self::Ready,
    ];

    fn of(byte: u8) -> Option<Self> {
        usize::from(byte).checked_sub(1).and_then(|place| Self::ALL.get(place)).copied()
    }
}

/// A frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// The call that it belongs to; 0 where it belongs to none.
    pub id: u32,
    /// What it is.
    pub kind: Kind,
    /// What it says.
    pub payload: Bytes,
}

/// Why bytes are no frames. The connection is of no use any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// There is no such kind.
    #[error("there is no kind of frame {0}")]
    Kind(u8),
    /// It is larger than allowed.
    #[error("a frame of {length} bytes is larger than the {max} that are allowed")]
    TooLarge {
        /// The payload's length.
        length: usize,
        /// The most that is taken.
        max: usize,
    },
}

/// Finds frames in what comes in pieces.
#[derive(Debug)]
pub struct Decoder {
    buffer: BytesMut,
    max: usize,
}

impl Decoder {
    /// A decoder that takes payloads of up to `max` bytes.
    pub fn new(max: usize) -> Self {
        Self { buffer: BytesMut::new(), max }
    }

    /// Where further bytes are to be put, with room for some.
    pub fn room(&mut self) -> &mut BytesMut {
        self.buffer.reserve(READ);
        &mut self.buffer
    }

    /// The next frame, if all of it has come.
    ///
    /// # Errors
    /// As [`FrameError`] says; it is the same from then on.
    pub fn frame(&mut self) -> Result<Option<Frame>, FrameError> {
        let Some(head) = self.buffer.first_chunk::<HEAD>() else { return Ok(None) };
        let [a, b, c, d, e, f, g, h, kind] = *head;
        let length = u32::from_le_bytes([a, b, c, d]) as usize;
        let id = u32::from_le_bytes([e, f, g, h]);
        let kind = Kind::of(kind).ok_or(FrameError::Kind(kind))?;
        if length > self.max {
            return Err(FrameError::TooLarge { length, max: self.max });
        }
        if self.buffer.len() - HEAD < length {
            self.buffer.reserve(HEAD + length - self.buffer.len());
            return Ok(None);
        }
        self.buffer.advance(HEAD);
        Ok(Some(Frame { id, kind, payload: self.buffer.split_to(length).freeze() }))
    }
}

/// Appends a frame. Its payload is shorter than 4 GiB, as every `max_message` is.
pub fn put(out: &mut BytesMut, id: u32, kind: Kind, payload: &[u8]) {
    out.reserve(HEAD + payload.len());
    out.put_u32_le(u32::try_from(payload.len()).unwrap_or(u32::MAX));
    out.put_u32_le(id);
    out.put_u8(kind as u8);
    out.put_slice(payload);
}

/// The two parts of a payload that is a pair: the length of the first (4 bytes, little-endian), the first
/// and the second. `None` where it is none.
pub fn pair(payload: &Bytes) -> Option<(&str, Bytes)> {
    let (length, rest) = payload.split_first_chunk::<4>()?;
    let length = u32::from_le_bytes(*length) as usize;
    let first = rest.get(..length)?;
    Some((std::str::from_utf8(first).ok()?, payload.slice(4 + length..)))
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn all(decoder: &mut Decoder) -> Result<Vec<Frame>, FrameError> {
        let mut frames = Vec::new();
        while let Some(frame) = decoder.frame()? {
            frames.push(frame);
        }
        Ok(frames)
    }

    fn frame() -> impl Strategy<Value = Frame> {
        (any::<u32>(), 0..Kind::ALL.len(), vec(any::<u8>(), 0..300)).prop_map(
            |(id, kind, payload)| Frame { id, kind: Kind::ALL[kind], payload: payload.into() },
        )
    }

    proptest! {
        #[test]
        fn frames_come_out_as_they_went_in(
            frames in vec(frame(), 0..8),
            cuts in vec(1..200usize, 1..8),
        ) {
            let mut bytes = BytesMut::new();
            for Frame { id, kind, payload } in &frames {
                put(&mut bytes, *id, *kind, payload);
            }
            let (mut decoder, mut found) = (Decoder::new(300), Vec::new());
            for cut in cuts.iter().cycle() {
                if bytes.is_empty() {
                    break;
                }
                let piece = bytes.split_to(bytes.len().min(*cut));
                decoder.room().extend_from_slice(&piece);
                found.extend(all(&mut decoder).unwrap());
            }
            prop_assert_eq!(found, frames);
        }

        #[test]
        fn whatever_comes_is_bounded(bytes in vec(any::<u8>(), 0..2000)) {
            let mut decoder = Decoder::new(100);
            decoder.room().extend_from_slice(&bytes);
            if let Ok(frames) = all(&mut decoder) {
                prop_assert!(frames.iter().all(|frame| frame.payload.len() <= 100));
            }
        }

        #[test]
        fn pairs_are_taken_apart(first in ".*", second in vec(any::<u8>(), 0..50), cut in 0..4usize) {
            let mut payload = BytesMut::new();
            payload.put_u32_le(first.len() as u32);
            payload.put_slice(first.as_bytes());
            let short = payload.clone().freeze();
            payload.put_slice(&second);
            let payload = payload.freeze();
            prop_assert_eq!(pair(&payload), Some((first.as_str(), Bytes::from(second))));
            let short = short.slice(..cut);
            prop_assert_eq!(pair(&short), None);
        }
    }

    #[test]
    fn kinds_are_their_places() {
        for kind in Kind::ALL {
            assert_eq!(Kind::of(kind as u8), Some(kind));
        }
        assert_eq!((Kind::of(0), Kind::of(16)), (None, None));
    }

    #[test]
    fn what_is_no_frame_is_told() {
        let mut decoder = Decoder::new(10);
        decoder.room().extend_from_slice(&[11, 0, 0, 0, 1, 0, 0, 0, 3]);
        let too_large = Err(FrameError::TooLarge { length: 11, max: 10 });
        assert_eq!((decoder.frame(), decoder.frame()), (too_large.clone(), too_large));
        let mut decoder = Decoder::new(10);
        decoder.room().extend_from_slice(&[1, 0, 0, 0, 1, 0, 0, 0, 99]);
        assert_eq!(decoder.frame(), Err(FrameError::Kind(99)));
    }
}
