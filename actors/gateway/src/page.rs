//! The pages of errors.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, header};

use crate::exchange::{Denied, Reply};

/// The page for a request that goes no further; `_request` are its headers.
pub fn denied(denied: Denied, _request: &HeaderMap) -> Reply {
    let Denied { status, message, mut headers } = denied;
    let shown = serde_json::to_string(&message).unwrap_or_default();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Reply { status, headers, body: Bytes::from(format!("{{\n    \"error\": {shown}\n}}")) }
}
