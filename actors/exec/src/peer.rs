//! Users and groups: who may connect, and whom the socket's file is given to.

use nix::unistd::{Gid, Group, Uid, User};

use crate::config::ExecSocket;

/// Who may connect.
#[derive(Debug)]
pub(crate) struct Peers {
    users: Vec<u32>,
    groups: Vec<u32>,
    /// Whom the group database lists for the groups, as it was when the socket was opened. They count
    /// where the kernel does not tell which groups a peer has besides its primary one.
    members: Vec<u32>,
}

impl Peers {
    /// Looks the names up; `None` where everybody may connect. The error is a sentence.
    pub(crate) fn look_up(config: &ExecSocket) -> Result<Option<Self>, String> {
        if config.peer_users.is_empty() && config.peer_groups.is_empty() {
            return Ok(None);
        }
        let users = config.peer_users.iter().map(|name| user(name).map(Uid::as_raw));
        let groups = config.peer_groups.iter().map(|name| group(name));
        let users = users.collect::<Result<_, _>>()?;
        let mut peers = Self { users, groups: Vec::new(), members: Vec::new() };
        for gid in groups {
            let gid = gid?;
            peers.groups.push(gid.as_raw());
            // A number need not be that of a group with a name.
            if let Ok(Some(group)) = Group::from_gid(gid) {
                peers.add_members(&group);
            }
        }
        Ok(Some(peers))
    }

    /// Notes those whom the database lists; a user that is gone is nobody.
    fn add_members(&mut self, group: &Group) {
        let members = group.mem.iter().filter_map(|name| User::from_name(name).ok().flatten());
        self.members.extend(members.map(|user| user.uid.as_raw()));
    }

    /// Whether a process with this user and group may. `others` asks for the groups that it has
    /// besides; `None` where they are not known.
    pub(crate) fn allow(
        &self,
        uid: u32,
        gid: u32,
        others: impl FnOnce() -> Option<Vec<u32>>,
    ) -> bool {
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
    use std::ffi::CString;

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
    fn members_of_a_group_need_not_have_it_as_their_own() {
        let mut peers = Peers { users: Vec::new(), groups: vec![7], members: Vec::new() };
        let members = ["root", "nobody-of-this-name"].map(str::to_owned).to_vec();
        let (name, passwd) = ("staff".to_owned(), CString::default());
        peers.add_members(&Group { name, passwd, gid: Gid::from_raw(7), mem: members });
        assert_eq!(peers.members, [0]);
        let allow = |uid, gid| peers.allow(uid, gid, || None);
        assert!(allow(0, 0) && allow(1, 7) && !allow(1, 0));
    }
}
