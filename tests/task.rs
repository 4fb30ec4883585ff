//! `coproc task`, providers as coprocesses, and the tasks that coproc offers itself.

mod support;

use std::io::Write;
use std::path::Path;
use std::process::{Output, Stdio};
use std::sync::mpsc;

use coproc_provider::{Answer, Config, Provider, Request, Value, json};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use support::{PATIENCE, Place, Wrapper, alive, coprocess, eventually, puppet, text};
use tokio::sync::oneshot;

/// The example of the provider's crate, which cargo builds beside the tests.
fn greeter() -> String {
    let path = Path::new(&puppet()).with_file_name("greeter");
    assert!(path.exists(), "the greeter is built by `cargo test`, or by `cargo build --examples`");
    path.display().to_string()
}

/// The `[coordinator]` of a place.
fn coordinator(place: &Place, rest: &str) -> String {
    let sockets = place.at("s");
    format!(
        "[coordinator]\nsocket_dir = \"{sockets}\"\nservice_name = \"c\"\nlisten = \"none\"\n{rest}\n"
    )
}

/// The example as a coprocess.
fn greeting(place: &Place, rest: &str) -> String {
    let exec = format!("[\"{}\", \"-n\", \"greeter\", \"-s\", \"{}\"]", greeter(), place.at("s"));
    let rest = format!("background = true\nrestarts = \"unlimited\"\ntasks = [\"Greet\"]\n{rest}");
    coprocess("greeter", &exec, &rest)
}

/// Runs `coproc task`, with something on its standard input; gives status, answer and complaint.
#[allow(clippy::disallowed_methods)]
fn task_with(place: &Place, words: &[&str], input: &[u8]) -> (i32, String, String) {
    let mut command = place.command(&[&["task"], words].concat());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let Output { status, stdout, stderr } = std::thread::scope(|scope| {
        // Beside the reading: it may answer before it has read everything. Who does not read it is gone before.
        scope.spawn(move || drop(stdin.write_all(input)));
        child.wait_with_output().unwrap()
    });
    (status.code().unwrap(), text(&stdout), text(&stderr))
}

fn task(place: &Place, words: &[&str]) -> (i32, String, String) {
    task_with(place, words, b"")
}

/// Runs a task that has to succeed; gives the answer.
#[track_caller]
fn done(place: &Place, words: &[&str]) -> String {
    let (code, answer, complaint) = task(place, words);
    assert_eq!((code, complaint.as_str()), (0, ""), "{words:?}: {answer}");
    answer
}

/// Runs a task that has to fail with status 1; gives the complaint.
#[track_caller]
fn failed(place: &Place, words: &[&str]) -> String {
    let (code, answer, complaint) = task(place, words);
    assert_eq!((code, answer.as_str()), (1, ""), "{words:?}: {complaint}");
    complaint
}

/// A provider in a thread of this test.
struct Provides(Option<oneshot::Sender<()>>, Option<std::thread::JoinHandle<()>>);

impl Provides {
    fn start(place: &Place, name: &str, provide: fn(Provider) -> Provider) -> Self {
        let provider = provide(Provider::new(Config::new(place.at("s"), name)));
        let (stop, stopped) = oneshot::channel::<()>();
        let (told, tells) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            // The sockets are there once the provider waits for its end.
            let end = async move {
                told.send(()).unwrap();
                std::future::pending().await
            };
            runtime.block_on(async {
                // At once: some of its handlers never end.
                tokio::select! {
                    served = provider.serve_until(end) => served.unwrap(),
                    _ = stopped => {}
                }
            });
        });
        tells.recv_timeout(PATIENCE).unwrap();
        Self(Some(stop), Some(thread))
    }
}

impl Drop for Provides {
    fn drop(&mut self) {
        drop(self.0.take());
        let _ = self.1.take().unwrap().join();
    }
}

/// Gives back the stream, or the arguments where there is none.
async fn stream_echo(request: Request) -> Result<Answer, Box<dyn std::error::Error + Send + Sync>> {
    match request.stream().await? {
        Some(stream) => Ok(request.offer(stream)?.into()),
        None => Ok(request.args::<Value>()?.into()),
    }
}

