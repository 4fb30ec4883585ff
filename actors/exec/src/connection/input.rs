//! The way from the client: its request, stdin, and its leaving.

use std::fmt;
use std::os::fd::BorrowedFd;
use std::task::{Context, Poll};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};

use super::Connection;
use crate::figures::{add, count};
use crate::protocol::Said;
use crate::session::{HalfClose, Input};

impl Connection {
    /// Reads what the client sends.
    pub(super) fn poll_input(&mut self, cx: &mut Context<'_>) -> bool {
        if self.input_ended || !self.stdin.has_room() {
            return false;
        }
        let worker = self.worker.clone();
        let mut scratch = worker.scratch.borrow_mut();
        // What a client sends is mostly there when it is accepted.
        let fresh = std::mem::take(&mut self.fresh);
        if !fresh {
            self.socket.listen();
        }
        let mut guard = match self.socket.heard().map(|socket| socket.poll_read_ready(cx)) {
            Some(Poll::Ready(Ok(guard))) => Some(guard),
            Some(Poll::Pending) => return false,
            None if fresh => None,
            Some(Poll::Ready(Err(_))) | None => {
                drop(scratch);
                self.lose_client();
                return true;
            }
        };
        let Some(socket) = self.socket.fd() else { return false };
        match recv(socket, &mut scratch[..], RecvFlags::DONTWAIT) {
            Ok((0, _)) => {
                self.input_ended = true;
                self.gone = is_gone(socket);
                let ends_stdin = worker.served.config.half_close == HalfClose::StdinEof;
                match self.gone {
                    true => self.tell(Input::FullClosed),
                    false if ends_stdin && self.heeded && self.request.is_cut() => {
                        self.refuse(&"it ends within a string");
                    }
                    false => self.tell(Input::HalfClosed),
                }
            }
            Ok((read, _)) => {
                if let (Some(guard), true) = (&mut guard, read < scratch.len()) {
                    guard.clear_ready();
                }
                add(&worker.served.figures.bytes_in, read);
                self.hear(&scratch[..read]);
            }
            // Nobody wakes this task for more until the next turn has asked for it.
            Err(Errno::AGAIN) => {
                if let Some(guard) = &mut guard {
                    guard.clear_ready();
                }
            }
            Err(Errno::INTR) => {}
            Err(_) => self.lose_client(),
        }
        true
    }

    fn hear(&mut self, mut bytes: &[u8]) {
        while self.heeded && !self.session.is_closed() {
            match self.request.next(&mut bytes) {
                Ok(None) => return,
                Ok(Some(Said::Arguments(argv))) => {
                    self.argv = argv;
                    self.tell(Input::Arguments);
                }
                Ok(Some(Said::Stdin(bytes))) => self.stdin.write(bytes),
                Ok(Some(Said::EndMark)) => self.tell(Input::EndMark),
                Err(violation) => self.refuse(&violation),
            }
        }
    }

    /// Heeds nothing more of a request that breaks the protocol.
    fn refuse(&mut self, why: &dyn fmt::Display) {
        count(&self.worker.served.figures.protocol_errors);
        let (pid, uid) = self.peer;
        let name = self.worker.served.name();
        tracing::debug!(target: "exec", "{name}: uid {uid}, pid {pid}: {why}");
        self.heeded = false;
        self.tell(Input::Violation);
    }

    /// Learns that a client is gone while nothing is read from it.
    pub(super) fn poll_hang_up(&mut self, cx: &mut Context<'_>) -> bool {
        if self.gone || (!self.input_ended && self.stdin.has_room()) {
            return false;
        }
        self.socket.listen();
        let Some(socket) = self.socket.heard() else { return false };
        let Poll::Ready(Ok(mut guard)) = socket.poll_write_ready(cx) else { return false };
        if guard.ready().is_write_closed() {
            drop(guard);
            self.lose_client();
            return true;
        }
        if self.queue.is_empty() {
            guard.clear_ready();
            self.parked = true;
            // The next turn asks to be woken by the next change.
            return true;
        }
        false
    }

    pub(super) fn lose_client(&mut self) {
        self.input_ended = true;
        self.gone = true;
        self.tell(Input::FullClosed);
    }
}

/// Whether the other end is closed as a whole, and not for sending alone.
fn is_gone(socket: BorrowedFd<'_>) -> bool {
    let mut asked = [PollFd::from_borrowed_fd(socket, PollFlags::empty())];
    let looked = poll(&mut asked, Some(&Timespec::default()));
    looked.is_ok() && asked[0].revents().contains(PollFlags::HUP)
}
