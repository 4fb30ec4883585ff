//! One connection: it moves the bytes of one run and carries out what its [`Session`] decides.
//!
//! Stdin, stdout and stderr are three flows; each turn moves a bounded number of bytes of each, and
//! none waits for another. What is read from the program and what comes at its end leave together if
//! they are there together, so that a short run is answered with one send.

mod answer;
mod input;
mod output;
mod program;
mod socket;

use std::future::poll_fn;
use std::io::IoSliceMut;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use coproc_core::process::{Leader, StageReport};
use coproc_core::threads::Stop;
use tokio::time::Instant;

use crate::arguments::Arguments;
use crate::figures::{Permit, Run};
use crate::protocol::{MAX_VALUE, PAIRS, Request, Stream};
use crate::queue::{HIGH, LOW, Queue, SEND};
use crate::session::{Input, Rules, Session, Timer};
use crate::stdin::Stdin;
use crate::timers::Timers;
use crate::worker::{Orders, Worker};
use output::Output;
use socket::Socket;

/// How many turns are taken before others get theirs.
const TURNS: usize = 4;
/// How much of one stream is read in one turn.
const TURN: usize = 64 << 10;

/// One connection.
pub(crate) struct Connection {
    worker: Rc<Worker>,
    orders: Rc<Orders>,
    session: Session,
    timers: Timers,
    accepted: Instant,
    kill_timeout: Duration,
    /// When TERM was sent.
    ending_since: Option<Instant>,
    permit: Option<Permit>,
    /// Pid and uid of the client.
    peer: (i32, u32),

    socket: Socket,
    request: Request,
    /// Nothing was read yet.
    fresh: bool,
    /// It was writable when its readiness was cleared, to be woken by the next change.
    parked: bool,
    /// What the client sends still counts.
    heeded: bool,
    /// The client sends no more.
    input_ended: bool,
    /// The client is known to be gone.
    gone: bool,

    argv: Arguments,
    leader: Option<Leader>,
    leader_ended: bool,
    stage: Option<StageReport>,
    stdin: Stdin,
    stdout: Output,
    stderr: Output,
    /// A stream has just ended: the other mostly has as well, and is looked at before it says so.
    ending: bool,
    /// The line and the code that tell why the program could not be started.
    failure: Option<(Vec<u8>, i32)>,
    run: Option<Run>,
    arguments: usize,

    queue: Queue,
    /// Output waits for the queue to fall.
    paused: bool,
    /// Output is read and not sent.
    discard: bool,
    /// The last of the answer is in the queue.
    answered: bool,
}

impl Connection {
    pub(crate) fn new(
        worker: Rc<Worker>,
        client: OwnedFd,
        permit: Permit,
        orders: Rc<Orders>,
        peer: (i32, u32),
    ) -> Self {
        let config = &worker.served.config;
        let rules = Rules {
            half_close: config.half_close,
            exec_failure: config.exec_failure,
            drains: config.drain.is_some(),
        };
        let accepted = Instant::now();
        let mut timers = Timers::new();
        timers.arm(Timer::Header, accepted, config.header_timeout);
        if let Some(timeout) = config.timeout {
            timers.arm(Timer::Deadline, accepted, timeout);
        }
        Self {
            kill_timeout: config.kill_timeout,
            ending_since: None,
            orders,
            session: Session::new(rules),
            timers,
            accepted,
            permit: Some(permit),
            peer,
            socket: Socket::Plain(client),
            request: Request::default(),
            fresh: true,
            parked: false,
            heeded: true,
            input_ended: false,
            gone: false,
            argv: Arguments::default(),
            leader: None,
            leader_ended: false,
            stage: None,
            stdin: Stdin::default(),
            stdout: Output::Ended,
            stderr: Output::Ended,
            ending: false,
            failure: None,
            run: None,
            arguments: 0,
            queue: Queue::default(),
            paused: false,
            discard: false,
            answered: false,
            worker,
        }
    }

