//! The keys of a config that make up a [`Context`], shared by all tables that start programs.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Context, Limit, Resource};
use crate::refusal::Refusal;
use crate::scalar::Scalar;
use crate::text::Text;

/// A file mode creation mask in octal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Umask(pub u32);

impl Scalar for Umask {
    const NOUN: &'static str = "a mask";
    const EXPECTED: &'static str = "octal digits in quotes, such as `\"0027\"`";

    // A bare number is refused: whether its digits were meant as octal cannot be seen.
    fn read(text: &str) -> Option<Self> {
        if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        u32::from_str_radix(text, 8).ok().filter(|mask| *mask <= 0o777).map(Self)
    }
}

crate::impl_scalar!(Umask, "Umask", { "type": "string", "pattern": "^0*[0-7]{1,3}$" });

impl Scalar for Limit {
    const NOUN: &'static str = "a limit";
    const EXPECTED: &'static str = "a number, `unlimited`, or the two limits as `SOFT:HARD`";
    const NUMBERS: bool = true;

    fn read(text: &str) -> Option<Self> {
        let one = |text: &str| match text {
            "unlimited" => Some(None),
            _ if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) => None,
            _ => text.parse().ok().map(Some),
        };
        let limit = match text.split_once(':') {
            Some((soft, hard)) => Self { soft: one(soft)?, hard: one(hard)? },
            None => Self { soft: one(text)?, hard: one(text)? },
        };
        let above = match (limit.soft, limit.hard) {
            (Some(soft), Some(hard)) => soft > hard,
            (None, Some(_)) => true,
            (_, None) => false,
        };
        (!above).then_some(limit)
    }
}

crate::impl_scalar!(Limit, "Limit", {
    "anyOf": [
        { "type": "integer", "minimum": 0 },
        { "type": "string", "pattern": "^([0-9]+|unlimited)(:([0-9]+|unlimited))?$" }
    ]
});

/// Limits of setrlimit(2), each for one process. A number is both the soft limit, which the kernel
/// enforces, and the hard one, up to which the program may raise it. What is not set is as the
/// wrapper has it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub struct LimitsTable {
    /// The address space, in bytes.
    #[schemars(example = 1073741824)]
    pub r#as: Option<Limit>,
    /// The size of a core file, in bytes.
    #[schemars(example = 0)]
    pub core: Option<Limit>,
    /// Processor time, in seconds.
    #[schemars(example = 3600)]
    pub cpu: Option<Limit>,
    /// The data segment, in bytes.
    #[schemars(example = 1073741824)]
    pub data: Option<Limit>,
    /// The size of a file that is written, in bytes.
    #[schemars(example = 1073741824)]
    pub fsize: Option<Limit>,
    /// The number of locks. Linux has not heeded it since 2.4.
    #[schemars(example = &"unlimited")]
    pub locks: Option<Limit>,
    /// Memory that is locked, in bytes.
    #[schemars(example = 65536)]
    pub memlock: Option<Limit>,
    /// POSIX message queues, in bytes.
    #[schemars(example = 819200)]
    pub msgqueue: Option<Limit>,
    /// How far the nice value may be lowered: to 20 less this number.
    #[schemars(example = 20)]
    pub nice: Option<Limit>,
    /// The number of open descriptors.
    #[schemars(example = &"1024:65536")]
    pub nofile: Option<Limit>,
    /// The number of processes of its user.
    #[schemars(example = 512)]
    pub nproc: Option<Limit>,
    /// Resident memory, in bytes. Linux does not heed it.
    #[schemars(example = 1073741824)]
    pub rss: Option<Limit>,
    /// The highest real-time priority.
    #[schemars(example = 10)]
    pub rtprio: Option<Limit>,
    /// Processor time without a pause under real-time scheduling, in microseconds.
    #[schemars(example = 200000)]
    pub rttime: Option<Limit>,
    /// The number of queued signals of its user.
    #[schemars(example = 1024)]
    pub sigpending: Option<Limit>,
    /// The stack, in bytes.
    #[schemars(example = 8388608)]
    pub stack: Option<Limit>,
}

