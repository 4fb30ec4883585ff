//! `debug` with the config files of nginx-wrapper's users and with a main process that is there or
//! not.

mod support;

use std::path::Path;
use std::process::{Command, Output};

use support::{Place, puppet};

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// Runs a command to its end.
#[allow(clippy::disallowed_methods)]
fn output(command: &mut Command) -> Output {
    command.output().unwrap()
}

/// `KEY: VALUE` lines by key, without where a value is from.
fn values(output: &Output) -> Vec<(String, String)> {
    text(&output.stdout)
        .lines()
        .take_while(|line| !line.is_empty())
        .map(|line| {
            let (key, value) = line.trim_start().split_once(": ").unwrap();
            let (value, _origin) = value.rsplit_once("  (").unwrap();
            (key.to_owned(), value.to_owned())
        })
        .collect()
}

#[test]
fn w10_no_nginx_on_path() {
    let place = Place::new();
    place.write("coproc.toml", "");
    for command in ["debug", "run"] {
        let output = output(place.command(&[command]).env("PATH", place.at("run")));
        assert_eq!(output.status.code(), Some(127), "{command}");
        assert!(output.stdout.is_empty());
        assert!(text(&output.stderr).contains("`nginx` was not found on PATH"), "{output:?}");
    }
}

/// Four reasons, four reports, and no coprocess has run before them.
#[test]
fn w11_nothing_is_started_with_a_wrong_binary() {
    let mut reports = Vec::new();
    for binary in ["/etc/passwd", "/bin/false", "/bin/true", "/bin/echo"] {
        let place = Place::new();
        place.config(&format!(
            "[coprocess.a]\nname = \"a\"\nexec = [\"touch\", \"{}\"]\nrestarts = \"never\"\n\
             exec_event = \"pre-start\"\n",
            place.at("ran")
        ));
        for command in ["debug", "run"] {
            let output = place.coproc(&[command, "--set", &format!("nginx_binary={binary}")]);
            // A program that cannot be executed has a status of its own, where it was to be.
            let code = if (command, binary) == ("run", "/etc/passwd") { 126 } else { 2 };
            assert_eq!(output.status.code(), Some(code), "{command} {binary}");
            assert!(output.stdout.is_empty(), "{binary}");
            let report = String::from_utf8(output.stderr).unwrap();
            assert!(report.contains(binary), "{report}");
            reports.push(report.replace(binary, ""));
        }
        assert!(!place.path().join("ran").exists(), "{binary}");
    }
    reports.sort();
    reports.dedup();
    assert_eq!(reports.len(), 4, "{reports:#?}");
}

#[test]
fn w13_aligned_and_sorted_and_nothing_made() {
    let place = Place::new();
    let run_path = place.at("not/made");
    place.write(
        "coproc.toml",
        &format!("run_path = \"{run_path}\"\nnginx_binary = \"{}\"\n", puppet()),
    );
    let output = place.coproc(&["debug"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let out = text(&output.stdout);
    let colons: Vec<_> = out.lines().map(|line| line.find(": ")).collect();
    assert!(colons[0].is_some() && colons.iter().all(|at| *at == colons[0]), "{out}");
    let values = values(&output);
    assert!(values.is_sorted_by_key(|(key, _)| key.as_bytes()), "{out}");
    for (key, value) in [
        ("modules_path", "/x/mods"),
        ("nginx_version", "1.22.1"),
        ("nginx_is_plus", "false"),
        ("nginx_binary", &puppet()),
        ("run_path", &run_path),
    ] {
        assert!(values.contains(&(key.into(), value.into())), "{key}\n{out}");
    }
    assert!(!place.path().join("not").exists());
}

#[test]
fn w16_one_processor_of_the_mask() {
    use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
    let this_thread = nix::unistd::Pid::from_raw(0);
    let all = sched_getaffinity(this_thread).unwrap();
    let mut one = CpuSet::new();
    let allowed = |cpu: &usize| all.is_set(*cpu).unwrap();
    one.set((0..CpuSet::count()).find(allowed).unwrap()).unwrap();
    let place = Place::new();
    place.config("");
    // What this thread starts inherits its mask.
    sched_setaffinity(this_thread, &one).unwrap();
    let output = place.coproc(&["debug"]);
    sched_setaffinity(this_thread, &all).unwrap();
    assert!(values(&output).contains(&("vcpu_count".into(), "1".into())), "{output:?}");
}

#[test]
fn w23_the_old_programs_samples() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/nginx-wrapper");
    let place = Place::new();
    let debug = |name: &str| {
        let file = folder.join(name).display().to_string();
        let mut command = place.command(&["--config", &file, "debug"]);
        let output = output(command.env("NW_NGINX_BINARY", puppet()));
        assert_eq!(output.status.code(), Some(0), "{name}: {output:?}");
        let values = values(&output);
        for (key, value) in [("nginx_binary", puppet().as_str()), ("nginx_version", "1.22.1")] {
            assert!(values.contains(&(key.into(), value.into())), "{name}: {key}");
        }
        values
    };
    let holds = |values: &[(String, String)], expected: &[(&str, &str)]| {
        for (key, value) in expected {
            assert!(values.contains(&((*key).into(), (*value).into())), "{key} in {values:#?}");
        }
    };
    holds(
        &debug("simple.toml"),
        &[
            ("enabled_plugins", "[template greeting]"),
            ("log.level", "TRACE"),
            ("template.delete_templated_conf_on_exit", "false"),
            ("modules_path", "/x/mods"),
        ],
    );
    let all_keys = debug("all-keys.toml");
    holds(
        &all_keys,
        &[
            ("modules_path", "/opt/nginx/modules"),
            ("template.run_path_subdirs", "[client_body conf proxy]"),
            ("template.template_var_left_delim", "[["),
            ("template.template_var_right_delim", "]]"),
            ("vcpu_count", "3"),
        ],
    );
    assert_eq!(debug("all-keys.json"), all_keys);
    assert_eq!(debug("all-keys.yml"), all_keys);
    let coprocesses = debug("coprocesses.toml");
    holds(
        &coprocesses,
        &[
            ("coprocess.agent.exec", "[consul agent -dev]"),
            ("coprocess.agent.stop_exec", "[consul leave]"),
            ("coprocess.agent.background", "true"),
            ("coprocess.who.restarts", "4"),
            ("coprocess.who.time_between_restarts", "3s"),
            ("coprocess.who.stop_event", "start"),
        ],
    );
    assert_eq!(debug("coprocesses.json"), coprocesses);
}
