//! The names that supervisord replaces in a value: `%(program_name)s`, `%(process_num)02d`,
//! `%(ENV_HOME)s`. Pure.

/// What the names stand for.
#[derive(Clone, Debug)]
pub(super) struct Names<'a> {
    pub(super) program: &'a str,
    pub(super) group: &'a str,
    /// `None`: whichever replica it is, by its own number.
    pub(super) number: Option<u32>,
    pub(super) copies: u32,
    /// The folder of the file.
    pub(super) here: &'a str,
}

/// The text in coproc's words, and the names that stay as they are since nothing here knows them.
pub(super) fn expand(text: &str, names: &Names<'_>) -> (String, Vec<String>) {
    let mut out = String::with_capacity(text.len());
    let mut unknown = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find('%') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('%') {
            out.push('%');
            rest = after;
            continue;
        }
        let named = rest.strip_prefix('(').and_then(|inside| inside.split_once(')'));
        // The form ends with its letter.
        let formed = named.and_then(|(name, after)| {
            let end = after.find(|c: char| !c.is_ascii_digit())?;
            let letter = after[end..].chars().next().filter(|c| matches!(c, 's' | 'd'))?;
            Some((name, &after[..end], &after[end + letter.len_utf8()..]))
        });
        let Some((name, width, after)) = formed else {
            out.push('%');
            continue;
        };
        match value(name, width, names) {
            Some(value) => out.push_str(&value),
            None => {
                unknown.push(format!("%({name})s"));
                out.push_str(&format!("%({name}){width}s"));
            }
        }
        rest = after;
    }
    out.push_str(rest);
    (out, unknown)
}

fn value(name: &str, width: &str, names: &Names<'_>) -> Option<String> {
    Some(match name {
        "program_name" => names.program.to_owned(),
        "group_name" => names.group.to_owned(),
        "here" => names.here.to_owned(),
        "numprocs" => names.copies.to_string(),
        "process_num" => {
            // Nobody counts with more digits.
            let digits = width.parse::<usize>().unwrap_or(0).min(20);
            match names.number {
                Some(number) => format!("{number:0digits$}"),
                None => "${replica}".to_owned(),
            }
        }
        _ => format!("${{{}}}", name.strip_prefix("ENV_").filter(|name| !name.is_empty())?),
    })
}
