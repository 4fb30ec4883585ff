//! Every path of the API: who may ask for it, what it takes and what it answers. Requests are served by
//! this table, and the OpenAPI document is made of it.

use crate::given::{Given, Route, keys, set, signal, wanted_lines};
use crate::request::{Health, Order, Refused, Request, Until};
use crate::role::Role;

/// A path and a method.
pub(crate) struct Entry {
    pub(crate) method: &'static str,
    /// Its parts between braces are parameters.
    pub(crate) path: &'static str,
    /// Who may ask for it.
    pub(crate) role: Role,
    /// Whether a port tells it to everybody.
    pub(crate) open: bool,
    /// Its name in programs that are made of the API's description.
    pub(crate) id: &'static str,
    pub(crate) summary: &'static str,
    pub(crate) query: &'static [Parameter],
    /// The schema of its body, if it takes one.
    pub(crate) body: Option<&'static str>,
    pub(crate) answer: Kind,
    /// Whether it can be had as server-sent events as well.
    pub(crate) streams: bool,
    pub(crate) read: fn(&Given<'_>) -> Result<Route, Refused>,
}

impl Entry {
    /// What it is refused with besides for want of a role, and when.
    pub(crate) fn refusals(&self) -> Vec<(&'static str, &'static str)> {
        let mut refusals = Vec::new();
        if !self.open {
            refusals.push(("400", "The path, the query or the body is not valid."));
        }
        if self.path.contains('{')
            || self.path == "/v1/keys"
            || self.query.iter().any(|one| one.name == "name")
        {
            refusals.push(("404", "There is nothing of this name."));
        }
        if self.body.is_some() {
            refusals.push(("408", "The body did not come in time."));
        }
        if self.path.starts_with("/v1/reconfigure") {
            refusals.push(("422", "The config is not valid; its report says what is wrong."));
        }
        if !self.open {
            refusals.push(("409", "It cannot be done in the state that things are in."));
        }
        refusals.push(("503", "The wrapper is leaving, or cannot do it just now."));
        refusals
    }
}

/// A parameter of a query, none of which is required.
pub(crate) struct Parameter {
    pub(crate) name: &'static str,
    /// A type of JSON Schema, or words with `|` between them.
    pub(crate) kind: &'static str,
    pub(crate) about: &'static str,
}

/// What an answer consists of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// JSON of this schema.
    Json(&'static str),
    /// Lines, each JSON of this schema.
    Lines(&'static str),
    /// `ok` with 200, or with 503 a line for each that is not well.
    Health,
    /// The text of OpenMetrics.
    Metrics,
}

const fn parameter(name: &'static str, kind: &'static str, about: &'static str) -> Parameter {
    Parameter { name, kind, about }
}

/// Yes or no; nothing after the name is a yes.
const FLAG: &str = "true|false|1|0|";

const FOLLOW: Parameter = parameter("follow", FLAG, "Whether to stay, and tell of what comes.");

const NAME: Parameter = parameter(
    "name",
    "string",
    "A coprocess, the name that replicas share, or `main`; without it all.",
);

const HASHED: Parameter = parameter("hashed", FLAG, "Whether the key is named by its hash.");

/// What is asked for by GET alone and changes nothing.
const fn get(
    path: &'static str,
    id: &'static str,
    summary: &'static str,
    answer: Kind,
    read: fn(&Given<'_>) -> Result<Route, Refused>,
) -> Entry {
    Entry {
        method: "GET",
        path,
        role: Role::Read,
        open: false,
        id,
        summary,
        query: &[],
        body: None,
        answer,
        streams: false,
        read,
    }
}

/// An order.
const fn post(
    path: &'static str,
    id: &'static str,
    summary: &'static str,
    answer: &'static str,
    read: fn(&Given<'_>) -> Result<Route, Refused>,
) -> Entry {
    let answer = Kind::Json(answer);
    Entry { method: "POST", role: Role::Operate, ..get(path, id, summary, answer, read) }
}

/// About the gateway's keys.
const fn key(
    method: &'static str,
    path: &'static str,
    id: &'static str,
    summary: &'static str,
) -> Entry {
    let answer = Kind::Json("Keys");
    Entry { method, role: Role::Admin, ..get(path, id, summary, answer, keys) }
}

fn ask(request: Request) -> Result<Route, Refused> {
    Ok(Route::Ask(request))
}

fn order(given: &Given<'_>, order: Order) -> Result<Route, Refused> {
    ask(Request::Order(given.name(), order))
}

const KEY: &str = "/v1/keys/{key}";

/// The table. The first entry whose path fits counts.
pub(crate) const ROUTES: &[Entry] = &[
    Entry {
        open: true,
        ..get(
            "/livez",
            "livez",
            "Whether nothing is wrong that only a new start would heal.",
            Kind::Health,
            |_| Ok(Route::Health(Health::Alive)),
        )
    },
    Entry {
        open: true,
        ..get(
            "/readyz",
            "readyz",
            "Whether all that is meant to be up is ready.",
            Kind::Health,
            |_| Ok(Route::Health(Health::Ready)),
        )
    },
    Entry {
        open: true,
        ..get("/metrics", "metrics", "What is measured.", Kind::Metrics, |_| Ok(Route::Metrics))
    },
    Entry {
        query: &[NAME],
        ..get(
            "/v1/status",
            "status",
            "The main process and all coprocesses, or those of one name.",
            Kind::Json("Status"),
            |given| ask(Request::Status(given.query.word("name")?)),
        )
    },
    Entry {
        query: &[NAME],
        ..get(
            "/v1/why",
            "why",
            "The reason of each state, or of one.",
            Kind::Json("Why"),
            |given| ask(Request::Why(given.query.word("name")?)),
        )
    },
    get("/openapi.json", "openapi", "This description.", Kind::Json("Description"), |_| {
        Ok(Route::Description)
    }),
    get("/v1/plan", "plan", "What a stop of all would be like now.", Kind::Json("Plan"), |_| {
        ask(Request::Plan)
    }),
    Entry {
        streams: true,
        query: &[
            parameter("since", "integer", "The number of the last event that is known already."),
            FOLLOW,
        ],
        ..get("/v1/events", "events", "What happened.", Kind::Lines("Event"), |given| {
            let since = given.query.number("since")?;
            Ok(Route::Events { since, follow: given.query.flag("follow")? })
        })
    },
    Entry {
        streams: true,
        query: &[
            NAME,
            parameter("n", "integer", "How many of the last lines to begin with; 100 by default."),
            FOLLOW,
        ],
        ..get("/v1/logs", "logs", "The latest output.", Kind::Lines("LogLine"), |given| {
            let count = wanted_lines(given)?;
            let name = given.query.word("name")?;
            Ok(Route::Logs { name, count, follow: given.query.flag("follow")? })
        })
    },
    post(
        "/v1/reload",
        "reload",
        "Reload the main process; answered when it is over.",
        "Reloaded",
        |_| ask(Request::Reload),
    ),
    get(
        "/v1/reconfigure/plan",
        "planReconfigure",
        "What the config as it is now, read anew, would change.",
        Kind::Json("Change"),
        |_| ask(Request::Reconfigure { apply: false }),
    ),
    Entry {
        role: Role::Admin,
        ..post(
            "/v1/reconfigure",
            "reconfigure",
            "Read the config anew and carry out what differs; answered when it is over.",
            "Change",
            |_| ask(Request::Reconfigure { apply: true }),
        )
    },
    Entry {
        body: Some("EmitBody"),
        ..post("/v1/emit", "emit", "Publish `custom.NAME`.", "Emitted", |given| {
            ask(Request::Emit(given.text("name")?))
        })
    },
    Entry {
        query: &[parameter("for", Until::WORDS, "What it is waited for; `ready` by default.")],
        ..get(
            "/v1/coprocesses/{name}/wait",
            "wait",
            "Answered once it is so, which may be at once, or cannot come any more by itself.",
            Kind::Json("Ordered"),
            |given| {
                let until = given.query.word("for")?;
                let until = until.map_or(Ok(Until::Ready), |word| word.parse());
                ask(Request::Wait(given.name(), until.map_err(|why| Refused::new(400, why))?))
            },
        )
    },
    post(
        "/v1/coprocesses/{name}/start",
        "start",
        "Have it run; answered when it does, or has ended.",
        "Ordered",
        |given| order(given, Order::Start),
    ),
    post(
        "/v1/coprocesses/{name}/stop",
        "stop",
        "Have it stopped; answered when it is gone.",
        "Ordered",
        |given| order(given, Order::Stop),
    ),
    post(
        "/v1/coprocesses/{name}/restart",
        "restart",
        "Have it stopped and run again; answered when it does, or has ended.",
        "Ordered",
        |given| order(given, Order::Restart),
    ),
    post(
        "/v1/coprocesses/{name}/background",
        "background",
        "Let events go on without waiting for it.",
        "Ordered",
        |given| order(given, Order::Background),
    ),
    post(
        "/v1/coprocesses/{name}/foreground",
        "foreground",
        "Let events wait for it to end.",
        "Ordered",
        |given| order(given, Order::Foreground),
    ),
    Entry {
        body: Some("SetBody"),
        ..post(
            "/v1/coprocesses/{name}/set",
            "set",
            "Change settings of what runs, all of them or none.",
            "Settings",
            set,
        )
    },
    // It can end the whole.
    Entry {
        role: Role::Admin,
        body: Some("SignalBody"),
        ..post(
            "/v1/coprocesses/main/signal",
            "signalMain",
            "Send a signal to the main process itself.",
            "Signalled",
            |given| signal("main", given),
        )
    },
    Entry {
        body: Some("SignalBody"),
        ..post(
            "/v1/coprocesses/{name}/signal",
            "signal",
            "Send a signal to its process group.",
            "Signalled",
            |given| signal(&given.name(), given),
        )
    },
    key("GET", "/v1/keys", "listKeys", "All keys of the gateway."),
    Entry { body: Some("Session"), ..key("POST", "/v1/keys", "addKey", "A new key.") },
    Entry { query: &[HASHED], ..key("GET", KEY, "showKey", "A key's session.") },
    Entry {
        query: &[HASHED],
        body: Some("Session"),
        ..key("POST", KEY, "setKey", "Set a key's session; its quota begins anew.")
    },
    Entry {
        query: &[HASHED, parameter("suppress_reset", FLAG, "Whether the quota goes on as it is.")],
        body: Some("Session"),
        ..key("PUT", KEY, "changeKey", "Change a key's session.")
    },
    Entry { query: &[HASHED], ..key("DELETE", KEY, "deleteKey", "Delete a key.") },
];
