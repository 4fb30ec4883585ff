//! Exchanges of every kind, on real folders.

use super::*;

fn file(to: PathBuf, content: &str, mode: Option<u32>) -> Ready {
    Ready::File { to, content: content.into(), mode }
}

fn begin(all: Vec<Ready>) -> Result<Exchange, Failed> {
    Exchange::begin(all, &Published::default(), None)
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn d57_a_failure_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::write(at("a"), "old").unwrap();
    fs::create_dir(at("b")).unwrap();
    let all = vec![
        Ready::Folder(at("new"), 0o750),
        file(at("new/x"), "x", None),
        file(at("a"), "new", None),
        file(at("b"), "a folder is in the way", None),
    ];
    let failed = begin(all).err().unwrap();
    assert_eq!(failed.path, at("b"));
    assert_eq!(names(folder.path()), ["a", "b"]);
    assert_eq!(fs::read_to_string(at("a")).unwrap(), "old");
}

#[test]
fn an_exchange_can_be_taken_back() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::write(at("a"), "old").unwrap();
    let exchange = begin(vec![file(at("a"), "new", None), file(at("b"), "new", None)]).unwrap();
    assert_eq!(fs::read_to_string(at("a")).unwrap(), "new");
    exchange.take_back();
    assert_eq!(names(folder.path()), ["a"]);
    assert_eq!(fs::read_to_string(at("a")).unwrap(), "old");
}

#[test]
fn d58_what_has_no_source_any_more_is_removed_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::write(at("theirs"), "").unwrap();
    let mut published = Published::default();
    let first = vec![
        Ready::Folder(at("d"), 0o750),
        file(at("d/x"), "", None),
        file(at("y"), "", None),
        file(at("z"), "", None),
    ];
    Exchange::begin(first, &published, None).unwrap().keep(&mut published);
    // Somebody else's by now.
    fs::write(at("other"), "theirs").unwrap();
    fs::rename(at("other"), at("z")).unwrap();
    let exchange = Exchange::begin(vec![file(at("w"), "", None)], &published, None).unwrap();
    assert!(!at("y").exists() && !at("d/x").exists());
    exchange.take_back();
    assert_eq!(names(folder.path()), ["d", "theirs", "y", "z"]);
    let exchange = Exchange::begin(vec![file(at("w"), "", None)], &published, None).unwrap();
    exchange.keep(&mut published);
    assert_eq!(names(folder.path()), ["theirs", "w", "z"]);
    published.remove();
    assert_eq!(names(folder.path()), ["theirs", "z"]);
}

/// A tree as text: folders end in a slash, files have their content.
fn tree(folder: &Path) -> Vec<String> {
    let mut all = Vec::new();
    for name in names(folder) {
        let path = folder.join(&name);
        match path.is_dir() {
            true => {
                all.push(format!("{name}/"));
                all.extend(tree(&path).into_iter().map(|below| format!("{name}/{below}")));
            }
            false => all.push(format!("{name}={}", fs::read_to_string(path).unwrap())),
        }
    }
    all
}

#[test]
fn a_file_becomes_a_folder_and_a_folder_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let first = || {
        vec![
            Ready::Folder(at("d"), 0o750),
            file(at("d/x"), "1", None),
            Ready::Folder(at("d/e"), 0o750),
            file(at("d/e/y"), "2", None),
            file(at("f"), "3", None),
        ]
    };
    let second = || {
        vec![file(at("d"), "4", None), Ready::Folder(at("f"), 0o750), file(at("f/z"), "5", None)]
    };
    let as_first = ["d/", "d/e/", "d/e/y=2", "d/x=1", "f=3"];
    let as_second = ["d=4", "f/", "f/z=5"];
    let mut published = Published::default();
    Exchange::begin(first(), &published, None).unwrap().keep(&mut published);
    Exchange::begin(second(), &published, None).unwrap().take_back();
    assert_eq!(tree(folder.path()), as_first);
    let mut failing = second();
    failing.push(file(at("nowhere/x"), "", None));
    let failed = Exchange::begin(failing, &published, None).err().unwrap();
    assert_eq!(failed.path, at("nowhere/x"));
    assert_eq!(tree(folder.path()), as_first);
    Exchange::begin(second(), &published, None).unwrap().keep(&mut published);
    assert_eq!(tree(folder.path()), as_second);
    Exchange::begin(first(), &published, None).unwrap().keep(&mut published);
    assert_eq!(tree(folder.path()), as_first);
    published.remove();
    assert_eq!(tree(folder.path()), [""; 0]);
}

