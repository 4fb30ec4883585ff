//! The tasks that have providers here, and the news that this changed.

use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;

use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use tokio::net::unix::pipe::Receiver;

use crate::directory::{folders, has_sockets};

/// How many tasks are taken for others; further ones, by name, are not.
const MOST: usize = 1024;

/// The folders of tasks, watched.
pub(super) struct Folders {
    base: PathBuf,
    /// Not a pipe, and read like one.
    news: Receiver,
}

impl Folders {
    pub(super) fn open(base: PathBuf) -> io::Result<Self> {
        let news = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
        Ok(Self { base, news: Receiver::from_owned_fd_unchecked(news)? })
    }

    /// The tasks with a socket in their folder. From before they are looked at, changes are news.
    pub(super) fn tasks(&self) -> BTreeSet<String> {
        self.watch("");
        let mut tasks = folders(&self.base);
        tasks.sort();
        tasks.truncate(MOST);
        tasks.retain(|task| {
            self.watch(task);
            has_sockets(&self.base.join(task))
        });
        tasks.into_iter().collect()
    }

    fn watch(&self, folder: &str) {
        let flags = WatchFlags::CREATE
            | WatchFlags::DELETE
            | WatchFlags::MOVED_FROM
            | WatchFlags::MOVED_TO
            | WatchFlags::ONLYDIR
            | WatchFlags::DONT_FOLLOW;
        if let Err(error) = inotify::add_watch(&self.news, self.base.join(folder), flags)
            // It went meanwhile, which is news of the folder above.
            && error != rustix::io::Errno::NOENT
        {
            tracing::warn!(target: "coordinator", "`{folder}` cannot be watched: {error}");
        }
    }

    /// Resolves when something was added or went.
    pub(super) async fn changed(&self) -> io::Result<()> {
        let mut news = [0; 4096];
        loop {
            self.news.readable().await?;
            // Which it was does not matter: all are looked at anew.
            match self.news.try_read(&mut news) {
                Ok(_) => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
    }
}