impl LimitsTable {
    fn resolve(self) -> BTreeMap<Resource, Limit> {
        [
            ("as", self.r#as),
            ("core", self.core),
            ("cpu", self.cpu),
            ("data", self.data),
            ("fsize", self.fsize),
            ("locks", self.locks),
            ("memlock", self.memlock),
            ("msgqueue", self.msgqueue),
            ("nice", self.nice),
            ("nofile", self.nofile),
            ("nproc", self.nproc),
            ("rss", self.rss),
            ("rtprio", self.rtprio),
            ("rttime", self.rttime),
            ("sigpending", self.sigpending),
            ("stack", self.stack),
        ]
        .into_iter()
        .filter_map(|(name, limit)| Some((Resource::from_name(name)?, limit?)))
        .collect()
    }
}

/// The keys as they were read, on their way to a [`Context`].
#[derive(Clone, Debug, Default)]
pub struct ContextKeys {
    /// `user`; blank is unset.
    pub user: Option<Text>,
    /// `group`; blank is unset.
    pub group: Option<Text>,
    /// `env`.
    pub env: Option<BTreeMap<String, Text>>,
    /// `env_file`; blank is unset.
    pub env_file: Option<String>,
    /// `cwd`; blank is unset.
    pub cwd: Option<String>,
    /// `umask`.
    pub umask: Option<Umask>,
    /// `limits`.
    pub limits: Option<LimitsTable>,
}

impl ContextKeys {
    /// What no program can be given: a variable without a proper name, and a NUL byte anywhere.
    pub fn refusals(&self) -> impl Iterator<Item = Refusal> {
        let names = self.env.iter().flatten().filter_map(|(name, Text(value))| {
            let expected = match () {
                () if name.is_empty() || name.contains(['=', '\0']) => "a name without `=` and NUL",
                () if value.contains('\0') => "a value without NUL",
                () => return None,
            };
            let what = format!("`{}` cannot be passed on", name.escape_debug());
            Some(Refusal::wrong("env", what).below(name.clone()).expected(expected))
        });
        let paths = [("env_file", &self.env_file), ("cwd", &self.cwd)];
        let paths = paths
            .into_iter()
            .filter(|(_, path)| path.as_ref().is_some_and(|path| path.contains('\0')));
        names.chain(paths.map(|(key, _)| Refusal::wrong(key, "the path holds a NUL byte")))
    }
}

impl From<ContextKeys> for Context {
    fn from(keys: ContextKeys) -> Self {
        let text = |text: Option<Text>| text.map(|t| t.0).filter(|t| !t.is_empty());
        let path = |text: Option<String>| text.filter(|t| !t.is_empty()).map(Into::into);
        Self {
            user: text(keys.user),
            group: text(keys.group),
            env: keys.env.unwrap_or_default().into_iter().map(|(k, v)| (k, v.0)).collect(),
            env_file: path(keys.env_file),
            cwd: path(keys.cwd),
            umask: keys.umask.map(|mask| mask.0),
            limits: keys.limits.unwrap_or_default().resolve(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks() {
        for (text, mask) in
            [("0027", Some(0o27)), ("22", Some(0o22)), ("0", Some(0)), ("00777", Some(0o777))]
        {
            assert_eq!(Umask::read(text).map(|m| m.0), mask);
        }
        for text in ["", "8", "1000", "0o22", "-1", "rwx", "+22"] {
            assert_eq!(Umask::read(text), None, "{text}");
        }
    }

    #[test]
    fn limits() {
        let limit = |soft, hard| Some(Limit { soft, hard });
        assert_eq!(Limit::read("1024"), limit(Some(1024), Some(1024)));
        assert_eq!(Limit::read("unlimited"), limit(None, None));
        assert_eq!(Limit::read("1:unlimited"), limit(Some(1), None));
        for text in ["", "-1", "2:1", "unlimited:1", "1:", "1:2:3", "many"] {
            assert_eq!(Limit::read(text), None, "{text}");
        }
    }

    #[test]
    fn every_resource_has_its_key() {
        let json = Resource::names().map(|name| format!("\"{name}\": 1")).collect::<Vec<_>>();
        let table: LimitsTable = serde_json::from_str(&format!("{{{}}}", json.join(","))).unwrap();
        assert_eq!(table.resolve().len(), Resource::names().count());
    }
}
