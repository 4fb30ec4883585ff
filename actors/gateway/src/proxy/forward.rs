//! One request: from its head to the response that is sent back.

use std::convert::Infallible;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version, header};
use hyper::body::{Body, Incoming};
use hyper::upgrade::OnUpgrade;

use super::administer::administer;
use super::asked;
use super::authorize::authorize;
use super::body::{Download, Fault, Progress, Upload};
use super::head;
use super::held::{self, Held, Unheld};
use super::link::Arriving;
use super::owed::Answering;
use super::trail::Trail;
use super::tunnel;
use super::upstream::{Failed, origin_form, send};
use super::watch::Watch;
use super::worker::Worker;
use crate::auth_request;
use crate::chain::Stop;
use crate::exchange::{Denied, Draft, Reply, Scheme, Target, Whole};
use crate::path;
use crate::server::{Served, Table};

/// What the requests of one connection have in common.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) worker: Rc<Worker>,
    pub(super) watch: Arc<Watch>,
    /// The tasks that answer its requests over HTTP/2.
    pub(super) answering: Answering,
    pub(super) scheme: Scheme,
    pub(super) ip: Option<IpAddr>,
    /// The same as text.
    pub(super) shown_ip: Option<HeaderValue>,
}

/// Why a request is answered by the gateway itself.
pub(super) enum Ended {
    /// By the chain.
    Reply(Reply),
    /// It is refused.
    Denied(Denied),
    /// It is refused, and nothing that follows on its connection is to be believed.
    Malformed(Denied),
}

impl From<Denied> for Ended {
    fn from(denied: Denied) -> Self {
        Self::Denied(denied)
    }
}

