//! Everything about a run but its argument vector: user, environment, PATH, folder and limits, looked
//! up once for as many runs as there are.

use std::borrow::Cow;
use std::ffi::{CStr, CString, OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::credentials::Credentials;
use super::lookup::{self, Lookup};
use super::secret;
use super::stage::{self, Plan};
use super::{Context, OomAdjustment, SpawnError, Step};
use crate::regular;

/// Where, as whom and with what programs run.
#[derive(Debug)]
pub struct Setting {
    pub(super) envp: Vec<CString>,
    /// Whom the pipes belong to, so that the program can open `/dev/stdout` anew.
    pub(super) owner: Option<(u32, u32)>,
    pub(super) oom: OomAdjustment,
    path: Option<OsString>,
    /// Where a relative program is looked for: where it will run.
    folder: PathBuf,
    /// What the stage is to do, if one is needed at all.
    plan: Option<CString>,
}

/// A run, prepared down to the last byte for posix_spawn(3).
#[derive(Debug)]
pub(super) struct Prepared<'a> {
    pub(super) program: CString,
    pub(super) argv: Vec<Cow<'a, CStr>>,
    /// Where the stage, if one was put in front, finds the pipe on which it reports a failure.
    pub(super) stage_report: Option<i32>,
}

impl Setting {
    /// Looks the user up, reads the file of variables, and joins all variables to one block:
    /// what passes of `inherited`, then `added`, the user's, the file's, the table's own and secrets. `shown` is what
    /// errors name.
    ///
    /// # Errors
    /// When there is no such user or no such file.
    pub fn look_up(
        shown: &str,
        context: &Context,
        inherited: &[(OsString, OsString)],
        added: &[(&'static str, String)],
    ) -> Result<Self, SpawnError> {
        let credentials = Credentials::look_up(shown, context)?;
        let variables = variables(shown, context, inherited, added, credentials.as_ref())?;
        let path = variables.iter().find(|(key, _)| *key == OsStr::new("PATH"));
        let path = path.map(|(_, value)| value.clone().into_owned());
        let here = std::env::current_dir().unwrap_or_else(|_| PathBuf::from("/"));
        let folder = context.cwd.as_deref().map_or(here.clone(), |cwd| here.join(cwd));
        let envp = variables
            .iter()
            .map(|(key, value)| {
                let (key, value) = (key.as_bytes(), value.as_bytes());
                // With room for the NUL, so that nothing is copied for it.
                let mut text = Vec::with_capacity(key.len() + value.len() + 2);
                [key, b"=", value].into_iter().for_each(|part| text.extend_from_slice(part));
                c_string(shown, text)
            })
            .collect::<Result<_, _>>()?;
        let owner = credentials.as_ref().map(|credentials| (credentials.uid, credentials.gid));
        let plan = Plan::new(context, credentials);
        let plan = plan.is_needed().then(|| plan.text(shown)).transpose()?;
        Ok(Self { envp, owner, oom: context.oom, path, folder, plan })
    }

    /// Finds a program: on PATH if its name has no slash.
    ///
    /// # Errors
    /// When there is none, or none that may be run.
    pub fn find(&self, name: &OsStr) -> Result<PathBuf, SpawnError> {
        lookup::find(name, self.path.as_deref(), &self.folder).map_err(|error: Lookup| {
            let code = error.code();
            SpawnError {
                code,
                ..SpawnError::new(&name.to_string_lossy(), Step::Lookup, error.to_string())
            }
        })
    }

    /// Puts the stage in front if one is needed; it reports on a descriptor of the number `free`.
    pub(super) fn prepare<'a>(
        &self,
        shown: &str,
        program: &Path,
        words: &[&'a CStr],
        free: i32,
    ) -> Result<Prepared<'a>, SpawnError> {
        let program = c_string(shown, program.as_os_str().as_bytes())?;
        let Some(plan) = &self.plan else {
            let argv = words.iter().copied().map(Cow::Borrowed).collect();
            return Ok(Prepared { program, argv, stage_report: None });
        };
        let front = stage::arguments(plan, program, free).into_iter().map(Cow::Owned);
        let argv = front.chain(words.iter().copied().map(Cow::Borrowed)).collect();
        Ok(Prepared { program: stage::PROGRAM.into(), argv, stage_report: Some(free) })
    }
}

pub(super) fn c_string(shown: &str, bytes: impl Into<Vec<u8>>) -> Result<CString, SpawnError> {
    CString::new(bytes)
        .map_err(|_| SpawnError::new(shown, Step::Spawn, "an argument holds a NUL byte"))
}

/// A name and a value; most of them stay as they were inherited.
type Variable<'a> = (Cow<'a, OsStr>, Cow<'a, OsStr>);

fn variables<'a>(
    shown: &str,
    context: &'a Context,
    inherited: &'a [(OsString, OsString)],
    added: &'a [(&'static str, String)],
    credentials: Option<&'a Credentials>,
) -> Result<Vec<Variable<'a>>, SpawnError> {
    let passed = inherited.iter().filter(|(name, _)| context.passes(name));
    let passed = passed.map(|(name, value)| (name.into(), value.into()));
    let mut all: Vec<Variable<'a>> = passed.collect();
    let mut set = |key: Cow<'a, str>, value: Cow<'a, str>| {
        let (key, value) = (os(key), os(value));
        match all.iter_mut().find(|(known, _)| *known == key) {
            Some((_, old)) => *old = value,
            None => all.push((key, value)),
        }
    };
    for (key, value) in added {
        set((*key).into(), value.into());
    }
    for (key, value) in credentials.into_iter().flat_map(|c| &c.variables) {
        set((*key).into(), value.into());
    }
    if let Some(file) = &context.env_file {
        let pairs =
            read_env_file(file).map_err(|why| SpawnError::new(shown, Step::EnvFile, why))?;
        for (key, value) in pairs {
            set(key.into(), value.into());
        }
    }
    for (key, value) in &context.env {
        set(key.into(), value.into());
    }
    for (key, file) in &context.secrets {
        let fail = |why| SpawnError::new(shown, Step::Secrets, format!("`{key}`: {why}"));
        set(key.into(), secret::read(file).map_err(fail)?.into());
    }
    Ok(all)
}

fn os(text: Cow<'_, str>) -> Cow<'_, OsStr> {
    match text {
        Cow::Borrowed(text) => OsStr::new(text).into(),
        Cow::Owned(text) => OsString::from(text).into(),
    }
}

/// The largest `env_file`, in bytes.
const LARGEST_ENV_FILE: u64 = 1024 * 1024;

/// The `NAME=VALUE` lines of a file. Blank lines and lines that begin with `#` are passed over, an
/// `export ` in front and one pair of quotes around the value are taken off.
fn read_env_file(file: &Path) -> Result<Vec<(String, String)>, String> {
    let said = |why: String| format!("`{}`: {why}", file.display());
    let bytes = regular::read(file, LARGEST_ENV_FILE).map_err(|error| said(error.to_string()))?;
    if bytes.len() as u64 > LARGEST_ENV_FILE {
        return Err(said(format!("it has more than {LARGEST_ENV_FILE} bytes")));
    }
    let text = String::from_utf8(bytes).map_err(|_| said("it is not UTF-8".to_owned()))?;
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
