//! nginx-wrapper's files, which coproc reads as they are: they are checked, and handed on.

use std::path::Path;

use super::draft::Draft;
use crate::config::{self, Sources};

/// Reads a file. The error is a sentence, or the report of the config.
pub(super) fn read(path: &Path) -> Result<Draft, String> {
    let file = super::shown(path);
    let source = super::read(path)?;
    let sources = Sources {
        files: vec![std::path::absolute(path).unwrap_or_else(|_| path.to_owned())],
        folder: std::env::current_dir().unwrap_or_default(),
        ..Sources::default()
    };
    let loaded = config::load(&sources).map_err(|errors| {
        let report = errors.to_string();
        report.strip_prefix("error: ").unwrap_or(&report).trim_end().to_owned()
    })?;
    let mut draft = Draft::new(String::new());
    draft.remark(
        &file,
        "as it is",
        format!("coproc reads this file unchanged: coproc run -c {file}"),
    );
    for warning in &loaded.config.warnings {
        draft.remark(&file, "warning", warning);
    }
    draft.verbatim = Some(match path.extension().and_then(|ending| ending.to_str()) {
        Some("json") => {
            let value: serde_json::Value = serde_json::from_str(&source)
                .map_err(|error| format!("{file}: {error}; it is read as it is all the same"))?;
            toml::to_string(&value).map_err(|error| format!("{file}: {error}"))?
        }
        Some("toml") => source,
        _ => return Err(format!("{file} needs no import: coproc run -c {file} reads it as it is")),
    });
    Ok(draft)
}
