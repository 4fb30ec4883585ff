//! A plugin server in Rust, for tests that end it, stop it or measure it, and as an example of one.
//!
//! `plugin ADDRESS` serves on `unix:PATH` or `HOST:PORT` and says `ready`; events that it is told of are its
//! next lines. What a hook does is in its name, see [`hook`]. `plugin http:ADDRESS` answers what nginx asks for
//! `auth_request` by the same hooks: the path is the hook's name.
#![allow(clippy::print_stdout, clippy::exit)]

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use bytes::{BufMut, Bytes};
use coproc_gateway::wire::{
    AccessDefinition, Event, EventReply, HookType, MiniRequestObject, Object, ReturnOverrides,
    SessionState,
};
use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream, StreamExt};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message;
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::watch;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::server::{Grpc, ServerStreamingService, UnaryService};
use tonic::{Request, Response, Status};

/// The largest message that is taken.
const RECEIVE_MAX: usize = 100 << 20;

#[tokio::main(flavor = "current_thread")]
pub(crate) async fn main() {
    let address = std::env::args().nth(1).expect("`plugin unix:PATH` or `plugin HOST:PORT`");
    let (speaks, address) = match address.strip_prefix("http:") {
        Some(address) => (Speaks::Http, address),
        None => (Speaks::Grpc, &*address),
    };
    let plugin = Arc::new(Plugin { calls: AtomicU64::new(0), serving: watch::channel(true).0 });
    if let Some(path) = address.strip_prefix("unix:") {
        // A server that was killed leaves its socket behind.
        let _ = std::fs::remove_file(path);
        let listener = UnixListener::bind(path).unwrap();
        println!("ready");
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(serve(speaks, stream, plugin.clone()));
        }
    } else {
        let listener = TcpListener::bind(address).await.unwrap();
        println!("ready");
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            stream.set_nodelay(true).unwrap();
            tokio::spawn(serve(speaks, stream, plugin.clone()));
        }
    }
}

/// How it is called.
#[derive(Clone, Copy)]
enum Speaks {
    Grpc,
    /// HTTP/1.1, by nginx.
    Http,
}

/// What all connections share.
struct Plugin {
    calls: AtomicU64,
    serving: watch::Sender<bool>,
}

