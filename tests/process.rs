//! What a program finds when it starts: its user, variables, folder, limits, descriptors, signals.

mod support;

use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;

use nix::unistd::User;
use support::{Place, Wrapper, coprocess, is_root, puppet};

/// Runs one coprocess in the foreground to its end; gives what it printed.
fn said_by(place: &Place, exec: &str, rest: &str) -> (Vec<String>, Wrapper) {
    place.config(&coprocess("a", exec, rest));
    let mut wrapper = place.run_with(&["--", "true"], &[]);
    assert_eq!(wrapper.wait(), 0, "{}", wrapper.dump());
    (wrapper.said("a"), wrapper)
}

fn shell(script: &str) -> String {
    format!("[\"sh\", \"-c\", \"{script}\"]")
}

#[track_caller]
fn assert_said(said: &[String], line: &str) {
    assert!(said.iter().any(|text| text == line), "`{line}` is not in {said:#?}");
}

fn skipped_without_root() -> bool {
    if !is_root() {
        support::skipped("only root can switch users");
    }
    !is_root()
}

/// A user who is in more groups than its own: its name, and all of their numbers.
fn user_in_groups() -> Option<(User, Vec<u32>)> {
    let groups = std::fs::read_to_string("/etc/group").ok()?;
    let name = groups.lines().find_map(|line| {
        let members = line.rsplit(':').next()?;
        let first = members.split(',').next()?;
        (!first.is_empty() && first != "root").then(|| first.to_owned())
    })?;
    let user = User::from_name(&name).ok()??;
    let c_name = std::ffi::CString::new(name).ok()?;
    let mut all: Vec<u32> = nix::unistd::getgrouplist(&c_name, user.gid)
        .ok()?
        .into_iter()
        .map(nix::unistd::Gid::as_raw)
        .collect();
    all.sort_unstable();
    all.dedup();
    (all.len() > 1).then_some((user, all))
}

// D13: the whole identity, not the user alone.
#[test]
fn d13_user_groups_and_variables() {
    if skipped_without_root() {
        return;
    }
    let Some((user, mut groups)) = user_in_groups() else {
        support::skipped("no user has supplementary groups here");
        return;
    };
    let script = "id -u; id -g; grep Groups /proc/self/status; echo $HOME $USER $LOGNAME";
    let (said, _) = said_by(&Place::new(), &shell(script), &format!("user = \"{}\"", user.name));
    assert_said(&said, &user.uid.to_string());
    assert_said(&said, &user.gid.to_string());
    let (home, name) = (user.dir.display(), &user.name);
    assert_said(&said, &format!("{home} {name} {name}"));
    let line = said.iter().find_map(|text| text.strip_prefix("Groups:")).unwrap();
    let line = line.replace("\\t", " ");
    let mut seen: Vec<u32> = line.split_whitespace().map(|group| group.parse().unwrap()).collect();
    seen.sort_unstable();
    groups.sort_unstable();
    assert_eq!(seen, groups);
}

#[test]
fn a_group_in_place_of_the_users_own() {
    if skipped_without_root() {
        return;
    }
    let rest = "user = \"www-data\"\ngroup = \"daemon\"";
    let (said, _) = said_by(&Place::new(), &shell("id -un; id -gn"), rest);
    assert_said(&said, "www-data");
    assert_said(&said, "daemon");
}

// D14: numbers are users as well, known or not.
#[test]
fn d14_a_numeric_user() {
    if skipped_without_root() {
        return;
    }
    let script = shell("id -u; id -g; id -G");
    let (said, _) = said_by(&Place::new(), &script, "user = \"33\"");
    assert_eq!(said.iter().filter(|text| *text == "33").count(), 3, "{said:?}");
    let (said, _) = said_by(&Place::new(), &script, "user = 54321");
    assert_eq!(said.iter().filter(|text| *text == "54321").count(), 3, "{said:?}");
}

