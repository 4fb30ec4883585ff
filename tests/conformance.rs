//! docs/conformance.md: every test that it names exists, every wish is on it, and no case is forgotten.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// All names of test functions below a folder.
fn tests_below(folder: &Path, names: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            tests_below(&path, names);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            let functions = text.split("fn ").skip(1);
            let name = |rest: &str| {
                let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_')?;
                // In the macros that make several, the test's surroundings or what it is about follow.
                rest[end..]
                    .trim_start()
                    .starts_with(['(', ':', '['])
                    .then(|| rest[..end].to_owned())
            };
            names.extend(functions.filter_map(name));
        }
    }
}

fn tests() -> BTreeSet<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut names = BTreeSet::new();
    for folder in ["tests", "src", "actors"] {
        tests_below(&root.join(folder), &mut names);
    }
    names
}

fn page() -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    fs::read_to_string(root.join("docs/conformance.md")).unwrap()
}

/// What stands between backticks in the last cells of the tables of a section.
fn named(section: &str) -> Vec<String> {
    let rows = section.lines().filter(|line| line.starts_with("| "));
    let last = rows.filter_map(|row| row.trim_end_matches(" |").rsplit(" | ").next());
    last.flat_map(|cell| cell.split('`').skip(1).step_by(2)).map(str::to_owned).collect()
}

fn section<'a>(page: &'a str, title: &str) -> &'a str {
    let (_, rest) = page.split_once(&format!("\n## {title}\n")).unwrap();
    rest.split("\n## ").next().unwrap()
}

#[test]
fn every_test_that_is_named_exists() {
    let (page, tests) = (page(), tests());
    let promises = named(section(&page, "Promises"));
    let wishes = named(section(&page, "Wishes"));
    assert!(promises.len() >= 30 && wishes.len() >= 40);
    for name in promises.iter().chain(&wishes) {
        assert!(tests.contains(name), "no test is called `{name}`");
    }
}

#[test]
fn every_wish_is_on_the_page() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let listed: BTreeSet<_> = named(section(&page(), "Wishes")).into_iter().collect();
    for entry in fs::read_dir(root.join("tests/wishes")).unwrap() {
        let text = fs::read_to_string(entry.unwrap().path()).unwrap();
        for rest in text.split("#[test]\nfn ").skip(1) {
            let name = rest.split('(').next().unwrap();
            assert!(listed.contains(name), "`{name}` is not in docs/conformance.md");
        }
    }
}

#[test]
fn no_acceptance_case_is_without_a_test() {
    let (page, tests) = (page(), tests());
    for row in section(&page, "Acceptance cases").lines().filter(|line| line.contains('–')) {
        let cells: Vec<_> = row.split('|').map(str::trim).collect();
        let (_, last) = cells[1].split_once('–').unwrap();
        let (family, last) = last.split_at(1);
        let last: u32 = last.parse().unwrap();
        let left_out = cells[3].split(':').next().unwrap();
        for number in 1..=last {
            let head = format!("{}{number:02}_", family.to_lowercase());
            let tested = tests.iter().any(|name| name.starts_with(&head));
            let out = left_out.split(", ").any(|case| case == format!("{family}{number:02}"));
            assert!(tested != out, "{family}{number:02}: tested {tested}, left out {out}");
        }
    }
}

/// The book has each page once, and so has the list of documents.
#[test]
fn every_document_is_in_the_book_and_in_the_list() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    let book = fs::read_to_string(docs.join("SUMMARY.md")).unwrap();
    let list = fs::read_to_string(docs.join("README.md")).unwrap();
    for entry in fs::read_dir(&docs).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if name.ends_with(".md") && !["README.md", "SUMMARY.md"].contains(&name.as_str()) {
            let link = format!("({name})");
            assert_eq!(book.matches(&link).count(), 1, "SUMMARY.md: {name}");
            assert_eq!(list.matches(&link).count(), 1, "README.md: {name}");
        }
    }
}
