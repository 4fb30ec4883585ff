//! Go's text/template, by way of the crate `gotmpl`, with what that crate leaves out.
//!
//! Six things differ from it, so that templates behave as they do in Go:
//! - `index` of a key that a map of texts lacks is the empty text, since that is the zero value of
//!   such a map;
//! - functions and variables that do not exist are errors of the template, also in branches that are
//!   not taken;
//! - an `end` too many or too few is an error;
//! - `template` without a value hands on none;
//! - `html`, `js` and `urlquery` take any number of values;
//! - a failure of the execution tells its line and column.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use gotmpl::{Template, TemplateError, Value};

use crate::balance::{self, Delimiters};
use crate::fault::Fault;
use crate::marks::{self, MARK, NOTHING};

/// The name of the file's own body. No template can define it: a name in a file is never control
/// characters alone, so what is executed is always the body and no definition.
const BODY: &str = "\u{1}\u{2}";

/// Renders one file, which is a template set of its own.
pub(crate) fn render(source: &str, by: Delimiters<'_>, data: &Value) -> Result<String, Fault> {
    Prepared::new(source, by)?.render(data)
}

/// A fault of the engine's own shall cost one rendering and no more.
fn contained<T>(work: impl FnOnce() -> Result<T, Fault>) -> Result<T, Fault> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| {
        let what = "the template engine broke down on this template".to_owned();
        Err(Fault { line: 1, column: 1, what })
    })
}

/// A template set that can be rendered more than once.
pub(crate) struct Prepared {
    template: Template,
    /// A body of nothing but blanks is in no list of templates, and cannot fail.
    has_body: bool,
    /// Where the execution is, as line and column.
    place: Arc<AtomicU64>,
}

impl fmt::Debug for Prepared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Prepared").finish_non_exhaustive()
    }
}

impl Prepared {
    /// Parses a source.
    pub(crate) fn new(source: &str, by: Delimiters<'_>) -> Result<Self, Fault> {
        contained(|| Self::parsed(source, by))
    }

    fn parsed(source: &str, by: Delimiters<'_>) -> Result<Self, Fault> {
        let parsed = Template::new(BODY)
            .delims(by.left, by.right)
            .parse(source)
            .map_err(|error| fault(error, (1, 1)))?;
        balance::check(source, by)?;
        let place = Arc::new(AtomicU64::new(0));
        if parsed.lookup(BODY).is_none() {
            return Ok(Self { template: parsed, has_body: false, place });
        }
        let mark = place.clone();
        let mut marked = Template::new(BODY)
            .delims(by.left, by.right)
            .func("index", index)
            .func("html", escaping(gotmpl::html_escape))
            .func("js", escaping(gotmpl::js_escape))
            .func("urlquery", escaping(gotmpl::url_encode))
            .func(NOTHING, |_| Ok(Value::Nil))
            .func(MARK, move |args| {
                let number = |at: usize| args.get(at).and_then(Value::as_int).unwrap_or(1) as u64;
                mark.store(number(0) << 32 | number(1), Ordering::Relaxed);
                Ok(Value::String("".into()))
            });
        for name in parsed.templates() {
            if let Some(tree) = parsed.lookup(name) {
                marked = marked.add_parse_tree(name, marks::marked(tree, source)?);
            }
        }
        Ok(Self { template: marked, has_body: true, place })
    }

    /// Renders it.
    pub(crate) fn render(&self, data: &Value) -> Result<String, Fault> {
        contained(|| {
            let rendered = match self.has_body {
                true => self.template.execute_template_to_string(BODY, data),
                false => self.template.execute_to_string(data),
            };
            rendered.map_err(|error| {
                let place = self.place.load(Ordering::Relaxed);
                let at = ((place >> 32) as usize, (place & u64::from(u32::MAX)) as usize);
                fault(error, (at.0.max(1), at.1.max(1)))
            })
        })
    }
}

fn fault(error: TemplateError, (line, column): (usize, usize)) -> Fault {
    match error {
        TemplateError::Parse { line, col, message, .. }
        | TemplateError::Lex { line, col, message, .. } => {
            Fault { line, column: col, what: one_line(message) }
        }
        TemplateError::Exec(what) => Fault { line, column, what: one_line(what) },
        other => Fault { line, column, what: one_line(other.to_string()) },
    }
}

/// A message that quotes the template may quote its line breaks.
fn one_line(text: String) -> String {
    match text.contains(['\n', '\r']) {
        true => text.replace('\n', "\\n").replace('\r', "\\r"),
        false => text,
    }
}

