//! Bodies that are held whole because a hook wants them: how much all of them take together is bounded.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use http::{HeaderValue, StatusCode, header};
use http_body::Body;
use http_body_util::BodyExt;

use super::body::Fault;
use super::figures::Figures;
use super::worker::Worker;
use crate::exchange::Denied;

/// After how many seconds a client may try again that found no room.
const AGAIN: HeaderValue = HeaderValue::from_static("1");

/// What one body takes, until it is dropped.
#[derive(Debug)]
pub(super) struct Held {
    figures: Arc<Figures>,
    bytes: usize,
    /// All bodies together.
    most: usize,
}

/// Why a body is not held.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unheld {
    /// It does not come to its end.
    Fault(Fault),
    /// It is larger than one body may be.
    TooLarge,
    /// There is no room for it beside the others.
    NoRoom,
}

impl Held {
    /// Nothing yet.
    pub(super) fn nothing(worker: &Worker) -> Self {
        let most = worker.shared.config.limits.max_buffered_total;
        Self { figures: worker.shared.figures.clone(), bytes: 0, most }
    }

    /// Takes room for `bytes` in all; whether there is so much.
    fn reach(&mut self, bytes: usize) -> bool {
        let more = bytes.saturating_sub(self.bytes);
        let has_room = self.figures.hold(more, self.most);
        if has_room {
            self.bytes += more;
        }
        has_room
    }

    /// Reads a body to its end, of at most `most` bytes.
    pub(super) async fn read(
        &mut self,
        mut body: impl Body<Data = Bytes, Error = Fault> + Unpin,
        most: usize,
    ) -> Result<Bytes, Unheld> {
        // What is known of its length is known before anything is read.
        let told = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
        let mut length = 0;
        let mut pieces = Vec::new();
        self.make_room(told, most)?;
        while let Some(frame) = body.frame().await {
            let Ok(piece) = frame.map_err(Unheld::Fault)?.into_data() else { continue };
            length += piece.len();
            self.make_room(length, most)?;
            pieces.push(piece);
        }
        if let [_] = pieces[..] {
            return Ok(pieces.remove(0));
        }
        let mut whole = BytesMut::with_capacity(length);
        pieces.iter().for_each(|piece| whole.extend_from_slice(piece));
        Ok(whole.freeze())
    }

    fn make_room(&mut self, length: usize, most: usize) -> Result<(), Unheld> {
        if length > most {
            return Err(Unheld::TooLarge);
        }
        if self.reach(length) { Ok(()) } else { Err(Unheld::NoRoom) }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.figures.let_go(self.bytes);
    }
}

/// What a client is told for whose body, or whose response, there is no room.
pub(super) fn no_room() -> Denied {
    let mut denied = Denied::new(StatusCode::SERVICE_UNAVAILABLE, "Too many bodies are being held");
    denied.headers.insert(header::RETRY_AFTER, AGAIN);
    denied
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use futures_util::FutureExt;
    use http_body::{Frame, SizeHint};

    use super::*;

    struct Pieces(VecDeque<&'static [u8]>, u64);

    impl Body for Pieces {
        type Data = Bytes;
        type Error = Fault;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Fault>>> {
            let piece = self.0.pop_front();
            Poll::Ready(piece.map(|piece| Ok(Frame::data(Bytes::from_static(piece)))))
        }

        fn size_hint(&self) -> SizeHint {
            let mut hint = SizeHint::new();
            hint.set_lower(self.1);
            hint
        }
    }

    #[test]
    fn all_bodies_together_are_bounded() {
        let figures = Arc::<Figures>::default();
        let held = || Held { figures: figures.clone(), bytes: 0, most: 10 };
        let read = |held: &mut Held, pieces: &[&'static [u8]], told| {
            let body = Pieces(pieces.iter().copied().collect(), told);
            held.read(body, 8).now_or_never().unwrap()
        };
        let taken = || figures.snapshot().buffered;
        let (mut first, mut second, mut third) = (held(), held(), held());
        assert_eq!(read(&mut first, &[b"abc", b"def"], 0).unwrap(), "abcdef");
        assert_eq!((read(&mut second, &[], 5), taken()), (Err(Unheld::NoRoom), 6));
        assert_eq!((read(&mut second, &[b"abcd", b"e"], 0), taken()), (Err(Unheld::NoRoom), 10));
        assert_eq!(read(&mut third, &[b"abcd", b"e"], 9), Err(Unheld::TooLarge));
        drop((second, third));
        let mut fourth = held();
        assert_eq!(read(&mut fourth, &[b"abcd"], 4).unwrap(), "abcd");
        assert_eq!((taken(), figures.snapshot().unbuffered), (10, 2));
        drop((first, fourth));
        assert_eq!(taken(), 0);
    }
}
