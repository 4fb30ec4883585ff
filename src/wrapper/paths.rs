//! What the wrapper leaves in its run path while it lives: the folder, and the files with its pid.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use coproc_main::config::Kind;
use rustix::fs::FlockOperation;

/// Files that hold the wrapper's pid; they go with it.
pub(super) struct PidFiles(Vec<(PathBuf, File)>);

impl PidFiles {
    /// Writes the files that scripts look for: `coproc.pid`, and for nginx nginx-wrapper's own. Those
    /// of a wrapper that lives in the same run path are left alone: it holds a lock on them.
    pub(super) fn write(run_path: &Path, pid: u32, kind: Kind) -> Self {
        let mut names = vec!["coproc.pid"];
        if kind == Kind::Nginx {
            names.push("nginx-wrapper.pid");
        }
        let mut written = Vec::with_capacity(names.len());
        for path in names.into_iter().map(|name| run_path.join(name)) {
            if File::open(&path).is_ok_and(|file| !lock(&file)) {
                tracing::warn!(target: "run", "`{}` belongs to another wrapper that runs", path.display());
                continue;
            }
            match write_pid(&path, pid) {
                Ok(file) => written.push((path, file)),
                // On a read-only file system everything else still works.
                Err(error) => {
                    tracing::warn!(target: "run", "`{}` cannot be written: {error}", path.display());
                }
            }
        }
        Self(written)
    }
}

impl Drop for PidFiles {
    fn drop(&mut self) {
        for (path, _) in &self.0 {
            // Gone already is as good.
            let _ = fs::remove_file(path);
        }
    }
}

/// Takes the lock that says that a wrapper lives; false if one does. Where the file system knows no
/// locks, none does.
fn lock(file: &File) -> bool {
    rustix::fs::flock(file, FlockOperation::NonBlockingLockExclusive)
        != Err(rustix::io::Errno::WOULDBLOCK)
}

/// Replaces the file in one step; a link that waits under its name is replaced, not followed.
fn write_pid(path: &Path, pid: u32) -> io::Result<File> {
    let beside = path.with_extension(format!("pid.{pid}"));
    let result =
        OpenOptions::new().write(true).create_new(true).mode(0o644).open(&beside).and_then(
            |mut file| {
                writeln!(file, "{pid}")?;
                lock(&file);
                fs::rename(&beside, path)?;
                Ok(file)
            },
        );
    if result.is_err() {
        let _ = fs::remove_file(&beside);
    }
    result
}
