//! What the connections of a coordinator share of the others: the connection to the server, the subjects,
//! and what is offered.

use std::sync::{Arc, Mutex, PoisonError};

use async_nats::Client;
use async_nats::connection::State;
use coproc_acomm::Url;
use tokio::sync::Semaphore;

use super::claims::Claims;
use super::config::Nats;
use super::{SCHEME, is_shared};

/// What all connections share of it.
#[derive(Debug)]
pub(crate) struct Peers {
    pub(super) config: Nats,
    /// Nobody else's.
    pub(super) name: String,
    /// What the subjects of this coordinator begin with.
    pub(super) own: String,
    /// The connection of the thread that serves.
    pub(super) client: Mutex<Option<Client>>,
    /// The requests that are offered.
    pub(super) claims: Claims,
    /// One for each request of others that is offered to providers.
    pub(super) seats: Arc<Semaphore>,
    /// One for each request of others that waits for a provider.
    pub(super) waits: Arc<Semaphore>,
}

impl Peers {
    /// `name` is nobody else's. In a build without NATS there is none.
    pub(crate) fn new(config: Nats, name: &str) -> Option<Self> {
        Some(Self {
            name: name.to_owned(),
            own: format!("{}.to.{name}", config.subject),
            client: Mutex::default(),
            claims: Claims::default(),
            seats: Arc::new(Semaphore::new(config.max_requests)),
            waits: Arc::new(Semaphore::new(config.max_requests)),
            config,
        })
    }

    /// The connection, if there is one at the moment.
    pub(super) fn connected(&self) -> Option<Client> {
        let client = self.client.lock().unwrap_or_else(PoisonError::into_inner).clone()?;
        (client.connection_state() == State::Connected).then_some(client)
    }

    /// Whether there is a connection.
    pub(crate) fn is_connected(&self) -> bool {
        self.connected().is_some()
    }

    /// The subject on which one coordinator of a task's group is asked.
    pub(super) fn task(&self, task: &str) -> String {
        format!("{}.task.{}", self.config.subject, token(task))
    }

    /// The subject on which all of them are.
    pub(super) fn all(&self, task: &str) -> String {
        format!("{}.all.{}", self.config.subject, token(task))
    }

    /// The subjects of another coordinator, if this hook is one.
    pub(super) fn home<'a>(&self, hook: &'a Url) -> Option<&'a str> {
        let name = hook.opaque.strip_prefix(&self.config.subject)?.strip_prefix(".to.")?;
        let plain = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric());
        (is_shared(hook) && plain).then_some(&hook.opaque)
    }

    pub(super) fn hook(&self) -> Url {
        Url { scheme: SCHEME.into(), opaque: self.own.clone(), ..Url::default() }
    }
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
    use std::time::Duration;

    use super::super::config::Login;
    use super::*;

    fn peers() -> Peers {
        let config = Nats {
            servers: vec!["nats://127.0.0.1".into()],
            ca: None,
            subject: "a.b".into(),
            login: Login::None,
            connect_timeout: Duration::from_secs(1),
            ack_timeout: Duration::from_secs(1),
            max_requests: 1,
        };
        Peers::new(config, "00ff").unwrap()
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
