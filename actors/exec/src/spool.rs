//! What a program has not taken from its stdin yet: some of it in memory, more of it in a file without
//! a name. It exists so that the client is never paused because of output that nobody reads yet.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::sync::atomic::{AtomicU64, Ordering};

/// How much is kept in memory.
const MEMORY: usize = 1 << 20;
/// How much more is kept in a file.
const FILE: u64 = 64 << 20;
/// How much is taken back from the file at a time.
const PIECE: usize = 64 << 10;

/// The spool: first in, first out.
#[derive(Debug, Default)]
pub(crate) struct Spool {
    memory: VecDeque<u8>,
    /// Holds what came after all that is in memory.
    file: Option<Backing>,
    /// There is no place for files.
    no_file: bool,
}

#[derive(Debug)]
struct Backing {
    file: File,
    read: u64,
    written: u64,
}

impl Spool {
    pub(crate) fn is_empty(&self) -> bool {
        self.memory.is_empty() && self.file.is_none()
    }

    /// Whether more may come; what was read already may be pushed all the same.
    pub(crate) fn has_room(&self) -> bool {
        match &self.file {
            Some(backing) => backing.written < FILE,
            None => self.memory.len() < MEMORY || !self.no_file,
        }
    }

    /// Appends bytes.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        let fits = self.memory.len() + bytes.len() <= MEMORY;
        if self.file.is_none() && !fits && !self.no_file {
            match nameless() {
                Ok(file) => self.file = Some(Backing { file, read: 0, written: 0 }),
                Err(error) => {
                    tracing::warn!(target: "exec", "stdin is kept in memory alone: {error}");
                    self.no_file = true;
                }
            }
        }
        let Some(backing) = &mut self.file else { return self.memory.extend(bytes) };
        match backing.file.write_all_at(bytes, backing.written) {
            Ok(()) => backing.written += bytes.len() as u64,
            Err(error) => {
                // The disk is full: what is in the file is taken back, and it is all memory now.
                tracing::warn!(target: "exec", "stdin is kept in memory alone: {error}");
                self.no_file = true;
                while self.file.is_some() {
                    self.take_back();
                }
                self.memory.extend(bytes);
            }
        }
    }

    /// What is to be written next; empty if there is nothing.
    pub(crate) fn front(&mut self) -> &[u8] {
        if self.memory.is_empty() {
            self.take_back();
        }
        self.memory.as_slices().0
    }

    /// So much of [`Spool::front`] was written.
    pub(crate) fn consume(&mut self, bytes: usize) {
        self.memory.drain(..bytes);
        if self.memory.is_empty() {
            self.memory = VecDeque::new();
        }
    }

    pub(crate) fn clear(&mut self) {
        self.memory = VecDeque::new();
        self.file = None;
    }

    /// Moves the next piece from the file to the end of the memory.
    fn take_back(&mut self) {
        let Some(backing) = &mut self.file else { return };
        let left = usize::try_from(backing.written - backing.read).unwrap_or(PIECE);
        let mut piece = vec![0; left.min(PIECE)];
        match backing.file.read_exact_at(&mut piece, backing.read) {
            Ok(()) => {
                backing.read += piece.len() as u64;
                self.memory.extend(piece);
                if backing.read == backing.written {
                    self.file = None;
                }
            }
            Err(error) => {
                tracing::error!(target: "exec", "stdin is cut short: {error}");
                self.file = None;
            }
        }
    }
}

/// A file that is in no folder.
fn nameless() -> io::Result<File> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let folder = std::env::temp_dir();
    let open = || OpenOptions::new().read(true).write(true).mode(0o600).clone();
    let tmpfile = rustix::fs::OFlags::TMPFILE.bits() as i32;
    if let Ok(file) = open().custom_flags(tmpfile).open(&folder) {
        return Ok(file);
    }
    // The file system does not have them.
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let path = folder.join(format!(".coproc-stdin-{}-{number}", std::process::id()));
    let file = open().create_new(true).open(&path)?;
    std::fs::remove_file(&path)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn d13_memory_is_bounded_and_nothing_is_lost() {
        let mut spool = Spool::default();
        let piece: Vec<u8> = (0..PIECE).map(|at| (at % 253) as u8).collect();
        let mut pushed = 0;
        while spool.has_room() {
            spool.push(&piece);
            pushed += piece.len();
            assert!(spool.memory.len() <= MEMORY);
        }
        assert_eq!(pushed, MEMORY + FILE as usize);
        let mut taken = 0;
        while !spool.is_empty() {
            let front = spool.front();
            for (at, byte) in front.iter().enumerate().step_by(997) {
                assert_eq!(*byte, piece[(taken + at) % PIECE]);
            }
            let length = front.len();
            taken += length;
            spool.consume(length);
            assert!(spool.memory.len() <= MEMORY);
        }
        assert_eq!(taken, pushed);
        assert!(spool.has_room() && spool.memory.capacity() == 0);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn first_in_first_out(steps in prop::collection::vec((0usize..400_000, 0usize..400_000), 1..40)) {
            let mut spool = Spool::default();
            let (mut pushed, mut taken) = (0usize, 0usize);
            for (push, take) in steps {
                let bytes: Vec<u8> = (pushed..pushed + push).map(|at| (at % 251) as u8).collect();
                spool.push(&bytes);
                pushed += push;
                let mut left = take;
                while left > 0 && !spool.is_empty() {
                    let here = spool.front().len().min(left);
                    for (at, byte) in spool.front()[..here].iter().enumerate() {
                        prop_assert_eq!(*byte, ((taken + at) % 251) as u8);
                    }
                    spool.consume(here);
                    taken += here;
                    left -= here;
                }
            }
            prop_assert_eq!(spool.is_empty(), pushed == taken);
        }
    }
}
