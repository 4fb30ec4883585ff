//! supervisord.conf as a config: each program a coprocess, in the order of their priorities.

mod daemon;
mod expand;
mod include;
mod ini;

use std::time::Duration;

use coproc_core::words::Words;

use self::daemon::{Inherited, of_socket};
use self::expand::{Names, expand};
pub(super) use self::include::read;
use self::ini::{Entry, Section, pairs, parse};
use super::draft::{Draft, Table, list, map, text};

/// No program is written out more often.
const COPIES: u32 = 64;

/// The files, each with its name, as a config. `here` is the folder of the first. Pure.
pub(super) fn convert(files: &[(String, String)], here: &str) -> Draft {
    let title = files.first().map_or("", |(file, _)| file.as_str());
    let mut draft = Draft::new(format!("Made of {title} by `coproc import`."));
    let mut programs = Vec::new();
    let mut groups = Vec::new();
    let mut inherited = Inherited::default();
    for (file, source) in files {
        let (sections, odd) = parse(file, source);
        for (place, why) in odd {
            draft.remark(place, "left out", why);
        }
        for section in sections {
            let (kind, name) = section.name.split_once(':').unwrap_or((&section.name, ""));
            let (kind, name) = (kind.trim(), name.trim().to_owned());
            match kind {
                "program" | "fcgi-program" => {
                    if kind == "fcgi-program" {
                        let why = "no socket is passed: let the program listen itself";
                        draft.remark(&section.place, &section.name, why);
                    }
                    programs.push((name, section));
                }
                "group" => groups.push((name, section)),
                "supervisord" => inherited.take(&section, &mut draft),
                "eventlistener" => {
                    let why = "its protocol has no equal: `coproc events --follow` prints events, and \
                               any event starts a coprocess by exec_event; one that ends supervisord is \
                               on_give_up = \"shutdown\" for those whose end it waits for";
                    draft.remark(&section.place, &section.name, why);
                }
                "unix_http_server" => of_socket(&section, &mut draft),
                "inet_http_server" => {
                    let why =
                        "control.listen tells health and metrics on a port, and takes no orders";
                    draft.remark(&section.place, &section.name, why);
                }
                // What they say is for supervisorctl, or is done.
                "supervisorctl" | "rpcinterface" | "include" => {}
                _ => draft.remark(&section.place, &section.name, "this section is not known"),
            }
        }
    }
    for (group, section) in &groups {
        let why = format!("coprocesses have names of their own, without `{group}:` in front");
        draft.remark(&section.place, &section.name, why);
    }
    programs.sort_by_key(|(_, section)| priority(section));
    for (name, section) in &programs {
        program(name, section, &groups, &inherited, here, &mut draft);
    }
    draft
}

/// 999 where it does not say.
fn priority(section: &Section) -> i64 {
    let said = section.entries.iter().rev().find(|entry| entry.key == "priority");
    said.and_then(|entry| entry.value.parse().ok()).unwrap_or(999)
}

/// The last value of a key.
fn last<'a>(section: &'a Section, key: &str) -> Option<&'a Entry> {
    section.entries.iter().rev().find(|entry| entry.key == key)
}

