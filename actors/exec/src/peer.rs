//! Users and groups: who may connect, and whom the socket's file is given to.

use nix::unistd::{Gid, Group, Uid, User};

use crate::config::ExecSocket;

/// Who may connect.
#[derive(Debug)]
pub(crate) struct Peers {
    users: Vec<u32>,
    groups: Vec<u32>,
}

impl Peers {
    /// Looks the names up; `None` where everybody may connect. The error is a sentence.
    pub(crate) fn look_up(config: &ExecSocket) -> Result<Option<Self>, String> {
        if config.peer_users.is_empty() && config.peer_groups.is_empty() {
            return Ok(None);
        }
        let users = config.peer_users.iter().map(|name| user(name).map(Uid::as_raw));
        let groups = config.peer_groups.iter().map(|name| group(name).map(Gid::as_raw));
        Ok(Some(Self {
            users: users.collect::<Result<_, _>>()?,
            groups: groups.collect::<Result<_, _>>()?,
        }))
    }

    /// Whether a process with this user and group may.
    pub(crate) fn allow(&self, uid: u32, gid: u32) -> bool {
        self.users.contains(&uid) || self.groups.contains(&gid)
    }
}

/// Reads `USER`, `USER:GROUP` or `:GROUP`. The error is a sentence.
pub(crate) fn owner(text: &str) -> Result<(Option<Uid>, Option<Gid>), String> {
    let (left, right) = match text.split_once(':') {
        Some((left, right)) => (left, Some(right).filter(|name| !name.is_empty())),
        None => (text, None),
    };
    let left = Some(left).filter(|name| !name.is_empty());
    Ok((left.map(user).transpose()?, right.map(group).transpose()?))
}

fn user(name: &str) -> Result<Uid, String> {
    match (User::from_name(name), name.parse()) {
        (Ok(Some(user)), _) => Ok(user.uid),
        (_, Ok(number)) => Ok(Uid::from_raw(number)),
        (Ok(None), Err(_)) => Err(format!("there is no user `{name}`")),
        (Err(why), Err(_)) => Err(format!("user `{name}`: {why}")),
    }
}

fn group(name: &str) -> Result<Gid, String> {
    match (Group::from_name(name), name.parse()) {
        (Ok(Some(group)), _) => Ok(group.gid),
        (_, Ok(number)) => Ok(Gid::from_raw(number)),
        (Ok(None), Err(_)) => Err(format!("there is no group `{name}`")),
        (Err(why), Err(_)) => Err(format!("group `{name}`: {why}")),
    }
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
        let peers = Peers { users: vec![33], groups: vec![7] };
        assert!(peers.allow(33, 33) && peers.allow(1, 7));
        assert!(!peers.allow(1, 33) && !peers.allow(0, 0));
    }
}
