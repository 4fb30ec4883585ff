//! One JSON object a line, where an object that a child wrote stands for itself and not as a text.
//!
//! `time`, `level`, `logger` and `stream` come first and are the log's own; then the child's members
//! follow as they were written. A member of one of these four names is kept with `child_` before its
//! name, unless it says the same; a `time` in the form of RFC 3339 takes the place of the log's.
//! Whatever is not one whole object is a text, as in nginx-wrapper's form.

use std::borrow::Cow;
use std::fmt;

use coproc_core::output::{Line, Part};
use jiff::Timestamp;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::json::{self, Layout, string};
use super::stamp::Stamp;

/// Appends a line.
pub(super) fn line(line: &Line<'_>, stamp: Option<&mut Stamp>, out: &mut Vec<u8>) {
    let members = match (line.stream, line.part) {
        (Some(_), Part::Whole) => members(line.text),
        _ => None,
    };
    match members {
        Some(members) => merge(line, stamp, &members, out),
        None => json::line(line, stamp, None, Layout::new(false), out),
    }
}

/// The members of an object, their values as they were written.
struct Members<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

fn members(text: &[u8]) -> Option<Members<'_>> {
    if !text.trim_ascii_start().starts_with(b"{") {
        return None;
    }
    serde_json::from_str(std::str::from_utf8(text).ok()?).ok()
}

fn merge(line: &Line<'_>, stamp: Option<&mut Stamp>, members: &Members<'_>, out: &mut Vec<u8>) {
    let mut time = None;
    out.push(b'{');
    if let Some(stamp) = stamp {
        time = members.0.iter().position(|(name, value)| name == "time" && is_time(value));
        out.extend_from_slice(b"\"time\":");
        match time {
            Some(at) => out.extend_from_slice(members.0[at].1.get().as_bytes()),
            None => out.extend_from_slice(stamp.at(line.time)),
        }
        out.push(b',');
    }
    let timed = out.last() == Some(&b',');
    let own = [
        ("level", line.level.as_str()),
        ("logger", line.logger),
        ("stream", line.stream.map_or("", |stream| stream.as_str())),
    ];
    for (at, (name, value)) in own.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        string(name, out);
        out.push(b':');
        string(value, out);
    }
    for (at, (name, value)) in members.0.iter().enumerate() {
        if time == Some(at) {
            continue;
        }
        let mut name = Cow::Borrowed(&**name);
        match own.iter().find(|(taken, _)| *taken == name) {
            Some((_, said)) if says(value, said) => continue,
            Some(_) => name = members.beside(&name).into(),
            None if timed && name == "time" => name = members.beside(&name).into(),
            None => {}
        }
        out.push(b',');
        string(&name, out);
        out.push(b':');
        out.extend_from_slice(value.get().as_bytes());
    }
    out.extend_from_slice(b"}\n");
}

impl Members<'_> {
    /// A name for a member whose own is taken.
    fn beside(&self, name: &str) -> String {
        let mut free = format!("child_{name}");
        while self.0.iter().any(|(other, _)| *other == free) {
            free.insert_str(0, "child_");
        }
        free
    }
}

/// The inside of a text without escapes.
fn plain(value: &RawValue) -> Option<&str> {
    let inside = value.get().strip_prefix('"')?.strip_suffix('"')?;
    (!inside.contains('\\')).then_some(inside)
}

fn says(value: &RawValue, text: &str) -> bool {
    plain(value) == Some(text)
}

/// Is it a time with its offset? Zones in brackets are beyond RFC 3339.
fn is_time(value: &RawValue) -> bool {
    plain(value).is_some_and(|text| !text.contains('[') && text.parse::<Timestamp>().is_ok())
}

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(MembersVisitor)
    }
}

struct MembersVisitor;

impl<'de> Visitor<'de> for MembersVisitor {
    type Value = Members<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
        let mut members = Vec::new();
        while let Some((Name(name), value)) = map.next_entry()? {
            members.push((name, value));
        }
        Ok(Members(members))
    }
}

/// A name, which is copied only if it is escaped.
struct Name<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Name<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(NameVisitor)
    }
}

struct NameVisitor;

impl<'de> Visitor<'de> for NameVisitor {
    type Value = Name<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_borrowed_str<E: Error>(self, name: &'de str) -> Result<Name<'de>, E> {
        Ok(Name(name.into()))
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Name<'de>, E> {
        Ok(Name(name.to_owned().into()))
    }
}
