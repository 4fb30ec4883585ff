//! What a file is known by, whatever its path: device and inode.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;

pub(crate) type Id = (u64, u64);

pub(crate) fn id(metadata: &Metadata) -> Id {
    (metadata.dev(), metadata.ino())
}
