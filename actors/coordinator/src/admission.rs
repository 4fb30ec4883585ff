//! Who may connect to the coordinator's Unix sockets, by the kernel's word of who they are.

use std::collections::BTreeSet;
use std::fs;
use std::os::fd::BorrowedFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use coproc_core::peers::{Peer, Peers};
use nix::unistd::Uid;

use crate::config::Coordinator;
use crate::seldom::Seldom;

/// The rule of all sockets.
#[derive(Debug)]
pub(crate) struct Admission {
    /// None where everybody may connect whom the file's mode lets.
    peers: Option<Peers>,
    refused: Mutex<Seldom>,
}

/// Who may read a stream where nobody is named: those whose sockets were asked, besides root and the
/// coordinator's own user.
#[derive(Debug)]
pub(crate) struct Readers(BTreeSet<u32>);

impl Admission {
    /// Looks the names up. The error is a sentence.
    pub(crate) fn look_up(config: &Coordinator) -> Result<Self, String> {
        let peers = Peers::look_up(&config.peer_users, &config.peer_groups)?;
        Ok(Self { peers, refused: Mutex::default() })
    }

    /// Whether whoever connected may; if not, the log tells of it.
    pub(crate) fn admits(&self, socket: BorrowedFd<'_>) -> bool {
        let Some(peers) = &self.peers else { return true };
        let peer = Peer::of(socket);
        // Tasks of coproc's own answer as every provider does.
        let own = u32::try_from(peer.pid) == Ok(std::process::id());
        let admitted = own || peers.include(peer, socket);
        if !admitted {
            self.tell(peer, "may not connect");
        }
        admitted
    }

    /// Whether whoever connected may read a stream that is for `readers`.
    pub(crate) fn admits_reader(&self, socket: BorrowedFd<'_>, readers: &Readers) -> bool {
        if self.peers.is_some() {
            return self.admits(socket);
        }
        let peer = Peer::of(socket);
        let admitted = readers.0.contains(&peer.uid);
        if !admitted {
            self.tell(peer, "may not read a stream");
        }
        admitted
    }

    fn tell(&self, peer: Peer, what: &str) {
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        let more = match refused.count(Instant::now()) {
            None => return,
            Some(1) => String::new(),
            Some(all) => format!(" (nor {} others before)", all - 1),
        };
        let Peer { uid, gid, .. } = peer;
        tracing::warn!(target: "coordinator", "uid {uid} and gid {gid} {what}{more}");
    }
}

impl Readers {
    /// Those to whom these sockets of providers belong.
    pub(crate) fn of(sockets: &[Arc<Path>]) -> Self {
        let owner = |socket: &Arc<Path>| fs::symlink_metadata(socket).ok().map(|file| file.uid());
        let mut users: BTreeSet<u32> = sockets.iter().filter_map(owner).collect();
        users.extend([0, Uid::effective().as_raw()]);
        Self(users)
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn k21_readers_are_root_oneself_and_those_who_were_asked() {
        let folder = tempfile::tempdir().unwrap();
        let path: Arc<Path> = folder.path().join("1-f.sock").into();
        fs::write(&path, "").unwrap();
        let own = Uid::effective().as_raw();
        let readers = Readers::of(&[path.clone(), Path::new("/none").into()]);
        assert_eq!(readers.0, BTreeSet::from([0, own]));
        if own == 0 {
            std::os::unix::fs::chown(&path, Some(54321), None).unwrap();
            assert_eq!(Readers::of(&[path]).0, BTreeSet::from([0, 54321]));
        }
        let (one, _other) = UnixStream::pair().unwrap();
        let open = Admission { peers: None, refused: Mutex::default() };
        assert!(open.admits_reader(one.as_fd(), &readers));
        assert!(!open.admits_reader(one.as_fd(), &Readers(BTreeSet::from([own + 1]))));
    }
}
