//! Processes from the inside: every status arrives, every group is swept, nothing is left.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ffi::CString;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use coproc_core::exit::ExitStatus;
use coproc_core::output::{Form, Kind, Level, Limits, Line, Output, Sink};
use coproc_core::process::{
    Command, Context, Ended, Piped, Process, Report, Setting, SpawnError, Step, Taps, launch, run,
};
use coproc_core::signal::Signal;
use tokio::sync::mpsc;

const PATIENCE: Duration = Duration::from_secs(20);

struct Nowhere;

impl Sink for Nowhere {
    fn line(&mut self, _: &Line<'_>) {}
    fn flush(&mut self) {}
    fn reopen(&mut self) {}
}

fn output() -> Output {
    let limits =
        Limits { level: Level::Trace, form: Form::Text, max_line: 1024, history: 1024, queue: 16 };
    Output::start(Box::new(Nowhere), limits).unwrap().0
}

fn command(words: &[&str]) -> Command {
    Command {
        name: "child".into(),
        argv: words.iter().map(|word| (*word).to_owned()).collect(),
        context: Context::default(),
        inherited: Arc::new(std::env::vars_os().collect()),
        added: Vec::new(),
        kind: Kind::Plain,
        taps: Taps::default(),
        descriptors: Vec::new(),
        world: None,
    }
}

/// Launches a command; what is reported comes out of the channel.
fn start(command: Command) -> Result<(Process, mpsc::UnboundedReceiver<Report>), SpawnError> {
    let (told, tells) = mpsc::unbounded_channel();
    let process = launch(command, &output(), move |report| {
        // A test that is over has no ear left.
        let _ = told.send(report);
    })?;
    Ok((process, tells))
}

async fn next(tells: &mut mpsc::UnboundedReceiver<Report>) -> Report {
    tokio::time::timeout(PATIENCE, tells.recv()).await.expect("in time").expect("a report")
}

fn alive(pid: i32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

fn exists(pid: i32) -> bool {
    std::path::Path::new(&format!("/proc/{pid}")).exists()
}

#[actix_rt::test]
async fn every_status_of_many_short_lives_arrives() {
    let output = output();
    let wrong = Rc::new(RefCell::new(Vec::new()));
    let mut all = Vec::new();
    for code in 0..200 {
        let (output, wrong) = (output.clone(), wrong.clone());
        all.push(actix_rt::spawn(async move {
            let text = format!("exit {code}");
            let ended = run(command(&["sh", "-c", &text]), &output, PATIENCE).await;
            if ended != Ok(Ended::InTime(ExitStatus::Code(code))) {
                wrong.borrow_mut().push((code, ended));
            }
        }));
    }
    for one in all {
        one.await.unwrap();
    }
    assert_eq!(*wrong.borrow(), []);
}

#[actix_rt::test]
async fn a_process_runs_once_and_ends_once() {
    let (process, mut tells) = start(command(&["sh", "-c", "kill -TERM $$"])).unwrap();
    let pid = process.pid();
    assert_eq!(next(&mut tells).await, Report::Running);
    assert_eq!(next(&mut tells).await, Report::Exited(ExitStatus::Signal(Signal::TERM)));
    assert!(!exists(pid), "it is reaped before it is reported");
    assert!(process.gone().is_gone());
    // Nobody is left to be hit.
    process.signal(Signal::KILL);
    drop(process);
    assert!(tells.recv().await.is_none());
}

#[actix_rt::test]
async fn what_is_left_of_a_group_goes_with_its_leader() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pid");
    let text = format!("sleep 3600 & echo $! > {}", file.display());
    let (_process, mut tells) = start(command(&["sh", "-c", &text])).unwrap();
    assert_eq!(next(&mut tells).await, Report::Running);
    assert_eq!(next(&mut tells).await, Report::Exited(ExitStatus::Code(0)));
    let inner: i32 = std::fs::read_to_string(file).unwrap().trim().parse().unwrap();
    let deadline = Instant::now() + PATIENCE;
    while alive(inner) {
        assert!(Instant::now() < deadline, "{inner} lives on");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[actix_rt::test]
async fn a_handle_that_is_dropped_takes_its_group_with_it() {
    let (process, mut tells) = start(command(&["sleep", "3600"])).unwrap();
    assert_eq!(next(&mut tells).await, Report::Running);
    drop(process);
    assert_eq!(next(&mut tells).await, Report::Exited(ExitStatus::Signal(Signal::KILL)));
}

#[actix_rt::test]
async fn a_command_that_takes_too_long_is_killed() {
    let started = Instant::now();
    let limit = Duration::from_millis(50);
    let ended = run(command(&["sleep", "3600"]), &output(), limit).await;
    assert_eq!(ended, Ok(Ended::TooLate));
    assert!(started.elapsed() >= limit);
}

#[actix_rt::test]
async fn failures_name_their_step_and_code() {
    let failure = |words: &[&str], change: &dyn Fn(&mut Context)| {
        let mut command = command(words);
        change(&mut command.context);
        start(command).map(|_| ()).unwrap_err()
    };
    let missing = failure(&["no-such-program"], &|_| {});
    assert_eq!((missing.step, missing.code), (Step::Lookup, 127));
    let folder = failure(&["/etc"], &|_| {});
    assert_eq!((folder.step, folder.code), (Step::Lookup, 126));
    let empty = failure(&[], &|_| {});
    assert_eq!(empty.step, Step::Lookup);
    let user = failure(&["true"], &|context| context.user = Some("no-such-user".into()));
    assert_eq!((user.step, user.code), (Step::User, 1));
    let file = failure(&["true"], &|context| context.env_file = Some("/no/such/file".into()));
    assert_eq!(file.step, Step::EnvFile);
    assert_eq!(
        missing.to_string(),
        "`no-such-program` cannot be started: finding the program failed: \
         `no-such-program` was not found on PATH"
    );
}

#[actix_rt::test]
async fn a_script_without_an_interpreter_line_is_no_program() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("script");
    std::fs::write(&file, "echo hello\n").unwrap();
    std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let error = start(command(&[file.to_str().unwrap()])).map(|_| ()).unwrap_err();
    assert_eq!((error.step, error.code), (Step::Spawn, 126), "{error}");
}

#[actix_rt::test]
async fn the_environment_is_inherited_then_added_then_set() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("env");
    std::fs::write(&file, "FROM_FILE=file\nBOTH=file\n").unwrap();
    let mut command = command(&[
        "sh",
        "-c",
        "test \"$INHERITED $ADDED $FROM_FILE $BOTH\" = 'yes added file table'",
    ]);
    let path = std::env::var_os("PATH").unwrap();
    command.inherited = Arc::new(vec![("PATH".into(), path), ("INHERITED".into(), "yes".into())]);
    command.added = vec![("ADDED", "added".into())];
    command.context.env_file = Some(file);
    command.context.env = BTreeMap::from([("BOTH".to_owned(), "table".to_owned())]);
    let ended = run(command, &output(), PATIENCE).await;
    assert_eq!(ended, Ok(Ended::InTime(ExitStatus::Code(0))));
}

#[actix_rt::test]
async fn no_descriptor_is_left_behind_by_a_thousand_runs() {
    let output = output();
    let open = || std::fs::read_dir("/proc/self/fd").unwrap().count();
    let ended = run(command(&["true"]), &output, PATIENCE).await;
    assert_eq!(ended, Ok(Ended::InTime(ExitStatus::Code(0))));
    let before = open();
    for _ in 0..1000 {
        run(command(&["true"]), &output, PATIENCE).await.unwrap();
    }
    // Tests run side by side in this process, so a few of theirs may come and go.
    let deadline = Instant::now() + PATIENCE;
    while open() > before + 100 {
        assert!(Instant::now() < deadline, "{before} descriptors became {}", open());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Starts a program with pipes.
fn piped(words: &[&str]) -> Result<Piped, SpawnError> {
    let inherited: Vec<_> = std::env::vars_os().collect();
    let setting = Setting::look_up("test", &Context::default(), &inherited, &[])?;
    let program = setting.find(words[0].as_ref())?;
    let words: Vec<_> = words.iter().map(|word| CString::new(*word).unwrap()).collect();
    setting.spawn(&program, &words.iter().map(|word| word.as_c_str()).collect::<Vec<_>>())
}

#[actix_rt::test]
async fn a_leader_is_not_reaped_before_its_group_may_go() {
    let piped = piped(&["sh", "-c", "sleep 3600 & echo $!"]).unwrap();
    let (pid, leader) = (piped.leader.pid(), piped.leader);
    assert_eq!(leader.ended().await, ExitStatus::Code(0));
    assert_eq!(leader.ended().await, ExitStatus::Code(0));
    let mut said = [0; 16];
    let length = rustix::io::read(&piped.stdout, &mut said).unwrap();
    let inner: i32 = std::str::from_utf8(&said[..length]).unwrap().trim().parse().unwrap();
    let remains = leader.into_remains(true);
    assert!(exists(pid) && alive(inner));
    drop(remains);
    assert!(!exists(pid));
    let deadline = Instant::now() + PATIENCE;
    while alive(inner) {
        assert!(Instant::now() < deadline, "what is left of the group lives on");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[actix_rt::test]
async fn a_leader_that_is_dropped_goes_with_its_group() {
    let piped = piped(&["sh", "-c", "trap '' TERM; sleep 3600"]).unwrap();
    let pid = piped.leader.pid();
    assert!(alive(pid));
    drop(piped);
    assert!(!exists(pid));
}