#[test]
fn a_user_cannot_be_switched_without_the_right_to() {
    if skipped_without_root() {
        return;
    }
    let place = Place::new();
    place.config(&coprocess("a", "\"true\"", "user = \"daemon\""));
    std::os::unix::fs::chown(place.at("run"), Some(33), Some(33)).unwrap();
    let mut command = place.command(&["run"]);
    command.uid(33).gid(33);
    let mut wrapper = Wrapper::start(command);
    assert_eq!(wrapper.wait(), 1, "{}", wrapper.dump());
    let line = wrapper.wait_for("a: `true` cannot be started");
    assert!(line.contains("daemon") && line.contains("only root"), "{line}");
}

#[test]
fn stop_commands_run_as_the_user_too() {
    if skipped_without_root() {
        return;
    }
    let (_, wrapper) =
        said_by(&Place::new(), "\"true\"", "user = \"www-data\"\nstop_exec = \"whoami\"");
    assert_eq!(wrapper.count("msg=\"stop-a: www-data\""), 1);
}

#[test]
fn variables_come_from_the_wrapper_the_file_and_the_table() {
    let place = Place::new();
    place.write("more.env", "# a note\nA=file\nexport B=\"from file\"\n");
    place.config(&coprocess(
        "a",
        &shell("echo $A-$B-$C-$D; echo $COPROC_SOCKET"),
        &format!("env_file = \"{}\"\nenv = {{ A = \"table\" }}", place.at("more.env")),
    ));
    let variables = [("A", "wrapper"), ("B", "wrapper"), ("C", "wrapper")];
    let mut wrapper = place.run_with(&["--", "true"], &variables);
    assert_eq!(wrapper.wait(), 0);
    assert_said(&wrapper.said("a"), "table-from file-wrapper-");
    assert_said(&wrapper.said("a"), &place.at("run/control.sock"));
}

#[test]
fn a_pipe_in_the_place_of_an_env_file_is_not_waited_for() {
    let place = Place::new();
    let pipe = place.path().join("pipe");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
    place.config(&coprocess("a", "\"true\"", &format!("env_file = {:?}", place.at("pipe"))));
    let mut wrapper = place.run();
    assert_eq!(wrapper.wait(), 1);
    wrapper.wait_for("it is not a regular file");
}

#[test]
fn an_env_file_that_is_missing_is_told() {
    let place = Place::new();
    place.config(&coprocess("a", "\"true\"", "env_file = \"/no/such.env\""));
    let mut wrapper = place.run();
    assert_eq!(wrapper.wait(), 1);
    let line = wrapper.wait_for("a: `true` cannot be started: reading env_file failed");
    assert!(line.contains("/no/such.env"), "{line}");
}

#[test]
fn folder_mask_and_limits() {
    let place = Place::new();
    std::fs::create_dir(place.at("work")).unwrap();
    let rest = format!(
        "cwd = \"{}\"\numask = \"0027\"\nlimits = {{ nofile = 100, core = 0 }}",
        place.at("work")
    );
    let (said, _) = said_by(&place, &shell("pwd; umask; ulimit -n; ulimit -c; touch made"), &rest);
    for line in [&place.at("work"), "0027", "100", "0"] {
        assert_said(&said, line);
    }
    let mode = std::fs::metadata(place.at("work/made")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o640);
}

#[test]
fn a_relative_program_is_looked_for_where_it_runs() {
    let place = Place::new();
    std::fs::create_dir(place.at("work")).unwrap();
    place.write("work/tool", "#!/bin/sh\necho tool in $(pwd)\n");
    let executable = PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(place.at("work/tool"), executable).unwrap();
    let (said, _) = said_by(&place, "\"./tool\"", &format!("cwd = \"{}\"", place.at("work")));
    assert_said(&said, &format!("tool in {}", place.at("work")));
}

#[test]
fn standard_input_is_dev_null() {
    let script = "readlink /proc/self/fd/0; cat; echo end";
    let (said, _) = said_by(&Place::new(), &shell(script), "");
    assert_said(&said, "/dev/null");
    assert_said(&said, "end");
}

