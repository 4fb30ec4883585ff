//! A source directory of s6-rc as a config: oneshots in the foreground, longruns beside them, each after
//! what it depends on.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use coproc_core::words::Words;

use super::draft::{Draft, Key, Table, list, text};

/// No directory has more services.
const SERVICES: usize = 512;

/// A service as its folder describes it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Service {
    pub(super) kind: String,
    /// The texts of its files, by their names.
    pub(super) files: BTreeMap<String, String>,
    /// What it depends on, or consists of.
    pub(super) needs: BTreeSet<String>,
    /// Its folder.
    pub(super) path: String,
    /// Whether its `run` is executable.
    pub(super) can_be_run: bool,
}

/// Reads a directory. The error is a sentence.
pub(super) fn read(path: &Path) -> Result<Draft, String> {
    let shown = super::shown(path);
    let wrong = |error: std::io::Error| format!("{shown} cannot be read: {error}");
    let mut services = BTreeMap::new();
    let path = std::path::absolute(path).map_err(wrong)?;
    for entry in fs::read_dir(&path).map_err(wrong)? {
        let entry = entry.map_err(wrong)?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        if name.starts_with('.') || !entry.path().is_dir() {
            continue;
        }
        if services.len() == SERVICES {
            return Err(format!("{shown} has more than {SERVICES} services"));
        }
        services.insert(name, service(&entry.path())?);
    }
    if !services.values().any(|one| !one.kind.is_empty()) {
        return Err(format!("{shown} has no folder with a file `type`: it is no source of s6-rc"));
    }
    Ok(convert(&shown, &services))
}

fn service(path: &Path) -> Result<Service, String> {
    const FILES: [&str; 20] = [
        "type",
        "run",
        "up",
        "down",
        "finish",
        "notification-fd",
        "timeout-up",
        "timeout-down",
        "timeout-kill",
        "timeout-finish",
        "down-signal",
        "max-death-tally",
        "producer-for",
        "consumer-for",
        "pipeline-name",
        "flag-essential",
        "dependencies",
        "contents",
        "nosetsid",
        "lock-fd",
    ];
    let mut service = Service { path: super::shown(path), ..Service::default() };
    for name in FILES {
        let file = path.join(name);
        if file.is_file() {
            let text = super::read(&file)?;
            service.files.insert(name.to_owned(), text);
        }
    }
    let run = fs::metadata(path.join("run"));
    service.can_be_run = run.is_ok_and(|run| run.permissions().mode() & 0o111 != 0);
    for name in ["env", "data"] {
        if path.join(name).is_dir() {
            service.files.insert(name.to_owned(), String::new());
        }
    }
    service.kind = service.files.get("type").map(|text| text.trim().to_owned()).unwrap_or_default();
    for name in ["dependencies", "contents"] {
        let lines = service.files.get(name).map(|text| text.lines()).into_iter().flatten();
        let lines = lines.map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        let mut needs: BTreeSet<_> = lines.map(str::to_owned).collect();
        if let Ok(entries) = fs::read_dir(path.join(format!("{name}.d"))) {
            let names =
                entries.filter_map(Result::ok).filter_map(|one| one.file_name().into_string().ok());
            needs.extend(names.filter(|name| !name.starts_with('.')));
        }
        service.needs.extend(needs);
    }
    Ok(service)
}

/// The services, by name, as a config. Pure.
pub(super) fn convert(shown: &str, services: &BTreeMap<String, Service>) -> Draft {
    let mut draft = Draft::new(format!("Made of {shown} by `coproc import`."));
    let place = |name: &str, file: &str| format!("{shown}/{name}/{file}");
    let mut names = BTreeMap::new();
    for name in order(services, shown, &mut draft) {
        let service = &services[&name];
        match service.kind.as_str() {
            "bundle" => continue,
            "oneshot" | "longrun" => {}
            "" => {
                draft.remark(place(&name, "type"), &name, "it is missing, and the folder left out");
                continue;
            }
            other => {
                draft.remark(place(&name, "type"), other, "this type is not known");
                continue;
            }
        }
        let longrun = service.kind == "longrun";
        let file = if longrun { "run" } else { "up" };
        let Some(script) = service.files.get(file) else {
            draft.remark(place(&name, file), &name, "it is missing, and the service left out");
            continue;
        };
        let mut table = draft.table(&name, 0, &place(&name, ""));
        names.insert(name.clone(), table.name.clone());
        if longrun && !service.can_be_run {
            let why = "it is not executable, which s6-rc-compile sees to: chmod +x";
            draft.remark(place(&name, file), file, why);
        }
        let exec = match longrun {
            true => vec![format!("{}/run", service.path)],
            false => command(script, service, "up", &place(&name, "up"), &mut draft),
        };
        table.keys.push(("exec", list(&exec)));
        table.keys.push(("restarts", text(if longrun { "unlimited" } else { "never" })));
        if longrun {
            table.keys.push(("background", "true".to_owned()));
            table.keys.push(("time_between_restarts", text("1s")));
        } else {
            table.keys.push(("on_give_up", text("shutdown")));
        }
        table.keys.push(start(&services[&name], &names, &draft));
        table.keys.push(("stop_event", text("exit")));
        rest(&name, service, shown, &mut table, &mut draft);
        draft.coprocesses.push(table);
    }
    draft
}

