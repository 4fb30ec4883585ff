//! The part of XPath 1.0 that extractors know: steps along the child, descendant and attribute axes with
//! `/` and `//`, names, `*`, `@name`, `text()`, `node()`, `.`, `..`, and predicates that count (`[2]`), that
//! look whether something is there (`[key]`) or compare it with a text (`[@id='7']`, `[key="x"]`).

use memchr::{memchr, memmem};
use roxmltree::{Document, Node};

/// The most steps and predicates of one expression.
const MAX_STEPS: usize = 64;

/// The most nodes that are looked at for one document, over all steps.
const MAX_VISITS: usize = 1 << 20;

/// The most attributes of one element, and the most names of namespaces in one document: each is compared with
/// all others when a document is read.
const MAX_ATTRIBUTES: usize = 256;

/// A path through a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct XPath {
    steps: Vec<Step>,
}

/// What is wrong with an expression, and at which of its bytes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} at byte {at}")]
pub struct XPathError {
    /// What.
    pub what: &'static str,
    /// Where, from 0.
    pub at: usize,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Step {
    axis: Axis,
    test: Test,
    predicates: Vec<Predicate>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Axis {
    Child,
    /// The node itself and all below it, in the order of the document.
    Descendant,
    /// All below the node.
    Below,
    Attribute,
    Itself,
    Parent,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Test {
    Name(String),
    AnyName,
    Text,
    AnyNode,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Predicate {
    /// The number among those that the step finds from one node, from 1.
    Position(usize),
    There(Vec<Step>),
    Equals(Vec<Step>, String),
}

/// What a step leads to.
#[derive(Clone, Copy)]
enum Found<'a> {
    Node(Node<'a, 'a>),
    Attribute(Node<'a, 'a>, &'a str),
}

impl XPath {
    /// Reads an expression.
    ///
    /// # Errors
    /// The first thing that is not understood.
    pub fn parse(text: &str) -> Result<Self, XPathError> {
        let mut parser = Parser { text, at: 0, steps: 0 };
        let steps = parser.path()?;
        parser.blanks();
        match parser.at == text.len() {
            true => Ok(Self { steps }),
            false => Err(parser.error("expected the end of the expression")),
        }
    }

    /// The text of the first node that it leads to in a document; `None` where there is none, where the
    /// text is empty, and where the document is no XML or takes too long to look at.
    pub fn text(&self, xml: &str) -> Option<String> {
        if is_crowded(xml) {
            return None;
        }
        let document = Document::parse(xml).ok()?;
        let mut visits = 0;
        let found = walk(vec![Found::Node(document.root())], &self.steps, &mut visits)?;
        // It is read once, however much was looked at before.
        found.first()?.text(&mut 0).filter(|text| !text.is_empty())
    }
}

/// Whether an element has too many attributes, or the document too many namespaces. What is no XML may be
/// either.
fn is_crowded(xml: &str) -> bool {
    let bytes = xml.as_bytes();
    if memmem::find_iter(bytes, "xmlns").nth(MAX_ATTRIBUTES).is_some() {
        return true;
    }
    let mut rest = bytes;
    while let Some(at) = memchr(b'<', rest) {
        rest = &rest[at + 1..];
        let skipped: &[(&[u8], &[u8])] = &[(b"!--", b"-->"), (b"![CDATA[", b"]]>"), (b"?", b"?>")];
        if let Some((_, end)) = skipped.iter().find(|(begin, _)| rest.starts_with(begin)) {
            let Some(at) = memmem::find(rest, end) else { return false };
            rest = &rest[at + end.len()..];
            continue;
        }
        let mut attributes = 0;
        loop {
            let Some(at) = rest.iter().position(|byte| b"='\">".contains(byte)) else {
                return false;
            };
            let found = rest[at];
            rest = &rest[at + 1..];
            match found {
                b'>' => break,
                b'=' => attributes += 1,
                quote => {
                    let Some(end) = memchr(quote, rest) else { return false };
                    rest = &rest[end + 1..];
                }
            }
            if attributes > MAX_ATTRIBUTES {
                return true;
            }
        }
    }
    false
}

impl Found<'_> {
    /// Its text; `None` once too many nodes were looked at.
    fn text(&self, visits: &mut usize) -> Option<String> {
        let node = match self {
            Self::Attribute(_, value) => return Some((*value).to_owned()),
            Self::Node(node) => node,
        };
        let mut text = String::new();
        for node in node.descendants() {
            *visits += 1;
            if *visits > MAX_VISITS {
                return None;
            }
            if node.is_text() {
                let part = node.text().unwrap_or_default();
                // Long texts are copied as often as they are looked at.
                *visits += part.len() / 64;
                text.push_str(part);
            }
        }
        Some(text)
    }
}

/// Follows the steps; `None` once too many nodes were looked at.
fn walk<'a>(
    mut from: Vec<Found<'a>>,
    steps: &[Step],
    visits: &mut usize,
) -> Option<Vec<Found<'a>>> {
    for step in steps {
        let mut reached = Vec::new();
        for found in from {
            let Found::Node(node) = found else { continue };
            reached.extend(step.from(node, visits)?);
        }
        // From several nodes one may be reached more than once, and not in the document's order.
        let key = |found: &Found<'a>| match found {
            Found::Node(node) | Found::Attribute(node, _) => node.id().get_usize(),
        };
        reached.sort_by_key(key);
        if step.axis != Axis::Attribute {
            reached.dedup_by_key(|found| key(found));
        }
        from = reached;
    }
    Some(from)
}