fn program(
    name: &str,
    section: &Section,
    groups: &[(String, Section)],
    inherited: &Inherited,
    here: &str,
    draft: &mut Draft,
) {
    let Some(command) = last(section, "command") else {
        return draft.remark(&section.place, &section.name, "it has no command, and is left out");
    };
    let copies = last(section, "numprocs").and_then(|entry| entry.value.parse().ok()).unwrap_or(1);
    if copies == 0 {
        draft.remark(&section.place, "numprocs", "it is 0: there is none of it");
    }
    if copies > COPIES {
        draft.remark(&section.place, "numprocs", format!("only {COPIES} are written out"));
    }
    let start = last(section, "numprocs_start").and_then(|entry| entry.value.parse().ok());
    let start: u32 = start.unwrap_or(0);
    let member = |section: &Section| {
        let programs = last(section, "programs").map(|entry| entry.value.as_str());
        programs.is_some_and(|all| all.split(',').any(|one| one.trim() == name))
    };
    let group = groups.iter().find(|(_, section)| member(section)).map(|(group, _)| group.as_str());
    let add = |wanted: &str, replicas, number, draft: &mut Draft| {
        let group = group.unwrap_or(name);
        let names = Names { program: name, group, number, copies, here };
        let mut table = draft.table(wanted, replicas, &section.place);
        table.comments.push(format!("{}: [{}]", section.place, section.name));
        let can_run = keys(&mut table, section, command, inherited, &names, draft);
        if can_run {
            draft.coprocesses.push(table);
        }
        can_run
    };
    if copies > 1 && are_replicas(section, start) {
        add(name, copies.min(COPIES), None, draft);
        return;
    }
    for number in (start..).take(copies.min(COPIES) as usize) {
        let names = Names {
            program: name,
            group: group.unwrap_or(name),
            number: Some(number),
            copies,
            here,
        };
        let wanted = match last(section, "process_name") {
            Some(entry) => expand(&entry.value, &names).0,
            None => String::new(),
        };
        let wanted = match wanted.contains(name) {
            true => wanted,
            false if copies > 1 => format!("{name}_{number}"),
            false if wanted.is_empty() => name.to_owned(),
            false => wanted,
        };
        // What is said once is remarked once.
        let known = draft.remarks.len();
        if !add(&wanted, 0, Some(number), draft) {
            return;
        }
        if number != start {
            draft.remarks.truncate(known);
        }
    }
}

/// Whether copies differ in nothing but their names and a number that replicas have as well: one that begins
/// at 1, is not padded and stands in the command alone.
fn are_replicas(section: &Section, start: u32) -> bool {
    let elsewhere = |one: &&Entry| {
        let key = one.key.as_str();
        key != "process_name" && !key.starts_with("stdout_") && !key.starts_with("stderr_")
    };
    section.entries.iter().filter(elsewhere).all(|one| {
        let mut numbers = one.value.split("%(process_num)").skip(1);
        numbers.all(|after| one.key == "command" && start == 1 && after.starts_with(['d', 's']))
    })
}

