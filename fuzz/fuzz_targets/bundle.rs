//! Bundles of strangers: whatever is in an archive, it is unpacked within its folder and its bounds or not at
//! all, and whatever its manifest says, an API has its hooks or a reason why not.
#![no_main]

use std::path::{Path, PathBuf};

use arbitrary::Arbitrary;
use coproc_gateway::bundle::{Base, Bounds, BundleConfig, Bundles, Names, unpack};
use libfuzzer_sys::fuzz_target;

#[path = "../../tests/support/archive.rs"]
mod archive;

const BOUNDS: Bounds = Bounds { bytes: 4096, entries: 16 };

#[derive(Arbitrary, Debug)]
enum Input {
    /// Any bytes.
    Raw(Vec<u8>),
    /// An archive of any manifest and any files, with any names and modes.
    Made { manifest: String, files: Vec<(Vec<u8>, u32, Vec<u8>)> },
}

/// What is below a folder: files with their sizes, and folders.
fn below(folder: &Path, found: &mut Vec<(PathBuf, u64)>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let kind = path.symlink_metadata().unwrap();
        assert!(kind.is_file() || kind.is_dir(), "{}", path.display());
        found.push((path.clone(), if kind.is_file() { kind.len() } else { 0 }));
        if kind.is_dir() {
            below(&path, found);
        }
    }
}

fuzz_target!(|input: Input| {
    let bytes = match input {
        Input::Raw(bytes) => bytes,
        Input::Made { manifest, files } => {
            let mut all: Vec<archive::Entry<'_>> =
                vec![(b"manifest.json", archive::PLAIN, manifest.as_bytes())];
            all.extend(files.iter().map(|(name, mode, content)| (&name[..name.len().min(2000)], *mode, &content[..])));
            archive::zip(&all)
        }
    };
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("folder");
    std::fs::create_dir(&folder).unwrap();
    let done = unpack(&bytes, &folder, BOUNDS, |_| true);
    let mut found = Vec::new();
    below(&folder, &mut found);
    let size: u64 = found.iter().map(|(_, size)| size).sum();
    // What goes beyond is noticed by one byte.
    assert!(size <= BOUNDS.bytes + u64::from(done.is_err()), "{size}");
    assert!(found.len() <= BOUNDS.entries, "{found:?}");
    assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 1, "something got outside");

    let source = place.path().join("source");
    std::fs::create_dir(&source).unwrap();
    std::fs::write(source.join("b.zip"), &bytes).unwrap();
    let config = BundleConfig {
        middleware_path: Some(place.path().join("middleware")),
        base: Some(Base::Folder(source)),
        bounds: BOUNDS,
        ..BundleConfig::default()
    };
    let names = Names::parse("b.zip").unwrap().unwrap();
    for opened in Bundles::new(config, None, None, None).open(&[&names], Some(&|| ())) {
        if let Ok(opened) = opened {
            assert!(opened.folders.iter().all(|one| one.folder.is_dir()));
        }
    }
});
