//! YAML, with the order of its keys and the place of every key and value.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use saphyr_parser::{Event, Parser, ScalarStyle, Span, StrInput, Tag};

use super::origin::{Origin, Place, Source};
use super::report::SyntaxError;
use super::tree::{Data, Entry, Node};

/// How many values a file may hold once its aliases are written out: a few lines of aliases of
/// aliases can stand for more than any memory holds.
const MOST_NODES: usize = 100_000;

/// How deep values may lie in each other.
const MOST_DEPTH: usize = 128;

/// Reads a file.
pub(super) fn parse(source: &Arc<Source>) -> Result<Vec<Entry>, SyntaxError> {
    let masked = mask_delimiters(&source.text);
    let mut reader = Reader {
        parser: Parser::new_from_str(&masked),
        source,
        offsets: (!masked.is_ascii()).then(|| masked.char_indices().map(|(at, _)| at).collect()),
        anchors: HashMap::new(),
        nodes: 0,
    };
    reader.document()
}

struct Reader<'a> {
    parser: Parser<'a, StrInput<'a>>,
    source: &'a Arc<Source>,
    /// The byte of every character, where they differ: the parser counts characters.
    offsets: Option<Vec<usize>>,
    anchors: HashMap<usize, (Node, usize)>,
    nodes: usize,
}

impl<'a> Reader<'a> {
    fn document(&mut self) -> Result<Vec<Entry>, SyntaxError> {
        let mut entries = Vec::new();
        let mut documents = 0;
        loop {
            let (event, span) = self.next()?;
            match event {
                Event::StreamEnd => return Ok(entries),
                Event::DocumentStart(_) => {
                    documents += 1;
                    if documents > 1 {
                        return Err(self.error("a second document begins here", &span));
                    }
                    let (event, span) = self.next()?;
                    let node = self.node(event, &span, 0)?;
                    entries = match node.data {
                        Data::Table(entries) => entries,
                        Data::Null => Vec::new(),
                        _ => return Err(self.error("expected a mapping", &span)),
                    };
                }
                _ => {}
            }
        }
    }

    fn next(&mut self) -> Result<(Event<'a>, Span), SyntaxError> {
        match self.parser.next_event() {
            Some(Ok(event)) => Ok(event),
            Some(Err(error)) => {
                let start = self.byte(error.marker().index());
                Err(SyntaxError {
                    what: error.info().to_owned(),
                    place: Some(Place::new(self.source, start..start)),
                })
            }
            None => Err(SyntaxError { what: "the file ends too early".into(), place: None }),
        }
    }

    fn node(&mut self, event: Event<'a>, span: &Span, depth: usize) -> Result<Node, SyntaxError> {
        self.count(1, span)?;
        if depth > MOST_DEPTH {
            return Err(self.error("values lie too deep in each other", span));
        }
        let before = self.nodes;
        let (anchor, node) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                let range = self.range(span);
                let data = scalar(&text, style, tag.as_deref(), &self.source.text[range.clone()]);
                (anchor, Node { data, origin: self.origin(range) })
            }
            Event::SequenceStart(anchor, _) => {
                let mut nodes = Vec::new();
                let end = loop {
                    let (event, span) = self.next()?;
                    match event {
                        Event::SequenceEnd => break span,
                        event => nodes.push(self.node(event, &span, depth + 1)?),
                    }
                };
                let range = self.byte(span.start.index())..self.byte(end.end.index());
                (anchor, Node { data: Data::List(nodes), origin: self.origin(range) })
            }
            Event::MappingStart(anchor, _) => {
                let entries = self.mapping(depth)?;
                let range = self.range(span);
                (anchor, Node { data: Data::Table(entries), origin: self.origin(range) })
            }
            Event::Alias(anchor) => {
                let Some((node, size)) = self.anchors.get(&anchor).cloned() else {
                    return Err(self.error("an alias stands within its own anchor", span));
                };
                self.count(size, span)?;
                return Ok(node);
            }
            _ => return Err(self.error("expected a value", span)),
        };
        if anchor > 0 {
            self.anchors.insert(anchor, (node.clone(), self.nodes - before));
        }
        Ok(node)
    }

    fn mapping(&mut self, depth: usize) -> Result<Vec<Entry>, SyntaxError> {
        let mut entries: Vec<Entry> = Vec::new();
        let mut merged = Vec::new();
        loop {
            let (event, span) = self.next()?;
            let key = match event {
                Event::MappingEnd => break,
                Event::Scalar(text, ..) => text.into_owned(),
                _ => return Err(self.error("a key is not a text", &span)),
            };
            let origin = self.origin(self.range(&span));
            let (event, span) = self.next()?;
            let node = self.node(event, &span, depth + 1)?;
            if key == "<<" {
                match node.data {
                    Data::Table(entries) => merged.extend(entries),
                    Data::List(nodes) => {
                        for node in nodes {
                            let Data::Table(entries) = node.data else {
                                return Err(self.error("`<<` merges mappings only", &span));
                            };
                            merged.extend(entries);
                        }
                    }
                    _ => return Err(self.error("`<<` merges mappings only", &span)),
                }
                continue;
            }
            entries.push(Entry { key, origin, node });
        }
        // What a mapping says itself wins over what it merges, and the first merged over the next.
        for entry in merged {
            if entries.iter().all(|e| e.key != entry.key) {
                entries.push(entry);
            }
        }
        Ok(entries)
    }

    fn count(&mut self, nodes: usize, span: &Span) -> Result<(), SyntaxError> {
        self.nodes += nodes;
        match self.nodes > MOST_NODES {
            true => Err(self.error("aliases make this file too large", span)),
            false => Ok(()),
        }
    }

    fn byte(&self, character: usize) -> usize {
        match &self.offsets {
            Some(offsets) => offsets.get(character).copied().unwrap_or(self.source.text.len()),
            None => character.min(self.source.text.len()),
        }
    }

    fn range(&self, span: &Span) -> Range<usize> {
        let start = self.byte(span.start.index());
        start..self.byte(span.end.index()).max(start)
    }

    fn origin(&self, range: Range<usize>) -> Origin {
        Origin::File(Place::new(self.source, range))
    }

    fn error(&self, what: &str, span: &Span) -> SyntaxError {
        let start = self.byte(span.start.index());
        SyntaxError { what: what.to_owned(), place: Some(Place::new(self.source, start..start)) }
    }
}

