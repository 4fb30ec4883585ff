//! The driver for plugin servers that speak gRPC.
//!
//! A call waits for its turn, for the server if that is being started, takes the server and the channel with
//! the fewest calls, and is sent once: only a request that has not left is given to another connection. HTTP/2
//! is h2's, the statuses are tonic's. tonic's own channel is not used: it does not say whether a request has
//! left, takes two tasks for each, and ends with its first failure where several addresses are.

use std::error::Error;
use std::fmt;
use std::pin::pin;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use prost::{DecodeError, Message};
use tokio::sync::watch::Receiver;

use super::call::{self, Answer, Trouble, unreadable};
use super::deadline::before;
use super::pool::{Picked, Pool};
use super::presence::Watched;
use super::{AddressError, GrpcConfig, Presence, health};
use crate::driver::admission::Admission;
use crate::driver::breaker::Input;
use crate::driver::figures::{Counters, Figures};
use crate::driver::{Call, Driver, Failure, reply};
use crate::wire::{Event, EventReply, Object};

const RECEIVE_MAX: usize = 4 << 20;
const SEND_MAX: usize = i32::MAX as usize;

/// How often a request that nobody has begun to work on is given to a connection.
const TRIES: usize = 3;
/// Events on their way at once.
const EVENTS: usize = 32;

const DISPATCH: &str = "/coprocess.Dispatcher/Dispatch";
const DISPATCH_EVENT: &str = "/coprocess.Dispatcher/DispatchEvent";

/// Plugin servers that speak gRPC. It connects when it is first needed, and again by itself.
pub struct Grpc {
    pool: Arc<Pool>,
    hooks: Admission,
    /// Events have turns of their own, so that no request waits for one.
    events: Admission,
    presence: Option<Watched>,
    counters: Counters,
    receive_max: usize,
    send_max: usize,
    health: bool,
}

impl fmt::Debug for Grpc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Grpc").field("pool", &self.pool).finish_non_exhaustive()
    }
}

impl Grpc {
    /// Reads the addresses; nothing is connected.
    pub fn open(config: &GrpcConfig) -> Result<Self, AddressError> {
        let or = |value, default| if value == 0 { default } else { value };
        Ok(Self {
            pool: Arc::new(Pool::new(config)?),
            hooks: Admission::new(config.max_in_flight, config.queue, config.queue_timeout),
            events: Admission::new(EVENTS, config.queue, config.queue_timeout),
            presence: None,
            counters: Counters::default(),
            receive_max: or(config.receive_max, RECEIVE_MAX),
            send_max: or(config.send_max, SEND_MAX),
            health: config.health,
        })
    }

    /// Makes calls wait for a server that is being started, and fail at once while it is gone. For servers
    /// that are coprocesses of one's own.
    #[must_use]
    pub fn awaiting(self, presence: Receiver<Presence>) -> Self {
        Self { presence: Some(Watched::new(presence)), ..self }
    }

    /// What has been done so far.
    pub fn figures(&self) -> Figures {
        self.counters.read(self.hooks.in_flight(), self.hooks.queued())
    }

