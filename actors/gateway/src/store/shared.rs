//! The store in Redis, where several gateways can share it. Names are Tyk's, so that one can take over the
//! keys of the other.

use std::fmt;
use std::sync::OnceLock;
use std::thread::JoinHandle;
use std::time::Duration;

use futures_util::future::BoxFuture;
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{Client, FromRedisValue, IntoConnectionInfo, Pipeline};
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

use super::{Count, LONGEST, Store, StoreError};

/// How many keys one step of a listing looks at.
const STEP: usize = 1000;

/// Where Redis is and how it is asked.
#[derive(Clone, PartialEq, Eq)]
pub struct SharedConfig {
    /// `redis://HOST:PORT/DATABASE` or `redis+unix:///PATH`, without credentials.
    pub url: String,
    /// The user; `None`: Redis' default one.
    pub user: Option<String>,
    /// The password.
    pub password: Option<String>,
    /// What all names begin with.
    pub prefix: String,
    /// How long a connection and an answer may each take.
    pub timeout: Duration,
}

impl fmt::Debug for SharedConfig {
    /// Without the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedConfig")
            .field("url", &self.url)
            .field("user", &self.user)
            .field("prefix", &self.prefix)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

/// A store in Redis. It connects when it is first asked, and again whenever the connection is lost; what is
/// asked in the meantime fails. The connection has a thread of its own, so that it belongs to none of those
/// who ask.
pub struct Shared {
    client: Client,
    config: SharedConfig,
    link: OnceLock<Link>,
}

/// The connection and its thread.
struct Link {
    manager: ConnectionManager,
    runtime: Handle,
    /// The thread ends once this is dropped.
    life: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Link {
    fn open(client: Client, config: ConnectionManagerConfig) -> Result<Self, StoreError> {
        let system = |error: std::io::Error| StoreError(format!("Redis: {error}"));
        let runtime = Builder::new_current_thread().enable_all().build().map_err(system)?;
        let handle = runtime.handle().clone();
        let manager = {
            let _inside = handle.enter();
            ConnectionManager::new_lazy_with_config(client, config).map_err(failed)?
        };
        let (life, over) = oneshot::channel::<()>();
        let serve = move || {
            // Either way it is over.
            let _ = runtime.block_on(over);
        };
        let thread = std::thread::Builder::new().name("gateway-redis".to_owned());
        let thread = thread.spawn(serve).map_err(system)?;
        Ok(Self { manager, runtime: handle, life: Some(life), thread: Some(thread) })
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.life = None;
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has told of it.
            let _ = thread.join();
        }
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("config", &self.config).finish_non_exhaustive()
    }
}

impl Shared {
    /// Takes the settings; nobody is asked yet.
    ///
    /// # Errors
    /// A sentence where the URL is none of Redis, or has credentials.
    pub fn new(config: SharedConfig) -> Result<Self, StoreError> {
        let info = config.url.as_str().into_connection_info();
        let info =
            info.map_err(|_| StoreError("it is not the URL of a Redis server".to_owned()))?;
        let mut settings = info.redis_settings().clone();
        if settings.username().is_some() || settings.password().is_some() {
            let what = "the URL has credentials, which belong to `user` and `password`";
            return Err(StoreError(what.to_owned()));
        }
        if let Some(user) = &config.user {
            settings = settings.set_username(user);
        }
        if let Some(password) = &config.password {
            settings = settings.set_password(password);
        }
        let info = info.set_redis_settings(settings.set_skip_set_lib_name());
        let client = Client::open(info).map_err(failed)?;
        Ok(Self { client, config, link: OnceLock::new() })
    }

    /// The connection; a failure to begin one is not the last word.
    fn link(&self) -> Result<&Link, StoreError> {
        if let Some(link) = self.link.get() {
            return Ok(link);
        }
        let config = ConnectionManagerConfig::new()
            .set_connection_timeout(Some(self.config.timeout))
            .set_response_timeout(Some(self.config.timeout))
            .set_number_of_retries(1)
            .set_max_delay(Duration::from_secs(1));
        let link = Link::open(self.client.clone(), config)?;
        // Of two that begin at once the first one stays.
        Ok(self.link.get_or_init(|| link))
    }

