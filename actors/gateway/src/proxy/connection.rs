//! A client's connection: which HTTP it speaks, its service, its limits in time, its end.

use std::future::poll_fn;
use std::io;
use std::net::IpAddr;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::Poll;

use http::HeaderValue;
use hyper::server::conn::{http1, http2};
use hyper::service::{HttpService, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until, timeout};

use super::body::Download;
use super::forward::{Client, answer};
use super::owed::Answering;
use super::stream::Stream;
use super::watch::{Watch, Watched};
use super::worker::Worker;
use crate::exchange::Scheme;
use crate::tls::HTTP_2;

/// How HTTP/2 begins.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// The least room that hyper reads bodies to.
const BODY_BUFFER: usize = 64 << 10;
/// How many headers hyper has room for without being asked.
const USUAL_HEADERS: usize = 100;
/// How much of one HTTP/2 body may be under way.
const STREAM_WINDOW: u32 = 256 << 10;
/// How much of all HTTP/2 bodies of one connection may be under way.
const CONNECTION_WINDOW: u32 = 1 << 20;

/// Serves a connection over TCP.
pub(super) async fn serve_tcp(worker: Rc<Worker>, stream: TcpStream, ip: IpAddr) {
    let Some(tls) = &worker.shared.tls else {
        return serve(worker, Stream::Tcp(stream), Some(ip), Scheme::Http, None).await;
    };
    let limit = worker.shared.config.limits.header_timeout;
    match timeout(limit, tls.accept(stream)).await {
        Ok(Ok(stream)) => {
            let is_http_2 = stream.get_ref().1.alpn_protocol() == Some(HTTP_2);
            let stream = Stream::Tls(Box::new(stream));
            serve(worker, stream, Some(ip), Scheme::Https, Some(is_http_2)).await;
        }
        Ok(Err(error)) => tracing::debug!(target: "gateway", "no TLS with {ip}: {error}"),
        Err(_) => tracing::debug!(target: "gateway", "no TLS with {ip}: it took too long"),
    }
}

/// Serves a connection whose HTTP is known, or is to be seen from how it begins.
pub(super) async fn serve(
    worker: Rc<Worker>,
    mut stream: Stream,
    ip: Option<IpAddr>,
    scheme: Scheme,
    is_http_2: Option<bool>,
) {
    let limits = &worker.shared.config.limits;
    let (is_http_2, begun) = match is_http_2 {
        Some(known) => (known, Vec::new()),
        None => match timeout(limits.header_timeout, begins(&mut stream)).await {
            Ok(Ok(begun)) if begun.is_empty() => return,
            Ok(Ok(begun)) => (begun == PREFACE, begun),
            Ok(Err(_)) | Err(_) => return,
        },
    };
    // Who has gone is noticed by `Watched`.
    let half_close = matches!(stream, Stream::Tcp(_));
    let watch = Watch::new();
    let shown_ip = ip.and_then(|ip| HeaderValue::from_str(&ip.to_string()).ok());
    let io = TokioIo::new(Watched::new(stream, begun, watch.clone(), !is_http_2));
    let answering = Answering::new(limits.client_timeout);
    let client = Client { worker: worker.clone(), watch, answering, scheme, ip, shown_ip };
    let client = Rc::new(client);
    let service = {
        let client = client.clone();
        service_fn(move |request| answer(client.clone(), request))
    };
    if is_http_2 {
        let mut builder = http2::Builder::new(client.answering.clone());
        builder
            .timer(TokioTimer::new())
            .max_header_list_size(u32::try_from(limits.max_header_bytes).unwrap_or(u32::MAX))
            .max_concurrent_streams(limits.max_streams)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_send_buf_size(STREAM_WINDOW as usize);
        keep(&client, builder.serve_connection(io, service)).await;
    } else {
        let mut builder = http1::Builder::new();
        builder
            .header_read_timeout(None)
            .half_close(half_close)
            .max_header_size(limits.max_header_bytes)
            .max_buf_size(limits.max_header_bytes.max(BODY_BUFFER));
        if limits.max_headers != USUAL_HEADERS {
            builder.max_headers(limits.max_headers);
        }
        keep(&client, builder.serve_connection(io, service).with_upgrades()).await;
    }
}

/// The first bytes of a connection, as many as tell whether it is HTTP/2.
async fn begins(stream: &mut Stream) -> io::Result<Vec<u8>> {
    let mut begun = Vec::with_capacity(PREFACE.len());
    while begun.len() < PREFACE.len() && PREFACE.starts_with(&begun) {
        let left = (PREFACE.len() - begun.len()) as u64;
        if (&mut *stream).take(left).read_buf(&mut begun).await? == 0 {
            break;
        }
    }
    Ok(begun)
}

/// Drives a connection until it is over, its time is over, or it was told to end.
async fn keep(client: &Client, connection: impl Connection) {
    let mut connection = pin!(connection);
    let mut timer = pin!(sleep_until(Instant::now()));
    let mut armed = None;
    let stay = client.worker.closing.enter();
    let mut told = false;
    let limits = &client.worker.shared.config.limits;
    poll_fn(|cx| {
        if stay.is_told(cx) && !told {
            told = true;
            connection.as_mut().close();
        }
        if let Poll::Ready(ended) = connection.as_mut().poll(cx) {
            if let Err(error) = ended {
                tracing::debug!(target: "gateway", "a connection ended: {error}");
            }
            return Poll::Ready(());
        }
        while let Some(deadline) = client.watch.deadline(limits) {
            // A later deadline is left to the timer that is set already.
            if armed.is_none_or(|armed| deadline < armed) {
                armed = Some(deadline);
                timer.as_mut().reset(deadline);
            }
            match timer.as_mut().poll(cx) {
                Poll::Pending => break,
                Poll::Ready(()) if deadline <= Instant::now() => return Poll::Ready(()),
                Poll::Ready(()) => armed = None,
            }
        }
        Poll::Pending
    })
    .await;
}

/// A connection of either HTTP.
trait Connection: Future<Output = hyper::Result<()>> {
    /// Takes no further request.
    fn close(self: Pin<&mut Self>);
}

type Io = TokioIo<Watched>;

impl<S> Connection for http1::UpgradeableConnection<Io, S>
where
    S: HttpService<hyper::body::Incoming, ResBody = Download>,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    Self: Future<Output = hyper::Result<()>>,
{
    fn close(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

impl<S> Connection for http2::Connection<Io, S, Answering>
where
    S: HttpService<hyper::body::Incoming, ResBody = Download>,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    S::Future: 'static,
    Self: Future<Output = hyper::Result<()>>,
{
    fn close(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}
