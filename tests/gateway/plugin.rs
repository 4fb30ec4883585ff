//! A plugin server within the test: gRPC spelled out over HTTP/2, so that it can also answer what no
//! library would.

use std::convert::Infallible;
use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use coproc_gateway::wire::{Event, Header, MiniRequestObject, Object, ReturnOverrides};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::{HeaderMap, Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message as _;

use crate::support::{PATIENCE, eventually};

/// What a plugin answers a call with.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    /// The object.
    Object(Box<Object>),
    /// A status of gRPC that is none of success.
    Status(u8, &'static str),
    /// Bytes in place of an object.
    Bytes(Bytes),
    /// The object, after a while.
    After(Duration, Box<Object>),
    /// Nothing, ever.
    Never,
    /// The connection is closed in the midst of the answer.
    Cut,
}

impl From<Object> for Answer {
    fn from(object: Object) -> Self {
        Self::Object(Box::new(object))
    }
}

type Hook = dyn Fn(Object) -> Answer + Send + Sync;

/// One call: the object, and the metadata that came with it.
#[derive(Clone, Debug)]
pub(crate) struct Called {
    pub(crate) object: Object,
    pub(crate) metadata: HeaderMap,
    pub(crate) authority: Option<String>,
}

#[derive(Default)]
struct Notes {
    calls: Vec<Called>,
    events: Vec<serde_json::Value>,
}

/// A plugin server. It ends with the test's process.
#[derive(Clone)]
pub(crate) struct Plugin {
    /// How a gateway is told to find it.
    pub(crate) address: String,
    notes: Arc<Mutex<Notes>>,
}

enum Door {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Plugin {
    /// A server on a port.
    pub(crate) fn start<A: Into<Answer>>(
        hook: impl Fn(Object) -> A + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = format!("tcp://{}", listener.local_addr().unwrap());
        Self::serve(address, Door::Tcp(listener), hook)
    }

    /// A server on a Unix socket.
    pub(crate) fn at<A: Into<Answer>>(
        path: &Path,
        hook: impl Fn(Object) -> A + Send + Sync + 'static,
    ) -> Self {
        let path: PathBuf = path.into();
        let listener = UnixListener::bind(&path).unwrap();
        listener.set_nonblocking(true).unwrap();
        Self::serve(format!("unix://{}", path.display()), Door::Unix(listener), hook)
    }

    fn serve<A: Into<Answer>>(
        address: String,
        door: Door,
        hook: impl Fn(Object) -> A + Send + Sync + 'static,
    ) -> Self {
        let notes = Arc::<Mutex<Notes>>::default();
        let plugin = Self { address, notes: notes.clone() };
        let hook: Arc<Hook> = Arc::new(move |object| hook(object).into());
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(async move {
                match door {
                    Door::Tcp(listener) => {
                        let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                        while let Ok((stream, _)) = listener.accept().await {
                            tokio::spawn(connection(stream, hook.clone(), notes.clone()));
                        }
                    }
                    Door::Unix(listener) => {
                        let listener = tokio::net::UnixListener::from_std(listener).unwrap();
                        while let Ok((stream, _)) = listener.accept().await {
                            tokio::spawn(connection(stream, hook.clone(), notes.clone()));
                        }
                    }
                }
            });
        });
        plugin
    }

    /// All calls so far.
    pub(crate) fn calls(&self) -> Vec<Called> {
        self.notes.lock().unwrap().calls.clone()
    }

    /// The objects of all calls of one hook.
    pub(crate) fn objects(&self, name: &str) -> Vec<Object> {
        let calls = self.calls().into_iter().map(|called| called.object);
        calls.filter(|object| object.hook_name == name).collect()
    }

    /// The only call so far.
    #[track_caller]
    pub(crate) fn only(&self) -> Called {
        let calls = self.calls();
        assert_eq!(calls.len(), 1, "{calls:#?}");
        calls[0].clone()
    }

    /// The events so far, waited for until there are so many.
    #[track_caller]
    pub(crate) fn events(&self, count: usize) -> Vec<serde_json::Value> {
        let events = || self.notes.lock().unwrap().events.clone();
        eventually(&format!("{count} events have come"), || events().len() >= count);
        events()
    }
}

