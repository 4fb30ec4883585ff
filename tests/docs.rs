//! The documents: every config and every command line in them is valid, and every link leads
//! somewhere.

mod support;

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use clap::{CommandFactory, Parser};
use coproc::cli::Cli;
use coproc_core::event::{Change, Phase};

use support::Place;

fn documents() -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut paths = vec![root.join("README.md"), root.join("CHANGELOG.md")];
    for entry in std::fs::read_dir(root.join("docs")).unwrap() {
        paths.push(entry.unwrap().path());
    }
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "md"));
    paths.sort();
    let read = |path: PathBuf| {
        let text = std::fs::read_to_string(&path).unwrap();
        (path, text)
    };
    paths.into_iter().map(read).collect()
}

/// A fenced block: where it begins, what its first line says of it, and what is in it.
struct Fence {
    place: String,
    words: Vec<String>,
    text: String,
}

impl Fence {
    fn is(&self, language: &str) -> bool {
        self.words.first().is_some_and(|word| word == language)
    }
}

fn fences() -> Vec<Fence> {
    let mut fences = Vec::new();
    for (path, text) in documents() {
        let mut open: Option<Fence> = None;
        for (number, line) in text.lines().enumerate() {
            match (&mut open, line.strip_prefix("```")) {
                (None, Some(words)) => {
                    let name = path.file_name().unwrap().to_str().unwrap();
                    open = Some(Fence {
                        place: format!("{name}:{}", number + 1),
                        words: words.split_whitespace().map(str::to_owned).collect(),
                        text: String::new(),
                    });
                }
                (Some(_), Some(_)) => fences.extend(open.take()),
                (Some(fence), None) => fence.text.push_str(&format!("{line}\n")),
                (None, None) => {}
            }
        }
        assert!(open.is_none(), "{}: a fence is not closed", path.display());
    }
    assert!(fences.iter().all(|fence| !fence.words.is_empty()), "a fence says no language");
    fences
}

/// A block that is wrong on purpose says `wrong` behind its language.
#[test]
fn every_config_is_valid_or_wrong_on_purpose() {
    let mut checked = 0;
    for fence in fences() {
        let Some(ending) = ["toml", "yaml"].into_iter().find(|language| fence.is(language)) else {
            continue;
        };
        let file = format!("coproc.{ending}");
        let place = Place::new();
        place.write(&file, &fence.text);
        let file = place.at(&file);
        let mut words = vec!["check", "-c", &file];
        // Hooks in native code are not built here; any shared object will do to be looked at.
        let built = format!("gateway.native.library={}", env!("CARGO_BIN_EXE_coproc"));
        if fence.text.contains("[gateway.native]") {
            words.extend(["--set", &built]);
        }
        let output = place.coproc(&words);
        let complaints = String::from_utf8_lossy(&output.stderr);
        let wrong = fence.words.iter().any(|word| word == "wrong");
        let expected = if wrong { Some(2) } else { Some(0) };
        assert_eq!(output.status.code(), expected, "{}: {complaints}", fence.place);
        assert!(wrong || complaints.is_empty(), "{}: {complaints}", fence.place);
        checked += 1;
    }
    assert!(checked >= 12, "{checked}");
}

#[test]
fn json_is_json() {
    for fence in fences().iter().filter(|fence| fence.is("json")) {
        let whole = serde_json::from_str::<serde_json::Value>(&fence.text).is_ok();
        let line = |line: &str| serde_json::from_str::<serde_json::Value>(line).is_ok();
        assert!(whole || fence.text.lines().all(line), "{}", fence.place);
    }
}

/// The words of a command line of coproc, up to what a shell does with its output.
fn words(line: &str) -> Option<Vec<String>> {
    let line = line.split(" # ").next().unwrap().trim();
    let line = line.strip_prefix("command ").or(line.strip_prefix('\\')).unwrap_or(line);
    let mut words = shell_words::split(line).ok()?;
    let end = words.iter().position(|word| [">", "|", "&&"].contains(&word.as_str()));
    words.truncate(end.unwrap_or(words.len()));
    (words.first()? == "coproc").then_some(words)
}

#[test]
fn every_command_line_is_one() {
    let mut parsed = 0;
    for fence in fences().iter().filter(|fence| fence.is("sh")) {
        for line in fence.text.lines() {
            let Some(words) = words(line) else { continue };
            Cli::try_parse_from(words)
                .unwrap_or_else(|why| panic!("{}: {line}\n{why}", fence.place));
            parsed += 1;
        }
    }
    assert!(parsed >= 20, "{parsed}");
}

