//! The manual pages and the completion scripts, as programs that read them see them.

#[path = "support/snapshot.rs"]
mod snapshot;

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use snapshot::{coproc, folder};

/// The end of a program that reads `text`: whether it was content, and what it said.
///
/// `None` where there is no such program.
fn read_by(program: &str, arguments: &[&str], text: &str) -> Option<(bool, String)> {
    #[allow(clippy::disallowed_methods)]
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .ok()?;
    let mut stdin = child.stdin.take().unwrap();
    let text = text.to_owned();
    let writer = std::thread::spawn(move || stdin.write_all(text.as_bytes()));
    let output = child.wait_with_output().unwrap();
    // A program that does not read to the end has said why.
    let _ = writer.join().unwrap();
    let said = [output.stdout, output.stderr].concat();
    Some((output.status.success(), String::from_utf8_lossy(&said).into_owned()))
}

fn pages(place: &Path) -> Vec<(String, String)> {
    let output = coproc(place, &["man", "--dir", "pages"], &[]);
    assert_eq!((output.code, output.stdout.as_str()), (Some(0), ""), "{}", output.stderr);
    let mut pages = Vec::new();
    for section in ["man1", "man5"] {
        for entry in std::fs::read_dir(place.join("pages").join(section)).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            pages.push((name, std::fs::read_to_string(path).unwrap()));
        }
    }
    pages.sort();
    pages
}

#[test]
fn every_command_has_a_page_and_so_has_the_config() {
    let place = folder(&[]);
    let pages = pages(place.path());
    let names = pages.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>();
    for name in ["coproc.1", "coproc-run.1", "coproc-health.1", "coproc-man.1", "coproc.toml.5"] {
        assert!(names.contains(&name), "{name} in {names:?}");
    }
    let help = coproc(place.path(), &["--help"], &[]).stdout;
    let commands = help.split("Commands:\n").nth(1).unwrap().split("\n\n").next().unwrap();
    // A description that is too long goes on in a line that is indented further.
    for line in commands.lines().filter(|line| !line.starts_with("   ")) {
        let command = line.split_whitespace().next().unwrap();
        let page = format!("coproc-{command}.1");
        assert_eq!(names.contains(&page.as_str()), command != "help", "{page}");
    }
    for (name, text) in &pages {
        for part in ["NAME", "DESCRIPTION", "\"SEE ALSO\""] {
            let heading = format!("\n.SH {part}");
            assert_eq!(text.matches(&heading).count(), 1, "{part} of {name}:\n{text}");
        }
    }
    let text = |page: &str| &pages.iter().find(|(name, _)| name == page).unwrap().1;
    for part in ["EXAMPLES", "\"EXIT STATUS\"", "ENVIRONMENT", "FILES", "OPTIONS"] {
        assert!(text("coproc-run.1").contains(&format!("\n.SH {part}\n")), "{part}");
    }
}

#[test]
fn page_of_health() {
    let place = folder(&[]);
    let output = coproc(place.path(), &["man", "health"], &[]);
    let shown = output.show().replace(env!("CARGO_PKG_VERSION"), "[VERSION]");
    snapshot::assert("manual__page_of_health", &shown);
}

/// A page is what `man` prints with its name, and a page that is not there is told of.
#[test]
fn pages_are_printed_by_name() {
    let place = folder(&[]);
    for (name, text) in pages(place.path()) {
        let name = name.rsplit_once('.').unwrap().0;
        let output = coproc(place.path(), &["man", name], &[]);
        assert_eq!((output.code, &output.stdout), (Some(0), &text), "{name}");
        let short = name.strip_prefix("coproc-").unwrap_or(name);
        assert_eq!(coproc(place.path(), &["man", short], &[]).stdout, text, "{short}");
    }
    let bare = coproc(place.path(), &["man"], &[]).stdout;
    assert!(bare.contains(".TH \"COPROC\" \"1\" \"\" \"coproc "), "{bare}");
    let missing = coproc(place.path(), &["man", "nope"], &[]);
    assert_eq!((missing.code, missing.stdout.as_str()), (Some(2), ""));
    assert!(missing.stderr.starts_with("error: there is no page `nope`; there are coproc, run,"));
    let file = folder(&[("file", "")]);
    let failed = coproc(file.path(), &["man", "--dir", "file"], &[]);
    assert_eq!(failed.code, Some(1));
    assert!(failed.stderr.starts_with("error: `file/man1/coproc.1` cannot be written: "));
}

/// groff complains about nothing, where there is one.
#[test]
fn pages_are_read_without_complaints() {
    let place = folder(&[]);
    for (name, text) in pages(place.path()) {
        // What groff would complain about first: a line that begins with a dot and is no request.
        let requests = ["TH", "SH", "TP", "PP", "IP", "RS", "RE", "br", "nh", "ie", "el", "ds"];
        for line in text.lines().filter(|line| line.starts_with('.')) {
            let request = line[1..].split([' ', '\\']).next().unwrap();
            assert!(requests.contains(&request), "{name}: {line}");
        }
        if let Some((well, said)) = read_by("groff", &["-ww", "-man", "-Tutf8", "-z"], &text) {
            assert!(well && said.is_empty(), "{name}: {said}");
        }
    }
}

fn script(shell: &str) -> String {
    let place = folder(&[]);
    let output = coproc(place.path(), &["completions", shell], &[]);
    assert_eq!((output.code, output.stderr.as_str()), (Some(0), ""), "{shell}");
    output.stdout
}

#[test]
fn scripts_are_valid_in_their_shells() {
    for (shell, arguments) in [("bash", &["-n"][..]), ("zsh", &["-n"]), ("fish", &["-n"])] {
        let script = script(shell);
        assert!(script.contains("time_between_restarts") || script.contains("background"));
        if let Some((well, said)) = read_by(shell, arguments, &script) {
            assert!(well && said.is_empty(), "{shell}: {said}");
        }
    }
    for shell in ["elvish", "powershell"] {
        assert!(script(shell).contains("completions"), "{shell}");
    }
}

/// Both ways around the reserved word complete as the plain word would.
#[test]
fn bash_completes_around_its_reserved_word() {
    let mut program = script("bash");
    program.push_str(
        r#"
complete_words() {
    COMP_WORDS=("$@")
    COMP_CWORD=$(($# - 1))
    COMPREPLY=()
    local spec=$(complete -p "$1")
    spec=${spec#*-F }
    ${spec%% *} "$1" "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
    echo "${COMPREPLY[*]}"
}
complete_words coproc healt
complete_words '\coproc' healt
complete_words command coproc healt
complete_words command coproc debug --format ''
complete_words '\coproc' completions z
complete_words command ls healt
"#,
    );
    let (well, said) = read_by("bash", &["--norc"], &program).expect("there is a bash");
    assert!(well, "{said}");
    assert_eq!(said, "health\nhealth\nhealth\ntoml json\nzsh\n\n");
}
