//! The `[gateway.store]` table.

use std::path::PathBuf;
use std::time::Duration;

use coproc_core::duration::Span;
use coproc_core::refusal::Refusal;
use coproc_core::text::Text;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::config::StoreConfig;
use crate::store::{Shared, SharedConfig};

/// Where keys and sessions are kept: in a file, or in Redis.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub struct StoreTable {
    /// The file; nobody else may use it at the same time. `${name}` is replaced. Default: `gateway.redb`
    /// in `run_path`.
    #[schemars(example = &"/var/lib/coproc/gateway.redb")]
    pub path: Option<String>,
    /// Redis, in place of the file: `redis://HOST:PORT/DATABASE` or `redis+unix:///PATH`. Its names are
    /// Tyk's. TLS is not supported. Default: the file.
    #[schemars(example = &"redis://127.0.0.1:6379/0")]
    pub redis: Option<Text>,
    /// The user in Redis. Default: Redis' default one.
    #[schemars(example = &"gateway")]
    pub user: Option<Text>,
    /// The password in Redis. Default: none.
    #[schemars(example = &"a-long-random-text")]
    pub password: Option<Text>,
    /// What all names in Redis begin with. Default: nothing, as Tyk's.
    #[schemars(example = &"coproc:")]
    pub prefix: Option<Text>,
    /// How long a connection to Redis and an answer of it may each take.
    #[schemars(example = &"500ms")]
    pub timeout: Option<Span>,
}

/// The defaults of keys that are not set, as `debug` shows them.
pub const DEFAULTS: [(&str, &str); 1] = [("timeout", "5s")];

impl StoreTable {
    pub(super) fn resolve(self, refusals: &mut Vec<Refusal>) -> StoreConfig {
        let text = |set: Option<Text>| set.map(|Text(text)| text).filter(|text| !text.is_empty());
        let wrong = |key, what: &str| Refusal::wrong("store", what).below(key);
        let path = self.path.filter(|path| !path.is_empty()).map(PathBuf::from);
        let [redis, user, password, prefix] =
            [self.redis, self.user, self.password, self.prefix].map(text);
        let Some(url) = redis else {
            for (key, set) in [("user", &user), ("password", &password), ("prefix", &prefix)] {
                if set.is_some() {
                    refusals.push(wrong(key, "is set without `redis`"));
                }
            }
            return StoreConfig::File(path);
        };
        if path.is_some() {
            refusals.push(wrong("path", "`path` and `redis` exclude each other"));
        }
        let timeout = self.timeout.map_or(Duration::from_secs(5), Span::get);
        let config =
            SharedConfig { url, user, password, prefix: prefix.unwrap_or_default(), timeout };
        if let Err(error) = Shared::new(config.clone()) {
            let expected = "`redis://HOST:PORT/DATABASE` or `redis+unix:///PATH`";
            refusals.push(wrong("redis", &error.0).expected(expected));
        }
        StoreConfig::Redis(config)
    }
}
