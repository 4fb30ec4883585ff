//! What may be run: the rules of `allow`, asked once for each run.

use std::ffi::{CStr, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::config::{Matches, Rule};

/// The rules, in their order.
#[derive(Debug)]
pub(crate) struct Allow(Vec<Rule>);

/// What the rule that allows a run says of its time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Allowance {
    /// In place of the socket's.
    pub(crate) timeout: Option<Option<Duration>>,
    /// In place of the socket's.
    pub(crate) kill_timeout: Option<Duration>,
}

impl Allow {
    pub(crate) fn new(rules: &[Rule]) -> Self {
        let mut rules = rules.to_vec();
        for rule in &mut rules {
            if let Matches::Program(program) = &mut rule.matches {
                *program = in_its_folder(program);
            }
        }
        Self(rules)
    }

    /// What the first rule that matches says, and the very path that it allowed, which alone is to
    /// be run: whoever can change a link on the way to `program` could lead there another time
    /// than here. `None` where the run is not allowed. `asked` is what `argv`'s first word was found
    /// to be; a pattern may mean it by that path or by the one without links, such as `/usr/bin/sh`
    /// for `/bin/sh`.
    pub(crate) fn ask(&self, asked: &Path, argv: &[&CStr]) -> Option<(Allowance, PathBuf)> {
        let program = in_its_folder(asked);
        let (mut words, mut as_asked) = (None, None);
        let rule = self.0.iter().find(|rule| match &rule.matches {
            Matches::Program(allowed) => *allowed == program,
            Matches::Argv(pattern) => {
                pattern.is_match(words.get_or_insert_with(|| quoted(&program, argv)))
                    || (asked != program
                        && pattern.is_match(as_asked.get_or_insert_with(|| quoted(asked, argv))))
            }
        })?;
        let allowance = Allowance { timeout: rule.timeout, kill_timeout: rule.kill_timeout };
        Some((allowance, program))
    }
}

/// The path with the links of its folder followed, so that `/bin/ls` is `/usr/bin/ls` where one is a
/// link to the other. The last link is not followed: of a program with many names only one is meant.
fn in_its_folder(program: &Path) -> PathBuf {
    let parts = program.parent().zip(program.file_name());
    let followed = parts.and_then(|(folder, name)| Some(folder.canonicalize().ok()?.join(name)));
    followed.unwrap_or_else(|| program.to_owned())
}

/// The argument vector as a shell would have it quoted, the program by its path.
fn quoted(program: &Path, argv: &[&CStr]) -> Vec<u8> {
    let mut out = Vec::new();
    quote(program.as_os_str(), &mut out);
    for word in argv.iter().skip(1) {
        out.push(b' ');
        quote(OsStr::from_bytes(word.to_bytes()), &mut out);
    }
    out
}

/// Appends a word, in single quotes if it has any byte that could be taken for more than itself.
pub(crate) fn quote(word: &OsStr, out: &mut Vec<u8>) {
    let bytes = word.as_bytes();
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"_@%+=:,./-".contains(byte);
    if !bytes.is_empty() && bytes.iter().all(plain) {
        return out.extend_from_slice(bytes);
    }
    out.push(b'\'');
    for byte in bytes {
        match byte {
            b'\'' => out.extend_from_slice(b"'\\''"),
            byte => out.push(*byte),
        }
    }
    out.push(b'\'');
}

#[cfg(test)]
mod tests {
    use regex::bytes::Regex;

    use super::*;

    fn rule(matches: Matches) -> Rule {
        Rule { matches, timeout: None, kill_timeout: None }
    }

    #[test]
    fn programs_are_compared_where_they_are() {
        let allow = Allow::new(&[rule(Matches::Program("/bin/../bin/ls".into()))]);
        assert!(allow.ask(Path::new("/bin/ls"), &[c"ls", c"-l"]).is_some());
        assert!(allow.ask(Path::new("/bin/cat"), &[c"ls"]).is_none());
    }

    #[test]
    fn what_is_run_is_what_was_looked_at() {
        let folder = tempfile::tempdir().unwrap();
        let link = folder.path().join("bin");
        std::os::unix::fs::symlink("/usr/bin", &link).unwrap();
        let allow = Allow::new(&[rule(Matches::Program("/usr/bin/env".into()))]);
        let (_, program) = allow.ask(&link.join("env"), &[c"env"]).unwrap();
        assert_eq!(program, Path::new("/usr/bin/env"));
    }

    #[test]
    fn a_pattern_means_a_path_as_it_is_written_and_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let link = folder.path().join("bin");
        std::os::unix::fs::symlink("/usr/bin", &link).unwrap();
        for written in [link.join("env"), "/usr/bin/env".into()] {
            let pattern = format!("^(?:{} a.)$", regex::escape(written.to_str().unwrap()));
            let allow = Allow::new(&[rule(Matches::Argv(Regex::new(&pattern).unwrap()))]);
            let (_, program) = allow.ask(&link.join("env"), &[c"env", c"ab"]).unwrap();
            assert_eq!(program, Path::new("/usr/bin/env"));
            assert!(allow.ask(&link.join("env"), &[c"env", c"b"]).is_none());
        }
    }

    #[test]
    fn words_cannot_be_taken_for_several() {
        let pattern = Regex::new("^(?:/[a-z/]*/git log [a-z]+)$").unwrap();
        let allow = Allow::new(&[rule(Matches::Argv(pattern))]);
        let git = Path::new("/none/git");
        assert!(allow.ask(git, &[c"git", c"log", c"main"]).is_some());
        assert!(allow.ask(git, &[c"git", c"log main"]).is_none());
        assert!(allow.ask(git, &[c"git", c"log", c"main", c"x"]).is_none());
        assert!(allow.ask(git, &[c"git", c"log", c"a\nb"]).is_none());
    }

    #[test]
    fn the_first_rule_decides() {
        let seconds = |s| Some(Some(Duration::from_secs(s)));
        let all = Regex::new("^(?:.*)$").unwrap();
        let allow = Allow::new(&[
            Rule { timeout: seconds(1), ..rule(Matches::Program("/none/a".into())) },
            Rule { timeout: seconds(2), ..rule(Matches::Argv(all)) },
        ]);
        let timeout = |path| allow.ask(Path::new(path), &[c"x"]).unwrap().0.timeout;
        assert_eq!((timeout("/none/a"), timeout("/none/b")), (seconds(1), seconds(2)));
    }

    #[test]
    fn quoting() {
        let text = |word: &str| {
            let mut out = Vec::new();
            quote(OsStr::new(word), &mut out);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(text("a-b=/c"), "a-b=/c");
        assert_eq!(text(""), "''");
        assert_eq!(text("a b"), "'a b'");
        assert_eq!(text("it's"), "'it'\\''s'");
    }
}