/// The descriptors that a program sees, by number alone.
fn descriptors(place: &Place, rest: &str, script: &str) -> Vec<String> {
    let exec = format!("[\"{}\", \"descriptors\"]", puppet());
    place.config(&coprocess("a", &exec, rest));
    let run = place.command(&["run", "--", "true"]);
    // A shell that leaves more descriptors open than it should.
    let mut command = std::process::Command::new("bash");
    command.args(["-c", script, "bash"]).arg(run.get_program()).args(run.get_args());
    command.current_dir(place.path());
    let mut wrapper = Wrapper::start(command);
    assert_eq!(wrapper.wait(), 0, "{}", wrapper.dump());
    let said = wrapper.said("a");
    let line = said.iter().find_map(|text| text.strip_prefix("descriptors: ")).unwrap();
    line.split(", ").map(|one| one.split(' ').next().unwrap().to_owned()).collect()
}

#[test]
fn no_descriptor_is_passed_on() {
    let plain = "exec \"$@\"";
    let leaky = "exec 3</etc/passwd 7>/dev/null 33<>/dev/zero \"$@\"";
    let staged = "umask = \"0022\"";
    for rest in ["", staged] {
        for script in [plain, leaky] {
            let seen = descriptors(&Place::new(), rest, script);
            assert_eq!(seen, ["0", "1", "2"], "{rest} {script}");
        }
    }
}

#[test]
fn the_main_process_gets_no_further_descriptor() {
    let place = Place::new();
    place.config("");
    let mut wrapper = place.run_with(&["--", &puppet(), "descriptors"], &[]);
    assert_eq!(wrapper.wait(), 0);
    let line = wrapper.wait_for("descriptors: ");
    let list = line.split_once("descriptors: ").unwrap().1.trim_end_matches('"');
    let seen: Vec<_> = list.split(", ").map(|one| one.split(' ').next().unwrap()).collect();
    assert_eq!(seen, ["0", "1", "2"]);
}

#[test]
fn what_cannot_be_executed_says_the_step_and_the_reason() {
    let place = Place::new();
    place.write("text", "no program");
    place.write("plain", "#!/no/such/interpreter\n");
    let executable: std::fs::Permissions = PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(place.at("plain"), executable).unwrap();
    let failing = |name: &str, exec: &str, rest: &str| {
        coprocess(name, &format!("\"{exec}\""), &format!("background = true\n{rest}"))
    };
    let mut wrapper = place.up(&[
        failing("missing", "no-such-program", ""),
        failing("text", &place.at("text"), ""),
        failing("plain", &place.at("plain"), ""),
        failing("staged", &place.at("plain"), "umask = \"0022\""),
        failing("folder", "true", "cwd = \"/no/such/folder\""),
        failing("limit", "true", "limits = { nofile = 1 }\ngroup = \"no-such-group\""),
    ]
    .concat());
    for (name, step, reason) in [
        ("missing", "finding the program failed", "not"),
        ("text", "finding the program failed", "execut"),
        ("plain", "spawning failed", "no such file"),
        ("staged", "executing failed", "no such file"),
        ("folder", "its folder `/no/such/folder`", "no such file"),
        ("limit", "looking up the user failed", "no-such-group"),
    ] {
        let line = wrapper.wait_for(&format!("msg=\"{name}: `"));
        assert!(line.contains(&format!("cannot be started: {step}: ")), "{line}");
        assert!(line.contains(reason) && line.contains("level=error"), "{line}");
    }
    assert_eq!(wrapper.stop(), 0);
}

/// The mask and the ignored signals of a program.
fn signals_of(wrapper: &mut Wrapper) -> Vec<String> {
    assert_eq!(wrapper.wait(), 0, "{}", wrapper.dump());
    wrapper.said("a").iter().filter(|text| text.starts_with("Sig")).cloned().collect()
}

