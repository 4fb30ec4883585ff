//! The place that lines go to: a standard stream, or a file that is put aside when it is full.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, IsTerminal};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;

use super::config::{Destination, Rotation};

/// How often a file is looked at from outside: others may remove or empty it.
const LOOK: Duration = Duration::from_secs(1);

/// An open destination.
#[derive(Debug)]
pub(super) struct Place {
    out: OwnedFd,
    kind: Kind,
    /// What was written last did not end a line.
    torn: bool,
    /// What went wrong without keeping lines from being written.
    notice: Option<String>,
}

#[derive(Debug)]
enum Kind {
    Stdout,
    Stderr,
    File(LogFile),
}

#[derive(Debug)]
struct LogFile {
    path: PathBuf,
    rotation: Option<Rotation>,
    size: u64,
    /// A file that could not be put aside may grow so far before the next attempt.
    allowance: u64,
    looked: Instant,
}

/// Some lines could not be written.
#[derive(Debug)]
pub(super) struct Unwritten {
    /// How many bytes were.
    pub(super) written: usize,
    /// Why the others were not.
    pub(super) error: io::Error,
}

impl Place {
    /// Opens it; a file is created if need be.
    pub(super) fn open(destination: &Destination, rotation: Option<Rotation>) -> io::Result<Self> {
        let (out, kind) = match destination {
            Destination::Stdout => (io::stdout().as_fd().try_clone_to_owned()?, Kind::Stdout),
            Destination::Stderr => (io::stderr().as_fd().try_clone_to_owned()?, Kind::Stderr),
            Destination::File(path) => {
                let (file, size) = create(path)?;
                let file_of = LogFile {
                    path: path.clone(),
                    rotation,
                    size,
                    allowance: 0,
                    looked: Instant::now(),
                };
                (file.into(), Kind::File(file_of))
            }
        };
        Ok(Self { out, kind, torn: false, notice: None })
    }

    /// Do people read along?
    pub(super) fn is_terminal(&self) -> bool {
        self.out.is_terminal()
    }

    /// Is it where a note about its own failure would go?
    pub(super) fn is_stderr(&self) -> bool {
        matches!(self.kind, Kind::Stderr)
    }

    /// What went wrong meanwhile without keeping lines from being written.
    pub(super) fn notice(&mut self) -> Option<String> {
        self.notice.take()
    }

    /// Writes whole lines, in one write unless a file has to be put aside between them.
    pub(super) fn write(&mut self, lines: &[u8]) -> Result<(), Unwritten> {
        self.look();
        let mut written = 0;
        while written < lines.len() {
            let rest = &lines[written..];
            let fits = match &self.kind {
                Kind::File(file) => file.fits(rest),
                Kind::Stdout | Kind::Stderr => rest.len(),
            };
            if fits == 0 {
                self.rotate();
                continue;
            }
            written += match self.put(&rest[..fits]) {
                Ok(()) => fits,
                Err((count, error)) => return Err(Unwritten { written: written + count, error }),
            };
        }
        Ok(())
    }

    /// Opens a file anew, since the old one may have been moved. Standard streams stay.
    pub(super) fn reopen(&mut self) {
        let Kind::File(file) = &mut self.kind else { return };
        match create(&file.path) {
            Ok((out, size)) => {
                self.out = out.into();
                (file.size, file.allowance) = (size, 0);
                self.torn = false;
            }
            Err(error) => {
                let path = file.path.display();
                self.notice = Some(format!("{path} cannot be opened anew: {error}"));
            }
        }
    }

    /// Writes all, waiting where the destination cannot take it; or the number of bytes it took
    /// and why no more.
    fn put(&mut self, bytes: &[u8]) -> Result<(), (usize, io::Error)> {
        if self.torn {
            // The lost end of a line must not make the next one part of it.
            self.put_bytes(b"\n").map_err(|(_, error)| (0, error.into()))?;
            self.torn = false;
        }
        let result = self.put_bytes(bytes);
        if let Err((count, _)) = result
            && count > 0
        {
            self.torn = bytes[count - 1] != b'\n';
        }
        result.map_err(|(count, error)| (count, error.into()))
    }

    fn put_bytes(&mut self, bytes: &[u8]) -> Result<(), (usize, Errno)> {
        let mut written = 0;
        while written < bytes.len() {
            match rustix::io::write(&self.out, &bytes[written..]) {
                Ok(0) => return Err((written, Errno::IO)),
                Ok(count) => {
                    written += count;
                    if let Kind::File(file) = &mut self.kind {
                        file.size += count as u64;
                    }
                }
                Err(Errno::INTR) => {}
                // Others made a stream that is theirs as well non-blocking.
                Err(Errno::AGAIN) => {
                    let mut ready = [PollFd::new(&self.out, PollFlags::OUT)];
                    match poll(&mut ready, None) {
                        Ok(_) | Err(Errno::INTR) => {}
                        Err(error) => return Err((written, error)),
                    }
                }
                Err(error) => return Err((written, error)),
            }
        }
        Ok(())
    }

