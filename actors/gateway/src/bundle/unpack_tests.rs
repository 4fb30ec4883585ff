//! Archives that are what they should be, and those that are made to do harm.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::PathBuf;

use proptest::prelude::*;
use tempfile::TempDir;
use zip::write::SimpleFileOptions;
use zip::{ZipWriter, write};

use super::*;
use crate::bundle::archive;

const BOUNDS: Bounds = Bounds { bytes: 1 << 16, entries: 20 };

/// A folder within another one, so that what leads out of it is seen.
struct Stage(TempDir);

impl Stage {
    fn new() -> Self {
        let place = tempfile::tempdir().unwrap();
        fs::create_dir(place.path().join("in")).unwrap();
        Self(place)
    }

    fn folder(&self) -> PathBuf {
        self.0.path().join("in")
    }

    fn unpack(&self, archive: &[u8]) -> Result<(), String> {
        unpack(archive, &self.folder(), BOUNDS, |_| true)
    }

    /// The files that are there, below the outer folder.
    fn files(&self) -> BTreeMap<String, Vec<u8>> {
        let (mut files, mut folders) = (BTreeMap::new(), vec![self.0.path().to_owned()]);
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                let kind = path.symlink_metadata().unwrap().file_type();
                if kind.is_dir() {
                    folders.push(path);
                    continue;
                }
                assert!(kind.is_file(), "{path:?} is no plain file");
                let name = path.strip_prefix(self.0.path()).unwrap().display().to_string();
                files.insert(name, fs::read(&path).unwrap());
            }
        }
        files
    }
}

fn refused(archive: &[u8]) -> String {
    let stage = Stage::new();
    let why = stage.unpack(archive).unwrap_err();
    assert!(stage.files().keys().all(|name| name.starts_with("in/")), "{why}");
    why
}

#[test]
fn files_and_folders_come_out_as_they_went_in() {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let packed = SimpleFileOptions::default().compression_method(CompressionMethod::Deflated);
    for (name, content) in [("manifest.json", "{}"), ("a/b/c.py", "x = 1\n")] {
        zip.start_file(name, packed.unix_permissions(0o4755)).unwrap();
        zip.write_all(content.as_bytes()).unwrap();
    }
    zip.add_directory("empty", SimpleFileOptions::default()).unwrap();
    let archive = zip.finish().unwrap().into_inner();
    let stage = Stage::new();
    stage.unpack(&archive).unwrap();
    let expected = [("in/a/b/c.py", "x = 1\n"), ("in/manifest.json", "{}")];
    let expected = expected.map(|(name, content)| (name.to_owned(), content.as_bytes().to_vec()));
    assert_eq!(stage.files(), expected.into());
    assert!(stage.folder().join("empty").is_dir());
    use std::os::unix::fs::PermissionsExt;
    let mode = stage.folder().join("a/b/c.py").metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o600, "no mode of the archive's counts");
}

#[test]
fn only_what_is_wanted_comes_out() {
    let archive = archive::files(&[("a", b"1"), ("b/c", b"2")]);
    let stage = Stage::new();
    unpack(&archive, &stage.folder(), BOUNDS, |path| path == "a").unwrap();
    assert_eq!(stage.files(), [("in/a".to_owned(), b"1".to_vec())].into());
    assert_eq!(one(&archive, "b/c", BOUNDS).unwrap().as_deref(), Some(&b"2"[..]));
    assert_eq!(one(&archive, "d", BOUNDS).unwrap(), None);
}

#[test]
fn what_all_paths_may_begin_with_is_no_part_of_them() {
    let folder = (&b"./"[..], 0o040_755, &b""[..]);
    let inner = (&b"./b/"[..], 0o040_755, &b""[..]);
    let archive = archive::zip(&[
        folder,
        inner,
        (b"./a", archive::PLAIN, b"1"),
        (b"./b/c", archive::PLAIN, b"2"),
    ]);
    let stage = Stage::new();
    unpack(&archive, &stage.folder(), BOUNDS, |path| path != "a").unwrap();
    assert_eq!(stage.files(), [("in/b/c".to_owned(), b"2".to_vec())].into());
    assert_eq!(one(&archive, "a", BOUNDS).unwrap().as_deref(), Some(&b"1"[..]));
    assert_eq!(refused(&archive::files(&[("a", b"1"), ("./a", b"2")])), "`./a` is there twice");
}

#[test]
fn no_path_leaves_the_folder() {
    for name in [
        "../a",
        "a/../../b",
        "/a",
        "/",
        "",
        ".",
        "a/./b",
        "a//b",
        "..",
        "a\\..\\b",
        "a\0b",
        "a\nb",
        "././a",
        "./../a",
    ] {
        let archive = archive::files(&[(name, b"x")]);
        let why = refused(&archive);
        assert!(!why.contains("cannot be unpacked"), "{name:?}: {why}");
    }
    let deep = vec!["a"; DEEPEST + 1].join("/");
    assert!(refused(&archive::files(&[(&deep, b"x")])).ends_with("is too long a path"));
    let why = refused(&archive::zip(&[(b"\xff", archive::PLAIN, b"")]));
    assert_eq!(why, "its entry 0 has a name that is not UTF-8");
}

#[test]
fn links_and_devices_are_no_files() {
    for mode in [0o120_777, 0o020_666, 0o060_666, 0o010_666, 0o140_777] {
        let archive = archive::zip(&[(b"a", mode, b"/etc/passwd"), (b"a/b", archive::PLAIN, b"x")]);
        assert_eq!(refused(&archive), "`a` is neither a file nor a folder", "{mode:o}");
    }
}

