//! What is to be started, prepared down to the last byte: program, arguments, variables, settings.

use std::ffi::{CString, OsStr, OsString};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::credentials::Credentials;
use super::stage::Plan;
use super::{Context, SpawnError, Step, find_program};
use crate::output::{Kind, Tap};

/// A program with everything that it needs.
pub struct Command {
    /// The name of its lines in the log.
    pub name: Arc<str>,
    /// Program and arguments, interpolated; at least one word.
    pub argv: Vec<String>,
    /// User, environment, folder and limits.
    pub context: Context,
    /// The environment that it inherits.
    pub inherited: Arc<Vec<(OsString, OsString)>>,
    /// Variables that coproc itself adds; the context's win over them.
    pub added: Vec<(&'static str, String)>,
    /// How its lines are read.
    pub kind: Kind,
    /// Who sees its lines first.
    pub taps: Taps,
    /// Descriptors, each with the number that the program finds it at. One of the three standard
    /// numbers takes the place of `/dev/null` or of a pipe to the log.
    pub descriptors: Vec<(i32, OwnedFd)>,
}

/// The taps of a program's two streams.
#[derive(Default)]
pub struct Taps {
    /// On descriptor 1.
    pub stdout: Option<Box<dyn Tap>>,
    /// On descriptor 2.
    pub stderr: Option<Box<dyn Tap>>,
}

/// A command that was looked up and is ready for posix_spawn(3).
pub(super) struct Prepared {
    pub(super) program: CString,
    pub(super) argv: Vec<CString>,
    pub(super) envp: Vec<CString>,
    /// Whom the output pipes belong to, so that the program can open `/dev/stdout` anew.
    pub(super) owner: Option<(u32, u32)>,
    /// Where the stage, if one was put in front, finds the pipe on which it reports a failure.
    pub(super) stage_report: Option<i32>,
}

impl Command {
    pub(super) fn prepare(&self) -> Result<Prepared, SpawnError> {
        let shown = self.argv.first().map_or("", String::as_str);
        if shown.is_empty() {
            return Err(SpawnError::new(shown, Step::Lookup, "the command is empty"));
        }
        let credentials = Credentials::look_up(shown, &self.context)?;
        let variables = self.variables(shown, credentials.as_ref())?;
        let path =
            variables.iter().find(|(key, _)| key == "PATH").map(|(_, value)| value.as_os_str());
        let here = std::env::current_dir().unwrap_or_else(|_| PathBuf::from("/"));
        // A relative program is looked for where it will run.
        let folder = self.context.cwd.as_deref().map_or(here.clone(), |cwd| here.join(cwd));
        let program =
            find_program(shown, path.and_then(OsStr::to_str), &folder).map_err(|error| {
                let code = error.code();
                SpawnError { code, ..SpawnError::new(shown, Step::Lookup, error.to_string()) }
            })?;

        let c_string = |bytes: &[u8]| {
            CString::new(bytes)
                .map_err(|_| SpawnError::new(shown, Step::Spawn, "an argument holds a NUL byte"))
        };
        let mut argv = Vec::with_capacity(self.argv.len() + 4);
        let program = c_string(program.as_os_str().as_bytes())?;
        let plan = Plan::new(&self.context, credentials.clone());
        let stage_report = plan.is_needed().then(|| self.free_descriptor());
        if let Some(report) = stage_report {
            argv.extend(plan.arguments(&program, report)?);
        }
        for word in &self.argv {
            argv.push(c_string(word.as_bytes())?);
        }
        let envp = variables
            .iter()
            .map(|(key, value)| c_string(&[key.as_bytes(), b"=", value.as_bytes()].concat()))
            .collect::<Result<_, _>>()?;
        let owner = credentials.map(|credentials| (credentials.uid, credentials.gid));
        Ok(Prepared {
            program: if stage_report.is_some() { super::stage::PROGRAM.into() } else { program },
            argv,
            envp,
            owner,
            stage_report,
        })
    }

    /// The first number beyond the standard ones that the program has no descriptor at.
    fn free_descriptor(&self) -> i32 {
        let taken = |number: &i32| self.descriptors.iter().any(|(other, _)| other == number);
        (3..).find(|number| !taken(number)).unwrap_or(3)
    }

    /// The whole environment: inherited, then ours, the user's, the file's, the table's.
    fn variables(
        &self,
        shown: &str,
        credentials: Option<&Credentials>,
    ) -> Result<Vec<(OsString, OsString)>, SpawnError> {
        let mut all = self.inherited.as_ref().clone();
        let mut set = |key: &str, value: &str| {
            let value = OsString::from(value);
            match all.iter_mut().find(|(known, _)| known == key) {
                Some((_, old)) => *old = value,
                None => all.push((key.into(), value)),
            }
        };
        for (key, value) in &self.added {
            set(key, value);
        }
        for (key, value) in credentials.into_iter().flat_map(|c| &c.variables) {
            set(key, value);
        }
        if let Some(file) = &self.context.env_file {
            for (key, value) in
                read_env_file(file).map_err(|why| SpawnError::new(shown, Step::EnvFile, why))?
            {
                set(&key, &value);
            }
        }
        for (key, value) in &self.context.env {
            set(key, value);
        }
        Ok(all)
    }
}

/// The `NAME=VALUE` lines of a file. Blank lines and lines that begin with `#` are passed over, an
/// `export ` in front and one pair of quotes around the value are taken off.
fn read_env_file(file: &Path) -> Result<Vec<(String, String)>, String> {
    let text =
        std::fs::read_to_string(file).map_err(|error| format!("`{}`: {error}", file.display()))?;
    parse_env_file(&text)
        .map_err(|line| format!("`{}:{line}`: expected `NAME=VALUE`", file.display()))
}

fn parse_env_file(text: &str) -> Result<Vec<(String, String)>, usize> {
    let mut pairs = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let line = line.strip_prefix("export ").unwrap_or(line);
        let (key, value) = line.split_once('=').ok_or(number + 1)?;
        let key = key.trim_end();
        if key.is_empty() || key.contains(char::is_whitespace) {
            return Err(number + 1);
        }
        let value = value.trim_start();
        let bare = ['"', '\''].into_iter().find_map(|quote| {
            value.strip_prefix(quote).and_then(|value| value.strip_suffix(quote))
        });
        pairs.push((key.to_owned(), bare.unwrap_or(value).to_owned()));
    }
    Ok(pairs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn env_files_as_people_write_them() {
        let text = "# note\n\nA=1\nexport B=\"two words\"\n  C = 'x=y' \nD=\n";
        let pairs = parse_env_file(text).unwrap();
        let expected = [("A", "1"), ("B", "two words"), ("C", "x=y"), ("D", "")];
        assert_eq!(pairs, expected.map(|(k, v)| (k.to_owned(), v.to_owned())));
        assert_eq!(parse_env_file("A=1\noops\n"), Err(2));
        assert_eq!(parse_env_file("=1"), Err(1));
    }
}