fn echoing(provider: Provider) -> Provider {
    provider
        .task("StreamEcho", stream_echo)
        .task("Silent", |_| std::future::pending::<Result<Value, String>>())
}

#[test]
fn twenty_lines_are_a_provider() {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("actors/provider/examples/greeter.rs");
    let lines = std::fs::read_to_string(example).unwrap();
    assert!(lines.lines().count() <= 20);

    let place = Place::new();
    let mut wrapper = place.up(&[coordinator(&place, ""), greeting(&place, "")].concat());
    let greeting = "{\"greeting\":\"Hello, you!\"}\n";
    assert_eq!(done(&place, &["Greet", "{ \"name\": \"you\" }"]), greeting);
    assert_eq!(done(&place, &["Greet", "-a", "name=you"]), greeting);
    let (code, answer, _) = task_with(&place, &["Greet", "-"], b"{\"name\": \"you\"}");
    assert_eq!((code, answer.as_str()), (0, greeting));
    assert_eq!(failed(&place, &["Greet"]), "error: `name` is not a text\n");
    let listed = done(&place, &["--list"]);
    let expected = "TASK   PRIORITY  PROVIDER  STATE\nGreet  50        greeter   up\n";
    assert_eq!(listed, expected);
    assert_eq!(wrapper.stop(), 0);
    // The provider took its socket away itself.
    assert_eq!(std::fs::read_dir(place.path().join("s/Greet")).unwrap().count(), 0);
}

#[test]
fn c65_arguments_of_every_form() {
    let place = Place::new();
    let _wrapper = place.up(&coordinator(&place, ""));
    let _provider = Provides::start(&place, "e", echoing);
    let words = [
        "StreamEcho",
        "-a",
        "a.b=1",
        "-a",
        "a.c=true,d=x=y",
        "-a",
        "e=t",
        "-a",
        "f=",
        "-a",
        "=g",
        "-a",
        "h=1.5",
        "-a",
        "i=-3",
        "-a",
        "j=0",
    ];
    let expected = json!({
        "": "g", "a": {"b": 1, "c": true}, "d": "x=y", "e": true, "f": "", "h": "1.5", "i": -3, "j": 0
    });
    let answer = done(&place, &words);
    assert_eq!(serde_json::from_str::<Value>(&answer).unwrap(), expected);
    assert_eq!(answer.lines().count(), 1);
    let raw = done(&place, &["StreamEcho", "--raw-string", "n=1", "--arg", "m=1"]);
    assert_eq!(serde_json::from_str::<Value>(&raw).unwrap(), json!({"n": "1", "m": 1}));
    assert_eq!(done(&place, &["StreamEcho"]), "null\n");
}

#[test]
fn c66_what_goes_wrong_is_told_by_the_status() {
    let place = Place::new();
    let nobody = task(&place, &["Echo"]);
    assert_eq!((nobody.0, nobody.1.as_str()), (2, ""));
    assert!(nobody.2.contains("[coordinator]"), "{}", nobody.2);
    place.config(&coordinator(&place, ""));
    let (code, answer, complaint) = task(&place, &["Echo"]);
    assert_eq!((code, answer.as_str()), (3, ""), "{complaint}");
    assert!(complaint.contains("/s/coordinator/c.sock`"), "{complaint}");
    assert_eq!(task(&place, &["--list"]).0, 3);
    assert_eq!(task(&place, &["--socket", "/x/none.sock", "Echo"]).0, 3);

    let _wrapper = place.up(&coordinator(&place, ""));
    let _provider = Provides::start(&place, "e", echoing);
    assert_eq!(failed(&place, &["Nope"]), "error: no providers available for task\n");
    assert_eq!(done(&place, &["StreamEcho", "--timeout", "0"]), "null\n");
    assert_eq!(failed(&place, &["Silent", "--timeout", "100ms"]), "error: response timeout\n");
    for (words, complaint) in [
        (&["StreamEcho", "-a", "x"][..], "invalid request arg: 'x'"),
        (&["StreamEcho", "-a", "a=1", "-a", "a.b=1"], "intermediate nested key a defined"),
        (&["StreamEcho", "{bad"], "JSON: "),
        (&["StreamEcho", "--stream", "-"], "standard input"),
        (&["streams"], "not the name of a task"),
        (&["StreamEcho", "--timeout", "soon"], "not a duration"),
        (&[], "TASK"),
    ] {
        let (code, answer, said) = task(&place, words);
        assert_eq!((code, answer.as_str()), (2, ""), "{words:?}");
        assert!(said.contains(complaint), "{words:?}: {said}");
    }
}

