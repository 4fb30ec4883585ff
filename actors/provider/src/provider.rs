//! The provider: its tasks, the sockets that offer them, and its end.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fmt::Display;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use signal_hook::consts::{SIGINT, SIGTERM};
use tokio::io::AsyncReadExt;
use tokio::net::UnixStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::caller::Caller;
use crate::config::Config;
use crate::error::Error;
use crate::exchange;
use crate::request::{Answer, Request};
use crate::socket::{Socket, make_folders};

/// How many handlers run at once unless said otherwise.
const MAX_RUNNING: usize = 1024;
/// How many connections are open at once on which requests come; more wait for their turn.
const MAX_READING: usize = 256;
/// How long the last handlers, responses and streams may take once the provider is to end.
const LAST: Duration = Duration::from_secs(30);
/// The longest name of a task, in bytes.
const NAME_MAX: usize = 128;
/// Folders beside those of tasks.
const RESERVED: [&str; 3] = ["coordinator", "response", "streams"];

/// What is done for a task.
pub(crate) type Handler = dyn Fn(Request) -> Outcome + Send + Sync;
type Outcome = Pin<Box<dyn Future<Output = Result<Answer, String>> + Send>>;

/// Tasks, and what is done for each.
#[must_use]
pub struct Provider {
    config: Config,
    tasks: BTreeMap<String, Arc<Handler>>,
    max_running: usize,
}

/// A task with its socket.
struct Offered {
    task: Arc<str>,
    handler: Arc<Handler>,
    socket: Socket,
}

/// What all of a provider has in common.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) caller: Option<Caller>,
    /// One for each handler that may run.
    pub(crate) seats: Arc<Semaphore>,
    ending: watch::Receiver<bool>,
}

/// Who has one still has something to do for a requester.
pub(crate) type Alive = mpsc::Sender<Infallible>;

impl Provider {
    /// A provider without tasks.
    pub fn new(config: Config) -> Self {
        Self { config, tasks: BTreeMap::new(), max_running: MAX_RUNNING }
    }

    /// Offers a task; a second handler of one task takes the first one's place.
    ///
    /// What the handler gives back goes to the requester, as does an error in words. One that panics
    /// has failed with `internal error`; one that takes longer than it may is dropped and has failed
    /// with `response timeout`.
    pub fn task<H, F, A, E>(mut self, name: impl Into<String>, handler: H) -> Self
    where
        H: Fn(Request) -> F + Send + Sync + 'static,
        F: Future<Output = Result<A, E>> + Send + 'static,
        A: Into<Answer>,
        E: Display,
    {
        let handler = Arc::new(move |request| -> Outcome {
            let future = handler(request);
            Box::pin(async move { future.await.map(Into::into).map_err(|error| error.to_string()) })
        });
        self.tasks.insert(name.into(), handler);
        self
    }

    /// How many handlers may run at once, at least one; further requests are refused with `busy`, so
    /// that the coordinator asks the next provider. By default 1024.
    pub fn max_running(self, limit: usize) -> Self {
        Self { max_running: limit.clamp(1, Semaphore::MAX_PERMITS), ..self }
    }

    /// Serves until this process is sent TERM or INT. Then no request is taken any more and those
    /// that were taken are answered; a second signal cuts that short.
    ///
    /// # Errors
    /// When a socket cannot be made; then none is left behind.
    pub async fn run(self) -> Result<(), Error> {
        let mut told = signals().map_err(Error::Signals)?;
        let (first, mut again) = watch::channel(0u32);
        let count = async {
            // It never ends: the writing end stays with the handler.
            while told.read_u8().await.is_ok() {
                first.send_modify(|signals| *signals += 1);
            }
            std::future::pending::<()>().await
        };
        let mut once = again.clone();
        let stop = async move { drop(once.wait_for(|signals| *signals > 0).await) };
        tokio::select! {
            served = self.serve_until(stop) => served,
            _ = again.wait_for(|signals| *signals > 1) => Ok(()),
            () = count => Ok(()),
        }
    }

