//! Tasks whose provider is known and comes back by itself, since somebody supervises it: a request for
//! one of them waits where it would be refused otherwise.

use std::collections::BTreeSet;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::{Duration, Instant};

use coproc_core::process::watch;
use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::net::UnixStream;
use tokio::sync::watch;

use crate::shared::Shared;

/// After how many milliseconds each it is looked whether somebody listens on a socket that has just appeared: it has its name a
/// moment before.
const LOOKS: [u64; 5] = [5, 10, 20, 40, 80];

/// Which tasks these are just now.
#[derive(Debug)]
pub(crate) struct Awaited(watch::Sender<BTreeSet<String>>);

/// Tells of sockets that appear.
#[derive(Debug)]
struct Arrivals(AsyncFd<OwnedFd>);

impl Default for Awaited {
    fn default() -> Self {
        Self(watch::channel(BTreeSet::new()).0)
    }
}

impl Awaited {
    /// Sets them anew.
    pub(crate) fn set(&self, tasks: BTreeSet<String>) {
        self.0.send_if_modified(|now| {
            let other = *now != tasks;
            *now = tasks;
            other
        });
    }

    pub(crate) fn includes(&self, task: &str) -> bool {
        self.0.borrow().contains(task)
    }

    /// Tells when they change.
    pub(crate) fn changes(&self) -> watch::Receiver<BTreeSet<String>> {
        self.0.subscribe()
    }

    /// Resolves once the task is none of them any more.
    pub(crate) async fn given_up(&self, task: &str) {
        // The sender lives as long as `self`.
        let _ = self.0.subscribe().wait_for(|tasks| !tasks.contains(task)).await;
    }
}

/// Waits until somebody answers for a task that is awaited; not if nobody is to come any more, or not
/// in time.
pub(crate) async fn comes(shared: &Shared, task: &str, until: Instant) -> bool {
    let come = async {
        loop {
            // Heeded before it is looked, so that nobody comes unseen.
            let arrivals = Arrivals::heed(&shared.config.socket_dir, task)?;
            if is_somebody_there(shared, task).await {
                return io::Result::Ok(());
            }
            arrivals.next().await?;
            for pause in LOOKS {
                tokio::time::sleep(Duration::from_millis(pause)).await;
                if is_somebody_there(shared, task).await {
                    return Ok(());
                }
            }
        }
    };
    tokio::select! {
        came = come => came
            .inspect_err(|error| tracing::warn!(target: "coordinator", "`{task}` cannot be waited for: {error}"))
            .is_ok(),
        () = shared.awaited.given_up(task) => false,
        () = tokio::time::sleep_until(until.into()) => false,
    }
}

async fn is_somebody_there(shared: &Shared, task: &str) -> bool {
    for socket in shared.directory.sockets(task, Instant::now()) {
        if UnixStream::connect(&socket).await.is_ok() {
            return true;
        }
    }
    false
}

impl Arrivals {
    /// Begins to heed the folder of a task; before it is there, what it will stand in.
    fn heed(base: &Path, task: &str) -> io::Result<Self> {
        let watched = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?;
        let flags = WatchFlags::CREATE | WatchFlags::MOVED_TO | WatchFlags::ONLYDIR;
        inotify::add_watch(&watched, base, flags)?;
        match inotify::add_watch(&watched, base.join(task), flags | WatchFlags::DONT_FOLLOW) {
            Ok(_) | Err(rustix::io::Errno::NOENT) => {}
            Err(error) => return Err(error.into()),
        }
        watch(watched, Interest::READABLE).map(Self)
    }

    /// Resolves once something appeared since the last time.
    async fn next(&self) -> io::Result<()> {
        let mut events = [MaybeUninit::<u8>::uninit(); 4096];
        // What it was is not asked: who looks anew sees all of it.
        let read = |fd: &OwnedFd| Ok(rustix::io::read(fd, &mut events).map(|_| ())?);
        self.0.async_io(Interest::READABLE, read).await
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    const SOON: Duration = Duration::from_millis(50);

    #[tokio::test]
    async fn folders_and_sockets_that_appear_are_told() {
        let base = tempfile::tempdir().unwrap();
        let arrivals = Arrivals::heed(base.path(), "t").unwrap();
        assert!(timeout(SOON, arrivals.next()).await.is_err(), "nothing came");
        std::fs::create_dir(base.path().join("t")).unwrap();
        arrivals.next().await.unwrap();
        let arrivals = Arrivals::heed(base.path(), "t").unwrap();
        std::fs::write(base.path().join("t/.x"), "").unwrap();
        arrivals.next().await.unwrap();
        std::fs::rename(base.path().join("t/.x"), base.path().join("t/x")).unwrap();
        arrivals.next().await.unwrap();
        assert!(timeout(SOON, arrivals.next()).await.is_err(), "that was all");
    }

    #[tokio::test]
    async fn who_is_given_up_is_waited_for_no_longer() {
        let awaited = Awaited::default();
        assert!(!awaited.includes("a"));
        awaited.given_up("a").await;
        awaited.set(BTreeSet::from(["a".to_owned()]));
        assert!(awaited.includes("a"));
        assert!(timeout(SOON, awaited.given_up("a")).await.is_err());
        awaited.set(BTreeSet::new());
        awaited.given_up("a").await;
    }
}