/// Answers a request. It never fails; that is said for hyper, which would else need a future around this one.
pub(super) async fn answer(
    client: Rc<Client>,
    request: Request<Incoming>,
) -> Result<Response<Download>, Infallible> {
    let busy = client.watch.begin();
    // Over HTTP/1 there is none: what a client does not take can be seen at the socket.
    let owed = client.answering.owed();
    let in_flight = client.worker.begin();
    let (mut parts, body) = request.into_parts();
    let is_text = parts.version != Version::HTTP_2;
    // For the page of an error, if there has to be one.
    let content_type = parts.headers.get(header::CONTENT_TYPE).cloned();
    let services = &*client.worker.shared.services;
    let mut trail = Trail::new(services, &parts);
    let outcome = if in_flight.is_some() {
        forward(&client, &mut parts, body, &mut trail).await
    } else {
        let status = StatusCode::SERVICE_UNAVAILABLE;
        Err(Denied::new(status, "Too many requests are being answered").into())
    };
    let mut response = outcome.unwrap_or_else(|ended| {
        let (denied, closes) = match ended {
            Ended::Reply(reply) => return replied(reply),
            Ended::Denied(denied) => (denied, false),
            Ended::Malformed(denied) => (denied, is_text),
        };
        let mut asked = HeaderMap::new();
        if let Some(content_type) = content_type {
            asked.insert(header::CONTENT_TYPE, content_type);
        }
        let mut response = replied(services.pages.denied(denied, &asked));
        if closes {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        response
    });
    trail.end(services, client.ip, &mut response);
    Ok(response.map(|body| body.holding(busy, in_flight, owed)))
}

fn replied(reply: Reply) -> Response<Download> {
    let Reply { status, headers, body } = reply;
    let mut response = Response::new(Download::whole(body));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

async fn forward(
    client: &Rc<Client>,
    parts: &mut Parts,
    body: Incoming,
    trail: &mut Trail,
) -> Result<Response<Download>, Ended> {
    let worker = &*client.worker;
    let limits = &worker.shared.config.limits;
    if client.watch.told_two_lengths() && parts.version != Version::HTTP_2 {
        let why = "Both a length and a transfer coding";
        return Err(Ended::Malformed(Denied::new(StatusCode::BAD_REQUEST, why)));
    }
    let asked = asked::check(parts, limits.max_headers).map_err(Ended::Malformed)?;
    let routes = worker.routes();
    let services = &worker.shared.services;
    if worker.shared.admin.takes(&asked.target.path) {
        return Box::pin(administer(client, parts, body, &asked)).await;
    }
    let prefix = services.settings.auth_request.as_deref();
    let about = prefix.and_then(|prefix| auth_request::asked(prefix, &asked.target.path));
    if let Some(id) = about.map(str::to_owned) {
        return Box::pin(authorize(client, parts, asked, &routes, &id))
            .await
            .map(replied)
            .map_err(Ended::Denied);
    }
    let Some(found) = routes.find(&asked.target.path) else {
        return Err(Denied::new(StatusCode::NOT_FOUND, "Not Found").into());
    };
    if leads_elsewhere(&routes, &asked.target.path, found.leads_to) {
        return Err(head::bad("The path may be taken for one of another API").into());
    }
    let served: &Served = found.leads_to;
    trail.leads_to(found.leads_to);
    let mut most = if limits.max_body == 0 { u64::MAX } else { limits.max_body };
    let wants_body = served.chain.wants_body(&parts.headers);
    if wants_body {
        most = most.min(limits.max_buffered_body as u64);
    }
    let (mut upload, progress) = upload(client, body, most)?;

    let upgrade = head::upgrade(parts);
    let takes_trailers = head::takes_trailers(&parts.headers);
    let upgraded = upgrade.as_ref().and_then(|_| parts.extensions.remove::<OnUpgrade>());
    head::remove_named(&mut parts.headers);
    let mut draft = Draft {
        method: std::mem::take(&mut parts.method),
        target: asked.target,
        received: asked.received,
        authority: asked.authority,
        scheme: client.scheme,
        headers: std::mem::take(&mut parts.headers),
        body: None,
        client: client.ip,
        session: None,
    };
    // As long as it may be needed.
    let mut held = None;
    if wants_body {
        let held = held.insert(Held::nothing(worker));
        draft.body = Some(Box::pin(whole_upload(upload, progress.as_deref(), held)).await?);
        upload = Upload::None;
    }
    let walked = served.chain.request(&mut draft).await;
    trail.hooks_done();
    if let Err(Stop::Reply(reply)) = walked {
        return Err(Ended::Reply(reply));
    }

    let listen_path = served.api.upstream.strip_listen_path.then_some(found.path);
    let target = head::upstream_target(&served.origin.base, listen_path, &draft.target)?;
    // What response hooks see of the request are the client's headers, with changes by other hooks.
    let keeps_draft = served.chain.wants_response_body();
    let mut headers =
        if keeps_draft { draft.headers.clone() } else { std::mem::take(&mut draft.headers) };
    head::remove_hop_by_hop(&mut headers);
    if parts.version == Version::HTTP_2 {
        head::join_cookies(&mut headers);
    }
    let shown = client.shown_ip.as_ref();
    head::add_forwarded(&mut headers, shown, client.scheme.as_str(), asked.host.as_ref());
    let host = match asked.host {
        Some(asked) if served.api.upstream.preserve_host && !asked.is_empty() => asked,
        _ => served.origin.authority.clone(),
    };
    headers.insert(header::HOST, host);
    match (&upgrade, takes_trailers) {
        (Some(protocol), _) => {
            headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
            headers.insert(header::UPGRADE, protocol.clone());
        }
        (None, true) => {
            headers.insert(header::CONNECTION, HeaderValue::from_static("te"));
            headers.insert(header::TE, HeaderValue::from_static("trailers"));
        }
        (None, false) => {}
    }
    if let Some(body) = draft.body.take() {
        set_length(&mut headers, &draft.method, body.len());
        upload = Upload::Whole(Some(body).filter(|body| !body.is_empty()));
    }
    let mut request = Request::new(upload);
    *request.method_mut() = draft.method.clone();
    *request.uri_mut() = origin_form(target);
    *request.headers_mut() = headers;

    if !keeps_draft {
        // Requests wait long for responses, and with few allocations.
        draft.target = Target::default();
        (draft.received, draft.authority) = Default::default();
    }
    let sent = send(worker, &served.origin, request, progress.as_deref(), upgrade.is_some()).await;
    trail.upstream_done();
    let (mut response, lease) = sent.map_err(|failed| upstream_failed(worker, served, &failed))?;
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        let Some((down, protocol)) = upgraded.zip(upgrade) else {
            let why = "The upstream changed the protocol unasked";
            return Err(Denied::new(StatusCode::BAD_GATEWAY, why).into());
        };
        let up = hyper::upgrade::on(&mut response);
        return Ok(switch(client, response, up, down, protocol));
    }
    let (mut head, body) = response.into_parts();
    head::pass_back(&mut head.headers);
    head.version = Version::HTTP_11;
    served.chain.inject(draft.session.as_ref(), &mut head.headers);
    let body = Download::from_upstream(body, limits.upstream_timeout, lease);
    if !keeps_draft {
        return Ok(Response::from_parts(head, body));
    }
    let most = limits.max_buffered_body;
    let mut held = Held::nothing(worker);
    let body = Box::pin(whole_download(body, most, &mut held)).await?;
    let mut whole = Whole { status: head.status, headers: head.headers, body };
    if let Err(reply) = served.chain.response(&draft, &mut whole).await {
        return Err(Ended::Reply(reply));
    }
    let Whole { status, headers, body } = whole;
    let length = body.len();
    let mut response = replied(Reply { status, headers, body });
    response.body_mut().keeping(held);
    let headers = response.headers_mut();
    headers.remove(header::TRANSFER_ENCODING);
    headers.remove(header::TRAILER);
    // A response without a body tells the length of the one that it stands for.
    if length > 0 || !(draft.method == Method::HEAD || status == StatusCode::NOT_MODIFIED) {
        headers.remove(header::CONTENT_LENGTH);
    }
    Ok(response)
}

/// Whether a path leads to another API once it is read as its server may read it: hooks and checks of that one
/// would be passed by.
fn leads_elsewhere(routes: &Table, path: &str, leads_to: &Arc<Served>) -> bool {
    let plain = path::plain(path);
    let other = plain.and_then(|plain| Some(routes.find(&plain)?.leads_to));
    other.is_some_and(|other| !Arc::ptr_eq(other, leads_to))
}

/// The body that a client sends, if any, unless it is known to be too long.
pub(super) fn upload(
    client: &Client,
    body: Incoming,
    most: u64,
) -> Result<(Upload, Option<Rc<Progress>>), Ended> {
    if body.is_end_stream() {
        return Ok((Upload::None, None));
    }
    if body.size_hint().lower() > most {
        return Err(Ended::Malformed(Failed::Upload(Fault::TooLong).denied()));
    }
    let pace = client.worker.shared.config.limits.client_timeout;
    let (upload, progress) = Upload::from_client(body, most, pace);
    Ok((upload, Some(progress)))
}

/// Reads a request's body to its end.
pub(super) async fn whole_upload(
    upload: Upload,
    progress: Option<&Progress>,
    held: &mut Held,
) -> Result<Bytes, Ended> {
    // How long one may be, the upload itself knows.
    let fault = match held.read(upload, usize::MAX).await {
        Ok(body) => return Ok(body),
        Err(Unheld::NoRoom) => return Err(Ended::Malformed(held::no_room())),
        Err(Unheld::TooLarge) => Fault::TooLong,
        Err(Unheld::Fault(fault)) => fault,
    };
    let fault = progress.and_then(|progress| progress.fault.get()).unwrap_or(fault);
    Err(Ended::Malformed(Failed::Upload(fault).denied()))
}

/// Reads a response's body to its end.
async fn whole_download(body: Download, most: usize, held: &mut Held) -> Result<Bytes, Denied> {
    let (status, why) = match held.read(body, most).await {
        Ok(body) => return Ok(body),
        Err(Unheld::NoRoom) => return Err(held::no_room()),
        Err(Unheld::Fault(Fault::Late)) => {
            (StatusCode::GATEWAY_TIMEOUT, "The upstream did not answer in time")
        }
        Err(Unheld::Fault(_)) => (StatusCode::BAD_GATEWAY, "The upstream broke its response off"),
        Err(Unheld::TooLarge) => (StatusCode::BAD_GATEWAY, "The upstream's response is too large"),
    };
    Err(Denied::new(status, why))
}

/// The length of a body that is whole.
fn set_length(headers: &mut HeaderMap, method: &Method, length: usize) {
    headers.remove(header::TRAILER);
    if length > 0 || headers.contains_key(header::CONTENT_LENGTH) || *method == Method::POST {
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    } else {
        headers.remove(header::CONTENT_LENGTH);
    }
}

fn upstream_failed(worker: &Worker, served: &Served, failed: &Failed) -> Ended {
    if !failed.is_upstream() {
        return Ended::Malformed(failed.denied());
    }
    worker.shared.figures.upstream_failed();
    if let Some(untold) = served.origin.complaints[failed.kind()].happened() {
        tracing::warn!(
            target: "gateway",
            "{}: the upstream failed: {}{untold}",
            served.api.name,
            failed.reason()
        );
    }
    Ended::Denied(failed.denied())
}

/// Answers that the protocol changes, and connects both sides.
fn switch(
    client: &Rc<Client>,
    response: Response<Arriving>,
    up: OnUpgrade,
    down: OnUpgrade,
    protocol: HeaderValue,
) -> Response<Download> {
    let (mut head, _) = response.into_parts();
    let agreed = head.headers.remove(header::UPGRADE).unwrap_or(protocol);
    head::pass_back(&mut head.headers);
    head.headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    head.headers.insert(header::UPGRADE, agreed);
    head.version = Version::HTTP_11;
    tunnel::open(client, up, down);
    Response::from_parts(head, Download::whole(Bytes::new()))
}
