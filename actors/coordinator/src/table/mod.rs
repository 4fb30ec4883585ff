//! The `[coordinator]` table as it is written.

mod resolve;
mod scalars;

use coproc_core::count::{Bytes, Positive};
use coproc_core::duration::Span;
use coproc_core::flag::Flag;
use coproc_core::mode::Mode;
use coproc_core::text::Text;
use coproc_core::words::Words;
use schemars::JsonSchema;
use serde::Deserialize;

use self::scalars::{Hosts, Listen, Port, PublicUrl, Seconds};
use crate::exec_task::ExecTaskTable;
use crate::nats::table::NatsTable;
use crate::router::Order;
use crate::unix_hooks::UnixHooks;

/// The coordinator of tasks: requests come in over HTTP and a Unix socket, and go to providers that
/// are found by their sockets.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub struct CoordinatorTable {
    /// The folder of the sockets of coordinators and providers. `${name}` is replaced.
    #[schemars(example = &"/run/mistify")]
    pub socket_dir: Option<String>,
    /// Its name, by which its two sockets are called.
    #[schemars(required, example = &"coordinator")]
    pub service_name: Option<Text>,
    /// The port for requests over HTTP.
    #[schemars(example = 8090)]
    pub external_port: Option<Port>,
    /// The address of that port; `0.0.0.0` is all of this machine's, `none` is no port at all.
    #[schemars(example = &"0.0.0.0")]
    pub listen: Option<Listen>,
    /// How long a response may take, in seconds or as a duration; `0` is `60s`.
    #[schemars(example = &"2m")]
    pub request_timeout: Option<Seconds>,
    /// How long a requester may take to send its request.
    #[schemars(example = &"5s")]
    pub read_timeout: Option<Span>,
    /// How long a provider may take to say that it takes a request, or not.
    #[schemars(example = &"2s")]
    pub ack_timeout: Option<Span>,
    /// How long a response hook, or the source of a stream, may take to answer.
    #[schemars(example = &"10s")]
    pub hook_timeout: Option<Span>,
    /// How long a stream may stand still before it is broken off.
    #[schemars(example = &"5m")]
    pub stream_timeout: Option<Span>,
    /// How long the address of a stream is good for.
    #[schemars(example = &"1h")]
    pub stream_ttl: Option<Span>,
    /// How long open requests may take to be answered when the coordinator stops.
    #[schemars(example = &"10s")]
    pub stop_timeout: Option<Span>,
    /// What the addresses of streams begin with for clients outside. Default: `http://`, the
    /// address at which a request came in, and the port.
    #[schemars(example = &"https://tasks.example.test/api")]
    pub public_url: Option<PublicUrl>,
    /// The largest message.
    #[schemars(example = &"1MiB")]
    pub max_message: Option<Bytes>,
    /// How many requests may wait for their response.
    #[schemars(example = 1000)]
    pub max_inflight: Option<Positive>,
    /// How many connections are served at once, on the port and on each socket; further ones wait.
    #[schemars(example = 64)]
    pub max_clients: Option<Positive>,
    /// Where responses may be sent: `*`, names, addresses and networks. `*` is every host, without
    /// addresses that are local to a link, such as `169.254.169.254`.
    #[schemars(example = ["10.0.0.0/8", "hooks.example.test"])]
    pub hook_allow: Option<Hosts>,
    /// Whence streams may be fetched over HTTP, likewise.
    #[schemars(example = ["10.0.0.0/8"])]
    pub stream_allow: Option<Hosts>,
    /// Which Unix sockets requests may name as hooks and streams, to which providers then connect: `any`,
    /// or those below `socket_dir`.
    #[schemars(example = &"socket_dir")]
    pub unix_hooks: Option<UnixHooks>,
    /// Whether requests over HTTP may name Unix sockets, to which providers then connect.
    #[schemars(example = true)]
    pub allow_unix_hooks_from_http: Option<Flag>,
    /// Whether providers see the requester's id. Otherwise they see one that the coordinator made,
    /// so that nobody can answer a request who was not asked.
    #[schemars(example = true)]
    pub keep_ids: Option<Flag>,
    /// How the priorities of providers compare: as `number`, or as `text` as mistify's did.
    #[schemars(example = &"text")]
    pub priority_order: Option<Order>,
    /// Whether providers of equal priority take turns. Otherwise the first by name is asked first.
    #[schemars(example = true)]
    pub rotate: Option<Flag>,
    /// Whether HTTP answers to what is no request have a status of 400 or 413. Otherwise all have
    /// 200.
    #[schemars(example = true)]
    pub strict_http: Option<Flag>,
    /// Texts of which requests over HTTP have to bear one, as `Authorization: Bearer TEXT`.
    /// Default: none has to.
    #[schemars(example = ["a-long-random-text"])]
    pub tokens: Option<Words>,
    /// The mode of its sockets, in octal digits and in quotes.
    #[schemars(example = &"0666")]
    pub socket_mode: Option<Mode>,
    /// The mode of the folders that it makes, in octal digits and in quotes.
    #[schemars(example = &"0755")]
    pub dir_mode: Option<Mode>,
    /// The group that its sockets and folders are given to, by name or number. Default: the
    /// wrapper's own.
    #[schemars(example = &"adm")]
    pub group: Option<Text>,
    /// Who may connect to its sockets, requesters and providers: users by name or number. A list that is
    /// set is not empty. Default: everybody whom `socket_mode` lets.
    #[schemars(example = ["tasks", "www-data"])]
    pub peer_users: Option<Words>,
    /// Who may connect besides: groups by name or number, one of which the peer has as its primary or as a
    /// supplementary group. Default: none.
    #[schemars(example = ["deploy"])]
    pub peer_groups: Option<Words>,
    /// Offers the task `exec`, which runs programs. Default: it is not offered.
    #[schemars(example = serde_json::json!({ "allow": ["/usr/bin/uptime"] }))]
    pub exec: Option<ExecTaskTable>,
    /// Whether the task `coprocess` is offered, which tells the status of the coprocesses and starts,
    /// stops and restarts them.
    #[schemars(example = true)]
    pub coprocess: Option<Flag>,
    /// The NATS server through which tasks are shared with other coordinators. Default: none are.
    #[schemars(example = serde_json::json!({ "url": "nats://10.0.0.5:4222" }))]
    pub nats: Option<NatsTable>,
}

/// The defaults of keys that are not set, as `debug` shows them.
pub const DEFAULTS: [(&str, &str); 24] = [
    ("socket_dir", SOCKET_DIR),
    ("external_port", "8080"),
    ("listen", "127.0.0.1"),
    ("request_timeout", "60s"),
    ("read_timeout", "10s"),
    ("ack_timeout", "5s"),
    ("hook_timeout", "30s"),
    ("stream_timeout", "1m"),
    ("stream_ttl", "10m"),
    ("stop_timeout", "30s"),
    ("max_message", "16MiB"),
    ("max_inflight", "16384"),
    ("max_clients", "256"),
    ("hook_allow", "*"),
    ("stream_allow", "*"),
    ("unix_hooks", "any"),
    ("allow_unix_hooks_from_http", "false"),
    ("keep_ids", "false"),
    ("priority_order", "number"),
    ("rotate", "false"),
    ("strict_http", "false"),
    ("socket_mode", "0660"),
    ("dir_mode", "0750"),
    ("coprocess", "false"),
];

/// The default of `socket_dir`, as that of the original.
pub const SOCKET_DIR: &str = "/tmp/mistify";