#[test]
fn nothing_is_there_twice() {
    let why = refused(&archive::files(&[("a", b"1"), ("a", b"2")]));
    assert_eq!(why, "has two files of one name");
    // A file cannot be a folder, too.
    let why = refused(&archive::files(&[("a", b"1"), ("a/b", b"2")]));
    assert!(why.starts_with("`a/b` cannot be unpacked: "), "{why}");
    let folder = (&b"a/"[..], 0o040_755, &b""[..]);
    let why = refused(&archive::zip(&[(b"a", archive::PLAIN, b"1"), folder]));
    assert_eq!(why, "`a/` is there twice");
}

#[test]
fn bombs_are_put_out() {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let packed: write::SimpleFileOptions =
        SimpleFileOptions::default().compression_method(CompressionMethod::Deflated);
    for name in ["a", "b"] {
        zip.start_file(name, packed).unwrap();
        zip.write_all(&vec![0; 40 << 10]).unwrap();
    }
    let archive = zip.finish().unwrap().into_inner();
    assert!(archive.len() < 1 << 10);
    assert_eq!(refused(&archive), "has more than 65536 bytes when it is unpacked");
    // Whatever an archive says of its sizes: here, that they are small.
    let size = 40_960_u32.to_le_bytes();
    let mut lying = archive;
    let found: Vec<_> = (0..lying.len() - 4).filter(|at| lying[*at..*at + 4] == size).collect();
    assert_eq!(found.len(), 4, "in both heads of both");
    for at in found {
        lying[at..at + 4].copy_from_slice(&7_u32.to_le_bytes());
    }
    let stage = Stage::new();
    if stage.unpack(&lying).is_ok() {
        let bytes: usize = stage.files().values().map(Vec::len).sum();
        assert!(bytes as u64 <= BOUNDS.bytes);
    }
    let many: Vec<_> = (0..21).map(|number| format!("f{number}")).collect();
    let many: Vec<_> = many.iter().map(|name| (name.as_str(), &b""[..])).collect();
    assert_eq!(refused(&archive::files(&many)), "has more than 20 files and folders");
    // Folders that are only said in paths count, too.
    let deep: Vec<_> = ["a", "b"].map(|top| [top, "/1/2/3/4/5/6/7/8/9/10/11"].concat()).into();
    let deep: Vec<_> = deep.iter().map(|name| (name.as_str(), &b""[..])).collect();
    assert_eq!(refused(&archive::files(&deep)), "has more than 20 files and folders");
}

#[test]
fn what_is_broken_is_told() {
    let archive = archive::files(&[("a", b"content")]);
    let mut broken = archive.clone();
    let at = broken.windows(7).position(|part| part == b"content").unwrap();
    broken[at] = b'C';
    let why = refused(&broken);
    assert!(why.starts_with("`a` cannot be unpacked: "), "{why}");
    assert!(refused(b"no archive").starts_with("is no archive: "));
    assert!(refused(&archive[..archive.len() - 1]).starts_with("is no archive: "));
}

fn name() -> impl Strategy<Value = Vec<u8>> {
    let part = prop_oneof![
        Just("..".to_owned()),
        Just(".".to_owned()),
        Just(String::new()),
        Just("in".to_owned()),
        "[a-c]{1,2}",
        any::<String>(),
    ];
    let names = prop::collection::vec(part, 0..4).prop_map(|parts| parts.join("/").into_bytes());
    prop_oneof![9 => names, 1 => prop::collection::vec(any::<u8>(), 0..6)]
}

fn kind() -> impl Strategy<Value = u32> {
    prop_oneof![6 => Just(archive::PLAIN), 1 => Just(0), 1 => Just(0o120_777), 1 => Just(0o040_755)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Whatever an archive has: what comes out is plain files in the folder, within the bounds, and if the
    /// archive is taken, all of its files.
    #[test]
    fn nothing_gets_out_of_the_folder(
        entries in prop::collection::vec((name(), kind(), prop::collection::vec(any::<u8>(), 0..50)), 0..6)
    ) {
        let entries: Vec<archive::Entry<'_>> =
            entries.iter().map(|(name, mode, content)| (&name[..], *mode, &content[..])).collect();
        let stage = Stage::new();
        let result = stage.unpack(&archive::zip(&entries));
        let files = stage.files();
        prop_assert!(files.keys().all(|name| name.starts_with("in/")), "{:?}", files.keys());
        if result.is_ok() {
            for (name, _, content) in entries.iter().filter(|(name, ..)| !name.ends_with(b"/")) {
                let name = format!("in/{}", plain(str::from_utf8(name).unwrap()));
                prop_assert_eq!(files.get(&name).map(Vec::as_slice), Some(*content), "{}", name);
            }
        }
    }

    /// Archives that were damaged are refused or taken, and that is all.
    #[test]
    fn damage_is_no_harm(changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8)) {
        let mut archive = archive::files(&[("manifest.json", b"{}"), ("a/b.py", b"content"), ("c", b"")]);
        for (at, byte) in changes {
            let at = at.index(archive.len());
            archive[at] = byte;
        }
        let stage = Stage::new();
        let _ = stage.unpack(&archive);
        let bytes: usize = stage.files().values().map(Vec::len).sum();
        prop_assert!(bytes as u64 <= BOUNDS.bytes);
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let stage = Stage::new();
        prop_assert!(stage.unpack(&bytes).is_err());
    }
}
