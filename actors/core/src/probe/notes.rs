//! What the probes of one process heard last, for those who ask what it is doing.

use std::cell::RefCell;
use std::rc::Rc;

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

#[derive(Debug)]
struct Note {
    what: String,
    /// What stood in the way; none if the last answer was good.
    wrong: Option<String>,
    /// How many answers were bad since the last good one.
    tries: u32,
}

impl Page {
    fn note(&mut self, role: Role) -> &mut Option<Note> {
        match role {
            Role::Ready => &mut self.ready,
            Role::Live => &mut self.live,
        }
    }
}

impl Notes {
    /// Begins anew, with a probe that has not answered yet.
    pub(super) fn begin(&self, role: Role, what: String, wrong: &str) {
        let note = Note { what, wrong: Some(wrong.to_owned()), tries: 0 };
        *self.0.borrow_mut().note(role) = Some(note);
    }

    /// Notes an answer.
    pub(super) fn answered(&self, role: Role, answer: Result<(), String>) {
        if let Some(note) = self.0.borrow_mut().note(role) {
            note.tries = if answer.is_ok() { 0 } else { note.tries.saturating_add(1) };
            note.wrong = answer.err();
        }
    }

    pub(super) fn set_status(&self, status: String) {
        self.0.borrow_mut().status = Some(status);
    }

    /// What is wrong in the eyes of a probe, such as
    /// `http 127.0.0.1:9000/ready: connection refused, try 7`.
    pub fn wrong(&self, role: Role) -> Option<String> {
        let mut page = self.0.borrow_mut();
        let note = page.note(role).as_ref()?;
        let wrong = note.wrong.as_ref()?;
        Some(match note.tries {
            0 => format!("{}: {wrong}", note.what),
            tries => format!("{}: {wrong}, try {tries}", note.what),
        })
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
