//! The tree under fire: what becomes of everything else when one actor panics.

use std::cell::{Cell, RefCell};
use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::{Arc, Once};
use std::time::Duration;

use actix::{Actor, Addr, Context, Handler, Message};
use coproc_control::request::{Ask, Request};
use coproc_control::server::Entrances;
use coproc_core::supervision::{Panic, log_panics};
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::oneshot;

use super::children::Child;
use super::root::{Parts, Root};
use super::run::{coordinator, exec_sockets, gateway};
use crate::config::{self, Sources};
use crate::log;
use crate::signals::OsSignal;

const PATIENCE: Duration = Duration::from_secs(20);

/// Makes a child panic.
#[derive(Message)]
#[rtype(result = "()")]
struct Break(Child);

impl Handler<Break> for Root {
    type Result = ();

    fn handle(&mut self, Break(child): Break, _: &mut Context<Self>) {
        match child {
            Child::Broker => self.broker.as_ref().unwrap().do_send(Panic),
            Child::Main => self.main.as_ref().unwrap().do_send(Panic),
            Child::Coprocess(place) => {
                self.coprocess(place).unwrap().actor.as_ref().unwrap().do_send(Panic);
            }
            Child::ExecSocket(place) => {
                self.exec_sockets[&place].actor.as_ref().unwrap().do_send(Panic);
            }
            Child::Coordinator => {
                self.coordinator.as_ref().unwrap().actor.as_ref().unwrap().do_send(Panic);
            }
            Child::Gateway => {
                self.gateway.as_ref().unwrap().actor.as_ref().unwrap().do_send(Panic);
            }
            Child::Control | Child::BuiltIn => unreachable!("it has no faults to show"),
        }
    }
}

/// A tree in this process, without an init above it.
struct Tree {
    root: Addr<Root>,
    code: Rc<Cell<u8>>,
    folder: TempDir,
    /// Actors share this test's thread, so its log is theirs and nobody else's.
    _log: tracing::subscriber::DefaultGuard,
}

/// Panics go to the log, as in a wrapper, and to the test's output as well.
fn keep_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let tests = std::panic::take_hook();
        log_panics();
        let ours = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            ours(info);
            tests(info);
        }));
    });
}

const STILL_RUNNING: u8 = 255;

impl Tree {
    fn start(text: &str) -> Self {
        Self::with(text, |_| {})
    }

    /// The same with changes to the config.
    fn with(text: &str, change: impl FnOnce(&mut config::Config)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("coproc.toml");
        let lines = folder.path().join("log");
        fs::write(&file, format!("[log]\nlevel = \"debug\"\ndestination = {lines:?}\n{text}"))
            .unwrap();
        let environment = vec![(OsString::from("PATH"), std::env::var_os("PATH").unwrap())];
        let sources = Sources {
            files: vec![file],
            environment: environment.clone(),
            set: vec!["control.socket=none".into()],
            main: ["sleep", "3600"].map(str::to_owned).to_vec(),
            folder: PathBuf::from("/"),
            ..Sources::default()
        };
        let loaded = config::load(&sources).unwrap();
        let mut config = loaded.with_facts(std::process::id()).unwrap();
        change(&mut config);
        let log::Started { output, forwarded, .. } = log::start(&config.log, |_| None).unwrap();
        let log = tracing::subscriber::set_default(log::Events::new(output.clone()));
        keep_panics();
        let code = Rc::new(Cell::new(STILL_RUNNING));
        let exec_sockets = exec_sockets(&config, &environment).unwrap();
        let coordinator = coordinator(&config).unwrap();
        let gateway = gateway(&config).unwrap();
        let parts = Parts {
            record: None,
            kills: None,
            world: None,
            config: Rc::new(config),
            loaded: Rc::new(loaded),
            forwarded,
            output,
            inherited: Arc::new(environment),
            control: Entrances::default(),
            templates: None,
            exec_sockets: Rc::new(RefCell::new(exec_sockets)),
            coordinator,
            gateway,
            code: code.clone(),
        };
        Self { root: Root::new(parts).start(), code, folder, _log: log }
    }

    async fn status(&self) -> Value {
        let (reply, answer) = oneshot::channel();
        self.root.do_send(Ask { request: Request::Status(None), reply });
        answer.await.unwrap().unwrap()
    }

