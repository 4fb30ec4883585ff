//! The form of supervisord.conf: sections, keys, comments and lines that go on. Pure.

/// No file has more sections.
const SECTIONS: usize = 1024;

/// A section, such as `[program:web]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Section {
    /// Without the brackets.
    pub(super) name: String,
    /// `FILE:LINE`.
    pub(super) place: String,
    pub(super) entries: Vec<Entry>,
}

/// A key with its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// In lower case.
    pub(super) key: String,
    pub(super) value: String,
    /// `FILE:LINE`.
    pub(super) place: String,
}

/// What is no part of any section, or cannot be read.
pub(super) type Odd = (String, String);

/// The sections of a text, and the places of lines that are none of it.
pub(super) fn parse(file: &str, text: &str) -> (Vec<Section>, Vec<Odd>) {
    let mut sections: Vec<Section> = Vec::new();
    let mut odd = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let place = format!("{file}:{}", number + 1);
        let goes_on = line.starts_with([' ', '\t']);
        let line = without_comment(line);
        if line.is_empty() {
            continue;
        }
        if goes_on {
            // A value that goes on, as in environment.
            if let Some(entry) = sections.last_mut().and_then(|one| one.entries.last_mut()) {
                entry.value.push('\n');
                entry.value.push_str(line);
                continue;
            }
        }
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            if sections.len() == SECTIONS {
                odd.push((place, format!("only {SECTIONS} sections are read")));
                break;
            }
            sections.push(Section { name: name.trim().to_owned(), place, entries: Vec::new() });
            continue;
        }
        let pair = line.find(['=', ':']).map(|at| (&line[..at], &line[at + 1..]));
        match (pair, sections.last_mut()) {
            (Some((key, value)), Some(section)) if !key.trim().is_empty() => {
                let (key, value) = (key.trim().to_lowercase(), value.trim().to_owned());
                section.entries.push(Entry { key, value, place });
            }
            _ => odd.push((place, "it is no `KEY=VALUE` of a section".to_owned())),
        }
    }
    (sections, odd)
}

/// A line without its comment: a whole line after `;` or `#`, and what follows a blank and one of them,
/// quotes or not.
fn without_comment(line: &str) -> &str {
    let line = line.trim();
    if line.starts_with([';', '#']) {
        return "";
    }
    let comment = line
        .match_indices([';', '#'])
        .map(|(at, _)| at)
        .find(|at| line[..*at].ends_with(char::is_whitespace));
    line[..comment.unwrap_or(line.len())].trim_end()
}

/// `A="1",B=2` as names and values; `None` where it is not of this form.
pub(super) fn pairs(text: &str) -> Option<Vec<(String, String)>> {
    let mut all = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        let (name, after) = rest.split_once('=')?;
        let after = after.trim_start();
        let (value, left) = match after.chars().next() {
            Some(quote @ ('"' | '\'')) => {
                let end = after[1..].find(quote)? + 1;
                (&after[1..end], &after[end + 1..])
            }
            _ => {
                let end = after.find([',', '\n']).unwrap_or(after.len());
                (after[..end].trim(), &after[end..])
            }
        };
        let name = name.trim();
        if name.is_empty() || name.contains(char::is_whitespace) {
            return None;
        }
        all.push((name.to_owned(), value.to_owned()));
        let left = left.trim_start();
        rest = match left.strip_prefix(',') {
            Some(next) => next.trim_start(),
            None if left.is_empty() => "",
            None => return None,
        };
    }
    Some(all)
}
