//! A single text in Go's text/template, for whoever renders one more than once.

use serde_json::Value;

use crate::balance::Delimiters;
use crate::engine::Prepared;
use crate::fault::Fault;
use crate::values::value;

/// A template that is parsed, with the delimiters `{{` and `}}`.
#[derive(Debug)]
pub struct Text(Prepared);

impl Text {
    /// Parses a source.
    ///
    /// # Errors
    /// What is wrong with it, and where.
    pub fn new(source: &str) -> Result<Self, Fault> {
        Prepared::new(source, Delimiters { left: "{{", right: "}}" }).map(Self)
    }

    /// Renders it with `data` as its dot.
    ///
    /// # Errors
    /// What cannot be done with these data, and where. Of two renderings at once the place may be the
    /// other's.
    pub fn render(&self, data: &Value) -> Result<String, Fault> {
        self.0.render(&value(data))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn it_is_rendered_more_than_once() {
        let text = Text::new("{{if .a}}<{{.a}}>{{end}}").unwrap();
        assert_eq!(text.render(&json!({ "a": 1 })).unwrap(), "<1>");
        assert_eq!(text.render(&json!({ "a": "x" })).unwrap(), "<x>");
        assert_eq!(Text::new(" ").unwrap().render(&json!({})).unwrap(), " ");
        assert_eq!(Text::new("a\n{{.b").unwrap_err().line, 2);
    }
}
