//! The log: the shape, level and place of every line, and that no line is lost or cut.

mod support;

use std::os::unix::fs::PermissionsExt;

use nix::sys::signal::Signal;
use support::{Place, Wrapper, http};

/// A wrapper around the puppet, which has written these bytes to stdout, or else to stderr.
fn printing(place: &Place, bytes: impl AsRef<[u8]>, variable: &str) -> Wrapper {
    place.config("");
    std::fs::write(place.path().join("bytes"), bytes).unwrap();
    let wrapper = place.run_with(&[], &[(variable, &place.at("bytes"))]);
    wrapper.wait_for(": up\"");
    wrapper
}

/// The lines of the main process, without the puppet's own; each its level and its text.
fn of_main(wrapper: &Wrapper) -> Vec<(String, String)> {
    let text = |line: &str| {
        let (head, text) = line.split_once(" msg=\"nginx: ")?;
        let level = head.split_once("level=")?.1;
        Some((level.to_owned(), text.strip_suffix('"')?.to_owned()))
    };
    let own = |text: &str| text.ends_with(": up") || text.ends_with(": exit");
    wrapper.lines().iter().filter_map(|line| text(line)).filter(|(_, text)| !own(text)).collect()
}

#[test]
fn w17_the_level_of_the_old_variable_counts_while_running() {
    for (variables, said) in [(&[][..], false), (&[("NW_LOG.LEVEL", "debug")][..], true)] {
        let place = Place::new();
        place.write("coproc.toml", &place.preamble().replace("DEBUG", "INFO"));
        let mut wrapper = place.run_with(&[], variables);
        wrapper.wait_for(": up\"");
        assert_eq!(wrapper.stop(), 0, "{}", wrapper.dump());
        assert_eq!(wrapper.count("level=debug") > 0, said, "{}", wrapper.dump());
    }
}