    async fn ask<T: FromRedisValue + Send + 'static>(
        &self,
        pipeline: Pipeline,
    ) -> Result<T, StoreError> {
        let link = self.link()?;
        let mut manager = link.manager.clone();
        let asked = link.runtime.spawn(async move { pipeline.query_async(&mut manager).await });
        asked.await.map_err(|error| StoreError(format!("Redis: {error}")))?.map_err(failed)
    }

    fn name(&self, key: &str) -> String {
        format!("{}{key}", self.config.prefix)
    }

    async fn all(&self, prefix: &str) -> Result<Vec<String>, StoreError> {
        let prefix = self.name(prefix);
        let mut pattern = String::new();
        for c in prefix.chars() {
            if matches!(c, '*' | '?' | '[' | ']' | '\\') {
                pattern.push('\\');
            }
            pattern.push(c);
        }
        pattern.push('*');
        let mut keys = Vec::new();
        let mut cursor = 0u64;
        loop {
            let mut pipeline = redis::pipe();
            pipeline.cmd("SCAN").arg(cursor).arg("MATCH").arg(&pattern).arg("COUNT").arg(STEP);
            let ((next, found),): ((u64, Vec<String>),) = self.ask(pipeline).await?;
            keys.extend(
                found
                    .iter()
                    .filter_map(|key| key.strip_prefix(&self.config.prefix).map(str::to_owned)),
            );
            if next == 0 {
                break;
            }
            cursor = next;
        }
        // One step may tell what another has told.
        keys.sort();
        keys.dedup();
        Ok(keys)
    }
}

impl Store for Shared {
    fn get<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<Vec<u8>>, StoreError>> {
        Box::pin(async move {
            let mut pipeline = redis::pipe();
            pipeline.cmd("GET").arg(self.name(key));
            let (value,) = self.ask(pipeline).await?;
            Ok(value)
        })
    }

    fn set<'a>(
        &'a self,
        key: &'a str,
        value: Vec<u8>,
        life: Option<Duration>,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            let mut pipeline = redis::pipe();
            pipeline.cmd("SET").arg(self.name(key)).arg(value);
            if let Some(milliseconds) = milliseconds(life) {
                pipeline.arg("PX").arg(milliseconds);
            }
            self.ask::<((),)>(pipeline).await.map(|_| ())
        })
    }

    fn remove<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<bool, StoreError>> {
        Box::pin(async move {
            let mut pipeline = redis::pipe();
            pipeline.cmd("DEL").arg(self.name(key));
            let (removed,): (u64,) = self.ask(pipeline).await?;
            Ok(removed > 0)
        })
    }

    fn keys<'a>(&'a self, prefix: &'a str) -> BoxFuture<'a, Result<Vec<String>, StoreError>> {
        Box::pin(self.all(prefix))
    }

    fn count<'a>(
        &'a self,
        key: &'a str,
        start: i64,
        life: Option<Duration>,
    ) -> BoxFuture<'a, Result<Count, StoreError>> {
        Box::pin(async move {
            let name = self.name(key);
            let mut pipeline = redis::pipe();
            // As one, so that it neither ends between the two nor lives for ever.
            pipeline.atomic().cmd("SET").arg(&name).arg(start).arg("NX");
            if let Some(milliseconds) = milliseconds(life) {
                pipeline.arg("PX").arg(milliseconds);
            }
            pipeline.ignore();
            pipeline.cmd("INCR").arg(&name).cmd("PTTL").arg(&name);
            let (value, left): (i64, i64) = self.ask(pipeline).await?;
            Ok(Count { value, left: time(left) })
        })
    }

    fn counted<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<Count>, StoreError>> {
        Box::pin(async move {
            let name = self.name(key);
            let mut pipeline = redis::pipe();
            pipeline.atomic().cmd("GET").arg(&name).cmd("PTTL").arg(&name);
            let (value, left): (Option<i64>, i64) = self.ask(pipeline).await?;
            Ok(value.map(|value| Count { value, left: time(left) }))
        })
    }
}

fn milliseconds(life: Option<Duration>) -> Option<u64> {
    let life = life.filter(|life| *life < LONGEST)?;
    u64::try_from(life.as_millis()).ok().map(|time| time.max(1))
}

/// Redis says a negative number for what has no end.
fn time(milliseconds: i64) -> Option<Duration> {
    u64::try_from(milliseconds).ok().map(Duration::from_millis)
}

fn failed(error: redis::RedisError) -> StoreError {
    StoreError(format!("Redis: {error}"))
}
