//! Bits that nobody can guess, for ids and for the addresses of streams.

use std::io;

/// As many as are never guessed.
pub(crate) type Secret = [u8; 16];

/// How many bytes the system is asked for at once.
const STOCK: usize = 1024;

/// Bits ahead of their use, so that not every request asks the system for its own.
#[derive(Default)]
pub(crate) struct Pool(Vec<u8>);

/// What is in it is not to be shown.
impl std::fmt::Debug for Pool {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Pool({} bytes)", self.0.len())
    }
}

impl Pool {
    /// Takes some; nobody else gets these.
    pub(crate) fn take(&mut self) -> io::Result<Secret> {
        if self.0.len() < Secret::default().len() {
            self.0.resize(STOCK, 0);
            // What is not random is not left behind.
            fill(&mut self.0).inspect_err(|_| self.0.clear())?;
        }
        let mut secret = Secret::default();
        let from = self.0.len() - secret.len();
        secret.copy_from_slice(&self.0[from..]);
        self.0[from..].fill(0);
        self.0.truncate(from);
        Ok(secret)
    }
}

/// Some of one's own.
pub(crate) fn random() -> io::Result<Secret> {
    let mut bytes = Secret::default();
    fill(&mut bytes)?;
    Ok(bytes)
}

fn fill(mut bytes: &mut [u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        let length = rustix::rand::getrandom(&mut *bytes, rustix::rand::GetRandomFlags::empty())?;
        bytes = &mut bytes[length..];
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn none_comes_twice() {
        let mut pool = Pool::default();
        let all: HashSet<Secret> = (0..500).map(|_| pool.take().unwrap()).collect();
        assert_eq!(all.len(), 500);
        assert!(!all.contains(&Secret::default()));
    }
}
