//! One connection between a thread of the gateway and a worker: calls go out as they come, answers come back
//! in any order. Each thread has a lane of its own to each worker, so that no call has to wake another thread.

use std::collections::HashMap;
use std::io;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use bytes::{Buf, Bytes, BytesMut};
use tokio::net::UnixStream;
use tokio::sync::{Notify, oneshot};

use super::codec::{self, Decoder, Frame, Kind};
use super::worker::Worker;
use crate::driver::Failure;

/// What a call comes to.
pub(super) type Answer = Result<Bytes, Failure>;

/// The way to a worker.
#[derive(Debug, Default)]
pub(super) struct Lane {
    state: Mutex<State>,
    /// There is something to send, or nothing more to do.
    news: Notify,
}

#[derive(Debug, Default)]
struct State {
    out: BytesMut,
    pending: HashMap<u32, Pending>,
    last: u32,
    closed: bool,
}

/// A call whose answer has not come.
#[derive(Debug)]
struct Pending {
    answer: oneshot::Sender<Answer>,
    /// When the worker said that it is at it.
    begun: Option<Instant>,
}

/// A call on its way.
#[derive(Debug)]
pub(super) struct Sent {
    lane: Arc<Lane>,
    id: u32,
    pub(super) answer: oneshot::Receiver<Answer>,
}

impl Sent {
    /// Has the worker not begin it if it has not yet; there is an answer in any case.
    pub(super) fn cancel(&self) {
        let mut state = self.lane.lock();
        if state.pending.contains_key(&self.id) && !state.closed {
            codec::put(&mut state.out, self.id, Kind::Cancel, &[]);
            drop(state);
            self.lane.news.notify_one();
        }
    }

    /// Since when the worker is at it, and takes its time: when it said so, which is at once.
    pub(super) fn begun(&self) -> Option<Instant> {
        self.lane.lock().pending.get(&self.id).and_then(|pending| pending.begun)
    }

    /// Takes no answer any more. Whether the worker is still at it.
    pub(super) fn forget(&self) -> bool {
        self.lane.lock().pending.remove(&self.id).is_some_and(|pending| pending.begun.is_some())
    }
}

impl Lane {
    /// Sends a message; `None` where the lane is closed.
    pub(super) fn send(self: &Arc<Self>, kind: Kind, message: &[u8]) -> Option<Sent> {
        let (tell, answer) = oneshot::channel();
        let mut state = self.lock();
        if state.closed {
            return None;
        }
        let id = state.number();
        codec::put(&mut state.out, id, kind, message);
        state.pending.insert(id, Pending { answer: tell, begun: None });
        drop(state);
        self.news.notify_one();
        Some(Sent { lane: self.clone(), id, answer })
    }

    pub(super) fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// Ends it; what had no answer has none.
    pub(super) fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        let pending = std::mem::take(&mut state.pending);
        drop(state);
        self.news.notify_one();
        for Pending { answer, .. } in pending.into_values() {
            let why = Failure::Unreachable("its worker has ended".to_owned());
            // Who gave the call up does not mind.
            let _ = answer.send(Err(why));
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Carries calls and answers until either side closes.
    pub(super) async fn run(self: Arc<Self>, worker: Arc<Worker>, stream: UnixStream, max: usize) {
        let closing = Closing(&self);
        if let Err(error) = self.carry(&worker, &stream, max).await {
            tracing::debug!(target: "gateway", "{}: {error}", worker.name);
        }
        drop(closing);
    }

    async fn carry(&self, worker: &Worker, stream: &UnixStream, max: usize) -> io::Result<()> {
        let (mut decoder, mut out) = (Decoder::new(max), BytesMut::new());
        loop {
            if !self.flush(stream, &mut out)? {
                return Ok(());
            }
            tokio::select! {
                biased;
                () = self.news.notified(), if out.is_empty() => continue,
                ready = stream.writable(), if !out.is_empty() => {
                    ready?;
                    continue;
                }
                ready = stream.readable() => ready?,
            }
            match stream.try_read_buf(decoder.room()) {
                Ok(0) => return Ok(()),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
                Err(error) => return Err(error),
            }
            let mut state = self.lock();
            while let Some(frame) = decoder.frame().map_err(io::Error::other)? {
                worker.heard.fetch_add(1, Ordering::Relaxed);
                state.take(frame, worker);
            }
        }
    }

    /// Sends what there is, as far as that goes at once. Whether the lane is still open.
    fn flush(&self, stream: &UnixStream, out: &mut BytesMut) -> io::Result<bool> {
        loop {
            if out.is_empty() {
                let mut state = self.lock();
                if state.closed {
                    return Ok(false);
                }
                std::mem::swap(&mut state.out, out);
            }
            if out.is_empty() {
                return Ok(true);
            }
            match stream.try_write(out) {
                Ok(written) => out.advance(written),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(true),
                Err(error) => return Err(error),
            }
        }
    }
}

impl State {
    /// A number that no call has.
    fn number(&mut self) -> u32 {
        loop {
            self.last = self.last.wrapping_add(1);
            if !self.pending.contains_key(&self.last) {
                return self.last;
            }
        }
    }

    fn take(&mut self, Frame { id, kind, payload }: Frame, worker: &Worker) {
        let answer = match kind {
            Kind::Reply => Ok(payload),
            Kind::Error => Err(Failure::Refused(String::from_utf8_lossy(&payload).into_owned())),
            Kind::Slow => {
                if let Some(pending) = self.pending.get_mut(&id)
                    && pending.begun.is_none()
                {
                    pending.begun = Some(Instant::now());
                    worker.slow.fetch_add(1, Ordering::Relaxed);
                }
                return;
            }
            _ => return,
        };
        if let Some(pending) = self.pending.remove(&id) {
            if pending.begun.is_some() {
                worker.slow.fetch_sub(1, Ordering::Relaxed);
            }
            // Who gave the call up does not mind.
            let _ = pending.answer.send(answer);
        }
    }
}

/// Closes a lane whose task ends, be it with its runtime.
struct Closing<'a>(&'a Lane);

impl Drop for Closing<'_> {
    fn drop(&mut self) {
        self.0.close();
    }
}
