//! One connection: it moves the bytes of one run and carries out what its [`Session`] decides.
//!
//! Stdin, stdout and stderr are three flows; each turn moves a bounded number of bytes of each, and
//! none waits for another. What is read from the program and what comes at its end leave together if
//! they are there together, so that a short run is answered with one send.

use std::ffi::{CString, OsStr};
use std::future::poll_fn;
use std::io::{self, IoSliceMut};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use coproc_core::process::{Leader, SpawnError, StageReport, Step, watch};
use coproc_core::signal::Signal;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::time::Instant;

use crate::allow::{Allowance, quote};
use crate::config::KillScope;
use crate::figures::{Permit, Run, add, count};
use crate::protocol::{MAX_VALUE, PAIRS, Request, Said, Stream, encode_output, encode_status};
use crate::queue::{HIGH, LOW, Queue, SEND};
use crate::server::{Happened, Stop};
use crate::session::{Answer, Effect, Input, Rules, Session, Sweep, Timer};
use crate::stdin::Stdin;
use crate::timers::Timers;
use crate::worker::{Orders, Worker};

/// How many turns are taken before others get theirs.
const TURNS: usize = 4;
/// How much of one stream is read in one turn.
const TURN: usize = 64 << 10;
/// What came before a protocol error may be answered for this long.
const COURTESY: Duration = Duration::from_millis(100);
/// How long what was killed may hold its output.
const PATIENCE: Duration = Duration::from_secs(1);
/// The longest part of a client's words in a line of the log, in bytes.
const SHOWN: usize = 256;

/// One connection.
pub(crate) struct Connection {
    worker: Rc<Worker>,
    orders: Rc<Orders>,
    session: Session,
    timers: Timers,
    accepted: Instant,
    kill_timeout: Duration,
    permit: Option<Permit>,
    /// Pid and uid of the client.
    peer: (i32, u32),

    /// `None` once it was closed or handed on.
    socket: Option<AsyncFd<OwnedFd>>,
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

