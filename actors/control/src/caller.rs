//! Who asks, and whether that is enough.

use std::cell::{Cell, RefCell};
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Instant;

use hyper::HeaderMap;
use hyper::header::{AUTHORIZATION, RETRY_AFTER, WWW_AUTHENTICATE};

use crate::attempts::Attempts;
use crate::request::Refused;
use crate::role::Role;
use crate::route::Denied;
use crate::routes::Entry;
use crate::token::Tokens;

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Caller {
    /// A process at the control socket, whose user the kernel names.
    Peer { uid: u32, role: Option<Role> },
    /// Somebody at a port.
    Remote { address: IpAddr },
}

/// What is shown at ports. It outlives the server's actor, and its tokens may change.
#[derive(Debug, Default)]
pub struct Door {
    /// None where ports tell only what is for everybody.
    tokens: RefCell<Option<Tokens>>,
    attempts: RefCell<Attempts>,
}

impl Door {
    /// A door for these tokens.
    pub fn new(tokens: Option<Tokens>) -> Rc<Self> {
        Rc::new(Self { tokens: RefCell::new(tokens), ..Self::default() })
    }

    /// Other tokens from now on.
    pub fn change(&self, tokens: Tokens) {
        self.tokens.replace(Some(tokens));
    }

    /// Whether there is nothing for the caller but what is told to everybody.
    pub(crate) fn is_open_only(&self, caller: Caller) -> bool {
        matches!(caller, Caller::Remote { .. }) && self.tokens.borrow().is_none()
    }

    /// Whether the caller may ask for this; a refusal names the role that is needed. `known` is set once
    /// a token was good.
    pub(crate) fn admit(
        &self,
        caller: Caller,
        entry: &Entry,
        headers: &HeaderMap,
        known: &Cell<bool>,
    ) -> Result<(), Denied> {
        match caller {
            Caller::Peer { uid, role } => {
                let who = format!("user {uid}");
                enough(entry, role, &who, ": see control.roles").map_err(Denied::from)
            }
            Caller::Remote { .. } if entry.open => Ok(()),
            Caller::Remote { address } => {
                let role = self.shown(address, entry, headers, Instant::now())?;
                known.set(true);
                enough(entry, Some(role), "the token", "").map_err(Denied::from)
            }
        }
    }

    /// The role of the token that is shown.
    fn shown(
        &self,
        address: IpAddr,
        entry: &Entry,
        headers: &HeaderMap,
        now: Instant,
    ) -> Result<Role, Denied> {
        if let Some(pause) = self.attempts.borrow().pause(address, now) {
            let seconds = pause.as_secs() + 1;
            let why = format!("too many wrong tokens came from {address}; wait for {seconds} s");
            let header = Some((RETRY_AFTER.as_str(), seconds.to_string()));
            return Err(Denied { header, ..Refused::new(429, why).into() });
        }
        let bearer = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let token = bearer.and_then(|value| {
            let (scheme, token) = value.split_once(' ')?;
            scheme.eq_ignore_ascii_case("Bearer").then(|| token.trim())
        });
        let unknown = |why: String| {
            let header = Some((WWW_AUTHENTICATE.as_str(), "Bearer realm=\"coproc\"".to_owned()));
            Denied { header, ..Refused::new(401, why).into() }
        };
        let Some(token) = token else {
            let Entry { method, path, role, .. } = entry;
            let why = format!(
                "{method} {path} needs a token with the role `{role}`: `Authorization: Bearer TOKEN`"
            );
            return Err(unknown(why));
        };
        let role = self.tokens.borrow().as_ref().and_then(|tokens| tokens.role(token));
        role.ok_or_else(|| {
            self.attempts.borrow_mut().wrong(address, now);
            unknown("the token is not one of this wrapper's".to_owned())
        })
    }
}

fn enough(entry: &Entry, role: Option<Role>, who: &str, hint: &str) -> Result<(), Refused> {
    if role >= Some(entry.role) {
        return Ok(());
    }
    let has = role.map_or_else(|| "none".to_owned(), |role| format!("`{role}`"));
    let Entry { method, path, role, .. } = entry;
    let why = format!("{method} {path} needs the role `{role}`, and {who} has {has}{hint}");
    Err(Refused::new(403, why))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::route::find;

    fn stop() -> &'static Entry {
        find(false, "POST", "/v1/coprocesses/a/stop").unwrap().0
    }

    #[test]
    fn a_refusal_names_the_role_that_is_needed() {
        let door = Door::default();
        let admit = |role| {
            let caller = Caller::Peer { uid: 7, role };
            let admitted = door.admit(caller, stop(), &HeaderMap::new(), &Cell::default());
            admitted.map_err(|denied| (denied.refused.status, denied.refused.why))
        };
        assert_eq!(admit(Some(Role::Admin)), Ok(()));
        assert_eq!(admit(Some(Role::Operate)), Ok(()));
        let why = "POST /v1/coprocesses/{name}/stop needs the role `operate`, and user 7 has";
        let refused = |has| Err((403, format!("{why} {has}: see control.roles")));
        assert_eq!(admit(Some(Role::Read)), refused("`read`"));
        assert_eq!(admit(None), refused("none"));
    }

    #[test]
    fn a_token_is_looked_at_unless_its_address_has_shown_too_many_wrong_ones() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t");
        let good = "g".repeat(32);
        std::fs::write(&path, &good).unwrap();
        let tokens = Tokens::read(&[Some(path), None, None]).unwrap();
        let (door, known) = (Door::new(Some(tokens)), Cell::default());
        let ask = |address: &str, entry: &Entry, token: Option<&str>| {
            let caller = Caller::Remote { address: address.parse().unwrap() };
            let mut headers = HeaderMap::new();
            if let Some(token) = token {
                headers.insert(AUTHORIZATION, format!("bearer {token}").parse().unwrap());
            }
            door.admit(caller, entry, &headers, &known).map_err(|denied| denied.refused.status)
        };
        let (live, _) = find(false, "GET", "/livez").unwrap();
        let (status, _) = find(false, "GET", "/v1/status").unwrap();
        assert_eq!(ask("192.0.2.1", live, None), Ok(()));
        assert_eq!(ask("192.0.2.1", status, None), Err(401));
        assert!(!known.get());
        assert_eq!(ask("192.0.2.1", status, Some(&good)), Ok(()));
        assert!(known.get());
        assert_eq!(ask("192.0.2.1", stop(), Some(&good)), Err(403));
        for _ in 0..10 {
            assert_eq!(ask("192.0.2.1", status, Some("wrong")), Err(401));
        }
        assert_eq!(ask("192.0.2.1", status, Some(&good)), Err(429));
        assert_eq!(ask("192.0.2.1", live, None), Ok(()), "what is open stays so");
        assert_eq!(ask("192.0.2.2", status, Some(&good)), Ok(()));
    }
}