    /// Serves the client until the connection is over.
    pub(crate) async fn run(mut self) {
        poll_fn(|cx| self.poll(cx)).await;
        self.permit = None;
        if let Some(socket) = self.socket.take()
            && !self.input_ended
            && !self.gone
        {
            self.worker.part(socket, None);
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.orders.listen(cx.waker());
        for _ in 0..TURNS {
            let mut moved = self.poll_orders();
            while let Poll::Ready(timer) = self.timers.poll(cx) {
                // What still holds the output is waited for no longer: the status is told if there is one.
                if timer == Timer::Patience {
                    self.look_for_end();
                }
                self.tell(Input::Passed(timer));
                moved = true;
            }
            moved |= self.poll_input(cx);
            moved |= self.poll_hang_up(cx);
            moved |= self.stdin.poll(cx);
            moved |= self.poll_output(Stream::Stdout, cx);
            moved |= self.poll_output(Stream::Stderr, cx);
            moved |= self.poll_end(cx);
            // What is short waits for what may come with it in the same moment.
            if !moved || self.answered || self.queue.len() >= SEND {
                moved |= self.poll_send(cx);
            }
            if self.session.is_closed() {
                return Poll::Ready(());
            }
            if !moved {
                return Poll::Pending;
            }
        }
        self.poll_send(cx);
        if self.session.is_closed() {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn poll_orders(&mut self) -> bool {
        match self.orders.take() {
            Some(Stop::InOrder) => self.tell(Input::Stop),
            Some(Stop::Now | Stop::Left) => self.tell(Input::Kill),
            Some(Stop::Not) | None => return false,
        }
        true
    }

    /// Reads a stream of the program.
    fn poll_output(&mut self, stream: Stream, cx: &mut Context<'_>) -> bool {
        self.paused = match self.paused {
            true => self.queue.len() > LOW,
            false => self.queue.len() >= HIGH,
        };
        let worker = self.worker.clone();
        let mut frame = worker.frame.borrow_mut();
        let mut moved = 0;
        while !self.paused && moved < TURN {
            let output = match stream {
                Stream::Stdout => &mut self.stdout,
                Stream::Stderr => &mut self.stderr,
            };
            if output.is_ended() {
                break;
            }
            let read = {
                let mut values = frame.values().map(IoSliceMut::new);
                output.poll_read(&mut values, PAIRS * MAX_VALUE, &mut self.ending, cx)
            };
            match read {
                Poll::Pending => break,
                Poll::Ready(Ok(read)) if read > 0 => {
                    moved += read;
                    if !self.discard {
                        self.put(frame.close(stream, read), cx);
                    }
                    continue;
                }
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(error)) => {
                    tracing::error!(target: "exec", "an output is cut short: {error}");
                }
            }
            *output = Output::Ended;
            self.ending = true;
            self.tell(Input::OutputEnded(stream));
            return true;
        }
        moved > 0
    }

    /// Learns what the stage has to say, and then how the program ended.
    fn poll_end(&mut self, cx: &mut Context<'_>) -> bool {
        let mut moved = false;
        if let Some(stage) = &mut self.stage {
            let Poll::Ready(failure) = stage.poll_failure(cx) else { return false };
            self.stage = None;
            moved = true;
            if let Some(error) = failure {
                self.fail(&error);
                self.tell(Input::ExecFailed);
            }
        }
        let awaited = self.is_silent() || self.worker.served.config.drain.is_some();
        if let Some(leader) = &self.leader
            && !self.leader_ended
            && awaited
            && let Poll::Ready(status) = leader.poll_ended(cx)
        {
            self.leader_ended = true;
            self.tell(Input::LeaderEnded(status));
            moved = true;
        }
        moved
    }

    /// Nobody holds the program's outputs any more: its end has come, or is all that is waited for.
    fn is_silent(&self) -> bool {
        self.stdout.is_ended() && self.stderr.is_ended()
    }

    /// Learns of an end that nothing has woken this task for.
    fn look_for_end(&mut self) {
        if let Some(leader) = &self.leader
            && !self.leader_ended
            && let Some(status) = leader.look()
        {
            self.leader_ended = true;
            self.tell(Input::LeaderEnded(status));
        }
    }
}
