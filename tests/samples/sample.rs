//! A sample as a user tries it: copied into a folder of its own, with stand-ins on PATH.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::support::{Place, Wrapper, coproc, free_port, is_root};

/// The folder of all samples.
pub(crate) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("config-samples")
}

/// All files of a folder and below it, or the file itself.
pub(crate) fn files(path: &Path) -> Vec<PathBuf> {
    if !path.is_dir() {
        return vec![path.to_owned()];
    }
    let entries = fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| files(&path)).collect()
}

/// A sample in a folder of its own. Where it says `/tmp/coproc-NAME` or one of its ports, the copy
/// says a run path and a port that no other test has.
pub(crate) struct Sample {
    /// The folder.
    pub(crate) place: Place,
    ports: Vec<(u16, u16)>,
    variables: Vec<(String, String)>,
}

impl Sample {
    /// A copy of a folder, or of a file as `coproc.toml`. `other` are further texts to replace, `@`
    /// in what stands for them is the new folder.
    pub(crate) fn copy(name: &str, ports: &[u16], other: &[(&str, &str)]) -> Self {
        let place = Place::new();
        fs::create_dir(place.path().join("bin")).unwrap();
        let run_path = format!("/tmp/coproc-{}", name.trim_end_matches(".toml"));
        let mut texts = vec![(run_path, place.at("run"))];
        let ports: Vec<_> = ports.iter().map(|port| (*port, free_port())).collect();
        texts.extend(ports.iter().map(|(old, new)| (format!(":{old}"), format!(":{new}"))));
        let folder_name = place.path().display().to_string();
        let other = other.iter().map(|(old, new)| (*old, new.replace('@', &folder_name)));
        texts.extend(other.map(|(old, new)| (old.to_owned(), new)));
        let source = folder().join(name);
        let single = !source.is_dir();
        for file in files(&source) {
            let mut text = fs::read_to_string(&file).unwrap();
            for (old, new) in &texts {
                text = text.replace(old, new);
            }
            let below = file.strip_prefix(&source).unwrap().to_str().unwrap();
            let to = place.path().join(if single { "coproc.toml" } else { below });
            fs::create_dir_all(to.parent().unwrap()).unwrap();
            fs::write(to, text).unwrap();
        }
        let path = std::env::var("PATH").unwrap_or_default();
        let own = Path::new(coproc()).parent().unwrap().display();
        let path = format!("{}:{own}:{path}:/usr/sbin", place.at("bin"));
        let variables =
            [("PATH", path), ("PWD", folder_name), ("COPROC_LOG__LEVEL", "debug".into())]
                .map(|(name, value)| (name.to_owned(), value))
                .to_vec();
        Self { place, ports, variables }
    }

    /// The port that stands for one of the sample's.
    pub(crate) fn port(&self, of: u16) -> u16 {
        self.ports.iter().find(|(old, _)| *old == of).unwrap().1
    }

    /// Adds a variable to what commands inherit.
    pub(crate) fn env(&mut self, name: &str, value: &str) {
        self.variables.push((name.to_owned(), value.to_owned()));
    }

    /// A program that is found before any other of its name: a script that is run by sh, to which
    /// `$calls` is the file that [`Sample::calls`] reads.
    pub(crate) fn stand_in(&self, name: &str, script: &str) {
        let file = format!("bin/{name}");
        let calls = self.place.at("calls");
        self.place.write(&file, &format!("#!/bin/sh\ncalls={calls}\n{script}\n"));
        let mode = fs::Permissions::from_mode(0o755);
        fs::set_permissions(self.place.path().join(file), mode).unwrap();
        let all = fs::OpenOptions::new().create(true).append(true).open(&calls).unwrap();
        // Stand-ins may be run as another user.
        all.set_permissions(fs::Permissions::from_mode(0o666)).unwrap();
    }

    /// What the stand-ins have noted, a line each.
    pub(crate) fn calls(&self) -> Vec<String> {
        self.place.read("calls").lines().map(str::to_owned).collect()
    }

    /// A command of coproc in the folder of the copy.
    pub(crate) fn command(&self, words: &[&str]) -> Command {
        self.command_below(&[], words)
    }

    /// The same, started by another program.
    pub(crate) fn command_below(&self, above: &[&str], words: &[&str]) -> Command {
        let mut command = self.place.command_below(above, words);
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Runs a command of coproc to its end.
    #[allow(clippy::disallowed_methods)]
    pub(crate) fn coproc(&self, words: &[&str]) -> Output {
        self.command(words).output().unwrap()
    }

    /// Starts `coproc run` with further words.
    pub(crate) fn run(&self, words: &[&str]) -> Wrapper {
        Wrapper::start(self.command(&[&["run"], words].concat()))
    }

    /// Whether `coproc health` says that all is well; panics with its words if it does not.
    #[track_caller]
    pub(crate) fn healthy(&self) {
        let output = self.coproc(&["health"]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

/// A flag that puts a user of this machine in a sample's user's place: one without rights if the
/// tests run as root, else nobody else's.
pub(crate) fn as_user(coprocess: &str) -> String {
    format!("coprocess.{coprocess}.user={}", if is_root() { "nobody" } else { "" })
}
