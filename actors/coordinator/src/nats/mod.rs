//! Tasks that coordinators share through a NATS server: a request for which nobody registered here
//! goes to one of the others that has a provider, and its response comes back.
//!
//! Each coordinator that has a provider for a task, or knows one that comes back, is in the task's queue
//! group. Whoever gets a request claims it from where it came from before any provider hears of it; a
//! claim is granted once in a round. Where whoever claimed it says that nothing runs, the others are
//! asked in further rounds, all at once. What nobody has claimed when its requester is told of a failure
//! is granted to nobody any more: so nothing runs twice, and what the client keeps back while the server
//! is away does not run late.

mod away;
mod claims;
mod folders;
mod intake;
mod offer;
pub mod table;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_nats::Client;
use async_nats::connection::State;
use coproc_acomm::Url;
use tokio::sync::Semaphore;

pub(crate) use away::{Passed, When, give_away, return_response};
pub(crate) use intake::serve;

use claims::Claims;

/// The scheme of hooks that are other coordinators.
const SCHEME: &str = "nats";

/// How requests are shared.
#[derive(Clone, Debug)]
pub struct Nats {
    /// Servers of one cluster.
    pub servers: Vec<String>,
    /// What the subjects begin with.
    pub subject: String,
    /// Who this is to the server, if it asks.
    pub login: Login,
    /// How long a connection may take.
    pub connect_timeout: Duration,
    /// How long another coordinator may take to say whether it takes a request.
    pub ack_timeout: Duration,
    /// How many requests of others are offered to providers at once.
    pub max_requests: usize,
}

/// Who a coordinator is to a server.
#[derive(Clone, Debug)]
pub enum Login {
    /// Nobody.
    None,
    /// A user and the password.
    User(String, String),
    /// Whoever knows this text.
    Token(String),
}

/// What all connections share of it.
#[derive(Debug)]
pub(crate) struct Peers {
    config: Nats,
    /// Nobody else's.
    name: String,
    /// What the subjects of this coordinator begin with.
    own: String,
    /// The connection of the thread that serves.
    client: Mutex<Option<Client>>,
    /// The requests that are offered.
    claims: Claims,
    /// One for each request of others that is offered to providers.
    seats: Arc<Semaphore>,
    /// One for each request of others that waits for a provider.
    waits: Arc<Semaphore>,
}

impl Peers {
    /// `name` is nobody else's.
    pub(crate) fn new(config: Nats, name: &str) -> Self {
        Self {
            name: name.to_owned(),
            own: format!("{}.to.{name}", config.subject),
            client: Mutex::default(),
            claims: Claims::default(),
            seats: Arc::new(Semaphore::new(config.max_requests)),
            waits: Arc::new(Semaphore::new(config.max_requests)),
            config,
        }
    }

    /// The connection, if there is one at the moment.
    fn connected(&self) -> Option<Client> {
        let client = self.client.lock().unwrap_or_else(PoisonError::into_inner).clone()?;
        (client.connection_state() == State::Connected).then_some(client)
    }

    /// Whether there is a connection.
    pub(crate) fn is_connected(&self) -> bool {
        self.connected().is_some()
    }

    /// The subject on which one coordinator of a task's group is asked.
    fn task(&self, task: &str) -> String {
        format!("{}.task.{}", self.config.subject, token(task))
    }

    /// The subject on which all of them are.
    fn all(&self, task: &str) -> String {
        format!("{}.all.{}", self.config.subject, token(task))
    }

    /// The subjects of another coordinator, if this hook is one.
    fn home<'a>(&self, hook: &'a Url) -> Option<&'a str> {
        let name = hook.opaque.strip_prefix(&self.config.subject)?.strip_prefix(".to.")?;
        let plain = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric());
        (is_shared(hook) && plain).then_some(&hook.opaque)
    }

    fn hook(&self) -> Url {
        Url { scheme: SCHEME.into(), opaque: self.own.clone(), ..Url::default() }
    }
}

/// Whether a hook is another coordinator.
pub(crate) fn is_shared(hook: &Url) -> bool {
    hook.scheme == SCHEME
}

/// A task's name as a part of a subject.
fn token(task: &str) -> String {
    use std::fmt::Write;
    let mut out = String::with_capacity(task.len());
    for byte in task.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_".contains(&byte) {
            out.push(char::from(byte));
        } else {
            // Writing to a text does not fail.
            let _ = write!(out, "={byte:02X}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peers() -> Peers {
        let config = Nats {
            servers: vec!["nats://127.0.0.1".into()],
            subject: "a.b".into(),
            login: Login::None,
            connect_timeout: Duration::from_secs(1),
            ack_timeout: Duration::from_secs(1),
            max_requests: 1,
        };
        Peers::new(config, "00ff")
    }

    #[test]
    fn tasks_are_one_part_of_a_subject() {
        assert_eq!(peers().task("CPUInfo"), "a.b.task.CPUInfo");
        assert_eq!(peers().task("a b.c*>ü"), "a.b.task.a=20b=2Ec=2A=3E=C3=BC");
        assert_eq!(peers().task("a=20b"), "a.b.task.a=3D20b");
    }

    #[test]
    fn only_coordinators_are_answered() {
        let peers = peers();
        assert_eq!(peers.home(&peers.hook()), Some("a.b.to.00ff"));
        for subject in ["a.b.to.", "a.b.to.*", "a.b.to.x.y", "a.b.task.x", "$SYS.x", "a.b.to.a b"] {
            let hook = Url { opaque: subject.into(), ..peers.hook() };
            assert_eq!(peers.home(&hook), None, "{subject}");
        }
        assert_eq!(peers.home(&Url { scheme: "http".into(), ..peers.hook() }), None);
    }
}