#[test]
fn mask_and_ignored_signals_are_reset() {
    for rest in ["", "umask = \"0022\""] {
        let place = Place::new();
        let exec = "[\"grep\", \"^Sig[BI]\", \"/proc/self/status\"]";
        place.config(&coprocess("a", exec, rest));
        let above = ["env", "--ignore-signal=USR2", "--ignore-signal=PIPE", "--block-signal"];
        let command = place.command_below(&above, &["run", "--", "true"]);
        let signals = signals_of(&mut Wrapper::start(command));
        assert_eq!(signals.len(), 2, "{signals:?}");
        for line in signals {
            let set = u64::from_str_radix(line.rsplit_once("\\t").unwrap().1, 16).unwrap();
            // posix_spawn of glibc ignores its own two, 32 and 33.
            assert_eq!(set & !(0b11 << 31), 0, "{line}");
        }
    }
}

/// A parent that ignores CHLD, as some shells' `trap '' CHLD` do, costs nobody his exit status.
#[test]
fn an_ignored_chld_is_not_inherited() {
    for subreaper in ["true", "false"] {
        let place = Place::new();
        place.write("coproc.toml", &format!("subreaper = {subreaper}\n{}", place.preamble()));
        let mut command = place.command_below(&["env", "--ignore-signal=CHLD"], &["run"]);
        command.env("F_RC", "7");
        let mut wrapper = Wrapper::start(command);
        wrapper.wait_for(": up");
        assert_eq!(wrapper.stop(), 7, "subreaper = {subreaper}");
    }
}

#[test]
fn dev_stdout_can_be_opened_anew_by_another_user() {
    if skipped_without_root() {
        return;
    }
    let script = "echo out > /dev/stdout; echo err > /dev/stderr";
    let (said, _) = said_by(&Place::new(), &shell(script), "user = \"www-data\"");
    assert_said(&said, "out");
    assert_said(&said, "err");
}

#[test]
fn a_program_leads_a_group_of_its_own() {
    let script = "read -r pid rest < /proc/self/stat; echo $(ps -o pgid= -p $$) $$";
    let (said, _) = said_by(&Place::new(), &shell(script), "");
    let line =
        said.iter().find_map(|text| text.split_once(' ').filter(|(a, _)| a.parse::<i32>().is_ok()));
    let (group, pid) = line.unwrap();
    assert_eq!(group, pid);
}

/// Nobody in particular, where root can become somebody; otherwise whoever runs the tests.
fn as_nobody(place: &Place) -> std::process::Command {
    let mut command = place.command(&["run"]);
    if is_root() {
        for path in ["", "run", "run/conf"] {
            std::os::unix::fs::chown(place.at(path), Some(33), Some(33)).unwrap();
        }
        command.uid(33).gid(33);
    }
    command
}

#[test]
fn w101_everything_works_without_root() {
    let place = Place::new();
    let rest = "stop_exec = \"echo bye\"\nbackground = true";
    let port = place.nginx(
        2,
        "location / { return 200 served; }",
        &coprocess("a", "\"sleep 1000\"", rest),
    );
    let conf = place.read("run/conf/nginx.conf").replace("user www-data;", "");
    place.write("run/conf/nginx.conf", &conf);
    let mut wrapper = Wrapper::start(as_nobody(&place));
    wrapper.wait_for_nth("event: [start-worker]", 2);
    let get = || {
        use std::io::{Read, Write};
        let mut stream = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    };
    assert!(get().ends_with("served"));
    let conf = conf.replace("served", "anew");
    place.write("run/conf/nginx.conf", &conf);
    wrapper.signal(nix::sys::signal::Signal::SIGHUP);
    wrapper.wait_for("event: [reload]");
    wrapper.wait_for_nth("event: [exit-worker]", 2);
    assert!(get().ends_with("anew"));
    assert!(place.path().join("run/control.sock").exists());
    let nginx = support::descendants(wrapper.pid());
    assert_eq!(wrapper.stop(), 0, "{}", wrapper.dump());
    wrapper.wait_for("stop-a: bye");
    assert!(!nginx.into_iter().any(support::alive));
}
