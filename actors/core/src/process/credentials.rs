//! Who a program runs as: a user with its own group and supplementary groups.

use nix::unistd::{Gid, Uid};
use serde::{Deserialize, Serialize};

use super::{Context, SpawnError, Step};
use crate::accounts;

/// The identity that the stage takes on, and the variables that go with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Credentials {
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) groups: Vec<u32>,
    #[serde(skip)]
    pub(super) variables: Vec<(&'static str, String)>,
}

impl Credentials {
    /// Looks up who `context` asks for; `None` if that is who we are.
    ///
    /// The look-up happens here and not in the stage, since it may talk to a daemon.
    pub(super) fn look_up(program: &str, context: &Context) -> Result<Option<Self>, SpawnError> {
        let fail = |reason: String| SpawnError::new(program, Step::User, reason);
        let user = context.user.as_deref().filter(|user| !user.is_empty());
        let group = context.group.as_deref().filter(|group| !group.is_empty());
        let me = Uid::effective();
        let entry = match user {
            None => None,
            Some(name) => {
                accounts::user(name).map_err(|why| fail(format!("user `{name}`: {why}")))?
            }
        };
        let uid = match (&entry, user) {
            (Some(entry), _) => entry.uid,
            // A number without an entry is a user all the same, as in most container images.
            (None, Some(name)) => match name.parse() {
                Ok(number) => Uid::from_raw(number),
                Err(_) => return Err(fail(format!("there is no user `{name}`"))),
            },
            (None, None) => me,
        };
        let own_gid = match (&entry, user) {
            (Some(entry), _) => entry.gid,
            // Never the wrapper's group, which may be root's.
            (None, Some(_)) => Gid::from_raw(uid.as_raw()),
            (None, None) => Gid::effective(),
        };
        let gid = match group {
            Some(name) => accounts::gid(name).map_err(fail)?,
            None => own_gid,
        };
        if uid == me && gid == Gid::effective() {
            return Ok(None);
        }
        if !me.is_root() {
            let who = user.or(group).unwrap_or_default();
            return Err(fail(format!("only root can run it as `{who}`")));
        }
        let groups = match &entry {
            Some(entry) => accounts::groups_of(entry, gid).map_err(|why| {
                fail(format!("the groups of `{}` cannot be read: {why}", entry.name))
            })?,
            None => vec![gid],
        };
        let variables = entry.map_or_else(Vec::new, |entry| {
            vec![
                ("HOME", entry.dir.display().to_string()),
                ("USER", entry.name.clone()),
                ("LOGNAME", entry.name),
                ("SHELL", entry.shell.display().to_string()),
            ]
        });
        Ok(Some(Self {
            uid: uid.as_raw(),
            gid: gid.as_raw(),
            groups: groups.into_iter().map(Gid::as_raw).collect(),
            variables,
        }))
    }
}

/// The user and the group that `context` asks for; `None` if that is who we are.
///
/// # Errors
/// If there is none of this name, or only root could switch.
pub fn identity(context: &Context) -> Result<Option<(u32, u32)>, SpawnError> {
    let found = Credentials::look_up("", context)?;
    Ok(found.map(|Credentials { uid, gid, .. }| (uid, gid)))
}
