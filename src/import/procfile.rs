//! Procfiles: one line for each process, its name, a colon and its command. Pure.

use coproc_core::words::Words;

use super::draft::{Draft, list, text};

/// No Procfile has more processes.
const PROCESSES: usize = 256;

/// What only a shell understands.
const SHELL: [char; 17] =
    ['$', '`', '|', '&', ';', '<', '>', '(', ')', '*', '?', '[', ']', '~', '#', '!', '{'];

/// A Procfile as a config: `web`, or else its only process, is the main one.
pub(super) fn parse(file: &str, source: &str) -> Draft {
    let mut draft = Draft::new(format!("Made of {file} by `coproc import`."));
    let mut lines = Vec::new();
    for (number, line) in source.lines().enumerate() {
        let place = format!("{file}:{}", number + 1);
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        match line.split_once(':') {
            Some((name, command)) if !name.trim().is_empty() && !command.trim().is_empty() => {
                if lines.len() == PROCESSES {
                    draft.remark(place, "too many", format!("only {PROCESSES} processes are read"));
                    break;
                }
                lines.push((place, name.trim(), command.trim()));
            }
            _ => draft.remark(place, line, "it is no `NAME: COMMAND`, and is left out"),
        }
    }
    let web = lines.iter().position(|(_, name, _)| *name == "web");
    let main = web.or((lines.len() == 1).then_some(0));
    for (at, (place, name, command)) in lines.iter().enumerate() {
        let words = words(command, place, name, &mut draft);
        if main == Some(at) {
            draft.main.push(("exec", words));
            continue;
        }
        let release = *name == "release";
        let mut table = draft.table(name, 0, place);
        table.keys.push(("exec", words));
        table.keys.push(("restarts", text("never")));
        table.keys.push(("exec_event", text("pre-start")));
        if !release {
            table.keys.push(("background", "true".to_owned()));
            table.keys.push(("stop_event", text("exit")));
        }
        table.keys.push(("on_give_up", text("shutdown")));
        // What is released is there before all else.
        match release {
            true => draft.coprocesses.insert(0, table),
            false => draft.coprocesses.push(table),
        }
    }
    if draft.coprocesses.iter().any(|one| one.keys.iter().any(|(key, _)| *key == "background")) {
        let why = "one that fails stops all the others; one that ends with 0 stops nobody, and says so \
                   by `coprocess.NAME.stopped`";
        draft.remark(file, "ends", why);
    }
    draft
}

fn words(command: &str, place: &str, name: &str, draft: &mut Draft) -> String {
    let assigns = command.split_whitespace().next().is_some_and(|word| word.contains('='));
    let split = Words::split(command)
        .map(|words| words.0)
        .filter(|words| words.first().is_some_and(|word| !word.is_empty()));
    match split {
        Some(words) if !command.contains(SHELL) && !assigns => list(&words),
        _ => {
            draft.remark(place, name, "its command needs a shell, which is run for it: sh -c");
            // What the shell is to see as a variable the wrapper would replace.
            list(&["sh", "-c", command])
        }
    }
}