impl Step {
    fn from<'a>(&self, node: Node<'a, 'a>, visits: &mut usize) -> Option<Vec<Found<'a>>> {
        let mut found: Vec<Found<'a>> = match self.axis {
            Axis::Child => self.nodes(node.children(), visits)?,
            Axis::Descendant => self.nodes(node.descendants(), visits)?,
            Axis::Below => self.nodes(node.descendants().skip(1), visits)?,
            Axis::Itself => self.nodes(std::iter::once(node), visits)?,
            Axis::Parent => self.nodes(node.parent().into_iter(), visits)?,
            Axis::Attribute => {
                let attributes = node.attributes().filter(|attribute| match &self.test {
                    Test::Name(name) => attribute.name() == name,
                    Test::AnyName | Test::AnyNode => true,
                    Test::Text => false,
                });
                attributes.map(|attribute| Found::Attribute(node, attribute.value())).collect()
            }
        };
        for predicate in &self.predicates {
            let mut kept = Vec::new();
            for (number, one) in found.into_iter().enumerate() {
                if predicate.holds(one, number + 1, visits)? {
                    kept.push(one);
                }
            }
            found = kept;
        }
        Some(found)
    }

    fn nodes<'a>(
        &self,
        nodes: impl Iterator<Item = Node<'a, 'a>>,
        visits: &mut usize,
    ) -> Option<Vec<Found<'a>>> {
        let mut found = Vec::new();
        for node in nodes {
            *visits += 1;
            if *visits > MAX_VISITS {
                return None;
            }
            let fits = match &self.test {
                Test::Name(name) => node.is_element() && node.tag_name().name() == name,
                Test::AnyName => node.is_element(),
                Test::Text => node.is_text(),
                Test::AnyNode => true,
            };
            if fits {
                found.push(Found::Node(node));
            }
        }
        Some(found)
    }
}

impl Predicate {
    fn holds(&self, found: Found<'_>, number: usize, visits: &mut usize) -> Option<bool> {
        Some(match self {
            Self::Position(wanted) => *wanted == number,
            Self::There(steps) => !walk(vec![found], steps, visits)?.is_empty(),
            Self::Equals(steps, text) => {
                for found in walk(vec![found], steps, visits)? {
                    if found.text(visits)? == *text {
                        return Some(true);
                    }
                }
                false
            }
        })
    }
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    steps: usize,
}