#[test]
fn c67_streams_go_there_and_back() {
    let place = Place::new();
    let _wrapper = place.up(&coordinator(&place, ""));
    let _provider = Provides::start(&place, "e", echoing);
    let (code, answer, complaint) = task_with(&place, &["StreamEcho", "-s"], b"abc");
    assert_eq!((code, answer.as_str(), complaint.as_str()), (0, "abc", ""));
    let long = "0123456789".repeat(50_000);
    let (code, answer, _) = task_with(&place, &["StreamEcho", "--stream"], long.as_bytes());
    assert!(code == 0 && answer == long, "{code}, {} bytes", answer.len());
    for folder in ["s/streams/StreamEcho/coproc-task", "s/streams/StreamEcho/e"] {
        assert_eq!(std::fs::read_dir(place.path().join(folder)).unwrap().count(), 0, "{folder}");
    }
}

#[test]
fn who_gives_up_leaves_nothing_behind() {
    let place = Place::new();
    let _wrapper = place.up(&coordinator(&place, ""));
    let _provider = Provides::start(&place, "e", echoing);
    let response = || std::fs::read_dir(place.path().join("s/response")).unwrap().count();
    assert_eq!(response(), 1);
    for (signal, code) in [(Signal::SIGINT, 130), (Signal::SIGTERM, 143)] {
        let mut waiting = Wrapper::start(place.command(&["task", "Silent"]));
        eventually("it waits", || response() == 2);
        waiting.signal(signal);
        assert_eq!(waiting.wait(), code);
        assert_eq!(response(), 1);
    }
}

#[test]
fn what_a_killed_one_left_goes_with_the_next() {
    let place = Place::new();
    let _wrapper = place.up(&coordinator(&place, ""));
    let _provider = Provides::start(&place, "e", echoing);
    let count =
        |folder: &str| std::fs::read_dir(place.path().join("s").join(folder)).unwrap().count();
    let streams = "streams/StreamEcho/coproc-task";
    // As it is left by one that is killed before its socket has its name.
    drop(
        std::os::unix::net::UnixListener::bind(place.path().join("s/response/.0123abcd")).unwrap(),
    );
    let mut killed: Vec<_> =
        (0..2).map(|_| Wrapper::start(place.command(&["task", "Silent"]))).collect();
    // The second may have met what the first had left.
    eventually("they wait", || count("response") == 3);
    for one in &mut killed {
        one.signal(Signal::SIGKILL);
        assert_eq!(one.wait(), 137);
    }
    // One that lives stays, whoever comes.
    let mut waiting = Wrapper::start(place.command(&["task", "Silent"]));
    eventually("it waits", || count("response") == 2);
    std::fs::create_dir_all(place.path().join("s").join(streams)).unwrap();
    let stale = place.path().join("s").join(streams).join("0.sock");
    drop(std::os::unix::net::UnixListener::bind(&stale).unwrap());
    let (code, answer, _) = task_with(&place, &["StreamEcho", "-s"], b"abc");
    assert_eq!((code, answer.as_str()), (0, "abc"));
    assert_eq!((count("response"), count(streams)), (2, 0));
    waiting.signal(Signal::SIGTERM);
    assert_eq!(waiting.wait(), 143);
    assert_eq!(count("response"), 1);
}

