//! Where bundles come from: a folder, or a server.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use http::Uri;
use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};
use rustix::fs::{Mode, OFlags};

use super::place::Stamp;
use crate::url;

/// What does not stand for itself in the path of a URL.
const ESCAPED: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'`')
    .add(b'{')
    .add(b'}')
    .add(b'\\')
    .add(b'^')
    .add(b'|')
    .add(b'[')
    .add(b']');

/// `bundle_base_url`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Base {
    /// A folder.
    Folder(PathBuf),
    /// A server, and the path that comes first.
    Server(Uri),
}

/// What a source has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Got {
    /// The archive, with the source's marks of it.
    Archive {
        /// Its bytes.
        bytes: Vec<u8>,
        /// As [`Stamp`] has it.
        etag: Option<String>,
        /// The same.
        modified: Option<String>,
    },
    /// It has not changed.
    Same,
}

impl Base {
    /// What a URL has to be.
    pub const EXPECTED: &str =
        "`https://HOST/PATH`, `http://HOST/PATH` or `file:///PATH`, without credentials";

    /// Reads one; `None` for what is none.
    pub fn parse(text: &str) -> Option<Self> {
        if let Some(path) = text.strip_prefix("file://") {
            let path = percent_decode_str(path).decode_utf8().ok()?;
            return path.starts_with('/').then(|| Self::Folder(PathBuf::from(&*path)));
        }
        url::read(text).map(Self::Server)
    }

    /// Where a bundle is, as errors tell it.
    pub(super) fn shown(&self, name: &str) -> String {
        match self {
            Self::Folder(folder) => folder.join(name).display().to_string(),
            Self::Server(base) => {
                format!(
                    "{}/{}",
                    base.to_string().trim_end_matches('/'),
                    utf8_percent_encode(name, ESCAPED)
                )
            }
        }
    }
}

/// Reads an archive that is a file, of `largest` bytes at most.
pub(super) fn read(path: &Path, largest: u64, known: Option<&Stamp>) -> Result<Got, String> {
    let failed = |error: io::Error| format!("{} cannot be read: {error}", path.display());
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let file =
        rustix::fs::open(path, flags, Mode::empty()).map_err(|error| failed(error.into()))?;
    let file = File::from(file);
    let found = file.metadata().map_err(failed)?;
    if !found.is_file() {
        return Err(format!("{} is no file", path.display()));
    }
    // A file that was neither written nor replaced is not read to find that out.
    let changed =
        found.modified().ok().and_then(|at| at.duration_since(std::time::UNIX_EPOCH).ok());
    let modified =
        changed.map(|at| format!("{}.{:09} {}", at.as_secs(), at.subsec_nanos(), found.len()));
    if modified.is_some() && known.is_some_and(|stamp| stamp.modified == modified) {
        return Ok(Got::Same);
    }
    let mut bytes = Vec::new();
    file.take(largest.saturating_add(1)).read_to_end(&mut bytes).map_err(failed)?;
    match bytes.len() as u64 > largest {
        true => Err(format!("{} is larger than {largest} bytes", path.display())),
        false => Ok(Got::Archive { bytes, etag: None, modified }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_folders_and_servers_are_sources() {
        let server = |text: &str| Some(Base::Server(text.parse().unwrap()));
        assert_eq!(Base::parse("https://h/b/"), server("https://h/b/"));
        assert_eq!(Base::parse("http://h:81"), server("http://h:81"));
        assert_eq!(Base::parse("file:///a%20b"), Some(Base::Folder("/a b".into())));
        for text in [
            "",
            "h/b",
            "ftp://h/b",
            "file://h/b",
            "http://u:p@h/",
            "http://h/?a",
            "http://h/#a",
            "http://h:0/",
            "http://",
        ] {
            assert_eq!(Base::parse(text), None, "{text}");
        }
    }

    #[test]
    fn names_are_joined_to_the_path() {
        let base = Base::parse("http://h/b/").unwrap();
        assert_eq!(base.shown("p/a b%.zip"), "http://h/b/p/a%20b%25.zip");
        assert_eq!(Base::parse("http://h").unwrap().shown("a.zip"), "http://h/a.zip");
        assert_eq!(Base::parse("file:///b").unwrap().shown("a.zip"), "/b/a.zip");
    }
}
