//! Sees that the hooks' files changed.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

use coproc_core::watched::{Watched, is_of_users};

use super::Shared;

/// How long nothing has to change until a change is taken to be over.
const QUIET: Duration = Duration::from_millis(100);

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
    let mut watched = Watched::new(vec![path.to_owned()], is_of_hooks)?;
    loop {
        watched.changed(QUIET).await?;
        changed();
    }
}

/// Whether a change of a file of this name matters: not of what editors and Python itself leave there.
fn is_of_hooks(name: &OsStr) -> bool {
    name != "__pycache__" && !name.as_bytes().ends_with(b".pyc") && is_of_users(name)
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