/// In a sentence a command may be shown without all that it needs, and is a command all the same.
#[test]
fn commands_in_sentences_exist() {
    let commands = Cli::command();
    let names: Vec<_> = commands.get_subcommands().map(|command| command.get_name()).collect();
    let mut seen = 0;
    for (path, text) in documents() {
        for code in text.split('`').skip(1).step_by(2) {
            let Some(words) = words(code) else { continue };
            let Some(name) = words.iter().skip(1).find(|word| !word.starts_with('-')) else {
                continue;
            };
            let known =
                names.contains(&name.as_str()) || ["help", "...", "…"].contains(&name.as_str());
            assert!(known, "{}: `{code}`", path.display());
            seen += 1;
        }
    }
    assert!(seen > 40, "{seen}");
}

/// The first table of events.md names them all.
#[test]
fn every_event_is_told_of() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(root.join("docs/events.md")).unwrap();
    let phases = Phase::ALL.into_iter().map(|phase| phase.as_str().to_owned());
    let changes =
        Change::ALL.into_iter().map(|change| format!("coprocess.NAME.{}", change.as_str()));
    let table = text.split("\n## ").nth(1).unwrap();
    for event in phases.chain(changes).chain(["custom.NAME".to_owned()]) {
        assert_eq!(table.matches(&format!("\n| `{event}` |")).count(), 1, "{event}");
    }
}

/// Every path of the control socket that operation.md shows answers what it shows.
#[test]
fn every_path_of_the_control_socket_answers() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(root.join("docs/operation.md")).unwrap();
    let place = Place::new();
    place.write(
        "coproc.toml",
        &format!(
            "run_path = {:?}\n[main]\nexec = \"sleep 1000\"\nreload_signal = \"CONT\"\n\
             [coprocess.agent]\nname = \"agent\"\nexec = \"sleep 1000\"\nbackground = true\n\
             restarts = \"unlimited\"\nexec_event = \"start\"\n",
            place.at("run")
        ),
    );
    let mut wrapper = place.run_with(&["--set", "log.level=debug"], &[]);
    wrapper.wait_for("[coprocess.agent.ready]");
    let mut asked = 0;
    // A signal that ends nobody.
    let text = text.replace("\"HUP\"", "\"CONT\"");
    for row in text.lines().filter(|row| row.starts_with("| `GET") || row.starts_with("| `POST")) {
        let cells: Vec<_> = row.split('|').map(str::trim).collect();
        let codes: Vec<_> = cells[1].split('`').skip(1).step_by(2).collect();
        let (method, first) = codes[0].split_once(' ').unwrap();
        let (folder, _) = first.rsplit_once('/').unwrap();
        let paths = codes.iter().map(|code| match code.split_once(' ') {
            Some((_, path)) => path.to_owned(),
            None => format!("{folder}/{code}"),
        });
        for path in paths {
            let path = path.replace("NAME", "agent").replace("SEQ", "0").replace("=N", "=1");
            let path = path.replace("&follow=1", "");
            let answer =
                ask(&place.at("run/control.sock"), method, &path, cells[2].trim_matches('`'));
            assert!(answer.starts_with("HTTP/1.1 200 "), "{method} {path}: {answer}");
            let shown = cells[3].split('`').nth(1).unwrap_or_default();
            let exact = codes.len() == 1 && shown.starts_with('{');
            assert!(!exact || answer.contains(shown), "{method} {path}: {answer}");
            asked += 1;
        }
    }
    assert!(asked >= 14, "{asked}");
    assert_eq!(wrapper.stop(), 143, "{}", wrapper.dump());
}

fn ask(socket: &str, method: &str, path: &str, body: &str) -> String {
    let mut stream = UnixStream::connect(socket).unwrap();
    let length = body.len();
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
         Content-Length: {length}\r\n\r\n{body}"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// The name that a heading has in a link, as GitHub makes it.
fn anchor(heading: &str) -> String {
    let kept = |c: &char| c.is_alphanumeric() || [' ', '-', '_'].contains(c);
    heading.trim().to_lowercase().chars().filter(kept).collect::<String>().replace(' ', "-")
}

#[test]
fn every_link_leads_somewhere() {
    let mut followed = 0;
    for (path, text) in documents() {
        for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if target.contains("://") {
                continue;
            }
            let (file, heading) = target.split_once('#').unwrap_or((target, ""));
            let file =
                if file.is_empty() { path.clone() } else { path.parent().unwrap().join(file) };
            assert!(file.exists(), "{}: {target}", path.display());
            if !heading.is_empty() {
                let there = std::fs::read_to_string(&file).unwrap();
                let headings = there.lines().filter_map(|line| line.split_once("# "));
                let found = headings.into_iter().any(|(_, text)| anchor(text) == heading);
                assert!(found, "{}: {target}", path.display());
            }
            followed += 1;
        }
    }
    assert!(followed > 15, "{followed}");
}