    /// Serves until `stop` is over, and then as long as it takes to answer what was taken, at most
    /// 30 s. Dropping the future ends everything at once.
    ///
    /// # Errors
    /// When a socket cannot be made; then none is left behind.
    pub async fn serve_until(self, stop: impl Future<Output = ()>) -> Result<(), Error> {
        let Self { config, tasks, max_running } = self;
        if tasks.is_empty() {
            tracing::warn!(target: "provider", "`{}` offers no task", config.service_name);
            return Ok(());
        }
        for name in tasks.keys().chain([&config.service_name]) {
            check(name)?;
        }
        let caller = match &config.coordinator {
            None => None,
            Some(coordinator) => {
                let path = config.socket_dir.join(format!("response/{}.sock", config.service_name));
                let opened = make_folders(&config.socket_dir, &config.socket_dir.join("response"))
                    .and_then(|()| Caller::open(coordinator, &path, config.request_timeout));
                Some(opened.map_err(|error| Error::Socket { path, error })?)
            }
        };
        let mut offered = Vec::with_capacity(tasks.len());
        for (task, handler) in tasks {
            let name = format!("{}-{}.sock", config.priority_of(&task), config.service_name);
            let folder = config.socket_dir.join(&task);
            let path = folder.join(name);
            let socket = make_folders(&config.socket_dir, &folder)
                .and_then(|()| Socket::bind(&path))
                .map_err(|error| Error::Socket { path, error })?;
            offered.push(Offered { task: task.into(), handler, socket });
        }

        let (end, ending) = watch::channel(false);
        let (alive, mut all_done) = mpsc::channel(1);
        let seats = Arc::new(Semaphore::new(max_running));
        let shared = Arc::new(Shared { config, caller, seats, ending });
        let reading = Arc::new(Semaphore::new(MAX_READING));
        let mut listeners = JoinSet::new();
        for offered in offered {
            listeners.spawn(listen(offered, shared.clone(), alive.clone(), reading.clone()));
        }
        drop(alive);
        stop.await;
        // The names vanish; what was taken in goes on.
        end.send_replace(true);
        while listeners.join_next().await.is_some() {}
        if timeout(LAST, all_done.recv()).await.is_err() {
            tracing::warn!(target: "provider", "not all was answered within {LAST:?}");
        }
        Ok(())
    }
}

/// A stream with a byte for each TERM and INT from now on.
fn signals() -> io::Result<UnixStream> {
    let (read, write) = std::os::unix::net::UnixStream::pair()?;
    signal_hook::low_level::pipe::register(SIGTERM, write.try_clone()?)?;
    signal_hook::low_level::pipe::register(SIGINT, write)?;
    read.set_nonblocking(true)?;
    UnixStream::from_std(read)
}

/// A task's socket: takes connections until the provider is to end, and those that came before.
async fn listen(offered: Offered, shared: Arc<Shared>, alive: Alive, reading: Arc<Semaphore>) {
    let Offered { task, handler, socket } = offered;
    let mut ending = shared.ending();
    let serve = |stream, turn: Option<OwnedSemaphorePermit>| {
        let (task, handler) = (task.clone(), handler.clone());
        let (of_task, alive) = (shared.clone(), alive.clone());
        shared.spawn(async move {
            let taken = exchange::take(stream, &task, &of_task, &alive).await;
            drop(turn);
            if let Some(taken) = taken {
                exchange::answer(taken, &*handler, &of_task).await;
            }
            drop(alive);
        });
    };
    loop {
        let next = async {
            // Before the connection, so that what waits for its turn waits outside.
            let turn = reading.clone().acquire_owned().await.ok();
            (socket.accept().await, turn)
        };
        tokio::select! {
            (stream, turn) = next => serve(stream, turn),
            _ = ending.wait_for(|ending| *ending) => break,
        }
    }
    match socket.close() {
        Ok(last) => last.into_iter().for_each(|stream| serve(stream, None)),
        Err(error) => tracing::warn!(target: "provider", "`{task}`: {error}"),
    }
}

impl Shared {
    /// Turns true when the provider is to end.
    pub(crate) fn ending(&self) -> watch::Receiver<bool> {
        self.ending.clone()
    }

    /// Runs a part of the provider's work, which ends with the provider if not before.
    pub(crate) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        let mut ending = self.ending.clone();
        tokio::spawn(async move {
            let gone = async { while ending.changed().await.is_ok() {} };
            tokio::select! {
                () = work => {}
                () = gone => {}
            }
        });
    }
}

/// Refuses what can be no name of a task or a provider, since folders and files bear it.
fn check(name: &str) -> Result<(), Error> {
    let fits = !name.is_empty() && name.len() <= NAME_MAX && !name.starts_with('.');
    let reserved = RESERVED.contains(&name);
    match fits && !reserved && !name.contains(['/', '\0']) {
        true => Ok(()),
        false => Err(Error::Config(format!(
            "`{name}` cannot be a name: expected 1 to {NAME_MAX} bytes without `/`, no dot in front, \
             and none of `coordinator`, `response` and `streams`"
        ))),
    }
}
