//! Bundles of a folder, as far as it takes no gateway: where they are kept, and what is asked again.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::*;

struct Stage {
    place: tempfile::TempDir,
    config: BundleConfig,
}

impl Stage {
    fn new() -> Self {
        let place = tempfile::tempdir().unwrap();
        fs::create_dir(place.path().join("source")).unwrap();
        let config = BundleConfig {
            middleware_path: Some(place.path().join("middleware")),
            base: Some(Base::Folder(place.path().join("source"))),
            ..BundleConfig::default()
        };
        Self { place, config }
    }

    /// A bundle with one hook of this name and one file with this content.
    fn offer(&self, name: &str, hook: &str, content: &str) {
        let sum = crate::session::hash::md5(content);
        let manifest = serde_json::json!({ "file_list": ["a.py"], "checksum": sum,
            "custom_middleware": { "driver": "python", "pre": [{ "name": hook }] } });
        let manifest = manifest.to_string();
        let files: [(&str, &[u8]); 2] =
            [("manifest.json", manifest.as_bytes()), ("a.py", content.as_bytes())];
        fs::write(self.place.path().join("source").join(name), archive::files(&files)).unwrap();
    }

    fn open(&self, text: &str) -> Result<Opened, String> {
        let names = Names::parse(text).unwrap().unwrap();
        let bundles = Bundles::new(self.config.clone(), None, None, None);
        bundles.open(&[&names], Some(&|| ())).remove(0)
    }

    fn hook(&self, text: &str) -> String {
        let opened = self.open(text).unwrap();
        opened.hooks["pre"][0]["name"].as_str().unwrap().to_owned()
    }
}

#[test]
fn a_bundle_is_kept_for_its_owner_alone() {
    let stage = Stage::new();
    stage.offer("b.zip", "One", "1");
    let opened = stage.open("b.zip").unwrap();
    let folder = &opened.folders[0].folder;
    assert_eq!(
        folder,
        &stage.place.path().join("middleware/bundles").join(crate::session::hash::md5("b.zip"))
    );
    assert_eq!(folder.metadata().unwrap().permissions().mode() & 0o777, 0o700);
    assert_eq!(opened.folders[0].main, "a.py");
    // Nothing is left over.
    let names = fs::read_dir(folder.parent().unwrap()).unwrap().map(|one| one.unwrap().file_name());
    let names: Vec<_> = names.filter(|name| name.to_string_lossy().starts_with(".new")).collect();
    assert!(names.is_empty(), "{names:?}");
}

#[test]
fn what_is_on_disk_counts_until_it_is_asked_for_again() {
    let mut stage = Stage::new();
    stage.offer("b.zip", "One", "1");
    assert_eq!(stage.hook("b.zip"), "One");
    stage.offer("b.zip", "Two", "22");
    assert_eq!(stage.hook("b.zip"), "One");
    stage.config.refresh = true;
    let opened = stage.open("b.zip").unwrap();
    assert_eq!(opened.hooks["pre"][0]["name"], "Two");
    assert_eq!(fs::read_to_string(opened.folders[0].folder.join("a.py")).unwrap(), "22");
    // One that is worse than what is there stays out.
    fs::write(stage.place.path().join("source/b.zip"), "no archive").unwrap();
    assert_eq!(stage.hook("b.zip"), "Two");
    fs::remove_file(stage.place.path().join("source/b.zip")).unwrap();
    assert_eq!(stage.hook("b.zip"), "Two");
}

#[test]
fn several_bundles_have_folders_of_their_own() {
    let stage = Stage::new();
    stage.offer("a.zip", "A", "1");
    stage.offer("b.zip", "B", "2");
    let opened = stage.open("a.zip, b.zip").unwrap();
    let names: Vec<_> =
        opened.hooks["pre"].as_array().unwrap().iter().map(|hook| &hook["name"]).collect();
    assert_eq!(names, ["A", "B"]);
    let ends: Vec<_> = opened.folders.iter().map(|one| one.folder.file_name().unwrap()).collect();
    assert_eq!(ends, ["a", "b"]);
    let error = stage.open("a.zip,c.zip").unwrap_err();
    assert!(error.starts_with("the bundle `c.zip`: "), "{error}");
}

#[test]
fn without_a_source_only_the_disk_counts() {
    let mut stage = Stage::new();
    stage.config.base = None;
    let error = stage.open("b.zip").unwrap_err();
    assert_eq!(
        error,
        "the bundle `b.zip`: is not on disk, and `gateway.bundle_base_url` names no source"
    );
    stage.config.download = false;
    let error = stage.open("b.zip").unwrap_err();
    assert!(error.contains("`gateway.enable_bundle_downloader` is false"), "{error}");
}

#[test]
fn an_archive_has_to_be_of_a_size() {
    let mut stage = Stage::new();
    stage.offer("b.zip", "One", "1");
    stage.config.max_size = 10;
    let error = stage.open("b.zip").unwrap_err();
    assert!(error.ends_with("/b.zip is larger than 10 bytes"), "{error}");
}