#[test]
fn what_others_made_is_not_turned() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let mut published = Published::default();
    let all = vec![Ready::Folder(at("d"), 0o750), file(at("d/x"), "", None)];
    Exchange::begin(all, &published, None).unwrap().keep(&mut published);
    fs::write(at("d/theirs"), "").unwrap();
    let failed = Exchange::begin(vec![file(at("d"), "", None)], &published, None);
    let failed = failed.err().unwrap().error.to_string();
    assert!(failed.contains("d/theirs` in this folder is not coproc's"), "{failed}");
    fs::write(at("file"), "").unwrap();
    let all = vec![file(at("new"), "", None), Ready::Folder(at("file"), 0o750)];
    let failed = Exchange::begin(all, &published, None).err().unwrap().error.to_string();
    assert!(failed.contains("did not write is in the folder's place"), "{failed}");
    assert_eq!(tree(folder.path()), ["d/", "d/theirs=", "d/x=", "file="]);
}

#[test]
fn what_was_there_before_is_kept_and_put_back() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::write(at("a"), "theirs").unwrap();
    let render = |text: &str, published: &Published| {
        Exchange::begin(vec![file(at("a"), text, None)], published, None).unwrap()
    };
    let mut published = Published::default();
    render("1", &published).take_back();
    assert_eq!(tree(folder.path()), ["a=theirs"]);
    for text in ["1", "2"] {
        render(text, &published).keep(&mut published);
        assert_eq!(tree(folder.path()), [".coproc-before-a=theirs", &format!("a={text}")]);
    }
    published.clone().remove();
    assert_eq!(tree(folder.path()), ["a=theirs"]);
    // One that is kept already is not lost either.
    fs::write(at(".coproc-before-a"), "older").unwrap();
    let mut published = Published::default();
    render("3", &published).keep(&mut published);
    published.remove();
    assert_eq!(tree(folder.path()), [".coproc-before-a=older", "a=theirs"]);
}

#[test]
fn a_folder_of_its_own_gets_the_mode_that_it_needs_now() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("d");
    let mut published = Published::default();
    let begin = |mode, published: &Published| {
        Exchange::begin(vec![Ready::Folder(path.clone(), mode)], published, None).unwrap()
    };
    let mode = || fs::metadata(&path).unwrap().permissions().mode() & 0o777;
    begin(0o750, &published).keep(&mut published);
    begin(0o700, &published).take_back();
    assert_eq!(mode(), 0o750);
    begin(0o700, &published).keep(&mut published);
    assert_eq!(mode(), 0o700);
    assert_eq!(names(folder.path()), ["d"]);
}

#[test]
fn w86_modes() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let all = vec![
        Ready::Folder(at("d"), 0o750),
        file(at("d/rendered"), "", None),
        file(at("d/copied"), "", Some(0o700)),
    ];
    begin(all).unwrap().keep(&mut Published::default());
    let mode = |name: &str| fs::metadata(at(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("d"), mode("d/rendered"), mode("d/copied")), (0o750, 0o640, 0o700));
    fs::set_permissions(at("d/rendered"), Permissions::from_mode(0o600)).unwrap();
    let again = vec![file(at("d/rendered"), "", None)];
    begin(again).unwrap().keep(&mut Published::default());
    assert_eq!(mode("d/rendered"), 0o600);
}