/// The words of a oneshot's script, which is a command line of execline.
fn command(
    script: &str,
    service: &Service,
    file: &str,
    place: &str,
    draft: &mut Draft,
) -> Vec<String> {
    let lines =
        script.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let lines: Vec<_> = lines.collect();
    if let [line] = lines.as_slice()
        && !line.contains(['{', '}', '$', '\\', '"'])
        && let Some(Words(words)) = Words::split(line)
        && words.first().is_some_and(|word| !word.is_empty())
    {
        return words;
    }
    draft.remark(place, file, "it is a script of execline, which has to be installed");
    vec!["execlineb".to_owned(), "-P".to_owned(), format!("{}/{file}", service.path)]
}

/// When a service starts: at `pre-start` where it needs none but oneshots that hold it; else after all that
/// it needs.
fn start(service: &Service, names: &BTreeMap<String, String>, draft: &Draft) -> Key {
    let is_needed =
        |one: &&Table| service.needs.iter().any(|need| names.get(need) == Some(&one.name));
    let is_over = |one: &Table| {
        let has = |key| one.keys.iter().any(|(name, _)| *name == key);
        !has("background") && !has("after")
    };
    let needed = draft.coprocesses.iter().filter(is_needed);
    let needed: Vec<_> = needed.filter(|one| !is_over(one)).map(|one| &one.name).collect();
    match needed.is_empty() {
        true => ("exec_event", text("pre-start")),
        false => ("after", list(&needed)),
    }
}

/// The other files of a service.
fn rest(name: &str, service: &Service, shown: &str, table: &mut Table, draft: &mut Draft) {
    let place = |file: &str| format!("{shown}/{name}/{file}");
    let number =
        |file: &str| service.files.get(file).and_then(|text| text.trim().parse::<u32>().ok());
    let longrun = service.kind == "longrun";
    let within = number("timeout-up").filter(|ms| *ms > 0);
    match number("notification-fd") {
        Some(fd) if longrun && (3..=255).contains(&fd) => {
            let within = within.map_or(String::new(), |ms| format!(", within = \"{ms}ms\""));
            table.keys.push(("ready", format!("{{ fd = {fd}{within} }}")));
        }
        Some(_) => draft.remark(
            place("notification-fd"),
            "notification-fd",
            "it is no descriptor from 3 to 255 of a longrun",
        ),
        None => {
            if within.is_some() {
                let why = "nothing bounds its run; a `ready` probe has `within`";
                draft.remark(place("timeout-up"), "timeout-up", why);
            }
        }
    }
    if let Some(script) =
        service.files.get("down").filter(|text| !longrun && !text.trim().is_empty())
    {
        let words = command(script, service, "down", &place("down"), draft);
        table.keys.push(("stop_exec", list(&words)));
        if let Some(ms) = number("timeout-down").filter(|ms| *ms > 0) {
            table.keys.push(("stop_exec_timeout", text(&format!("{ms}ms"))));
            draft.commands = draft.commands.saturating_add(Duration::from_millis(ms.into()));
        }
    }
    if let Some(ms) = number("timeout-kill").filter(|ms| *ms > 0) {
        table.keys.push(("stop_timeout", text(&format!("{ms}ms"))));
        draft.patience = draft.patience.max(Duration::from_millis(ms.into()));
    }
    for file in service.files.keys() {
        let why = match file.as_str() {
            "finish" => {
                "what follows an exit is a coprocess with exec_event = \"coprocess.NAME.exited\""
            }
            "down-signal" => {
                "a coprocess is sent TERM, INT and KILL; a stop_exec may send another first"
            }
            "max-death-tally" => "say restart_limit = { count, window }",
            "producer-for" | "consumer-for" | "pipeline-name" => {
                "output goes to the wrapper's log; there are no pipelines"
            }
            "flag-essential" => "whoever stops all stops this one as well",
            "env" => "its files are read by its run script; else say `env` or `env_file`",
            "data" => "its files stay where they are",
            "timeout-finish" | "lock-fd" => "there is no equal",
            "timeout-down" if longrun => "say stop_timeout, for each of TERM and INT",
            _ => continue,
        };
        draft.remark(place(file), file, why);
    }
}

/// The services, each after what it depends on; else by name. A circle is cut and remarked.
fn order(services: &BTreeMap<String, Service>, shown: &str, draft: &mut Draft) -> Vec<String> {
    let mut done: Vec<String> = Vec::new();
    let mut left: BTreeSet<&String> = services.keys().collect();
    while !left.is_empty() {
        let free = |name: &&&String| {
            services[**name].needs.iter().all(|need| !left.contains(need) || need == **name)
        };
        let next = left.iter().find(free).or(left.first()).copied();
        let Some(name) = next else { break };
        if !services[name].needs.iter().all(|need| !left.contains(need) || need == name) {
            draft.remark(format!("{shown}/{name}"), "dependencies.d", "they go round in a circle");
        }
        for need in &services[name].needs {
            // What s6-overlay brings itself is of no concern here.
            let own = ["base", "legacy-services", "legacy-cont-init", "s6rc-oneshot-runner"];
            if !services.contains_key(need) && !own.contains(&need.as_str()) {
                let why = format!("there is no service `{need}` here");
                draft.remark(format!("{shown}/{name}"), "dependencies.d", why);
            }
        }
        left.remove(name);
        done.push(name.clone());
    }
    done
}
