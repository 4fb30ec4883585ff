//! The config files: which ones are read, and how their text becomes a layer.

use std::io;
use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;

use super::env::CONFIG_VARIABLE;
use super::origin::Source;
use super::report::{Problem, SyntaxError};
use super::tree::{Data, Entry, Layer, Path, keeps_case};
use super::{Sources, json, toml, yaml};

/// The files that are looked for in the current directory, the first one found is read.
pub const DEFAULT_FILES: [&str; 2] = ["coproc.toml", "nginx-wrapper.toml"];

type Parse = fn(&Arc<Source>) -> Result<Vec<Entry>, SyntaxError>;

/// Reads all files, in the order in which they are merged.
pub(super) fn layers(sources: &Sources, problems: &mut Vec<Problem>) -> Vec<Layer> {
    if sources.no_files {
        return Vec::new();
    }
    let files = match named(sources) {
        Some(files) => files,
        None => match default_file(sources) {
            Some(file) => vec![file],
            None => {
                if sources.needs_file() {
                    let [first, second] = DEFAULT_FILES;
                    problems.push(
                        Problem::wrong(
                            first,
                            format!(
                                "the default config file is not in the current directory, and \
                                 neither is `{second}`"
                            ),
                        )
                        .hint("name a config file with `-c FILE`, or the main program after `--`"),
                    );
                }
                Vec::new()
            }
        },
    };
    files.iter().filter_map(|file| layer(&sources.folder, file, problems)).collect()
}

fn named(sources: &Sources) -> Option<Vec<PathBuf>> {
    if !sources.files.is_empty() {
        return Some(sources.files.clone());
    }
    sources.variable(CONFIG_VARIABLE).map(|file| vec![file.into()])
}

fn default_file(sources: &Sources) -> Option<PathBuf> {
    // A default that cannot be read is still the one that was meant: reading it says why.
    let exists = |file: &&'static str| sources.folder.join(file).symlink_metadata().is_ok();
    DEFAULT_FILES.into_iter().find(exists).map(PathBuf::from)
}

fn layer(folder: &FilePath, file: &FilePath, problems: &mut Vec<Problem>) -> Option<Layer> {
    let shown = file.display().to_string();
    let mut fail = |problem: Problem| {
        problems.push(problem);
        None
    };
    if shown.is_empty() {
        return fail(Problem::wrong("-c", "the name of the config file is empty"));
    }
    let full = folder.join(file);
    if full.is_dir() {
        return fail(Problem::wrong(shown, "is a directory, not a config file"));
    }
    let (format, parse): (&str, Parse) = match file.extension().and_then(|e| e.to_str()) {
        Some("toml") => ("TOML", toml::parse),
        Some("json") => ("JSON", json::parse),
        Some("yaml" | "yml") => ("YAML", yaml::parse),
        // The way to say that there is none, where a default one lies in the folder.
        None if full == FilePath::new("/dev/null") => ("TOML", toml::parse),
        suffix => {
            let what = match suffix {
                Some(suffix) => format!("`.{suffix}` is not a supported config format"),
                None => "a config file without a suffix is in no supported format".to_owned(),
            };
            return fail(
                Problem::wrong(shown, what).expected("`.toml`, `.json`, `.yaml` or `.yml`"),
            );
        }
    };
    let text = match std::fs::read(&full).map(String::from_utf8) {
        Ok(Ok(text)) => text,
        Ok(Err(_)) => return fail(Problem::wrong(shown, "is not UTF-8 text")),
        Err(error) => {
            let what = match error.kind() {
                io::ErrorKind::NotFound => "the specified config file does not exist".to_owned(),
                io::ErrorKind::PermissionDenied => {
                    format!("the specified config file may not be read: {error}")
                }
                _ => format!("the specified config file cannot be read: {error}"),
            };
            return fail(Problem::wrong(shown, what));
        }
    };
    parsed(format, parse, Source::new(shown, text), problems)
}

