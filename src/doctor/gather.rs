//! Looks at the machine. Nothing is started, and nothing is written.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use coproc_coprocess::config::Coprocess;
use coproc_core::probe::{self, Probe};
use coproc_core::process::{Context, find_program, identity};
use coproc_main::config::{Check, Kind};
use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit};
use nix::unistd::{getegid, geteuid};
use rustix::fs::{Access, StatVfsMountFlags, access, statvfs};

use super::facts::{Control, Daemon, Facts, File, Found, Limit, Place, Program, State, User};
use super::judge::raises_limits;
use crate::config::{Config, Sources};

/// As much of nginx's configuration is read.
const CONFIGURATION: u64 = 1024 * 1024;

/// All that there is to know.
pub(super) fn gather(config: &Config, sources: &Sources) -> Facts {
    let own = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let field = |name: &str| {
        let mut lines = own.lines();
        lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
    };
    let capabilities = field("CapEff").and_then(|mask| u64::from_str_radix(mask, 16).ok());
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let cgroup = cgroup(&groups);
    let number = |file: &str, old: &str| {
        let places = cgroup.1.iter().map(|base| format!("{base}/{file}"));
        let mut texts = places.chain([old.to_owned()]).filter_map(|at| fs::read_to_string(at).ok());
        let number = texts.next()?.trim().parse::<u64>().ok();
        // Version 1 says "no limit" by a number that no machine has.
        number.filter(|limit| *limit < 1 << 60)
    };
    let limit = |(soft, hard): (u64, u64)| {
        let finite = |limit: u64| (limit != RLIM_INFINITY).then_some(limit);
        (finite(soft), finite(hard))
    };
    let Tables { programs, files, users, limits } = tables(config, sources, capabilities);
    Facts {
        pid: std::process::id(),
        subreaper: config.subreaper,
        uid: geteuid().as_raw(),
        gid: getegid().as_raw(),
        capabilities,
        no_new_privs: field("NoNewPrivs") == Some("1"),
        seccomp: field("Seccomp").is_some_and(|mode| mode != "0"),
        cgroup: cgroup.0,
        cgroup_kill: cgroup
            .1
            .iter()
            .any(|base| may(format!("{base}/cgroup.kill"), Access::WRITE_OK)),
        memory_limit: number("memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"),
        pids_limit: number("pids.max", "/sys/fs/cgroup/pids/pids.max"),
        open_files: getrlimit(Resource::RLIMIT_NOFILE).map(limit).unwrap_or_default(),
        root_read_only: statvfs("/").is_ok_and(|at| at.f_flag.contains(StatVfsMountFlags::RDONLY)),
        run_path: Place {
            state: state(&config.run_path),
            path: config.run_path.display().to_string(),
        },
        control: config.control.socket.as_ref().map(|path| control(path, config)),
        termination_log: may("/dev/termination-log", Access::WRITE_OK),
        now: SystemTime::now(),
        shutdown_timeout: config.shutdown_timeout,
        strays: config.subreaper.then_some(config.stray_timeout),
        programs,
        files,
        users,
        limits,
        nginx: (config.main.kind == Kind::Nginx).then(|| nginx(config)),
    }
}

fn may(path: impl AsRef<Path>, what: Access) -> bool {
    access(path.as_ref(), what).is_ok()
}

/// The version of cgroups, and where the wrapper's own group of version 2 may be.
fn cgroup(groups: &str) -> (Option<u8>, Vec<String>) {
    let unified = groups.lines().find_map(|line| line.strip_prefix("0::"));
    match unified {
        Some(path) if may("/sys/fs/cgroup/cgroup.controllers", Access::EXISTS) => {
            let own = format!("/sys/fs/cgroup{}", path.trim_end_matches('/'));
            (Some(2), vec![own, "/sys/fs/cgroup".to_owned()])
        }
        _ if groups.is_empty() => (None, Vec::new()),
        _ => (Some(1), Vec::new()),
    }
}

