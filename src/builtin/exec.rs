//! The task `exec`: an allowed program is run, and what it says is streamed to the requester.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use actix::{Addr, AsyncContext, Context, Handler, Message};
use coproc_coordinator::exec_task::ExecTask;
use coproc_core::accounts;
use coproc_core::exit::ExitStatus;
use coproc_core::process::{self, Command, Process, Report, find_program, launch};
use coproc_core::signal::Signal;
use coproc_provider::{Answer, Request, json};
use serde::Deserialize;
use tokio::io::{AsyncReadExt, copy};
use tokio::net::unix::pipe;
use tokio::sync::oneshot;

use super::BuiltIn;

/// How long a program has between TERM and KILL when its time is over.
const GRACE: Duration = Duration::from_secs(5);
/// How much of its output fits into a result, in bytes.
const MAX_OUTPUT: u64 = 1 << 20;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Args {
    /// Program and arguments.
    argv: Vec<String>,
    /// Whether to wait for its end and tell it, in place of a stream.
    #[serde(default)]
    wait: bool,
}

/// The programs that run.
#[derive(Default)]
pub(super) struct Programs {
    running: HashMap<u64, Process>,
    last: u64,
}

/// Start a program.
#[derive(Debug, Message)]
#[rtype(result = "Result<Started, String>")]
pub(super) struct Start {
    argv: Vec<String>,
    /// Whether there is something to be written to its standard input.
    input: bool,
    /// Whether its standard error is wanted; else it goes to the log.
    stderr: bool,
}

/// A program that was started.
#[derive(Debug)]
pub(super) struct Started {
    number: u64,
    pid: i32,
    stdin: Option<pipe::Sender>,
    stdout: pipe::Receiver,
    stderr: Option<pipe::Receiver>,
    ended: oneshot::Receiver<Result<ExitStatus, String>>,
}

/// A program was reaped.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(super) struct Reaped(u64);

/// End a program.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(super) struct End(u64);

/// Runs the program that a request names.
pub(super) async fn carry_out(
    request: Request,
    actor: Addr<BuiltIn>,
) -> Result<Answer, Box<dyn std::error::Error + Send + Sync>> {
    let Args { argv, wait } = request.args()?;
    let input = request.stream().await?;
    let start = Start { argv, input: input.is_some(), stderr: wait };
    let started = actor.send(start).await??;
    if let (Some(mut from), Some(mut to)) = (input, started.stdin) {
        tokio::spawn(async move {
            // A program that does not want it all closes its end.
            let _ = copy(&mut from, &mut to).await;
        });
    }
    if !wait {
        let stream = request.offer(started.stdout)?;
        return Ok(Answer::from(json!({ "pid": started.pid })).with_stream(stream));
    }
    let gathered = tokio::try_join!(gather(started.stdout), async {
        match started.stderr {
            Some(stderr) => gather(stderr).await,
            None => Ok(Vec::new()),
        }
    });
    let (stdout, stderr) = match gathered {
        Ok(both) => both,
        Err(error) => {
            actor.do_send(End(started.number));
            return Err(error.into());
        }
    };
    let mut result = match started.ended.await?? {
        ExitStatus::Code(code) => json!({ "code": code }),
        ExitStatus::Signal(signal) => json!({ "signal": signal.to_string() }),
    };
    result["stdout"] = String::from_utf8_lossy(&stdout).into();
    result["stderr"] = String::from_utf8_lossy(&stderr).into();
    Ok(result.into())
}

async fn gather(from: pipe::Receiver) -> io::Result<Vec<u8>> {
    let mut all = Vec::new();
    from.take(MAX_OUTPUT + 1).read_to_end(&mut all).await?;
    match all.len() as u64 > MAX_OUTPUT {
        true => Err(io::Error::other(format!(
            "there are more than {MAX_OUTPUT} bytes of output, which only a stream can take"
        ))),
        false => Ok(all),
    }
}

/// The path of an allowed program; links of its folder are followed, so that `/bin/ls` is
/// `/usr/bin/ls` where one is a link to the other. The last link is not: of a program with many names
/// only one is meant.
fn in_its_folder(program: &Path) -> PathBuf {
    let parts = program.parent().zip(program.file_name());
    let followed = parts.and_then(|(folder, name)| Some(folder.canonicalize().ok()?.join(name)));
    followed.unwrap_or_else(|| program.to_owned())
}

/// Finds what a request asks for among what is allowed.
fn allowed(exec: &ExecTask, name: &str, path: Option<&str>) -> Result<PathBuf, String> {
    if name.is_empty() {
        return Err("args: `argv` is empty".to_owned());
    }
    let refused = || format!("`{name}` is not allowed");
    // What is not there and what is not allowed look the same from outside.
    let found = find_program(name, path, Path::new("/")).map_err(|_| refused())?;
    let program = in_its_folder(&found);
    let mut all = exec.allow.iter().map(|allowed| in_its_folder(allowed));
    all.any(|allowed| allowed == program).then_some(program).ok_or_else(refused)
}

