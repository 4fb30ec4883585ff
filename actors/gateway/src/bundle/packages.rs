//! Packages that bundles of hooks in Python ask for: a virtual environment for each list of them, made when the
//! bundle comes and never for a request, kept by what is asked for, and found by workers.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use coproc_core::process::{Context, find_program, identity};
use sha2::{Digest, Sha256};
use tokio::sync::watch;

use super::Folder;
use super::installing::{Failed, run};
use super::manifest;
use super::place::{Place, Stamp};
use crate::driver::python::PythonConfig;

/// The file in which a bundle asks for packages.
const FILE: &str = "requirements.txt";
/// What the environment brings by itself.
const OWN: &str = "pip";

/// How packages are installed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstallConfig {
    /// Options of `pip install`.
    pub options: Vec<String>,
    /// How long an environment may take.
    pub timeout: Duration,
}

impl Default for InstallConfig {
    fn default() -> Self {
        Self { options: Vec::new(), timeout: Duration::from_secs(120) }
    }
}

/// Makes environments.
#[derive(Debug)]
pub(super) struct Installer {
    place: Place,
    interpreter: String,
    context: Context,
    config: InstallConfig,
    /// Ends what runs.
    stop: watch::Sender<bool>,
}

impl Installer {
    /// One that uses the interpreter and the user of workers; `None` where nothing is to be installed.
    pub(super) fn new(place: Place, python: &PythonConfig) -> Option<Self> {
        let config = python.install.clone()?;
        // Limits are those of hooks, and their folder is nobody's place to look for packages.
        let context = Context { limits: BTreeMap::new(), cwd: None, ..python.context.clone() };
        let interpreter = python.interpreter.clone();
        Some(Self { place, interpreter, context, config, stop: watch::channel(false).0 })
    }

    /// Ends what runs, and begins nothing more.
    pub(super) fn stop(&self) {
        self.stop.send_replace(true);
    }

    pub(super) fn place(&self) -> &Place {
        &self.place
    }

    /// The name of the environment that a bundle asks for, if it asks for one.
    pub(super) fn wanted(&self, folder: &Folder) -> Result<Option<String>, String> {
        if !folder.folder.join(FILE).is_file() {
            return Ok(None);
        }
        let mut sum = Sha256::new();
        let mut add = |part: &[u8]| {
            sum.update((part.len() as u64).to_le_bytes());
            sum.update(part);
        };
        // A newer Python behind the same name has packages of its own.
        let path = std::env::var("PATH").ok();
        let found = find_program(&self.interpreter, path.as_deref(), Path::new("/"));
        let found = found.ok().and_then(|found| found.canonicalize().ok()).unwrap_or_default();
        add(found.as_os_str().as_encoded_bytes());
        self.config.options.iter().for_each(|option| add(option.as_bytes()));
        // Other lists, and packages that come along.
        let others = folder.files.iter().map(String::as_str);
        let others = others.filter(|name| !name.ends_with(".py") && *name != FILE);
        for name in [FILE].into_iter().chain(others) {
            let content = manifest::read(&folder.folder, name);
            add(name.as_bytes());
            add(&content.map_err(|error| format!("`{name}` cannot be read: {error}"))?);
        }
        Ok(Some(sum.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect()))
    }

    /// Makes an environment that is not there.
    pub(super) fn make(&self, name: &str, folder: &Path) -> Result<(), String> {
        let began = Instant::now();
        let failed =
            |error: std::io::Error| format!("there is no folder for its packages: {error}");
        let draft = self.place.draft().map_err(failed)?;
        let owner = identity(&self.context).map_err(|error| error.to_string())?;
        if let Some((user, group)) = owner {
            chown(draft.path(), Some(user), Some(group)).map_err(failed)?;
        }
        let at = |path: PathBuf| path.display().to_string();
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        let venv: Vec<String> =
            words(&[&self.interpreter, "-m", "venv", &at(draft.path().to_owned())]);
        let python = at(draft.path().join("bin/python"));
        let mut pip: Vec<String> = words(&[
            &python,
            "-m",
            "pip",
            "install",
            "--quiet",
            "--no-input",
            "--disable-pip-version-check",
        ]);
        pip.extend(self.config.options.iter().cloned());
        pip.extend(["-r".to_owned(), at(folder.join(FILE))]);
        for (shown, words) in [("venv", venv), ("pip install", pip)] {
            let left = self.config.timeout.saturating_sub(began.elapsed());
            run(words, &self.context, left, self.stop.subscribe()).map_err(|why| match why {
                Failed::Ended(status, said) => {
                    format!("{FILE}: `{shown}` ended with {status}{said}")
                }
                Failed::Late(said) => {
                    let limit = self.config.timeout;
                    format!("{FILE}: `{shown}` did not end within {limit:?} and was killed{said}")
                }
                Failed::Start(error) => format!("{FILE}: {error}"),
                Failed::Stopped => format!("{FILE}: the gateway ends"),
            })?;
        }
        let stamp = Stamp { source: at(folder.join(FILE)), ..Stamp::default() };
        let put = self.place.put(draft, name, None, &stamp);
        put.map_err(|error| format!("{FILE}: its packages cannot be kept: {error}"))?;
        tracing::info!(
            target: "gateway",
            "packages of {} were installed in {:?}",
            folder.display(),
            began.elapsed(),
        );
        Ok(())
    }
}

