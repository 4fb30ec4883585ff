//! Where keys, sessions and plugins' data are kept: in a file of one's own, or in Redis.

mod embedded;
mod shared;

use std::fmt;
use std::time::Duration;

use futures_util::future::BoxFuture;

pub use self::embedded::Embedded;
pub use self::shared::{Shared, SharedConfig};

/// What the names of data begin with that plugins store.
pub const PLUGIN_DATA: &str = "coprocess-data:";

/// The longest life that a value is given: what is longer is for ever.
const LONGEST: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

/// Bytes by name, with an end of life.
pub trait Store: Send + Sync + fmt::Debug {
    /// The value of a key that has not outlived its time.
    fn get<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<Vec<u8>>, StoreError>>;

    /// Sets a value, for ever or for a time.
    fn set<'a>(
        &'a self,
        key: &'a str,
        value: Vec<u8>,
        life: Option<Duration>,
    ) -> BoxFuture<'a, Result<(), StoreError>>;

    /// Removes a key; the answer is whether it was there.
    fn remove<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<bool, StoreError>>;

    /// The keys that begin with a prefix, sorted.
    fn keys<'a>(&'a self, prefix: &'a str) -> BoxFuture<'a, Result<Vec<String>, StoreError>>;

    /// Adds one to a number, which is at `start` and lives for `life` if it is not there.
    fn count<'a>(
        &'a self,
        key: &'a str,
        start: i64,
        life: Option<Duration>,
    ) -> BoxFuture<'a, Result<Count, StoreError>>;

    /// A number as [`Store::count`] left it.
    fn counted<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<Count>, StoreError>>;
}

/// A number that is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count {
    /// What it has come to.
    pub value: i64,
    /// How long it lives from now on; `None`: for ever.
    pub left: Option<Duration>,
}

/// Why the store did not answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct StoreError(pub String);

/// Keeps data of a plugin for a time, as `store_data` does; zero and less: for ever.
///
/// # Errors
/// When the store does not answer.
pub async fn keep_data(
    store: &dyn Store,
    key: &str,
    value: Vec<u8>,
    seconds: i64,
) -> Result<(), StoreError> {
    let life = u64::try_from(seconds).ok().filter(|seconds| *seconds > 0).map(Duration::from_secs);
    store.set(&format!("{PLUGIN_DATA}{key}"), value, life).await
}

/// Data that a plugin stored; empty where there are none.
///
/// # Errors
/// When the store does not answer.
pub async fn data(store: &dyn Store, key: &str) -> Result<Vec<u8>, StoreError> {
    Ok(store.get(&format!("{PLUGIN_DATA}{key}")).await?.unwrap_or_default())
}
