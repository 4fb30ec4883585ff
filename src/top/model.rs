//! What `coproc top` knows and what a key does: a state and one step. Pure.

use std::collections::VecDeque;

use serde_json::Value;

/// How many events and lines are kept.
const KEPT: usize = 2_000;

/// All that is shown.
#[derive(Clone, Debug, Default)]
pub(crate) struct Model {
    /// Where the wrapper is.
    pub(crate) place: String,
    pub(crate) link: Link,
    pub(crate) processes: Vec<Process>,
    /// The place of the process that keys are about.
    pub(crate) selected: usize,
    /// One text for each, the newest last.
    pub(crate) events: VecDeque<String>,
    pub(crate) lines: VecDeque<Line>,
    /// Whether only the selected process's lines are shown.
    pub(crate) one_only: bool,
    /// How many lines the log is scrolled back.
    pub(crate) back: usize,
    /// How many lines of it the last picture had room for.
    pub(crate) page: usize,
    /// Only lines that hold this text are shown.
    pub(crate) search: String,
    pub(crate) asks: Asks,
    /// What came of the last order, or why there was none.
    pub(crate) word: String,
    pub(crate) help: bool,
    /// How many seconds had passed at the last status.
    sampled: f64,
}

/// Whether the wrapper answers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Link {
    /// It was not heard of yet.
    #[default]
    Awaited,
    Up,
    /// It was, and is not any more.
    Lost(String),
}

/// What the last line asks of the user.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Asks {
    #[default]
    Nothing,
    /// What to search for.
    Text,
    /// Whether an order is meant.
    Sure(Order),
}

/// An order to a coprocess.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Order {
    pub(crate) name: String,
    /// The last part of its path.
    pub(crate) action: &'static str,
}

/// A line of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) logger: String,
    pub(crate) text: String,
}

/// The main process or a coprocess.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Process {
    pub(crate) name: String,
    pub(crate) state: String,
    pub(crate) ready: bool,
    pub(crate) pid: Option<i64>,
    pub(crate) restarts: Option<u64>,
    pub(crate) background: Option<bool>,
    pub(crate) uptime: Option<f64>,
    /// In percent of one processor, since the status before.
    pub(crate) cpu: Option<f64>,
    pub(crate) memory: Option<u64>,
    /// Seconds of processor time so far.
    spent: Option<f64>,
}

/// What happens.
#[derive(Clone, Debug)]
pub(crate) enum Input {
    Key(Key),
    /// A status, and how many seconds have passed since the beginning.
    Status(Value, f64),
    Event(Value),
    Line(Value),
    /// Events that are not kept any more, or those of another life.
    Note(String),
    /// The wrapper does not answer.
    Lost(String),
    /// What came of an order.
    Answered(Order, Result<(), String>),
}

/// A key, as far as it means anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Key {
    Char(char),
    Up,
    Down,
    PageUp,
    PageDown,
    Home,
    End,
    Enter,
    Escape,
    Backspace,
    /// Ctrl-C, or a signal that asks for the end.
    Interrupt,
}

/// What follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    Leave,
    Give(Order),
}

impl Model {
    pub(crate) fn new(place: String) -> Self {
        // Of a page's size it is told with the first picture.
        Self { place, page: 10, ..Self::default() }
    }

    /// The process that keys are about.
    pub(crate) fn current(&self) -> Option<&Process> {
        self.processes.get(self.selected)
    }

    /// How far back the log can be scrolled: to where its first lines fill a page.
    fn furthest(&self) -> usize {
        self.shown().len().saturating_sub(self.page)
    }

    /// The lines that are to be shown, the newest last.
    pub(crate) fn shown(&self) -> Vec<&Line> {
        let of = self.current().filter(|_| self.one_only);
        // The main process's lines have a name of their own where it is nginx.
        let is_of = |line: &&Line| {
            of.is_none_or(|one| {
                line.logger == one.name || (one.name == "main" && line.logger == "nginx")
            })
        };
        let wanted = self.search.to_lowercase();
        let holds = |line: &&Line| {
            wanted.is_empty()
                || line.text.to_lowercase().contains(&wanted)
                || line.logger.to_lowercase().contains(&wanted)
        };
        self.lines.iter().filter(is_of).filter(holds).collect()
    }

    /// One step.
    pub(crate) fn step(&mut self, input: Input) -> Option<Effect> {
        match input {
            Input::Key(key) => return self.key(key),
            Input::Status(status, at) => self.status(&status, at),
            Input::Event(event) => keep(&mut self.events, event_text(&event)),
            Input::Note(note) => keep(&mut self.events, note),
            Input::Line(line) => {
                let text = |key: &str| line[key].as_str().unwrap_or_default().to_owned();
                let line = Line { logger: text("logger"), text: tame(&text("msg")) };
                // Who reads further back goes on reading the same lines.
                let before = self.shown().len();
                keep(&mut self.lines, line);
                if self.back > 0 {
                    self.back += self.shown().len().saturating_sub(before);
                }
            }
            Input::Lost(why) => self.link = Link::Lost(why),
            Input::Answered(order, answer) => {
                let Order { name, action } = order;
                self.word = match answer {
                    Ok(()) => format!("{name}: {action}: done"),
                    Err(why) => tame(&why),
                };
            }
        }
        None
    }

