//! Which of root's rights a program keeps: applied by the stage, around the change of the user.

use nix::Error;
use rustix::thread::{
    self as thread, CapabilitySet, CapabilitySets, capability_is_in_bounding_set,
    configure_capability_in_ambient_set, remove_capability_from_bounding_set,
};
use serde::{Deserialize, Serialize};

use super::error::Failure;
use super::{Capabilities, Context, Step};

/// The rights that a config speaks of.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Rights {
    /// The capabilities that are kept, one bit for each; without it they are left as they are.
    kept: Option<u64>,
    no_new_privs: bool,
}

impl Rights {
    pub(super) fn new(context: &Context) -> Self {
        let kept = context.capabilities.map(Capabilities::bits);
        Self { kept, no_new_privs: context.no_new_privs }
    }

    fn kept(&self) -> Option<CapabilitySet> {
        self.kept.map(CapabilitySet::from_bits_retain)
    }

    /// Whether the program may become another user: only where it was given that very right.
    pub(super) fn allow_any_user(&self) -> bool {
        self.kept().is_some_and(|kept| kept.contains(CapabilitySet::SETUID))
    }

    /// While it is still root: what no program of its will ever have, and that the change of the
    /// user takes nothing away.
    pub(super) fn before_user(&self) -> Result<(), Failure> {
        let Some(kept) = self.kept() else { return Ok(()) };
        let own = thread::capabilities(None).map_err(|errno| failed(Step::Bounding, errno))?;
        let missing = kept.difference(own.permitted);
        if !missing.is_empty() {
            let subject = Capabilities::names(missing).into_bytes();
            return Err(Failure { step: Step::Capabilities, errno: Error::EPERM, subject });
        }
        // Where executing a program gives no rights, what could be given does not matter.
        if own.effective.contains(CapabilitySet::SETPCAP) || !self.no_new_privs {
            bound_by(kept).map_err(|errno| failed(Step::Bounding, errno))?;
        }
        thread::set_keep_capabilities(true).map_err(|errno| failed(Step::Capabilities, errno))
    }

    /// Once it has its user.
    pub(super) fn after_user(&self) -> Result<(), Failure> {
        if let Some(kept) = self.kept() {
            keep(kept).map_err(|errno| failed(Step::Capabilities, errno))?;
        }
        Ok(())
    }

    /// The very last: from here on nothing that is executed gives rights.
    pub(super) fn seal(&self) -> Result<(), Failure> {
        match self.no_new_privs {
            true => thread::set_no_new_privs(true).map_err(|errno| failed(Step::NoNewPrivs, errno)),
            false => Ok(()),
        }
    }
}

fn failed(step: Step, errno: rustix::io::Errno) -> Failure {
    (step, Error::from_raw(errno.raw_os_error())).into()
}

/// Takes all others out of the bounding set, those without a name in this program too.
fn bound_by(kept: CapabilitySet) -> rustix::io::Result<()> {
    for one in (0..u64::BITS).map(|number| CapabilitySet::from_bits_retain(1 << number)) {
        match capability_is_in_bounding_set(one) {
            Ok(true) if !kept.contains(one) => remove_capability_from_bounding_set(one)?,
            Ok(_) => {}
            // The kernel has no more of them.
            Err(rustix::io::Errno::INVAL) => break,
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

/// Has these and no others, and passes them on to what is executed.
fn keep(kept: CapabilitySet) -> rustix::io::Result<()> {
    let sets = CapabilitySets { effective: kept, permitted: kept, inheritable: kept };
    thread::set_capabilities(None, sets)?;
    thread::clear_ambient_capability_set()?;
    kept.iter().try_for_each(|one| configure_capability_in_ambient_set(one, true))
}
