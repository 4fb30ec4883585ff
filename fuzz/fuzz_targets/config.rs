//! Configs: whatever is in a file, the environment or behind `--set`, there is a config or a report that names
//! what is wrong, and never both.
#![no_main]

use std::ffi::OsString;
use std::path::PathBuf;

use arbitrary::Arbitrary;
use coproc::config::{self, Sources};
use libfuzzer_sys::fuzz_target;

#[derive(Arbitrary, Debug)]
enum Kind {
    Toml,
    Json,
    Yaml,
}

#[derive(Arbitrary, Debug)]
struct Input {
    kind: Kind,
    text: String,
    set: Vec<String>,
    /// Names behind `COPROC_`, and values.
    variables: Vec<(String, String)>,
}

thread_local! {
    static FOLDER: tempfile::TempDir = tempfile::tempdir().unwrap();
}

fuzz_target!(|input: Input| {
    let name = match input.kind {
        Kind::Toml => "c.toml",
        Kind::Json => "c.json",
        Kind::Yaml => "c.yaml",
    };
    let folder = FOLDER.with(|folder| folder.path().to_owned());
    let file = folder.join(name);
    std::fs::write(&file, &input.text).unwrap();
    let variable = |(name, value): &(String, String)| {
        (OsString::from(format!("COPROC_{name}")), OsString::from(value))
    };
    let sources = Sources {
        files: vec![file],
        environment: input.variables.iter().map(variable).collect(),
        set: input.set,
        folder: PathBuf::from("/"),
        ..Sources::default()
    };
    match (config::load(&sources), config::load_leniently(&sources)) {
        // What is right is right for those who pass over unknown keys, too.
        (Ok(_), lenient) => assert!(lenient.is_ok()),
        (Err(errors), _) => assert!(!errors.to_string().trim().is_empty()),
    }
});
