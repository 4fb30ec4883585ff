//! The files of supervisord: the one that is named, and those that it includes.

use std::fs;
use std::path::{Path, PathBuf};

use regex::Regex;

use super::super::draft::Draft;
use super::convert;
use super::ini::parse;
use crate::import;

/// No more files are included.
const FILES: usize = 256;

/// Reads a file and what it includes. The error is a sentence.
pub(crate) fn read(path: &Path) -> Result<Draft, String> {
    let file = import::shown(path);
    let source = import::read(path)?;
    let here = path.parent().unwrap_or(Path::new(""));
    let (mut more, mut nothing) = (Vec::new(), Vec::new());
    for pattern in includes(&file, &source) {
        let all = matching(&here.join(&pattern));
        if all.is_empty() {
            nothing.push(pattern);
        }
        for found in all {
            if more.len() == FILES {
                return Err(format!("{file} includes more than {FILES} files"));
            }
            more.push((import::shown(&found), import::read(&found)?));
        }
    }
    let files: Vec<_> = std::iter::once((file, source)).chain(more).collect();
    let here = std::path::absolute(here).unwrap_or_else(|_| here.to_owned());
    let mut draft = convert(&files, &here.display().to_string());
    for pattern in nothing {
        draft.remark(import::shown(path), "include", format!("there is no file `{pattern}`"));
    }
    Ok(draft)
}

/// The patterns of `[include]`.
fn includes(file: &str, source: &str) -> Vec<String> {
    let (sections, _) = parse(file, source);
    let includes = sections.into_iter().filter(|section| section.name == "include");
    let files = includes.flat_map(|section| section.entries).filter(|entry| entry.key == "files");
    files
        .flat_map(|entry| entry.value.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
        .map(|pattern| pattern.replace("%(here)s/", ""))
        .collect()
}

/// The files of a pattern, in their order. Stars and the like stand in the last part only.
fn matching(pattern: &Path) -> Vec<PathBuf> {
    let Some(name) = pattern.file_name().and_then(|name| name.to_str()) else { return Vec::new() };
    if !name.contains(['*', '?', '[']) {
        return pattern.exists().then(|| pattern.to_owned()).into_iter().collect();
    }
    let folder = pattern.parent().unwrap_or(Path::new("."));
    let (Ok(entries), Some(form)) = (fs::read_dir(folder), form(name)) else { return Vec::new() };
    let fits =
        |found: &str| form.is_match(found) && found.starts_with('.') == name.starts_with('.');
    let mut all: Vec<_> = entries
        .filter_map(Result::ok)
        .filter(|entry| entry.file_name().to_str().is_some_and(fits))
        .map(|entry| entry.path())
        .collect();
    all.sort();
    all
}

/// What the names have to look like that a pattern means.
fn form(pattern: &str) -> Option<Regex> {
    let mut form = "^".to_owned();
    let mut rest = pattern;
    while let Some(c) = rest.chars().next() {
        rest = &rest[c.len_utf8()..];
        // A bracket that comes first is one of the set.
        let end = rest.char_indices().skip(1).find(|(_, c)| *c == ']').map(|(at, _)| at);
        match (c, end) {
            ('*', _) => form.push_str(".*"),
            ('?', _) => form.push('.'),
            ('[', Some(end)) => {
                let (set, after) = (&rest[..end], &rest[end + 1..]);
                let (not, set) = set.strip_prefix('!').map_or(("", set), |set| ("^", set));
                let set: String = set.split('-').map(regex::escape).collect::<Vec<_>>().join("-");
                form.push_str(&format!("[{not}{set}]"));
                rest = after;
            }
            _ => form.push_str(&regex::escape(c.encode_utf8(&mut [0; 4]))),
        }
    }
    Regex::new(&(form + "$")).ok()
}
