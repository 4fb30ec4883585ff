//! Netstrings, `LENGTH:PAYLOAD,`, decoded as a stream and encoded. Pure.
//!
//! The decoder keeps no payload: it hands out slices of what it is given, so that a string of any
//! length needs no memory. A byte that cannot go on a valid string is an error at once, and bytes
//! that are merely missing never are.

/// The most digits that a length may have, leading zeros included: enough for 64 bits.
const MAX_DIGITS: u8 = 20;

/// What the decoder found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// A string of this length begins.
    Begin(u64),
    /// The next bytes of its payload; never empty.
    Payload(&'a [u8]),
    /// The string is complete.
    End,
}

/// A byte that no valid string has in its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed netstring: unexpected byte 0x{byte:02x} in place of {expected}")]
pub struct Malformed {
    /// The byte.
    pub byte: u8,
    /// What would have been right.
    pub expected: &'static str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Length { value: u64, digits: u8 },
    Payload { left: u64 },
    Comma,
}

/// An incremental decoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decoder {
    state: State,
}

impl Default for Decoder {
    fn default() -> Self {
        Self { state: State::Length { value: 0, digits: 0 } }
    }
}

impl Decoder {
    /// Takes the next piece off the front of `input`; `None` once all of it is taken.
    ///
    /// Where the byte after a payload is there and wrong, the payload's last piece is not handed out.
    ///
    /// # Errors
    /// At the first byte that cannot go on a valid string. The decoder is of no use after that.
    pub fn next<'a>(&mut self, input: &mut &'a [u8]) -> Result<Option<Piece<'a>>, Malformed> {
        loop {
            let Some((&byte, rest)) = input.split_first() else { return Ok(None) };
            match self.state {
                State::Length { value, digits } => {
                    *input = rest;
                    match byte {
                        b'0'..=b'9' => {
                            let next = value
                                .checked_mul(10)
                                .and_then(|value| value.checked_add(u64::from(byte - b'0')))
                                .filter(|_| digits < MAX_DIGITS);
                            let Some(value) = next else {
                                return Err(Malformed { byte, expected: "a length of 64 bits" });
                            };
                            self.state = State::Length { value, digits: digits + 1 };
                        }
                        b':' if digits > 0 => {
                            self.state = match value {
                                0 => State::Comma,
                                left => State::Payload { left },
                            };
                            return Ok(Some(Piece::Begin(value)));
                        }
                        _ if digits > 0 => {
                            return Err(Malformed { byte, expected: "a digit or `:`" });
                        }
                        _ => return Err(Malformed { byte, expected: "a digit" }),
                    }
                }
                State::Payload { left } => {
                    let here = usize::try_from(left).map_or(input.len(), |l| l.min(input.len()));
                    let (payload, rest) = input.split_at(here);
                    let left = left - here as u64;
                    if left == 0
                        && let Some(&byte) = rest.first()
                        && byte != b','
                    {
                        return Err(Malformed { byte, expected: "`,`" });
                    }
                    *input = rest;
                    self.state = match left {
                        0 => State::Comma,
                        left => State::Payload { left },
                    };
                    return Ok(Some(Piece::Payload(payload)));
                }
                State::Comma if byte == b',' => {
                    *input = rest;
                    *self = Self::default();
                    return Ok(Some(Piece::End));
                }
                State::Comma => return Err(Malformed { byte, expected: "`,`" }),
            }
        }
    }

    /// Whether it stands between two strings.
    pub fn is_between(&self) -> bool {
        *self == Self::default()
    }
}

/// Appends `payload` as a netstring.
pub fn encode(payload: &[u8], out: &mut Vec<u8>) {
    use std::io::Write;
    // Writing to memory cannot fail.
    let _ = write!(out, "{}:", payload.len());
    out.extend_from_slice(payload);
    out.push(b',');
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// All strings of the pieces that `cuts` cuts `bytes` into, and the bytes of the last, which is
    /// incomplete.
    fn decode(bytes: &[u8], cuts: &[usize]) -> Result<(Vec<Vec<u8>>, Vec<u8>), Malformed> {
        let mut decoder = Decoder::default();
        let (mut strings, mut current) = (Vec::new(), Vec::new());
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut % (bytes.len() + 1)).collect();
        cuts.extend([0, bytes.len()]);
        cuts.sort_unstable();
        for pair in cuts.windows(2) {
            let mut input = &bytes[pair[0]..pair[1]];
            while let Some(piece) = decoder.next(&mut input)? {
                match piece {
                    Piece::Begin(_) => assert!(current.is_empty()),
                    Piece::Payload(payload) => {
                        assert!(!payload.is_empty());
                        current.extend_from_slice(payload);
                    }
                    Piece::End => strings.push(std::mem::take(&mut current)),
                }
            }
            assert!(input.is_empty());
        }
        Ok((strings, current))
    }

    #[test]
    fn leading_zeros_are_digits() {
        let (strings, _) = decode(b"01:1,05:uname,00:,", &[]).unwrap();
        assert_eq!(strings, [b"1".to_vec(), b"uname".to_vec(), vec![]]);
        assert!(decode(b"00000000000000000001:a,", &[]).is_ok());
        assert!(decode(b"000000000000000000001:a,", &[]).is_err());
    }

    #[test]
    fn wrong_bytes_are_told_at_once() {
        for bytes in [
            &b"hello world\n"[..],
            b":1,",
            b" 1:1,",
            b"+1:1,",
            b"-1:1,",
            b"1,1,",
            b"1 :1,",
            b"1:1;",
            b"1:12",
            b"0:;",
            b"0:0",
            b"18446744073709551616",
            b"99999999999999999999",
        ] {
            assert!(decode(bytes, &[]).is_err(), "{}", String::from_utf8_lossy(bytes));
        }
        assert!(decode(b"18446744073709551615:", &[]).is_ok());
    }

    #[test]
    fn a_payload_whose_end_is_seen_to_be_wrong_is_kept_back() {
        let mut decoder = Decoder::default();
        let mut input = &b"5:hello,5:worldX"[..];
        let mut payloads = Vec::new();
        let error = loop {
            match decoder.next(&mut input) {
                Ok(Some(Piece::Payload(payload))) => payloads.push(payload),
                Ok(Some(_)) => {}
                Ok(None) => panic!("it is malformed"),
                Err(error) => break error,
            }
        };
        assert_eq!(payloads, [b"hello"]);
        assert_eq!(error.byte, b'X');
    }

    proptest! {
        #[test]
        fn what_was_encoded_is_decoded_however_it_is_cut(
            strings in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..8),
            cuts in prop::collection::vec(any::<usize>(), 0..12),
        ) {
            let mut bytes = Vec::new();
            strings.iter().for_each(|string| encode(string, &mut bytes));
            prop_assert_eq!(decode(&bytes, &cuts), Ok((strings, vec![])));
        }

        #[test]
        fn cuts_change_nothing(
            bytes in "[0-3:,x]{0,40}",
            cuts in prop::collection::vec(any::<usize>(), 0..12),
        ) {
            let whole = decode(bytes.as_bytes(), &[]);
            let cut = decode(bytes.as_bytes(), &cuts);
            prop_assert_eq!(whole.is_err(), cut.is_err());
            if whole.is_ok() {
                prop_assert_eq!(whole, cut);
            }
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            let _ = decode(&bytes, &[1, 2, 3, 5, 8]);
        }
    }
}