    /// Waits until `fact` finds something in the status.
    async fn until<T>(&self, what: &str, fact: impl Fn(&Value) -> Option<T>) -> T {
        let seek = async {
            loop {
                if let Some(found) = fact(&self.status().await) {
                    return found;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        match tokio::time::timeout(PATIENCE, seek).await {
            Ok(found) => found,
            Err(_) => panic!("never: {what}\n{:#}\n{}", self.status().await, self.log()),
        }
    }

    /// The pid of a coprocess that runs.
    async fn pid(&self, name: &str) -> i64 {
        self.until(name, |status| pid_of(status, name)).await
    }

    async fn emit(&self, name: &str) {
        let (reply, answer) = oneshot::channel();
        self.root.do_send(Ask { request: Request::Emit(name.into()), reply });
        answer.await.unwrap().unwrap();
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// Waits for the exit code.
    async fn code(&self) -> u8 {
        let seek = async {
            while self.code.get() == STILL_RUNNING {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            self.code.get()
        };
        tokio::time::timeout(PATIENCE, seek).await.unwrap_or_else(|_| panic!("{}", self.log()))
    }

    async fn stop(self) -> u8 {
        self.root.do_send(OsSignal(coproc_core::signal::Signal::TERM));
        self.code().await
    }
}

fn coprocess<'a>(status: &'a Value, name: &str) -> &'a Value {
    let all = status["coprocesses"].as_array().unwrap();
    all.iter().find(|one| one["name"] == name).unwrap()
}

fn pid_of(status: &Value, name: &str) -> Option<i64> {
    let one = match name {
        "main" => &status["main"],
        name => coprocess(status, name),
    };
    (one["state"] == "running").then(|| one["pid"].as_i64()).flatten()
}

fn alive(pid: i64) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

const TWO: &str = r#"
[coprocess.first]
name = "first"
exec = ["sh", "-c", "sleep 3601 & wait"]
restarts = "never"
background = true
exec_event = "pre-start"

[coprocess.second]
name = "second"
exec = "sleep 3602"
restarts = "never"
background = true
exec_event = "custom.go"
"#;

#[test]
fn a_panic_in_one_coprocess_rebuilds_it_and_nobody_else_notices() {
    actix::System::new().block_on(async {
        let tree = Tree::start(TWO);
        let (main, first) = (tree.pid("main").await, tree.pid("first").await);
        tree.emit("go").await;
        let second = tree.pid("second").await;

        tree.root.do_send(Break(Child::Coprocess(0)));
        let again = tree
            .until("a new process", |status| pid_of(status, "first").filter(|pid| *pid != first))
            .await;
        assert!(!alive(first), "the old group is gone first");
        assert!(alive(again));
        assert_eq!(tree.pid("second").await, second);
        assert_eq!(tree.pid("main").await, main);
        // It is the same life, and not a restart.
        assert_eq!(coprocess(&tree.status().await, "first")["restarts"], 0);
        assert!(tree.log().contains("the actor of first was told to"), "{}", tree.log());
        assert_eq!(tree.stop().await, 143);
    });
}

#[test]
fn what_is_counted_survives_a_panic() {
    actix::System::new().block_on(async {
        let config = TWO.replace("\"never\"", "\"unlimited\"");
        let tree = Tree::start(&config);
        let mut before = tree.pid("first").await;
        let kill = |pid| nix::unistd::Pid::from_raw(i32::try_from(pid).unwrap());
        for _ in 0..2 {
            nix::sys::signal::kill(kill(before), nix::sys::signal::SIGKILL).unwrap();
            before = tree
                .until("a new process", |s| pid_of(s, "first").filter(|pid| *pid != before))
                .await;
        }
        for child in [Child::Coprocess(0), Child::Broker] {
            tree.root.do_send(Break(child));
        }
        tree.until("a new process", |s| pid_of(s, "first").filter(|pid| *pid != before)).await;
        let (reply, answer) = oneshot::channel();
        tree.root.do_send(Ask { request: Request::Metrics, reply });
        let metrics = answer.await.unwrap().unwrap();
        let metrics = metrics.as_str().unwrap();
        for sample in [
            "coproc_coprocess_restarts_total{name=\"first\"} 2\n",
            "coproc_coprocess_starts_total{name=\"first\"} 4\n",
            "coproc_coprocess_exits_total{name=\"first\",class=\"signal\"} 2\n",
            "coproc_events_total{event=\"pre-start\"} 1\n",
        ] {
            assert!(metrics.contains(sample), "{sample} in {metrics}");
        }
        assert_eq!(tree.stop().await, 143);
    });
}

#[test]
fn what_was_not_wanted_is_not_started_by_a_panic() {
    actix::System::new().block_on(async {
        let tree = Tree::start(TWO);
        tree.pid("main").await;
        tree.root.do_send(Break(Child::Coprocess(1)));
        // An event that comes while the actor is rebuilt waits for it.
        tree.emit("go").await;
        let second = tree.pid("second").await;
        assert!(alive(second));
        assert_eq!(tree.stop().await, 143);
    });
}

#[test]
fn a_held_event_stays_held_through_a_panic() {
    actix::System::new().block_on(async {
        let tree = Tree::start(
            "[coprocess.hold]\nname = \"hold\"\nexec = \"sleep 3603\"\nrestarts = \"never\"\n\
             exec_event = \"pre-start\"\n",
        );
        let before = tree.pid("hold").await;
        tree.root.do_send(Break(Child::Coprocess(0)));
        tree.until("a new process", |s| pid_of(s, "hold").filter(|pid| *pid != before)).await;
        assert_eq!(tree.status().await["main"]["state"], "waiting");
        assert_eq!(tree.stop().await, 143);
    });
}

#[test]
fn a_panic_in_the_broker_loses_no_subscription() {
    actix::System::new().block_on(async {
        let tree = Tree::start(TWO);
        let (main, first) = (tree.pid("main").await, tree.pid("first").await);
        tree.root.do_send(Break(Child::Broker));
        tree.until("the broker is back", |_| tree.log().contains("told to").then_some(())).await;
        tree.emit("go").await;
        tree.pid("second").await;
        assert_eq!((tree.pid("main").await, tree.pid("first").await), (main, first));
        assert_eq!(tree.stop().await, 143);
    });
}

#[test]
fn an_actor_that_dies_too_often_ends_the_wrapper() {
    actix::System::new().block_on(async {
        let tree = Tree::start(TWO);
        let mut before = tree.pid("first").await;
        for _ in 0..3 {
            tree.root.do_send(Break(Child::Coprocess(0)));
            before = tree
                .until("a new process", |s| pid_of(s, "first").filter(|pid| *pid != before))
                .await;
        }
        tree.root.do_send(Break(Child::Coprocess(0)));
        assert_eq!(tree.code().await, 1);
        assert!(!alive(before));
    });
}

#[test]
fn a_panic_in_mains_actor_ends_the_wrapper_in_order() {
    actix::System::new().block_on(async {
        let tree = Tree::start(TWO);
        let (main, first) = (tree.pid("main").await, tree.pid("first").await);
        tree.root.do_send(Break(Child::Main));
        assert_eq!(tree.code().await, 1);
        assert!(!alive(first));
        // Killed with its actor; its keeper reaps it.
        let gone = async {
            while alive(main) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(PATIENCE, gone).await.unwrap();
    });
}

#[test]
fn an_exec_socket_is_served_again_and_its_file_stays() {
    actix::System::new().block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("e.sock");
        let tree = Tree::start(&format!("[exec_socket]\npath = {path:?}\n"));
        tree.pid("main").await;
        let call = async || {
            let mut client = tokio::net::UnixStream::connect(&path).await.unwrap();
            client.write_all(b"1:2,4:echo,2:hi,0:,").await.unwrap();
            let mut answer = String::new();
            client.read_to_string(&mut answer).await.unwrap();
            answer
        };
        assert_eq!(call().await, "6:stdout,3:hi\n,8:exitcode,1:0,");
        // What runs goes with the actor.
        let mut client = tokio::net::UnixStream::connect(&path).await.unwrap();
        client.write_all(b"1:2,5:sleep,4:3603,").await.unwrap();
        let running = |status: &Value| status["exec_sockets"][0]["running"][0]["pid"].as_i64();
        let sleep = tree.until("a program runs", running).await;
        tree.root.do_send(Break(Child::ExecSocket(0)));
        let nothing = |status: &Value| running(status).is_none().then_some(());
        tree.until("nothing runs", nothing).await;
        assert!(!alive(sleep));
        assert_eq!(call().await, "6:stdout,3:hi\n,8:exitcode,1:0,");
        assert_eq!(tree.stop().await, 143);
    });
}

#[test]
fn a_coordinator_is_served_again_and_forgets_nothing() {
    actix::System::new().block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let base = folder.path().join("d");
        let tree = Tree::start(&format!(
            "[coordinator]\nservice_name = \"c\"\nsocket_dir = {base:?}\nlisten = \"none\"\n"
        ));
        tree.pid("main").await;
        std::fs::create_dir(base.join("t")).unwrap();
        let provider = tokio::net::UnixListener::bind(base.join("t/1-p.sock")).unwrap();
        let ask = async |id: &str| {
            let request = format!(
                r#"{{"id":"{id}","task":"t","responsehook":{{"Scheme":"http","Host":"127.0.0.1:1"}}}}"#
            );
            let mut client =
                tokio::net::UnixStream::connect(base.join("coordinator/c.sock")).await.unwrap();
            let mut framed = (request.len() as u32).to_be_bytes().to_vec();
            framed.extend(request.as_bytes());
            let _ = client.write_all(&framed).await;
            let take = async {
                let (mut stream, _) = provider.accept().await.unwrap();
                let _ = stream.write_all(b"\0\0\0\x02{}").await;
                let _ = stream.read(&mut [0; 4096]).await;
            };
            let mut answer = Vec::new();
            let both = async { tokio::join!(take, client.read_to_end(&mut answer)).1 };
            // What the dying thread had begun goes with it.
            let answered = tokio::time::timeout(Duration::from_secs(1), both).await;
            let expected = format!(r#"{{"error":"","id":"{id}""#);
            matches!(answered, Ok(Ok(_)))
                && String::from_utf8_lossy(&answer).contains(&expected)
        };
        assert!(ask("one").await);
        tree.root.do_send(Break(Child::Coordinator));
        let mut tries = 0;
        while !ask(&format!("two{tries}")).await {
            tries += 1;
            assert!(tries < 20, "it is not served again");
        }
        let waiting = |status: &Value| status["coordinator"]["figures"]["waiting"].as_u64();
        assert!(tree.until("it is told of", waiting).await >= 2);
        tree.root.do_send(OsSignal(coproc_core::signal::Signal::TERM));
        tree.root.do_send(OsSignal(coproc_core::signal::Signal::TERM));
        tree.stop().await;
    });
}

#[test]
fn an_exec_socket_and_a_coordinator_live_side_by_side() {
    actix::System::new().block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let (path, base) = (folder.path().join("e.sock"), folder.path().join("d"));
        let tree = Tree::start(&format!(
            "[exec_socket]\npath = {path:?}\n\
             [coordinator]\nservice_name = \"c\"\nsocket_dir = {base:?}\nlisten = \"none\"\n"
        ));
        tree.pid("main").await;
        let call = async |socket: &std::path::Path, request: &[u8]| {
            let mut client = tokio::net::UnixStream::connect(socket).await.unwrap();
            client.write_all(request).await.unwrap();
            let mut answer = Vec::new();
            client.read_to_end(&mut answer).await.unwrap();
            String::from_utf8_lossy(&answer).into_owned()
        };
        let run = async || call(&path, b"1:1,4:true,0:,").await;
        assert_eq!(run().await, "8:exitcode,1:0,");
        let refused = call(&base.join("coordinator/c.sock"), b"\0\0\0\x02{}").await;
        assert!(refused.contains("missing id"), "{refused}");
        tree.root.do_send(Break(Child::Coordinator));
        let died = || tree.log().contains("the actor of Coordinator");
        tree.until("it died", |_: &Value| died().then_some(())).await;
        assert_eq!(run().await, "8:exitcode,1:0,");
        assert_eq!(tree.stop().await, 143);
    });
}

