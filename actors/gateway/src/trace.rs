//! The trace that a request belongs to (W3C Trace Context), as it is passed on to plugins. Upstreams get it
//! with the request's other headers. Pure.

use http::{HeaderMap, HeaderName};

const PARENT: HeaderName = HeaderName::from_static("traceparent");
const STATE: HeaderName = HeaderName::from_static("tracestate");
/// The longest `tracestate` that is passed on.
const LONGEST_STATE: usize = 512;

/// The headers of a trace, if the request belongs to one.
pub fn of(headers: &HeaderMap) -> Vec<(&'static str, String)> {
    let Some(parent) = headers.get(PARENT).and_then(|value| value.to_str().ok()) else {
        return Vec::new();
    };
    if !is_parent(parent) {
        return Vec::new();
    }
    let mut trace = vec![("traceparent", parent.to_owned())];
    let states: Vec<_> =
        headers.get_all(STATE).iter().filter_map(|value| value.to_str().ok()).collect();
    let state = states.join(",");
    if !state.is_empty() && state.len() <= LONGEST_STATE {
        trace.push(("tracestate", state));
    }
    trace
}

/// The id of the trace that `traceparent` names.
pub fn id<'a>(trace: &'a [(&'static str, String)]) -> Option<&'a str> {
    trace.first().and_then(|(_, parent)| parent.get(3..35))
}

fn digits(part: Option<&str>, length: usize) -> Option<&str> {
    let digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    part.filter(|part| part.len() == length && part.bytes().all(digit))
}

/// Whether a text is a parent: version, trace, span and flags in small hexadecimal digits.
fn is_parent(text: &str) -> bool {
    let mut parts = text.split('-');
    let version = digits(parts.next(), 2);
    let trace = digits(parts.next(), 32);
    let span = digits(parts.next(), 16);
    let flags = digits(parts.next(), 2);
    let is_set =
        |part: Option<&str>| part.is_some_and(|part| part.bytes().any(|byte| byte != b'0'));
    // Later versions may have more parts.
    let ends = parts.next().is_none() || version != Some("00");
    version.is_some_and(|v| v != "ff") && is_set(trace) && is_set(span) && flags.is_some() && ends
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    const GOOD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn parents() {
        assert!(is_parent(GOOD));
        assert!(is_parent("01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more"));
        for bad in [
            "",
            "00",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
        ] {
            assert!(!is_parent(bad), "{bad}");
        }
    }

    #[test]
    fn a_trace_is_passed_on_whole_or_not_at_all() {
        let mut headers = HeaderMap::new();
        assert!(of(&headers).is_empty());
        headers.append(STATE, HeaderValue::from_static("a=1"));
        assert!(of(&headers).is_empty());
        headers.insert(PARENT, HeaderValue::from_static(GOOD));
        headers.append(STATE, HeaderValue::from_static("b=2"));
        let trace = of(&headers);
        assert_eq!(trace, [("traceparent", GOOD.into()), ("tracestate", "a=1,b=2".into())]);
        assert_eq!(id(&trace), Some("4bf92f3577b34da6a3ce929d0e0e4736"));
    }
}
