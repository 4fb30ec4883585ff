//! A query as a map of several values for each name, read and written as Go does.

use std::collections::BTreeMap;

use super::header::text;
use crate::wire::Texts;

/// Names and their values, both unescaped; they need not be text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Query(BTreeMap<Vec<u8>, Vec<Vec<u8>>>);

impl Query {
    /// Reads a query. Pairs with a semicolon or a broken escape are left out.
    pub(super) fn parse(query: &str) -> Self {
        let mut map: BTreeMap<Vec<u8>, Vec<Vec<u8>>> = BTreeMap::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty() && !pair.contains(';')) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            if let (Some(name), Some(value)) = (unescape(name), unescape(value)) {
                map.entry(name).or_default().push(value);
            }
        }
        Self(map)
    }

    /// The first value of each name, as text.
    pub(super) fn first_values(&self) -> Texts {
        let first = |(name, values): (&Vec<u8>, &Vec<Vec<u8>>)| {
            let value = values.first().map(|value| text(value).into_owned()).unwrap_or_default();
            (text(name).into_owned(), value)
        };
        self.0.iter().map(first).collect()
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
fn unescape(text: &str) -> Option<Vec<u8>> {
    let spaced: Vec<u8> = text.bytes().map(|byte| if byte == b'+' { b' ' } else { byte }).collect();
    super::uri::unescape(&spaced)
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
        let query = Query::parse("b=2&a=1+%2B&b=3&&flag&bad=%zz&semi;colon=1&=none");
        let first: Vec<_> = query.first_values().into_iter().collect();
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
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
