//! Addresses as they travel: the object that Go's `url.URL` becomes, not a text.

use std::fmt;
use std::path::PathBuf;

use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use crate::decode::{members, text};
use crate::escape::{path_escape, path_unescape};

/// An address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Url {
    /// `unix`, `http`, `https`, or anything else that a requester said; in lower case when it was
    /// read from a text.
    pub scheme: String,
    /// What follows the colon where no slash does.
    pub opaque: String,
    /// Whether there were credentials. They never travel; that there were some does.
    pub user: bool,
    /// The host, with its port if there is one.
    pub host: String,
    /// The path, decoded.
    pub path: String,
    /// The path as it was encoded, where that is not the usual way.
    pub raw_path: String,
    /// What follows the `?`, encoded.
    pub raw_query: String,
    /// What follows the `#`, decoded.
    pub fragment: String,
}

/// A text that is no address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a URL")]
pub struct UrlError(pub String);

impl Url {
    /// The address of a Unix socket.
    pub fn unix(path: impl Into<String>) -> Self {
        Self { scheme: "unix".into(), path: path.into(), ..Self::default() }
    }

    /// Reads the text form.
    ///
    /// # Errors
    /// Where it has control characters, or a `%` that two digits do not follow.
    pub fn parse(whole: &str) -> Result<Self, UrlError> {
        let wrong = || UrlError(whole.chars().take(200).collect());
        if whole.chars().any(char::is_control) {
            return Err(wrong());
        }
        let mut url = Self::default();
        let (rest, fragment) = whole.split_once('#').unwrap_or((whole, ""));
        url.fragment = path_unescape(fragment).ok_or_else(wrong)?;
        let mut rest = rest;
        if let Some((scheme, after)) = rest.split_once(':')
            && scheme.starts_with(|first: char| first.is_ascii_alphabetic())
            && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
        {
            url.scheme = scheme.to_ascii_lowercase();
            rest = after;
        }
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        url.raw_query = query.to_owned();
        if !url.scheme.is_empty() && !rest.starts_with('/') {
            url.opaque = rest.to_owned();
            return Ok(url);
        }
        let path = match rest.strip_prefix("//") {
            None => rest,
            Some(rest) => {
                let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
                url.host = match authority.rsplit_once('@') {
                    Some((_, host)) => {
                        url.user = true;
                        host.to_owned()
                    }
                    None => authority.to_owned(),
                };
                path
            }
        };
        url.path = path_unescape(path).ok_or_else(wrong)?;
        if path_escape(&url.path) != path {
            url.raw_path = path.to_owned();
        }
        Ok(url)
    }

    /// Whether this is the address of a Unix socket.
    pub fn is_unix(&self) -> bool {
        self.scheme.eq_ignore_ascii_case("unix")
    }

    /// Whether this is an address of HTTP, encrypted or not.
    pub fn is_http(&self) -> bool {
        self.scheme.eq_ignore_ascii_case("http") || self.scheme.eq_ignore_ascii_case("https")
    }

    /// The host without its port; an IPv6 address stands in brackets.
    pub fn host_name(&self) -> &str {
        let end = match self.host.rsplit_once(':') {
            Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
            _ => return &self.host,
        };
        // `::1` alone has no port.
        if end.contains(':') && !end.ends_with(']') { &self.host } else { end }
    }

    /// The port, if one is named.
    pub fn port(&self) -> Option<u16> {
        let name = self.host_name().len();
        self.host.get(name + 1..)?.parse().ok()
    }

    /// The file of a Unix socket: the path as it is, whatever host and query say.
    pub fn socket(&self) -> PathBuf {
        match self.path.as_str() {
            "" => "/".into(),
            path => path.into(),
        }
    }

    /// The path as it stands in a request: encoded, as its sender encoded it where that means the
    /// same.
    pub fn encoded_path(&self) -> String {
        let own = !self.raw_path.is_empty()
            && self.raw_path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'?')
            && path_unescape(&self.raw_path).is_some_and(|path| path == self.path);
        match own {
            true => self.raw_path.clone(),
            false => path_escape(&self.path),
        }
    }

    /// Path and query, as the first line of an HTTP request has them.
    pub fn target(&self) -> String {
        let mut target = self.encoded_path();
        if !target.starts_with('/') {
            target.insert(0, '/');
        }
        if !self.raw_query.is_empty() {
            target.push('?');
            target.push_str(&self.raw_query);
        }
        target
    }

    /// Reads what stands in a message: the object, or a text, which the original did not know.
    pub(crate) fn read(key: &str, value: &RawValue) -> Result<Option<Self>, String> {
        let source = value.get();
        if source == "null" {
            return Ok(None);
        }
        if source.starts_with('"') {
            let whole = text(key, value)?.unwrap_or_default();
            return Self::parse(&whole).map(Some).map_err(|error| format!("`{key}`: {error}"));
        }
        let mut url = Self::default();
        let read = members(source.as_bytes(), |part, value| {
            let field = match part {
                "scheme" => &mut url.scheme,
                "opaque" => &mut url.opaque,
                "host" => &mut url.host,
                "path" => &mut url.path,
                "rawpath" => &mut url.raw_path,
                "rawquery" => &mut url.raw_query,
                "fragment" => &mut url.fragment,
                "user" => {
                    url.user = value.get() != "null";
                    return Ok(());
                }
                _ => return Ok(()),
            };
            if let Some(text) = text(part, value)? {
                *field = text;
            }
            Ok(())
        });
        read.map_err(|error| format!("`{key}`: {error}"))?;
        Ok(Some(url))
    }
}

