//! Whether a request's head says twice how long its body is: by `Content-Length` and by
//! `Transfer-Encoding`.
//!
//! hyper heeds the latter, forgets the former and closes the connection afterwards, so that nobody is
//! misled; but such a request is to be refused, and what hyper has forgotten can be seen on its way in
//! alone.

use memchr::memchr;

const LENGTH: &[u8] = b"content-length:";
const TRANSFER: &[u8] = b"transfer-encoding:";

/// A head that comes in pieces.
#[derive(Debug, Default)]
pub(super) struct Head {
    /// How the line begins.
    start: [u8; TRANSFER.len()],
    length: usize,
    /// A line that is not empty was there.
    begun: bool,
    over: bool,
    by_length: bool,
    by_transfer: bool,
}

impl Head {
    /// Takes the next bytes; what follows the head is passed over. The answer is whether both were
    /// there.
    pub(super) fn feed(&mut self, mut bytes: &[u8]) -> bool {
        while !self.over && !bytes.is_empty() {
            let end = memchr(b'\n', bytes);
            let line = &bytes[..end.unwrap_or(bytes.len())];
            let fits = line.len().min(self.start.len() - self.length);
            self.start[self.length..self.length + fits].copy_from_slice(&line[..fits]);
            self.length += fits;
            let Some(end) = end else { break };
            bytes = &bytes[end + 1..];
            self.end_line();
        }
        self.by_length && self.by_transfer
    }

    fn end_line(&mut self) {
        let start = &self.start[..self.length];
        if start.is_empty() || start == b"\r" {
            self.over = self.begun;
        } else {
            self.begun = true;
        }
        let begins = |name: &[u8]| {
            start.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name))
        };
        self.by_length |= begins(LENGTH);
        self.by_transfer |= begins(TRANSFER);
        self.length = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_are_found_in_whatever_pieces_and_in_the_head_alone() {
        let both = "\r\nPOST / HTTP/1.1\r\nHost: a\r\nCONTENT-Length: 1\r\nTransfer-encoding:chunked\r\n\r\n";
        let turned = "GET / HTTP/1.1\nTransfer-Encoding: chunked\ncontent-length:5\n\n";
        let body =
            "POST / HTTP/1.1\r\nContent-Length: 30\r\n\r\nTransfer-Encoding: chunked\r\n\r\n";
        let longer = "POST / HTTP/1.1\r\nContent-Length: 3\r\nX-Transfer-Encoding: chunked\r\n\r\n";
        for (text, expected) in [(both, true), (turned, true), (body, false), (longer, false)] {
            for size in [1, 2, 3, 17, 18, 19, 1000] {
                let mut head = Head::default();
                let mut found = false;
                for piece in text.as_bytes().chunks(size) {
                    found = head.feed(piece);
                }
                assert_eq!(found, expected, "{text:?} in pieces of {size}");
            }
        }
    }
}
