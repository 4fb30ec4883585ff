//! Requests on their way to another coordinator, and responses on their way back to it.

use std::sync::Arc;
use std::time::Instant;

use async_nats::RequestErrorKind;
use coproc_acomm::{Request, Response, Url};

use super::Peers;
use crate::forward::{Entrance, enter};
use crate::hook::{Try, outside};
use crate::oneshot::is_source;
use crate::router::{NO_PROVIDERS, is_task};
use crate::server::Shared;
use crate::tracker::Origin;

/// What a requester is told when a stream cannot be read from elsewhere.
const NO_ADDRESS: &str = "the stream has no address that another coordinator can reach";

/// Gives a request to another coordinator, if one has a provider.
pub(crate) async fn send_away(
    shared: &Arc<Shared>,
    mut request: Request,
    hook: Url,
    entrance: Entrance,
    now: Instant,
) -> Result<(), String> {
    let none = || NO_PROVIDERS.to_owned();
    // What came from another one goes no further.
    if entrance == Entrance::Shared || !is_task(&request.task) {
        return Err(none());
    }
    let peers = shared.peers.as_ref().ok_or_else(none)?;
    let client = peers.connected().ok_or_else(none)?;
    let (hop, origin) = enter(shared, &request.id, hook, entrance, now)?;
    let given = async {
        if let Some(source) = request.stream.take_if(|source| source.is_unix()) {
            request.stream = Some(reachable(shared, &origin, source)?);
        }
        request.id = hop.to_string();
        request.hook = Some(peers.hook());
        offer(peers, &client, &request, &hop).await
    }
    .await;
    match given {
        // If it is not there any more, it was answered already: that word counts.
        Err(why) if shared.tracker().remove(&hop).is_some() => Err(why),
        _ => Ok(()),
    }
}

async fn offer(
    peers: &Peers,
    client: &async_nats::Client,
    request: &Request,
    hop: &Arc<str>,
) -> Result<(), String> {
    let message = async_nats::Request::new()
        .payload(request.encode().into())
        .timeout(Some(peers.config.ack_timeout));
    peers.open().insert(hop.clone());
    let answer = client.send_request(peers.task(&request.task), message).await;
    // From here on nobody gets it who has not claimed it yet.
    peers.open().remove(hop);
    let ack = answer.map_err(|error| match error.kind() {
        RequestErrorKind::NoResponders => NO_PROVIDERS.to_owned(),
        RequestErrorKind::TimedOut => "ack timeout".to_owned(),
        RequestErrorKind::MaxPayloadExceeded => "message too large".to_owned(),
        _ => error.to_string(),
    })?;
    let ack = Response::decode(&ack.payload).map_err(|error| error.0)?;
    if ack.error.is_empty() { Ok(()) } else { Err(ack.error) }
}

/// The address at which others can read a stream of this machine.
fn reachable(shared: &Shared, origin: &Origin, source: Url) -> Result<Url, String> {
    if !is_source(shared, &source) {
        return Err("stream is not allowed".to_owned());
    }
    let query = shared.publish(source).map_err(|error| error.to_string())?;
    outside(shared, origin, None, &query).ok_or_else(|| NO_ADDRESS.to_owned())
}

/// Tries to bring a response back. Doing so again does no harm: who waits for it hears it once.
pub(crate) async fn return_response(
    shared: &Shared,
    origin: &Origin,
    response: &Response,
    query: Option<&str>,
) -> Try {
    let Some(peers) = &shared.peers else { return Try::Refused("nothing is shared".to_owned()) };
    let Some(home) = peers.home(&origin.hook) else {
        return Try::Refused("it is no coordinator".to_owned());
    };
    let Some(client) = peers.connected() else {
        return Try::Again("the NATS server is away".to_owned());
    };
    let mut response = response.clone();
    if let Some(query) = query {
        match outside(shared, origin, None, query) {
            Some(url) => response.stream = Some(url),
            None => response = Response::error(response.id, NO_ADDRESS),
        }
    }
    let (mut payload, most) = (response.encode(), client.max_payload());
    if payload.len() > most {
        let why = format!("the response has {} bytes, NATS takes {most}", payload.len());
        payload = Response::error(response.id, why).encode();
    }
    let message = async_nats::Request::new()
        .payload(payload.into())
        .timeout(Some(peers.config.ack_timeout.min(shared.config.hook_timeout / 2)));
    match client.send_request(format!("{home}.response"), message).await {
        Ok(_) => Try::Delivered,
        Err(error) => Try::Again(error.to_string()),
    }
}
