//! The command line: help, version and usage errors.

#[path = "support/snapshot.rs"]
mod snapshot;

use snapshot::{assert, coproc, folder};

macro_rules! case {
    (fn $name:ident: [$($argument:expr),*]) => {
        #[test]
        fn $name() {
            let folder = folder(&[]);
            let output = coproc(folder.path(), &[$($argument),*], &[]);
            assert(concat!("cli__", stringify!($name)), &output.show());
        }
    };
}

case!(fn w01_no_arguments: []);
case!(fn w02_version: ["version"]);
case!(fn w02_version_reads_no_config: ["version", "--config", "nope"]);
case!(fn w03_help: ["--help"]);
case!(fn w03_help_of_run: ["run", "--help"]);
case!(fn w03_help_run: ["help", "run"]);
case!(fn help_of_coordinator: ["help", "coordinator"]);
case!(fn c55_coordinator_help: ["coordinator", "-h"]);
case!(fn help_of_check: ["check", "--help"]);
case!(fn help_of_simulate: ["simulate", "--help"]);
case!(fn help_of_doctor: ["doctor", "--help"]);
case!(fn help_of_import: ["import", "--help"]);
case!(fn help_of_debug: ["debug", "--help"]);
case!(fn help_of_schema: ["schema", "--help"]);
case!(fn help_of_completions: ["completions", "--help"]);
case!(fn help_of_man: ["man", "--help"]);
case!(fn help_of_version: ["version", "--help"]);
case!(fn help_of_status: ["status", "--help"]);
case!(fn help_of_why: ["why", "--help"]);
case!(fn help_of_events: ["events", "--help"]);
case!(fn help_of_logs: ["logs", "--help"]);
case!(fn help_of_top: ["top", "--help"]);
case!(fn help_of_wait: ["wait", "--help"]);
case!(fn help_of_start: ["start", "--help"]);
case!(fn help_of_stop: ["stop", "--help"]);
case!(fn help_of_restart: ["restart", "--help"]);
case!(fn help_of_set: ["set", "--help"]);
case!(fn help_of_background: ["background", "--help"]);
case!(fn help_of_foreground: ["foreground", "--help"]);
case!(fn help_of_signal: ["signal", "--help"]);
case!(fn help_of_reload: ["reload", "--help"]);
case!(fn help_of_exec_server: ["help", "exec-server"]);
case!(fn help_of_emit: ["emit", "--help"]);
case!(fn help_of_health: ["health", "--help"]);
case!(fn help_of_exec: ["exec", "--help"]);
case!(fn exec_without_a_program: ["exec"]);
case!(fn help_of_keys: ["keys", "--help"]);
case!(fn help_of_task: ["task", "--help"]);
case!(fn health_with_an_unknown_flag: ["health", "--bogus"]);
case!(fn w04_unknown_command: ["bogus"]);
case!(fn w04_unknown_flag: ["--bogus"]);
case!(fn misspelt_command: ["chekc"]);
case!(fn set_without_changes: ["set", "consul"]);
case!(fn set_without_a_value: ["set", "consul", "restarts"]);
case!(fn signal_of_no_such_name: ["signal", "consul", "TERMINATE"]);
case!(fn name_with_a_slash: ["stop", "a/b"]);
case!(fn debug_format: ["debug", "--format", "xml"]);

/// The short help of all commands, and whether one of them has no snapshot of its long one.
#[test]
fn short_help() {
    let folder = folder(&[]);
    let root = coproc(folder.path(), &["-h"], &[]);
    let mut all = root.show();
    let commands = root.stdout.split("Commands:\n").nth(1).unwrap().split("\n\n").next().unwrap();
    // What is told of one may take a second line.
    for line in commands.lines().filter(|line| !line.starts_with("   ")) {
        let command = line.split_whitespace().next().unwrap();
        // The options of exec-server are sockexec's.
        if command == "help" || command == "exec-server" {
            continue;
        }
        let output = coproc(folder.path(), &[command, "-h"], &[]);
        all.push_str(&format!("\n===== {command} -h =====\n{}", output.show()));
        let long = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("snapshots");
        let names =
            [format!("cli__help_of_{command}.snap"), format!("cli__w03_help_of_{command}.snap")];
        assert!(names.iter().any(|name| long.join(name).exists()), "{command}");
    }
    assert("cli__short_help", &all);
}

#[test]
fn w03_the_version_flags() {
    let folder = folder(&[]);
    for flag in ["-V", "--version"] {
        let output = coproc(folder.path(), &[flag], &[]);
        assert_eq!(output.code, Some(0));
        assert_eq!(output.stdout, format!("coproc {}\n", env!("CARGO_PKG_VERSION")));
    }
}

#[test]
fn an_answer_that_is_lost_is_a_failure() {
    let folder = folder(&[("coproc.toml", "[main]\nexec = \"true\"\n")]);
    for word in ["debug", "schema", "check", "version", "help", "man"] {
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        #[allow(clippy::disallowed_methods)]
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_coproc"))
            .arg(word)
            .current_dir(folder.path())
            .stdout(full)
            .output()
            .unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{word}: {stderr}");
        assert!(stderr.contains("standard output cannot be written"), "{word}: {stderr}");
    }
}

/// Too few descriptors, for any part of it, are told in a sentence.
#[test]
fn out_of_descriptors() {
    let folder = folder(&[("coproc.toml", "run_path = \"run\"\n[main]\nexec = \"true\"\n")]);
    let limited = |limit: usize, words: &str| {
        #[allow(clippy::disallowed_methods)]
        let output = std::process::Command::new("sh")
            .args(["-c", &format!("ulimit -n {limit}; exec \"$0\" {words}")])
            .arg(env!("CARGO_BIN_EXE_coproc"))
            .current_dir(folder.path())
            .output()
            .unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    for limit in 4..24 {
        let (code, stderr) = limited(limit, "run");
        assert!(!stderr.contains("panicked"), "{limit}: {stderr}");
        assert!(matches!(code, Some(0..=3)), "{limit}: {code:?} {stderr}");
        let (code, stderr) = limited(limit, "status --socket none.sock");
        assert!(!stderr.contains("panicked"), "{limit}: {stderr}");
        assert!(matches!(code, Some(1 | 3)), "{limit}: {code:?} {stderr}");
    }
    for limit in [20, 28] {
        let (code, stderr) = limited(limit, "exec-server none.sock");
        assert!(stderr.contains(&format!("RLIMIT_NOFILE is {limit}")), "{limit}: {stderr}");
        assert_eq!(code, Some(111), "{limit}: {stderr}");
    }
    let (code, stderr) = limited(4, "status --socket none.sock");
    assert_eq!(code, Some(1));
    assert!(stderr.starts_with("error: the event loop cannot be made: "), "{stderr}");
}