/// One of Go's escaping functions, over all of its values printed in a row.
fn escaping(
    escape: impl Fn(&str) -> String + Send + Sync + 'static,
) -> impl Fn(&[Value]) -> gotmpl::Result<Value> + Send + Sync + 'static {
    move |args| Ok(Value::String(escape(&in_a_row(args)).into()))
}

/// Go's `Sprint`: a blank stands between two values of which neither is a text.
fn in_a_row(args: &[Value]) -> String {
    if let [Value::Nil] = args {
        return "<no value>".to_owned();
    }
    let is_text = |value: &Value| matches!(value, Value::String(_));
    let mut out = String::new();
    for (at, value) in args.iter().enumerate() {
        if at > 0 && !is_text(value) && !is_text(&args[at - 1]) {
            out.push(' ');
        }
        out.push_str(&value.to_string());
    }
    out
}

/// Go's `index`: any number of keys, none included.
fn index(args: &[Value]) -> gotmpl::Result<Value> {
    let Some((first, keys)) = args.split_first() else {
        return Err(TemplateError::ArgCount { name: "index".into(), expected: 1, got: 0 });
    };
    keys.iter().try_fold(first.clone(), |value, key| {
        let found = value.index(key)?;
        Ok(match (&value, found) {
            (Value::Map(map), Value::Nil)
                if !map.is_empty() && map.values().all(|v| matches!(v, Value::String(_))) =>
            {
                Value::String("".into())
            }
            (_, found) => found,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::values::value;
    use serde_json::json;

    fn data() -> Value {
        value(&json!({
            "a": "text", "b": true, "n": 2, "f": 1.5, "list": ["a", "b"],
            "map": { "k": "v", "a": 1, "z": [1, 2] }, "env": { "A": "1", "B": "" },
            "log_level": "INFO", "vcpu_count": 2, "none": [],
        }))
    }

    fn render(source: &str) -> Result<String, String> {
        let by = Delimiters { left: "[[", right: "]]" };
        super::render(source, by, &data()).map_err(|fault| fault.to_string())
    }

    #[track_caller]
    fn renders(source: &str, expected: &str) {
        assert_eq!(render(source).as_deref(), Ok(expected), "{source}");
    }

    #[test]
    fn w90_missing_values_and_formats() {
        renders(
            "[[.nope]] [[.env.NOPE]] [[index .env \"NOPE\"]] [[.log_level]] [[printf \"%05d\" .vcpu_count]]",
            "<no value> <no value>  INFO 00002",
        );
        renders("# [[.ServiceID]]", "# <no value>");
        renders("[[range .nope]]x[[else]]none[[end]]", "none");
        renders("[[with .nope]]x[[else]]none[[end]]", "none");
        renders("[[if eq .nope \"x\"]]x[[else]]other[[end]]", "other");
        renders("[[if index .env \"NOPE\"]]x[[else]]empty[[end]]", "empty");
        renders("[[index .map \"nope\"]]", "<no value>");
        renders("[[.nope.deeper]]", "<no value>");
    }

    #[test]
    fn values_print_as_in_go() {
        renders("[[.list]] [[.map]] [[.b]] [[.f]] [[.n]]", "[a b] map[a:1 k:v z:[1 2]] true 1.5 2");
        renders("[[range $k, $v := .map]][[$k]]=[[$v]];[[end]]", "a=1;k=v;z=[1 2];");
        renders("[[range $i, $v := .list]][[$i]][[$v]][[end]]", "0a1b");
        renders("[[len .list]] [[len .a]] [[index .list 1]] [[index .map \"z\" 0]]", "2 4 b 1");
        renders("[[slice .a 1 3]] [[print 1 2 \"x\" 3]] [[println \"x\"]]", "ex 1 2x3 x\n");
        renders(
            "[[printf \"%q %v %s|%-4s|%x\" .a .list .a \"b\" 255]]",
            "\"text\" [a b] text|b   |ff",
        );
    }

    #[test]
    fn the_built_in_functions() {
        renders("[[if and .b (eq .n 2)]]y[[end]][[if or .nope .b]]y[[end]][[not .b]]", "yyfalse");
        renders(
            "[[lt 1 2]][[le 2 2]][[gt 1 2]][[ge 2 3]][[ne .n 3]][[eq .n 1 2]]",
            "truetruefalsefalsetruetrue",
        );
        renders(
            "[[html \"<a>&'\"]] [[js \"it's\"]] [[urlquery \"a b&c\"]]",
            "&lt;a&gt;&amp;&#39; it\\'s a+b%26c",
        );
        renders(
            "[[html \"<\" 1 2 .nope]]|[[urlquery \"a\" \"&b\"]]|[[html .nope]]",
            "&lt;1 2 &lt;nil&gt;|a%26b|&lt;no value&gt;",
        );
        renders("[[.a | printf \"%s-%s\" \"x\" | len]]", "6");
    }

    #[test]
    fn literals_and_verbs() {
        renders("[[printf \"%.2f|%5d|%-5d|%t|%c\" 1.5 3 4 true 65]]", "1.50|    3|4    |true|A");
        renders("[[1_000]] [[0x10]] [['a']] [[`raw`]] [[\"a\\tb\"]]", "1000 16 97 raw a\tb");
        renders("[[(index .list 0)]] [[(len .list) | printf \"%d\"]]", "a 2");
        renders(
            "[[print .nope]] [[printf \"%s\" .nope]] [[printf \"%d\" .a]]",
            "<nil> %!s(<nil>) %!d(string=text)",
        );
        renders("[[/* a ]] b */]]x ]]", "x ]]");
        renders("[[range 3]][[.]][[end]] [[with .nope]][[else with .a]][[.]][[end]]", "012 text");
    }

    #[test]
    fn actions_comments_and_trimming() {
        renders("a [[- /* comment */ -]] b", "ab");
        renders("[[/* comment */]]x", "x");
        renders("[[if eq .n 1]]1[[else if eq .n 2]]2[[else]]3[[end]]", "2");
        renders("[[$x := .n]][[if .b]][[$x = 3]][[end]][[$x]]", "3");
        renders("a\n[[- \"b\" -]]\n c", "abc");
        renders("[[range .list]][[if eq . \"b\"]][[break]][[end]][[.]][[end]]", "a");
        renders("[[with $y := .map]][[.k]][[$y.k]][[$.a]][[end]]", "vvtext");
        renders("{{ .a }} ${x} $host", "{{ .a }} ${x} $host");
    }

    #[test]
    fn w97_the_body_of_the_file_is_executed() {
        let text = "[[define \"a\"]]A[[end]][[define \"b\"]]B[[.]][[end]]body [[template \"b\" 1]]";
        renders(text, "body B1");
        renders("[[define \"a\"]]A[[end]][[define \"b\"]]B[[end]]", "");
        renders(
            "[[define \"a\"]][[.]] [[.a]] [[$]][[end]][[template \"a\"]]",
            "<no value> <no value> <no value>",
        );
        renders("[[block \"x\" .a]]<[[.]]>[[end]]", "<text>");
    }

    #[test]
    fn w98_faults_tell_their_place() {
        for (source, place, what) in [
            ("a\nb [[if", "2:", "unclosed action"),
            ("a\n\n  [[nope .a]]", "3:5: ", "function \"nope\" not defined"),
            ("[[if .nope]]\n[[upper .a]][[end]]", "2:3: ", "function \"upper\" not defined"),
            ("[[if .nope]]\n [[$x]][[end]]", "2:4: ", "undefined variable \"$x\""),
            ("x\ny [[.a.b]]", "2:5: ", "can't evaluate field b in type string"),
            ("x\n[[.n]] é [[len .nope]]", "2:12: ", "len"),
            ("\n[[index .nope 1]]", "2:3: ", "index of untyped nil"),
            ("\n\n[[template \"no\"]]", "3:3: ", "undefined template: no"),
            ("[[range .list]]\n[[.x]][[end]]", "2:3: ", "field x"),
            ("[[define \"d\"]]\n\n[[.x.y]][[end]][[template \"d\" .a]]", "3:3: ", "field x"),
            ("[[if .b]]\n[[if lt .a 1]][[end]][[end]]", "2:3: ", "incompatible types"),
            ("\n[[range .a]][[end]]", "2:3: ", "range over"),
            ("\n[[end]]", "2:3: ", "unexpected end"),
            ("[[if .b]][[end]]\n[[if .b]]x[[end]] y[[else]]z", "2:22: ", "unexpected end"),
            ("a\n[[if .b]]\n[[range .list]]x[[end]]", "2:3: ", "no end"),
            ("[[range .list]]\n[[with .a]]x", "2:3: ", "no end"),
            ("[[define \"x\"]]x", "1:3: ", "no end"),
            ("[[if .b]]x[[else]]y", "1:3: ", "no end"),
        ] {
            let fault = render(source).unwrap_err();
            assert!(fault.starts_with(place) && fault.contains(what), "{source:?}: {fault}");
        }
    }

    #[test]
    fn delimiters_are_free() {
        let by = Delimiters { left: "{{", right: "}}" };
        assert_eq!(super::render("{{.a}} [[.a]]", by, &data()).unwrap(), "text [[.a]]");
        let by = Delimiters { left: "<%", right: "%>" };
        assert_eq!(super::render("<%- .a -%>", by, &data()).unwrap(), "text");
    }
}
