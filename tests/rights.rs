//! Least privilege: capabilities, `no_new_privs`, which variables reach a program, and values in files.

mod support;

use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;

use support::{Place, Wrapper, coprocess, eventually, is_root};

/// CAP_NET_BIND_SERVICE.
const BIND: u64 = 1 << 10;

const STATUS: &str = r#"["cat", "/proc/self/status"]"#;

fn skipped_without_root() -> bool {
    if !is_root() {
        support::skipped("only root has rights to give away");
    }
    !is_root()
}

/// What `/proc/self/status` says in a line of this name.
fn field(said: &[String], name: &str) -> String {
    let line = said.iter().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    let line = line.unwrap_or_else(|| panic!("no `{name}` in {said:#?}"));
    line.replace("\\t", " ").trim().to_owned()
}

fn set(said: &[String], name: &str) -> u64 {
    u64::from_str_radix(&field(said, name), 16).unwrap()
}

/// Permitted, effective, bounding and ambient set.
fn sets(said: &[String]) -> [u64; 4] {
    ["CapPrm", "CapEff", "CapBnd", "CapAmb"].map(|name| set(said, name))
}

fn status_with(rest: &str) -> Vec<String> {
    let place = Place::new();
    place.config(&coprocess("a", STATUS, rest));
    let mut wrapper = place.run_with(&["--", "true"], &[]);
    assert_eq!(wrapper.wait(), 0, "{}", wrapper.dump());
    wrapper.said("a")
}

fn own() -> Vec<String> {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    status.lines().map(str::to_owned).collect()
}

#[test]
fn a_user_keeps_the_capabilities_that_are_named_and_no_others() {
    if skipped_without_root() {
        return;
    }
    let said = status_with("user = \"www-data\"\ncapabilities = [\"CAP_NET_BIND_SERVICE\"]");
    assert_eq!(sets(&said), [BIND; 4]);
    assert_eq!(field(&said, "Uid"), "33 33 33 33");
    assert_eq!(field(&said, "NoNewPrivs"), "0");
}

/// In a network of its own, whose ports are free and below 1024 not for everybody.
#[test]
fn a_user_binds_port_80_by_a_capability_that_is_kept_and_not_without() {
    if skipped_without_root() {
        return;
    }
    let place = Place::new();
    let script = "socket(S, PF_INET, SOCK_STREAM, 0); \
                  bind(S, sockaddr_in(80, INADDR_ANY)) or die \"refused: $!\\n\"; \
                  listen(S, 1); print \"port 80 as $<\\n\"";
    let one = |name: &str, rest: &str| {
        let exec = format!("[\"perl\", \"-MSocket\", \"-e\", '{script}']");
        coprocess(name, &exec, &format!("user = \"www-data\"\n{rest}"))
    };
    let kept = "capabilities = [\"CAP_NET_BIND_SERVICE\"]\nno_new_privs = true";
    place.config(&[one("kept", kept), one("without", "")].concat());
    let mut wrapper =
        Wrapper::start(place.command_below(&["unshare", "--net"], &["run", "--", "true"]));
    if wrapper.wait() != 0 && wrapper.stderr().contains("unshare") {
        return support::skipped("a network of one's own cannot be made");
    }
    assert!(wrapper.said("kept").contains(&"port 80 as 33".to_owned()), "{}", wrapper.dump());
    assert!(
        wrapper.said("without").contains(&"refused: Permission denied".to_owned()),
        "{}",
        wrapper.dump()
    );
}

#[test]
fn root_without_capabilities_has_no_way_back_to_them() {
    if skipped_without_root() {
        return;
    }
    for list in ["[]", "\"\""] {
        let said = status_with(&format!("capabilities = {list}"));
        assert_eq!((sets(&said), field(&said, "Uid")), ([0; 4], "0 0 0 0".to_owned()));
    }
}

#[test]
fn nothing_changes_unasked() {
    let said = status_with("umask = \"0022\"");
    assert_eq!(sets(&said), sets(&own()));
    assert_eq!(field(&said, "NoNewPrivs"), field(&own(), "NoNewPrivs"));
    if is_root() {
        let said = status_with("user = \"www-data\"");
        let [_, _, bounding, _] = sets(&own());
        assert_eq!(sets(&said), [0, 0, bounding, 0], "as setuid leaves them");
    }
}

#[test]
fn no_new_privs_is_for_good() {
    assert_eq!(field(&status_with("no_new_privs = true"), "NoNewPrivs"), "1");
    // What is setuid stays without effect: the user is the same after it.
    if is_root() && std::path::Path::new("/bin/su").exists() {
        let said = status_with("user = \"www-data\"\nno_new_privs = \"true\"\ncapabilities = []");
        assert_eq!((field(&said, "NoNewPrivs"), sets(&said)), ("1".to_owned(), [0; 4]));
    }
}

