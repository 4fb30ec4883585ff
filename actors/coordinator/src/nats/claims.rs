//! Who may give a request to a provider: whoever claims it first, once in each round in which it is
//! offered, and nobody once it was withdrawn. Pure but for its lock.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// The requests that are offered, by their hop ids.
#[derive(Debug, Default)]
pub(super) struct Claims(Mutex<HashMap<Arc<str>, Offered>>);

#[derive(Debug)]
struct Offered {
    round: u32,
    granted: bool,
    answered: Arc<Notify>,
}

impl Claims {
    /// Opens a round for a request; what is given is notified when its response has come.
    pub(super) fn open(&self, hop: &Arc<str>, round: u32) -> Arc<Notify> {
        let answered = Arc::new(Notify::new());
        let offered = Offered { round, granted: false, answered: answered.clone() };
        self.all().insert(hop.clone(), offered);
        answered
    }

    /// Whether a claim is granted.
    pub(super) fn grant(&self, hop: &str, round: u32) -> bool {
        match self.all().get_mut(hop) {
            Some(offered) if offered.round == round => {
                !std::mem::replace(&mut offered.granted, true)
            }
            _ => false,
        }
    }

    /// Takes an offer back unless it is granted; whether it was.
    pub(super) fn withdraw(&self, hop: &str) -> bool {
        let mut all = self.all();
        let granted = all.get(hop).is_some_and(|offered| offered.granted);
        if !granted {
            all.remove(hop);
        }
        granted
    }

    /// Forgets a request whoever has it.
    pub(super) fn close(&self, hop: &str) {
        self.all().remove(hop);
    }

    /// Tells whoever offers a request that its response has come.
    pub(super) fn answered(&self, hop: &str) {
        if let Some(offered) = self.all().get(hop) {
            offered.answered.notify_one();
        }
    }

    /// Forgets all.
    pub(super) fn clear(&self) {
        self.all().clear();
    }

    fn all(&self) -> MutexGuard<'_, HashMap<Arc<str>, Offered>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_is_granted_once_in_a_round_and_never_after_it_was_withdrawn() {
        let (claims, hop): (_, Arc<str>) = (Claims::default(), "h".into());
        assert!(!claims.grant("h", 0));
        claims.open(&hop, 0);
        assert!(!claims.grant("h", 1) && !claims.grant("x", 0));
        assert!(claims.grant("h", 0) && !claims.grant("h", 0));
        assert!(claims.withdraw("h"), "whoever has it has it");
        // Who comes late from the round before has no claim on this one.
        claims.open(&hop, 1);
        assert!(!claims.grant("h", 0));
        assert!(!claims.withdraw("h"));
        assert!(!claims.grant("h", 1));
        claims.open(&hop, 2);
        claims.close("h");
        assert!(!claims.grant("h", 2));
    }
}