/// The keys of one coprocess; false if it has nothing to run.
fn keys(
    table: &mut Table,
    section: &Section,
    command: &Entry,
    inherited: &Inherited,
    names: &Names<'_>,
    draft: &mut Draft,
) -> bool {
    let say = |entry: &Entry, draft: &mut Draft| {
        let (said, unknown) = expand(&entry.value, names);
        for name in unknown {
            draft.remark(&entry.place, &entry.key, format!("{name} stands for nothing here"));
        }
        said
    };
    let said = say(command, draft);
    let words = Words::split(&said).map(|words| words.0);
    let exec = words.unwrap_or_else(|| {
        draft.remark(&command.place, "command", "a quote in it is not closed");
        said.split_whitespace().map(str::to_owned).collect()
    });
    if exec.first().is_none_or(String::is_empty) {
        draft.remark(&command.place, "command", "it is empty, and the program is left out");
        return false;
    }
    table.keys.push(("exec", list(&exec)));
    let restarts = restarts(section, draft);
    table.keys.push(("restarts", text(restarts)));
    table.keys.push(("background", "true".to_owned()));
    let waits = last(section, "autostart").is_some_and(|entry| !truth(&entry.value));
    let event = match waits {
        true => {
            let start: String = table.name.clone();
            draft.remark(&section.place, "autostart", format!("`coproc start {start}` starts it"));
            format!("custom.{start}")
        }
        false => "pre-start".to_owned(),
    };
    table.keys.push(("exec_event", text(&event)));
    table.keys.push(("stop_event", text("exit")));
    let mut env = inherited.environment.clone();
    let mut stop_timeout = Duration::from_secs(10);
    let all: Vec<_> = inherited.settings.iter().chain(&section.entries).collect();
    for (at, entry) in all.iter().enumerate() {
        let Entry { key, value, place } = entry;
        // The last of one key counts.
        if all[at + 1..].iter().any(|other| other.key == *key) || value.is_empty() {
            continue;
        }
        match key.as_str() {
            "command" | "autostart" | "autorestart" | "priority" | "numprocs"
            | "numprocs_start" | "process_name" | "startsecs" | "startretries"
            | "redirect_stderr" => {}
            "user" => table.keys.push(("user", text(value))),
            "directory" => {
                let folder = say(entry, draft);
                table.keys.push(("cwd", text(&folder)));
            }
            "umask" => match u32::from_str_radix(value, 8) {
                Ok(mask) if mask <= 0o777 => {
                    table.keys.push(("umask", text(&format!("{mask:04o}"))));
                }
                _ => draft.remark(place, key, "it is no mask from 000 to 777"),
            },
            "environment" => {
                let said = say(entry, draft);
                match pairs(&said) {
                    Some(all) => env.extend(all),
                    None => draft.remark(place, key, "it is not of the form A=\"1\",B=\"2\""),
                }
            }
            "exitcodes" => {
                let codes: Vec<_> =
                    value.split(',').filter_map(|code| code.trim().parse::<u8>().ok()).collect();
                let codes: Vec<_> = codes.iter().map(ToString::to_string).collect();
                match codes.is_empty() {
                    true => draft.remark(place, key, "no code is in it"),
                    false => {
                        table.keys.push(("success_exit_codes", format!("[{}]", codes.join(", "))))
                    }
                }
            }
            "stopwaitsecs" => match value.parse::<u32>() {
                Ok(seconds) => stop_timeout = Duration::from_secs(seconds.into()),
                Err(_) => draft.remark(place, key, "it is no number of seconds"),
            },
            "stopsignal" if ["TERM", "SIGTERM", "15"].contains(&value.to_uppercase().as_str()) => {}
            "stopsignal" => draft.remark(
                place,
                key,
                "a coprocess is sent TERM, INT and KILL; a stop_exec may send another signal first",
            ),
            // Signals go to the whole group in any case.
            "stopasgroup" | "killasgroup" => {}
            _ if key.starts_with("stdout_") || key.starts_with("stderr_") => {
                let quiet = ["NONE", "AUTO"].contains(&value.to_uppercase().as_str());
                let console =
                    ["/dev/stdout", "/dev/stderr", "/dev/fd/1", "/dev/fd/2", "/proc/1/fd/1"];
                if key.ends_with("_logfile") && !quiet && !console.contains(&value.as_str()) {
                    let why =
                        "its output goes to the wrapper's log, with its name (log.destination)";
                    draft.remark(place, key, why);
                }
            }
            _ => draft.remark(place, key, "there is no equal"),
        }
    }
    table.keys.push(("stop_timeout", text(&format!("{}s", stop_timeout.as_secs()))));
    draft.patience = draft.patience.max(stop_timeout);
    if !env.is_empty() {
        // The last of one name counts.
        let mut unique: Vec<(String, String)> = Vec::new();
        for (name, value) in env {
            unique.retain(|(other, _)| *other != name);
            unique.push((name, value));
        }
        table.keys.push(("env", map(&unique)));
    }
    true
}

/// The policy; what of `autorestart`, `startsecs` and `startretries` differs is remarked.
fn restarts(section: &Section, draft: &mut Draft) -> &'static str {
    for key in ["startsecs", "startretries"] {
        if let Some(entry) = last(section, key) {
            let why = "restarts are bounded by `restarts` and restart_limit = { count, window }, and \
                       their pauses grow by `backoff`";
            draft.remark(&entry.place, key, why);
        }
    }
    let Some(entry) = last(section, "autorestart") else {
        let why = "by default it starts again after an unexpected exit; here after every one";
        draft.remark(&section.place, "autorestart", why);
        return "unlimited";
    };
    match entry.value.to_lowercase().as_str() {
        "unexpected" => {
            let why = "it starts again after every exit, expected or not";
            draft.remark(&entry.place, "autorestart", why);
            "unlimited"
        }
        value if truth(value) => "unlimited",
        _ => "never",
    }
}

fn truth(value: &str) -> bool {
    matches!(value.to_lowercase().as_str(), "true" | "yes" | "on" | "1" | "t" | "y")
}
