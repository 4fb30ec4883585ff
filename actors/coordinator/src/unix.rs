//! Connections on the two Unix sockets: one message in, one ack out.

use std::sync::Arc;

use coproc_acomm::frame::Decoder;
use coproc_acomm::unix::{Link, ReceiveError};
use coproc_acomm::{DecodeError, Request, Response};
use coproc_core::threads::Stop;
use tokio::sync::watch;

use crate::forward::{Entrance, take};
use crate::hook::deliver;
use crate::serve::stopped;
use crate::server::Shared;

/// A request from this machine.
pub(crate) async fn request(shared: Arc<Shared>, mut link: Link, stop: watch::Receiver<Stop>) {
    let ack = match message(&shared, &mut link, stop).await {
        Ok(message) => match Request::decode(&message) {
            Ok(request) => take(&shared, request, Entrance::Unix).await,
            Err(DecodeError(why)) => Response::error("", why),
        },
        Err(Some(refused)) => refused,
        Err(None) => return,
    };
    answer(&shared, &mut link, &ack).await;
}

/// A response from a provider.
pub(crate) async fn response(shared: Arc<Shared>, mut link: Link, stop: watch::Receiver<Stop>) {
    let Ok(message) = message(&shared, &mut link, stop).await else { return };
    let response = match Response::decode(&message) {
        Ok(response) => response,
        Err(error) => {
            tracing::warn!(
                target: "coordinator",
                "a response of {} bytes cannot be understood: {:.200}",
                message.len(),
                error.0
            );
            return;
        }
    };
    drop(message);
    answer(&shared, &mut link, &Response::ack("")).await;
    answered(&shared, response);
}

/// Sends a response on to whoever waits for it.
pub(crate) fn answered(shared: &Arc<Shared>, mut response: Response) {
    let origin = shared.tracker().answer(&response.id);
    let Some(origin) = origin else {
        shared.figures.unknown.add();
        tracing::debug!(
            target: "coordinator",
            "a response is passed over: nothing waits for `{}`",
            shown(&response.id)
        );
        return;
    };
    shared.figures.responses.add();
    response.id = origin.id.to_string();
    deliver(shared, origin, response);
}

/// Reads the one message of a connection; else what there is to answer, if anything.
async fn message(
    shared: &Shared,
    link: &mut Link,
    stop: watch::Receiver<Stop>,
) -> Result<Vec<u8>, Option<Response>> {
    let mut decoder = Decoder::new(shared.config.max_message);
    let received = match link.receive_now(&mut decoder) {
        Ok(None) => {
            let began = !decoder.is_empty();
            let received = async {
                tokio::select! {
                    received = link.receive(&mut decoder) => received,
                    () = stopped(stop), if !began => Err(ReceiveError::Closed),
                }
            };
            tokio::time::timeout(shared.config.read_timeout, received).await
        }
        Ok(Some(message)) => Ok(Ok(message)),
        Err(error) => Ok(Err(error)),
    };
    match received {
        Ok(Ok(message)) => Ok(message),
        Ok(Err(error @ ReceiveError::TooLarge(_))) => {
            tracing::warn!(target: "coordinator", "a message is refused: {error}");
            Err(Some(Response::error("", error.to_string())))
        }
        Ok(Err(error @ ReceiveError::Cut)) => Err(Some(Response::error("", error.to_string()))),
        Ok(Err(ReceiveError::Closed | ReceiveError::System(_))) => Err(None),
        Err(_) => {
            tracing::debug!(target: "coordinator", "a connection is closed: no message came in time");
            Err(None)
        }
    }
}

async fn answer(shared: &Shared, link: &mut Link, ack: &Response) {
    let message = ack.encode();
    let sent = tokio::time::timeout(shared.config.read_timeout, link.send(&message)).await;
    if !matches!(sent, Ok(Ok(()))) {
        tracing::debug!(target: "coordinator", "an ack did not reach its requester");
    }
}

/// A text from outside as the log shows it.
pub(crate) fn shown(text: &str) -> String {
    const LONGEST: usize = 100;
    let mut out: String =
        coproc_core::scalar::printable(&text.chars().take(LONGEST).collect::<String>());
    if text.chars().nth(LONGEST).is_some() {
        out.push('…');
    }
    out
}