#[test]
fn rights_that_nobody_has_cannot_be_given() {
    let place = Place::new();
    let failing =
        |name: &str, rest: &str| coprocess(name, "\"true\"", &format!("background = true\n{rest}"));
    place.config(
        &[
            failing("more", "capabilities = \"CAP_NET_BIND_SERVICE cap_net_admin\""),
            failing("fewer", "capabilities = []"),
            failing("sealed", "capabilities = []\nno_new_privs = true"),
        ]
        .concat(),
    );
    let mut command = place.command(&["run"]);
    if is_root() {
        for path in ["", "run"] {
            chown(place.at(path), Some(33), Some(33)).unwrap();
        }
        command.uid(33).gid(33);
    }
    let mut wrapper = Wrapper::start(command);
    wrapper.wait_for("event: [coprocess.sealed.stopped]");
    let line = wrapper.wait_for("msg=\"more: `");
    let both = "its capability `CAP_NET_BIND_SERVICE CAP_NET_ADMIN`: operation not permitted";
    assert!(line.contains(both), "{line}");
    let line = wrapper.wait_for("msg=\"fewer: `");
    assert!(line.contains("dropping capabilities for good failed: operation not"), "{line}");
    assert_eq!(wrapper.stop(), 0);
}

#[test]
fn only_what_passes_is_inherited() {
    let place = Place::new();
    let rest = "env_pass = [\"PATH\", \"APP_*\"]\nenv = { OWN = \"own\" }";
    place.config(&coprocess("a", "\"env\"", rest));
    let variables = [("APP_A", "1"), ("APPLE", "2"), ("DB_PASSWORD", "hidden"), ("LANG", "C")];
    let mut wrapper = place.run_with(&["--", "env"], &variables);
    assert_eq!(wrapper.wait(), 0);
    let said = wrapper.said("a");
    let mut names: Vec<_> = said.iter().filter_map(|line| Some(line.split_once('=')?.0)).collect();
    names.sort_unstable();
    // What coproc adds so that its own commands find it is not inherited.
    assert_eq!(names, ["APP_A", "COPROC_SOCKET", "OWN", "PATH"]);
    wrapper.wait_for("main: DB_PASSWORD=hidden");
}

#[test]
fn secrets_are_read_at_each_start_and_shown_nowhere() {
    let place = Place::new();
    place.write("db", "first-hidden\n");
    let owner_only = PermissionsExt::from_mode(0o400);
    std::fs::set_permissions(place.at("db"), owner_only).unwrap();
    // Its user cannot read the file.
    let user = if is_root() { "user = \"www-data\"\n" } else { "" };
    let rest = format!(
        "{user}background = true\nenv_file = \"{}\"\nsecrets = {{ DB_PASSWORD = \"{}\" }}",
        place.at("more.env"),
        place.at("db"),
    );
    place.write("more.env", "DB_PASSWORD=file\nOTHER=file\n");
    let script = "[\"sh\", \"-c\", \"echo $DB_PASSWORD-$OTHER | rev; exec sleep 1000\"]";
    place.config(&coprocess("a", script, &rest));
    let mut wrapper = place.run_with(&["--", "sleep", "1000"], &[("DB_PASSWORD", "inherited")]);
    eventually("the first value", || wrapper.said("a").contains(&"elif-neddih-tsrif".to_owned()));
    std::fs::remove_file(place.at("db")).unwrap();
    place.write("db", "second-hidden");
    assert!(place.coproc(&["restart", "a"]).status.success());
    eventually("the second value", || wrapper.said("a").contains(&"elif-neddih-dnoces".to_owned()));
    std::fs::remove_file(place.at("db")).unwrap();
    place.coproc(&["restart", "a"]);
    let line =
        wrapper.wait_for("a: `sh` cannot be started: reading a secret failed: `DB_PASSWORD`");
    assert!(line.contains("no such file"), "{line}");
    assert_eq!(wrapper.stop(), 143);
    assert!(!wrapper.dump().contains("-hidden"), "{}", wrapper.dump());
}

