//! What a process must be given at its launch so that its probes can watch it.

use std::io;
use std::rc::Rc;
use std::sync::Arc;

use rustix::pipe::{PipeFlags, pipe_with};
use tokio::net::unix::pipe;

use super::check::Check;
use super::config::{Address, HttpTarget, Kind, Probe};
use super::notify::{Mailbox, SOCKET_VARIABLE, WATCHDOG_VARIABLE};
use super::table::Role;
use super::tap::{self, Heard};
use crate::output::{Kind as Lines, Output};
use crate::process::{Command, Taps};
use crate::scope::Scope;
use crate::world::World;

/// The probes of one process that is about to be launched.
#[derive(Default)]
pub struct Attached {
    pub(super) ready: Option<(Probe, Source)>,
    pub(super) live: Option<(Probe, Source)>,
    pub(super) mailbox: Option<Mailbox>,
}

/// Where a probe's answers come from.
pub(super) enum Source {
    /// It goes and looks.
    Active(Check),
    /// The tap on the output.
    Log(Heard),
    /// The pipe that the process writes to.
    Pipe(pipe::Receiver),
    /// The socket that the process writes to, which both probes share.
    Mailbox,
    /// What stands in for the system, by the program's name.
    Imagined(Rc<dyn World>, Arc<str>),
}

/// Prepares the probes and gives `command` what they need. `output` is where the lines of `exec`
/// probes go.
///
/// # Errors
/// When a pipe or a socket cannot be made.
pub fn attach(
    ready: Option<&Probe>,
    live: Option<&Probe>,
    command: &mut Command,
    scope: &Arc<Scope>,
    output: &Output,
) -> io::Result<Attached> {
    let mut attached = Attached::default();
    if let Some(world) = &command.world {
        let imagined =
            |probe: &Probe| (probe.clone(), Source::Imagined(world.clone(), command.name.clone()));
        return Ok(Attached {
            ready: ready.map(imagined),
            live: live.map(imagined),
            mailbox: None,
        });
    }
    // Both before the command is changed, so that a probe's own program is not given what the
    // process is given.
    let ready_check = ready.and_then(|probe| active(probe, Role::Ready, command, scope, output));
    let live_check = live.and_then(|probe| active(probe, Role::Live, command, scope, output));
    if let Some(probe) = ready {
        attached.ready = Some((probe.clone(), source(probe, ready_check, command)?));
    }
    if let Some(probe) = live {
        attached.live = Some((probe.clone(), source(probe, live_check, command)?));
    }
    let notifies = |probe: Option<&Probe>| probe.is_some_and(|probe| probe.kind == Kind::Notify);
    if notifies(ready) || notifies(live) {
        let mailbox = Mailbox::open()?;
        command.added.push((SOCKET_VARIABLE, mailbox.variable()));
        attached.mailbox = Some(mailbox);
    }
    if let Some(probe) = live.filter(|probe| probe.kind == Kind::Notify) {
        let silence = probe.silence().as_micros().to_string();
        command.added.push((WATCHDOG_VARIABLE, silence));
    }
    Ok(attached)
}

fn source(probe: &Probe, check: Option<Check>, command: &mut Command) -> io::Result<Source> {
    if let Some(check) = check {
        return Ok(Source::Active(check));
    }
    match &probe.kind {
        Kind::Log(pattern) => {
            let behind = [command.taps.stdout.take(), command.taps.stderr.take()];
            let ([stdout, stderr], heard) = tap::taps(&pattern.0, behind);
            command.taps = Taps { stdout: Some(stdout), stderr: Some(stderr) };
            Ok(Source::Log(heard))
        }
        Kind::Fd(number) => {
            let (read, write) = pipe_with(PipeFlags::CLOEXEC)?;
            command.descriptors.push((*number, write));
            Ok(Source::Pipe(pipe::Receiver::from_owned_fd(read)?))
        }
        _ => Ok(Source::Mailbox),
    }
}

/// The check of a probe that goes and looks.
fn active(
    probe: &Probe,
    role: Role,
    command: &Command,
    scope: &Arc<Scope>,
    output: &Output,
) -> Option<Check> {
    Some(match &probe.kind {
        Kind::Exec(words) => {
            let words = words.clone();
            let name: Arc<str> = format!("{}-{}", role.key(), command.name).into();
            let (context, inherited) = (command.context.clone(), command.inherited.clone());
            let (added, scope) = (command.added.clone(), scope.clone());
            let make = move || Command {
                name: name.clone(),
                argv: words.iter().map(|word| scope.interpolate(word)).collect(),
                context: context.clone(),
                inherited: inherited.clone(),
                added: added.clone(),
                kind: Lines::Aside,
                taps: Taps::default(),
                descriptors: Vec::new(),
                world: None,
            };
            Check::Exec(Box::new(make), output.clone())
        }
        Kind::Http(HttpTarget { address: Address::Unix(socket), path }) => {
            let address = Address::Unix(scope.interpolate(socket));
            Check::Http(HttpTarget { address, path: path.clone() })
        }
        Kind::Http(target) => Check::Http(target.clone()),
        Kind::Tcp(address) => Check::Tcp(address.clone()),
        Kind::Unix(path) => Check::Unix(scope.interpolate(path)),
        Kind::File(path) => Check::File(scope.interpolate(path).into()),
        Kind::Log(_) | Kind::Fd(_) | Kind::Notify => return None,
    })
}
