//! What the probes of one process heard last, for those who ask what it is doing.

use std::cell::RefCell;
use std::rc::Rc;

use tokio::time::Instant;

use super::table::Role;

/// Shared by the probes, which write, and by the status, which reads. It outlives both.
#[derive(Clone, Debug, Default)]
pub struct Notes(Rc<RefCell<Page>>);

#[derive(Debug, Default)]
struct Page {
    ready: Option<Note>,
    live: Option<Note>,
    status: Option<String>,
}

/// What one probe heard last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// What it looks at, as it is configured.
    pub what: String,
    /// What stood in the way; none if the last answer was good.
    pub wrong: Option<String>,
    /// How many answers were bad since the last good one.
    pub tries: u32,
    /// When it is tried again; none while it is being tried, and where it only listens.
    pub next: Option<Instant>,
}

impl Page {
    fn note(&mut self, role: Role) -> &mut Option<Note> {
        match role {
            Role::Ready => &mut self.ready,
            Role::Live => &mut self.live,
        }
    }
}

impl Note {
    /// What is wrong in its eyes, such as `http 127.0.0.1:9000/ready: connection refused, try 7`.
    pub fn complaint(&self) -> Option<String> {
        let wrong = self.wrong.as_ref()?;
        Some(match self.tries {
            0 => format!("{}: {wrong}", self.what),
            tries => format!("{}: {wrong}, try {tries}", self.what),
        })
    }
}

impl Notes {
    /// Begins anew, with a probe that has not answered yet.
    pub(super) fn begin(&self, role: Role, what: String, wrong: &str) {
        let note = Note { what, wrong: Some(wrong.to_owned()), tries: 0, next: None };
        *self.0.borrow_mut().note(role) = Some(note);
    }

    /// Notes an answer.
    pub(super) fn answered(&self, role: Role, answer: Result<(), String>) {
        if let Some(note) = self.0.borrow_mut().note(role) {
            note.tries = if answer.is_ok() { 0 } else { note.tries.saturating_add(1) };
            note.wrong = answer.err();
        }
    }

    /// Notes when the next answer is asked for; none: it is being waited for.
    pub(super) fn next_try(&self, role: Role, next: Option<Instant>) {
        if let Some(note) = self.0.borrow_mut().note(role) {
            note.next = next;
        }
    }

    /// What the probe heard last; none where there is no such probe.
    pub fn note(&self, role: Role) -> Option<Note> {
        self.0.borrow_mut().note(role).clone()
    }

    pub(super) fn set_status(&self, status: String) {
        self.0.borrow_mut().status = Some(status);
    }

    /// What is wrong in the eyes of a probe, as [`Note::complaint`] says it.
    pub fn wrong(&self, role: Role) -> Option<String> {
        self.0.borrow_mut().note(role).as_ref()?.complaint()
    }

    /// What the process itself last said that it does (`STATUS=` of sd_notify).
    pub fn status(&self) -> Option<String> {
        self.0.borrow().status.clone()
    }

    /// Forgets all: the process is gone.
    pub fn clear(&self) {
        *self.0.borrow_mut() = Page::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tries_since_the_last_good_answer_are_counted() {
        let notes = Notes::default();
        notes.begin(Role::Ready, "tcp a:1".into(), "not tried yet");
        assert_eq!(notes.wrong(Role::Ready).unwrap(), "tcp a:1: not tried yet");
        notes.answered(Role::Ready, Err("connection refused".into()));
        notes.answered(Role::Ready, Err("connection refused".into()));
        assert_eq!(notes.wrong(Role::Ready).unwrap(), "tcp a:1: connection refused, try 2");
        notes.answered(Role::Ready, Ok(()));
        assert_eq!(notes.wrong(Role::Ready), None);
        assert_eq!(notes.wrong(Role::Live), None);
    }
}