fn parsed(
    format: &str,
    parse: Parse,
    source: Source,
    problems: &mut Vec<Problem>,
) -> Option<Layer> {
    let source = Arc::new(source);
    match parse(&source) {
        Ok(entries) => {
            let entries = normalise(entries, &mut Vec::new(), problems);
            Some(Layer::of(format!("{} ({format})", source.path), entries))
        }
        Err(error) => {
            let what = format!("is not {format}: {}", error.what.trim_end().replace('\n', ", "));
            let mut problem = Problem::wrong(source.path.clone(), what);
            if let Some(place) = error.place {
                problem = problem.at("at", place);
            }
            problems.push(problem);
            None
        }
    }
}

/// The values of the top level of a file, as texts, by their keys in lower case. Relative paths begin
/// in `folder`.
pub fn top_level_values(
    folder: &FilePath,
    file: &FilePath,
) -> Result<Vec<(String, String)>, super::ConfigErrors> {
    let mut problems = Vec::new();
    match layer(folder, file, &mut problems) {
        Some(layer) if problems.is_empty() => {
            let entries = layer.entries().iter();
            Ok(entries.map(|entry| (entry.key.clone(), entry.node.show(&|_| false))).collect())
        }
        _ => Err(super::ConfigErrors::from(problems)),
    }
}

/// Reads a text as if it were a file of that name. For tests of the formats.
#[doc(hidden)]
pub fn order_of_coprocesses(name: &str, text: &str) -> Result<Vec<String>, String> {
    let parse: Parse = match name.rsplit('.').next() {
        Some("json") => json::parse,
        Some("toml") => toml::parse,
        _ => yaml::parse,
    };
    let mut problems = Vec::new();
    let source = Source::new(name, text);
    let layer = parsed("text", parse, source, &mut problems)
        .ok_or_else(|| super::ConfigErrors::from(problems).to_string())?;
    let table = layer.entry(&["coprocess".to_owned()]);
    Ok(match table.map(|entry| &entry.node.data) {
        Some(Data::Table(entries)) => entries.iter().map(|entry| entry.key.clone()).collect(),
        _ => Vec::new(),
    })
}

/// Lower-cases keys, and joins tables that become one by it. Two values of one key are a problem.
fn normalise(entries: Vec<Entry>, path: &mut Path, problems: &mut Vec<Problem>) -> Vec<Entry> {
    let mut out: Vec<Entry> = Vec::with_capacity(entries.len());
    for mut entry in entries {
        if !keeps_case(path) {
            entry.key = entry.key.to_lowercase();
            if path.len() == 2 && path[0] == "log" && path[1] == "formatter_options" {
                // nginx-wrapper takes `FullTimestamp` and `full_timestamp`.
                if let Some(name) = crate::log::table::option_name(&entry.key) {
                    entry.key = name.to_owned();
                }
            }
        }
        path.push(entry.key.clone());
        if let Data::Table(inner) = entry.node.data {
            entry.node.data = Data::Table(normalise(inner, path, problems));
        }
        match out.iter_mut().find(|earlier| earlier.key == entry.key) {
            None => out.push(entry),
            Some(earlier) => match (&mut earlier.node.data, entry.node.data) {
                (Data::Table(earlier), Data::Table(later)) => {
                    for entry in later {
                        match earlier.iter().position(|e| e.key == entry.key) {
                            None => earlier.push(entry),
                            Some(at) => {
                                path.push(entry.key.clone());
                                problems.push(twice(path, &earlier[at], &entry));
                                path.pop();
                            }
                        }
                    }
                }
                (_, data) => {
                    entry.node.data = data;
                    problems.push(twice(path, earlier, &entry));
                }
            },
        }
        path.pop();
    }
    out
}

fn twice(path: &[String], earlier: &Entry, later: &Entry) -> Problem {
    let mut problem = Problem::wrong(super::tree::dotted(path), "is given twice");
    if let Some(place) = later.origin.place() {
        problem = problem.at("set in", place.clone());
    }
    problem.note(format!("first set in {}", earlier.origin))
}