/// The packages of an environment, with their versions.
pub(super) fn packages(environment: &Path) -> Vec<(String, String)> {
    let below = |path: PathBuf| fs::read_dir(path).into_iter().flatten().flatten();
    let versions = below(environment.join("lib")).map(|entry| entry.path().join("site-packages"));
    let names = versions.flat_map(below).filter_map(|entry| entry.file_name().into_string().ok());
    let package = |name: String| {
        let (name, version) = name.strip_suffix(".dist-info")?.split_once('-')?;
        // Names that differ in nothing else are one.
        Some((name.to_lowercase().replace(['-', '.'], "_"), version.to_owned()))
    };
    names.filter_map(package).filter(|(name, _)| name != OWN).collect()
}

/// An environment with its packages, by the bundles that ask for it.
pub(super) struct Wanted<'a> {
    pub(super) hash: &'a str,
    pub(super) environment: &'a Path,
    pub(super) packages: Vec<(String, String)>,
}

/// Workers have one version of a package each. The bundles, by their hashes, that ask for another than those
/// before them, and why; those that are `in_use` come first. Pure.
pub(super) fn conflicts(
    wanted: &[Wanted<'_>],
    in_use: impl Fn(&Path) -> bool,
) -> BTreeMap<String, String> {
    let mut taken = BTreeMap::<&str, &str>::new();
    let mut refused = BTreeMap::new();
    let (first, then): (Vec<_>, Vec<_>) = wanted.iter().partition(|one| in_use(one.environment));
    for one in first.into_iter().chain(then) {
        let other = one.packages.iter().find_map(|(name, version)| {
            let other = taken.get(name.as_str()).filter(|other| *other != version)?;
            Some(format!(
                "{FILE}: {name} {version} is not possible beside {name} {other} of another bundle"
            ))
        });
        if let Some(why) = other {
            refused.insert(one.hash.to_owned(), why);
            continue;
        }
        taken.extend(one.packages.iter().map(|(name, version)| (name.as_str(), version.as_str())));
    }
    refused
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_use_wins_over_what_comes() {
        let one = |hash: &'static str, version: &str| Wanted {
            hash,
            environment: Path::new(hash),
            packages: vec![("tiny".into(), version.into()), (format!("of_{hash}"), "1".into())],
        };
        let all = [one("a", "1"), one("b", "2"), one("c", "1"), one("d", "2")];
        let refused = |in_use: &str| {
            let refused = conflicts(&all, |path| path == Path::new(in_use));
            refused.into_keys().collect::<String>()
        };
        assert_eq!(refused(""), "bd");
        assert_eq!(refused("d"), "ac");
        let why = conflicts(&all, |_| false).remove("b").unwrap();
        assert_eq!(why, "requirements.txt: tiny 2 is not possible beside tiny 1 of another bundle");
    }

    #[test]
    fn packages_are_read_from_their_folders() {
        let place = tempfile::tempdir().unwrap();
        let site = place.path().join("lib/python3.11/site-packages");
        for name in ["Tiny.Part-1.0.dist-info", "tiny_part", "pip-23.dist-info", "odd.dist-info"] {
            fs::create_dir_all(site.join(name)).unwrap();
        }
        assert_eq!(packages(place.path()), [("tiny_part".to_owned(), "1.0".to_owned())]);
        assert_eq!(packages(Path::new("/nowhere")), []);
    }
}