/// What a call is answered with.
enum Answer {
    Object(Box<Object>),
    /// Bytes where an object should be.
    Bytes(&'static [u8]),
}

/// Does what the hook's name says. The name of a hook that is not here changes nothing.
async fn hook(plugin: &Plugin, call: Request<Object>) -> Result<Answer, Status> {
    let (metadata, _, mut object) = call.into_parts();
    let name = object.hook_name.clone();
    if object.hook_type() == HookType::Response {
        respond(&name, &mut object);
        return Ok(Answer::Object(Box::new(object)));
    }
    let Some(request) = object.request.as_mut() else {
        return Err(Status::invalid_argument("there is no request"));
    };
    match name.as_str() {
        // Headers and parameters.
        // It returns what it changes and what it keeps; what nobody heeds need not be sent back.
        "SetHeader" => {
            set(request, "Testheader", "testvalue");
            request.headers.clear();
            object.spec.clear();
        }
        "DeleteHeader" => {
            set(request, "Test", "value");
            request.delete_headers.push("Deletethisheader".to_owned());
        }
        "Params" => {
            request.delete_params.push("remove".to_owned());
            request.add_params.insert("customparam".to_owned(), "customvalue".to_owned());
        }
        "TellSeen" => {
            let seen = request.headers.get("Testheader").cloned().unwrap_or_default();
            set(request, "Seen", &seen);
        }
        "TellSpec" => {
            let keys: Vec<_> = object.spec.keys().cloned().collect();
            set(request, "Spec", &keys.join(","));
        }
        "TellMetadata" => {
            for name in ["authority", "grpc-timeout", "traceparent"] {
                let value = metadata.get(name).and_then(|value| value.to_str().ok());
                set(request, name, value.unwrap_or_default());
            }
        }
        // Bodies.
        "Binary" => {
            let binary = request.body.is_empty() && !request.raw_body.is_empty();
            if !binary || !request.headers.contains_key("Content-Type") {
                refuse(request, 400, "not binary");
            }
        }
        "Text" if request.body.is_empty() || request.body.as_bytes() != request.raw_body => {
            refuse(request, 400, "not text");
        }
        "TextBody" => request.body = "changed".to_owned(),
        "RawBody" => request.raw_body = Bytes::from_static(b"changed"),
        // Targets.
        "NoUrl" => request.url.clear(),
        "OtherUrl" => request.url = "/other?b=2".to_owned(),
        // Answers.
        "Answer" => {
            override_with(request, 200, "body", &[("header", "value")]);
        }
        "Refuse" => refuse(request, 401, "custom error message"),
        "Forbid" => refuse(request, 403, "forbidden <here>"),
        "Redirect" => override_with(request, 302, "", &[("Location", "/there")]),
        "Overrides" => overrides(request),
        // Authentication.
        "Token" | "Policy" | "Limited" | "OtherApi" | "Retained" => {
            let token = request.headers.get("Authorization").cloned().unwrap_or_default();
            if token.is_empty() || token == "bad" {
                return Ok(Answer::Object(Box::new(object)));
            }
            let policy = request.headers.get("Policy").cloned().unwrap_or_default();
            object.session = Some(Box::new(session(&name, policy)));
            object.metadata.insert("token".to_owned(), token);
            object
                .metadata
                .insert("sessionMetaKey".to_owned(), "customAuthSessionMetaValue".to_owned());
        }
        "NoSession" => drop(object.metadata.insert("token".to_owned(), "token".to_owned())),
        // Sessions.
        "Metadata" => {
            let session = object.session.as_ref().map(|session| session.metadata.clone());
            if session.as_ref().is_none_or(|session| *session != object.metadata) {
                refuse(request, 400, "the metadata differ");
            } else {
                let value = object.metadata.get("testkey").cloned().unwrap_or_default();
                set(request, "Testkey", &value);
            }
        }
        // What should not happen.
        "Error" => return Err(Status::internal("as asked")),
        "Unavailable" => return Err(Status::unavailable("as asked")),
        "Never" => std::future::pending().await,
        "Slow" => tokio::time::sleep(Duration::from_millis(300)).await,
        "Large" => request.raw_body = vec![b'x'; 5 << 20].into(),
        "Garbage" => return Ok(Answer::Bytes(b"\xff\xff\xff")),
        "NoRequest" => object.request = None,
        "Exit" => std::process::exit(1),
        "Count" => {
            let calls = plugin.calls.load(Ordering::Relaxed);
            set(request, "Calls", &calls.to_string());
        }
        "Sick" => drop(plugin.serving.send_replace(false)),
        "Well" => drop(plugin.serving.send_replace(true)),
        _ => {}
    }
    Ok(Answer::Object(Box::new(object)))
}

fn respond(name: &str, object: &mut Object) {
    let Some(response) = object.response.as_mut() else { return };
    match name {
        "NewBody" => response.raw_body = Bytes::from_static(b"newbody"),
        "ConfigData" => {
            let there = object.spec.contains_key("config_data").to_string();
            response.headers.insert("X-Config-Data".to_owned(), there);
        }
        "NoStatus" => response.status_code = 0,
        "NoResponse" => object.response = None,
        _ => {}
    }
}

fn set(request: &mut MiniRequestObject, name: &str, value: &str) {
    request.set_headers.insert(name.to_owned(), value.to_owned());
}

fn override_with(request: &mut MiniRequestObject, code: i32, body: &str, headers: &[(&str, &str)]) {
    let headers = headers.iter().map(|(name, value)| (name.to_string(), value.to_string()));
    request.return_overrides = Some(ReturnOverrides {
        response_code: code,
        response_body: body.to_owned(),
        headers: headers.collect(),
        ..Default::default()
    });
}

fn refuse(request: &mut MiniRequestObject, code: i32, error: &str) {
    override_with(request, code, "", &[]);
    request.return_overrides.get_or_insert_default().response_error = error.to_owned();
}

/// Answers as the query says: `status`, and `true` for `response_body` and `override`.
fn overrides(request: &mut MiniRequestObject) {
    let is = |name: &str| request.params.get(name).is_some_and(|value| value == "true");
    let (body, overridden) = (is("response_body"), is("override"));
    let status = request.params.get("status").and_then(|status| status.parse().ok());
    override_with(request, status.unwrap_or(200), "", &[("X-Foo", "Bar")]);
    let overrides = request.return_overrides.get_or_insert_default();
    overrides.override_error = overridden;
    if body {
        overrides.response_body = "foobar".to_owned();
    } else {
        overrides.response_error = "{\"foo\": \"bar\"}".to_owned();
    }
}

fn session(name: &str, policy: String) -> SessionState {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let now = i64::try_from(now.as_secs()).unwrap_or_default();
    let mut session = SessionState {
        rate: 100.0,
        per: 1.0,
        id_extractor_deadline: now + 2,
        ..Default::default()
    };
    match name {
        "Policy" => session.apply_policy_id = policy,
        "Limited" => (session.quota_max, session.quota_renewal_rate) = (1, 60),
        "OtherApi" => {
            let other = AccessDefinition { api_id: "another".to_owned(), ..Default::default() };
            session.access_rights.insert("another".to_owned(), other);
        }
        "Retained" => {
            session.post_expiry_action = "retain".to_owned();
            session.post_expiry_grace_period = -1;
        }
        _ => {}
    }
    session
}

async fn serve<S>(speaks: Speaks, stream: S, plugin: Arc<Plugin>)
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    if let Speaks::Http = speaks {
        let service = hyper::service::service_fn(move |request: http::Request<Incoming>| {
            let plugin = plugin.clone();
            async move { Ok::<_, Infallible>(authorize(&plugin, request).await) }
        });
        let server = hyper::server::conn::http1::Builder::new();
        let _ = server.serve_connection(TokioIo::new(stream), service).await;
        return;
    }
    let service = hyper::service::service_fn(move |request: http::Request<Incoming>| {
        let plugin = plugin.clone();
        async move { Ok::<_, Infallible>(route(plugin, request).await) }
    });
    let mut server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
    server.initial_stream_window_size(4 << 20).initial_connection_window_size(16 << 20);
    let _ = server.serve_connection(TokioIo::new(stream), service).await;
}

