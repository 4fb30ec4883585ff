//! The events that the debug lines tell of, with their facts.

use super::Wrapper;

/// An event as its debug line has it: `[NAME] triggered: map[KEY:VALUE ...]`.
#[derive(Clone, Debug)]
pub struct Event {
    /// Its name.
    pub name: String,
    facts: String,
}

impl Event {
    fn parse(line: &str) -> Option<Self> {
        let (name, facts) = line.split_once("msg=\"event: [")?.1.split_once("] triggered: map[")?;
        Some(Self { name: name.into(), facts: facts.trim_end_matches("]\"").into() })
    }

    /// The value of a fact without blanks.
    #[track_caller]
    pub fn get(&self, key: &str) -> &str {
        let found =
            self.facts.split(' ').find_map(|fact| fact.strip_prefix(key)?.strip_prefix(':'));
        found.unwrap_or_else(|| panic!("no `{key}` in {self:?}"))
    }

    /// The value of a fact that is a number.
    #[track_caller]
    pub fn number(&self, key: &str) -> i32 {
        self.get(key).parse().unwrap()
    }

    /// The name, and for an event of a worker the count of workers after it.
    pub fn short(&self) -> String {
        if self.name.ends_with("-worker") {
            format!("{} {}", self.name, self.get("worker_count"))
        } else {
            self.name.clone()
        }
    }

    /// Whether the facts, which may have blanks, hold this text.
    pub fn tells(&self, text: &str) -> bool {
        self.facts.contains(text)
    }
}

/// The events of the main process so far, in their order.
pub fn events(wrapper: &Wrapper) -> Vec<Event> {
    let all = wrapper.lines();
    all.iter().filter_map(|line| Event::parse(line)).filter(|e| !e.name.contains('.')).collect()
}

/// The events of the main process so far, each as [`Event::short`].
pub fn short(wrapper: &Wrapper) -> Vec<String> {
    events(wrapper).iter().map(Event::short).collect()
}

/// Waits for the N-th event of this name.
#[track_caller]
pub fn wait_for_event(wrapper: &Wrapper, name: &str, n: usize) -> Event {
    let line = wrapper.wait_for_nth(&format!("msg=\"event: [{name}] triggered"), n);
    Event::parse(&line).unwrap()
}