/// The value of a scalar by YAML 1.2's core schema. Digits with a leading zero stay a text, since
/// `0027` is a mask and not twenty-seven.
fn scalar(text: &str, style: ScalarStyle, tag: Option<&Tag>, written: &str) -> Data {
    if is_brackets(written) {
        // Masked for the parser; see `mask_delimiters`.
        return Data::Text(written.chars().filter(|c| !c.is_whitespace()).collect());
    }
    let tagged_text = tag.is_some_and(|tag| tag.is_yaml_core_schema() && tag.suffix == "str");
    if style != ScalarStyle::Plain || tagged_text {
        return Data::Text(text.to_owned());
    }
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Data::Null,
        "true" | "True" | "TRUE" => return Data::Bool(true),
        "false" | "False" | "FALSE" => return Data::Bool(false),
        _ => {}
    }
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let radix = |prefix: &str, radix| {
        text.strip_prefix(prefix)
            .filter(|rest| rest.chars().all(|c| c.is_digit(radix)))
            .and_then(|rest| i128::from_str_radix(rest, radix).ok())
    };
    if let Some(integer) = radix("0x", 16).or_else(|| radix("0o", 8)) {
        return Data::Integer(integer);
    }
    let leading_zero = digits.len() > 1 && digits.starts_with('0') && !digits.starts_with("0.");
    if leading_zero || !digits.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return Data::Text(text.to_owned());
    }
    if digits.bytes().all(|b| b.is_ascii_digit()) {
        return match text.parse() {
            Ok(integer) => Data::Integer(integer),
            Err(_) => Data::Text(text.to_owned()),
        };
    }
    let decimal = digits.bytes().all(|b| b.is_ascii_digit() || b"eE.+-".contains(&b));
    match text.parse::<f64>() {
        Ok(float) if decimal => Data::Float(float),
        _ => Data::Text(text.to_owned()),
    }
}

/// nginx-wrapper's sample has `template_var_left_delim: [ [`, which opens two lists that the next
/// line's `] ]` closes. A delimiter of nothing but brackets is a text here: for the parser its
/// brackets are replaced by letters, one for one so that every place stays what it is, and the
/// value is taken from the file's own text, without its blanks.
fn mask_delimiters(text: &str) -> Cow<'_, str> {
    const KEYS: [&str; 2] = ["template_var_left_delim", "template_var_right_delim"];
    if !KEYS.iter().any(|key| text.to_ascii_lowercase().contains(key)) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        let value = line
            .split_once(':')
            .filter(|(key, _)| KEYS.contains(&key.trim().to_ascii_lowercase().as_str()));
        let Some((key, value)) = value else {
            out.push_str(line);
            continue;
        };
        let end = value.find(" #").unwrap_or(value.len());
        let (value, comment) = value.split_at(end);
        out.push_str(key);
        out.push(':');
        match is_brackets(value.trim()) {
            true => out.push_str(&value.replace(['[', ']', '{', '}'], "x")),
            false => out.push_str(value),
        }
        out.push_str(comment);
    }
    Cow::Owned(out)
}

fn is_brackets(text: &str) -> bool {
    text.contains(['[', ']', '{', '}'])
        && text.chars().all(|c| "[]{}".contains(c) || c == ' ' || c == '\t')
}
