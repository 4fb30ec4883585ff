//! No sample is forgotten: each file is of a kind that is checked, and each sample is in the README.

use std::fs;
use std::path::Path;

use crate::sample::{files, folder};
use crate::support::Place;

/// Whether a file is a config of coproc; panics for a file that no test knows.
fn is_config(file: &Path) -> bool {
    let name = file.file_name().unwrap().to_str().unwrap();
    match file.extension().and_then(|extension| extension.to_str()) {
        // What is expected of a simulation; it is met in its own test.
        Some("toml") if name.starts_with("expect-") => false,
        Some("toml") => true,
        // Configs are in here, which the tests of `container` take out.
        Some("yaml") => {
            assert!(["compose.yaml", "kubernetes.yaml"].contains(&name), "{}", file.display());
            false
        }
        // What belongs to a config and is read when that is run.
        Some(
            "conf" | "tmpl" | "php" | "sh" | "env" | "service" | "dockerignore" | "md" | "py"
            | "json" | "lua" | "c",
        ) => false,
        _ => {
            assert_eq!(name, "Dockerfile", "no test knows {}", file.display());
            false
        }
    }
}

#[test]
fn every_sample_passes_check_without_a_warning() {
    let place = Place::new();
    let configs: Vec<_> = files(&folder()).into_iter().filter(|file| is_config(file)).collect();
    assert!(configs.len() >= 10, "{configs:?}");
    for config in configs {
        let mut words = vec!["check", "-c", config.to_str().unwrap()];
        // Its hooks in C are still to be built; any shared object will do to be looked at.
        let built = format!("gateway.native.library={}", env!("CARGO_BIN_EXE_coproc"));
        if config.parent().is_some_and(|folder| folder.ends_with("gateway-native")) {
            words.extend(["--set", &built]);
        }
        let output = place.coproc(&words);
        let complaints = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{}: {complaints}", config.display());
        assert_eq!(complaints, "", "{}", config.display());
    }
}

#[test]
fn the_readme_lists_every_sample_once() {
    let readme = fs::read_to_string(folder().join("README.md")).unwrap();
    let mut listed: Vec<&str> = readme
        .lines()
        .filter_map(|line| line.strip_prefix("| [")?.split_once("](")?.1.split_once(')'))
        .map(|(link, _)| link)
        .collect();
    listed.sort_unstable();
    let mut there: Vec<String> = fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name != "README.md")
        .collect();
    there.sort_unstable();
    assert_eq!(listed, there);
}
