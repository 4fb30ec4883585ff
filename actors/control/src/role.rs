//! What a client may ask for, and who has which role. Who it is, the kernel says.

use std::fmt;
use std::os::fd::BorrowedFd;

use coproc_core::peers::{Peer, Peers};
use nix::unistd::geteuid;

/// Each may do what those before it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Look on: status, events, logs, health, metrics.
    Read,
    /// Start, stop and change what runs.
    Operate,
    /// All there is: what could end the whole, and secrets.
    Admin,
}

impl Role {
    /// All, the least first.
    pub const ALL: [Self; 3] = [Self::Read, Self::Operate, Self::Admin];

    /// As it is written in a config.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Operate => "operate",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Everybody who may connect, in a list of members.
pub const EVERYBODY: &str = "*";
/// What the name of a group begins with in a list of members.
pub const GROUP: char = '@';

/// Who has which role, as the config says it: users, groups after a `@`, or `*`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Members(pub [Vec<String>; 3]);

/// Who has which role.
#[derive(Debug, Default)]
pub struct Roles {
    /// By role; none where whoever may connect may do everything.
    circles: Option<[Circle; 3]>,
}

/// Those who have a role.
#[derive(Debug)]
struct Circle {
    everybody: bool,
    peers: Option<Peers>,
}

impl Circle {
    fn look_up(members: &[String]) -> Result<Self, String> {
        let named = members.iter().filter(|member| *member != EVERYBODY);
        let (groups, users): (Vec<_>, Vec<_>) =
            named.cloned().partition(|member| member.starts_with(GROUP));
        let groups: Vec<_> =
            groups.iter().map(|group| group.trim_start_matches(GROUP).to_owned()).collect();
        Ok(Self {
            everybody: members.iter().any(|member| member == EVERYBODY),
            peers: Peers::look_up(&users, &groups)?,
        })
    }
}

impl Roles {
    /// Looks the members up; without any lists whoever may connect is an admin.
    ///
    /// # Errors
    /// A sentence that begins with the key, where there is no such user or group.
    pub fn look_up(members: Option<&Members>) -> Result<Self, String> {
        let Some(Members(lists)) = members else { return Ok(Self::default()) };
        let circle = |role: Role| {
            Circle::look_up(&lists[role as usize])
                .map_err(|why| format!("control.roles.{role}: {why}"))
        };
        let circles = [circle(Role::Read)?, circle(Role::Operate)?, circle(Role::Admin)?];
        Ok(Self { circles: Some(circles) })
    }

    /// The role of the process at the other end of `socket`, who is `peer`; none is none.
    pub(crate) fn of(&self, peer: Peer, socket: BorrowedFd<'_>) -> Option<Role> {
        self.role(peer.uid, geteuid().as_raw(), |peers| peers.include(peer, socket))
    }

    fn role(&self, uid: u32, own: u32, include: impl Fn(&Peers) -> bool) -> Option<Role> {
        let Some(circles) = &self.circles else { return Some(Role::Admin) };
        if uid == 0 || uid == own {
            return Some(Role::Admin);
        }
        let is_in = |role: &Role| {
            let circle = &circles[*role as usize];
            circle.everybody || circle.peers.as_ref().is_some_and(&include)
        };
        Role::ALL.into_iter().rev().find(is_in)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn roles(read: &[&str], operate: &[&str], admin: &[&str]) -> Result<Roles, String> {
        let list = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Roles::look_up(Some(&Members([list(read), list(operate), list(admin)])))
    }

    #[test]
    fn without_lists_everybody_is_an_admin() {
        let roles = Roles::look_up(None).unwrap();
        assert_eq!(roles.role(1234, 0, |_| false), Some(Role::Admin));
    }

    #[test]
    fn with_lists_root_and_the_wrapper_itself_are_admins_and_others_what_is_listed() {
        let named = roles(&["7"], &["@5", "8"], &[]).unwrap();
        assert_eq!(named.role(0, 9, |_| false), Some(Role::Admin));
        assert_eq!(named.role(9, 9, |_| false), Some(Role::Admin));
        assert_eq!(named.role(3, 9, |_| false), None);
        // The greatest of several counts.
        assert_eq!(named.role(8, 9, |_| true), Some(Role::Operate));
        let open = roles(&["*"], &[], &[]).unwrap();
        assert_eq!(open.role(3, 9, |_| unreachable!("nobody is named")), Some(Role::Read));
        let closed = roles(&[], &[], &[]).unwrap();
        assert_eq!(closed.role(3, 9, |_| unreachable!("nobody is named")), None);
    }

    #[test]
    fn who_does_not_exist_is_told_with_the_key() {
        let why = roles(&[], &["@no-such-group"], &[]).unwrap_err();
        assert_eq!(why, "control.roles.operate: there is no group `no-such-group`");
        let why = roles(&["no-such-user"], &[], &[]).unwrap_err();
        assert_eq!(why, "control.roles.read: there is no user `no-such-user`");
    }

    #[test]
    fn each_role_may_what_those_before_it_may() {
        assert!(Role::Admin > Role::Operate && Role::Operate > Role::Read);
    }
}