#[test]
fn what_a_provider_says_does_nothing_to_the_terminal() {
    let place = Place::new();
    let _wrapper = place.up(&coordinator(&place, ""));
    let says = |provider: Provider| {
        provider.task("Says", |_| async { Err::<Value, _>("no\u{1b}[2J\r\u{9b}1m\n\tmore") })
    };
    let _provider = Provides::start(&place, "e", says);
    assert_eq!(failed(&place, &["Says"]), "error: no\\u{1b}[2J\\r\\u{9b}1m\n\tmore\n");
}

/// The wrapper that one runs under is found without a config.
#[test]
fn a_coprocess_finds_its_coordinator() {
    let place = Place::new();
    let asks =
        format!("[\"sh\", \"-c\", \"cd / && {} task Greet -a name=agent\"]", support::coproc());
    let config = [
        coordinator(&place, ""),
        greeting(&place, ""),
        coprocess("asks", &asks, "exec_event = \"coprocess.greeter.ready\""),
    ];
    let wrapper = place.up(&config.concat());
    wrapper.wait_for("Hello, agent!");
}

#[test]
fn a_task_waits_for_a_provider_that_is_restarted() {
    let place = Place::new();
    let pause = "time_between_restarts = \"300ms\"";
    let wrapper = place.up(&[coordinator(&place, ""), greeting(&place, pause)].concat());
    let words = ["Greet", "-a", "name=you"];
    done(&place, &words);
    for n in 1..=2 {
        let pid = wrapper.started("greeter", n);
        kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
        eventually("it is dead", || !alive(pid));
        assert_eq!(done(&place, &words), "{\"greeting\":\"Hello, you!\"}\n");
    }
    // One that is not to come back is not waited for.
    assert!(place.coproc(&["stop", "greeter"]).status.success());
    assert_eq!(failed(&place, &words), "error: no providers available for task\n");
    assert!(place.coproc(&["start", "greeter"]).status.success());
    assert_eq!(done(&place, &words), "{\"greeting\":\"Hello, you!\"}\n");
}

#[test]
fn a_task_that_waits_is_refused_when_its_provider_is_given_up() {
    let place = Place::new();
    // It never offers anything.
    let never = coprocess(
        "never",
        "\"sleep 1000\"",
        "background = true\nrestarts = \"unlimited\"\ntasks = [\"Late\"]",
    );
    let wrapper = place.up(&[coordinator(&place, ""), never].concat());
    let mut waiting = Wrapper::start(place.command(&["task", "Late"]));
    wrapper.wait_for("waits for `Late`");
    assert!(place.coproc(&["stop", "never"]).status.success());
    assert_eq!(waiting.wait(), 1);
    assert_eq!(waiting.stderr(), "error: no providers available for task");
}

#[test]
fn programs_are_run_and_their_output_streamed() {
    let place = Place::new();
    let exec =
        "exec = { allow = [\"/bin/echo\", \"/usr/bin/tr\", \"/bin/sh\"], timeout = \"20s\" }";
    let wrapper = place.up(&coordinator(&place, exec));
    wrapper.wait_for("coproc's own tasks are offered");
    let echo = r#"{"argv": ["echo", "a  b", "$HOME"]}"#;
    assert_eq!(done(&place, &["exec", echo]), "a  b $HOME\n");
    let tr = r#"{"argv": ["tr", "a-z", "A-Z"]}"#;
    let (code, answer, _) = task_with(&place, &["exec", "--stream", tr], b"to the end\n");
    assert_eq!((code, answer.as_str()), (0, "TO THE END\n"));
    let waits = |script: &str| {
        let args = json!({ "argv": ["/bin/sh", "-c", script], "wait": true }).to_string();
        serde_json::from_str::<Value>(&done(&place, &["exec", &args])).unwrap()
    };
    let ended = waits("echo out; echo err >&2; exit 3");
    assert_eq!(ended, json!({ "code": 3, "stdout": "out\n", "stderr": "err\n" }));
    assert_eq!(waits("kill -KILL $$")["signal"], "KILL");
    let input = json!({ "argv": ["tr", "a", "b"], "wait": true }).to_string();
    let (_, answer, _) = task_with(&place, &["exec", "-s", &input], b"aaa");
    assert_eq!(serde_json::from_str::<Value>(&answer).unwrap()["stdout"], "bbb");
    let args = r#"{"argv": ["sh", "-c", "echo to the log >&2"]}"#;
    assert_eq!(done(&place, &["exec", args]), "");
    wrapper.wait_for("exec: to the log");
}

