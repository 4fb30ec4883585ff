//! One message on a stream: four bytes that tell its length, the highest first, and the message.

/// The length of a frame's head.
pub const HEAD: usize = 4;
/// How much room is made ahead of what has come.
const STEP: usize = 16 << 10;

/// A message that is longer than what is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("message too large")]
pub struct TooLarge {
    /// How long it is said to be, in bytes.
    pub announced: u32,
}

/// A message with its head, in one piece so that it can be sent by one write.
///
/// # Errors
/// When its length does not fit into the head.
pub fn encode(message: &[u8]) -> Result<Vec<u8>, TooLarge> {
    let length = u32::try_from(message.len()).map_err(|_| TooLarge { announced: u32::MAX })?;
    let mut frame = Vec::with_capacity(HEAD + message.len());
    frame.extend_from_slice(&length.to_be_bytes());
    frame.extend_from_slice(message);
    Ok(frame)
}

/// Puts a frame together from whatever pieces it comes in. It never holds more than what has come, and
/// some room.
#[derive(Clone, Debug)]
pub struct Decoder {
    head: [u8; HEAD],
    have: usize,
    body: Vec<u8>,
    max: usize,
}

/// Where a frame stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// More has to come.
    Partial,
    /// The whole message, and how many bytes of the last piece belong to it.
    Complete {
        /// Without the head.
        message: Vec<u8>,
        /// What follows them is not of this frame.
        used: usize,
    },
}

impl Decoder {
    /// A decoder of messages of at most `max` bytes.
    pub fn new(max: usize) -> Self {
        Self { head: [0; HEAD], have: 0, body: Vec::new(), max }
    }

    /// Whether nothing has come yet.
    pub fn is_empty(&self) -> bool {
        self.have == 0
    }

    /// Takes the next piece. After a complete message the decoder begins anew.
    ///
    /// # Errors
    /// As soon as the head is there and announces too much.
    pub fn push(&mut self, piece: &[u8]) -> Result<Progress, TooLarge> {
        let of_head = (HEAD - self.have).min(piece.len());
        self.head[self.have..self.have + of_head].copy_from_slice(&piece[..of_head]);
        self.have += of_head;
        if self.have < HEAD {
            return Ok(Progress::Partial);
        }
        let announced = u32::from_be_bytes(self.head);
        let length = usize::try_from(announced).unwrap_or(usize::MAX);
        if length > self.max {
            return Err(TooLarge { announced });
        }
        let missing = length - self.body.len();
        let rest = &piece[of_head..];
        let of_body = missing.min(rest.len());
        if self.body.capacity() < self.body.len() + of_body {
            // Growth by halves, and never beyond the end of the message.
            let room = of_body.max(STEP).max(self.body.len()).min(missing);
            self.body.reserve_exact(room);
        }
        self.body.extend_from_slice(&rest[..of_body]);
        if self.body.len() < length {
            return Ok(Progress::Partial);
        }
        let message = std::mem::take(&mut self.body);
        self.have = 0;
        Ok(Progress::Complete { message, used: of_head + of_body })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Decodes pieces of the given sizes, repeated for ever.
    fn decode(stream: &[u8], sizes: &[usize], max: usize) -> Result<Vec<Vec<u8>>, TooLarge> {
        let mut decoder = Decoder::new(max);
        let mut messages = Vec::new();
        let mut sizes = sizes.iter().cycle();
        let mut at = 0;
        while at < stream.len() {
            let size = (*sizes.next().unwrap()).min(stream.len() - at);
            let mut piece = &stream[at..at + size];
            at += size;
            while !piece.is_empty() {
                match decoder.push(piece)? {
                    Progress::Partial => break,
                    Progress::Complete { message, used } => {
                        messages.push(message);
                        piece = &piece[used..];
                    }
                }
            }
        }
        assert!(decoder.is_empty(), "bytes are left over");
        Ok(messages)
    }

    proptest! {
        #[test]
        fn frames_come_out_as_they_went_in_whatever_the_pieces(
            messages in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..6),
            sizes in prop::collection::vec(1usize..40, 1..8),
        ) {
            let mut stream = Vec::new();
            for message in &messages {
                stream.extend(encode(message).unwrap());
            }
            prop_assert_eq!(decode(&stream, &sizes, 300), Ok(messages));
        }

        #[test]
        fn any_bytes_are_borne(
            pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..50), 0..10),
        ) {
            let mut decoder = Decoder::new(1000);
            for piece in pieces {
                match decoder.push(&piece) {
                    Ok(Progress::Complete { used, .. }) => prop_assert!(used <= piece.len()),
                    Ok(Progress::Partial) => prop_assert!(decoder.body.capacity() <= 1000),
                    Err(error) => {
                        prop_assert!(error.announced > 1000);
                        break;
                    }
                }
            }
        }
    }

    #[test]
    fn nothing_is_set_aside_for_what_is_only_announced() {
        let mut decoder = Decoder::new(16 << 20);
        assert_eq!(decoder.push(&[0, 0xff, 0, 0]), Ok(Progress::Partial));
        assert_eq!(decoder.push(b"{}"), Ok(Progress::Partial));
        assert!(decoder.body.capacity() <= STEP);
        let refused = Decoder::new(16 << 20).push(&[0xff; 4]);
        assert_eq!(refused, Err(TooLarge { announced: u32::MAX }));
    }

    #[test]
    fn an_empty_message_is_one() {
        let complete = Progress::Complete { message: vec![], used: 4 };
        assert_eq!(Decoder::new(10).push(&[0; 4]), Ok(complete));
    }
}
