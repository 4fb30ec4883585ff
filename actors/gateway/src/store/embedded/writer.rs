//! What does all writes: a thread that takes everything that waits into one transaction.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use redb::{Database, Durability, ReadableTable, Table, TableDefinition};
use tokio::sync::oneshot;

use super::{VALUES, broken, is_live, left, milliseconds, number};
use crate::store::{Count, LONGEST, StoreError};

/// Ends of lives in the order in which they come.
const ENDS: TableDefinition<'_, (u64, &str), ()> = TableDefinition::new("ends");

/// How many writes become one transaction at most.
const BATCH: usize = 256;

/// How many values that have outlived their time one transaction removes.
const SWEPT: usize = 64;

/// How many counts may be lost by a crash of the machine, and how long they may wait for the disk.
const UNSYNCED: usize = 1024;
const UNSYNCED_TIME: Duration = Duration::from_secs(1);

/// A write, and the way back.
pub(super) struct Job {
    pub(super) key: String,
    pub(super) what: What,
    pub(super) done: oneshot::Sender<Result<Done, StoreError>>,
}

/// What is written.
pub(super) enum What {
    Set(Vec<u8>, Option<Duration>),
    Remove,
    Count(i64, Option<Duration>),
}

/// What came of it.
#[derive(Clone, Copy)]
pub(super) enum Done {
    Set,
    Removed(bool),
    Counted(Count),
}

/// What does all writes.
pub(super) struct Writer {
    pub(super) database: Arc<Database>,
    /// How many counts are not on the disk yet.
    pub(super) unsynced: usize,
}

impl Writer {
    /// Takes jobs until nobody can send any more.
    pub(super) fn serve(mut self, jobs: &Receiver<Job>) {
        loop {
            let first = match self.unsynced {
                0 => jobs.recv().map_err(|_| RecvTimeoutError::Disconnected),
                _ => jobs.recv_timeout(UNSYNCED_TIME),
            };
            let mut batch = Vec::new();
            let last = match first {
                Ok(job) => {
                    batch.push(job);
                    batch.extend(jobs.try_iter().take(BATCH - 1));
                    false
                }
                Err(RecvTimeoutError::Timeout) => false,
                Err(RecvTimeoutError::Disconnected) => true,
            };
            if !last || self.unsynced > 0 {
                self.answer(batch);
            }
            if last {
                return;
            }
        }
    }

    fn answer(&mut self, batch: Vec<Job>) {
        let results = self.transact(&batch, SWEPT);
        if let (Err(error), true) = (&results, batch.is_empty()) {
            tracing::error!(target: "gateway", "{error}");
            // It is tried again with the next write.
            self.unsynced = 0;
        }
        for (number, job) in batch.into_iter().enumerate() {
            let result = match &results {
                Ok(done) => done[number].clone(),
                Err(error) => Err(error.clone()),
            };
            // Who asked may have gone.
            let _ = job.done.send(result);
        }
    }

    /// Does all of it, or nothing; a job for which the store has no answer does nothing by itself. Counts
    /// alone are not waited for until they are on the disk.
    pub(super) fn transact(
        &mut self,
        batch: &[Job],
        swept: usize,
    ) -> Result<Vec<Result<Done, StoreError>>, StoreError> {
        let counts = batch.iter().filter(|job| matches!(job.what, What::Count(..))).count();
        let unsynced = self.unsynced + counts;
        let only_counts = !batch.is_empty() && counts == batch.len() && unsynced < UNSYNCED;
        let done = self.commit(batch, swept, only_counts).map_err(broken)?;
        self.unsynced = if only_counts { unsynced } else { 0 };
        Ok(done)
    }

    fn commit(
        &self,
        batch: &[Job],
        swept: usize,
        only_counts: bool,
    ) -> Result<Vec<Result<Done, StoreError>>, redb::Error> {
        let mut transaction = self.database.begin_write()?;
        if only_counts {
            transaction.set_durability(Durability::None)?;
        }
        let mut done = Vec::with_capacity(batch.len());
        {
            let mut tables = Tables {
                values: transaction.open_table(VALUES)?,
                ends: transaction.open_table(ENDS)?,
            };
            let now = milliseconds();
            tables.sweep(now, swept)?;
            for job in batch {
                done.push(tables.perform(&job.key, &job.what, now)?);
            }
        }
        transaction.commit()?;
        Ok(done)
    }
}

struct Tables<'a> {
    values: Table<'a, &'static str, (u64, &'static [u8])>,
    ends: Table<'a, (u64, &'static str), ()>,
}

impl Tables<'_> {
    fn perform(
        &mut self,
        key: &str,
        what: &What,
        now: u64,
    ) -> Result<Result<Done, StoreError>, redb::Error> {
        Ok(Ok(match what {
            What::Set(value, life) => {
                self.put(key, value, end(*life, now))?;
                Done::Set
            }
            What::Remove => Done::Removed(self.take(key)?.is_some_and(|end| is_live(end, now))),
            What::Count(start, life) => {
                let found = self.values.get(key)?.map(|found| {
                    let (end, value) = found.value();
                    (end, number(value))
                });
                let (end, value) = match found.filter(|(end, _)| is_live(*end, now)) {
                    Some((_, Err(error))) => return Ok(Err(error)),
                    Some((end, Ok(value))) => (end, value),
                    None => (end(*life, now), *start),
                };
                let value = value.saturating_add(1);
                self.put(key, value.to_string().as_bytes(), end)?;
                Done::Counted(Count { value, left: left(end, now) })
            }
        }))
    }

    fn put(&mut self, key: &str, value: &[u8], end: u64) -> Result<(), redb::Error> {
        let before = self.values.insert(key, (end, value))?.map(|before| before.value().0);
        if let Some(before) = before.filter(|before| *before > 0 && *before != end) {
            self.ends.remove((before, key))?;
        }
        if end > 0 {
            self.ends.insert((end, key), ())?;
        }
        Ok(())
    }

    /// Takes a key out, and tells its end.
    fn take(&mut self, key: &str) -> Result<Option<u64>, redb::Error> {
        let end = self.values.remove(key)?.map(|before| before.value().0);
        if let Some(end) = end.filter(|end| *end > 0) {
            self.ends.remove((end, key))?;
        }
        Ok(end)
    }

    /// Takes out what has outlived its time.
    fn sweep(&mut self, now: u64, most: usize) -> Result<(), redb::Error> {
        let mut over = Vec::new();
        for entry in self.ends.range(..(now, ""))?.take(most) {
            over.push(entry?.0.value().1.to_owned());
        }
        for key in over {
            self.take(&key)?;
        }
        Ok(())
    }
}

fn end(life: Option<Duration>, now: u64) -> u64 {
    let life = life.filter(|life| *life < LONGEST);
    life.map_or(0, |life| now + u64::try_from(life.as_millis()).unwrap_or(0).max(1))
}