#[test]
fn programs_are_run_as_their_user() {
    if !support::is_root() {
        return support::skipped("only root can switch users");
    }
    let place = Place::new();
    let exec = "exec = { allow = [\"/bin/sh\"], user = \"nobody\" }";
    let wrapper = place.up(&coordinator(&place, exec));
    wrapper.wait_for("coproc's own tasks are offered");
    let script = r#"{"argv": ["sh", "-c", "id -un > /dev/stdout"]}"#;
    assert_eq!(done(&place, &["exec", script]), "nobody\n");
}

#[test]
fn what_is_not_allowed_is_not_run() {
    let place = Place::new();
    let exec = "exec = { allow = [\"/bin/sh\"], timeout = \"300ms\", max_running = 1 }";
    let wrapper = place.up(&coordinator(&place, exec));
    wrapper.wait_for("coproc's own tasks are offered");
    let touch = json!({ "argv": ["touch", place.at("made")] }).to_string();
    assert_eq!(failed(&place, &["exec", &touch]), "error: `touch` is not allowed\n");
    assert!(!place.path().join("made").exists());
    let complaint = failed(&place, &["exec", "{\"argv\": []}"]);
    assert_eq!(complaint, "error: args: `argv` is empty\n");
    assert!(
        failed(&place, &["exec", "{\"program\": 1}"]).starts_with("error: args: unknown field")
    );
    let flood = r#"{"argv": ["sh", "-c", "while :; do echo 0123456789; done"], "wait": true}"#;
    assert!(failed(&place, &["exec", flood]).contains("only a stream can take"));
    // Its time ends it, and with it the stream.
    let endless = r#"{"argv": ["sh", "-c", "echo begun; exec sleep 1000"]}"#;
    // Until then nothing else is run.
    eventually("it is run", || task(&place, &["exec", endless]).1 == "begun\n");
    wrapper.wait_for("is ended");
}

#[test]
fn coprocesses_are_asked_and_told() {
    let place = Place::new();
    let agent = coprocess("agent", "\"sleep 1000\"", "background = true");
    let wrapper = place.up(&[coordinator(&place, "coprocess = true"), agent].concat());
    wrapper.wait_for("coproc's own tasks are offered");
    let ask =
        |args: &str| serde_json::from_str::<Value>(&done(&place, &["coprocess", args])).unwrap();
    let status = ask(r#"{"action": "status"}"#);
    assert!(status["main"]["pid"].is_number(), "{status}");
    assert_eq!(status["coprocesses"][0]["name"], "agent");
    assert_eq!(ask(r#"{"action": "stop", "name": "agent"}"#)["state"], "stopped");
    assert_eq!(ask(r#"{"action": "status", "name": "agent"}"#)["state"], "stopped");
    assert_eq!(ask(r#"{"action": "start", "name": "agent"}"#)["name"], "agent");
    let before = wrapper.started("agent", 2);
    ask(r#"{"action": "restart", "name": "agent"}"#);
    assert_ne!(wrapper.started("agent", 3), before);
    let unknown = failed(&place, &["coprocess", r#"{"action": "stop", "name": "x"}"#]);
    assert!(unknown.starts_with("error: there is no coprocess `x`"), "{unknown}");
    let nobody = failed(&place, &["coprocess", r#"{"action": "stop"}"#]);
    assert_eq!(nobody, "error: args: missing field `name`\n");
    assert!(failed(&place, &["coprocess", r#"{"action": "emit"}"#]).contains("unknown variant"));
}
