//! The words of a run, kept one behind the other in a single piece of memory: however many there are,
//! all of it goes back at once.

use std::ffi::CStr;

/// An argument vector.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Arguments {
    /// Each word with its NUL; no other byte is one.
    bytes: Vec<u8>,
    count: usize,
}

/// A word may hold no NUL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Nul;

impl Arguments {
    /// Appends to the word that is being read.
    ///
    /// # Errors
    /// If the bytes hold a NUL.
    pub fn extend(&mut self, bytes: &[u8]) -> Result<(), Nul> {
        if bytes.contains(&0) {
            return Err(Nul);
        }
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    /// The word that is being read is complete.
    pub fn end_word(&mut self) {
        self.bytes.push(0);
        self.count += 1;
    }

    /// How many words are complete.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether no word is complete.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The complete words, the program's name first.
    pub fn words(&self) -> impl Iterator<Item = &CStr> {
        let mut rest = &self.bytes[..];
        std::iter::from_fn(move || {
            let word = CStr::from_bytes_until_nul(rest).ok()?;
            rest = &rest[word.count_bytes() + 1..];
            Some(word)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_come_back_as_they_were_given() {
        let mut arguments = Arguments::default();
        for word in [&b"cat"[..], b"", b"a b"] {
            let (left, right) = word.split_at(word.len() / 2);
            arguments.extend(left).unwrap();
            arguments.extend(right).unwrap();
            arguments.end_word();
        }
        arguments.extend(b"half").unwrap();
        assert_eq!(arguments.words().collect::<Vec<_>>(), [c"cat", c"", c"a b"]);
        assert_eq!((arguments.len(), arguments.is_empty()), (3, false));
        assert_eq!(arguments.extend(b"a\0b"), Err(Nul));
    }
}