#[test]
fn w24_every_line_on_a_pipe_has_the_text_form() {
    let place = Place::new();
    place.config(
        "[coprocess.a]\nname = \"a\"\nexec = [\"echo\", 'two \"words\"']\nrestarts = \"never\"\n\
         exec_event = \"pre-start\"\n",
    );
    let mut wrapper = place.run();
    wrapper.wait_for(": up\"");
    assert_eq!(wrapper.stop(), 0);
    wrapper.wait_for(r#"level=info msg="a: two \"words\"""#);
    for line in wrapper.lines() {
        let fits = || {
            let (time, rest) = line.strip_prefix("time=\"")?.split_once("\" level=")?;
            let (level, _) = rest.split_once(" msg=")?;
            let whole = level.bytes().all(|byte| byte.is_ascii_lowercase());
            (!time.is_empty() && !time.contains('"') && whole && !level.is_empty()).then_some(())
        };
        assert!(fits().is_some(), "{line}");
    }
}

/// D34 as well: a line of JSON names its logger.
#[test]
fn w25_every_line_is_an_object_with_its_logger() {
    let place = Place::new();
    place.config(
        "formatter_name = \"JSONFormatter\"\n[coprocess.a]\nname = \"a\"\nexec = [\"sh\", \"-c\", \"echo oops >&2\"]\n\
         restarts = \"never\"\nexec_event = \"pre-start\"\n",
    );
    let mut wrapper = place.run();
    wrapper.wait_for(": up\"");
    assert_eq!(wrapper.stop(), 0);
    let lines: Vec<serde_json::Value> = wrapper
        .lines()
        .iter()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect();
    for line in &lines {
        for key in ["level", "msg", "time", "logger"] {
            assert!(line[key].is_string(), "{key}: {line}");
        }
    }
    let of = |logger: &str, msg: &str| {
        let found = lines
            .iter()
            .find(|line| line["logger"] == logger && line["msg"].as_str().unwrap().contains(msg));
        found.unwrap_or_else(|| panic!("no `{msg}` of {logger}\n{}", wrapper.dump()))
    };
    assert!(lines.iter().any(|line| {
        line["logger"] == "a" && line["msg"] == "oops" && line["stream"] == "stderr"
    }));
    assert_eq!(of("nginx", ": up")["stream"], "stdout");
    assert_eq!(of("event", "[exit]")["level"], "debug");
}

#[test]
fn w26_a_file_is_appended_to() {
    let place = Place::new();
    place.config(&format!("destination = \"{}\"\n", place.at("all.log")));
    for times in 1..=2 {
        let mut wrapper = place.run();
        support::eventually("the puppet is up", || {
            place.read("all.log").matches(": up\"").count() == times
        });
        assert_eq!(wrapper.stop(), 0);
        assert_eq!(wrapper.lines(), [""; 0]);
        assert_eq!(place.read("all.log").matches("event: [exit]").count(), times);
    }
    let mode = std::fs::metadata(place.at("all.log")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o640);
}

/// D30 as well: the eight words of nginx are eight levels of ours, and a head in an odd form is
/// part of the line.
#[test]
fn w27_the_level_of_every_line_of_nginx() {
    let place = Place::new();
    let words = [
        ("debug", "debug"),
        ("info", "info"),
        ("notice", "info"),
        ("warn", "warning"),
        ("error", "error"),
        ("crit", "error"),
        ("alert", "error"),
        ("emerg", "error"),
    ];
    let mut text = String::from("[error] without a time\n");
    let mut expected = vec![("info".to_owned(), "[error] without a time".to_owned())];
    for (word, level) in words {
        text.push_str(&format!("2026/01/01 00:00:00 [{word}] 7#7: of {word}\n"));
        expected.push((level.into(), format!("7#7: of {word}")));
        text.push_str(&format!("nginx: [{word}] early {word}\n"));
        expected.push((level.into(), format!("early {word}")));
    }
    let mut wrapper = printing(&place, text, "F_PRINT");
    assert_eq!(of_main(&wrapper), expected, "{}", wrapper.dump());
    assert_eq!(wrapper.stop(), 0);
}

/// D27 as well, here with a program that prints such lines itself.
#[test]
fn w28_brackets_in_the_wrong_order() {
    let place = Place::new();
    let mut wrapper = printing(&place, "p]q[r\nx ] y\n][\n]\n[\n", "F_PRINT");
    let texts: Vec<_> = of_main(&wrapper).into_iter().map(|(_, text)| text).collect();
    assert_eq!(texts, ["p]q[r", "x ] y", "][", "]", "["]);
    assert_eq!(wrapper.stop(), 0);
}

/// D27 as well, here with lines that a visitor shapes.
#[test]
fn w29_a_request_with_brackets_in_the_wrong_order() {
    let place = Place::new();
    let port = place.nginx(1, "access_log /dev/stdout; return 200 whole;", "");
    let mut wrapper = place.run();
    wrapper.wait_for("event: [start-worker]");
    let answer = http::get(port, "/p]q[r");
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("whole"), "{answer}");
    wrapper.wait_for("GET /p]q[r HTTP/1.1");
    assert!(http::get(port, "/").ends_with("whole"));
    assert_eq!(wrapper.stop(), 0);
}

/// D28 as well: nothing before the first bracket is cut off.
#[test]
fn w30_a_line_of_the_access_log_is_whole() {
    let place = Place::new();
    let port = place.nginx(1, "access_log /dev/stdout combined; return 200 whole;", "");
    let mut wrapper = place.run();
    wrapper.wait_for("event: [start-worker]");
    http::get(port, "/");
    let line = wrapper.wait_for("GET / HTTP/1.1");
    assert!(line.contains("level=info msg=\"nginx: 127.0.0.1 - - ["), "{line}");
    assert_eq!(wrapper.stop(), 0);
}

/// D03 as well: nothing is too long to be read on.
#[test]
fn w31_a_line_of_a_mebibyte() {
    const LENGTH: usize = 1 << 20;
    let place = Place::new();
    let mut wrapper =
        printing(&place, ["x".repeat(LENGTH).as_str(), "\nafter\n"].concat(), "F_PRINT");
    let lines = wrapper.lines();
    let logged: usize = lines
        .iter()
        .filter_map(|line| line.split_once(" msg=\"nginx: x")?.1.split_once('"'))
        .map(|(text, _)| 1 + text.len())
        .sum();
    assert_eq!(logged, LENGTH);
    assert_eq!(of_main(&wrapper).last().unwrap().1, "after");
    assert_eq!(wrapper.stop(), 0);
}