impl fmt::Display for Url {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.scheme.is_empty() {
            write!(out, "{}:", self.scheme)?;
        }
        if self.opaque.is_empty() {
            if !self.scheme.is_empty() || !self.host.is_empty() {
                write!(out, "//{}", self.host)?;
            }
            let path = self.encoded_path();
            if !self.host.is_empty() && !path.is_empty() && !path.starts_with('/') {
                out.write_str("/")?;
            }
            out.write_str(&path)?;
        } else {
            out.write_str(&self.opaque)?;
        }
        if !self.raw_query.is_empty() {
            write!(out, "?{}", self.raw_query)?;
        }
        if !self.fragment.is_empty() {
            write!(out, "#{}", path_escape(&self.fragment))?;
        }
        Ok(())
    }
}

/// The eight keys that every version of Go wrote.
impl Serialize for Url {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut url = serializer.serialize_struct("Url", 8)?;
        url.serialize_field("Scheme", &self.scheme)?;
        url.serialize_field("Opaque", &self.opaque)?;
        url.serialize_field("User", &self.user.then_some(Nothing {}))?;
        url.serialize_field("Host", &self.host)?;
        url.serialize_field("Path", &self.path)?;
        url.serialize_field("RawPath", &self.raw_path)?;
        url.serialize_field("RawQuery", &self.raw_query)?;
        url.serialize_field("Fragment", &self.fragment)?;
        url.end()
    }
}

/// What credentials become.
#[derive(Serialize)]
struct Nothing {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_and_back() {
        for text in [
            "http://127.0.0.1:4080/response",
            "http://h/cb?x=1",
            "https://h/a%20b?q=%20#frag",
            "unix:///tmp/mistify/response/c.sock",
            "unix:///a%2Fb",
            "mailto:somebody",
            "relative/path",
            "",
        ] {
            assert_eq!(Url::parse(text).unwrap().to_string(), text);
        }
        let url = Url::parse("HTTP://u:p@h:1/x").unwrap();
        assert_eq!((url.scheme.as_str(), url.host.as_str(), url.user), ("http", "h:1", true));
        assert!(Url::parse("http://h/%zz").is_err());
        assert!(Url::parse("http://h/\n").is_err());
    }

    #[test]
    fn sockets_have_any_path() {
        let url = Url::parse("unix:///a%20b/%C3%BC.sock?x").unwrap();
        assert_eq!(url.socket(), PathBuf::from("/a b/ü.sock"));
        assert_eq!(Url::unix("/a?b#c%41").socket(), PathBuf::from("/a?b#c%41"));
        assert_eq!(Url::unix("").socket(), PathBuf::from("/"));
        assert_eq!(Url::unix("/a?b").to_string(), "unix:///a%3Fb");
    }

    #[test]
    fn hosts_and_ports() {
        for (host, name, port) in [
            ("h", "h", None),
            ("h:80", "h", Some(80)),
            (":4080", "", Some(4080)),
            ("[::1]:80", "[::1]", Some(80)),
            ("[::1]", "[::1]", None),
            ("::1", "::1", None),
            ("h:99999", "h", None),
            ("h:", "h", None),
            ("", "", None),
        ] {
            let url = Url { host: host.into(), ..Url::default() };
            assert_eq!((url.host_name(), url.port()), (name, port), "{host}");
        }
    }

    #[test]
    fn targets_of_requests() {
        assert_eq!(Url::parse("http://h").unwrap().target(), "/");
        assert_eq!(Url::parse("http://h/cb?x=1").unwrap().target(), "/cb?x=1");
        let foul = Url { raw_path: "/a\r\nb".into(), path: "/a b".into(), ..Url::default() };
        assert_eq!(foul.target(), "/a%20b");
    }
}
