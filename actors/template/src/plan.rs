//! What becomes of each file of the source. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::listing::{Found, without_suffix};

/// The name of what a single template or file becomes.
pub(crate) const SINGLE: &str = "nginx.conf";

/// The mode of folders that hold nothing but rendered files.
const RENDERED: u32 = 0o750;
/// What the wrapper needs in every folder that it makes.
const OWN: u32 = 0o700;

/// What is made below the output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// A folder with this mode.
    Folder(u32),
    /// A file from a template.
    Render,
    /// A file as it is, with this mode.
    Copy(u32),
}

/// One thing to make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Planned {
    /// Its source, below the folder of templates; empty for a single file.
    pub(crate) from: PathBuf,
    /// Its place below the output.
    pub(crate) to: PathBuf,
    pub(crate) action: Action,
}

/// A file whose whole name is the suffix, so that nothing is left for its output.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Nameless(pub(crate) PathBuf);

/// The plan for a single file of this mode.
pub(crate) fn single(source: &Path, mode: u32, suffix: &str) -> Result<Vec<Planned>, Nameless> {
    let stem = source.file_name().and_then(|name| without_suffix(name, suffix));
    let action = match stem {
        Some(stem) if stem.is_empty() => return Err(Nameless(PathBuf::new())),
        Some(_) => Action::Render,
        None => Action::Copy(mode),
    };
    Ok(vec![Planned { from: PathBuf::new(), to: SINGLE.into(), action }])
}

/// The plan for a folder. Where a template and a plain file become the same, the template is taken.
pub(crate) fn folder(
    found: &[Found],
    suffix: &str,
    warn: &mut dyn FnMut(String),
) -> Result<Vec<Planned>, Nameless> {
    let mut plan: Vec<Planned> = Vec::with_capacity(found.len());
    let mut files = BTreeMap::new();
    for Found { relative, is_folder, mode } in found {
        let from = relative.clone();
        if *is_folder {
            let action = Action::Folder(mode | OWN);
            plan.push(Planned { from, to: relative.clone(), action });
            continue;
        }
        let stem = relative.file_name().and_then(|name| without_suffix(name, suffix));
        let planned = match stem {
            Some(stem) if stem.is_empty() => return Err(Nameless(from)),
            Some(stem) => {
                Planned { from, to: relative.with_file_name(stem), action: Action::Render }
            }
            None => Planned { from, to: relative.clone(), action: Action::Copy(*mode) },
        };
        match files.get(&planned.to) {
            None => {
                files.insert(planned.to.clone(), plan.len());
                plan.push(planned);
            }
            Some(at) => {
                warn(format!(
                    "`{}` and `{}` both become `{}`: the template is taken",
                    plan[*at].from.display(),
                    planned.from.display(),
                    planned.to.display()
                ));
                if planned.action == Action::Render {
                    plan[*at] = planned;
                }
            }
        }
    }
    close(&mut plan);
    Ok(plan)
}

/// A folder has its source's mode, so that who can read a copied file gets to it; one that holds
/// nothing but rendered files is closed to others as they are.
fn close(plan: &mut [Planned]) {
    let above = |render: bool| {
        let files = plan.iter().filter(|planned| match planned.action {
            Action::Folder(_) => false,
            Action::Render => render,
            Action::Copy(_) => !render,
        });
        let folders = files.flat_map(|file| file.to.ancestors().skip(1));
        folders.map(Path::to_owned).collect::<BTreeSet<_>>()
    };
    let (rendered, copied) = (above(true), above(false));
    for Planned { to, action, .. } in plan {
        if let Action::Folder(mode) = action
            && rendered.contains(to)
            && !copied.contains(to)
        {
            *mode = RENDERED;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found_at(path: &str) -> Found {
        let is_folder = path.ends_with('/');
        let mode = if is_folder { 0o555 } else { 0o644 };
        Found { relative: path.trim_end_matches('/').into(), is_folder, mode }
    }

    fn plan(paths: &[&str]) -> Result<Vec<String>, Nameless> {
        let found = paths.iter().map(|path| found_at(path)).collect::<Vec<_>>();
        let plan = folder(&found, ".tmpl", &mut |_| {})?;
        let shown = |p: &Planned| match p.action {
            Action::Folder(_) => format!("{}/", p.to.display()),
            Action::Render => format!("{}*", p.to.display()),
            Action::Copy(_) => p.to.display().to_string(),
        };
        Ok(plan.iter().map(shown).collect())
    }

    #[test]
    fn w88_the_vector() {
        let paths = [
            "nginx.conf.tmpl",
            "ordinary.text",
            "subdir/",
            "subdir/2nd-level/",
            "subdir/2nd-level/another.conf.tmpl",
        ];
        let expected = [
            "nginx.conf*",
            "ordinary.text",
            "subdir/",
            "subdir/2nd-level/",
            "subdir/2nd-level/another.conf*",
        ];
        assert_eq!(plan(&paths).unwrap(), expected);
    }

    #[test]
    fn d59_a_folder_with_copied_files_has_its_sources_mode() {
        let paths = ["a/", "a/b/", "a/b/static", "a/c/", "a/c/x.tmpl", "a/empty/", "d/", "d/e/"];
        let found = [&paths[..], &["d/e/x.tmpl"]].concat();
        let found = found.into_iter().map(found_at).collect::<Vec<_>>();
        let plan = folder(&found, ".tmpl", &mut |_| {}).unwrap();
        let modes = plan.iter().filter_map(|planned| match planned.action {
            Action::Folder(mode) => Some((planned.to.to_str().unwrap(), mode)),
            _ => None,
        });
        let expected = [
            ("a", 0o755),
            ("a/b", 0o755),
            ("a/c", 0o750),
            ("a/empty", 0o755),
            ("d", 0o750),
            ("d/e", 0o750),
        ];
        assert_eq!(modes.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn w99_a_name_that_is_the_suffix() {
        assert_eq!(plan(&["a/", "a/.tmpl"]), Err(Nameless("a/.tmpl".into())));
        assert!(single(Path::new("/x/.tmpl"), 0o644, ".tmpl").is_err());
        assert_eq!(plan(&[".tmpl/", ".x.tmpl"]).unwrap(), [".tmpl/", ".x*"]);
    }

    #[test]
    fn a_single_file_is_always_nginx_conf() {
        let action = |path: &str| single(Path::new(path), 0o600, ".tpl").unwrap()[0].action.clone();
        assert_eq!(action("/x/any.tpl"), Action::Render);
        assert_eq!(action("/x/any.conf"), Action::Copy(0o600));
    }

    #[test]
    fn of_two_with_one_output_the_template_is_taken() {
        assert_eq!(plan(&["a", "a.tmpl"]).unwrap(), ["a*"]);
        assert_eq!(plan(&["a.tmpl", "a"]).unwrap(), ["a*"]);
    }
}
