//! The driver for plugin servers that speak gRPC.
//!
//! A call waits for its turn, for the server if that is being started, takes the server and the channel with
//! the fewest calls, and is sent once: only a request that has not left is given to another connection. HTTP/2
//! is hyper's, its messages are tonic's. tonic's own channel is not used: it does not say whether a request has
//! left, takes one hop more for each, and ends with its first failure where several addresses are.

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use futures_util::future::BoxFuture;
use http::uri::PathAndQuery;
use prost::Message;
use tokio::sync::watch::Receiver;
use tokio::time::timeout_at;
use tonic::metadata::{AsciiMetadataKey, AsciiMetadataValue};
use tonic::{Code, Request, Status};

use super::channel::Wire;
use super::codec::Sized;
use super::pool::Pool;
use super::presence::Watched;
use super::{AddressError, GrpcConfig, Presence, health};
use crate::driver::admission::Admission;
use crate::driver::breaker::Input;
use crate::driver::figures::{Counters, Figures};
use crate::driver::{Call, Driver, Failure};
use crate::wire::{Event, EventReply, Object};

const RECEIVE_MAX: usize = 4 << 20;
const SEND_MAX: usize = i32::MAX as usize;

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

    /// A call and its place in the figures.
    async fn counted<M, R>(
        &self,
        turns: &Admission,
        path: &'static str,
        message: M,
        deadline: Instant,
        trace: &[(&'static str, String)],
    ) -> Result<R, Failure>
    where
        M: Message + Send + Sync + 'static,
        R: Message + Default + Send + Sync + 'static,
    {
        let begun = Instant::now();
        let answer = self.call(turns, path, message, deadline, trace).await;
        self.counters.count(begun.elapsed(), answer.as_ref().err());
        answer
    }

    async fn call<M, R>(
        &self,
        turns: &Admission,
        path: &'static str,
        message: M,
        deadline: Instant,
        trace: &[(&'static str, String)],
    ) -> Result<R, Failure>
    where
        M: Message + Send + Sync + 'static,
        R: Message + Default + Send + Sync + 'static,
    {
        let length = message.encoded_len();
        if length > self.send_max {
            let max = self.send_max;
            return Err(Failure::TooLarge(format!("{length} bytes to send, {max} are allowed")));
        }
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
        let mut request = Request::new(message);
        request.set_timeout(deadline.saturating_duration_since(Instant::now()));
        for (name, value) in trace {
            let name = AsciiMetadataKey::from_bytes(name.as_bytes());
            if let (Ok(name), Ok(value)) = (name, AsciiMetadataValue::try_from(value)) {
                request.metadata_mut().insert(name, value);
            }
        }
        let wire = Wire { channel: picked.channel, sender: picked.sender };
        let mut client = tonic::client::Grpc::with_origin(wire, picked.peer.authority.clone())
            .max_decoding_message_size(self.receive_max);
        let codec = Sized::<M, R>::new(length);
        let answer = client.unary(request, PathAndQuery::from_static(path), codec);
        let failure = match timeout_at(deadline.into(), answer).await {
            Ok(Ok(answer)) => {
                picked.permit.settle(Input::Answered);
                return Ok(answer.into_inner());
            }
            Ok(Err(status)) => failure(&status),
            Err(_) => Failure::Late,
        };
        picked.permit.settle(match failure {
            Failure::Unreachable(_) => Input::Broken,
            Failure::Late => Input::Late,
            _ => Input::Answered,
        });
        Err(failure)
    }
}

impl Driver for Grpc {
    fn dispatch<'a>(&'a self, call: Call<'a>) -> BoxFuture<'a, Result<Object, Failure>> {
        Box::pin(self.counted(&self.hooks, DISPATCH, call.object, call.deadline, call.trace))
    }

    fn dispatch_event<'a>(
        &'a self,
        event: Event,
        deadline: Instant,
    ) -> BoxFuture<'a, Result<(), Failure>> {
        Box::pin(async move {
            let turns = &self.events;
            let told = self.counted::<_, EventReply>(turns, DISPATCH_EVENT, event, deadline, &[]);
            told.await.map(drop)
        })
    }

    /// Servers keep their hooks themselves: only names are looked up anew.
    fn reload<'a>(&'a self) -> BoxFuture<'a, Result<(), Failure>> {
        self.pool.hurry();
        Box::pin(std::future::ready(Ok(())))
    }
}

/// What a status comes to. One that was made here because something broke has that as its source; the
/// others were sent by the server, or made here of what the server sent.
fn failure(status: &Status) -> Failure {
    let message = status.message();
    if let Some(source) = status.source() {
        return Failure::Unreachable(said(source));
    }
    // Servers say in many ways, and with several codes, that they do not take so much.
    let large = ["message length too large", "larger than max", "exceeds maximum size"];
    if large.iter().any(|words| message.contains(words)) {
        return Failure::TooLarge(message.to_owned());
    }
    let unreadable = [
        "failed to decode Protobuf message",
        "Missing response message",
        "protocol error",
        "Unexpected EOF decoding stream",
        "grpc-status header missing",
    ];
    let here = matches!(status.code(), Code::Internal | Code::Unknown | Code::Unimplemented)
        || message.starts_with("grpc-status header missing");
    if here && unreadable.iter().any(|words| message.starts_with(words)) {
        return Failure::Malformed(message.to_owned());
    }
    Failure::Refused(format!("{:?}: {message}", status.code()))
}

/// An error with all that it came from.
pub(super) fn said(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let words = error.to_string();
        // hyper repeats what it wraps.
        if !text.contains(&words) {
            text = format!("{text}: {words}");
        }
        cause = error.source();
    }
    text
}