/// Runs a hook on a subrequest of nginx: what it sets are headers of the answer.
async fn authorize(plugin: &Plugin, asked: http::Request<Incoming>) -> http::Response<String> {
    let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let told = |name: &str| asked.headers().get(name).map(text).unwrap_or_default();
    let headers = asked.headers().iter().map(|(name, value)| (name.to_string(), text(value)));
    let request = MiniRequestObject {
        headers: headers.collect(),
        url: told("x-original-uri"),
        method: told("x-original-method"),
        ..Default::default()
    };
    let object = Object {
        hook_type: HookType::Pre.into(),
        hook_name: asked.uri().path().trim_start_matches('/').to_owned(),
        request: Some(request),
        ..Default::default()
    };
    let mut response = http::Response::new(String::new());
    let returned = match hook(plugin, Request::new(object)).await {
        Ok(Answer::Object(object)) => object.request,
        Ok(Answer::Bytes(_)) | Err(_) => None,
    };
    let Some(returned) = returned else {
        *response.status_mut() = http::StatusCode::INTERNAL_SERVER_ERROR;
        return response;
    };
    if let Some(overrides) = returned.return_overrides {
        let code = u16::try_from(overrides.response_code).unwrap_or(500);
        *response.status_mut() = http::StatusCode::from_u16(code).unwrap_or_default();
    }
    for (name, value) in returned.set_headers {
        let name = http::HeaderName::from_bytes(name.as_bytes()).unwrap();
        response.headers_mut().insert(name, value.parse().unwrap());
    }
    response
}