#[test]
#[allow(clippy::disallowed_methods)]
fn a_variable_can_name_the_file_of_a_value() {
    let place = Place::new();
    place.write("id", "edge-17-hidden\n");
    place.config(&coprocess("a", "[\"echo\", \"${host_id}\"]", ""));
    let id = place.at("id");
    let mut wrapper = place.run_with(&["--", "true"], &[("COPROC_HOST_ID_FILE", &id)]);
    assert_eq!(wrapper.wait(), 0);
    assert!(wrapper.said("a").contains(&"edge-17-hidden".to_owned()), "{}", wrapper.dump());
    let shown = |words: &[&str], variables: &[(&str, &str)]| {
        let output = place.command(words).envs(variables.iter().copied()).output().unwrap();
        let text = [output.stdout, output.stderr].concat();
        (output.status.code().unwrap(), String::from_utf8(text).unwrap())
    };
    for words in [&["debug"][..], &["debug", "--format", "json"]] {
        let (code, text) = shown(words, &[("COPROC_HOST_ID_FILE", &id)]);
        assert_eq!(code, 0, "{text}");
        assert!(text.contains("COPROC_HOST_ID_FILE") && !text.contains("hidden"), "{text}");
    }
    place.write("wait", "soon-hidden");
    let wait = place.at("wait");
    let (code, text) = shown(&["check"], &[("COPROC_SHUTDOWN_TIMEOUT_FILE", &wait)]);
    assert!(code == 2 && text.contains("shutdown_timeout: `********`"), "{text}");
    assert!(!text.contains("hidden"), "{text}");
    let both = [("COPROC_HOST_ID_FILE", id.as_str()), ("COPROC_HOST_ID", "edge-18")];
    let (code, text) = shown(&["check"], &both);
    assert!(code == 2 && text.contains("`COPROC_HOST_ID` is set as well"), "{text}");
    let (code, text) = shown(&["check"], &[("COPROC_HOST_ID_FILE", "/no/such/file")]);
    assert!(code == 2 && text.contains("`/no/such/file`: no such file"), "{text}");
}

fn oom_score(pid: i32) -> i16 {
    let score = std::fs::read_to_string(format!("/proc/{pid}/oom_score_adj")).unwrap();
    score.trim().parse().unwrap()
}

#[test]
fn helpers_die_before_the_main_process() {
    let place = Place::new();
    let sleep = |name: &str, rest: &str| {
        coprocess(name, "\"sleep 1000\"", &format!("background = true\n{rest}"))
    };
    let own = oom_score(std::process::id() as i32);
    place.config(
        &[
            sleep("plain", ""),
            sleep("staged", "umask = \"0022\""),
            sleep("first", "oom_score_adj = 1000"),
            sleep("as-main", &format!("oom_score_adj = \"{own}\"")),
        ]
        .concat(),
    );
    let main = ["--", "sh", "-c", "cat /proc/self/oom_score_adj; exec sleep 1000"];
    let mut wrapper = place.run_with(&main, &[]);
    let raised = own.saturating_add(100).min(1000);
    for (name, score) in [("plain", raised), ("staged", raised), ("first", 1000), ("as-main", own)]
    {
        assert_eq!(oom_score(wrapper.started(name, 1)), score, "{name}");
    }
    wrapper.wait_for(&format!("msg=\"main: {own}\""));
    assert_eq!(oom_score(wrapper.pid()), own);
    assert_eq!(wrapper.stop(), 143);
}

#[test]
fn with_a_control_group_all_that_comes_of_it_ends_with_it() {
    let place = Place::new();
    // A daemon as of old: it leaves group and session, and its parent ends.
    let script = "[\"sh\", \"-c\", \"cat /proc/self/cgroup; setsid sleep 1000 & echo left $!; exec sleep 1000\"]";
    place.config(&coprocess("a", script, "background = true\ncgroup = true"));
    let mut wrapper = place.run_with(&["--", "sleep", "1000"], &[]);
    wrapper.wait_for("msg=\"a: left ");
    if wrapper.count("has no control group of its own") > 0 {
        // It runs all the same.
        wrapper.wait_for("event: [coprocess.a.started]");
        assert_eq!(wrapper.stop(), 143);
        return support::skipped("no control group can be made here");
    }
    let leader = wrapper.started("a", 1);
    let said = wrapper.said("a");
    let own = said.iter().find_map(|line| line.strip_prefix("0::")).unwrap();
    assert!(own.ends_with("-a") && own.contains("/coproc-"), "{own}");
    let left: i32 =
        said.iter().find_map(|line| line.strip_prefix("left ")).unwrap().parse().unwrap();
    assert!(support::alive(left));
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(leader), nix::sys::signal::SIGKILL).unwrap();
    wrapper.wait_for("event: [coprocess.a.exited]");
    eventually("what it left is gone too", || !support::alive(left));
    assert!(support::alive(wrapper.pid()));
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    let points = mounts.lines().filter(|line| line.contains(" - cgroup2 "));
    let points: Vec<_> = points.map(|line| line.split(' ').nth(4).unwrap()).collect();
    eventually("the group is gone", || {
        !points.iter().any(|point| std::path::Path::new(&format!("{point}{own}")).exists())
    });
    assert_eq!(wrapper.stop(), 143);
}
