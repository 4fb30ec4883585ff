//! `coproc run`: from a checked config to an exit code.

use std::cell::{Cell, RefCell};
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::Actor;
use coproc_control::listener::listen;
use coproc_control::port::Port;
use coproc_control::role::Roles;
use coproc_control::server::Entrances;
use coproc_core::exit::{FAILURE, USAGE};
use coproc_core::process::{give_large_memory_back, identity, seal_descriptors};
use coproc_core::socket::Listener;
use coproc_core::supervision::log_panics;
use coproc_exec::config::ExecSocket;
use coproc_gateway::driver::grpc::Presence;
use coproc_gateway::server::shown;
use coproc_template::{Owner, Renderer};
use tokio::sync::watch;

use super::oom;
use super::paths::PidFiles;
use super::record::{Places, Record};
use super::root::{Gated, Parts, Root};
use super::templates::Templates;
use super::tokens;
use crate::config::{self, Config, Loaded, Sources};
use crate::console::complain;
use crate::init::{self, Side};
use crate::{event_loop, log, signals};

/// How long the last lines may take to reach a slow destination.
const LAST_LINES: Duration = Duration::from_secs(2);

/// How the wrapper shows itself around its work.
#[derive(Clone, Copy, Debug)]
pub struct Manner {
    /// How it complains of what keeps it from its work.
    pub complaint: fn(&str) -> String,
    /// The exit code where the config is wrong.
    pub usage: u8,
    /// The exit code where the wrapper itself fails.
    pub failure: u8,
    /// Whether it has a run path with its pid in it.
    pub run_path: bool,
    /// Whether it tells at the end what made it leave.
    pub record: bool,
}

impl Manner {
    /// That of `coproc run`.
    pub const RUN: Self = Self {
        complaint: |why| format!("error: {why}\n"),
        usage: USAGE,
        failure: FAILURE,
        run_path: true,
        record: true,
    };
}

/// How long programs of exec sockets may take to die in the end.
const LAST_RUNS: Duration = Duration::from_secs(2);

/// Runs the main process and its coprocesses until the main process has ended. The record of the end
/// goes to `report` as JSON.
pub fn run(sources: &Sources, manner: Manner, report: Option<&Path>) -> ExitCode {
    let mut places = match Places::open(report, manner.record) {
        Ok(places) => places,
        Err(why) => {
            complain(&(manner.complaint)(&why));
            return ExitCode::from(manner.failure);
        }
    };
    match begin(sources, manner, &mut places) {
        Ok(code) => ExitCode::from(code),
        Err((code, why)) => {
            places.tell(&Record::unstarted(code, &why));
            ExitCode::from(code)
        }
    }
}

/// The run; an error is the code to leave with and what standard error was told.
fn begin(sources: &Sources, manner: Manner, places: &mut Places) -> Result<u8, (u8, String)> {
    let told = |code: u8, why: String| {
        complain(&why);
        (code, why)
    };
    let failed = |why: String| {
        complain(&(manner.complaint)(&why));
        (manner.failure, why)
    };
    let loaded = config::load(sources).map_err(|errors| told(manner.usage, errors.to_string()))?;
    // Before the first child of all, which is `nginx -V`.
    init::heed_children().map_err(|error| failed(format!("CHLD cannot be heeded: {error}")))?;
    // Here, while this is the outer process, whose pid is the wrapper's to everybody.
    let pid = std::process::id();
    let config = loaded.with_facts(pid).map_err(|error| told(error.code, error.to_string()))?;
    let kills = manner.record.then(oom::kills).flatten();
    match init::split(config.subreaper, config.stray_timeout) {
        Ok(Side::Init { code, killed }) => {
            if let Some(signal) = killed {
                places.tell(&Record::of_runtime(code, signal, kills));
            }
            Ok(code)
        }
        Ok(Side::Runtime) => runtime(loaded, config, pid, manner, places, kills).map_err(failed),
        Err(error) => Err(failed(format!("the wrapper cannot be started: {error}"))),
    }
}

