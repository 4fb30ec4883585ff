//! What a coordinator is configured to do, with defaults filled in.

use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use coproc_acomm::Url;

use crate::allow::Allow;
use crate::exec_task::ExecTask;
use crate::nats::config::Nats;
use crate::router::Order;
use crate::unix_hooks::UnixHooks;

/// A coordinator.
#[derive(Clone, Debug)]
pub struct Coordinator {
    /// The folder of all sockets; absolute.
    pub socket_dir: PathBuf,
    /// Its name, and those of its sockets.
    pub service_name: String,
    /// The address of the HTTP port; `None` where there is none.
    pub listen: Option<IpAddr>,
    /// The HTTP port.
    pub external_port: u16,
    /// How long a response may take.
    pub request_timeout: Duration,
    /// How long a requester may take to send its request.
    pub read_timeout: Duration,
    /// How long a provider may take to say whether it takes a request.
    pub ack_timeout: Duration,
    /// How long a response hook may take to answer.
    pub hook_timeout: Duration,
    /// How long a stream may stand still.
    pub stream_timeout: Duration,
    /// How long the address of a stream is good for.
    pub stream_ttl: Duration,
    /// How long open requests may take to be answered when the coordinator stops.
    pub stop_timeout: Duration,
    /// What the addresses of streams begin with for clients outside.
    pub public_url: Option<Url>,
    /// The largest message, in bytes.
    pub max_message: usize,
    /// How many requests may wait for their response.
    pub max_inflight: usize,
    /// How many connections each entrance serves at once.
    pub max_connections: usize,
    /// Where responses may be sent.
    pub hook_allow: Allow,
    /// Whence streams may be fetched.
    pub stream_allow: Allow,
    /// Which Unix sockets requests may name.
    pub unix_hooks: UnixHooks,
    /// Whether requests over HTTP may name Unix sockets.
    pub allow_unix_hooks_from_http: bool,
    /// Whether providers see the requester's id in place of one of the coordinator's own.
    pub keep_ids: bool,
    /// How priorities compare.
    pub priority_order: Order,
    /// Whether providers of equal priority take turns.
    pub rotate: bool,
    /// Whether the status of an HTTP answer tells of messages that are no requests.
    pub strict_http: bool,
    /// What requests over HTTP have to bear; none: nothing.
    pub tokens: Tokens,
    /// The mode of the sockets.
    pub socket_mode: u32,
    /// The mode of the folders.
    pub dir_mode: u32,
    /// The group that sockets and folders are given to.
    pub group: Option<String>,
    /// Who may connect to the sockets, by name or number; with `peer_groups` empty as well, everybody.
    pub peer_users: Vec<String>,
    /// Groups of which one makes a process one that may connect.
    pub peer_groups: Vec<String>,
    /// The task `exec`, if it is offered.
    pub exec: Option<ExecTask>,
    /// Whether the task `coprocess` is offered.
    pub coprocess: bool,
    /// How tasks are shared with other coordinators; `None` where they are not.
    pub nats: Option<Nats>,
}

/// Texts that are secret.
#[derive(Clone, Default)]
pub struct Tokens(pub Vec<String>);

/// What is in it is not to be shown.
impl fmt::Debug for Tokens {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Tokens({})", self.0.len())
    }
}

impl Coordinator {
    /// The socket of requests from this machine.
    pub fn internal(&self) -> PathBuf {
        self.socket("coordinator")
    }

    /// The socket of responses.
    pub fn response(&self) -> PathBuf {
        self.socket("response")
    }

    /// The folder of streams.
    pub fn streams(&self) -> PathBuf {
        self.socket_dir.join("streams")
    }

    fn socket(&self, folder: &str) -> PathBuf {
        self.socket_dir.join(folder).join(Path::new(&format!("{}.sock", self.service_name)))
    }
}
