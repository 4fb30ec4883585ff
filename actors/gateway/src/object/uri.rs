//! The `url` that a hook returns, read as Go reads the target of a request.

/// The escapes of a path are as the upstream gets them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RequestUri {
    /// Begins with `/`, or is `*`.
    pub(super) path: String,
    /// What follows the question mark, as it stands there.
    pub(super) query: Option<String>,
}

/// Why a text is no target of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum UriError {
    #[error("it is empty")]
    Empty,
    #[error("it has a control character")]
    Control,
    #[error("it begins with neither `/` nor a scheme")]
    Relative,
    #[error("an escape in it is broken")]
    Escape,
    #[error("its host is none")]
    Host,
    #[error("internal redirects (`tyk:`) are not supported")]
    Redirect,
}

impl RequestUri {
    /// Reads an absolute path, `*` or an absolute URL, of which scheme and host do not count: the definition
    /// says where requests go.
    pub(super) fn parse(text: &str) -> Result<Self, UriError> {
        if text.is_empty() {
            return Err(UriError::Empty);
        }
        if text.bytes().any(|byte| byte < 0x20 || byte == 0x7f) {
            return Err(UriError::Control);
        }
        if text == "*" {
            return Ok(Self { path: text.to_owned(), query: None });
        }
        let (scheme, rest) = scheme(text)?;
        let (rest, query) = match rest.split_once('?') {
            Some((rest, query)) => (rest, Some(query.to_owned())),
            None => (rest, None),
        };
        if scheme.is_some_and(|scheme| scheme.eq_ignore_ascii_case("tyk")) {
            return Err(UriError::Redirect);
        }
        let path = match (scheme, rest.strip_prefix("//")) {
            (Some(_), Some(rest)) => {
                let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
                if !host.is_empty() && host.parse::<http::uri::Authority>().is_err() {
                    return Err(UriError::Host);
                }
                path
            }
            _ => rest,
        };
        let no_path = scheme.is_some() && path.is_empty();
        if !no_path && !path.starts_with('/') {
            return Err(UriError::Relative);
        }
        let path = if no_path { "/" } else { path };
        Ok(Self { path: escaped_path(path).ok_or(UriError::Escape)?, query })
    }
}

/// Takes a scheme off the front, if there is one.
fn scheme(text: &str) -> Result<(Option<&str>, &str), UriError> {
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' => {}
            b'0'..=b'9' | b'+' | b'-' | b'.' if at > 0 => {}
            b':' if at == 0 => return Err(UriError::Relative),
            b':' => return Ok((Some(&text[..at]), &text[at + 1..])),
            _ => break,
        }
    }
    Ok((None, text))
}

/// A path as it stands if it may stand so in a request, else with everything escaped that has to be.
fn escaped_path(path: &str) -> Option<String> {
    let plain = unescape(path.as_bytes())?;
    let may_stand = |byte: u8| is_unreserved(byte) || b"!$&'()*+,;=:@[]%/".contains(&byte);
    if path.bytes().all(may_stand) {
        return Some(path.to_owned());
    }
    let mut escaped = String::with_capacity(path.len() + 8);
    for byte in plain {
        if is_unreserved(byte) || b"$&+,/:;=@".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            push_escaped(byte, &mut escaped);
        }
    }
    Some(escaped)
}

/// Undoes `%XX`; `None` if an escape is broken.
pub(super) fn unescape(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut plain = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let [first, after @ ..] = rest {
        if *first == b'%' {
            let [high, low, after @ ..] = after else { return None };
            plain.push((digit(*high)? << 4) | digit(*low)?);
            rest = after;
        } else {
            plain.push(*first);
            rest = after;
        }
    }
    Some(plain)
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

/// Whether a byte is never escaped.
pub(super) fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte)
}

/// Writes a byte as `%XX`.
pub(super) fn push_escaped(byte: u8, into: &mut String) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    into.push('%');
    into.push(char::from(DIGITS[usize::from(byte >> 4)]));
    into.push(char::from(DIGITS[usize::from(byte & 15)]));
}

/// Whether a query can stand in a request as it is.
pub(super) fn may_stand(query: &str) -> bool {
    query.bytes().all(|byte| matches!(byte, 0x21..=0x7e) && !b"\"#<>".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_go_accepts_is_accepted() {
        for (text, path, query) in [
            ("/a?b=1", "/a", Some("b=1")),
            ("/a?", "/a", Some("")),
            ("*", "*", None),
            ("//a/b", "//a/b", None),
            ("http://other:81/x?y", "/x", Some("y")),
            ("http://other", "/", None),
            ("HTTP://other?y", "/", Some("y")),
            ("file:///x", "/x", None),
            ("/a b", "/a%20b", None),
            ("/a%2fb", "/a%2fb", None),
            ("/a#b", "/a%23b", None),
            ("/caf\u{e9}/a%2Fb", "/caf%C3%A9/a/b", None),
            ("/a:b@c[]", "/a:b@c[]", None),
            ("/a?b#c?d", "/a", Some("b#c?d")),
        ] {
            let expected = RequestUri { path: path.into(), query: query.map(str::to_owned) };
            assert_eq!(RequestUri::parse(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_go_refuses_is_refused() {
        for (text, error) in [
            ("", UriError::Empty),
            ("a/b", UriError::Relative),
            ("?a=1", UriError::Relative),
            ("://x", UriError::Relative),
            ("mailto:x", UriError::Relative),
            ("/a\nb", UriError::Control),
            ("/a%2", UriError::Escape),
            ("/%zz", UriError::Escape),
            ("http://a b/", UriError::Host),
            ("tyk://self/x", UriError::Redirect),
        ] {
            assert_eq!(RequestUri::parse(text), Err(error), "{text}");
        }
    }
}
