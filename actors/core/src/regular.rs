//! Files that end by themselves, read without waiting for anybody.

use std::fs::File;
use std::io::{Error, Read, Result};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;

/// What a file holds, but not more than one byte over `largest`, by which a caller sees that it has more.
///
/// # Errors
/// When it cannot be read, or is neither a regular file nor a device such as `/dev/null`: the other end of a pipe
/// may never come, and who waits for it heeds nothing else.
pub fn read(path: &Path, largest: u64) -> Result<Vec<u8>> {
    let file = File::options().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
    let kind = file.metadata()?.file_type();
    if !kind.is_file() && !kind.is_char_device() {
        return Err(Error::other("it is not a regular file"));
    }
    let mut bytes = Vec::new();
    file.take(largest + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_waited_for_and_no_more_is_read_than_was_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, "0123456789").unwrap();
        assert_eq!(read(&path, 10).unwrap(), b"0123456789");
        assert_eq!(read(&path, 4).unwrap(), b"01234");
        let refused = |path: &Path| read(path, 4).unwrap_err().to_string();
        assert_eq!(refused(folder.path()), "it is not a regular file");
        assert_eq!(read(Path::new("/dev/null"), 4).unwrap(), b"");
        assert_eq!(read(Path::new("/dev/zero"), 4).unwrap(), [0; 5]);
        let pipe = folder.path().join("pipe");
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert_eq!(refused(&pipe), "it is not a regular file");
    }
}
