//! The reference as Markdown.

use std::fmt::Write;

use super::shape::{Key, Reference, Table, join, toml};

const HEAD: &str = "\
# The config, key by key

Made from the schema of the config (`coproc schema`) by `make docs`; do not edit this page. What the
tables are for is told in [guide.md](guide.md), [events.md](events.md) and
[operation.md](operation.md).

Files are TOML, JSON or YAML, by the ending of their names. Without `-c` and `COPROC_CONFIG` the
file is `coproc.toml` in the current directory, else `nginx-wrapper.toml`; later files of several
win. Each value can also come from a variable of the environment, named below, which wins over the
files; from nginx-wrapper's variables, such as `NW_LOG.LEVEL`, below those; and from `--set
KEY=VALUE`, which wins over all. A `NAME` in a variable is the table's key in upper case with `_`
for `-`. Variables and `--set` write lists as one text with blanks between the words. Keys are not
case-sensitive.

`coproc check` tells every problem at once, `coproc debug` what is in force and who said it.
";

/// The whole page.
pub fn markdown(reference: &Reference) -> String {
    let mut out = HEAD.to_owned();
    for table in &reference.tables {
        write_table(&mut out, reference, table);
    }
    out.push_str("\n## Types\n\n| type | how it is written |\n|---|---|\n");
    for kind in &reference.types {
        let _ = writeln!(out, "| {} | {} |", kind.noun, kind.written.replace('|', "\\|"));
    }
    out.push_str(
        "\nEvery value may be written in quotes: `restarts = \"4\"`, `background = \"false\"`.\n",
    );
    out
}

fn write_table(out: &mut String, reference: &Reference, table: &Table) {
    let title = match table.path() {
        "" => "Top level".to_owned(),
        path => format!("`[{path}]`"),
    };
    let _ = writeln!(out, "\n## {title}\n\n{}", table.about);
    if let [_, others @ ..] = table.paths.as_slice()
        && !others.is_empty()
    {
        let others = others.iter().map(|path| format!("`{path}`")).collect::<Vec<_>>();
        let _ = writeln!(out, "\nThe same keys stand in {}.", listed(&others));
    }
    for key in &table.keys {
        write_key(out, reference, table, key);
    }
}

fn write_key(out: &mut String, reference: &Reference, table: &Table, key: &Key) {
    let path = join(table.path(), &key.name);
    let _ = writeln!(out, "\n### `{path}`\n\n{}\n", key.about);
    if key.is_table && key.examples.is_empty() {
        let _ = writeln!(out, "A table of its own, see below.");
        return;
    }
    let mut facts = vec![match reference.kind(&key.noun) {
        Some(_) => format!("[{}](#types)", key.noun),
        None => key.noun.clone(),
    }];
    if key.required {
        facts.push("required".to_owned());
    }
    if let Some(default) = &key.default {
        facts.push(format!("default `{}`", toml(default)));
    }
    let _ = writeln!(out, "- {}", facts.join(", "));
    match (key.is_table, key.is_map()) {
        (true, _) => {}
        (false, false) => drop(writeln!(out, "- variable `{}`", table.variable(key))),
        (false, true) => {
            let _ = writeln!(out, "- variable `{}__KEY`, in the case of KEY", table.variable(key));
        }
    }
    for example in &key.examples {
        let _ = writeln!(out, "- example `{} = {}`", key.name, toml(example));
    }
}

/// `a`, `a and b`, `a, b and c`.
pub(super) fn listed(words: &[String]) -> String {
    match words {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}
