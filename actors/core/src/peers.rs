//! Users and groups of a Unix socket: who may connect to it, and whom its file is given to.

use std::os::fd::BorrowedFd;

use nix::unistd::{Gid, Uid};
use rustix::net::sockopt;

use crate::accounts;
use crate::process::peer_groups;
use crate::refusal::Refusal;
use crate::words::Words;

/// The process at the other end, as it was when it connected, or when it began to listen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// 0 where it is not known.
    pub pid: i32,
    /// The largest number where it is not known.
    pub uid: u32,
    /// Its primary group; the largest number where it is not known.
    pub gid: u32,
}

impl Peer {
    /// Who it is, by the kernel's word.
    pub fn of(socket: BorrowedFd<'_>) -> Self {
        match sockopt::socket_peercred(socket) {
            Ok(peer) => Self {
                pid: peer.pid.as_raw_nonzero().get(),
                uid: peer.uid.as_raw(),
                gid: peer.gid.as_raw(),
            },
            Err(_) => Self { pid: 0, uid: u32::MAX, gid: u32::MAX },
        }
    }
}

/// Who may connect.
#[derive(Debug)]
pub struct Peers {
    users: Vec<u32>,
    groups: Vec<u32>,
    /// Whom the group database lists for the groups, as it was when the socket was opened. They count
    /// where the kernel does not tell which groups a peer has besides its primary one.
    members: Vec<u32>,
}

impl Peers {
    /// Looks users and groups up, by name or number; `None` where there are none, so that everybody may
    /// connect.
    ///
    /// # Errors
    /// A sentence, where there is no such user or group.
    pub fn look_up(users: &[String], groups: &[String]) -> Result<Option<Self>, String> {
        if users.is_empty() && groups.is_empty() {
            return Ok(None);
        }
        let users = users.iter().map(|name| accounts::uid(name).map(Uid::as_raw));
        let groups = groups.iter().map(|name| accounts::gid(name));
        let users = users.collect::<Result<_, _>>()?;
        let mut peers = Self { users, groups: Vec::new(), members: Vec::new() };
        for gid in groups {
            let gid = gid?;
            peers.groups.push(gid.as_raw());
            peers.members.extend(accounts::members(gid).into_iter().map(Uid::as_raw));
        }
        Ok(Some(peers))
    }

    /// Whether the process at the other end of `socket` may; `peer` is who it is.
    pub fn include(&self, peer: Peer, socket: BorrowedFd<'_>) -> bool {
        self.allow(peer.uid, peer.gid, || peer_groups(socket).ok().flatten())
    }

    /// Whether a process with this user and group may. `others` asks for the groups that it has
    /// besides; `None` where they are not known.
    fn allow(&self, uid: u32, gid: u32, others: impl FnOnce() -> Option<Vec<u32>>) -> bool {
        if self.users.contains(&uid) || self.groups.contains(&gid) {
            return true;
        }
        if self.groups.is_empty() {
            return false;
        }
        match others() {
            Some(others) => others.iter().any(|group| self.groups.contains(group)),
            None => self.members.contains(&uid),
        }
    }
}

/// What is wrong with lists that are set and name nobody: whether that is meant to be nobody or everybody
/// cannot be seen.
pub fn nobody(users: Option<&Words>, groups: Option<&Words>) -> Option<Refusal> {
    let key = match (users, groups) {
        (Some(users), None) if users.0.is_empty() => "peer_users",
        (None, Some(groups)) if groups.0.is_empty() => "peer_groups",
        (Some(users), Some(groups)) if users.0.is_empty() && groups.0.is_empty() => "peer_users",
        _ => return None,
    };
    let refusal =
        Refusal::wrong(key, "nobody may connect to a socket whose list of peers is empty");
    Some(
        refusal
            .expected("at least one name, or neither `peer_users` nor `peer_groups` for everybody"),
    )
}

/// Reads `USER`, `USER:GROUP` or `:GROUP`.
///
/// # Errors
/// A sentence, where there is no such user or group.
pub fn owner(text: &str) -> Result<(Option<Uid>, Option<Gid>), String> {
    let (left, right) = match text.split_once(':') {
        Some((left, right)) => (left, Some(right).filter(|name| !name.is_empty())),
        None => (text, None),
    };
    let left = Some(left).filter(|name| !name.is_empty());
    Ok((left.map(accounts::uid).transpose()?, right.map(accounts::gid).transpose()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owners_as_chown_writes_them() {
        let (user, group) = (Uid::from_raw(0), Gid::from_raw(7));
        assert_eq!(owner("root"), Ok((Some(user), None)));
        assert_eq!(owner("0:7"), Ok((Some(user), Some(group))));
        assert_eq!(owner(":7"), Ok((None, Some(group))));
        assert_eq!(owner("root:"), Ok((Some(user), None)));
        assert!(owner("nobody-of-this-name").is_err());
        assert!(owner("root:nobody-of-this-name").is_err());
    }

    #[test]
    fn a_peer_is_known_by_its_user_or_its_group() {
        let peers = Peers { users: vec![33], groups: vec![7], members: vec![9] };
        let allow = |uid, gid, others: &[u32]| peers.allow(uid, gid, || Some(others.to_vec()));
        assert!(allow(33, 33, &[]) && allow(1, 7, &[]) && allow(1, 1, &[2, 7]));
        assert!(!allow(1, 33, &[]) && !allow(0, 0, &[33]));
        // What the kernel says is truer than what the database lists.
        assert!(!allow(9, 9, &[9]));
    }

    #[test]
    fn where_the_kernel_is_silent_the_database_counts() {
        let peers = Peers { users: Vec::new(), groups: vec![7], members: vec![0] };
        let allow = |uid, gid| peers.allow(uid, gid, || None);
        assert!(allow(0, 0) && allow(1, 7) && !allow(1, 0));
    }
}
