//! What an API calls its bundles, and where they are below the folder of all bundles. Pure.

use std::collections::BTreeSet;

use coproc_core::scalar::printable;

use crate::session::hash::md5;

/// The longest name of a bundle, in bytes.
const LONGEST: usize = 1024;
/// The most bundles of one API.
const MOST: usize = 64;

/// The bundles of an API: a name, or several with commas between them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names {
    /// The MD5 of the text as it was written, which is the name of their folder.
    pub hash: String,
    /// The bundles in their order; at least one.
    pub parts: Vec<Part>,
}

/// One bundle.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Part {
    /// Its path below the source.
    pub name: String,
    /// Its folder within that of the API's bundles; `None` where it is alone.
    pub folder: Option<String>,
}

impl Names {
    /// Reads the names; `None` where the text names nothing.
    ///
    /// # Errors
    /// A name that cannot be that of a bundle, and why.
    pub fn parse(text: &str) -> Result<Option<Self>, String> {
        let names = text.split(',').map(str::trim).filter(|name| !name.is_empty());
        let names: Vec<_> = names.map(path).collect::<Result<_, _>>()?;
        if names.len() > MOST {
            return Err(format!(
                "{} bundles are too many for one API, {MOST} at most",
                names.len()
            ));
        }
        let alone = names.len() == 1;
        let mut folders = BTreeSet::new();
        let mut parts = Vec::new();
        for name in names {
            let folder = (!alone).then(|| folder(&name));
            if folder.as_ref().is_some_and(|folder| !folders.insert(folder.clone())) {
                return Err(format!("`{name}` has the folder of another bundle of this API"));
            }
            parts.push(Part { name, folder });
        }
        Ok((!parts.is_empty()).then(|| Self { hash: md5(text), parts }))
    }
}

/// A name as a path below the source, without a slash at its beginning.
fn path(name: &str) -> Result<String, String> {
    let wrong = |why: &str| Err(format!("`{}` {why}", printable(name)));
    if name.len() > LONGEST {
        return wrong("is too long for the name of a bundle");
    }
    if name.contains("://") {
        return wrong("is a URL, and not a name below `bundle_base_url`");
    }
    if name.chars().any(char::is_control) {
        return wrong("has characters that no name has");
    }
    let segments = name.split('/').filter(|segment| !matches!(*segment, "" | "."));
    let segments: Vec<_> = segments.collect();
    if segments.is_empty() || segments.iter().any(|one| one.split('\\').any(|one| one == "..")) {
        return wrong("leads out of the place of the bundles");
    }
    Ok(segments.join("/"))
}

/// The folder of one bundle among several: its name without what follows the last dot.
fn folder(name: &str) -> String {
    let (above, last) = name.rsplit_once(['/', '\\']).unwrap_or(("", name));
    let stem = last.rsplit_once('.').map_or(last, |(stem, _)| stem);
    // Nothing names no folder, and dots alone may name another one.
    let stem = if stem.bytes().all(|byte| byte == b'.') { last } else { stem };
    let whole = if above.is_empty() { stem.to_owned() } else { format!("{above}/{stem}") };
    whole.replace(['/', '\\'], "__")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> Vec<String> {
        let names = Names::parse(text).unwrap();
        names.into_iter().flat_map(|names| names.parts).map(|part| part.name).collect()
    }

    #[test]
    fn t70_names_have_commas_between_them() {
        assert_eq!(names(" a.zip , b.zip "), ["a.zip", "b.zip"]);
        assert_eq!(names(", , "), [""; 0]);
        assert_eq!(Names::parse("").unwrap(), None);
        let parsed = Names::parse("platform/correlation-id-1.4.0.zip,b.zip").unwrap().unwrap();
        let folders: Vec<_> = parsed.parts.iter().map(|part| part.folder.as_deref()).collect();
        assert_eq!(folders, [Some("platform__correlation-id-1.4.0"), Some("b")]);
        // One alone needs no folder of its own.
        let alone = Names::parse("platform/correlation-id-1.4.0.zip").unwrap().unwrap();
        assert_eq!(alone.parts[0].folder, None);
        assert_eq!(alone.hash, md5("platform/correlation-id-1.4.0.zip"));
    }

    #[test]
    fn what_leads_elsewhere_is_no_name() {
        for name in
            ["../a.zip", "a/../../b.zip", "..", "/", "a\\..\\b.zip", "a\nb", "http://h/b.zip"]
        {
            assert!(Names::parse(name).is_err(), "{name}");
        }
        assert_eq!(names("/a//./b.zip"), ["a/b.zip"]);
        assert_eq!(names("..a.zip"), ["..a.zip"]);
        // Several have a folder each, which is below that of them all.
        let parts = Names::parse("...zip,..zip,.zip").unwrap().unwrap().parts;
        let folders: Vec<_> = parts.iter().filter_map(|part| part.folder.as_deref()).collect();
        assert_eq!(folders, ["...zip", "..zip", ".zip"]);
    }

    #[test]
    fn two_bundles_never_share_a_folder() {
        for text in ["a.zip,a.zip", "a.zip,a.tar", "a/b.zip,a__b.zip"] {
            let error = Names::parse(text).unwrap_err();
            assert!(error.ends_with("has the folder of another bundle of this API"), "{error}");
        }
        assert_eq!(names("a.zip,.zip"), ["a.zip", ".zip"]);
    }
}
