//! Values that stand in files of their own, as container engines mount secrets.

use std::path::Path;

use super::error::plain;
use crate::regular;

/// The largest value, in bytes.
pub const LARGEST: u64 = 64 * 1024;

/// The value in a file, without one line end at its end. The error is the reason, and never holds
/// anything of the value.
///
/// # Errors
/// When there is no such file, it is none that ends by itself, it is larger than [`LARGEST`], or
/// what it holds is no text that can be a variable's value.
pub fn read(path: &Path) -> Result<String, String> {
    let said = |why: String| format!("`{}`: {why}", path.display());
    let bytes = regular::read(path, LARGEST).map_err(|error| said(plain(&error)))?;
    if bytes.len() as u64 > LARGEST {
        return Err(said(format!("it has more than {LARGEST} bytes")));
    }
    if bytes.contains(&0) {
        return Err(said("it holds a NUL byte".to_owned()));
    }
    let mut text = String::from_utf8(bytes).map_err(|_| said("it is not UTF-8".to_owned()))?;
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_end_goes_and_all_else_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        for (held, value) in [
            ("word", "word"),
            ("word\n", "word"),
            ("word\r\n", "word"),
            ("two\nlines\n\n", "two\nlines\n"),
            (" blanks \r", " blanks \r"),
            ("", ""),
        ] {
            std::fs::write(&path, held).unwrap();
            assert_eq!(read(&path).unwrap(), value, "{held:?}");
        }
    }

    #[test]
    fn what_is_no_value_is_refused_and_not_shown() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        let refused = |what: &str| {
            let why = read(&path).unwrap_err();
            assert!(why.contains(what) && !why.contains("hidden"), "{why}");
        };
        refused("no such file");
        for (held, what) in [
            (b"hidden\0".to_vec(), "NUL"),
            (b"hidden\xff".to_vec(), "UTF-8"),
            (b"hidden ".repeat(LARGEST as usize), "more than 65536 bytes"),
        ] {
            std::fs::write(&path, held).unwrap();
            refused(what);
        }
        std::fs::write(&path, vec![b'x'; LARGEST as usize]).unwrap();
        assert_eq!(read(&path).unwrap().len() as u64, LARGEST);
        std::fs::remove_file(&path).unwrap();
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
        refused("not a regular file");
    }
}