/// D02 as well: stderr is not kept waiting for the end of stdout.
#[test]
fn w32_a_mebibyte_on_stderr_alone() {
    const LINES: usize = 16 * 1024;
    let place = Place::new();
    let text: String = (0..LINES).map(|n| format!("{n:063}\n")).collect();
    let mut wrapper = printing(&place, text, "F_PRINT_ERR");
    // It is up, so it lives, and all of it can be read by now.
    wrapper.wait_for(&format!("{:063}", LINES - 1));
    let texts: Vec<_> = of_main(&wrapper).into_iter().map(|(_, text)| text).collect();
    assert_eq!(texts.len(), LINES);
    assert!((0..LINES).all(|n| texts[n] == format!("{n:063}")));
    assert_eq!(wrapper.count("event: [exit]"), 0);
    assert_eq!(wrapper.stop(), 0);
}

#[test]
fn w102_a_plugin_that_nobody_knows() {
    let place = Place::new();
    let plugins = "enabled_plugins = [\"template\", \"example\"]\n";
    place.write("coproc.toml", &format!("{plugins}{}", place.preamble()));
    place.write("nginx.conf.tmpl", "");
    let mut wrapper = place.run();
    wrapper.wait_for(": up\"");
    assert_eq!(wrapper.stop(), 0);
    assert_eq!(wrapper.count("level=warning"), 1, "{}", wrapper.dump());
    wrapper
        .wait_for("level=warning msg=\"config: enabled_plugins: coproc has no plugin `example`\"");
    assert_eq!(wrapper.count("level=error"), 0, "{}", wrapper.dump());
}

/// D41: USR1 is no end; it opens our own log anew, and nginx's.
#[test]
fn d41_usr1_opens_the_logs_anew() {
    let place = Place::new();
    let server = format!("access_log {}; return 200 ok;", place.at("access.log"));
    let port = place.nginx(1, &server, &format!("destination = \"{}\"\n", place.at("all.log")));
    let mut wrapper = place.run();
    support::eventually("a worker", || place.read("all.log").contains("event: [start-worker]"));
    http::get(port, "/before");
    support::eventually("the first request", || place.read("access.log").contains("/before"));
    for name in ["all.log", "access.log"] {
        std::fs::rename(place.at(name), place.at(&format!("{name}.1"))).unwrap();
    }
    wrapper.signal(Signal::SIGUSR1);
    support::eventually("new files", || {
        ["all.log", "access.log"].iter().all(|name| place.path().join(name).exists())
    });
    // The workers hear of it after the master.
    support::eventually("a request in the new file", || {
        http::get(port, "/after");
        place.read("access.log").contains("/after")
    });
    assert_eq!(wrapper.stop(), 0);
    assert!(place.read("all.log").contains("event: [exit]"));
    assert!(!place.read("all.log.1").contains("event: [exit]"));
}

/// D41: to a program of another kind USR1 may be deadly, so it never gets it.
#[test]
fn d41_usr1_is_for_nginx_alone() {
    let place = Place::new();
    let log = place.at("all.log");
    place.config(&format!("destination = \"{log}\"\n[main]\nexec = [\"sleep\", \"1000\"]\n"));
    let mut wrapper = place.run();
    support::eventually("a start", || place.read("all.log").contains("event: [start]"));
    std::fs::rename(&log, place.at("all.log.1")).unwrap();
    wrapper.signal(Signal::SIGUSR1);
    support::eventually("a new file", || place.path().join("all.log").exists());
    // TERM ended it, not USR1.
    assert_eq!(wrapper.stop(), 143);
}

/// D41: a WINCH that somebody sends is nginx's business.
#[test]
fn d41_winch_is_passed_on() {
    let place = Place::new();
    let port = place.nginx(1, "return 200 whole;", "");
    let mut wrapper = place.run();
    wrapper.wait_for("event: [start-worker]");
    wrapper.signal(Signal::SIGWINCH);
    wrapper.wait_for("(SIGWINCH) received");
    assert!(http::get(port, "/").ends_with("whole"));
    assert_eq!(wrapper.stop(), 0);
}