    fn status(&mut self, status: &Value, at: f64) {
        self.link = Link::Up;
        let passed = at - self.sampled;
        self.sampled = at;
        let name = self.current().map(|one| one.name.clone());
        let before = std::mem::take(&mut self.processes);
        let main = (!status["main"].is_null()).then(|| Process::read("main", &status["main"]));
        let all = status["coprocesses"].as_array().into_iter().flatten();
        let all = all.map(|one| Process::read(one["name"].as_str().unwrap_or_default(), one));
        self.processes = main.into_iter().chain(all).collect();
        for process in &mut self.processes {
            let same = before.iter().find(|one| one.name == process.name && one.pid == process.pid);
            process.cpu = match (same.and_then(|one| one.spent), process.spent) {
                // Two that come together tell nothing.
                (Some(_), Some(_)) if passed < 0.2 => same.and_then(|one| one.cpu),
                (Some(then), Some(now)) => Some((now - then).max(0.0) / passed * 100.0),
                _ => None,
            };
        }
        let place = name.and_then(|name| self.processes.iter().position(|one| one.name == name));
        self.selected = place.unwrap_or(0);
    }

    fn key(&mut self, key: Key) -> Option<Effect> {
        if key == Key::Interrupt {
            return Some(Effect::Leave);
        }
        match std::mem::take(&mut self.asks) {
            Asks::Nothing => {}
            Asks::Text => {
                self.type_search(key);
                return None;
            }
            Asks::Sure(order) => {
                self.word.clear();
                return (key == Key::Char('y')).then_some(Effect::Give(order));
            }
        }
        if self.help {
            self.help = false;
            return None;
        }
        self.word.clear();
        match key {
            Key::Char('q') => return Some(Effect::Leave),
            Key::Char('?' | 'h') => self.help = true,
            Key::Up | Key::Char('k') => self.select(self.selected.saturating_sub(1)),
            Key::Down | Key::Char('j') => self.select(self.selected + 1),
            Key::PageUp => self.back = (self.back + self.page).min(self.furthest()),
            Key::PageDown => self.back = self.back.saturating_sub(self.page),
            Key::Home => self.back = self.furthest(),
            Key::End => self.back = 0,
            Key::Char('l') => (self.one_only, self.back) = (!self.one_only, 0),
            Key::Char('/') => {
                self.search.clear();
                (self.asks, self.back) = (Asks::Text, 0);
            }
            Key::Escape => (self.search, self.back) = (String::new(), 0),
            Key::Char(letter @ ('r' | 's' | 'b')) => return self.order(letter),
            Key::Char(_) | Key::Enter | Key::Backspace | Key::Interrupt => {}
        }
        None
    }

    fn type_search(&mut self, key: Key) {
        self.asks = Asks::Text;
        match key {
            Key::Char(letter) => self.search.push(letter),
            Key::Backspace => drop(self.search.pop()),
            Key::Enter => self.asks = Asks::Nothing,
            Key::Escape => (self.search, self.asks) = (String::new(), Asks::Nothing),
            _ => {}
        }
    }

    fn select(&mut self, place: usize) {
        let place = place.min(self.processes.len().saturating_sub(1));
        if place != self.selected && self.one_only {
            self.back = 0;
        }
        self.selected = place;
    }

    fn order(&mut self, letter: char) -> Option<Effect> {
        let process = self.current()?;
        if process.background.is_none() {
            self.word = "the main process lives and dies with the wrapper".to_owned();
            return None;
        }
        let up = matches!(process.state.as_str(), "starting" | "running" | "backoff");
        let action = match letter {
            'r' => "restart",
            's' if up => "stop",
            's' => "start",
            _ if process.background == Some(true) => "foreground",
            _ => "background",
        };
        let order = Order { name: process.name.clone(), action };
        if matches!(action, "restart" | "stop") {
            self.asks = Asks::Sure(order);
            return None;
        }
        Some(Effect::Give(order))
    }
}

impl Process {
    fn read(name: &str, value: &Value) -> Self {
        Self {
            name: name.to_owned(),
            state: value["state"].as_str().unwrap_or("-").to_owned(),
            ready: value["ready"] == true,
            pid: value["pid"].as_i64(),
            restarts: value["restarts"].as_u64(),
            background: value["background"].as_bool(),
            uptime: value["uptime_s"].as_f64(),
            cpu: None,
            memory: value["memory_bytes"].as_u64(),
            spent: value["cpu_s"].as_f64(),
        }
    }
}

fn keep<T>(all: &mut VecDeque<T>, one: T) {
    if all.len() == KEPT {
        all.pop_front();
    }
    all.push_back(one);
}

/// An event for people: its time, its name, and its own fields.
fn event_text(event: &Value) -> String {
    let time = event["time"].as_str().unwrap_or_default();
    let clock = time.get(11..19).unwrap_or(time);
    let mut text = format!("{clock} {}", event["event"].as_str().unwrap_or_default());
    for (key, value) in event.as_object().into_iter().flatten() {
        if !["seq", "time", "event"].contains(&key.as_str()) {
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            text.push_str(&format!(" {key}={value}"));
        }
    }
    tame(&text)
}

/// Without what would colour a terminal or move its cursor.
fn tame(text: &str) -> String {
    let mut chars = text.chars().peekable();
    let mut tamed = String::with_capacity(text.len());
    while let Some(c) = chars.next() {
        if c == '\u{1b}' && chars.next_if_eq(&'[').is_some() {
            // Parameters, up to the letter that says what they are for.
            while chars.next_if(|c| !('@'..='~').contains(c)).is_some() {}
            chars.next();
        } else {
            tamed.push(if c.is_control() { ' ' } else { c });
        }
    }
    tamed
}

#[cfg(test)]
mod tests;
