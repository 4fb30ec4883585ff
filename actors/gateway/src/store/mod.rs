//! Where keys, sessions and plugins' data are kept: in a file of one's own, or in Redis.

use std::fmt;
use std::time::Duration;

use futures_util::future::BoxFuture;

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
}

/// Why the store did not answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct StoreError(pub String);
