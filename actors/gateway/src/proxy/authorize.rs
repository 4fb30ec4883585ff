//! Subrequests of nginx's `auth_request`: from the one that came to the answer of the chain.

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, StatusCode};

use super::asked::Asked;
use super::forward::Client;
use crate::auth_request;
use crate::exchange::{Denied, Draft, Reply};
use crate::server::Table;

/// Answers a subrequest that asks for the API `id`.
pub(super) async fn authorize(
    client: &Client,
    parts: &mut Parts,
    asked: Asked,
    routes: &Table,
    id: &str,
) -> Result<Reply, Denied> {
    let Some((_, served)) = routes.iter().find(|(_, served)| served.api.id == id) else {
        return Err(Denied::new(StatusCode::NOT_FOUND, "There is no such API"));
    };
    let mut headers: HeaderMap = std::mem::take(&mut parts.headers);
    super::head::remove_named(&mut headers);
    super::head::remove_hop_by_hop(&mut headers);
    let draft = Draft {
        method: parts.method.clone(),
        target: asked.target,
        received: asked.received,
        authority: asked.authority,
        scheme: client.scheme,
        headers,
        body: Some(Bytes::new()),
        client: client.ip,
        session: None,
    };
    Ok(auth_request::answer(&served.chain, draft).await)
}
