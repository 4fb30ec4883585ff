//! Reloads: a refused configuration, a burst of requests, and requests at a bad time.

mod support;

use nix::sys::signal::Signal;
use support::event::{short, wait_for_event};
use support::{Place, http, puppet};

/// D39 as well: after nginx refused a configuration the next reload is a reload again, and TERM is
/// heard.
#[test]
fn w41_a_refused_configuration() {
    let place = Place::new();
    let port = place.nginx(1, "return 200 old;", "");
    let mut wrapper = place.run();
    wait_for_event(&wrapper, "start-worker", 1);
    place.nginx_conf(port, 1, "/dev/stdout info", "evnts;", "return 200 bad;");
    wrapper.signal(Signal::SIGHUP);
    let line = wrapper.wait_for("reload failed");
    assert!(line.contains("level=error") && line.contains("unknown directive"), "{line}");
    assert!(http::get(port, "/").ends_with("old"));
    place.nginx_conf(port, 1, "/dev/stdout info", "", "return 200 new;");
    wrapper.signal(Signal::SIGHUP);
    wait_for_event(&wrapper, "exit-worker", 1);
    assert!(http::get(port, "/").ends_with("new"));
    assert_eq!(wrapper.stop(), 0);
    assert_eq!(
        short(&wrapper),
        [
            "pre-start",
            "start",
            "start-worker 1",
            "pre-reload",
            "pre-reload",
            "reload",
            "start-worker 2",
            "exit-worker 1",
            "exit-worker 0",
            "exit"
        ]
    );
}

#[test]
fn w43_a_reload_before_the_main_process_is_started() {
    let place = Place::new();
    place.config(&format!(
        "[coprocess.hold]\nname = \"hold\"\nexec = [\"{}\", \"until\", \"{}\"]\n\
         restarts = \"never\"\nexec_event = \"pre-start\"\n",
        puppet(),
        place.at("go")
    ));
    let mut wrapper = place.run();
    wrapper.wait_for("hold: waiting");
    wrapper.signal(Signal::SIGHUP);
    let line = wrapper.wait_for("reload ignored");
    assert!(line.contains("level=info") && line.contains("not been started"), "{line}");
    place.write("go", "");
    wrapper.wait_for(": up\"");
    assert_eq!(wrapper.stop(), 0);
    assert_eq!(wrapper.count("reconfiguring"), 0);
    assert_eq!(short(&wrapper), ["pre-start", "exit"]);
}

#[test]
fn w53_a_burst_of_reloads() {
    let place = Place::new();
    place.config("");
    let mut wrapper = place.run_with(&[], &[("F_EV", "1")]);
    wrapper.wait_for(": up\"");
    wait_for_event(&wrapper, "start-worker", 1);
    for _ in 0..10 {
        wrapper.signal(Signal::SIGHUP);
    }
    wait_for_event(&wrapper, "reload", 1);
    assert_eq!(place.coproc(&["status"]).status.code(), Some(0));
    assert_eq!(wrapper.stop(), 0);
    let reloads = wrapper.phases().iter().filter(|name| *name == "reload").count();
    assert!((1..=10).contains(&reloads), "{}", wrapper.dump());
}

/// D31 and D39: whatever overlaps, every worker is counted once in and once out.
#[test]
fn w53_a_burst_of_reloads_of_nginx() {
    let place = Place::new();
    let port = place.nginx(2, "return 200 whole;", "");
    let mut wrapper = place.run();
    wait_for_event(&wrapper, "start-worker", 2);
    for n in 1..=10 {
        wrapper.signal(Signal::SIGHUP);
        // Two bursts: the second meets workers that are on their way out.
        if n == 5 {
            wait_for_event(&wrapper, "reload", 1);
        }
    }
    wait_for_event(&wrapper, "reload", 2);
    assert!(http::get(port, "/").ends_with("whole"));
    assert_eq!(wrapper.stop(), 0);
    let all = short(&wrapper);
    let of = |kind: &str| all.iter().filter(|event| event.starts_with(kind)).count();
    assert_eq!(of("start-worker"), of("exit-worker"), "{all:#?}");
    assert_eq!(all[all.len() - 2..], ["exit-worker 0", "exit"]);
}