/// The runtime below the init; an error is a sentence about why there is none.
fn runtime(
    loaded: Loaded,
    config: Config,
    pid: u32,
    manner: Manner,
    places: &mut Places,
    kills: Option<u64>,
) -> Result<u8, String> {
    let signals = signals::take().map_err(|error| format!("signals cannot be taken: {error}"))?;
    seal_descriptors();
    give_large_memory_back();
    let folder = match manner.run_path {
        true => std::fs::create_dir_all(&config.run_path),
        false => Ok(()),
    };
    let (socket, no_socket) = bind(&config)?;
    let roles = Roles::look_up(config.control.roles.as_ref())?;
    let door = tokens::door(&config.control)?;
    let ports = config.control.listen.iter().map(|address| Port::bind(*address));
    let ports: Vec<_> =
        ports.collect::<Result<_, _>>().map_err(|error| format!("control.listen: {error}"))?;

    let log::Started { output, thread: output_thread, forwarded } =
        log::start(&config.log, |name| std::env::var(name).ok())
            .map_err(|error| format!("log.destination cannot be opened: {error}"))?;
    output.rules(config.log_rules());
    // Only a second runtime in one process would find one set.
    let _ = tracing::subscriber::set_global_default(log::Events::new(output.clone()));
    log_panics();
    for warning in &config.warnings {
        tracing::warn!(target: "config", "{warning}");
    }
    if let Err(error) = folder {
        tracing::warn!(target: "run", "`{}` cannot be made: {error}", config.run_path.display());
    }
    if let Some(why) = no_socket {
        tracing::warn!(target: "control", "there is no control socket: {why}");
    }
    announce_ports(&config, &ports);
    let pid_files =
        manner.run_path.then(|| PidFiles::write(&config.run_path, pid, config.main.kind));
    let inherited: Vec<_> = std::env::vars_os().collect();
    // Before anything is started: who comes early waits in their queues.
    let bound = exec_sockets(&config, &inherited)
        .inspect_err(|why| tracing::error!(target: "exec", fatal = true, "{why}"))
        .and_then(|sockets| {
            let coordinator = coordinator(&config)
                .inspect_err(|why| tracing::error!(target: "coordinator", fatal = true, "{why}"))?;
            let gateway = gateway(&config)
                .inspect_err(|why| tracing::error!(target: "gateway", fatal = true, "{why}"))
                .map_err(|why| format!("gateway: {why}"))?;
            Ok((sockets, coordinator, gateway))
        });
    let (exec_sockets, coordinator, gateway) = match bound {
        Ok(bound) => bound,
        Err(why) => {
            output_thread.finish(Instant::now() + LAST_LINES);
            return Err(why);
        }
    };
    if let Some(bound) = &coordinator {
        announce(bound);
    }
    if let Some((bound, _)) = &gateway {
        let places: Vec<_> = bound.listen().iter().map(shown).collect();
        tracing::info!(target: "gateway", "APIs are served on {}", places.join(", "));
    }

    let code = Rc::new(Cell::new(FAILURE));
    let record = manner.record.then(Rc::default);
    let templates = match templates(&config) {
        Ok(templates) => templates.map(Rc::new),
        Err(why) => {
            tracing::error!(target: "template", fatal = true, "{why}");
            output_thread.finish(Instant::now() + LAST_LINES);
            return Err(why);
        }
    };
    let exec_sockets = Rc::new(RefCell::new(exec_sockets));
    let open_sockets = exec_sockets.clone();
    let parts = Parts {
        output: output.clone(),
        forwarded,
        inherited: Arc::new(inherited),
        control: Entrances { socket, roles, ports, door, heartbeat: config.control.heartbeat },
        exec_sockets,
        templates: templates.clone(),
        coordinator,
        gateway,
        code: code.clone(),
        record: record.clone(),
        kills,
        world: None,
        config: Rc::new(config),
        loaded: Rc::new(loaded),
    };
    let system = event_loop::start()?;
    let begun = system.block_on(async {
        let signals = signals.watch()?;
        let root = Root::new(parts).start();
        let told = root.clone();
        signals.tell(move |signal| told.do_send(signal));
        Ok(root)
    });
    let root =
        begun.map_err(|error: io::Error| format!("signals cannot be waited for: {error}"))?;
    let ran = system.run();
    drop(root);
    if let Err(error) = ran {
        tracing::error!(target: "run", fatal = true, "{error}");
    }
    // With the actors gone, whatever still runs for a client is being killed.
    for socket in open_sockets.borrow().iter() {
        if !socket.wait(LAST_RUNS) {
            tracing::warn!(target: "exec", "{}: a program does not die", socket.name());
        }
    }
    // Nobody reads what was rendered any more.
    if let Some(Err(why)) = templates.map(|templates| templates.clean_up()) {
        tracing::error!(target: "template", "{why}");
    }
    output_thread.finish(Instant::now() + LAST_LINES);
    drop(pid_files);
    if let Some(record) = record.and_then(|record: Rc<RefCell<Option<Record>>>| record.take()) {
        places.tell(&record);
    }
    Ok(code.get())
}

