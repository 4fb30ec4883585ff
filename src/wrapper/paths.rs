//! What the wrapper leaves in its run path while it lives: the folder, and the files with its pid.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use coproc_main::config::Kind;

/// Files that hold the wrapper's pid; they go with it.
pub(super) struct PidFiles(Vec<PathBuf>);

impl PidFiles {
    /// Writes the files that scripts look for: `coproc.pid`, and for nginx nginx-wrapper's own.
    pub(super) fn write(run_path: &Path, pid: u32, kind: Kind) -> Self {
        let mut names = vec!["coproc.pid"];
        if kind == Kind::Nginx {
            names.push("nginx-wrapper.pid");
        }
        let mut written = Vec::with_capacity(names.len());
        for path in names.into_iter().map(|name| run_path.join(name)) {
            match write_pid(&path, pid) {
                Ok(()) => written.push(path),
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
        for path in &self.0 {
            // Gone already is as good.
            let _ = fs::remove_file(path);
        }
    }
}

/// Replaces the file in one step; a link that waits under its name is replaced, not followed.
fn write_pid(path: &Path, pid: u32) -> io::Result<()> {
    let beside = path.with_extension(format!("pid.{pid}"));
    let result = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o644)
        .open(&beside)
        .and_then(|mut file| writeln!(file, "{pid}"))
        .and_then(|()| fs::rename(&beside, path));
    if result.is_err() {
        let _ = fs::remove_file(&beside);
    }
    result
}