async fn connection<S>(stream: S, hook: Arc<Hook>, notes: Arc<Mutex<Notes>>)
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let service = hyper::service::service_fn(move |request| {
        let (hook, notes) = (hook.clone(), notes.clone());
        async move { Ok::<_, Infallible>(answer(request, &*hook, &notes).await) }
    });
    let mut server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
    server.max_frame_size(1 << 20).initial_stream_window_size(4 << 20);
    server.initial_connection_window_size(16 << 20);
    // Who breaks off is the test's concern.
    let _ = server.serve_connection(TokioIo::new(stream), service).await;
}

type Body = http_body_util::combinators::BoxBody<Bytes, std::io::Error>;

async fn answer(request: Request<Incoming>, hook: &Hook, notes: &Mutex<Notes>) -> Response<Body> {
    let (head, body) = request.into_parts();
    let Ok(body) = body.collect().await else { return reply(Vec::new()) };
    let message = body.to_bytes().split_off(5);
    if head.uri.path().ends_with("/DispatchEvent") {
        let event = Event::decode(message).unwrap();
        notes.lock().unwrap().events.push(serde_json::from_str(&event.payload).unwrap());
        return reply(vec![Ok(Frame::data(framed(&[]))), status(0, "")]);
    }
    assert_eq!(head.uri.path(), "/coprocess.Dispatcher/Dispatch");
    let object = Object::decode(message).unwrap();
    let authority = head.uri.authority().map(|authority| authority.to_string());
    let called = Called { object: object.clone(), metadata: head.headers, authority };
    notes.lock().unwrap().calls.push(called);
    let whole = |object: &Object| {
        reply(vec![Ok(Frame::data(framed(&object.encode_to_vec()))), status(0, "")])
    };
    match hook(object) {
        Answer::Object(object) => whole(&object),
        Answer::After(pause, object) => {
            tokio::time::sleep(pause).await;
            whole(&object)
        }
        Answer::Status(code, message) => reply(vec![status(code, message)]),
        Answer::Bytes(bytes) => reply(vec![Ok(Frame::data(framed(&bytes))), status(0, "")]),
        Answer::Never => {
            tokio::time::sleep(10 * PATIENCE).await;
            reply(Vec::new())
        }
        Answer::Cut => reply(vec![
            Ok(Frame::data(Bytes::from_static(&[0, 0, 0, 1, 0, 7]))),
            Err(std::io::Error::other("cut")),
        ]),
    }
}

fn reply(frames: Vec<Result<Frame<Bytes>, std::io::Error>>) -> Response<Body> {
    let body = StreamBody::new(futures_util::stream::iter(frames));
    Response::builder()
        .header("content-type", "application/grpc")
        .body(BodyExt::boxed(body))
        .unwrap()
}

fn framed(message: &[u8]) -> Bytes {
    let mut frame = BytesMut::with_capacity(5 + message.len());
    frame.put_u8(0);
    frame.put_u32(u32::try_from(message.len()).unwrap());
    frame.put_slice(message);
    frame.freeze()
}

fn status(code: u8, message: &str) -> Result<Frame<Bytes>, std::io::Error> {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", u16::from(code).into());
    trailers.insert("grpc-message", message.parse().unwrap());
    Ok(Frame::trailers(trailers))
}

/// The request of an object, for changes.
pub(crate) fn request(object: &mut Object) -> &mut MiniRequestObject {
    object.request.as_mut().unwrap()
}

/// The overrides of an object, for changes.
pub(crate) fn overrides(object: &mut Object) -> &mut ReturnOverrides {
    request(object).return_overrides.get_or_insert_default()
}

/// A header with its values.
pub(crate) fn header(key: &str, values: &[&str]) -> Header {
    Header { key: key.into(), values: values.iter().map(|value| (*value).to_owned()).collect() }
}
