//! URLs of HTTP, as configs name servers.

use http::Uri;

/// A URL of HTTP with a host, without credentials, query and fragment; `None` for all else.
pub(crate) fn read(text: &str) -> Option<Uri> {
    if text.contains('#') {
        return None;
    }
    let url: Uri = text.parse().ok()?;
    let authority = url.authority()?;
    let good = matches!(url.scheme_str(), Some("http" | "https"))
        && !authority.host().is_empty()
        && !authority.as_str().contains('@')
        && url.query().is_none()
        && authority.port().is_none_or(|port| port.as_u16() > 0);
    good.then_some(url)
}
