//! A folder of sockets with a provider in it, a hook, and a coordinator that knows only as much as is
//! needed to pass requests on.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use coproc_acomm::unix::{exchange, receive, send};
use coproc_acomm::{MAX_MESSAGE, Request, Response, Url};
use coproc_provider::{Config, Error, Provider};
use serde_json::Value;
use serde_json::value::to_raw_value;
use tempfile::TempDir;
use tokio::net::UnixListener;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;

/// How long any fact may take to come true on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct World {
    folder: TempDir,
    responses: mpsc::UnboundedReceiver<Response>,
    hook: Url,
}

/// A provider that serves.
pub(crate) struct Serving {
    stop: Arc<Notify>,
    ended: JoinHandle<Result<(), Error>>,
}

impl World {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("hook.sock");
        let listener = UnixListener::bind(&path).unwrap();
        let (told, responses) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let told = told.clone();
                tokio::spawn(async move {
                    let message = receive(&mut stream, MAX_MESSAGE).await.unwrap();
                    send(&mut stream, &Response::ack("").encode()).await.unwrap();
                    let _ = told.send(Response::decode(&message).unwrap());
                });
            }
        });
        Self { hook: Url::unix(path.to_str().unwrap()), folder, responses }
    }

    /// The folder of sockets.
    pub(crate) fn sockets(&self) -> PathBuf {
        self.folder.path().join("s")
    }

    /// A folder for hooks of one's own.
    pub(crate) fn hook_folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn config(&self) -> Config {
        Config::new(self.sockets(), "me")
    }

    /// Starts a provider, and waits until its sockets are there.
    pub(crate) async fn serve(&self, provider: Provider, tasks: &[&str]) -> Serving {
        let stop = Arc::new(Notify::new());
        let stopped = stop.clone();
        let ended = tokio::spawn(provider.serve_until(async move { stopped.notified().await }));
        for task in tasks {
            let path = self.socket(task);
            eventually(|| path.exists()).await;
        }
        Serving { stop, ended }
    }

    pub(crate) fn socket(&self, task: &str) -> PathBuf {
        self.sockets().join(task).join("50-me.sock")
    }

    /// Sends a request for a task; gives the ack.
    pub(crate) async fn ask(&self, id: &str, task: &str, args: Value) -> Response {
        let request = Request {
            id: id.into(),
            task: task.into(),
            hook: Some(self.hook.clone()),
            stream: None,
            args: Some(to_raw_value(&args).unwrap()),
        };
        self.send(task, &request).await
    }

    /// Sends a request, to the socket of a task.
    pub(crate) async fn send(&self, task: &str, request: &Request) -> Response {
        exchange(&self.socket(task), &request.encode(), MAX_MESSAGE).await.unwrap()
    }

    pub(crate) fn hook(&self) -> Option<Url> {
        Some(self.hook.clone())
    }

    /// The next response that comes to the hook.
    pub(crate) async fn response(&mut self) -> Response {
        tokio::time::timeout(PATIENCE, self.responses.recv()).await.unwrap().unwrap()
    }

    /// Whether a response has come that nobody has taken.
    pub(crate) fn is_idle(&self) -> bool {
        self.responses.is_empty()
    }

    /// A coordinator: passes each request to the only provider of its task.
    pub(crate) fn coordinator(&self) -> PathBuf {
        let path = self.folder.path().join("coordinator.sock");
        let listener = UnixListener::bind(&path).unwrap();
        let sockets = self.sockets();
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let sockets = sockets.clone();
                tokio::spawn(async move {
                    let message = receive(&mut stream, MAX_MESSAGE).await.unwrap();
                    let request = Request::decode(&message).unwrap();
                    let task = sockets.join(&request.task);
                    let ack = match only_socket(&task) {
                        Some(path) => exchange(&path, &message, MAX_MESSAGE).await.unwrap(),
                        None => Response::error(request.id, "no providers available for task"),
                    };
                    send(&mut stream, &ack.encode()).await.unwrap();
                });
            }
        });
        path
    }
}

fn only_socket(task: &Path) -> Option<PathBuf> {
    Some(std::fs::read_dir(task).ok()?.next()?.ok()?.path())
}

impl Serving {
    /// Tells the provider to end.
    pub(crate) fn stop(&self) {
        self.stop.notify_one();
    }

    /// Waits until it has.
    pub(crate) async fn ended(self) -> Result<(), Error> {
        tokio::time::timeout(PATIENCE, self.ended).await.unwrap().unwrap()
    }
}

/// Waits until a fact is true.
pub(crate) async fn eventually(mut fact: impl FnMut() -> bool) {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while !fact() {
        assert!(tokio::time::Instant::now() < deadline, "it does not come true");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// The result of a response, as JSON.
pub(crate) fn result(response: &Response) -> Value {
    let text = response.result.as_deref().map_or("null", |result| result.get());
    serde_json::from_str(text).unwrap()
}
