//! The way of pairs to the client, to the last send and the close.

use std::task::{Context, Poll, ready};

use rustix::io::Errno;
use rustix::net::{SendFlags, send};

use super::{Connection, TURN};
use crate::figures::add;
use crate::queue::SEND;
use crate::session::Input;

impl Connection {
    /// Sends pairs straight away if they fill a send and nothing is before them.
    pub(super) fn put(&mut self, pairs: &[u8], cx: &mut Context<'_>) {
        let mut rest = pairs;
        if self.queue.is_empty()
            && pairs.len() > SEND / 2
            // The queue meets an error again.
            && let Poll::Ready(Ok(sent)) = self.poll_write(pairs, cx)
        {
            rest = &pairs[sent..];
        }
        if !rest.is_empty() {
            self.queue.push(rest);
        }
    }

    /// Sends what is in the queue. The last of the answer is followed by the close, with nothing
    /// between the two.
    pub(super) fn poll_send(&mut self, cx: &mut Context<'_>) -> bool {
        let mut moved = 0;
        let knew_of_room = self.socket.room().is_some();
        while moved < TURN && !self.queue.is_empty() {
            if self.answered && self.queue.is_last() {
                return self.send_last(cx) || moved > 0;
            }
            let queue = std::mem::take(&mut self.queue);
            let sent = self.poll_write(queue.front(), cx);
            self.queue = queue;
            match sent {
                Poll::Ready(Ok(sent)) => {
                    self.queue.consume(sent);
                    moved += sent;
                }
                Poll::Ready(Err(_)) => {
                    self.lose_client();
                    return true;
                }
                Poll::Pending => break,
            }
        }
        // One that the event loop knows anew is to be asked anew for all that it is to tell of.
        moved > 0 || knew_of_room != self.socket.room().is_some()
    }

    /// Whether the client may take something just now; where it never was full, sending is to show it.
    fn poll_writable(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match self.socket.room().map(|socket| socket.poll_write_ready(cx)) {
            None | Some(Poll::Ready(_)) => Poll::Ready(()),
            Some(Poll::Pending) if self.parked => Poll::Ready(()),
            Some(Poll::Pending) => Poll::Pending,
        }
    }

    /// Sends bytes as far as the client takes them now. Linux takes a send of this size as a whole or
    /// not at all.
    fn poll_write(&mut self, bytes: &[u8], cx: &mut Context<'_>) -> Poll<Result<usize, Errno>> {
        loop {
            ready!(self.poll_writable(cx));
            let Some(socket) = self.socket.fd() else { return Poll::Pending };
            match send(socket, bytes, SendFlags::NOSIGNAL | SendFlags::DONTWAIT) {
                Ok(sent) => {
                    add(&self.worker.served.figures.bytes_out, sent);
                    return Poll::Ready(Ok(sent));
                }
                Err(Errno::AGAIN) => {
                    self.parked = false;
                    match self.socket.room() {
                        Some(socket) => {
                            if let Poll::Ready(Ok(mut guard)) = socket.poll_write_ready(cx) {
                                guard.clear_ready();
                            }
                        }
                        None => {
                            let watched = self.socket.take().map(|fd| self.socket.watch_room(fd));
                            if let Some(Err(_)) = watched {
                                return Poll::Ready(Err(Errno::NOBUFS));
                            }
                        }
                    }
                }
                Err(Errno::INTR) => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }

    /// Sends the last of the answer, and closes.
    fn send_last(&mut self, cx: &mut Context<'_>) -> bool {
        if self.poll_writable(cx).is_pending() {
            return false;
        }
        // Off the runtime first, and free for the next one: nothing is to come between send and close.
        let Some(client) = self.socket.take() else { return false };
        self.permit = None;
        let sent = loop {
            let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
            match send(&client, self.queue.front(), flags) {
                Err(Errno::INTR) => {}
                other => break other,
            }
        };
        match sent {
            Ok(sent) if sent == self.queue.front().len() => {
                match self.request.has_ended() || self.input_ended {
                    true => drop(client),
                    false => {
                        // Of a request that broke the protocol no end mark is awaited.
                        let request = self.heeded.then(|| std::mem::take(&mut self.request));
                        self.worker.part(client, request);
                    }
                }
                self.queue.consume(sent);
                add(&self.worker.served.figures.bytes_out, sent);
                self.tell(Input::Delivered);
                return true;
            }
            Ok(sent) => {
                self.queue.consume(sent);
                add(&self.worker.served.figures.bytes_out, sent);
            }
            Err(Errno::AGAIN) => {}
            Err(_) => {
                self.lose_client();
                return true;
            }
        }
        self.parked = false;
        if self.socket.watch_room(client).is_err() {
            self.lose_client();
        }
        true
    }
}