/// D39: a main process that never answers a HUP keeps nobody from ending it.
#[test]
fn w53_a_burst_of_reloads_that_are_refused() {
    let place = Place::new();
    place.config("");
    let mut wrapper = place.run_with(&[], &[("F_EV", "1"), ("F_REFUSE", "1")]);
    wrapper.wait_for(": up\"");
    wait_for_event(&wrapper, "start-worker", 1);
    for _ in 0..10 {
        wrapper.signal(Signal::SIGHUP);
    }
    wrapper.wait_for("reconfiguring");
    assert_eq!(place.coproc(&["status"]).status.code(), Some(0));
    assert_eq!(wrapper.stop(), 0);
    assert_eq!(
        short(&wrapper),
        ["pre-start", "start", "start-worker 1", "pre-reload", "exit"],
        "{}",
        wrapper.dump()
    );
}

/// D39: without an answer a reload counts as refused, and the next one is tried.
#[test]
fn d39_a_reload_without_an_answer_ends_in_time() {
    let place = Place::new();
    place.config("[main]\nreload_timeout = \"50ms\"\n");
    let mut wrapper = place.run_with(&[], &[("F_EV", "1"), ("F_REFUSE", "1")]);
    wrapper.wait_for(": up\"");
    for n in 1..=2 {
        wrapper.signal(Signal::SIGHUP);
        let why = format!("reload {}: there were no new workers within 0.05 s", n + 1);
        wrapper.wait_for(&format!("reload failed, the old configuration stays: {why}"));
    }
    assert_eq!(wrapper.count("reconfiguring"), 2);
    assert_eq!(wrapper.stop(), 0);
}

/// D38: a foreground coprocess that cannot be started at a reload is an error and no more.
#[test]
fn d38_a_failure_at_pre_reload_and_reload() {
    let place = Place::new();
    let coprocess = |name: &str, event: &str| {
        format!(
            "[coprocess.{name}]\nname = \"{name}\"\nexec = \"/no/such\"\nrestarts = \"never\"\n\
             exec_event = \"{event}\"\n"
        )
    };
    place.config(&[coprocess("a", "pre-reload"), coprocess("b", "reload")].concat());
    let mut wrapper = place.run_with(&[], &[("F_EV", "1")]);
    wrapper.wait_for(": up\"");
    wait_for_event(&wrapper, "start-worker", 1);
    for n in 1..=2 {
        wrapper.signal(Signal::SIGHUP);
        wait_for_event(&wrapper, "start-worker", 1 + n);
        wrapper.wait_for_nth("level=error msg=\"a: ", n);
        wrapper.wait_for_nth("level=error msg=\"b: ", n);
    }
    assert_eq!(place.coproc(&["status"]).status.code(), Some(0));
    assert_eq!(wrapper.stop(), 0);
    assert_eq!(wrapper.stderr(), "");
}

