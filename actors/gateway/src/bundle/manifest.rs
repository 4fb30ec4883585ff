//! `manifest.json`: what is in a bundle, and whether it is what it says.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use coproc_core::scalar::printable;
use md5::{Digest, Md5};
use rustix::fs::{Mode, OFlags};
use serde::Deserialize;
use serde_json::Value;

use super::signature::PublicKey;
use super::unpack::{judge, plain};

/// Its name.
pub(super) const FILE: &str = "manifest.json";
/// The largest one that is read, in bytes.
pub(super) const LARGEST: u64 = 1 << 20;

/// A manifest.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct Manifest {
    /// The files that checksum and signature are about, in their order.
    #[serde(default)]
    file_list: Option<Vec<String>>,
    /// The hooks, as in definitions.
    #[serde(default)]
    pub custom_middleware: Value,
    /// The MD5 of the files' contents one after another.
    #[serde(default)]
    checksum: Option<String>,
    /// The signature of the same, in base64.
    #[serde(default)]
    signature: Option<String>,
}

/// Whose word is taken for a bundle that is on disk already, or has just come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Came {
    /// Just now: everything is verified.
    Fresh,
    /// It was there: nothing is verified where it is not signed.
    Before {
        /// Not even where it is.
        skip: bool,
    },
}

impl Manifest {
    /// Reads one.
    ///
    /// # Errors
    /// Why it is none.
    pub(super) fn parse(text: &[u8]) -> Result<Self, String> {
        let mut manifest: Self = serde_json::from_slice(text)
            .map_err(|error| format!("{FILE} is not understood: {error}"))?;
        for file in manifest.file_list.iter_mut().flatten() {
            *file = plain(file).to_owned();
            if let Err(why) = judge(file) {
                return Err(format!("{FILE}: `{}` in `file_list` {why}", printable(file)));
            }
        }
        Ok(manifest)
    }

    /// Reads the one of a folder.
    ///
    /// # Errors
    /// Why there is none.
    pub(super) fn read(folder: &Path) -> Result<Self, String> {
        let failed = |error: io::Error| format!("{FILE} cannot be read: {error}");
        let mut text = Vec::new();
        let file = open(folder, FILE).map_err(failed)?;
        file.take(LARGEST + 1).read_to_end(&mut text).map_err(failed)?;
        if text.len() as u64 > LARGEST {
            return Err(format!("{FILE} is larger than {LARGEST} bytes"));
        }
        Self::parse(&text)
    }

    /// The files that it lists.
    pub(super) fn files(&self) -> &[String] {
        self.file_list.as_deref().unwrap_or_default()
    }

    /// The file whose hooks count where hooks are files: the only one, or `middleware.py`.
    pub(super) fn main(&self) -> &str {
        match self.files() {
            [only] => only,
            _ => "middleware.py",
        }
    }

    /// Whether it names no hook at all.
    pub(super) fn is_without_hooks(&self) -> bool {
        let is_none = |key: &&str| match self.custom_middleware.get(key) {
            None | Some(Value::Null) => true,
            Some(Value::Array(hooks)) => hooks.is_empty(),
            Some(Value::Object(hook)) => hook.is_empty(),
            Some(_) => false,
        };
        ["pre", "auth_check", "post_key_auth", "post", "response"].iter().all(is_none)
    }

    fn signature(&self) -> &str {
        self.signature.as_deref().unwrap_or_default()
    }

    /// Whether the files of `folder` are those that it is about.
    ///
    /// # Errors
    /// Why they are not.
    pub(super) fn verify(
        &self,
        folder: &Path,
        key: Option<&PublicKey>,
        came: Came,
        largest: u64,
    ) -> Result<(), String> {
        if let Came::Before { skip } = came
            && (skip || self.signature().is_empty())
        {
            return Ok(());
        }
        let content = self.content(folder, largest)?;
        let sum = Md5::digest(&content);
        let sum: String = sum.iter().map(|byte| format!("{byte:02x}")).collect();
        let told = self.checksum.as_deref().unwrap_or_default();
        if sum != told {
            let told = printable(told);
            return Err(format!("invalid checksum: {FILE} has `{told}`, its files have `{sum}`"));
        }
        match key {
            Some(_) if self.signature().is_empty() => Err("Bundle isn't signed".to_owned()),
            Some(key) => key.verify(&content, self.signature()),
            None => Ok(()),
        }
    }

    /// What its files have, one after another.
    fn content(&self, folder: &Path, largest: u64) -> Result<Vec<u8>, String> {
        let mut content = Vec::new();
        for name in self.files() {
            let failed =
                |error: io::Error| format!("`{name}` of `file_list` cannot be read: {error}");
            let left = largest.saturating_sub(content.len() as u64);
            let file = open(folder, name).map_err(failed)?;
            let read =
                file.take(left.saturating_add(1)).read_to_end(&mut content).map_err(failed)?;
            if read as u64 > left {
                return Err(format!("its files have more than {largest} bytes"));
            }
        }
        Ok(content)
    }
}

/// What is in a file of a bundle.
pub(super) fn read(folder: &Path, name: &str) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    open(folder, name)?.read_to_end(&mut content)?;
    Ok(content)
}

/// A plain file below a folder, not behind a link.
fn open(folder: &Path, name: &str) -> io::Result<File> {
    let mut path = folder.to_owned();
    let mut parts = name.split('/').peekable();
    while let Some(part) = parts.next() {
        path.push(part);
        if parts.peek().is_some() && !path.symlink_metadata()?.is_dir() {
            return Err(io::Error::other("it is in no folder"));
        }
    }
    // A pipe is not waited for.
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let file = File::from(rustix::fs::open(&path, flags, Mode::empty())?);
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(io::Error::other("it is no file")),
    }
}