/// The folders that templates need, and the thread that renders them. The error is a sentence.
fn templates(config: &Config) -> Result<Option<Templates>, String> {
    let Some(settings) = &config.template else { return Ok(None) };
    // A user that cannot be switched to is what the start of the main process fails with.
    let reader = identity(&config.main.context).ok().flatten();
    let owner = reader.map(|(user, group)| Owner { user, group });
    let mut renderer = Renderer::new(settings.clone(), config.template_values.clone(), owner);
    renderer.make_folders().map_err(|error| error.to_string())?;
    // Without a working directory there is none to spare.
    let folder = std::env::current_dir().unwrap_or_default();
    let started = Templates::start(renderer, config.scope.clone(), folder);
    started.map(Some).map_err(|error| format!("the templates' thread cannot be started: {error}"))
}

/// The exec sockets, bound and not yet served. The error is a sentence.
pub(super) fn exec_sockets(
    config: &Config,
    inherited: &[(OsString, OsString)],
) -> Result<Vec<coproc_exec::Bound>, String> {
    config.exec_sockets.iter().map(|socket| exec_socket(config, socket, inherited)).collect()
}

/// One of them.
pub(super) fn exec_socket(
    config: &Config,
    socket: &ExecSocket,
    inherited: &[(OsString, OsString)],
) -> Result<coproc_exec::Bound, String> {
    let path = PathBuf::from(config.scope.interpolate(&socket.path));
    // Where the wrapper was started, there relative paths begin.
    let path = std::path::absolute(&path).unwrap_or(path);
    coproc_exec::Bound::open(socket, &path, inherited)
        .map_err(|error| format!("exec socket `{}`: {error}", socket.name))
}

/// The coordinator, bound and not yet served. The error is a sentence.
pub(super) fn coordinator(config: &Config) -> Result<Option<coproc_coordinator::Bound>, String> {
    let Some(coordinator) = config.placed_coordinator() else { return Ok(None) };
    coproc_coordinator::Bound::open(coordinator)
        .map(Some)
        .map_err(|error| format!("coordinator: {error}"))
}

/// The gateway, bound and not yet served, and the way to tell it of its plugin server. The error is a
/// sentence.
pub(super) fn gateway(config: &Config) -> Result<Option<Gated>, String> {
    let Some(gateway) = config.placed_gateway() else { return Ok(None) };
    let (presence, watched) = watch::channel(Presence::Coming);
    let watched = match &gateway.plugin {
        Some(name) if config.coprocesses.iter().any(|one| one.name.as_str() == name) => {
            Some(watched)
        }
        Some(name) => return Err(format!("there is no coprocess `{name}` for its plugin server")),
        None => None,
    };
    coproc_gateway::server::Bound::open(gateway, watched)
        .map(|bound| Some((bound, presence)))
        .map_err(|error| error.to_string())
}

/// Says where the control's ports are, and what is not as safe as it could be.
fn announce_ports(config: &Config, ports: &[Port]) {
    let tokens = config.control.has_tokens();
    if tokens && ports.is_empty() {
        tracing::warn!(
            target: "control",
            "control.token_files has no effect: control.listen names no port"
        );
    }
    let more = if tokens { ", and everything to who shows a token" } else { "" };
    for port in ports {
        let address = port.address();
        tracing::info!(
            target: "control",
            "health and metrics are told on http://{address}/{more}"
        );
        if tokens && !address.ip().is_loopback() {
            tracing::warn!(
                target: "control",
                "tokens pass http://{address}/ in the clear: let nobody listen on the way, or put TLS before it"
            );
        }
    }
}

/// Says where a coordinator is to be found.
fn announce(bound: &coproc_coordinator::Bound) {
    let config = bound.config();
    let external = bound.address().map_or("none".into(), |address| format!("http://{address}/"));
    tracing::info!(
        target: "coordinator",
        "server addresses: internal unix://{}, response unix://{}, external {external}",
        config.internal().display(),
        config.response().display(),
    );
}

/// The control socket, or why there is none where that is no error.
fn bind(config: &Config) -> Result<(Option<Listener>, Option<String>), String> {
    let Some(path) = &config.control.socket else { return Ok((None, None)) };
    match listen(path, config.control.mode, config.control.owner.as_deref()) {
        Ok(listener) => Ok((Some(listener), None)),
        Err(error) if config.control.configured => Err(format!("control.socket: {error}")),
        Err(error) => Ok((None, Some(error.to_string()))),
    }
}
