//! Requests of those who run the gateway: from the one that came to the answer of [`Admin`](crate::admin).

use bytes::Bytes;
use http::request::Parts;
use http::{Request, Response};
use hyper::body::Incoming;

use super::asked::Asked;
use super::body::Download;
use super::forward::{Client, Ended, upload, whole_upload};
use super::held::Held;
use crate::admin;

/// The longest session that is taken, in bytes.
const MOST: u64 = 1 << 20;

/// Answers a request to a path below `/tyk/`.
pub(super) async fn administer(
    client: &Client,
    parts: &mut Parts,
    body: Incoming,
    asked: &Asked,
) -> Result<Response<Download>, Ended> {
    let (upload, progress) = upload(client, body, MOST)?;
    let mut held = Held::nothing(&client.worker);
    let body = whole_upload(upload, progress.as_deref(), &mut held).await?;
    let mut request = Request::new(body);
    *request.method_mut() = parts.method.clone();
    if let Ok(uri) = asked.received.parse() {
        *request.uri_mut() = uri;
    }
    *request.headers_mut() = std::mem::take(&mut parts.headers);
    let answered = admin::answer(&client.worker.shared.admin, request).await;
    Ok(answered.map(|body: Bytes| Download::whole(body)))
}
