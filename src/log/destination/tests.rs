//! Files that are put aside, moved and removed, and places that take no lines.

use super::*;
use std::os::unix::fs::PermissionsExt;

fn open(path: &Path, rotation: Option<(u64, u32)>) -> Place {
    let rotation = rotation.map(|(max_size, keep)| Rotation { max_size, keep });
    Place::open(&Destination::File(path.into()), rotation).unwrap()
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|_| "absent".into())
}

#[test]
fn a_file_is_appended_to_and_not_for_all_to_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    open(&path, None).write(b"one\n").unwrap();
    open(&path, None).write(b"two\n").unwrap();
    assert_eq!(read(&path), "one\ntwo\n");
    let mode = fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o027 & !0o640, 0);
    assert_eq!(mode & 0o600, 0o600);
    assert!(Place::open(&Destination::File(path.join("below a file")), None).is_err());
}

#[test]
fn full_files_are_put_aside_between_lines() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    let mut place = open(&path, Some((8, 2)));
    place.write(b"aaa\nbbb\nccc\nddd\neee\n").unwrap();
    assert_eq!(read(&path), "eee\n");
    assert_eq!(read(&numbered(&path, 1)), "ccc\nddd\n");
    assert_eq!(read(&numbered(&path, 2)), "aaa\nbbb\n");
    place.write(b"a line that is too long\nf\n").unwrap();
    assert_eq!(read(&path), "f\n");
    assert_eq!(read(&numbered(&path, 1)), "a line that is too long\n");
    assert_eq!(read(&numbered(&path, 2)), "eee\n");
    assert_eq!(read(&numbered(&path, 3)), "absent");
}

#[test]
fn nothing_is_kept_where_nothing_shall_be() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    open(&path, Some((4, 0))).write(b"aaa\nbbb\n").unwrap();
    assert_eq!(read(&path), "bbb\n");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn however_many_are_to_be_kept_only_those_that_are_there_are_moved() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    let mut place = open(&path, Some((4, u32::MAX)));
    fs::write(numbered(&path, 3), "old\n").unwrap();
    place.write(b"aaa\nbbb\nccc\n").unwrap();
    let kept = [1, 2, 3].map(|number| read(&numbered(&path, number)));
    assert_eq!(kept, ["bbb\n", "aaa\n", "old\n"]);
    place.write(b"ddd\n").unwrap();
    assert_eq!(read(&numbered(&path, 4)), "old\n");
}

#[test]
fn a_file_that_others_moved_is_left_to_them() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    let theirs = folder.path().join("theirs");
    let mut place = open(&path, Some((4, 2)));
    place.write(b"aaa\n").unwrap();
    fs::rename(&path, &theirs).unwrap();
    fs::write(&path, "").unwrap();
    place.write(b"bbb\n").unwrap();
    assert_eq!((read(&theirs), read(&path)), ("aaa\n".into(), "bbb\n".into()));
    assert_eq!(read(&numbered(&path, 1)), "absent");
}

#[test]
fn a_file_that_cannot_be_put_aside_is_written_on() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    // A folder that is not empty stands where the file should go.
    fs::create_dir_all(numbered(&path, 1).join("x")).unwrap();
    let mut place = open(&path, Some((4, 1)));
    place.write(b"aaa\nbbb\nccc\na long line\n").unwrap();
    assert_eq!(read(&path), "aaa\nbbb\nccc\na long line\n");
    assert!(place.notice().unwrap().contains("cannot be put aside"));
    assert!(place.notice().is_none());
}

#[test]
fn only_plain_files_are_put_aside() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    std::os::unix::fs::symlink("/dev/null", &path).unwrap();
    let mut place = open(&path, Some((4, 1)));
    place.write(b"aaa\nbbb\nccc\na long line\n").unwrap();
    assert!(place.notice().unwrap().contains("no plain file"));
    assert!(fs::symlink_metadata(&path).unwrap().is_symlink());
    assert_eq!(read(&numbered(&path, 1)), "absent");
}

#[test]
fn removed_and_emptied_files() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    let mut place = open(&path, Some((8, 1)));
    let long_ago = |place: &mut Place| {
        let Kind::File(file) = &mut place.kind else { unreachable!() };
        file.looked = Instant::now().checked_sub(LOOK).unwrap();
    };
    place.write(b"aaa\nbbb\n").unwrap();
    fs::write(&path, "").unwrap();
    long_ago(&mut place);
    place.write(b"ccc\n").unwrap();
    assert_eq!(read(&path), "ccc\n");
    fs::remove_file(&path).unwrap();
    long_ago(&mut place);
    place.write(b"ddd\n").unwrap();
    assert_eq!(read(&path), "ddd\n");
    assert_eq!(read(&numbered(&path, 1)), "absent");
}

#[test]
fn reopening() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    let moved = folder.path().join("moved");
    let mut place = open(&path, None);
    place.write(b"one\n").unwrap();
    fs::rename(&path, &moved).unwrap();
    place.write(b"two\n").unwrap();
    place.reopen();
    place.write(b"three\n").unwrap();
    assert_eq!((read(&moved), read(&path)), ("one\ntwo\n".into(), "three\n".into()));
}

#[test]
fn a_full_disk_and_a_reader_that_is_gone() {
    let full = Destination::File("/dev/full".into());
    let unwritten = Place::open(&full, None).unwrap().write(b"x\n").unwrap_err();
    assert_eq!((unwritten.written, unwritten.error.raw_os_error()), (0, Some(28)));

    let (reader, writer) = io::pipe().unwrap();
    drop(reader);
    let mut place = Place { out: writer.into(), kind: Kind::Stdout, torn: false, notice: None };
    let unwritten = place.write(b"x\n").unwrap_err();
    assert_eq!(unwritten.error.kind(), io::ErrorKind::BrokenPipe);
}

#[test]
fn a_stream_that_others_made_non_blocking() {
    let (mut reader, writer) = io::pipe().unwrap();
    rustix::io::ioctl_fionbio(&writer, true).unwrap();
    let mut place = Place { out: writer.into(), kind: Kind::Stdout, torn: false, notice: None };
    let lines = b"0123456789\n".repeat(100_000);
    let expected = lines.len();
    let thread = std::thread::spawn(move || place.write(&lines).map_err(|u| u.error));
    let mut all = Vec::new();
    io::Read::read_to_end(&mut reader, &mut all).unwrap();
    assert!(thread.join().unwrap().is_ok());
    assert_eq!(all.len(), expected);
}
