//! What only several keys can be wrong in together.

use std::collections::BTreeMap;
use std::path::PathBuf;

use coproc_control::table::ControlConfig;
use coproc_coordinator::router::{MAX_NAME, RESERVED, is_task};
use coproc_coprocess::config::{Coprocess, Restarts};
use coproc_coprocess::replicas::{self, Replicas};
use coproc_coprocess::table::CoprocessTable;
use coproc_core::event::{EventName, Phase};
use coproc_core::name::Name;
use coproc_core::scalar::printable;
use coproc_core::text::Text;
use coproc_core::words::Words;
use coproc_exec::config::ExecSocket;
use coproc_gateway::config::{Config as Gateway, Listen};
use coproc_gateway::server::shown;
use coproc_main::config::Main;
use coproc_template::Settings;

use super::Resolver;
use crate::config::after::{self, Known, event_of};
use crate::config::near::nearest;
use crate::config::tree::Path;

impl Resolver<'_> {
    /// Finds out which events the words of `after` are. A word that is none would be waited for for
    /// ever, and so would all of those be that wait for each other.
    pub(super) fn follow(&mut self, keys: &[String], coprocesses: &mut [Option<Coprocess>]) {
        let known = |key: &String| {
            let once = |table: &CoprocessTable| {
                table.ready.is_none() && table.restarts.is_none_or(|all| all == Restarts::Never)
            };
            let is_step = self.table(key).is_some_and(once);
            let names = self.names(key).into_iter();
            names.map(|name| Known { name, is_step }).collect::<Vec<_>>()
        };
        let known = keys.iter().map(known).collect::<Vec<_>>();
        // A name that could not be read may be the one that is meant.
        let complete = known.iter().all(|names| !names.is_empty());
        let known = known.concat();
        let mut waits_for = BTreeMap::new();
        let mut followers = Vec::new();
        for (key, coprocess) in keys.iter().zip(coprocesses) {
            let Some(table) = self.table(key) else { continue };
            let (after, exec_event) = (table.after.clone(), table.exec_event.clone());
            let Some(name) = table.name.clone() else { continue };
            let path = ["coprocess", key, "after"].map(str::to_owned);
            let mut events = Vec::new();
            for word in after.iter().flat_map(|Words(words)| words) {
                match event_of(word, &known) {
                    Some(event) if events.contains(&event) => {}
                    Some(event) => events.push(event),
                    None if !complete => {}
                    None => {
                        let what = format!("`{}` is no coprocess and no event", printable(word));
                        let mut problem = self.stack.wrong(&path, what);
                        let words = after::words(&known);
                        if let Some(near) = nearest(word, words.iter().map(String::as_str)) {
                            problem = problem.hint(format!("did you mean `{near}`?"));
                        }
                        self.problems.push(problem);
                    }
                }
            }
            let others = events.iter().chain(&exec_event).filter_map(|event| match event {
                EventName::Coprocess(name, _) => Some(name.to_string()),
                _ => None,
            });
            waits_for.insert(name.to_string(), others.collect::<Vec<_>>());
            let Some(first) = events.first().cloned() else { continue };
            followers.push((path, name.to_string()));
            if let Some(coprocess) = coprocess {
                coprocess.exec_event = exec_event.unwrap_or(first);
                coprocess.after = events;
            }
        }
        let mut told = Vec::new();
        for (path, name) in followers {
            let Some(circle) = after::circle(&name, &waits_for) else { continue };
            if circle.iter().any(|name| told.contains(name)) {
                continue;
            }
            let what = format!("these wait for each other: {}", circle.join(" → "));
            let problem = self.stack.wrong(&path, what).expected("a beginning that waits for none");
            self.problems.push(problem);
            told.extend(circle);
        }
    }

    /// The names of a table's coprocesses: its own, and those of its replicas.
    pub(super) fn names(&self, key: &str) -> Vec<Name> {
        let Some(table) = self.table(key) else { return Vec::new() };
        let Some(name) = table.name.clone() else { return Vec::new() };
        let count = table.replicas.map_or(0, |Replicas(count)| count);
        let numbered = (1..=count).filter_map(|number| replicas::name(&name, number).ok());
        let numbered = numbered.collect::<Vec<_>>();
        [vec![name], numbered].concat()
    }

    /// The second of two sockets at one path could not be bound. Names in paths count as they stand.
    pub(super) fn check_sockets(&mut self, tables: &[Path], sockets: &[Option<ExecSocket>]) {
        let mut first = BTreeMap::new();
        for (table, socket) in tables.iter().zip(sockets) {
            let Some(socket) = socket else { continue };
            // Its components leave out what is said twice.
            let place = self.sources.folder.join(&socket.path).components().collect::<PathBuf>();
            match first.get(&place) {
                None => {
                    first.insert(place, table);
                }
                Some(other) => {
                    let path = table.iter().cloned().chain(["path".to_owned()]).collect::<Vec<_>>();
                    let what =
                        format!("`{}` is the path of `{}` already", socket.path, other.join("."));
                    let problem = self.stack.wrong(&path, what).expected("a path of its own");
                    self.problems.push(problem);
                }
            }
        }
    }

    /// The second of two listeners at one place could not be bound.
    pub(super) fn check_listens(&mut self, control: &ControlConfig, gateway: Option<&Gateway>) {
        let mut places = Vec::new();
        let control = control.listen.iter().map(|address| ("control", Listen::Tcp(*address)));
        let gateway = gateway.into_iter().flat_map(|gateway| &gateway.listen);
        for (table, place) in control.chain(gateway.map(|place| ("gateway", place.clone()))) {
            if let Some((other, _)) = places.iter().find(|(_, one)| meet(one, &place)) {
                let path = [table, "listen"].map(str::to_owned);
                let what =
                    format!("`{}` is listened on by `{other}.listen` already", shown(&place));
                let problem = self.stack.wrong(&path, what).expected("a place of its own");
                self.problems.push(problem);
            }
            places.push((table, place));
        }
    }

    /// Two coprocesses of one name could not be told apart in commands and logs.
    pub(super) fn check_names(&mut self, keys: &[String]) {
        let mut first = BTreeMap::new();
        for key in keys {
            for name in self.names(key) {
                let Some(other) = first.insert(name.clone(), key) else { continue };
                let path = ["coprocess", key, "name"].map(str::to_owned);
                let what = format!("`{name}` is the name of `coprocess.{other}` already");
                let problem = self.stack.wrong(&path, what).expected("a name of its own");
                self.problems.push(problem);
                first.insert(name, other);
                break;
            }
        }
    }

    /// Nobody would wait for a task that no request can name, or without a coordinator.
    pub(super) fn check_tasks(&mut self, keys: &[String]) {
        for key in keys {
            let Some(Words(tasks)) = self.table(key).and_then(|table| table.tasks.clone()) else {
                continue;
            };
            let path = ["coprocess", key, "tasks"].map(str::to_owned);
            for task in tasks.iter().filter(|task| !is_task(task)) {
                let what = format!("`{}` is not the name of a task", printable(task));
                let reserved = RESERVED.map(|name| format!("`{name}`")).join(", ");
                let problem = self.stack.wrong(&path, what).expected(format!(
                    "1 to {MAX_NAME} bytes without `/`, which do not begin with a dot, and none of \
                     {reserved}"
                ));
                self.problems.push(problem);
            }
            if !tasks.is_empty() && self.stack.node(&["coordinator".to_owned()]).is_none() {
                let what = "there is no [coordinator] whose requests would wait for them";
                let problem = self.stack.wrong(&path, what).expected("a table `coordinator`");
                self.problems.push(problem);
            }
        }
    }

    /// A watched folder that is rendered to would change with each reload.
    pub(super) fn check_watch(&mut self, main: Option<&Main>, template: Option<&Settings>) {
        let (Some(main), Some(settings)) = (main, template) else { return };
        for path in &main.watch {
            let whole = self.sources.folder.join(path).components().collect::<PathBuf>();
            if settings.output.starts_with(&whole) || whole.starts_with(&settings.output) {
                let key = ["main", "watch"].map(str::to_owned);
                let what = format!(
                    "`{}` changes with each reload, which renders templates to `{}`",
                    printable(path),
                    settings.output.display()
                );
                let problem = self.stack.wrong(&key, what);
                self.problems.push(problem.expected("files that reloads leave as they are"));
            }
        }
    }

    /// A worker of the gateway needs its name for itself.
    pub(super) fn check_workers(&mut self, coprocesses: &[Coprocess]) {
        let workers = |one: &&Coprocess| one.key.is_empty();
        for worker in coprocesses.iter().filter(workers) {
            let same = |one: &&Coprocess| one.name == worker.name && !one.key.is_empty();
            let Some(other) = coprocesses.iter().find(same) else { continue };
            let path = ["coprocess", &other.key, "name"].map(str::to_owned);
            let what = format!("`{}` is the name of a worker of `gateway.python`", other.name);
            let problem = self.stack.wrong(&path, what).expected("a name of its own");
            self.problems.push(problem);
        }
    }

    /// A plugin server that is no coprocess of this wrapper would never be ready.
    pub(super) fn check_plugin(&mut self, keys: &[String]) {
        let plugin = self.root.gateway.as_ref().and_then(|table| table.grpc_coprocess.clone());
        let Some(Text(plugin)) = plugin.filter(|Text(name)| !name.is_empty()) else { return };
        let name = |key: &String| Some(self.table(key)?.name.as_ref()?.as_str().to_owned());
        let names = keys.iter().filter_map(name).collect::<Vec<_>>();
        // A name that could not be read may be the one that is meant.
        if names.len() < keys.len() || names.contains(&plugin) {
            return;
        }
        let path = ["gateway", "grpc_coprocess"].map(str::to_owned);
        let what = format!("no coprocess is named `{}`", printable(&plugin));
        let mut problem = self.stack.wrong(&path, what);
        if let Some(near) = nearest(&plugin, names.iter().map(String::as_str)) {
            problem = problem.hint(format!("did you mean `{near}`?"));
        }
        self.problems.push(problem);
    }

    /// An event of a coprocess that does not exist would never happen, and main's own events not
    /// before it is started.
    pub(super) fn check_events(&mut self, keys: &[String]) {
        let named = keys.iter().map(|key| self.names(key)).collect::<Vec<_>>();
        // A name that could not be read may be the one that is meant.
        let complete = named.iter().all(|names| !names.is_empty());
        let names = named.iter().flatten().map(|name| name.as_str().to_owned());
        let names = names.collect::<Vec<_>>();
        let main = self.root.main.as_ref().and_then(|main| main.exec_event.clone());
        let mut events = vec![(["main", "exec_event"].map(str::to_owned).to_vec(), main.clone())];
        for key in keys {
            let Some(table) = self.table(key) else { continue };
            for (field, event) in
                [("exec_event", &table.exec_event), ("stop_event", &table.stop_event)]
            {
                events.push((["coprocess", key, field].map(str::to_owned).to_vec(), event.clone()));
            }
        }
        for (path, event) in events {
            let Some(EventName::Coprocess(name, _)) = event else { continue };
            if !complete || names.iter().any(|n| n == name.as_str()) {
                continue;
            }
            let mut problem = self.stack.wrong(&path, format!("no coprocess is named `{name}`"));
            if let Some(near) = nearest(name.as_str(), names.iter().map(String::as_str)) {
                problem = problem.hint(format!("did you mean `{near}`?"));
            }
            self.problems.push(problem);
        }
        if let Some(EventName::Phase(phase)) = main
            && phase != Phase::PreStart
        {
            let path = ["main", "exec_event"].map(str::to_owned);
            let what =
                format!("`{}` comes only after the main process has started", phase.as_str());
            let problem = self
                .stack
                .wrong(&path, what)
                .expected("`pre-start`, an event of a coprocess, `gateway.NAME` or `custom.NAME`");
            self.problems.push(problem);
        }
    }
}

/// Whether only one of two can be bound. A path may be written in many ways, and a port of 0 is any.
fn meet(one: &Listen, other: &Listen) -> bool {
    match (one, other) {
        (Listen::Unix(one), Listen::Unix(other)) => one == other,
        (Listen::Tcp(one), Listen::Tcp(other)) => {
            let all = one.ip().is_unspecified() || other.ip().is_unspecified();
            let alike = one.ip() == other.ip() || all && one.is_ipv4() == other.is_ipv4();
            alike && one.port() == other.port() && one.port() != 0
        }
        _ => false,
    }
}