#[test]
fn a_gateway_is_served_again_and_ends_with_the_wrapper() {
    actix::System::new().block_on(async {
        let config = coproc_gateway::config::Config {
            listen: vec![coproc_gateway::config::Listen::Tcp(([127, 0, 0, 1], 0).into())],
            ..Default::default()
        };
        let tree = Tree::with("", |all| all.gateway = Some(config));
        tree.pid("main").await;
        let listens = |status: &Value| status["gateway"]["listen"][0].as_str().map(str::to_owned);
        let address = tree.until("an address", listens).await;
        let connect = async || tokio::net::TcpStream::connect(&address).await;
        let ask = async || {
            let mut client = connect().await.unwrap();
            let request = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
            let _ = client.write_all(request).await;
            let mut answer = Vec::new();
            let read = client.read_to_end(&mut answer);
            let _ = tokio::time::timeout(PATIENCE, read).await.unwrap();
            answer.starts_with(b"HTTP/1.1 404 ")
        };
        assert!(ask().await);
        let mut idle = connect().await.unwrap();
        tree.root.do_send(Break(Child::Gateway));
        let read = tokio::time::timeout(PATIENCE, idle.read(&mut [0])).await.unwrap();
        assert!(!matches!(read, Ok(1..)));
        // Who comes before there is another actor waits; what the dying threads had begun goes with
        // them.
        let mut tries = 0;
        while !ask().await {
            tries += 1;
            assert!(tries < 20, "it is not served again");
        }
        let requests = |status: &Value| status["gateway"]["figures"]["requests"].as_u64();
        assert!(tree.until("a figure", requests).await >= 2);
        assert_eq!(tree.stop().await, 143);
        assert!(connect().await.is_err());
    });
}
