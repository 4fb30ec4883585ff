//! The reference as coproc.toml(5).

use clap_mangen::roff::{Inline, Roff, bold, italic, roman};

use super::markdown::listed;
use super::shape::{Key, Reference, Table, toml};

const DESCRIPTION: [&str; 3] = [
    "A config of coproc(1) is a file in TOML, JSON or YAML, by the ending of its name. Without \
     `-c` and COPROC_CONFIG it is coproc.toml in the current directory, else nginx-wrapper.toml.",
    "Each value can also come from a variable of the environment, which wins over the files: COPROC_ \
     and the key in upper case, with two underscores between levels and one for each dash; from \
     nginx-wrapper's variables, such as NW_LOG.LEVEL, below those; and from `--set` KEY=VALUE, \
     which wins over all. Variables write lists as one text with blanks between the words.",
    "`coproc check` tells every problem at once, `coproc debug` what is in force and who said it.",
];

/// The sections of the page.
pub fn page(reference: &Reference) -> Roff {
    let mut roff = Roff::new();
    roff.control("SH", ["NAME"]);
    roff.text([roman("coproc.toml - the config of a main process and its coprocesses")]);
    roff.control("SH", ["DESCRIPTION"]);
    write_paragraphs(&mut roff, DESCRIPTION);
    for table in &reference.tables {
        write_table(&mut roff, table);
    }
    roff.control("SH", ["TYPES"]);
    for kind in &reference.types {
        roff.control("TP", []);
        roff.text([italic(kind.noun.clone())]);
        roff.text(marked(&kind.written));
    }
    roff.control("SH", ["SEE ALSO"]);
    roff.text([bold("coproc"), roman("(1), "), bold("coproc-check"), roman("(1), ")]);
    roff.text([bold("coproc-debug"), roman("(1), "), bold("coproc-schema"), roman("(1)")]);
    roff
}

fn write_table(roff: &mut Roff, table: &Table) {
    let title = match table.path() {
        "" => "TOP LEVEL".to_owned(),
        path => format!("[{path}]"),
    };
    roff.control("SH", [title.as_str()]);
    write_paragraphs(roff, table.about.split("\n\n"));
    if let [_, others @ ..] = table.paths.as_slice()
        && !others.is_empty()
    {
        roff.control("PP", []);
        roff.text([roman(format!("The same keys stand in {}.", listed(others)))]);
    }
    for key in &table.keys {
        write_key(roff, key);
    }
}

fn write_paragraphs<'a>(roff: &mut Roff, paragraphs: impl IntoIterator<Item = &'a str>) {
    for (number, paragraph) in paragraphs.into_iter().enumerate() {
        if number > 0 {
            roff.control("PP", []);
        }
        roff.text(marked(paragraph));
    }
}

fn write_key(roff: &mut Roff, key: &Key) {
    roff.control("TP", []);
    let mut facts = String::new();
    if !(key.is_table && key.examples.is_empty()) {
        facts = format!(" ({}", key.noun);
        if key.required {
            facts.push_str(", required");
        }
        if let Some(default) = &key.default {
            facts.push_str(&format!(", default {}", toml(default)));
        }
        facts.push(')');
    }
    roff.text([bold(key.name.clone()), roman(facts)]);
    roff.text(marked(&key.about));
    for example in &key.examples {
        roff.control("br", []);
        roff.text([roman("Example: "), bold(format!("{} = {}", key.name, toml(example)))]);
    }
}

/// A text in which what stands between backquotes is bold.
pub(crate) fn marked(text: &str) -> Vec<Inline> {
    let parts = text.split('`').enumerate();
    parts.map(|(at, part)| if at % 2 == 1 { bold(part) } else { roman(part) }).collect()
}
