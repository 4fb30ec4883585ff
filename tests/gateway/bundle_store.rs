//! A source of bundles for tests, what is in them, and gateways whose APIs have their hooks there.

use std::path::PathBuf;

use md5::{Digest, Md5};
use serde_json::{Value, json};

use crate::rig::{Rig, api, hook, with};
use crate::support::archive;
use crate::upstream::Upstream;

/// The MD5 of something, as bundles have it.
pub(crate) fn md5(content: &[u8]) -> String {
    Md5::digest(content).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A source of bundles, and the place that they are kept in.
pub(crate) struct Store(pub(crate) tempfile::TempDir);

impl Store {
    pub(crate) fn new() -> Self {
        let place = tempfile::Builder::new().prefix("coproc-test-").tempdir().unwrap();
        std::fs::create_dir(place.path().join("source")).unwrap();
        Self(place)
    }

    pub(crate) fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Where a bundle of this name is kept.
    pub(crate) fn kept(&self, name: &str) -> PathBuf {
        self.at("middleware/bundles").join(md5(name.as_bytes()))
    }

    pub(crate) fn offer(&self, name: &str, archive: &[u8]) {
        std::fs::write(self.at("source").join(name), archive).unwrap();
    }

    /// A bundle that is there without having come.
    pub(crate) fn put(&self, name: &str, manifest: Option<Value>, files: &[(&str, &str)]) {
        let folder = self.kept(name);
        std::fs::create_dir_all(&folder).unwrap();
        for (name, content) in files {
            std::fs::write(folder.join(name), content).unwrap();
        }
        if let Some(manifest) = manifest {
            std::fs::write(folder.join("manifest.json"), manifest.to_string()).unwrap();
        }
    }

    /// The keys of `[gateway]` for this source.
    pub(crate) fn keys(&self) -> String {
        let (middleware, source) = (self.at("middleware"), self.at("source"));
        format!(
            "middleware_path = \"{}\"\nbundle_base_url = \"file://{}\"\n",
            middleware.display(),
            source.display()
        )
    }
}

/// A manifest over files, with these hooks.
pub(crate) fn manifest(files: &[(&str, &str)], hooks: Value) -> Value {
    let content: String = files.iter().map(|(_, content)| *content).collect();
    let names: Vec<_> = files.iter().map(|(name, _)| *name).collect();
    json!({ "file_list": names, "checksum": md5(content.as_bytes()), "custom_middleware": hooks })
}

/// An archive of a manifest and its files.
pub(crate) fn packed(manifest: &Value, files: &[(&str, &str)]) -> Vec<u8> {
    let manifest = manifest.to_string();
    let mut all = vec![("manifest.json", manifest.as_bytes())];
    all.extend(files.iter().map(|(name, content)| (*name, content.as_bytes())));
    archive::files(&all)
}

/// An API that has hooks in bundles alone.
pub(crate) fn bundled(upstream: u16, names: &str) -> Value {
    let mut api = with(api(upstream, json!({})), json!({ "custom_middleware_bundle": names }));
    api.as_object_mut().unwrap().remove("custom_middleware");
    api
}

/// A bundle of files with one hook that runs first, for a driver.
pub(crate) fn offer(
    store: &Store,
    driver: &str,
    name: &str,
    function: &str,
    files: &[(&str, &str)],
) {
    let hooks = json!({ "driver": driver, "pre": [hook(function)] });
    store.offer(name, &packed(&manifest(files, hooks), files));
}

/// A gateway whose APIs, by their ids and below `/ID/`, have hooks in these bundles.
pub(crate) fn rig(store: &Store, keys: &str, tables: &str, apis: &[(&str, &str)]) -> Rig {
    let upstream = Upstream::start();
    let api = |(id, names): &(&str, &str)| {
        let mut api = with(bundled(upstream.port, names), json!({ "api_id": id, "name": id }));
        api["proxy"]["listen_path"] = format!("/{id}/").into();
        api
    };
    let apis: Vec<_> = apis.iter().map(api).collect();
    Rig::with(&format!("{}{keys}\n", store.keys()), tables, &apis)
}

#[track_caller]
pub(crate) fn says(rig: &Rig, target: &str, what: &str) {
    let answer = rig.get(target);
    let (status, text) = (answer.status(), answer.text());
    assert_eq!((status, text.as_str()), (200, what), "{target}: {}", rig.wrapper.dump());
}
