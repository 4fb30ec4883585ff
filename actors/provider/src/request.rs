//! What a handler is given, and what it gives back.

use std::fmt;
use std::io;
use std::sync::Arc;

use coproc_acomm::{Response, Url};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_json::value::{RawValue, to_raw_value};
use tokio::io::AsyncRead;
use tokio::net::UnixStream;

use crate::caller::{Call, Reply};
use crate::error::CallError;
use crate::provider::{Alive, Shared};
use crate::stream::{self, Offer};

/// What somebody wants to be done.
#[derive(Debug)]
pub struct Request {
    id: String,
    task: String,
    args: Option<Box<RawValue>>,
    stream: Option<Url>,
    shared: Arc<Shared>,
    alive: Alive,
}

/// The arguments are not of the form that the handler wants.
#[derive(Debug, thiserror::Error)]
#[error("args: {0}")]
pub struct ArgsError(#[from] serde_json::Error);

impl Request {
    /// `task` is what the provider offers, whatever the message says.
    pub(crate) fn new(
        message: coproc_acomm::Request,
        task: &str,
        shared: Arc<Shared>,
        alive: Alive,
    ) -> Self {
        let coproc_acomm::Request { id, args, stream, .. } = message;
        Self { id, task: task.to_owned(), args, stream, shared, alive }
    }

    /// The id, by which the response is known.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The task.
    pub fn task(&self) -> &str {
        &self.task
    }

    /// The arguments, in whatever form is wanted; absent ones are `null`.
    ///
    /// # Errors
    /// Where they are not of that form.
    pub fn args<T: DeserializeOwned>(&self) -> Result<T, ArgsError> {
        Ok(serde_json::from_str(self.args.as_deref().map_or("null", RawValue::get))?)
    }

    /// Fetches the data that came with the request; `None` where there is none.
    ///
    /// # Errors
    /// With `Unsupported` for anything but a Unix socket, and as the system says.
    pub async fn stream(&self) -> io::Result<Option<UnixStream>> {
        match &self.stream {
            Some(url) => stream::fetch(url).await.map(Some),
            None => Ok(None),
        }
    }

    /// Offers data to the requester: one reader gets all of it. What the handler gives back has to
    /// name the address.
    ///
    /// # Errors
    /// When no socket can be made for it.
    pub fn offer(&self, source: impl AsyncRead + Unpin + Send + 'static) -> io::Result<Url> {
        let config = &self.shared.config;
        let offer = Offer::bind(&config.socket_dir, &self.task, &config.service_name)?;
        let url = offer.url();
        let mut ending = self.shared.ending();
        let ending = async move { drop(ending.wait_for(|ending| *ending).await) };
        let serving = offer.serve(source, ending);
        let (task, alive) = (self.task.clone(), self.alive.clone());
        self.shared.spawn(async move {
            let _alive = alive;
            if let Err(error) = serving.await {
                tracing::warn!(target: "provider", "a stream of `{task}` broke off: {error}");
            }
        });
        Ok(url)
    }

    /// Has another task done, through the coordinator, and waits for what comes of it.
    ///
    /// # Errors
    /// As [`CallError`] says; also where the config names no coordinator.
    pub async fn call(&self, call: Call) -> Result<Reply, CallError> {
        match &self.shared.caller {
            Some(caller) => caller.call(call).await,
            None => Err(CallError::Refused("no `coordinator_url` is set".into())),
        }
    }

    /// For requests beside each other: what [`Request::call`] uses, if the config names a
    /// coordinator.
    pub fn caller(&self) -> Option<&crate::Caller> {
        self.shared.caller.as_ref()
    }
}

/// What came of a request: a result, a stream, or both.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    result: Value,
    stream: Option<Url>,
}

impl Answer {
    /// A result of any form.
    ///
    /// # Errors
    /// When it cannot be said in JSON.
    pub fn of(result: impl Serialize) -> Result<Self, serde_json::Error> {
        Ok(Self { result: serde_json::to_value(result)?, stream: None })
    }

    /// Adds a stream, as [`Request::offer`] gave its address.
    #[must_use]
    pub fn with_stream(self, stream: Url) -> Self {
        Self { stream: Some(stream), ..self }
    }
}

impl From<Value> for Answer {
    fn from(result: Value) -> Self {
        Self { result, stream: None }
    }
}

impl From<Url> for Answer {
    fn from(stream: Url) -> Self {
        Self::default().with_stream(stream)
    }
}

impl From<()> for Answer {
    fn from((): ()) -> Self {
        Self::default()
    }
}

impl From<String> for Answer {
    fn from(text: String) -> Self {
        Value::from(text).into()
    }
}

/// The message to the requester.
pub(crate) fn response(id: String, outcome: Result<Answer, String>) -> Response {
    let answer = match outcome {
        // An empty error would be read as a success.
        Err(error) if error.is_empty() => return Response::error(id, "the task failed"),
        Err(error) => return Response::error(id, error),
        Ok(answer) => answer,
    };
    let result = (!answer.result.is_null()).then(|| to_raw_value(&answer.result));
    match result.transpose() {
        Ok(result) => Response { id, result, stream: answer.stream, error: String::new() },
        Err(error) => Response::error(id, error.to_string()),
    }
}

impl fmt::Display for Request {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "`{}` of `{}`", self.id, self.task)
    }
}
