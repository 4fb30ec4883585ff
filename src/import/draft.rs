//! A config that is being made: its processes, and what could not be said. Pure.

use std::collections::BTreeSet;
use std::fmt::{self, Write};
use std::time::Duration;

use coproc_core::name::Name;

/// What `shutdown_timeout` is by default.
const DEFAULT_SHUTDOWN: Duration = Duration::from_secs(30);
/// What it has beyond the times of coprocesses.
const SPARE: Duration = Duration::from_secs(2);

/// A config, and what is to be known of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Draft {
    /// Where it comes from, in a line of comment.
    pub(super) title: String,
    /// Lines in front of all tables, such as `run_path = "..."`.
    pub(super) top: Vec<Key>,
    /// The lines of `[main]`; without any, there is no main process.
    pub(super) main: Vec<Key>,
    /// The longest time that a coprocess has after a signal that ends it.
    pub(super) patience: Duration,
    /// What the stop commands of all may take, one after another.
    pub(super) commands: Duration,
    /// In the order in which they start.
    pub(super) coprocesses: Vec<Table>,
    pub(super) remarks: Vec<Remark>,
    /// A whole file that is taken as it is, in place of all else.
    pub(super) verbatim: Option<String>,
}

/// A coprocess.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Table {
    pub(super) name: String,
    /// How many of it there are, each with its number behind the name; 0: one, without a number.
    pub(super) replicas: u32,
    pub(super) keys: Vec<Key>,
    /// The places and keys of what has no equal, to stand above it.
    pub(super) comments: Vec<String>,
}

/// A key and its value in TOML.
pub(super) type Key = (&'static str, String);

/// Something that has no equal, or is not quite the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Remark {
    /// `FILE:LINE`, or a file.
    pub(super) place: String,
    /// The setting.
    pub(super) what: String,
    pub(super) why: String,
}

impl Table {
    /// The names that nobody else may have.
    fn names(&self) -> impl Iterator<Item = String> {
        let name = self.name.to_lowercase();
        let numbered = (1..=self.replicas).map({
            let name = name.clone();
            move |number| format!("{name}-{number}")
        });
        std::iter::once(name).chain(numbered)
    }
}

impl fmt::Display for Remark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", one_line(&self.place), one_line(&self.what), one_line(&self.why))
    }
}

/// A text in TOML. Control characters are escaped, so that it stays in its line.
pub(super) fn text(value: &str) -> String {
    let mut out = String::with_capacity(value.len() + 2);
    out.push('"');
    for c in value.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c.is_control() => {
                let _ = write!(out, "\\u{:04X}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// A list of texts in TOML.
pub(super) fn list<T: AsRef<str>>(values: &[T]) -> String {
    let all: Vec<_> = values.iter().map(|value| text(value.as_ref())).collect();
    format!("[{}]", all.join(", "))
}

/// A table of texts in TOML, in one line.
pub(super) fn map(values: &[(String, String)]) -> String {
    let all: Vec<_> =
        values.iter().map(|(key, value)| format!("{} = {}", text(key), text(value))).collect();
    format!("{{ {} }}", all.join(", "))
}

fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

impl Draft {
    pub(super) fn new(title: String) -> Self {
        Self { title, ..Self::default() }
    }

    /// Whether there is neither a main process nor a coprocess.
    pub(super) fn runs_nothing(&self) -> bool {
        self.verbatim.is_none() && self.main.is_empty() && self.coprocesses.is_empty()
    }

    pub(super) fn remark(
        &mut self,
        place: impl Into<String>,
        what: impl Into<String>,
        why: impl Into<String>,
    ) {
        self.remarks.push(Remark { place: place.into(), what: what.into(), why: why.into() });
    }

    /// A coprocess without keys, whose name nobody else has and can be one: dots and slashes become dashes.
    pub(super) fn table(&mut self, wanted: &str, replicas: u32, place: &str) -> Table {
        let fit = |c: char| if c == '.' || c == '/' || c.is_control() { '-' } else { c };
        let base: String = wanted.trim().chars().map(fit).collect();
        let taken: BTreeSet<_> = self.coprocesses.iter().flat_map(Table::names).collect();
        let free = |table: &Table| {
            table.name.parse::<Name>().is_ok() && !table.names().any(|name| taken.contains(&name))
        };
        let base = if base.is_empty() { "process".to_owned() } else { base };
        let mut table = Table { name: base.clone(), replicas, ..Table::default() };
        let mut count = 1u32;
        while !free(&table) {
            count += 1;
            table.name = format!("{base}-{count}");
        }
        if table.name != wanted {
            self.remark(place, wanted, format!("its name here is `{}`", table.name));
        }
        table
    }

    /// What all may take at the end, where the default is too short for the times of coprocesses: two
    /// signals and the death by the third one, after the main process, and a little more.
    fn shutdown_timeout(&self) -> Option<Key> {
        let own = self.patience.saturating_mul(3).saturating_add(self.commands);
        let needed = own.saturating_add(SPARE);
        let needed = if self.main.is_empty() { needed } else { needed.saturating_mul(2) };
        let exceeds = !own.is_zero() && needed > DEFAULT_SHUTDOWN;
        exceeds.then(|| ("shutdown_timeout", text(&format!("{}s", needed.as_secs() + 1))))
    }

    /// The whole file.
    pub(super) fn render(&self) -> String {
        if let Some(verbatim) = &self.verbatim {
            return verbatim.clone();
        }
        let mut out = format!("# {}\n", one_line(&self.title));
        if !self.remarks.is_empty() {
            out.push_str("#\n# What has no equal, or not quite:\n");
            for remark in &self.remarks {
                let _ = writeln!(out, "#   {remark}");
            }
        }
        out.push('\n');
        let keys = |out: &mut String, keys: &[Key]| {
            for (key, value) in keys {
                let _ = writeln!(out, "{key} = {value}");
            }
        };
        let top: Vec<_> = self.top.iter().cloned().chain(self.shutdown_timeout()).collect();
        keys(&mut out, &top);
        if !top.is_empty() {
            out.push('\n');
        }
        out.push_str("[main]\n");
        match self.main.is_empty() {
            true => out.push_str("kind = \"none\"\n"),
            false => keys(&mut out, &self.main),
        }
        for table in &self.coprocesses {
            out.push('\n');
            for comment in &table.comments {
                let _ = writeln!(out, "# {}", one_line(comment));
            }
            let _ = writeln!(out, "[coprocess.{}]", text(&table.name));
            let _ = writeln!(out, "name = {}", text(&table.name));
            keys(&mut out, &table.keys);
            if table.replicas > 0 {
                let _ = writeln!(out, "replicas = {}", table.replicas);
            }
        }
        out
    }
}
