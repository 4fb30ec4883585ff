//! Requests of one's own: sent to a coordinator, with a socket to which the responses come.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use coproc_acomm::unix::{self, ExchangeError};
use coproc_acomm::{MAX_MESSAGE, Request, Response, Url};
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_json::value::{RawValue, to_raw_value};
use tokio::net::UnixStream;
use tokio::sync::{Semaphore, oneshot};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;

use crate::error::CallError;
use crate::socket::{Socket, random};
use crate::stream;

/// How long a response may take to come in once its sender has connected.
const READ_TIME: Duration = Duration::from_secs(10);
/// How many requests are sent, and how many responses taken in, at once; more wait for their turn.
const AT_ONCE: usize = 64;

/// A task to be done.
#[derive(Clone, Debug, Default)]
pub struct Call {
    task: String,
    args: Option<Box<RawValue>>,
    stream: Option<Url>,
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct Reply {
    result: Option<Box<RawValue>>,
    stream: Option<Url>,
}

/// Sends requests to one coordinator. Copies share the socket for responses, which goes with the
/// last of them.
#[derive(Clone, Debug)]
pub struct Caller(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    coordinator: PathBuf,
    hook: Url,
    limit: Duration,
    waiting: Arc<Waiting>,
    sending: Semaphore,
    receiver: JoinHandle<()>,
}

/// Who waits for which response, by its id.
#[derive(Debug, Default)]
struct Waiting(Mutex<HashMap<String, oneshot::Sender<Response>>>);

/// Takes the entry of a call away, however the call ends.
struct Entry<'a> {
    id: &'a str,
    waiting: &'a Waiting,
}

impl Call {
    /// A task with its arguments.
    pub fn new(task: impl Into<String>, args: impl Into<Value>) -> Self {
        let args: Value = args.into();
        // Writing a value does not fail.
        Self::verbatim(task, to_raw_value(&args).ok().filter(|_| !args.is_null()))
    }

    /// A task with arguments as somebody wrote them: no number is rounded.
    pub fn verbatim(task: impl Into<String>, args: Option<Box<RawValue>>) -> Self {
        Self { task: task.into(), args, stream: None }
    }

    /// Adds the address of data that the provider may fetch.
    #[must_use]
    pub fn with_stream(self, stream: Url) -> Self {
        Self { stream: Some(stream), ..self }
    }
}

impl Reply {
    /// The result as it was written; `null` where there is none.
    pub fn json(&self) -> &str {
        self.result.as_deref().map_or("null", RawValue::get)
    }

    /// The result in whatever form is wanted.
    ///
    /// # Errors
    /// Where it is not of that form.
    pub fn result<T: DeserializeOwned>(&self) -> serde_json::Result<T> {
        serde_json::from_str(self.json())
    }

    /// The address of data that is offered; that of another machine's is read over HTTP.
    pub fn stream_url(&self) -> Option<&Url> {
        self.stream.as_ref()
    }

    /// Fetches the data that is offered; `None` where there is none.
    ///
    /// # Errors
    /// With `Unsupported` for anything but a Unix socket, and as the system says.
    pub async fn stream(&self) -> io::Result<Option<UnixStream>> {
        match &self.stream {
            Some(url) => stream::fetch(url).await.map(Some),
            None => Ok(None),
        }
    }
}

impl Caller {
    /// Requests to the coordinator at one path, with responses to a socket that is made at another.
    /// Each may take `limit` until its response is there.
    ///
    /// # Errors
    /// When the socket cannot be made.
    pub fn open(
        coordinator: impl Into<PathBuf>,
        responses: &Path,
        limit: Duration,
    ) -> io::Result<Self> {
        let socket = Socket::bind(responses)?;
        let waiting = Arc::new(Waiting::default());
        let inner = Inner {
            coordinator: coordinator.into(),
            hook: Url::unix(responses.to_string_lossy()),
            limit,
            waiting: waiting.clone(),
            sending: Semaphore::new(AT_ONCE),
            receiver: tokio::spawn(receive_all(socket, waiting)),
        };
        Ok(Self(Arc::new(inner)))
    }

    /// Has a task done and waits for what comes of it.
    ///
    /// # Errors
    /// As [`CallError`] says.
    pub async fn call(&self, call: Call) -> Result<Reply, CallError> {
        let late = |_| CallError::TooLate;
        let response = timeout(self.0.limit, self.0.exchange(call)).await.map_err(late)??;
        match response.error.is_empty() {
            true => Ok(Reply { result: response.result, stream: response.stream }),
            false => Err(CallError::Refused(response.error)),
        }
    }
}

impl Inner {
    async fn exchange(&self, call: Call) -> Result<Response, CallError> {
        let refused = |why: String| CallError::Refused(why);
        let id = random() + &random();
        let request = Request {
            id: id.clone(),
            task: call.task,
            hook: Some(self.hook.clone()),
            stream: call.stream,
            args: call.args,
        };
        let (told, tells) = oneshot::channel();
        // First of all, since the response may come before the ack.
        let _entry = self.waiting.enter(&id, told);
        let ack = {
            // It is never closed.
            let _turn = self.sending.acquire().await;
            unix::exchange(&self.coordinator, &request.encode(), MAX_MESSAGE).await
        };
        let ack = ack.map_err(|error| match error {
            ExchangeError::Absent(why) | ExchangeError::Unheard(why) => {
                CallError::NobodyThere { path: self.coordinator.clone(), why }
            }
            error => refused(error.to_string()),
        })?;
        if !ack.error.is_empty() {
            return Err(refused(ack.error));
        }
        tells.await.map_err(|_| refused("the socket for responses is gone".into()))
    }
}

impl Waiting {
    fn all(&self) -> MutexGuard<'_, HashMap<String, oneshot::Sender<Response>>> {
        // Nothing that holds it can panic halfway.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enter<'a>(&'a self, id: &'a str, told: oneshot::Sender<Response>) -> Entry<'a> {
        self.all().insert(id.to_owned(), told);
        Entry { id, waiting: self }
    }

    fn answer(&self, response: Response) {
        match self.all().remove(&response.id) {
            // A call that is over does not want to know.
            Some(told) => drop(told.send(response)),
            None => tracing::debug!(target: "provider", "nobody waits for `{}`", response.id),
        }
    }
}

impl Drop for Entry<'_> {
    fn drop(&mut self) {
        self.waiting.all().remove(self.id);
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.receiver.abort();
    }
}

async fn receive_all(socket: Socket, waiting: Arc<Waiting>) {
    let mut tasks = JoinSet::new();
    loop {
        let stream = socket.accept().await;
        while tasks.len() >= AT_ONCE {
            tasks.join_next().await;
        }
        while tasks.try_join_next().is_some() {}
        tasks.spawn(receive(stream, waiting.clone()));
    }
}

/// Takes in one response. One that cannot be understood gets no ack; one that nobody waits for does.
async fn receive(mut stream: UnixStream, waiting: Arc<Waiting>) {
    let received = async {
        let message = unix::receive(&mut stream, MAX_MESSAGE).await.map_err(|e| e.to_string())?;
        let response = Response::decode(&message).map_err(|error| error.to_string())?;
        unix::send(&mut stream, &Response::ack("").encode()).await.map_err(|e| e.to_string())?;
        Ok::<_, String>(response)
    };
    match timeout(READ_TIME, received).await {
        Ok(Ok(response)) => waiting.answer(response),
        Ok(Err(why)) => tracing::debug!(target: "provider", "no response: {why}"),
        Err(_) => tracing::debug!(target: "provider", "no response: its sender says nothing"),
    }
}