impl Handler<Start> for BuiltIn {
    type Result = Result<Started, String>;

    fn handle(&mut self, start: Start, ctx: &mut Context<Self>) -> Self::Result {
        let Some(exec) = self.offers.exec.clone() else { return Err("not offered".to_owned()) };
        let running = self.programs.running.len();
        if running >= exec.max_running {
            return Err(format!("busy: {running} programs run"));
        }
        let inherited = &self.surroundings.launcher.inherited;
        let path = inherited.iter().find(|(key, _)| key == "PATH").map(|(_, value)| value);
        let path = path.map(|path| path.as_os_str()).and_then(OsStr::to_str);
        let Start { mut argv, input, stderr } = start;
        let name = argv.first().map(String::as_str).unwrap_or_default();
        let program = allowed(&exec, name, path)?;
        argv[0] = program.display().to_string();
        let shown = argv[0].clone();

        let refused = |error: io::Error| error.to_string();
        let mut descriptors = Vec::new();
        let stdin = match input {
            true => {
                let (write, read) = pipe::pipe().map_err(refused)?;
                descriptors.push((0, read.into_blocking_fd().map_err(refused)?));
                Some(write)
            }
            false => None,
        };
        let owner = exec.user.as_deref().and_then(|user| accounts::uid(user).ok());
        let mut output = |number| -> Result<pipe::Receiver, String> {
            let (write, read) = pipe::pipe().map_err(refused)?;
            let write: OwnedFd = write.into_blocking_fd().map_err(refused)?;
            if owner.is_some() {
                // So that it can open `/dev/stdout` anew.
                nix::unistd::fchown(&write, owner, None).map_err(|error| refused(error.into()))?;
            }
            descriptors.push((number, write));
            Ok(read)
        };
        let stdout = output(1)?;
        let stderr = stderr.then(|| output(2)).transpose()?;

        self.programs.last += 1;
        let number = self.programs.last;
        let (told, ended) = oneshot::channel();
        let told = std::cell::RefCell::new(Some(told));
        let actor = ctx.address();
        let launcher = &self.surroundings.launcher;
        let context = process::Context { user: exec.user.clone(), ..Default::default() };
        // The words are the requester's: nothing in them is interpolated.
        let command =
            Command { argv, descriptors, ..launcher.command("exec".into(), &[], &context) };
        let launched = launch(command, &launcher.output, move |report| {
            let outcome = match report {
                Report::Running => return,
                Report::Failed(error) => Err(error.to_string()),
                Report::Exited(status) => Ok(status),
            };
            match &outcome {
                Ok(ExitStatus::Code(0)) => tracing::debug!(target: "exec", "`{shown}` ended"),
                Ok(status) => tracing::info!(target: "exec", "`{shown}` ended with {status}"),
                Err(error) => tracing::warn!(target: "exec", "{error}"),
            }
            if let Some(told) = told.take() {
                // Whoever streams does not ask for the end.
                let _ = told.send(outcome);
            }
            actor.do_send(Reaped(number));
        });
        let process = launched.map_err(|error| error.to_string())?;
        let pid = process.pid();
        self.programs.running.insert(number, process);
        if let Some(limit) = exec.timeout {
            ctx.run_later(limit, move |_, ctx| ctx.notify(End(number)));
        }
        Ok(Started { number, pid, stdin, stdout, stderr, ended })
    }
}

impl Handler<Reaped> for BuiltIn {
    type Result = ();

    fn handle(&mut self, Reaped(number): Reaped, _: &mut Context<Self>) {
        self.programs.running.remove(&number);
    }
}

impl Handler<End> for BuiltIn {
    type Result = ();

    fn handle(&mut self, End(number): End, ctx: &mut Context<Self>) {
        let Some(process) = self.programs.running.get(&number) else { return };
        tracing::info!(target: "exec", "the program with pid {} is ended", process.pid());
        process.signal(Signal::TERM);
        ctx.run_later(GRACE, move |actor, _| {
            if let Some(process) = actor.programs.running.get(&number) {
                process.signal(Signal::KILL);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_listed_is_allowed() {
        let exec = ExecTask {
            allow: vec!["/bin/ls".into(), "/bin/sh".into()],
            user: None,
            timeout: None,
            max_running: 1,
        };
        let ask = |name: &str| allowed(&exec, name, Some("/usr/bin:/bin"));
        assert_eq!(ask("ls"), ask("/usr/../bin/ls"));
        assert!(ask("ls").is_ok());
        for name in ["cat", "/none/ls", "./ls"] {
            assert_eq!(ask(name).unwrap_err(), format!("`{name}` is not allowed"));
        }
        assert!(ask("").is_err());
    }
}
