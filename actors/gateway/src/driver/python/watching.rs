//! Sees that the hooks' files changed.

use std::ffi::OsStr;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::time::timeout;

use super::Shared;

/// How long nothing has to change until a change is taken to be over.
const QUIET: Duration = Duration::from_millis(100);
/// How many folders are watched at most.
const MOST: usize = 1024;

/// Has workers make way for their successors each time that files changed. Never ends.
pub(super) async fn watch(shared: &Shared) {
    let Some(path) = &shared.config.path else { return std::future::pending().await };
    if let Err(error) = see(path, || shared.renewal.notify_one()).await {
        tracing::warn!(
            target: "gateway",
            "python: `{}` cannot be watched: {error}; a reload takes up what changes",
            path.display()
        );
    }
    std::future::pending().await
}

async fn see(path: &Path, changed: impl Fn()) -> io::Result<()> {
    loop {
        // Made anew after each change, since folders may have come and gone.
        let news = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
        for folder in folders(path) {
            let flags = WatchFlags::CLOSE_WRITE
                | WatchFlags::CREATE
                | WatchFlags::DELETE
                | WatchFlags::MOVED_FROM
                | WatchFlags::MOVED_TO
                | WatchFlags::ONLYDIR;
            inotify::add_watch(&news, &folder, flags)?;
        }
        let news = coproc_core::process::watch(news, Interest::READABLE)?;
        while !heard(&news).await? {}
        while timeout(QUIET, heard(&news)).await.is_ok() {}
        changed();
    }
}

/// Waits for news. Whether they are of files that matter.
async fn heard(news: &AsyncFd<OwnedFd>) -> io::Result<bool> {
    let mut space = [MaybeUninit::uninit(); 4096];
    let mut ready = news.readable().await?;
    let mut reader = inotify::Reader::new(news.get_ref().as_fd(), &mut space);
    let mut matters = false;
    loop {
        match reader.next() {
            Ok(event) => {
                let flags = event.events();
                // Files are made before they are written; folders are just made.
                let made = flags.contains(ReadFlags::CREATE) && !flags.contains(ReadFlags::ISDIR);
                let name = event.file_name().map(|name| OsStr::from_bytes(name.to_bytes()));
                matters |= !made && name.is_none_or(is_of_hooks);
            }
            Err(rustix::io::Errno::AGAIN) => {
                ready.clear_ready();
                return Ok(matters);
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// Whether a change of a file of this name matters: not of what editors and Python itself leave there.
fn is_of_hooks(name: &OsStr) -> bool {
    let name = name.as_bytes();
    let ends = [&b"~"[..], b".pyc", b".swp", b".tmp"];
    name != b"__pycache__" && !name.starts_with(b".") && !ends.iter().any(|end| name.ends_with(end))
}

/// A folder and all below it.
fn folders(path: &Path) -> Vec<PathBuf> {
    let (mut found, mut next) = (vec![path.to_owned()], 0);
    while next < found.len() && found.len() < MOST {
        // One that went meanwhile has nothing in it.
        for entry in std::fs::read_dir(&found[next]).into_iter().flatten().flatten() {
            let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
            if is_folder && is_of_hooks(&entry.file_name()) {
                found.push(entry.path());
            }
        }
        next += 1;
    }
    found.truncate(MOST);
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_editors_leave_is_no_change() {
        for name in ["__pycache__", ".git", "a.py~", "a.cpython-311.pyc", ".a.py.swp"] {
            assert!(!is_of_hooks(OsStr::new(name)), "{name}");
        }
        for name in ["a.py", "data.json", "package"] {
            assert!(is_of_hooks(OsStr::new(name)), "{name}");
        }
    }
}
