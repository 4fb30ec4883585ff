//! The stage: a gateway with its APIs, and those whom it talks with.

use serde_json::{Value, json};

use crate::client::{Message, Request};
use crate::plugin::Plugin;
use crate::support::{Place, Wrapper, eventually, free_port};
use crate::upstream::Upstream;

/// The header and the secret with which keys are managed on the gateway's port.
pub(crate) const SECRET: (&str, &str) = ("X-Tyk-Authorization", "let-me-in");

/// A running gateway.
pub(crate) struct Rig {
    pub(crate) place: Place,
    pub(crate) port: u16,
    pub(crate) wrapper: Wrapper,
}

/// An API below `/api/` that lets everybody in, with hooks in the driver `grpc`.
pub(crate) fn api(upstream: u16, middleware: Value) -> Value {
    let mut middleware = middleware;
    middleware["driver"] = "grpc".into();
    json!({
        "name": "api", "api_id": "api1", "org_id": "org1", "active": true, "use_keyless": true,
        "version_data": { "not_versioned": true, "versions": { "Default": { "name": "Default" } } },
        "proxy": {
            "listen_path": "/api/", "target_url": format!("http://127.0.0.1:{upstream}/"),
            "strip_listen_path": true,
        },
        "custom_middleware": middleware,
    })
}

/// The same for those who have a key.
pub(crate) fn keyed(upstream: u16, middleware: Value) -> Value {
    with(api(upstream, middleware), json!({ "use_keyless": false }))
}

/// The same where a hook says who has one.
pub(crate) fn checked(upstream: u16, middleware: Value) -> Value {
    with(keyed(upstream, middleware), json!({ "custom_plugin_auth_enabled": true }))
}

/// A definition with further keys.
pub(crate) fn with(mut api: Value, keys: Value) -> Value {
    for (key, value) in keys.as_object().unwrap() {
        api[key] = value.clone();
    }
    api
}

/// A hook by its name.
pub(crate) fn hook(name: &str) -> Value {
    json!({ "name": name })
}

impl Rig {
    /// A gateway with these APIs, whose plugins are served by `plugin`.
    pub(crate) fn start(plugin: &Plugin, apis: &[Value]) -> Self {
        Self::with(&format!("grpc = \"{}\"\n", plugin.address), "", apis)
    }

    /// A gateway with further keys of `[gateway]`, and further tables.
    pub(crate) fn with(keys: &str, tables: &str, apis: &[Value]) -> Self {
        let rig = Self::launch(keys, tables, apis);
        rig.wait_until_up();
        rig
    }

    /// The same, which need not come up.
    pub(crate) fn launch(keys: &str, tables: &str, apis: &[Value]) -> Self {
        Self::launch_with(&[], keys, tables, apis)
    }

    /// The same in an environment with these variables.
    pub(crate) fn launch_with(
        variables: &[(&str, &str)],
        keys: &str,
        tables: &str,
        apis: &[Value],
    ) -> Self {
        let (place, port) = (Place::new(), free_port());
        std::fs::create_dir(place.path().join("apis")).unwrap();
        for (number, api) in apis.iter().enumerate() {
            place.write(&format!("apis/{number}.json"), &api.to_string());
        }
        place.write(
            "coproc.toml",
            &format!(
                "run_path = \"{run}\"\n[log]\nlevel = \"DEBUG\"\n[main]\nkind = \"none\"\n\
                 [gateway]\nlisten = \"127.0.0.1:{port}\"\napp_path = \"apis\"\n\
                 secret = \"{secret}\"\n{keys}\n{tables}\n",
                run = place.at("run"),
                secret = SECRET.1,
            ),
        );
        let wrapper = place.run_with(&[], variables);
        Self { place, port, wrapper }
    }

    #[track_caller]
    pub(crate) fn wait_until_up(&self) {
        let up = || std::net::TcpStream::connect(("127.0.0.1", self.port)).is_ok();
        eventually(&format!("the gateway is up\n{}", self.wrapper.dump()), up);
    }

    pub(crate) fn request(&self, method: &str, target: &str) -> Request {
        Request::new(self.port, method, target)
    }

    #[track_caller]
    pub(crate) fn get(&self, target: &str) -> Message {
        self.request("GET", target).send()
    }

    /// Stores a key.
    #[track_caller]
    pub(crate) fn key(&self, key: &str, session: &Value) {
        let request = self.request("POST", &format!("/tyk/keys/{key}"));
        let answer =
            request.header(SECRET.0, SECRET.1).body("application/json", session.to_string()).send();
        assert_eq!(answer.status(), 200, "{}", answer.text());
    }

    /// The stored session of a key, with the answer's status.
    #[track_caller]
    pub(crate) fn stored(&self, key: &str) -> (u16, Value) {
        let request = self.request("GET", &format!("/tyk/keys/{key}"));
        let answer = request.header(SECRET.0, SECRET.1).send();
        (answer.status(), serde_json::from_slice(&answer.body).unwrap_or_default())
    }

    /// What a command of coproc prints.
    #[track_caller]
    pub(crate) fn coproc(&self, words: &[&str]) -> String {
        let output = self.place.coproc(words);
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }
}

/// An upstream and a gateway with one API before it.
pub(crate) fn one(plugin: &Plugin, api: impl FnOnce(u16) -> Value) -> (Upstream, Rig) {
    let upstream = Upstream::start();
    let rig = Rig::start(plugin, &[api(upstream.port)]);
    (upstream, rig)
}
