//! Splits a stream of bytes into lines, in pieces of a bounded length, without losing a byte.

use memchr::memchr;

/// A carry that had to grow beyond this is given back once it is empty, so that one long line
/// does not cost its length for the rest of a quiet child's life.
const KEPT_CARRY: usize = 4096;

/// A line or a piece of one, without the newline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece<'a> {
    /// The bytes.
    pub bytes: &'a [u8],
    /// Does it begin its line?
    pub first: bool,
    /// Does it end its line?
    pub last: bool,
}

/// Splits what one stream brings. What is read stays in the caller's buffer, which all streams
/// share; only an unfinished line is kept here.
#[derive(Debug)]
pub struct Splitter {
    carry: Vec<u8>,
    max: usize,
    /// A piece of the present line has been handed out already.
    begun: bool,
}

impl Splitter {
    /// Pieces will have at most `max` bytes (and at least one may always stand in them).
    pub fn new(max: usize) -> Self {
        Self { carry: Vec::new(), max: max.max(1), begun: false }
    }

    /// Hands every line that `chunk` completes, and every full piece, to `each`.
    pub fn feed(&mut self, chunk: &[u8], mut each: impl FnMut(Piece<'_>)) {
        let mut rest = chunk;
        while !rest.is_empty() {
            match memchr(b'\n', rest) {
                Some(at) => {
                    self.body(&rest[..at], true, &mut each);
                    rest = &rest[at + 1..];
                }
                None => {
                    self.body(rest, false, &mut each);
                    break;
                }
            }
        }
    }

    /// The stream has ended: hands out the last line if no newline ended it.
    pub fn finish(&mut self, mut each: impl FnMut(Piece<'_>)) {
        if !self.carry.is_empty() {
            self.emit_carry(self.carry.len(), true, &mut each);
        }
    }

    /// Takes bytes that hold no newline; `ended` says that one follows them.
    fn body(&mut self, mut body: &[u8], ended: bool, each: &mut impl FnMut(Piece<'_>)) {
        while !self.carry.is_empty() {
            let room = self.max - self.carry.len();
            if body.len() <= room {
                self.carry.extend_from_slice(body);
                if ended {
                    self.emit_carry(self.carry.len(), true, each);
                }
                return;
            }
            self.carry.extend_from_slice(&body[..room]);
            body = &body[room..];
            let cut = boundary(&self.carry, body[0]);
            self.emit_carry(cut, false, each);
        }
        // A piece is cut off only when a byte of the line is known to follow it, so a line of
        // exactly the greatest length is whole and no piece is ever empty for nothing.
        while body.len() > self.max {
            let cut = boundary(&body[..self.max], body[self.max]);
            each(Piece { bytes: &body[..cut], first: !self.begun, last: false });
            self.begun = true;
            body = &body[cut..];
        }
        if ended {
            each(Piece { bytes: body, first: !self.begun, last: true });
            self.begun = false;
        } else {
            self.carry.extend_from_slice(body);
        }
    }

    fn emit_carry(&mut self, cut: usize, last: bool, each: &mut impl FnMut(Piece<'_>)) {
        each(Piece { bytes: &self.carry[..cut], first: !self.begun, last });
        self.begun = !last;
        self.carry.drain(..cut);
        if self.carry.is_empty() && self.carry.capacity() > KEPT_CARRY {
            self.carry = Vec::new();
        }
    }
}

/// Where to cut a full piece that `next` follows: at its end, or before a character of UTF-8 that
/// the cut would tear apart.
fn boundary(piece: &[u8], next: u8) -> usize {
    let is_inner = |byte: u8| byte & 0xC0 == 0x80;
    if !is_inner(next) {
        return piece.len();
    }
    let inner = piece.iter().rev().take(3).take_while(|&&byte| is_inner(byte)).count();
    match piece.len().checked_sub(inner + 1) {
        Some(at) if at > 0 && piece[at] >= 0xC0 => at,
        _ => piece.len(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    type Owned = (Vec<u8>, bool, bool);

    fn split(chunks: &[&[u8]], max: usize) -> Vec<Owned> {
        let mut splitter = Splitter::new(max);
        let mut pieces = Vec::new();
        for chunk in chunks {
            splitter.feed(chunk, |p| pieces.push((p.bytes.to_vec(), p.first, p.last)));
        }
        splitter.finish(|p| pieces.push((p.bytes.to_vec(), p.first, p.last)));
        pieces
    }

    /// All input at once, line by line.
    fn naive(input: &[u8], max: usize) -> Vec<Owned> {
        let mut lines: Vec<&[u8]> = input.split(|&b| b == b'\n').collect();
        if lines.last().is_some_and(|line| line.is_empty()) {
            lines.pop();
        }
        let mut pieces = Vec::new();
        for mut line in lines {
            let mut first = true;
            while line.len() > max {
                let cut = boundary(&line[..max], line[max]);
                pieces.push((line[..cut].to_vec(), first, false));
                line = &line[cut..];
                first = false;
            }
            pieces.push((line.to_vec(), first, true));
        }
        pieces
    }

    fn whole(text: &str) -> Owned {
        (text.as_bytes().to_vec(), true, true)
    }

    #[test]
    fn lines_across_reads() {
        assert_eq!(
            split(&[b"on", b"e\ntwo\nthr", b"", b"ee"], 99),
            ["one", "two", "three"].map(whole)
        );
        assert_eq!(split(&[b"a\n", b"\n", b"b\n"], 99), ["a", "", "b"].map(whole));
        assert_eq!(split(&[], 99), []);
    }

    #[test]
    fn a_line_of_the_greatest_length_is_whole() {
        assert_eq!(split(&[b"abcd\n"], 4), [whole("abcd")]);
        assert_eq!(split(&[b"abcd", b"\n"], 4), [whole("abcd")]);
        assert_eq!(split(&[b"abcd"], 4), [whole("abcd")]);
    }

    #[test]
    fn longer_lines_come_in_pieces() {
        let expected = [
            (b"abcd".to_vec(), true, false),
            (b"efgh".to_vec(), false, false),
            (b"i".to_vec(), false, true),
            whole("next"),
        ];
        assert_eq!(split(&[b"abcdefghi\nnext\n"], 4), expected);
        assert_eq!(split(&[b"ab", b"cdef", b"ghi", b"\nne", b"xt"], 4), expected);
    }

    #[test]
    fn a_cut_spares_characters() {
        assert_eq!(boundary("aé".as_bytes(), b'x'), 3);
        assert_eq!(boundary(&[b'a', 0xC3], 0xA9), 1);
        assert_eq!(boundary(&[b'a', 0xF0, 0x9F, 0x98], 0x80), 1);
        assert_eq!(boundary(&[0xC3], 0xA9), 1, "a piece is never empty");
        assert_eq!(boundary(&[0x80; 6], 0x80), 6, "bytes that are no UTF-8 are cut anywhere");
    }

    #[test]
    fn a_long_line_does_not_keep_its_memory() {
        let mut splitter = Splitter::new(1 << 20);
        splitter.feed(&[b'x'; 100_000], |_| {});
        splitter.feed(b"\n", |_| {});
        assert_eq!(splitter.carry.capacity(), 0);
    }

    fn bytes() -> impl Strategy<Value = Vec<u8>> {
        let byte =
            prop_oneof![Just(b'\n'), Just(b'a'), Just(0xC3), Just(0xA9), Just(0xF0), any::<u8>()];
        proptest::collection::vec(byte, 0..200)
    }

    proptest! {
        #[test]
        fn as_the_naive_splitter(
            chunks in proptest::collection::vec(bytes(), 0..8),
            max in 1usize..20,
        ) {
            let all = chunks.concat();
            let parts: Vec<&[u8]> = chunks.iter().map(Vec::as_slice).collect();
            let pieces = split(&parts, max);
            prop_assert_eq!(&pieces, &naive(&all, max));
            // Nothing is lost: the pieces and their newlines are the input.
            let mut joined = Vec::new();
            for (bytes, _, last) in &pieces {
                prop_assert!(bytes.len() <= max);
                joined.extend_from_slice(bytes);
                if *last { joined.push(b'\n') }
            }
            if !all.ends_with(b"\n") && !all.is_empty() { joined.pop(); }
            prop_assert_eq!(joined, all);
        }
    }
}
