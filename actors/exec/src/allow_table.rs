//! `allow` of an `[exec_socket]` table as it is written, and the rules that it resolves to.

use std::borrow::Cow;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use coproc_core::duration::Span;
use coproc_core::refusal::Refusal;
use coproc_core::words::Words;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, Error, IntoDeserializer, MapAccess, SeqAccess, Visitor};

use crate::config::{Matches, Rule};
use crate::scalars::Pattern;

/// What may be run: a list, or one text of paths as a variable has it.
#[derive(Clone, Debug)]
pub struct AllowList(Vec<AllowEntry>);

impl AllowList {
    /// The rules in their order; what is wrong with an entry is appended to `refusals`.
    pub(crate) fn rules(self, refusals: &mut Vec<Refusal>) -> Vec<Rule> {
        let rule = |(at, AllowEntry(table)): (usize, AllowEntry)| {
            let matches = matches(at + 1, table.program, table.argv, refusals)?;
            Some(Rule {
                matches,
                timeout: table.timeout.map(for_ever_if_zero),
                kill_timeout: table.kill_timeout.map(Span::get),
            })
        };
        self.0.into_iter().enumerate().filter_map(rule).collect()
    }
}

/// A timeout of 0 is none.
pub(crate) fn for_ever_if_zero(timeout: Span) -> Option<Duration> {
    Some(timeout.get()).filter(|time| !time.is_zero())
}

struct ListVisitor;

impl<'de> Visitor<'de> for ListVisitor {
    type Value = AllowList;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of absolute paths and tables")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<AllowList, E> {
        let words = Words::deserialize(text.into_deserializer())?;
        Ok(AllowList(words.0.into_iter().map(AllowEntry::program).collect()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<AllowList, A::Error> {
        let mut all = Vec::new();
        while let Some(entry) = elements.next_element()? {
            all.push(entry);
        }
        Ok(AllowList(all))
    }
}

impl<'de> Deserialize<'de> for AllowList {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ListVisitor)
    }
}

impl JsonSchema for AllowList {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "AllowList".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let entry = generator.subschema_for::<AllowEntry>();
        json_schema!({ "anyOf": [{ "type": "array", "items": entry }, { "type": "string" }] })
    }
}

/// Something that may be run: the absolute path of a program, or a table.
#[derive(Clone, Debug)]
pub struct AllowEntry(AllowTable);

impl AllowEntry {
    fn program(path: String) -> Self {
        Self(AllowTable { program: Some(path), ..Default::default() })
    }
}

/// Something that may be run, with limits of its own.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "an absolute path or a table")]
pub struct AllowTable {
    /// The absolute path of a program, whatever its arguments.
    pub program: Option<String>,
    /// A regular expression that the whole argument vector has to match: its words as a shell would
    /// quote them, the program by its absolute path.
    pub argv: Option<Pattern>,
    /// How long such a connection may last; `0` is for ever. Default: the socket's.
    pub timeout: Option<Span>,
    /// How long such a program has after TERM. Default: the socket's.
    pub kill_timeout: Option<Span>,
}

struct AllowVisitor;

impl<'de> Visitor<'de> for AllowVisitor {
    type Value = AllowEntry;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an absolute path or a table")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<AllowEntry, E> {
        Ok(AllowEntry::program(text.to_owned()))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<AllowEntry, A::Error> {
        AllowTable::deserialize(MapAccessDeserializer::new(map)).map(AllowEntry)
    }
}

impl<'de> Deserialize<'de> for AllowEntry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AllowVisitor)
    }
}

impl JsonSchema for AllowEntry {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "AllowEntry".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let table = generator.subschema_for::<AllowTable>();
        json_schema!({ "anyOf": [{ "type": "string", "pattern": "^/" }, table] })
    }
}

fn matches(
    number: usize,
    program: Option<String>,
    argv: Option<Pattern>,
    refusals: &mut Vec<Refusal>,
) -> Option<Matches> {
    match (program, argv) {
        (Some(program), None) if program.starts_with('/') => {
            return Some(Matches::Program(PathBuf::from(program)));
        }
        (None, Some(Pattern(pattern))) => return Some(Matches::Argv(pattern)),
        (Some(program), None) => refusals.push(
            Refusal::wrong("allow", format!("`{program}` is not an absolute path"))
                .expected("a path that begins with `/`, or a table with `argv`"),
        ),
        (Some(_), Some(_)) => refusals.push(
            Refusal::wrong("allow", format!("entry {number} has both `program` and `argv`"))
                .expected("one of the two"),
        ),
        (None, None) => refusals.push(
            Refusal::wrong("allow", format!("entry {number} has neither `program` nor `argv`"))
                .expected("one of the two"),
        ),
    }
    None
}
