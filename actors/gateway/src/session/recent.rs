//! A map that forgets what was not used lately, so that it never holds more than a number of entries.
//!
//! There are two generations. What is used moves into the young one; once that is full it becomes the old
//! one, and what the old one still held is forgotten. So nothing is ever searched for what to give up.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// How many parts have a lock of their own.
const PARTS: usize = 16;

/// Values by text. Each operation locks one part, and no longer than it takes.
#[derive(Debug)]
pub(super) struct Recent<V> {
    parts: [Mutex<Part<V>>; PARTS],
    hasher: RandomState,
    /// The most entries of one generation of one part.
    most: usize,
}

#[derive(Debug)]
struct Part<V> {
    young: HashMap<String, V>,
    old: HashMap<String, V>,
    /// How often something here was forgotten.
    forgotten: u64,
}

/// A moment of one key, before which nothing of it was forgotten that was forgotten later.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment(u64);

impl<V> Recent<V> {
    /// A map of at most `most` entries, and of at least 32.
    pub(super) fn new(most: usize) -> Self {
        let part =
            |_| Mutex::new(Part { young: HashMap::new(), old: HashMap::new(), forgotten: 0 });
        Self {
            parts: std::array::from_fn(part),
            hasher: RandomState::new(),
            most: (most / PARTS / 2).max(1),
        }
    }

    fn part(&self, key: &str) -> MutexGuard<'_, Part<V>> {
        let part = &self.parts[self.hasher.hash_one(key) as usize % PARTS];
        // Nothing that panics is done under the lock.
        part.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does something with the value of a key, which is made if it is not there.
    pub(super) fn with<T>(
        &self,
        key: &str,
        make: impl FnOnce() -> V,
        work: impl FnOnce(&mut V) -> T,
    ) -> T {
        let mut part = self.part(key);
        if let Some(value) = part.young.get_mut(key) {
            return work(value);
        }
        let mut value = part.old.remove(key).unwrap_or_else(make);
        let result = work(&mut value);
        part.insert(key, value, self.most);
        result
    }

    /// The value of a key.
    pub(super) fn get(&self, key: &str) -> Option<V>
    where
        V: Clone,
    {
        let mut part = self.part(key);
        if let Some(value) = part.young.get(key) {
            return Some(value.clone());
        }
        let value = part.old.remove(key)?;
        part.insert(key, value.clone(), self.most);
        Some(value)
    }

    /// Now, for [`Recent::insert`] of what is only then looked for.
    pub(super) fn moment(&self, key: &str) -> Moment {
        Moment(self.part(key).forgotten)
    }

    /// Sets the value of a key, unless it may have been forgotten since.
    pub(super) fn insert(&self, key: &str, value: V, since: Moment) {
        let mut part = self.part(key);
        if part.forgotten == since.0 {
            part.old.remove(key);
            part.insert(key, value, self.most);
        }
    }

    /// Sets the value of a key that was changed, unless somebody else may have changed it since. What is
    /// looked for meanwhile may be what it was before, and is not remembered.
    pub(super) fn replace(&self, key: &str, value: V, since: Moment) {
        let mut part = self.part(key);
        let is_last = part.forgotten == since.0;
        part.forgotten += 1;
        part.young.remove(key);
        part.old.remove(key);
        if is_last {
            part.insert(key, value, self.most);
        }
    }

    /// Forgets a key.
    pub(super) fn remove(&self, key: &str) {
        let mut part = self.part(key);
        part.young.remove(key);
        part.old.remove(key);
        part.forgotten += 1;
    }

    /// Forgets everything.
    pub(super) fn clear(&self) {
        for part in &self.parts {
            let mut part = part.lock().unwrap_or_else(PoisonError::into_inner);
            part.young.clear();
            part.old.clear();
            part.forgotten += 1;
        }
    }
}

impl<V> Part<V> {
    fn insert(&mut self, key: &str, value: V, most: usize) {
        if self.young.len() >= most && !self.young.contains_key(key) {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key.to_owned(), value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_used_stays_and_the_number_is_bounded() {
        let recent = Recent::new(64);
        let set = |key: &str, value| recent.insert(key, value, recent.moment(key));
        set("kept", 0);
        for number in 1..10_000 {
            set(&number.to_string(), number);
            assert_eq!(recent.get("kept"), Some(0), "{number}");
        }
        let held: usize = recent
            .parts
            .iter()
            .map(|part| part.lock().unwrap())
            .map(|part| part.young.len() + part.old.len())
            .sum();
        assert!(held <= 64, "{held}");
        recent.remove("kept");
        assert_eq!(recent.get("kept"), None);
        set("again", 1);
        recent.clear();
        assert_eq!(recent.get("again"), None);
    }

    #[test]
    fn what_was_forgotten_meanwhile_is_not_remembered() {
        let recent = Recent::new(64);
        let before = recent.moment("a");
        recent.remove("a");
        let after = recent.moment("a");
        recent.insert("a", 1, before);
        assert_eq!(recent.get("a"), None);
        recent.insert("a", 2, after);
        assert_eq!(recent.get("a"), Some(2));
        recent.clear();
        recent.insert("a", 3, after);
        assert_eq!(recent.get("a"), None);
    }

    #[test]
    fn what_replaces_goes_before_what_was_looked_for() {
        let recent = Recent::new(64);
        let (began, looked) = (recent.moment("a"), recent.moment("a"));
        recent.replace("a", 2, began);
        recent.insert("a", 1, looked);
        assert_eq!(recent.get("a"), Some(2));
        let began = recent.moment("a");
        recent.remove("a");
        recent.replace("a", 3, began);
        assert_eq!(recent.get("a"), None, "it was removed by somebody else");
    }
}