    /// A call and its place in the figures. Its message was written before anything waits, so that what waits
    /// is small.
    async fn counted<R>(
        &self,
        turns: &Admission,
        path: &'static str,
        body: Result<Bytes, Failure>,
        deadline: Instant,
        trace: &[(&'static str, String)],
        read: impl FnOnce(Bytes) -> Result<R, DecodeError>,
    ) -> Result<R, Failure> {
        let begun = Instant::now();
        let answer = match body {
            Ok(body) => self.call(turns, path, body, deadline, trace).await,
            Err(failure) => Err(failure),
        };
        let answer = answer.and_then(|message| Ok(read(message).map_err(unreadable)?));
        self.counters.count(begun.elapsed(), answer.as_ref().err());
        answer
    }

    fn framed(&self, message: &[u8]) -> Result<Bytes, Failure> {
        let (length, max) = (message.len(), self.send_max);
        if length > max {
            return Err(Failure::TooLarge(format!("{length} bytes to send, {max} are allowed")));
        }
        Ok(call::framed(message)?)
    }

    async fn call(
        &self,
        turns: &Admission,
        path: &'static str,
        body: Bytes,
        deadline: Instant,
        trace: &[(&'static str, String)],
    ) -> Result<Bytes, Failure> {
        let _turn = turns.admit(deadline).await?;
        if let Some(presence) = &self.presence
            && presence.up(deadline).await?
        {
            self.pool.renew();
        }
        let picked = self.pool.pick(deadline).await?;
        if self.health {
            health::ensure(&picked.peer);
        }
        let outcome = {
            let answer = pin!(self.exchange(&picked, path, body, deadline, trace));
            before(deadline, answer).await
        };
        let failure = match outcome {
            Some(Ok(answer)) => {
                picked.permit.settle(Input::Answered);
                return Ok(answer);
            }
            Some(Err(trouble)) => Failure::from(trouble),
            None => Failure::Late,
        };
        picked.permit.settle(match failure {
            Failure::Unreachable(_) => Input::Broken,
            Failure::Late => Input::Late,
            _ => Input::Answered,
        });
        Err(failure)
    }

    /// Sends a call and waits for its answer. One that nobody has begun to work on, as none does that finds
    /// its connection closed, goes to the next connection.
    async fn exchange(
        &self,
        picked: &Picked,
        path: &'static str,
        body: Bytes,
        deadline: Instant,
        trace: &[(&'static str, String)],
    ) -> Result<Bytes, Trouble> {
        let mut newer = None;
        let mut tries = 1;
        loop {
            let sender = newer.as_ref().unwrap_or(&picked.sender);
            // The head is made where nothing waits, so that what waits is small.
            let sent = call::ready(sender).await.and_then(|mut requests| {
                let head = call::head(&picked.peer.authority, path, Some(deadline), trace);
                call::send(sender, &mut requests, head, body.clone())
            });
            let begun = match sent {
                Ok(response) => Answer::begin(response, self.receive_max).await,
                Err(trouble) => Err(trouble),
            };
            match begun {
                Ok(answer) => return only(answer).await,
                Err(Trouble::Unsent(_)) if tries < TRIES => tries += 1,
                Err(trouble) => return Err(trouble),
            }
            let sender = picked.channel.sender().await;
            newer = Some(sender.map_err(|why| Trouble::Unsent(why.to_string()))?);
        }
    }
}

/// The one message of an answer that ends well.
async fn only(mut answer: Answer) -> Result<Bytes, Trouble> {
    let message = answer.message().await?;
    answer.end().await?;
    message.ok_or_else(|| Trouble::Unreadable("there is no message".to_owned()))
}

impl Driver for Grpc {
    fn dispatch<'a>(&'a self, call: Call<'a>) -> BoxFuture<'a, Result<Object, Failure>> {
        let (body, kind) = (self.framed(&call.object.bytes), call.object.kind);
        let read = move |answer| reply::read(kind, answer);
        Box::pin(self.counted(&self.hooks, DISPATCH, body, call.deadline, call.trace, read))
    }

    fn dispatch_event<'a>(
        &'a self,
        event: Event,
        deadline: Instant,
    ) -> BoxFuture<'a, Result<(), Failure>> {
        let body = self.framed(&event.encode_to_vec());
        let read = |answer| EventReply::decode(answer).map(|EventReply {}| ());
        Box::pin(self.counted(&self.events, DISPATCH_EVENT, body, deadline, &[], read))
    }

    /// Servers keep their hooks themselves: only names are looked up anew.
    fn reload<'a>(&'a self) -> BoxFuture<'a, Result<(), Failure>> {
        self.pool.hurry();
        Box::pin(std::future::ready(Ok(())))
    }
}

/// An error with all that it came from.
pub(super) fn said(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let words = error.to_string();
        // Some repeat what they wrap.
        if !text.contains(&words) {
            text = format!("{text}: {words}");
        }
        cause = error.source();
    }
    text
}
