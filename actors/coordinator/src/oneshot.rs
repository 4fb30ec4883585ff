//! Streams that pass through the coordinator: a source outside for one provider, by a socket that is
//! good once; and what a provider offers, for one reader outside.

use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use coproc_acomm::Url;
use coproc_core::accounts::gid;
use coproc_core::socket::Listener;
use http_body_util::BodyExt;
use hyper::body::{Body, Bytes};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::admission::Readers;
use crate::door::make_folder;
use crate::gate::PAUSE;
use crate::http_client::{call, dial, is_good};
use crate::shared::Shared;
use crate::shown::shown;
use crate::stream::hexadecimal;
use crate::unix_hooks::beneath;

/// How much is read from a socket at a time.
const PIECE: usize = 32 << 10;

/// A socket that gives the data of a source outside to the first reader who may. Unless it is kept, it
/// goes when this is dropped.
pub(crate) struct OneShot {
    path: PathBuf,
    task: Option<JoinHandle<()>>,
}

impl OneShot {
    pub(crate) fn url(&self) -> Url {
        Url::unix(self.path.display().to_string())
    }

    /// Leaves it to its reader, or to the end of its time.
    pub(crate) fn keep(mut self) {
        self.task = None;
    }
}

impl Drop for OneShot {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

/// Opens a socket for the provider of a task. The error is for the requester.
pub(crate) fn open(
    shared: &Arc<Shared>,
    task: &str,
    source: &Url,
    readers: Readers,
) -> Result<OneShot, String> {
    let config = &shared.config;
    let opened = || -> Result<(PathBuf, Listener, UnixListener), String> {
        let text = |error: io::Error| error.to_string();
        let folder = config.streams().join(task).join(&config.service_name);
        let group = config.group.as_deref().map(gid).transpose()?;
        make_folder(&folder, config.dir_mode, group).map_err(|error| error.to_string())?;
        let name = hexadecimal(&shared.random().map_err(text)?[..8]);
        let path = folder.join(format!("{name}.sock"));
        let listener = Listener::bind(&path, config.socket_mode, (None, group), 1)
            .map_err(|error| error.to_string())?;
        let socket = UnixListener::from_std(listener.socket().map_err(text)?.into());
        Ok((path, listener, socket.map_err(text)?))
    };
    let (path, listener, socket) =
        opened().map_err(|why| format!("the stream cannot be passed on: {why}"))?;
    let (shared, source) = (shared.clone(), source.clone());
    let task = tokio::spawn(async move {
        let came = reader(&shared, &socket, &readers);
        let came = timeout(shared.config.stream_ttl, came).await;
        // Its name goes before the first byte: it is good once.
        drop(listener);
        let Ok(reader) = came else { return };
        drop(socket);
        if let Err(why) = feed(&shared, &source, reader).await {
            tracing::warn!(
                target: "coordinator",
                "the stream of {} broke off: {}",
                shown(&source.to_string()),
                shown(&why)
            );
        }
    });
    Ok(OneShot { path, task: Some(task) })
}

/// The first who may read. Who may not uses nothing up.
async fn reader(shared: &Shared, socket: &UnixListener, readers: &Readers) -> UnixStream {
    loop {
        match socket.accept().await {
            Ok((reader, _)) if shared.admission.admits_reader(reader.as_fd(), readers) => {
                return reader;
            }
            Ok(_) => {}
            // Out of descriptors: others have to be closed first.
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

async fn feed(shared: &Shared, source: &Url, mut reader: UnixStream) -> Result<(), String> {
    let idle = shared.config.stream_timeout;
    let mut body = fetch(shared, source).await?;
    loop {
        let late = |_| "it stood still".to_owned();
        let piece = match timeout(idle, body.next()).await.map_err(late)? {
            None => return Ok(()),
            Some(piece) => piece.map_err(|error| error.to_string())?,
        };
        let written = timeout(idle, reader.write_all(&piece)).await.map_err(late)?;
        written.map_err(|error| error.to_string())?;
    }
}

/// Whether data may be fetched from there for a reader outside.
pub(crate) fn is_source(shared: &Shared, source: &Url) -> bool {
    if source.is_unix() {
        return beneath(&shared.config.streams(), &source.socket());
    }
    source.scheme.eq_ignore_ascii_case("http")
        && shared.config.stream_allow.name(source.host_name())
}

/// The data of a source.
pub(crate) enum Source {
    /// A provider's socket.
    Socket(UnixStream),
    /// The body of an answer.
    Answer(hyper::body::Incoming),
}

impl Source {
    /// The next piece, or the end.
    pub(crate) async fn next(&mut self) -> Option<io::Result<Bytes>> {
        match self {
            Self::Socket(stream) => {
                let mut piece = Vec::with_capacity(PIECE);
                match stream.read_buf(&mut piece).await {
                    Ok(0) => None,
                    Ok(_) => Some(Ok(piece.into())),
                    Err(error) => Some(Err(error)),
                }
            }
            Self::Answer(body) => loop {
                match body.frame().await? {
                    Err(error) => return Some(Err(io::Error::other(error))),
                    Ok(frame) => {
                        if let Ok(piece) = frame.into_data() {
                            return Some(Ok(piece));
                        }
                    }
                }
            },
        }
    }
}

/// Opens a source; an answer that is not a success is none.
pub(crate) async fn fetch(shared: &Shared, source: &Url) -> Result<Source, String> {
    let config = &shared.config;
    let opened = async {
        if source.is_unix() {
            // A link at its end must not lead out either.
            let path = fs::canonicalize(source.socket()).map_err(|error| error.to_string())?;
            if !beneath(&config.streams(), &path) {
                return Err(format!("{} is no stream", path.display()));
            }
            let stream = UnixStream::connect(&path).await.map_err(|error| error.to_string())?;
            return Ok(Source::Socket(stream));
        }
        let stream = dial(source, &config.stream_allow).await.map_err(|error| error.to_string())?;
        let answer = call(stream, source, "GET", None).await.map_err(|error| error.to_string())?;
        match is_good(answer.status()) {
            true => Ok(Source::Answer(answer.into_body())),
            false => Err(format!("{BAD_STATUS}{}", answer.status())),
        }
    };
    timeout(config.hook_timeout, opened)
        .await
        .unwrap_or_else(|_| Err("it did not answer in time".to_owned()))
}

/// What the reason begins with where a source answered that it has nothing.
pub(crate) const BAD_STATUS: &str = "it answered ";

/// A body that is made while it is sent. If its source breaks off, so does it, and its reader can tell.
pub(crate) struct Flow(mpsc::Receiver<io::Result<Bytes>>);

impl Flow {
    /// The body of an answer that has a head alone; its length is not told.
    pub(crate) fn none() -> Self {
        Self(mpsc::channel(1).1)
    }

    /// Sends what `source` has, until it stands still for as long as `idle` or nobody reads it.
    pub(crate) fn new(idle: Duration, mut source: Source) -> Self {
        let (pieces, body) = mpsc::channel(2);
        tokio::spawn(async move {
            loop {
                let piece = match timeout(idle, source.next()).await {
                    Ok(None) => return,
                    Ok(Some(piece)) => piece,
                    Err(_) => Err(io::ErrorKind::TimedOut.into()),
                };
                let last = piece.is_err();
                if !matches!(timeout(idle, pieces.send(piece)).await, Ok(Ok(()))) || last {
                    return;
                }
            }
        });
        Self(body)
    }
}

impl Body for Flow {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<io::Result<hyper::body::Frame<Bytes>>>> {
        self.0
            .poll_recv(context)
            .map(|piece| piece.map(|piece| piece.map(hyper::body::Frame::data)))
    }
}
