//! A query as a map of several values for each name, read and written as Go does.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::header::text;

/// Tells the first value of each name, as text.
pub(super) fn first_values(query: &str, mut tell: impl FnMut(&str, &str)) {
    let mut first = BTreeMap::new();
    for (name, value) in pairs(query) {
        first.entry(name).or_insert(value);
    }
    for (name, value) in &first {
        tell(&text(name), &text(value));
    }
}

/// Names and values, both unescaped. Pairs with a semicolon or a broken escape are left out.
fn pairs(query: &str) -> impl Iterator<Item = (Cow<'_, [u8]>, Cow<'_, [u8]>)> {
    let pairs = query.split('&').filter(|pair| !pair.is_empty() && !pair.contains(';'));
    pairs.filter_map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        Some((unescape(name)?, unescape(value)?))
    })
}

/// Names and their values, both unescaped; they need not be text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Query(pub(super) BTreeMap<Vec<u8>, Vec<Vec<u8>>>);

impl Query {
    /// Reads a query.
    pub(super) fn parse(query: &str) -> Self {
        let mut map: BTreeMap<Vec<u8>, Vec<Vec<u8>>> = BTreeMap::new();
        for (name, value) in pairs(query) {
            map.entry(name.into_owned()).or_default().push(value.into_owned());
        }
        Self(map)
    }

    /// Takes a name out, which is given as plugins see it.
    pub(super) fn remove(&mut self, name: &str) {
        self.0.retain(|key, _| text(key) != name);
    }

    /// Gives a name one value.
    pub(super) fn set(&mut self, name: &str, value: &str) {
        self.remove(name);
        self.0.insert(name.into(), vec![value.into()]);
    }

    /// The query with its names sorted, a space as `+`.
    pub(super) fn encode(&self) -> String {
        let mut query = String::new();
        for (name, values) in &self.0 {
            for value in values {
                if !query.is_empty() {
                    query.push('&');
                }
                escape(name, &mut query);
                query.push('=');
                escape(value, &mut query);
            }
        }
        query
    }
}

/// Undoes the escapes of a query; `None` if one of them is broken.
fn unescape(text: &str) -> Option<Cow<'_, [u8]>> {
    if !text.bytes().any(|byte| matches!(byte, b'+' | b'%')) {
        return Some(Cow::Borrowed(text.as_bytes()));
    }
    let spaced: Vec<u8> = text.bytes().map(|byte| if byte == b'+' { b' ' } else { byte }).collect();
    super::uri::unescape(&spaced).map(Cow::Owned)
}

fn escape(bytes: &[u8], into: &mut String) {
    for byte in bytes.iter().copied() {
        match byte {
            b' ' => into.push('+'),
            byte if super::uri::is_unreserved(byte) => into.push(char::from(byte)),
            byte => super::uri::push_escaped(byte, into),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_read_as_go_reads_it() {
        let text = "b=2&a=1+%2B&b=3&&flag&bad=%zz&semi;colon=1&=none";
        let query = Query::parse(text);
        let mut first = Vec::new();
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        first_values(text, |name, value| first.push(pair(name, value)));
        assert_eq!(first, [pair("", "none"), pair("a", "1 +"), pair("b", "2"), pair("flag", "")]);
        assert_eq!(query.encode(), "=none&a=1+%2B&b=2&b=3&flag=");
    }

    #[test]
    fn a_name_that_is_no_text_can_be_removed_by_what_is_shown_of_it() {
        let mut query = Query::parse("caf%E9=1&x=2");
        query.remove("caf\u{e9}");
        assert_eq!(query.encode(), "x=2");
    }
}