async fn route(
    plugin: Arc<Plugin>,
    mut request: http::Request<Incoming>,
) -> http::Response<tonic::body::Body> {
    if let Some(authority) = request.uri().authority().and_then(|name| name.as_str().parse().ok()) {
        request.headers_mut().insert("authority", authority);
    }
    match request.uri().path() {
        "/coprocess.Dispatcher/Dispatch" => {
            let server = Grpc::new(Loose).max_decoding_message_size(RECEIVE_MAX);
            server.max_encoding_message_size(RECEIVE_MAX).unary(Hooks(plugin), request).await
        }
        "/coprocess.Dispatcher/DispatchEvent" => {
            Grpc::new(tonic_prost::ProstCodec::default()).unary(Events, request).await
        }
        "/grpc.health.v1.Health/Watch" => {
            let codec = tonic_prost::ProstCodec::default();
            Grpc::new(codec).server_streaming(Health(plugin), request).await
        }
        _ => Status::unimplemented("there is no such method").into_http(),
    }
}

struct Hooks(Arc<Plugin>);

impl UnaryService<Object> for Hooks {
    type Response = Answer;
    type Future = BoxFuture<'static, Result<Response<Answer>, Status>>;

    fn call(&mut self, request: Request<Object>) -> Self::Future {
        let plugin = self.0.clone();
        Box::pin(async move {
            plugin.calls.fetch_add(1, Ordering::Relaxed);
            hook(&plugin, request).await.map(Response::new)
        })
    }
}

struct Events;

impl UnaryService<Event> for Events {
    type Response = EventReply;
    type Future = Ready<Result<Response<EventReply>, Status>>;

    fn call(&mut self, request: Request<Event>) -> Self::Future {
        println!("{}", request.into_inner().payload);
        ready(Ok(Response::new(EventReply {})))
    }
}

/// The answer of gRPC's service for health.
#[derive(Clone, PartialEq, Message)]
struct Serving {
    /// 1: it serves, 2: it does not.
    #[prost(int32, tag = "1")]
    status: i32,
}

struct Health(Arc<Plugin>);

impl ServerStreamingService<()> for Health {
    type Response = Serving;
    type ResponseStream = BoxStream<'static, Result<Serving, Status>>;
    type Future = Ready<Result<Response<Self::ResponseStream>, Status>>;

    fn call(&mut self, _: Request<()>) -> Self::Future {
        let mut serving = self.0.serving.subscribe();
        serving.mark_changed();
        let told = stream::unfold(serving, |mut serving| async {
            serving.changed().await.ok()?;
            let status = if *serving.borrow_and_update() { 1 } else { 2 };
            Some((Ok(Serving { status }), serving))
        });
        ready(Ok(Response::new(told.boxed())))
    }
}

/// The codec of objects, which can also write what is none.
struct Loose;

impl Codec for Loose {
    type Encode = Answer;
    type Decode = Object;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Loose {
    type Item = Answer;
    type Error = Status;

    fn encode(&mut self, answer: Answer, into: &mut EncodeBuf<'_>) -> Result<(), Status> {
        match answer {
            Answer::Object(object) => {
                object.encode(into).map_err(|error| Status::internal(error.to_string()))?;
            }
            Answer::Bytes(bytes) => into.put_slice(bytes),
        }
        Ok(())
    }
}

impl Decoder for Loose {
    type Item = Object;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Object>, Status> {
        Object::decode(from).map(Some).map_err(|error| Status::internal(error.to_string()))
    }
}