/// `coproc reload`: exit status and what it says.
fn reload(place: &Place) -> (Option<i32>, String) {
    let output = place.coproc(&["reload"]);
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

/// The check answers before anybody is told: no signal, and the words are nginx's own.
#[test]
fn w41_nginx_checks_before_it_is_signalled() {
    let place = Place::new();
    let port = place.nginx(1, "return 200 old;", "");
    let mut wrapper = place.run();
    wait_for_event(&wrapper, "start-worker", 1);
    place.nginx_conf(port, 1, "/dev/stdout info", "evnts;", "return 200 bad;");
    let (code, stderr) = reload(&place);
    assert_eq!(code, Some(1), "{stderr}");
    let word = format!(": unknown directive \"evnts\" in {}", place.at("run/conf"));
    assert!(stderr.contains(&word) && stderr.contains("test failed"), "{stderr}");
    assert_eq!(stderr.matches("unknown directive").count(), 1, "{stderr}");
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    let line = wrapper.wait_for("reload failed, the old configuration stays");
    assert!(line.contains("level=error") && line.contains("unknown directive"), "{line}");
    assert!(http::get(port, "/").ends_with("old"));
    assert_eq!(wrapper.count("reconfiguring"), 0, "{}", wrapper.dump());
    place.nginx_conf(port, 1, "/dev/stdout info", "", "return 200 new;");
    assert_eq!(reload(&place), (Some(0), String::new()));
    wait_for_event(&wrapper, "exit-worker", 1);
    assert!(http::get(port, "/").ends_with("new"));
    assert_eq!(wrapper.stop(), 0);
}

/// What `nginx -t` cannot know is refused by nginx itself, as its log says.
#[test]
fn w41_a_configuration_that_passes_the_check_and_is_refused_all_the_same() {
    let place = Place::new();
    let port = place.nginx(1, "return 200 old;", "");
    let mut wrapper = place.run();
    wait_for_event(&wrapper, "start-worker", 1);
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let also = format!("listen {}; return 200 new;", taken.local_addr().unwrap());
    place.nginx_conf(port, 1, "/dev/stdout info", "", &also);
    let (code, stderr) = reload(&place);
    assert!(code == Some(1) && stderr.contains("bind() to"), "{code:?} {stderr}");
    wrapper.wait_for("test is successful");
    wrapper.wait_for("reconfiguring");
    assert!(http::get(port, "/").ends_with("old"));
    assert_eq!(wrapper.stop(), 0);
}

/// The stand-in for nginx, with a check of its own.
fn checked(place: &Place, check: &str, main: &str) -> support::Wrapper {
    place.config(&format!("[main]\ncheck = {check}\n{main}\n"));
    let wrapper = place.run_with(&[], &[("F_EV", "1")]);
    wait_for_event(&wrapper, "start-worker", 1);
    wrapper
}

#[test]
fn a_check_is_run_as_the_main_process_is() {
    let place = Place::new();
    let check = "[\"sh\", \"-c\", \"pwd; echo $WORD $0 >&2; exit 3\", \"${host_id}\"]";
    let main = format!("cwd = {:?}\nenv = {{ WORD = \"said\" }}", place.at("run"));
    place.config(&format!(
        "[main]\nexec = [{:?}]\ncheck = {check}\n{main}\n[coprocess.a]\nname = \"a\"\n\
         exec = \"echo before\"\nrestarts = \"never\"\nexec_event = \"pre-reload\"\n",
        puppet()
    ));
    let mut wrapper = place.run_with(&["--set", "host_id=seven"], &[("F_EV", "1")]);
    wait_for_event(&wrapper, "start-worker", 1);
    let (code, stderr) = reload(&place);
    assert_eq!(code, Some(1), "{stderr}");
    assert!(stderr.contains("ended with exit status 3: "), "{stderr}");
    assert!(stderr.contains(&place.at("run")) && stderr.contains("said seven"), "{stderr}");
    assert!(wrapper.position("a: before") < wrapper.position("check-nginx: said seven"));
    assert_eq!(wrapper.count("reconfiguring"), 0);
    assert_eq!(wrapper.stop(), 0);
}

#[test]
fn a_main_process_that_is_no_nginx_has_the_check_that_it_is_given() {
    let place = Place::new();
    let file = place.at("bad");
    place.write("bad", "");
    let main =
        "[\"sh\", \"-c\", \"trap 'echo took it' HUP; echo set; while :; do sleep 0.02; done\"]";
    place.config(&format!(
        "[main]\nexec = {main}\ncheck = [\"sh\", \"-c\", \"! test -e {file} || exit 1\"]\n"
    ));
    let mut wrapper = place.run();
    wrapper.wait_for("main: set");
    let (code, stderr) = reload(&place);
    assert!(code == Some(1) && stderr.contains("ended with exit status 1; still"), "{stderr}");
    std::fs::remove_file(file).unwrap();
    assert_eq!(reload(&place), (Some(0), String::new()));
    wrapper.wait_for("main: took it");
    assert_eq!(wrapper.count("main: took it"), 1);
    wrapper.stop();
}

#[test]
fn a_check_that_does_not_end_is_killed_and_refuses() {
    let place = Place::new();
    let pid = place.at("pid");
    let check = format!("[\"sh\", \"-c\", \"echo $$ >{pid}; echo stuck; sleep 1000\"]");
    let mut wrapper = checked(&place, &check, "check_timeout = \"200ms\"");
    let (code, stderr) = reload(&place);
    assert_eq!(code, Some(1), "{stderr}");
    assert!(stderr.contains("did not end within 200ms and was killed: stuck"), "{stderr}");
    let pid = place.read("pid").trim().parse().unwrap();
    assert!(!support::alive(pid));
    assert_eq!(wrapper.count("reconfiguring"), 0);
    assert_eq!(wrapper.stop(), 0);
}

#[test]
fn a_check_that_is_not_there_refuses() {
    let place = Place::new();
    let mut wrapper = checked(&place, "\"/no/such -t\"", "");
    let (code, stderr) = reload(&place);
    assert!(code == Some(1) && stderr.contains("`/no/such` cannot be started"), "{stderr}");
    assert_eq!(wrapper.count("reconfiguring"), 0);
    assert_eq!(wrapper.stop(), 0);
}

#[test]
fn without_a_check_the_signal_is_sent_at_once() {
    let place = Place::new();
    let mut wrapper = checked(&place, "\"none\"", "");
    assert_eq!(reload(&place), (Some(0), String::new()));
    wrapper.wait_for("reconfiguring");
    assert_eq!(wrapper.count("check-nginx"), 0);
    assert_eq!(wrapper.stop(), 0);
}

/// A check that waits for a file, and says its pid.
fn waiting_check(place: &Place) -> String {
    let (pid, go) = (place.at("pid"), place.at("go"));
    format!(
        "[\"sh\", \"-c\", \"echo $$ >>{pid}; echo asked; until test -e {go}; do sleep 0.02; done\"]"
    )
}

#[test]
fn term_while_the_check_goes_on_ends_it() {
    let place = Place::new();
    let mut wrapper = checked(&place, &waiting_check(&place), "");
    let mut client = support::Wrapper::start(place.command(&["reload"]));
    wrapper.wait_for("check-nginx: asked");
    let pid = place.read("pid").trim().parse().unwrap();
    assert!(support::alive(pid));
    assert_eq!(wrapper.stop(), 0);
    assert!(!support::alive(pid));
    assert_eq!(client.wait(), 1);
    assert!(client.stderr().contains("the main process is stopping"), "{}", client.dump());
    assert_eq!(wrapper.count("reconfiguring"), 0);
}

/// Those who ask while the check goes on have changed something that it may have missed.
#[test]
fn reloads_that_are_asked_for_while_the_check_goes_on_are_another_reload() {
    let place = Place::new();
    let mut wrapper = checked(&place, &waiting_check(&place), "");
    let ask = || support::Wrapper::start(place.command(&["reload"]));
    let mut clients = vec![ask()];
    wrapper.wait_for("check-nginx: asked");
    clients.extend([ask(), ask()]);
    wrapper.wait_for_nth("pm: a reload was asked for on the control socket", 3);
    place.write("go", "");
    for client in &mut clients {
        assert_eq!(client.wait(), 0, "{}", client.dump());
    }
    assert_eq!(wrapper.stop(), 0);
    // By now every line has been read.
    assert_eq!(wrapper.count("check-nginx: asked"), 2, "{}", wrapper.dump());
    assert_eq!(wrapper.count("reconfiguring"), 2, "{}", wrapper.dump());
}

/// nginx that logs elsewhere can be waited for in vain, so it is said after a while.
#[test]
fn an_nginx_that_is_not_heard_is_warned_of() {
    let place = Place::new();
    let port = place.nginx(1, "return 200 here;", "");
    place.nginx_conf(port, 1, &place.at("error.log"), "", "return 200 here;");
    let mut wrapper = place.run();
    let line = wrapper.wait_for("nginx has announced no workers");
    assert!(line.contains("level=warning") && line.contains("error_log stderr notice;"), "{line}");
    assert!(http::get(port, "/").ends_with("here"));
    assert_eq!(wrapper.stop(), 0);
}

/// The number of what the main process serves with.
fn generation(place: &Place) -> u64 {
    let output = place.coproc(&["status", "--format", "json"]);
    let status: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    status["main"]["generation"].as_u64().unwrap()
}

#[test]
fn reloads_have_numbers_and_what_is_served_has_that_of_the_last_that_was_taken() {
    let place = Place::new();
    let port = place.nginx(1, "return 200 old;", "");
    let wrapper = place.run();
    wait_for_event(&wrapper, "start-worker", 1);
    assert_eq!(generation(&place), 1);
    assert_eq!(reload(&place), (Some(0), String::new()));
    assert_eq!(generation(&place), 2);
    place.nginx_conf(port, 1, "/dev/stdout info", "evnts;", "return 200 bad;");
    let (code, stderr) = reload(&place);
    assert_eq!(code, Some(1));
    assert!(stderr.starts_with("error: reload 3: rejected by check: `"), "{stderr}");
    assert!(stderr.ends_with("; still serving generation 2\n"), "{stderr}");
    place.nginx_conf(port, 1, "/dev/stdout info", "", "return 200 new;");
    assert_eq!(reload(&place), (Some(0), String::new()));
    assert_eq!(generation(&place), 4);
    wrapper.stop_and(|wrapper| {
        let events = wrapper.lines();
        let of = |event: &str, fact: &str| {
            events.iter().any(|line| line.contains(event) && line.contains(fact))
        };
        assert!(of("event: [pre-reload] ", "reload:3"), "{}", wrapper.dump());
        assert!(of("event: [reload] ", "generation:4"), "{}", wrapper.dump());
    });
}

fn is_open(port: u16) -> bool {
    std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()
}

/// Its log goes elsewhere, so that only the table of processes tells of its workers.
#[test]
fn new_workers_are_seen_where_the_log_is_not_heard() {
    let place = Place::new();
    let port = place.nginx(2, "return 200 old;", "[main]\nreload_timeout = \"2s\"\n");
    let log = place.at("error.log");
    place.nginx_conf(port, 2, &log, "", "return 200 old;");
    let mut wrapper = place.run();
    support::eventually("it serves", || is_open(port) && http::get(port, "/").ends_with("old"));
    place.nginx_conf(port, 2, &log, "", "return 200 new;");
    assert_eq!(reload(&place), (Some(0), String::new()));
    assert!(http::get(port, "/").ends_with("new"));
    wrapper.wait_for("event: [reload]");
    // What no dry run finds, and nobody hears.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let also = format!("listen {}; return 200 newer;", taken.local_addr().unwrap());
    place.nginx_conf(port, 2, &log, "", &also);
    let (code, stderr) = reload(&place);
    assert_eq!(code, Some(1));
    let why = "error: reload 3: there were no new workers within 2 s; still serving generation 2\n";
    assert_eq!(stderr, why);
    assert!(http::get(port, "/").ends_with("new"));
    assert_eq!(wrapper.stop(), 0);
}

/// A file that is replaced, as editors do it, and the folder of a ConfigMap.
#[test]
fn a_watched_file_that_changes_is_a_reload() {
    let place = Place::new();
    let (conf, map) = (place.at("run/conf/nginx.conf"), place.at("map"));
    let watch = format!("[main]\nwatch = [{conf:?}, \"{map}\"]\nwatch_delay = \"100ms\"\n");
    let port = place.nginx(1, "return 200 old;", &watch);
    let version = |name: &str| {
        std::fs::create_dir_all(place.path().join("map").join(name)).unwrap();
        place.write(&format!("map/{name}/words"), name);
        std::os::unix::fs::symlink(name, place.path().join("map/..data_tmp")).unwrap();
        let [from, to] = ["..data_tmp", "..data"].map(|name| place.path().join("map").join(name));
        std::fs::rename(from, to).unwrap();
    };
    version("..1");
    std::os::unix::fs::symlink("..data/words", place.path().join("map/words")).unwrap();
    let mut wrapper = place.run();
    wait_for_event(&wrapper, "start-worker", 1);
    let new = place.read("run/conf/nginx.conf").replace("200 old", "200 new");
    place.write("run/conf/.nginx.conf.new", &new);
    std::fs::rename(place.path().join("run/conf/.nginx.conf.new"), &conf).unwrap();
    let line = wrapper.wait_for(" changed");
    assert!(line.contains(&format!("pm: `{conf}` changed")), "{line}");
    // The old worker may have taken connections until then.
    wait_for_event(&wrapper, "exit-worker", 1);
    assert!(http::get(port, "/").ends_with("new"));
    version("..2");
    wrapper.wait_for(&format!("pm: `{map}` changed"));
    wait_for_event(&wrapper, "reload", 2);
    assert_eq!(wrapper.count(" changed\""), 2, "{}", wrapper.dump());
    // What it refuses is refused here as well, and the next change is one again.
    place.write("run/conf/nginx.conf", "nonsense");
    wrapper.wait_for("reload 4: rejected by check: ");
    place.write("run/conf/nginx.conf", &new);
    wait_for_event(&wrapper, "reload", 3);
    assert_eq!(wrapper.stop(), 0);
}

/// Rendered files go back where nobody said that they were taken.
#[test]
fn without_new_workers_what_was_rendered_is_put_back() {
    let place = Place::new();
    let text = "[main]\nreload_timeout = \"100ms\"\ncheck = \"none\"\n[template]\n\
                conf_template_path = \"in.tmpl\"\n";
    place.write("in.tmpl", "old\n");
    place.config(text);
    let mut wrapper = place.run_with(&[], &[("F_EV", "1"), ("F_REFUSE", "1")]);
    wrapper.wait_for(": up\"");
    assert_eq!(place.read("run/conf/nginx.conf"), "old\n");
    place.write("in.tmpl", "new\n");
    let (code, stderr) = reload(&place);
    assert_eq!(code, Some(1));
    assert!(stderr.contains("there were no new workers within 0.1 s"), "{stderr}");
    support::eventually("it is put back", || place.read("run/conf/nginx.conf") == "old\n");
    assert_eq!(wrapper.stop(), 0);
}