    argv: Vec<CString>,
    leader: Option<Leader>,
    leader_ended: bool,
    stage: Option<StageReport>,
    stdin: Stdin,
    stdout: Option<AsyncFd<OwnedFd>>,
    stderr: Option<AsyncFd<OwnedFd>>,
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
    ) -> io::Result<Self> {
        let config = &worker.served.config;
        let rules = Rules {
            half_close: config.half_close,
            exec_failure: config.exec_failure,
            drains: config.drain.is_some(),
        };
        let socket = watch(client, Interest::READABLE | Interest::WRITABLE)?;
        let accepted = Instant::now();
        let mut timers = Timers::new();
        timers.arm(Timer::Header, accepted, config.header_timeout);
        if let Some(timeout) = config.timeout {
            timers.arm(Timer::Deadline, accepted, timeout);
        }
        Ok(Self {
            kill_timeout: config.kill_timeout,
            orders,
            session: Session::new(rules),
            timers,
            accepted,
            permit: Some(permit),
            peer,
            socket: Some(socket),
            request: Request::default(),
            fresh: true,
            parked: false,
            heeded: true,
            input_ended: false,
            gone: false,
            argv: Vec::new(),
            leader: None,
            leader_ended: false,
            stage: None,
            stdin: Stdin::default(),
            stdout: None,
            stderr: None,
            failure: None,
            run: None,
            arguments: 0,
            queue: Queue::default(),
            paused: false,
            discard: false,
            answered: false,
            worker,
        })
    }

    /// Serves the client until the connection is over.
    pub(crate) async fn run(mut self) {
        poll_fn(|cx| self.poll(cx)).await;
        self.permit = None;
        if let Some(socket) = self.socket.take()
            && !self.input_ended
            && !self.gone
        {
            self.worker.part(socket.into_inner(), None);
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.orders.listen(cx.waker());
        for _ in 0..TURNS {
            let mut moved = self.poll_orders();
            while let Poll::Ready(timer) = self.timers.poll(cx) {
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
            if !moved || self.queue.len() >= SEND {
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
            Some(Stop::Now) => self.tell(Input::Kill),
            Some(Stop::Not) | None => return false,
        }
        true
    }

    /// Reads what the client sends.
    fn poll_input(&mut self, cx: &mut Context<'_>) -> bool {
        if self.input_ended || !self.stdin.has_room() {
            return false;
        }
        let worker = self.worker.clone();
        let mut scratch = worker.scratch.borrow_mut();
        let Some(socket) = &self.socket else { return false };
        // What a client sends is mostly there when it is accepted.
        let mut guard = match std::mem::take(&mut self.fresh) {
            true => None,
            false => match socket.poll_read_ready(cx) {
                Poll::Ready(Ok(guard)) => Some(guard),
                Poll::Ready(Err(_)) | Poll::Pending => return false,
            },
        };
        match recv(socket, &mut scratch[..], RecvFlags::DONTWAIT) {
            Ok((0, _)) => {
                self.input_ended = true;
                self.gone = is_gone(socket);
                self.tell(if self.gone { Input::FullClosed } else { Input::HalfClosed });
            }
            Ok((read, _)) => {
                if let (Some(guard), true) = (&mut guard, read < scratch.len()) {
                    guard.clear_ready();
                }
                add(&worker.served.figures.bytes_in, read);
                self.hear(&scratch[..read]);
            }
            Err(Errno::AGAIN) => {
                if let Some(guard) = &mut guard {
                    guard.clear_ready();
                }
                return guard.is_none();
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
                Err(violation) => {
                    count(&self.worker.served.figures.protocol_errors);
                    let (pid, uid) = self.peer;
                    let name = self.worker.served.name();
                    tracing::debug!(target: "exec", "{name}: uid {uid}, pid {pid}: {violation}");
                    self.heeded = false;
                    self.tell(Input::Violation);
                }
            }
        }
    }

    /// Learns that a client is gone while nothing is read from it.
    fn poll_hang_up(&mut self, cx: &mut Context<'_>) -> bool {
        if self.gone || (!self.input_ended && self.stdin.has_room()) {
            return false;
        }
        let Some(socket) = &self.socket else { return false };
        let Poll::Ready(Ok(mut guard)) = socket.poll_write_ready(cx) else { return false };
        if guard.ready().is_write_closed() {
            drop(guard);
            self.lose_client();
            return true;
        }
        if self.queue.is_empty() {
            guard.clear_ready();
            self.parked = true;
        }
        false
    }

    fn lose_client(&mut self) {
        self.input_ended = true;
        self.gone = true;
        self.tell(Input::FullClosed);
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
            let pipe = match stream {
                Stream::Stdout => &self.stdout,
                Stream::Stderr => &self.stderr,
            };
            let Some(pipe) = pipe else { break };
            let Poll::Ready(Ok(mut guard)) = pipe.poll_read_ready(cx) else { break };
            let read = {
                let mut values = frame.values().map(IoSliceMut::new);
                rustix::io::readv(pipe, &mut values)
            };
            match read {
                Ok(0) => {}
                Ok(read) => {
                    if read < PAIRS * MAX_VALUE {
                        guard.clear_ready();
                    }
                    moved += read;
                    if !self.discard {
                        self.put(frame.close(stream, read), cx);
                    }
                    continue;
                }
                Err(Errno::AGAIN) => {
                    guard.clear_ready();
                    break;
                }
                Err(Errno::INTR) => continue,
                // As good as its end.
                Err(_) => {}
            }
            match stream {
                Stream::Stdout => self.stdout = None,
                Stream::Stderr => self.stderr = None,
            }
            self.tell(Input::OutputEnded(stream));
            return true;
        }
        moved > 0
    }

    /// Sends pairs straight away if they fill a send and nothing is before them.
    fn put(&mut self, pairs: &[u8], cx: &mut Context<'_>) {
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
        if let Some(leader) = &self.leader
            && !self.leader_ended
            && let Poll::Ready(status) = leader.poll_ended(cx)
        {
            self.leader_ended = true;
            self.tell(Input::LeaderEnded(status));
            moved = true;
        }
        moved
    }

    /// Sends what is in the queue. The last of the answer is followed by the close, with nothing
    /// between the two.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> bool {
        let mut moved = 0;
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
        moved > 0
    }

    /// Whether the client takes anything just now.
    fn poll_writable(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match self.socket.as_ref().map(|socket| socket.poll_write_ready(cx)) {
            Some(Poll::Ready(_)) => Poll::Ready(()),
            Some(Poll::Pending) if self.parked => Poll::Ready(()),
            Some(Poll::Pending) | None => Poll::Pending,
        }
    }

    /// Sends bytes as far as the client takes them now.
    fn poll_write(&mut self, bytes: &[u8], cx: &mut Context<'_>) -> Poll<Result<usize, Errno>> {
        loop {
            ready!(self.poll_writable(cx));
            let Some(socket) = &self.socket else { return Poll::Pending };
            match send(socket, bytes, SendFlags::NOSIGNAL | SendFlags::DONTWAIT) {
                Ok(sent) => {
                    add(&self.worker.served.figures.bytes_out, sent);
                    return Poll::Ready(Ok(sent));
                }
                Err(Errno::AGAIN) => {
                    self.parked = false;
                    if let Poll::Ready(Ok(mut guard)) = socket.poll_write_ready(cx) {
                        guard.clear_ready();
                    }
                }
                Err(Errno::INTR) => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }

    fn send_last(&mut self, cx: &mut Context<'_>) -> bool {
        if self.poll_writable(cx).is_pending() {
            return false;
        }
        // Off the runtime first, and free for the next one: nothing is to come between send and close.
        let Some(client) = self.socket.take().map(AsyncFd::into_inner) else { return false };
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
                match self.request.has_ended() || self.input_ended || !self.heeded {
                    true => drop(client),
                    false => self.worker.part(client, Some(std::mem::take(&mut self.request))),
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
        match watch(client, Interest::READABLE | Interest::WRITABLE) {
            Ok(socket) => self.socket = Some(socket),
            Err(_) => self.lose_client(),
        }
        true
    }

    fn tell(&mut self, input: Input) {
        let mut effects = Vec::new();
        self.session.step(input, &mut effects);
        if self.session.timed_out()
            && matches!(input, Input::Passed(Timer::Header | Timer::Deadline))
        {
            count(&self.worker.served.figures.timed_out);
        }
        for effect in effects {
            self.perform(effect);
        }
    }

    fn perform(&mut self, effect: Effect) {
        match effect {
            Effect::Start => self.start(),
            Effect::EndStdin => self.stdin.end(),
            Effect::DropStdin => self.stdin.close(),
            Effect::IgnoreInput => self.heeded = false,
            Effect::DiscardOutput => {
                self.discard = true;
                self.queue.clear();
            }
            Effect::Signal(signal) => self.signal(signal),
            Effect::Arm(timer) => self.arm(timer),
            Effect::Disarm(timer) => self.timers.disarm(timer),
            Effect::Release(sweep) => self.release(sweep),
            Effect::Answer(answer) => {
                let mut pairs = Vec::with_capacity(64);
                match (answer, self.failure.take()) {
                    (Answer::Status(status), _) => {
                        encode_status(status, self.worker.served.config.termsig, &mut pairs);
                    }
                    (Answer::Failure, failure) => {
                        let (line, code) = failure.unwrap_or_default();
                        encode_output(Stream::Stderr, &line, &mut pairs);
                        let status = coproc_core::exit::ExitStatus::Code(code);
                        encode_status(status, self.worker.served.config.termsig, &mut pairs);
                    }
                }
                self.queue.push(&pairs);
                self.answered = true;
            }
            Effect::Close => {}
        }
    }

    fn arm(&mut self, timer: Timer) {
        let time = match timer {
            Timer::Courtesy => COURTESY,
            Timer::Kill => self.kill_timeout,
            Timer::Patience => PATIENCE,
            Timer::Drain => self.worker.served.config.drain.unwrap_or(Duration::MAX),
            Timer::Delivery => self.kill_timeout.saturating_add(PATIENCE),
            // Armed when the connection was accepted.
            Timer::Header | Timer::Deadline => return,
        };
        self.timers.arm(timer, Instant::now(), time);
    }

    fn signal(&mut self, signal: Signal) {
        let Some(leader) = &self.leader else { return };
        if signal == Signal::KILL {
            count(&self.worker.served.figures.killed);
        }
        match self.worker.served.config.kill_scope {
            KillScope::Group => leader.signal(signal),
            KillScope::Leader => {
                leader.signal_alone(signal);
                leader.signal_alone(Signal::CONT);
            }
        }
    }

    fn start(&mut self) {
        let argv = std::mem::take(&mut self.argv);
        self.arguments = argv.len();
        let served = self.worker.served.clone();
        let name = OsStr::from_bytes(argv.first().map_or(&[], |name| name.as_bytes()));
        let program: Box<str> = shown(&name.to_string_lossy()).into();
        if served.config.log_arguments {
            let mut line = Vec::new();
            for word in &argv {
                quote(OsStr::from_bytes(word.as_bytes()), &mut line);
                line.push(b' ');
            }
            let line = String::from_utf8_lossy(&line);
            tracing::debug!(target: "exec", "{}: {}", served.name(), shown(&line));
        }
        let launched = served.setting.find(name).and_then(|found| {
            let allowance = match &served.allow {
                None => Some(Allowance::default()),
                Some(allow) => allow.ask(&found, &argv),
            };
            let Some(allowance) = allowance else {
                return Err(SpawnError {
                    program: program.to_string(),
                    step: Step::Exec,
                    reason: "it is not allowed here".to_owned(),
                    code: coproc_core::exit::NOT_EXECUTABLE,
                });
            };
            Ok((allowance, served.setting.spawn(&found, argv)?))
        });
        let watched = launched.and_then(|(allowance, piped)| {
            let failed = |error: io::Error| SpawnError::descriptors(&program, &error);
            let stdout = watch(piped.stdout, Interest::READABLE).map_err(failed)?;
            let stderr = watch(piped.stderr, Interest::READABLE).map_err(failed)?;
            self.stdout = Some(stdout);
            self.stderr = Some(stderr);
            self.stdin = Stdin::new(piped.stdin);
            self.stage = piped.stage;
            Ok((allowance, piped.leader))
        });
        match watched {
            Ok((allowance, leader)) => {
                if let Some(kill_timeout) = allowance.kill_timeout {
                    self.kill_timeout = kill_timeout;
                }
                match allowance.timeout {
                    Some(Some(timeout)) => {
                        self.timers.arm(Timer::Deadline, self.accepted, timeout);
                    }
                    Some(None) => self.timers.disarm(Timer::Deadline),
                    None => {}
                }
                count(&served.figures.started);
                let (peer, uid) = self.peer;
                let (pid, started) = (leader.pid(), std::time::Instant::now());
                self.happened(|| Happened::Started { pid, program: program.clone(), uid });
                let run = Run { pid, program, uid, peer, started };
                served.figures.begin(run.clone());
                self.run = Some(run);
                self.leader = Some(leader);
                self.tell(Input::Started);
            }
            Err(error) => {
                (self.stdout, self.stderr, self.stage) = (None, None, None);
                self.fail(&error);
                self.tell(Input::NotStarted);
            }
        }
    }

    /// Notes why the program could not be started, for the client and for the log.
    fn fail(&mut self, error: &SpawnError) {
        let served = &self.worker.served;
        count(&served.figures.exec_failed);
        let reason = shown(&error.reason);
        let program = shown(&error.program);
        tracing::warn!(target: "exec", "{}: `{program}` cannot be started: {reason}", served.name());
        let code = match (error.program.is_empty(), error.code) {
            (true, _) => i32::from(coproc_core::exit::NOT_FOUND),
            (false, coproc_core::exit::FAILURE) => SERVERS_FAULT,
            (false, code) => i32::from(code),
        };
        // A client is told what its shell would say, the log where it was looked for.
        let reason = match (error.step, code) {
            (Step::Lookup, 127) => "no such file or directory".to_owned(),
            (Step::Lookup, _) => "permission denied".to_owned(),
            _ => reason,
        };
        self.failure = Some((format!("{program}: {reason}\n").into_bytes(), code));
    }

    /// Parts with the process.
    fn release(&mut self, sweep: Sweep) {
        self.stdout = None;
        self.stderr = None;
        self.stdin.close();
        self.end_run();
        let Some(leader) = self.leader.take() else { return };
        let group = self.worker.served.config.kill_scope == KillScope::Group;
        match (self.leader_ended, sweep) {
            (true, Sweep::Soon) if group => self.worker.care_for(leader.into_remains(true)),
            (true, _) => drop(leader.into_remains(group)),
            // It hangs in the kernel; its group is gone.
            (false, _) => drop(tokio::task::spawn_local(async move {
                leader.ended().await;
                drop(leader.into_remains(group));
            })),
        }
    }

    /// Tells of the end of the run.
    fn end_run(&mut self) {
        let Some(run) = self.run.take() else { return };
        let served = &self.worker.served;
        served.figures.end(run.pid);
        let status = self.session.status();
        let timed_out = self.session.timed_out();
        let shown = status.map_or("no status".to_owned(), |status| status.to_string());
        tracing::debug!(
            target: "exec",
            "{}: uid {}, pid {}: `{}` with {} words: {shown} after {} ms{}",
            served.name(),
            run.uid,
            run.peer,
            run.program,
            self.arguments,
            run.started.elapsed().as_millis(),
            if timed_out { ", its time was over" } else { "" },
        );
        let Run { pid, program, .. } = run;
        self.happened(|| Happened::Exited { pid, program, status, timed_out });
    }

    fn happened(&self, what: impl FnOnce() -> Happened) {
        if let Some(events) = &self.worker.events
            && events.try_send(what()).is_err()
        {
            tracing::warn!(target: "exec", "an event is passed over: too many wait already");
        }
    }
}

impl Drop for Connection {
    /// Whatever ends the connection, its run is over: the process goes with its `Leader`.
    fn drop(&mut self) {
        self.end_run();
    }
}

/// The exit code that tells of a failure of ours.
const SERVERS_FAULT: i32 = 125;

/// Whether the other end is closed as a whole, and not for sending alone.
fn is_gone(socket: &AsyncFd<OwnedFd>) -> bool {
    let mut asked = [PollFd::new(socket, PollFlags::empty())];
    let looked = poll(&mut asked, Some(&Timespec::default()));
    looked.is_ok() && asked[0].revents().contains(PollFlags::HUP)
}

/// A client's words, short enough for a line of the log and without control characters.
fn shown(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        let shown = coproc_core::scalar::printable(c.encode_utf8(&mut [0; 4]));
        if out.len() + shown.len() > SHOWN {
            out.push('…');
            break;
        }
        out.push_str(&shown);
    }
    out
}
