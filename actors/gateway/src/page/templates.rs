//! Templates that take the place of the usual pages: `error_404.json`, or `error.json` for every status
//! that has none of its own, and the same in XML.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use coproc_template::Text;
use http::StatusCode;
use serde_json::json;

/// The largest file, in bytes.
const MOST: u64 = 64 << 10;

/// Templates of pages.
#[derive(Debug, Default)]
pub struct Templates {
    /// By the status and the end of the file's name; no status is any.
    texts: BTreeMap<(Option<u16>, Ending), Text>,
}

/// How the name of a template ends, and so what it makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Ending {
    /// `.json`
    Json,
    /// `.xml`
    Xml,
}

impl Templates {
    /// Reads those in a folder, and tries each.
    ///
    /// # Errors
    /// A sentence for everything that is wrong, with file, line and column.
    pub fn read(folder: &Path) -> Result<Self, Vec<String>> {
        let cannot =
            |error: std::io::Error| vec![format!("`{}` cannot be read: {error}", folder.display())];
        let entries = folder.read_dir().map_err(cannot)?.collect::<Result<Vec<_>, _>>();
        let mut names: Vec<_> =
            entries.map_err(cannot)?.into_iter().map(|entry| entry.file_name()).collect();
        names.sort();
        let (mut templates, mut problems) = (Self::default(), Vec::new());
        for name in names {
            let Some(place) = name.to_str().and_then(place) else { continue };
            let path = folder.join(&name);
            match text(&path, place.0) {
                Ok(text) => drop(templates.texts.insert(place, text)),
                Err(why) => problems.push(format!("{}{why}", path.display())),
            }
        }
        if problems.is_empty() { Ok(templates) } else { Err(problems) }
    }

    /// The page for a status, if there is a template for it. `message` is escaped already.
    pub(super) fn render(
        &self,
        status: StatusCode,
        ending: Ending,
        message: &str,
    ) -> Option<String> {
        let own = self.texts.get(&(Some(status.as_u16()), ending));
        let text = own.or_else(|| self.texts.get(&(None, ending)))?;
        let rendered = text.render(&data(status.as_u16(), message));
        let failed = |fault| {
            tracing::error!(target: "gateway", "a page of errors for {status} was not made: {fault}");
        };
        rendered.map_err(failed).ok()
    }
}

/// For what a file of this name is.
fn place(name: &str) -> Option<(Option<u16>, Ending)> {
    let (stem, ending) = name.rsplit_once('.')?;
    let ending = match ending {
        "json" => Ending::Json,
        "xml" => Ending::Xml,
        _ => return None,
    };
    let status = match stem {
        "error" => None,
        stem => {
            let digits = stem.strip_prefix("error_").filter(|digits| digits.len() == 3)?;
            let status: u16 = digits.parse().ok()?;
            Some(status).filter(|status| (400..600).contains(status))
        }
    };
    // Another name is no mistake: `error_page.json` may be anybody's.
    (stem == "error" || status.is_some()).then_some((status, ending))
}

/// A template that can be rendered; the error follows the file's name.
fn text(path: &Path, status: Option<u16>) -> Result<Text, String> {
    let mut source = String::new();
    let file = File::open(path).and_then(|file| file.take(MOST + 1).read_to_string(&mut source));
    file.map_err(|error| format!(": cannot be read: {error}"))?;
    if source.len() as u64 > MOST {
        return Err(format!(": is larger than {MOST} bytes"));
    }
    let text = Text::new(&source).map_err(|fault| format!(":{fault}"))?;
    // What names a field that pages do not have fails here and not before a client.
    text.render(&data(status.unwrap_or(500), "message")).map_err(|fault| format!(":{fault}"))?;
    Ok(text)
}

/// What templates see.
fn data(status: u16, message: &str) -> serde_json::Value {
    json!({ "Message": message, "StatusCode": status })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        folder
    }

    #[test]
    fn the_name_says_for_what_it_is() {
        assert_eq!(place("error_404.json"), Some((Some(404), Ending::Json)));
        assert_eq!(place("error.xml"), Some((None, Ending::Xml)));
        for name in ["error_200.json", "error_4040.json", "error_4x4.json", "error_404.html", "x"] {
            assert_eq!(place(name), None, "{name}");
        }
    }

    #[test]
    fn a_status_has_its_own_page_or_that_of_all() {
        let folder = folder(&[
            ("error_404.json", "{\"no\": \"{{.Message}}\"}"),
            ("error.json", "{{.StatusCode}} {{.Message}}"),
            ("readme", "{{"),
        ]);
        let templates = Templates::read(folder.path()).unwrap();
        let page = |status, ending| {
            templates.render(StatusCode::from_u16(status).unwrap(), ending, "m\\\"")
        };
        assert_eq!(page(404, Ending::Json).unwrap(), "{\"no\": \"m\\\"\"}");
        assert_eq!(page(500, Ending::Json).unwrap(), "500 m\\\"");
        assert_eq!(page(404, Ending::Xml), None);
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        let folder =
            folder(&[("error_404.json", "a\n{{if}}"), ("error.xml", "{{template \"x\"}}")]);
        let problems = Templates::read(folder.path()).unwrap_err();
        assert_eq!(problems.len(), 2, "{problems:?}");
        assert!(problems[1].contains("error_404.json:2:"), "{problems:?}");
        let none = Templates::read(&folder.path().join("none")).unwrap_err();
        assert!(none[0].contains("cannot be read"), "{none:?}");
    }
}
