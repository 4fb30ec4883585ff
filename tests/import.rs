//! `coproc import`: what comes of the samples, that it is valid, and where it is written.

#[path = "support/snapshot.rs"]
mod snapshot;

use std::fs;
use std::path::{Path, PathBuf};

fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/import")
}

/// The config of a sample, compared with its snapshot, which `check` finds nothing wrong with.
fn sample(name: &str, snapshot: &str) {
    let output = snapshot::coproc(&data(), &["import", name], &[]);
    // Where the sources lie is not the same everywhere.
    let text = output.show().replace(&data().display().to_string(), "[DATA]");
    snapshot::assert(&format!("import__{snapshot}"), &text);
    let folder = snapshot::folder(&[("coproc.toml", &output.stdout)]);
    let check = snapshot::coproc(folder.path(), &["check"], &[]);
    assert_eq!((check.code, check.stderr.as_str()), (Some(0), ""), "{}", output.stdout);
}

#[test]
fn of_supervisord() {
    sample("supervisord.conf", "supervisord");
}

#[test]
fn of_a_procfile() {
    sample("Procfile", "procfile");
}

#[test]
fn of_s6_rc() {
    sample("s6-rc", "s6_rc");
}

#[test]
fn what_supervisord_includes_is_read_in_its_order() {
    let folder = snapshot::folder(&[
        ("s.conf", "[include]\nfiles = conf.d/*.conf none/*.conf conf.d/[de]?.ini gone.conf\n"),
        ("conf.d/b.conf", "[program:b]\ncommand=b\nautorestart=true\n"),
        ("conf.d/a.conf", "\u{feff}[program:a]\ncommand=a\nautorestart=true\n"),
        ("conf.d/c.txt", "[program:c]\ncommand=c\n"),
        ("conf.d/d1.ini", "[program:d]\ncommand=d\nautorestart=true\n"),
        ("conf.d/d11.ini", "[program:d11]\ncommand=d\n"),
        ("conf.d/f1.ini", "[program:f]\ncommand=f\n"),
        ("conf.d/.hidden.conf", "[program:h]\ncommand=h\n"),
    ]);
    let output = snapshot::coproc(folder.path(), &["import", "s.conf"], &[]);
    let nothing = "note: s.conf: include: there is no file `none/*.conf`\n\
                   note: s.conf: include: there is no file `gone.conf`\n";
    assert_eq!((output.code, output.stderr.as_str()), (Some(0), nothing));
    let names: Vec<_> =
        output.stdout.lines().filter_map(|line| line.strip_prefix("name = ")).collect();
    assert_eq!(names, ["\"a\"", "\"b\"", "\"d\""]);
}

#[test]
fn where_nothing_can_be_run_that_is_said() {
    let folder = snapshot::folder(&[("Procfile", "# nothing\n"), ("s.conf", "[supervisord]\n")]);
    for name in ["Procfile", "s.conf"] {
        let output = snapshot::coproc(folder.path(), &["import", name], &[]);
        let note = format!("note: {name}: nothing: there is nothing in it that could be run\n");
        assert_eq!((output.code, output.stderr), (Some(0), note));
    }
}

#[test]
fn the_mark_that_some_editors_write_is_no_part_of_a_name() {
    let folder = snapshot::folder(&[("Procfile", "\u{feff}web: server\r\n")]);
    let output = snapshot::coproc(folder.path(), &["import", "Procfile"], &[]);
    assert!(output.stdout.contains("[main]\nexec = [\"server\"]\n"), "{}", output.stdout);
}

#[test]
fn nginx_wrappers_files_stay_as_they_are() {
    let text = "# Mine.\nrun_path = \"/tmp/x\"\n[log]\nlevel = \"DEBUG\"\n";
    let json = "{ \"log\": { \"level\": \"DEBUG\" } }";
    let folder =
        snapshot::folder(&[("w.toml", text), ("w.json", json), ("bad.toml", "[log]\nlevl = 1\n")]);
    let output = snapshot::coproc(folder.path(), &["import", "w.toml"], &[]);
    assert_eq!((output.code, output.stdout.as_str()), (Some(0), text));
    assert!(output.stderr.contains("reads this file unchanged"), "{}", output.stderr);
    let output = snapshot::coproc(folder.path(), &["import", "w.json"], &[]);
    assert_eq!((output.code, output.stdout.as_str()), (Some(0), "[log]\nlevel = \"DEBUG\"\n"));
    let output = snapshot::coproc(folder.path(), &["import", "bad.toml"], &[]);
    assert_eq!((output.code, output.stdout.as_str()), (Some(2), ""));
}

#[test]
fn a_file_is_overwritten_only_if_that_is_said() {
    let folder = snapshot::folder(&[("Procfile", "web: server\n"), ("coproc.toml", "mine")]);
    let words = ["import", "Procfile", "--output", "coproc.toml"];
    let output = snapshot::coproc(folder.path(), &words, &[]);
    assert_eq!(output.code, Some(1));
    assert!(output.stderr.contains("--force"), "{}", output.stderr);
    let read = || fs::read_to_string(folder.path().join("coproc.toml")).unwrap();
    assert_eq!(read(), "mine");
    let forced = snapshot::coproc(folder.path(), &[&words[..], &["--force"]].concat(), &[]);
    assert_eq!((forced.code, forced.stdout.as_str()), (Some(0), ""));
    assert!(read().contains("exec = [\"server\"]"), "{}", read());
}

#[test]
fn what_cannot_be_read_is_told() {
    let folder = snapshot::folder(&[("unknown", "x"), ("empty/file", "")]);
    for (path, why) in [
        ("nowhere", "cannot be read"),
        ("unknown", "say --from"),
        ("empty", "no source of s6-rc"),
        ("nowhere.conf", "cannot be read"),
    ] {
        let output = snapshot::coproc(folder.path(), &["import", path], &[]);
        assert_eq!((output.code, output.stdout.as_str()), (Some(2), ""), "{path}");
        assert!(output.stderr.contains(why), "{path}: {}", output.stderr);
    }
}