    /// Follows what others did to the file: removed, it is made anew; emptied, its size counts.
    fn look(&mut self) {
        let Kind::File(file) = &mut self.kind else { return };
        if file.looked.elapsed() < LOOK {
            return;
        }
        file.looked = Instant::now();
        // What cannot be looked at is written to as before.
        let Ok(status) = rustix::fs::fstat(&self.out) else { return };
        file.size = u64::try_from(status.st_size).unwrap_or(0);
        if status.st_nlink == 0 {
            self.reopen();
        }
    }

    /// Puts a full file aside and begins a new one.
    fn rotate(&mut self) {
        let Kind::File(file) = &mut self.kind else { return };
        let Some(rotation) = file.rotation else { return };
        let path = file.path.display().to_string();
        let there = fs::symlink_metadata(&file.path).ok();
        // To rename `/dev/stdout` or the like would harm others.
        if there.as_ref().is_some_and(|there| !there.is_file()) {
            self.notice = Some(format!("{path} is no plain file and is not put aside"));
            file.allowance = u64::MAX;
            return;
        }
        // Whoever moved or removed the file has put it aside already.
        let ours = there.is_some_and(|there| {
            rustix::fs::fstat(&self.out)
                .is_ok_and(|here| there.ino() == here.st_ino && there.dev() == here.st_dev)
        });
        let aside = if ours { file.put_aside(rotation.keep) } else { Ok(()) };
        let opened = aside.and_then(|()| create(&file.path));
        match opened {
            Ok((out, size)) => {
                self.out = out.into();
                (file.size, file.allowance) = (size, 0);
                self.torn = false;
                if size < rotation.max_size {
                    return;
                }
            }
            Err(error) => self.notice = Some(format!("{path} cannot be put aside: {error}")),
        }
        file.allowance = file.size + rotation.max_size.max(1);
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            Kind::Stdout => f.write_str("standard output"),
            Kind::Stderr => f.write_str("standard error"),
            Kind::File(file) => write!(f, "{}", file.path.display()),
        }
    }
}

impl LogFile {
    /// How many bytes of `lines` the file still takes, without tearing a line apart; zero when it
    /// has to be put aside first.
    fn fits(&self, lines: &[u8]) -> usize {
        let Some(rotation) = self.rotation else { return lines.len() };
        let room = rotation.max_size.max(self.allowance).saturating_sub(self.size);
        let room = usize::try_from(room).unwrap_or(usize::MAX);
        if lines.len() <= room {
            return lines.len();
        }
        match memchr::memrchr(b'\n', &lines[..room]) {
            Some(end) => end + 1,
            None if self.size > 0 && self.allowance <= self.size => 0,
            // A line longer than the limit has a file of its own, or stands where it must if the
            // file could not be put aside.
            None => memchr::memchr(b'\n', lines).map_or(lines.len(), |end| end + 1),
        }
    }

    /// `FILE.1` becomes `FILE.2` and so on up to a number that is free, `FILE` becomes `FILE.1`; what
    /// exceeds `keep` goes.
    fn put_aside(&self, keep: u32) -> io::Result<()> {
        if keep == 0 {
            return fs::remove_file(&self.path);
        }
        let is_free = |number: &u32| match fs::symlink_metadata(numbered(&self.path, *number)) {
            Err(error) => error.kind() == io::ErrorKind::NotFound,
            Ok(_) => false,
        };
        let last = (1..keep).find(is_free).unwrap_or(keep);
        for number in (1..last).rev() {
            fs::rename(numbered(&self.path, number), numbered(&self.path, number + 1))?;
        }
        fs::rename(&self.path, numbered(&self.path, 1))
    }
}

fn numbered(path: &Path, number: u32) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{number}"));
    name.into()
}

/// Opens a file to append to, and says how long it is.
fn create(path: &Path) -> io::Result<(File, u64)> {
    // A pipe is opened for both sides, so that nobody waits for a reader who may never come.
    let piped = fs::metadata(path).is_ok_and(|there| there.file_type().is_fifo());
    let mut how = OpenOptions::new();
    let file = match piped {
        true => how.read(true).write(true).open(path)?,
        false => how.append(true).create(true).mode(0o640).open(path)?,
    };
    let size = file.metadata()?.len();
    Ok((file, size))
}

#[cfg(test)]
mod tests;
