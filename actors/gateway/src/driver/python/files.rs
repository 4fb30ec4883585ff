//! The Python side, and how it gets to where workers find it.

use std::fs::Permissions;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

macro_rules! files {
    ($($name:literal),* $(,)?) => {
        [$(($name, include_str!(concat!("../../../python/", $name)))),*]
    };
}

/// All files by their paths below the folder.
const FILES: [(&str, &str); 14] = files![
    "worker.py",
    "coproc_bundle.py",
    "coproc_calls.py",
    "coproc_frames.py",
    "coproc_messages.py",
    "coproc_modules.py",
    "coproc_plain.py",
    "coproc_turns.py",
    "coproc_values.py",
    "gateway.py",
    "tyk/__init__.py",
    "tyk/decorators.py",
    "tyk/request.py",
    "tyk/session.py",
];

/// Writes them all. Whoever runs workers may read them, whatever the umask is.
pub(super) fn write(folder: &Path) -> io::Result<()> {
    for (name, text) in FILES {
        let path = folder.join(name);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent)?;
            std::fs::set_permissions(parent, Permissions::from_mode(0o755))?;
        }
        // A worker that just starts finds the old file or the new one.
        let new = path.with_extension("new");
        std::fs::write(&new, text)?;
        std::fs::set_permissions(&new, Permissions::from_mode(0o644))?;
        std::fs::rename(&new, &path)?;
    }
    Ok(())
}
