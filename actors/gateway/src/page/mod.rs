//! The page that tells a client why its request went no further: JSON, or XML to who sends XML.

mod templates;

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_TYPE, HeaderName};
use http::{HeaderMap, HeaderValue};

use crate::exchange::{Denied, Reply};
use templates::Ending;

pub use templates::Templates;

const GENERATOR: HeaderName = HeaderName::from_static("x-generator");
const GENERATED_BY: HeaderValue = HeaderValue::from_static("tyk.io");

/// How pages are made, whatever they say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Manner {
    /// Whether `X-Generator` is left out.
    pub hide_generator: bool,
    /// Whether the connection is closed after a page.
    pub close_connections: bool,
}

/// The form of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Json,
    /// With the content type of the request, which the page bears too.
    Xml(&'static str),
}

impl Form {
    /// What a request with these headers is answered in.
    fn of(request: &HeaderMap) -> Self {
        const XML: [&str; 3] = ["application/xml", "text/xml", "application/soap+xml"];
        let sent = request.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
        let kind = sent.split(';').next().unwrap_or("").trim();
        XML.into_iter().find(|xml| xml.eq_ignore_ascii_case(kind)).map_or(Self::Json, Self::Xml)
    }

    fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Xml(kind) => kind,
        }
    }

    /// The message as it may stand in a page.
    fn escaped(self, message: &str) -> String {
        match self {
            // serde_json escapes what the contract says is escaped, and nothing else.
            Self::Json => {
                let quoted = serde_json::Value::from(message).to_string();
                quoted[1..quoted.len() - 1].to_owned()
            }
            Self::Xml(_) => escaped(message),
        }
    }

    /// The usual page.
    fn body(self, escaped: &str) -> String {
        match self {
            Self::Json => format!("{{\n    \"error\": \"{escaped}\"\n}}"),
            Self::Xml(_) => {
                format!("<?xml version = \"1.0\" encoding = \"UTF-8\"?>\n<error>{escaped}</error>")
            }
        }
    }

    fn ending(self) -> Ending {
        match self {
            Self::Json => Ending::Json,
            Self::Xml(_) => Ending::Xml,
        }
    }
}

/// Text for HTML, escaped as Go does it.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&#34;"),
            '\'' => escaped.push_str("&#39;"),
            '\0' => escaped.push('\u{fffd}'),
            other => escaped.push(other),
        }
    }
    escaped
}

/// Makes pages.
#[derive(Debug, Default)]
pub struct Pages {
    manner: Manner,
    templates: ArcSwap<Templates>,
}

impl Pages {
    /// Pages of this manner, by these templates.
    pub fn new(manner: Manner, templates: Templates) -> Self {
        Self { manner, templates: ArcSwap::from_pointee(templates) }
    }

    /// Has other templates from now on.
    pub fn set_templates(&self, templates: Templates) {
        self.templates.store(templates.into());
    }

    /// The page for a refusal of a request with these headers.
    pub fn denied(&self, denied: Denied, request: &HeaderMap) -> Reply {
        let form = Form::of(request);
        let Denied { status, message, mut headers } = denied;
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(form.content_type()));
        if !self.manner.hide_generator {
            headers.insert(GENERATOR, GENERATED_BY);
        }
        if self.manner.close_connections {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        let message = form.escaped(&message);
        let by_template = self.templates.load().render(status, form.ending(), &message);
        let body = by_template.unwrap_or_else(|| form.body(&message));
        Reply { status, headers, body: Bytes::from(body) }
    }
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::*;

    fn request(content_type: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(content_type))])
    }

    fn denied(denied: Denied, request: &HeaderMap, manner: Manner) -> Reply {
        Pages::new(manner, Templates::default()).denied(denied, request)
    }

    fn refusal(message: &str) -> Denied {
        Denied::new(StatusCode::FORBIDDEN, message)
    }

    #[test]
    fn json_is_exactly_this() {
        let reply = denied(refusal("custom error message"), &HeaderMap::new(), Manner::default());
        assert_eq!(reply.status, StatusCode::FORBIDDEN);
        assert_eq!(&reply.body[..], b"{\n    \"error\": \"custom error message\"\n}");
        assert_eq!(reply.headers["content-type"], "application/json");
        assert_eq!(reply.headers["x-generator"], "tyk.io");
        assert!(!reply.headers.contains_key("connection"));
    }

    #[test]
    fn json_escapes_quotes_backslashes_and_controls_alone() {
        let reply = denied(refusal("<\"\\\n\u{1}\u{7f}é'>"), &HeaderMap::new(), Manner::default());
        let expected = "{\n    \"error\": \"<\\\"\\\\\\n\\u0001\u{7f}é'>\"\n}";
        assert_eq!(std::str::from_utf8(&reply.body).unwrap(), expected);
    }

    #[test]
    fn who_sends_xml_gets_xml() {
        for kind in ["application/xml", "text/xml", "application/soap+xml"] {
            let reply = denied(refusal("a<b>&'\""), &request(kind), Manner::default());
            assert_eq!(reply.headers["content-type"], kind);
            assert_eq!(
                std::str::from_utf8(&reply.body).unwrap(),
                "<?xml version = \"1.0\" encoding = \"UTF-8\"?>\n\
                 <error>a&lt;b&gt;&amp;&#39;&#34;</error>"
            );
        }
        let reply = denied(refusal("x"), &request("text/xml; charset=utf-8"), Manner::default());
        assert_eq!(reply.headers["content-type"], "text/xml");
        let reply = denied(refusal("x"), &request("text/xmlish"), Manner::default());
        assert_eq!(reply.headers["content-type"], "application/json");
    }

    #[test]
    fn the_refusals_own_headers_come_along_but_not_its_type() {
        let mut with_headers = refusal("x");
        with_headers.headers.insert("x-foo", HeaderValue::from_static("Bar"));
        with_headers.headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html"));
        let manner = Manner { hide_generator: true, close_connections: true };
        let reply = denied(with_headers, &HeaderMap::new(), manner);
        assert_eq!(reply.headers["x-foo"], "Bar");
        assert_eq!(reply.headers["content-type"], "application/json");
        assert_eq!(reply.headers["connection"], "close");
        assert!(!reply.headers.contains_key("x-generator"));
    }
}
