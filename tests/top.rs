//! `coproc top` in a real terminal, which is tmux's.
#![cfg(feature = "top")]

mod support;

use std::process::{Command, Output};

use serde_json::Value;
use support::{Place, Wrapper, alive, coproc, coprocess, eventually, skipped};

/// A terminal with a shell that runs `coproc top` and says what came of it.
struct Screen {
    socket: String,
}

impl Screen {
    /// A screen of this size; none where there is no tmux.
    fn open(place: &Place, (width, height): (u16, u16), variables: &str) -> Option<Self> {
        if !std::path::Path::new("/usr/bin/tmux").exists() {
            skipped("there is no tmux");
            return None;
        }
        let screen = Self { socket: place.at("tmux.sock") };
        let top = format!(
            "{variables} {} top --socket run/control.sock --interval 200ms; \
             echo left with $?; stty -a; exec sleep 1000",
            coproc()
        );
        let folder = place.path().display().to_string();
        let (width, height) = (width.to_string(), height.to_string());
        screen.tmux(&[
            "-f",
            "/dev/null",
            "new-session",
            "-d",
            "-x",
            &width,
            "-y",
            &height,
            "-c",
            &folder,
            "sh",
            "-c",
            &top,
        ]);
        Some(screen)
    }

    #[allow(clippy::disallowed_methods)]
    fn tmux(&self, words: &[&str]) -> Output {
        let mut command = Command::new("/usr/bin/tmux");
        command.arg("-S").arg(&self.socket).args(words).env("LC_ALL", "C.UTF-8").env_remove("TMUX");
        command.output().unwrap()
    }

    fn text(&self) -> String {
        String::from_utf8(self.tmux(&["capture-pane", "-p"]).stdout).unwrap()
    }

    #[track_caller]
    fn shows(&self, what: &str) {
        let mut text = String::new();
        let holds = |text: &mut String| {
            *text = self.text();
            text.contains(what)
        };
        let deadline = std::time::Instant::now() + support::PATIENCE;
        while !holds(&mut text) {
            assert!(std::time::Instant::now() < deadline, "no `{what}` on\n{text}");
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }

    fn press(&self, key: &str) {
        self.tmux(&["send-keys", key]);
    }

    /// The terminal is as it was, and the program has left with this status.
    #[track_caller]
    fn is_back(&self, status: &str) {
        self.shows(&format!("left with {status}"));
        self.shows("icanon");
        let text = self.text();
        let words: Vec<_> = text.split_whitespace().collect();
        assert!(words.contains(&"icanon") && words.contains(&"echo"), "{text}");
        assert!(!text.contains("coproc top"), "{text}");
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.tmux(&["kill-server"]);
    }
}

/// A wrapper whose main process serves.
fn up(place: &Place) -> Wrapper {
    let talks = "[\"sh\", \"-c\", \"echo hello from the agent; exec sleep 1000\"]";
    place.serving(
        &[
            coprocess("agent", talks, "background = true"),
            coprocess("flaky", "[\"sh\", \"-c\", \"echo oh no; exit 3\"]", ""),
        ]
        .concat(),
    )
}

fn agent(place: &Place) -> Value {
    let status = place.coproc(&["status", "--format", "json"]);
    let status: Value = serde_json::from_slice(&status.stdout).unwrap();
    status["coprocesses"][0].clone()
}

#[test]
fn a_wrapper_on_the_whole_screen() {
    let place = Place::new();
    let mut wrapper = up(&place);
    let Some(screen) = Screen::open(&place, (110, 30), "") else { return };
    for text in
        ["run/control.sock  up", "agent", "running", "flaky", "failed", "hello from the agent"]
    {
        screen.shows(text);
    }
    screen.shows("coprocess.flaky.failed");
    let first = agent(&place)["pid"].as_i64().unwrap();
    screen.shows(&first.to_string());

    // An order is asked for twice, and told of.
    screen.press("j");
    screen.press("r");
    screen.shows("restart agent? y: yes");
    screen.press("n");
    screen.shows("? help");
    assert!(alive(first as i32));
    screen.press("r");
    screen.press("y");
    screen.shows("agent: restart: done");
    let second = agent(&place)["pid"].as_i64().unwrap();
    assert_ne!(first, second);
    screen.shows(&second.to_string());

    // The log of one, and a search in that of all.
    screen.press("l");
    screen.shows("log of agent");
    screen.press("l");
    screen.press("/");
    for key in ["o", "h", "Space", "n", "o"] {
        screen.press(key);
    }
    screen.press("Enter");
    screen.shows("log /oh no");
    eventually("other lines are not shown", || !screen.text().contains("hello from the agent"));
    screen.press("Escape");
    screen.shows("hello from the agent");

    screen.press("?");
    screen.shows("r and s ask before");
    screen.press("x");
    // Another size is another picture.
    screen.tmux(&["resize-window", "-x", "60", "-y", "12"]);
    eventually("there is no room for events", || !screen.text().contains(" events "));
    screen.shows("agent");
    screen.tmux(&["resize-window", "-x", "110", "-y", "30"]);
    screen.shows(" events ");
    screen.press("q");
    screen.is_back("0");
    assert_eq!(wrapper.stop(), 0);
}

#[test]
fn a_wrapper_that_goes_and_comes_again() {
    let place = Place::new();
    let mut wrapper = up(&place);
    let Some(screen) = Screen::open(&place, (100, 24), "NO_COLOR=1") else { return };
    screen.shows("run/control.sock  up");
    assert_eq!(wrapper.stop(), 0);
    screen.shows("lost, trying again: no wrapper answers at");
    let mut wrapper = up(&place);
    screen.shows("run/control.sock  up");
    screen.shows("(another run of the wrapper)");
    let colours = String::from_utf8(screen.tmux(&["capture-pane", "-e", "-p"]).stdout).unwrap();
    let coloured = (31..=37).any(|code| colours.contains(&format!("\u{1b}[{code}m")));
    assert!(colours.contains("\u{1b}[1m") && !coloured, "{colours:?}");
    assert_eq!(wrapper.stop(), 0);
    screen.press("C-c");
    screen.is_back("0");
}

#[test]
fn a_signal_leaves_the_terminal_as_it_was() {
    let place = Place::new();
    let mut wrapper = up(&place);
    let Some(screen) = Screen::open(&place, (80, 24), "") else { return };
    screen.shows("run/control.sock  up");
    let shell =
        String::from_utf8(screen.tmux(&["list-panes", "-F", "#{pane_pid}"]).stdout).unwrap();
    let top = support::children(shell.trim().parse().unwrap())[0];
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(top), nix::sys::signal::Signal::SIGTERM)
        .unwrap();
    screen.is_back("0");
    assert_eq!(wrapper.stop(), 0);
}

#[test]
fn what_is_no_terminal_and_no_wrapper_is_said_on_the_usual_screen() {
    let place = Place::new();
    place.config("");
    let output = place.coproc(&["top"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("needs a terminal"));
    let Some(screen) = Screen::open(&place, (80, 24), "") else { return };
    screen.is_back("3");
}