/// Whether there can be files in a folder.
fn state(folder: &Path) -> State {
    match folder.metadata() {
        Ok(found) if !found.is_dir() => State::Refused("it is no folder".to_owned()),
        Ok(_) if may(folder, Access::WRITE_OK | Access::EXEC_OK) => State::Writable,
        Ok(_) => State::Refused("it cannot be written to".to_owned()),
        Err(_) => {
            let above = folder.ancestors().skip(1).find(|one| one.exists());
            match above {
                Some(above) if above.is_dir() && may(above, Access::WRITE_OK | Access::EXEC_OK) => {
                    State::CanBeMade
                }
                Some(above) => State::Refused(format!(
                    "it is not there, and cannot be made in {}",
                    above.display()
                )),
                None => State::Refused("it is not there".to_owned()),
            }
        }
    }
}

fn control(path: &Path, config: &Config) -> Control {
    let folder = path.parent().unwrap_or(Path::new("/"));
    let open = |folder: &Path| {
        let found = folder.metadata().ok()?;
        let stranger = found.uid() != geteuid().as_raw() && found.uid() != 0;
        // The sticky bit keeps others from putting theirs in its place.
        let open = found.mode() & 0o022 != 0 && found.mode() & 0o1000 == 0;
        (stranger || open).then(|| "others may write to its folder".to_owned())
    };
    let state = match state(folder) {
        State::Refused(why) => State::Refused(format!("its folder: {why}")),
        state => open(folder).map_or(state, State::Refused),
    };
    Control {
        place: Place { path: path.display().to_string(), state },
        configured: config.control.configured,
        taken: UnixStream::connect(path).is_ok(),
    }
}

/// What the tables of the config ask of the machine.
#[derive(Default)]
struct Tables {
    programs: Vec<Program>,
    files: Vec<File>,
    users: Vec<User>,
    limits: Vec<Limit>,
}

/// Commands by their keys in a table.
type Commands<'a> = Vec<(&'static str, &'a [String])>;

fn tables(config: &Config, sources: &Sources, capabilities: Option<u64>) -> Tables {
    let mut tables = Tables::default();
    let Tables { programs, files, users, limits } = &mut tables;
    let mut take = |key: &str, commands: Commands<'_>, context: &Context| {
        for (name, words) in commands {
            let Some(word) = words.first() else { continue };
            let found = found(word, context, sources);
            programs.push(Program { key: format!("{key}.{name}"), name: word.clone(), found });
        }
        files.extend(needed(key, context, sources));
        let who = context.user.as_ref().or(context.group.as_ref()).filter(|name| !name.is_empty());
        if let Some(who) = who {
            let wrong = identity(context).err().map(|error| error.reason);
            let part = if context.user.is_some() { "user" } else { "group" };
            users.push(User { key: format!("{key}.{part}"), name: who.clone(), wrong });
        }
        if raises_limits(capabilities) {
            return;
        }
        for (resource, wanted) in &context.limits {
            let Some(allowed) = hard_limit(resource.name()) else { continue };
            if wanted.hard.is_none_or(|hard| hard > allowed) {
                let key = format!("{key}.limits.{}", resource.name());
                limits.push(Limit { key, wanted: wanted.hard, allowed });
            }
        }
    };
    let main = &config.main;
    if main.kind != Kind::None {
        let mut commands: Commands<'_> = vec![("exec", &main.exec)];
        if let Check::Command(words) = &main.check {
            commands.push(("check", words));
        }
        commands.extend(asked([&main.ready, &main.live]));
        take("main", commands, &main.context);
    }
    // What one replica needs, all do.
    let is_first = |one: &&Coprocess| one.replica.as_ref().is_none_or(|one| one.number == 1);
    for one in config.coprocesses.iter().filter(is_first) {
        let mut commands: Commands<'_> = vec![("exec", &one.exec)];
        commands.extend(one.stop_exec.as_deref().map(|words| ("stop_exec", words)));
        commands.extend(asked([&one.ready, &one.live]));
        take(&format!("coprocess.{}", one.key), commands, &one.context);
    }
    tables
}

/// The programs of the probes `ready` and `live`.
fn asked(probes: [&Option<Probe>; 2]) -> impl Iterator<Item = (&'static str, &[String])> {
    ["ready.exec", "live.exec"].into_iter().zip(probes).filter_map(|(key, probe)| {
        match &probe.as_ref()?.kind {
            probe::Kind::Exec(words) => Some((key, words.as_slice())),
            _ => None,
        }
    })
}

