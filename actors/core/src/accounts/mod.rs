//! The users and groups of this machine, by name or number.
//!
//! The C library answers, so that users from anywhere (LDAP, systemd) are found. A static build reads
//! `/etc/passwd` and `/etc/group` itself: the C library would load other libraries for it, which may
//! not be there, or not be of its version.

use nix::unistd::{Gid, Group, Uid, User};

#[cfg(any(test, target_feature = "crt-static"))]
mod files;

#[cfg(target_feature = "crt-static")]
use files as source;
#[cfg(not(target_feature = "crt-static"))]
use library as source;

/// A user by name, or else by number; `None` where there is no entry for it.
///
/// # Errors
/// What the system says if it cannot be asked.
pub fn user(name: &str) -> nix::Result<Option<User>> {
    match (source::user_of_name(name)?, name.parse()) {
        (None, Ok(number)) => source::user_of_number(Uid::from_raw(number)),
        (found, _) => Ok(found),
    }
}

/// The number of a user, which needs no entry if it is given as a number: most container images have
/// none for the user that they run as.
///
/// # Errors
/// A sentence, where there is no such user.
pub fn uid(name: &str) -> Result<Uid, String> {
    match (source::user_of_name(name), name.parse()) {
        (Ok(Some(user)), _) => Ok(user.uid),
        (_, Ok(number)) => Ok(Uid::from_raw(number)),
        (Ok(None), Err(_)) => Err(format!("there is no user `{name}`")),
        (Err(why), Err(_)) => Err(format!("user `{name}`: {why}")),
    }
}

/// The same for a group.
///
/// # Errors
/// A sentence, where there is no such group.
pub fn gid(name: &str) -> Result<Gid, String> {
    match (source::group_of_name(name), name.parse()) {
        (Ok(Some(group)), _) => Ok(group.gid),
        (_, Ok(number)) => Ok(Gid::from_raw(number)),
        (Ok(None), Err(_)) => Err(format!("there is no group `{name}`")),
        (Err(why), Err(_)) => Err(format!("group `{name}`: {why}")),
    }
}

/// The groups that a user is in besides `gid`, and that one.
///
/// # Errors
/// What the system says if it cannot be asked.
pub fn groups_of(user: &User, gid: Gid) -> nix::Result<Vec<Gid>> {
    source::groups_of(user, gid)
}

/// Those whom the group database lists for a group. A number need not be that of a group with a name,
/// and a user that is gone is nobody.
pub fn members(gid: Gid) -> Vec<Uid> {
    let group = source::group_of_number(gid).ok().flatten();
    group.map_or_else(Vec::new, |group| numbers(&group))
}

/// The numbers of those whom a group lists.
fn numbers(group: &Group) -> Vec<Uid> {
    let users = group.mem.iter().filter_map(|name| source::user_of_name(name).ok().flatten());
    users.map(|user| user.uid).collect()
}

#[cfg(not(target_feature = "crt-static"))]
mod library {
    use std::ffi::CString;

    use nix::errno::Errno;
    use nix::unistd::{Gid, Group, Uid, User, getgrouplist};

    pub(super) fn user_of_name(name: &str) -> nix::Result<Option<User>> {
        User::from_name(name)
    }

    pub(super) fn user_of_number(uid: Uid) -> nix::Result<Option<User>> {
        User::from_uid(uid)
    }

    pub(super) fn group_of_name(name: &str) -> nix::Result<Option<Group>> {
        Group::from_name(name)
    }

    pub(super) fn group_of_number(gid: Gid) -> nix::Result<Option<Group>> {
        Group::from_gid(gid)
    }

    pub(super) fn groups_of(user: &User, gid: Gid) -> nix::Result<Vec<Gid>> {
        let name = CString::new(user.name.as_bytes()).map_err(|_| Errno::EINVAL)?;
        getgrouplist(&name, gid)
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::CString;

    use super::*;

    #[test]
    fn names_go_before_numbers_and_numbers_need_no_entry() {
        assert_eq!(user("root").unwrap().unwrap().uid, Uid::from_raw(0));
        assert_eq!(user("0").unwrap().unwrap().name, "root");
        assert!(user("nobody-of-this-name").unwrap().is_none());
        assert!(user("4123456789").unwrap().is_none());
        assert_eq!(uid("4123456789"), Ok(Uid::from_raw(4_123_456_789)));
        assert_eq!(gid("root"), Ok(Gid::from_raw(0)));
        assert_eq!(gid("7"), Ok(Gid::from_raw(7)));
        assert_eq!(
            uid("nobody-of-this-name").unwrap_err(),
            "there is no user `nobody-of-this-name`"
        );
        assert!(gid("nobody-of-this-name").is_err());
    }

    #[test]
    fn members_of_a_group_need_not_have_it_as_their_own() {
        let mem = ["root", "nobody-of-this-name"].map(str::to_owned).to_vec();
        let (name, passwd) = ("staff".to_owned(), CString::default());
        let group = Group { name, passwd, gid: Gid::from_raw(7), mem };
        assert_eq!(numbers(&group), [Uid::from_raw(0)]);
        assert!(members(Gid::from_raw(4_123_456_789)).is_empty());
    }
}
