//! `coproc exec`: a program over an exec socket, as if it had been run here.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};

use coproc_core::exit::{ExitStatus, FAILURE, USAGE};
use coproc_core::signal::Signal;
use coproc_exec::client::{ClientError, Run};

use crate::cli::Exec;
use crate::config::{self, Sources};
use crate::console::{complain, status};
use crate::signals;

/// There is no server, or no status.
const NO_STATUS: u8 = 111;

/// Runs the program and gives its exit status.
pub fn exec(args: &Exec, sources: Sources) -> ExitCode {
    let path = match socket(args.socket.as_deref(), sources) {
        Ok(path) => path,
        Err(complaint) => {
            complain(&complaint);
            return ExitCode::from(USAGE);
        }
    };
    let failed = |error: &dyn std::error::Error, code| {
        complain(&format!("error: {error}\n"));
        ExitCode::from(code)
    };
    let run = match Run::start(&path, &args.words) {
        Ok(run) => run,
        Err(error) => return failed(&error, NO_STATUS),
    };
    let stopped_by = Arc::new(AtomicI32::new(0));
    let listening = run.hang_up().map_err(io::Error::other).and_then(|hang_up| {
        let stopped_by = stopped_by.clone();
        signals::first_stop(move |signal| {
            stopped_by.store(signal.number(), Ordering::Release);
            hang_up.hang_up();
        })
    });
    if let Err(error) = listening {
        return failed(&error, FAILURE);
    }
    let streams = [own(io::stdin()), own(io::stdout()), own(io::stderr())];
    let [Ok(stdin), Ok(stdout), Ok(stderr)] = streams else {
        return failed(&io::Error::from(rustix::io::Errno::MFILE), FAILURE);
    };
    match (run.pass(stdin, stdout, stderr), stopped_by.load(Ordering::Acquire)) {
        (Ok(status), _) => ExitCode::from(status.shell_code()),
        (Err(ClientError::Output(error)), 0) => status(Err(error)),
        (Err(error @ ClientError::Stdin(_)), 0) => failed(&error, FAILURE),
        (Err(error), 0) => failed(&error, NO_STATUS),
        (Err(_), number) => {
            let stopped = Signal::from_number(number).map(ExitStatus::Signal);
            ExitCode::from(stopped.map_or(NO_STATUS, ExitStatus::shell_code))
        }
    }
}

/// A stream of this process without a buffer of the library's.
fn own(stream: impl AsFd) -> io::Result<File> {
    stream.as_fd().try_clone_to_owned().map(File::from)
}

/// Where the socket is: a path as it is given, else what the config says.
fn socket(named: Option<&OsStr>, sources: Sources) -> Result<PathBuf, String> {
    if let Some(path) = named.filter(|named| named.as_bytes().contains(&b'/')) {
        return Ok(path.into());
    }
    // A wrapper may have been started without a file, and variables may say it all.
    let sources = Sources { file_optional: true, ..sources };
    let loaded = config::load(&sources).map_err(|errors| errors.to_string())?;
    let sockets = &loaded.config.exec_sockets;
    let names: Vec<_> = sockets.iter().map(|socket| format!("`{}`", socket.name)).collect();
    let names = names.join(", ");
    let found = match (named, &sockets[..]) {
        (_, []) => {
            Err("the config has no [exec_socket]: name a socket by --socket PATH".to_owned())
        }
        (None, [one]) => Ok(one),
        (None, _) => Err(format!("there are several exec sockets: use --socket with {names}")),
        (Some(named), _) => sockets.iter().find(|socket| *named == *socket.name).ok_or_else(|| {
            let named = named.display();
            format!(
                "no exec socket is called `{named}`; there is {names}\n  \
                 = help: a path has a slash in it: `./{named}`"
            )
        }),
    };
    let found = found.map_err(|complaint| format!("error: {complaint}\n"))?;
    // Names that only the wrapper knows stay as they are.
    Ok(loaded.scope_for_clients().interpolate(&found.path).into())
}