impl Parser<'_> {
    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    fn error(&self, what: &'static str) -> XPathError {
        XPathError { what, at: self.at }
    }

    fn blanks(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start().len();
    }

    fn takes(&mut self, token: &str) -> bool {
        self.blanks();
        let takes = self.rest().starts_with(token);
        if takes {
            self.at += token.len();
        }
        takes
    }

    fn count(&mut self) -> Result<(), XPathError> {
        self.steps += 1;
        match self.steps > MAX_STEPS {
            true => Err(self.error("the expression is too long")),
            false => Ok(()),
        }
    }

    /// A path. Within a predicate and without a slash it begins at the node, elsewhere at the document.
    fn path(&mut self) -> Result<Vec<Step>, XPathError> {
        let mut steps = Vec::new();
        if self.takes("//") {
            steps.push(anywhere());
        } else if self.takes("/") {
            self.blanks();
            if self.rest().is_empty() {
                return Ok(steps);
            }
        }
        loop {
            steps.push(self.step()?);
            if self.takes("//") {
                steps.push(anywhere());
            } else if !self.takes("/") {
                return Ok(steps);
            }
        }
    }

    fn step(&mut self) -> Result<Step, XPathError> {
        self.count()?;
        let (axis, test) = if self.takes("..") {
            (Axis::Parent, Test::AnyNode)
        } else if self.takes(".") {
            (Axis::Itself, Test::AnyNode)
        } else {
            (self.axis()?, self.test()?)
        };
        let mut predicates = Vec::new();
        while self.takes("[") {
            self.count()?;
            predicates.push(self.predicate()?);
            if !self.takes("]") {
                return Err(self.error("expected `]`"));
            }
        }
        Ok(Step { axis, test, predicates })
    }

    fn axis(&mut self) -> Result<Axis, XPathError> {
        if self.takes("@") {
            return Ok(Axis::Attribute);
        }
        const NAMED: [(&str, Axis); 6] = [
            ("child::", Axis::Child),
            ("descendant-or-self::", Axis::Descendant),
            ("descendant::", Axis::Below),
            ("attribute::", Axis::Attribute),
            ("self::", Axis::Itself),
            ("parent::", Axis::Parent),
        ];
        for (name, axis) in NAMED {
            if self.takes(name) {
                return Ok(axis);
            }
        }
        Ok(Axis::Child)
    }

    fn test(&mut self) -> Result<Test, XPathError> {
        if self.takes("*") {
            return Ok(Test::AnyName);
        }
        if self.takes("text()") {
            return Ok(Test::Text);
        }
        if self.takes("node()") {
            return Ok(Test::AnyNode);
        }
        let rest = self.rest();
        let part = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.');
        let end = rest.find(|c| !part(c)).unwrap_or(rest.len());
        let name = &rest[..end];
        if !name.starts_with(|c: char| c.is_alphabetic() || c == '_') {
            return Err(self.error("expected a name, `*`, `@`, `text()` or `.`"));
        }
        if rest[end..].starts_with(['(', ':']) {
            return Err(self.error("functions, other axes and prefixes are not supported"));
        }
        let name = name.to_owned();
        self.at += end;
        Ok(Test::Name(name))
    }

    fn predicate(&mut self) -> Result<Predicate, XPathError> {
        self.blanks();
        let rest = self.rest();
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        if digits > 0 {
            let number = rest[..digits].parse().ok().filter(|number| *number > 0);
            let number = number.ok_or_else(|| self.error("expected a number from 1"))?;
            self.at += digits;
            return Ok(Predicate::Position(number));
        }
        if rest.starts_with('/') {
            return Err(self.error("a path in a predicate begins at its node"));
        }
        let steps = self.path()?;
        if !self.takes("=") {
            return Ok(Predicate::There(steps));
        }
        self.blanks();
        let quote = self.rest().chars().next().filter(|c| matches!(c, '\'' | '"'));
        let quote = quote.ok_or_else(|| self.error("expected a text in quotes"))?;
        self.at += 1;
        let end = self.rest().find(quote).ok_or_else(|| self.error("a quote is not closed"))?;
        let text = self.rest()[..end].to_owned();
        self.at += end + 1;
        Ok(Predicate::Equals(steps, text))
    }
}

/// What `//` stands for.
fn anywhere() -> Step {
    Step { axis: Axis::Descendant, test: Test::AnyNode, predicates: Vec::new() }
}