/// The folder and the files without which a program cannot be started.
fn needed(key: &str, context: &Context, sources: &Sources) -> Vec<File> {
    let file = |name: String, path: &Path, folder: bool| {
        let path = sources.folder.join(path);
        let wrong = match path.metadata() {
            Err(error) => Some(error.to_string()),
            Ok(found) if folder && !found.is_dir() => Some("it is no folder".to_owned()),
            Ok(_) if folder => None,
            Ok(found) if !found.is_file() => Some("it is not a regular file".to_owned()),
            // It is read by the wrapper itself.
            Ok(_) => access(&path, Access::READ_OK).err().map(|error| error.to_string()),
        };
        File { key: format!("{key}.{name}"), path: path.display().to_string(), wrong }
    };
    let cwd = context.cwd.iter().map(|path| file("cwd".to_owned(), path, true));
    let env_file = context.env_file.iter().map(|path| file("env_file".to_owned(), path, false));
    let secrets = context.secrets.iter();
    let secrets = secrets.map(|(name, path)| file(format!("secrets.{name}"), path, false));
    cwd.chain(env_file).chain(secrets).collect()
}

fn found(word: &str, context: &Context, sources: &Sources) -> Found {
    if word.contains("${") {
        return Found::Depends;
    }
    let own = context.env.get("PATH").map(String::as_str);
    let path = own.or_else(|| sources.variable("PATH"));
    let folder = context.cwd.clone().unwrap_or_else(|| sources.folder.clone());
    let folder = match folder.is_absolute() {
        true => folder,
        false => sources.folder.join(folder),
    };
    match find_program(word, path, &folder) {
        Ok(at) => Found::At(at.display().to_string()),
        Err(why) => Found::Not(why.to_string()),
    }
}

/// How far a process may raise this resource without a capability; none where it may as it likes.
fn hard_limit(name: &str) -> Option<u64> {
    let resource = match name {
        "nofile" => Resource::RLIMIT_NOFILE,
        "nproc" => Resource::RLIMIT_NPROC,
        "core" => Resource::RLIMIT_CORE,
        "memlock" => Resource::RLIMIT_MEMLOCK,
        "stack" => Resource::RLIMIT_STACK,
        "as" => Resource::RLIMIT_AS,
        "fsize" => Resource::RLIMIT_FSIZE,
        _ => return None,
    };
    let (_, hard) = getrlimit(resource).ok()?;
    (hard != RLIM_INFINITY).then_some(hard)
}

fn nginx(config: &Config) -> Daemon {
    let words = config.main.exec.join(" ");
    if let Some(said) = directive(&words, true) {
        return said;
    }
    let named = config.main.exec.iter().skip_while(|word| *word != "-c").nth(1).map(PathBuf::from);
    let path = named.unwrap_or_else(|| config.conf_path.join("nginx.conf"));
    let large = path.metadata().is_ok_and(|found| found.len() > CONFIGURATION);
    match fs::read_to_string(&path) {
        Ok(text) if config.template.is_none() && !large => {
            directive(&text, false).unwrap_or(Daemon::On)
        }
        _ => Daemon::Unknown,
    }
}

/// The `daemon` directive of an nginx configuration, outside of all blocks. In the words of a command
/// line it may stand anywhere.
pub(super) fn directive(text: &str, anywhere: bool) -> Option<Daemon> {
    let mut depth = 0usize;
    let mut said = None;
    for line in text.lines() {
        let line = line.split('#').next().unwrap_or_default();
        for part in line.split_inclusive([';', '{', '}']) {
            let statement = part.trim_end_matches([';', '{', '}']);
            let words: Vec<_> = statement.split_whitespace().collect();
            let place = words.iter().position(|word| *word == "daemon");
            let value = place.and_then(|at| words.get(at + 1));
            if part.ends_with(';') && (anywhere || (depth == 0 && place == Some(0))) {
                said = match value {
                    Some(&"off") => Some(Daemon::Off),
                    Some(&"on") => Some(Daemon::On),
                    _ => said,
                };
            }
            match part.chars().last() {
                Some('{') => depth += 1,
                Some('}') => depth = depth.saturating_sub(1),
                _ => {}
            }
        }
    }
    said
}
