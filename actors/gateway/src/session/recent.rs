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
}

impl<V> Recent<V> {
    /// A map of at most `most` entries, and of at least 32.
    pub(super) fn new(most: usize) -> Self {
        let part = |_| Mutex::new(Part { young: HashMap::new(), old: HashMap::new() });
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

    /// Sets the value of a key.
    pub(super) fn insert(&self, key: &str, value: V) {
        let mut part = self.part(key);
        part.old.remove(key);
        part.insert(key, value, self.most);
    }

    /// Forgets a key.
    pub(super) fn remove(&self, key: &str) {
        let mut part = self.part(key);
        part.young.remove(key);
        part.old.remove(key);
    }

    /// Forgets everything.
    pub(super) fn clear(&self) {
        for part in &self.parts {
            let mut part = part.lock().unwrap_or_else(PoisonError::into_inner);
            part.young.clear();
            part.old.clear();
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
        recent.insert("kept", 0);
        for number in 1..10_000 {
            recent.insert(&number.to_string(), number);
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
        recent.insert("again", 1);
        recent.clear();
        assert_eq!(recent.get("again"), None);
    }
}
