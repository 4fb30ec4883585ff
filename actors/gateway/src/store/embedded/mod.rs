//! The store in a file of one's own. Reads go past one another; whatever writes is done by one thread
//! (`writer`).
//!
//! What has outlived its time is never told, and is removed by the writes that come after.

mod writer;

use std::fs::{File, OpenOptions};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

use futures_util::future::BoxFuture;
use redb::{Builder, Database, ReadableDatabase, TableDefinition, TableError};
use tokio::sync::oneshot;

use super::{Count, Store, StoreError};
use writer::{Done, Job, What, Writer};

/// Values, each after the time of its end in milliseconds since 1970; 0 is never.
const VALUES: TableDefinition<'_, &str, (u64, &[u8])> = TableDefinition::new("values");

/// How much of the file is kept in memory, in bytes.
const CACHE: usize = 16 << 20;

/// How many writes may wait.
const QUEUE: usize = 4096;

/// A store in a file.
#[derive(Debug)]
pub struct Embedded {
    database: Arc<Database>,
    /// `None` once the store is being closed.
    work: Option<SyncSender<Job>>,
    writer: Option<JoinHandle<()>>,
    path: PathBuf,
}

impl Embedded {
    /// Opens the file, which is made if it is missing; nobody else can read it. What has outlived its
    /// time is removed.
    ///
    /// # Errors
    /// A sentence that names the file: it cannot be opened, is no store, or another process has it.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let failed = |why: String| {
            StoreError(format!("the store `{}` cannot be opened: {why}", path.display()))
        };
        let file = open_file(path).map_err(|error| failed(error.to_string()))?;
        let opening = || -> Result<Writer, String> {
            let builder = Builder::new().set_cache_size(CACHE).create_file(file);
            let database = builder.map_err(|error| error.to_string())?;
            let mut writer = Writer { database: Arc::new(database), unsynced: 0 };
            writer.transact(&[], usize::MAX).map_err(|error| error.0)?;
            Ok(writer)
        };
        // redb takes for granted that nobody has cut its file off or written to it.
        let opened = std::panic::catch_unwind(std::panic::AssertUnwindSafe(opening));
        let damaged = || Err("it is damaged; without it a new one is made".to_owned());
        let writer = opened.unwrap_or_else(|_| damaged()).map_err(failed)?;
        let database = writer.database.clone();
        let (work, jobs) = sync_channel(QUEUE);
        let thread = std::thread::Builder::new().name("gateway-store".to_owned());
        let writer = thread
            .spawn(move || writer.serve(&jobs))
            .map_err(|error| failed(format!("there is no thread for it: {error}")))?;
        Ok(Self { database, work: Some(work), writer: Some(writer), path: path.to_owned() })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    async fn write(&self, key: &str, what: What) -> Result<Done, StoreError> {
        let (done, answer) = oneshot::channel();
        let closed = || StoreError("the store is closed".to_owned());
        let job = Job { key: key.to_owned(), what, done };
        let work = self.work.as_ref().ok_or_else(closed)?;
        work.try_send(job).map_err(|error| match error {
            std::sync::mpsc::TrySendError::Full(_) => {
                StoreError(format!("{QUEUE} writes wait for the store already"))
            }
            std::sync::mpsc::TrySendError::Disconnected(_) => closed(),
        })?;
        answer.await.map_err(|_| closed())?
    }

    /// Reads on a thread that may wait for the disk.
    async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Database) -> Result<T, redb::Error> + Send + 'static,
    ) -> Result<T, StoreError> {
        let database = self.database.clone();
        let read = tokio::task::spawn_blocking(move || read(&database)).await;
        read.map_err(|error| StoreError(error.to_string()))?.map_err(broken)
    }
}

impl Drop for Embedded {
    /// Waits for what is being written, after which the file can be opened again.
    fn drop(&mut self) {
        self.work = None;
        if let Some(writer) = self.writer.take() {
            // A thread that panicked has told of it.
            let _ = writer.join();
        }
    }
}

impl Store for Embedded {
    fn get<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<Vec<u8>>, StoreError>> {
        let key = key.to_owned();
        Box::pin(self.read(move |database| Ok(live(database, &key)?.map(|(_, value)| value))))
    }

    fn set<'a>(
        &'a self,
        key: &'a str,
        value: Vec<u8>,
        life: Option<Duration>,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move { self.write(key, What::Set(value, life)).await.map(|_| ()) })
    }

    fn remove<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<bool, StoreError>> {
        Box::pin(async move {
            let done = self.write(key, What::Remove).await?;
            Ok(matches!(done, Done::Removed(true)))
        })
    }

    fn keys<'a>(&'a self, prefix: &'a str) -> BoxFuture<'a, Result<Vec<String>, StoreError>> {
        let prefix = prefix.to_owned();
        Box::pin(self.read(move |database| {
            let table = database.begin_read()?.open_table(VALUES)?;
            let now = milliseconds();
            let mut keys = Vec::new();
            for entry in table.range(prefix.as_str()..)? {
                let (key, value) = entry?;
                if !key.value().starts_with(&prefix) {
                    break;
                }
                if is_live(value.value().0, now) {
                    keys.push(key.value().to_owned());
                }
            }
            Ok(keys)
        }))
    }

    fn count<'a>(
        &'a self,
        key: &'a str,
        start: i64,
        life: Option<Duration>,
    ) -> BoxFuture<'a, Result<Count, StoreError>> {
        Box::pin(async move {
            match self.write(key, What::Count(start, life)).await? {
                Done::Counted(count) => Ok(count),
                Done::Set | Done::Removed(_) => Err(StoreError("nothing was counted".to_owned())),
            }
        })
    }

    fn counted<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<Count>, StoreError>> {
        let key = key.to_owned();
        Box::pin(async move {
            let found = self.read(move |database| live(database, &key)).await?;
            let Some((end, value)) = found else { return Ok(None) };
            Ok(Some(Count { value: number(&value)?, left: left(end, milliseconds()) }))
        })
    }
}

/// Opens a file for its owner alone, and no link.
fn open_file(path: &Path) -> std::io::Result<File> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(rustix::fs::OFlags::NOFOLLOW.bits() as i32)
        .open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(std::io::Error::other("it is not a file"));
    }
    if metadata.mode() & 0o077 != 0 {
        file.set_permissions(std::fs::Permissions::from_mode(0o600))?;
    }
    Ok(file)
}

/// The end and the value of a key that has not outlived its time.
fn live(database: &Database, key: &str) -> Result<Option<(u64, Vec<u8>)>, redb::Error> {
    let table = match database.begin_read()?.open_table(VALUES) {
        Err(TableError::TableDoesNotExist(_)) => return Ok(None),
        table => table?,
    };
    let now = milliseconds();
    let found = table.get(key)?.map(|found| {
        let (end, value) = found.value();
        (end, value.to_vec())
    });
    Ok(found.filter(|(end, _)| is_live(*end, now)))
}

fn broken(error: impl Into<redb::Error>) -> StoreError {
    StoreError(format!("the store failed: {}", error.into()))
}

fn number(value: &[u8]) -> Result<i64, StoreError> {
    let text = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok());
    text.ok_or_else(|| StoreError("what is stored is no number".to_owned()))
}

fn milliseconds() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

fn is_live(end: u64, now: u64) -> bool {
    end == 0 || end > now
}

fn left(end: u64, now: u64) -> Option<Duration> {
    (end > 0).then(|| Duration::from_millis(end.saturating_sub(now)))
}
