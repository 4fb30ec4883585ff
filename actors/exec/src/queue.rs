//! Output on its way to the client: whole pairs, as many as fit into one send.

use std::collections::VecDeque;

/// The most bytes of one send.
pub(crate) const SEND: usize = 16 << 10;
/// From here on no more output is read…
pub(crate) const HIGH: usize = 256 << 10;
/// …until it has fallen to here.
pub(crate) const LOW: usize = 64 << 10;

/// The queue. Its memory goes as it drains.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    sends: VecDeque<Vec<u8>>,
    /// What of the first was sent already.
    sent: usize,
    length: usize,
}

impl Queue {
    /// Appends whole pairs, at most [`SEND`] bytes.
    pub(crate) fn push(&mut self, pairs: &[u8]) {
        self.length += pairs.len();
        match self.sends.back_mut() {
            Some(last) if last.len() + pairs.len() <= SEND => last.extend_from_slice(pairs),
            _ => self.sends.push_back(pairs.to_vec()),
        }
    }

    /// What is to be sent next; empty if there is nothing.
    pub(crate) fn front(&self) -> &[u8] {
        self.sends.front().map_or(&[], |first| &first[self.sent..])
    }

    /// So much of [`Queue::front`] was sent.
    pub(crate) fn consume(&mut self, bytes: usize) {
        self.length -= bytes;
        self.sent += bytes;
        if self.sends.front().is_some_and(|first| first.len() == self.sent) {
            self.sends.pop_front();
            self.sent = 0;
        }
    }

    /// Whether one more send is all.
    pub(crate) fn is_last(&self) -> bool {
        self.sends.len() == 1
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.sends.is_empty()
    }

    /// The bytes in it.
    pub(crate) fn len(&self) -> usize {
        self.length
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_share_sends_and_keep_their_order() {
        let mut queue = Queue::default();
        queue.push(&[b'a'; 10_000]);
        queue.push(&[b'b'; 6_384]);
        queue.push(b"c");
        assert_eq!((queue.len(), queue.front().len(), queue.is_last()), (16_385, SEND, false));
        queue.consume(5);
        assert_eq!(queue.front().len(), SEND - 5);
        queue.consume(SEND - 5);
        assert_eq!((queue.front(), queue.is_last()), (&b"c"[..], true));
        queue.consume(1);
        assert!(queue.is_empty() && queue.front().is_empty());
        assert_eq!(queue.length, 0);
    }
}
