//! The keys of a config that make up a [`Context`], shared by all tables that start programs.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Capabilities, Context, Limit, OF_HELPERS, OomAdjustment, OomScore, Resource};
use crate::flag::Flag;
use crate::refusal::Refusal;
use crate::scalar::Scalar;
use crate::text::Text;
use crate::words::Words;

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
    /// `env_pass`.
    pub env_pass: Option<Words>,
    /// `env`.
    pub env: Option<BTreeMap<String, Text>>,
    /// `env_file`; blank is unset.
    pub env_file: Option<String>,
    /// `secrets`.
    pub secrets: Option<BTreeMap<String, String>>,
    /// `cwd`; blank is unset.
    pub cwd: Option<String>,
    /// `umask`.
    pub umask: Option<Umask>,
    /// `limits`.
    pub limits: Option<LimitsTable>,
    /// `capabilities`.
    pub capabilities: Option<Capabilities>,
    /// `no_new_privs`.
    pub no_new_privs: Option<Flag>,
    /// `oom_score_adj`.
    pub oom_score_adj: Option<OomScore>,
}

/// Declares a table that starts programs: a struct with fields of its own and, behind them, the keys
/// that say as whom, with what and where its programs run. What is derived reads all of them from
/// one table.
#[macro_export]
macro_rules! program_table {
    ($(#[$meta:meta])* pub struct $name:ident { $($fields:tt)* }) => {
        $(#[$meta])*
        pub struct $name {
            $($fields)*
            /// The user to run it as, by name or number. Its group, its supplementary groups, and HOME,
            /// USER, LOGNAME and SHELL come with it. Default: the wrapper's own.
            #[schemars(example = &"www-data")]
            pub user: Option<$crate::text::Text>,
            /// A group, by name or number, in place of the user's own. Default: the user's own.
            #[schemars(example = &"adm")]
            pub group: Option<$crate::text::Text>,
            /// Which of the wrapper's own variables it gets: names, or beginnings of names with `*` behind
            /// them. Default: all.
            #[schemars(example = ["PATH", "LANG", "APP_*"])]
            pub env_pass: Option<$crate::words::Words>,
            /// Variables that are added to those. Default: none.
            #[schemars(example = $crate::process::table::example::env())]
            pub env: Option<std::collections::BTreeMap<String, $crate::text::Text>>,
            /// A file of `NAME=VALUE` lines that is read at each start, or when an exec socket is opened; `env`
            /// wins over it. It has 1 MiB at most. Blank lines and
            /// lines that begin with `#` are passed over, an `export` in front and one pair of quotes
            /// around the value are taken off. Default: none.
            #[schemars(example = &"/etc/default/server")]
            pub env_file: Option<String>,
            /// Variables whose values are in files: the path for each name. The wrapper reads them when it
            /// reads `env_file`, so the program's user needs no right to; a line end at the end is taken off, and a
            /// file has 64 KiB at most. They win over `env_file`, and no name is in `env` as well.
            /// Default: none.
            #[schemars(example = $crate::process::table::example::secrets())]
            pub secrets: Option<std::collections::BTreeMap<String, String>>,
            /// The working directory. Default: the wrapper's own.
            #[schemars(example = &"/var/lib/server")]
            pub cwd: Option<String>,
            /// The file mode creation mask, in octal digits and in quotes. Default: the wrapper's own.
            #[schemars(example = &"0027")]
            pub umask: Option<$crate::process::table::Umask>,
            /// Limits of setrlimit(2). Default: the wrapper's own.
            #[schemars(example = $crate::process::table::example::limits())]
            pub limits: Option<$crate::process::table::LimitsTable>,
            /// The capabilities that it has, and keeps through exec although its user is not root: these
            /// and no others, nor can it get others back. An empty list is none. Default: without `user`
            /// what the wrapper has, with `user` none.
            #[schemars(example = ["CAP_NET_BIND_SERVICE"])]
            pub capabilities: Option<$crate::process::Capabilities>,
            /// Whether neither it nor what it starts can gain rights by executing a program, such as one
            /// that is setuid. Default: `false`.
            #[schemars(example = true)]
            pub no_new_privs: Option<$crate::flag::Flag>,
            /// How soon the kernel kills it when memory runs out, from -1000, never, to 1000, first. What is
            /// lower than the wrapper's own needs CAP_SYS_RESOURCE. Default: the wrapper's own; a coprocess
            /// has 100 more, so that it dies before the main process.
            #[schemars(example = 500)]
            pub oom_score_adj: Option<$crate::process::OomScore>,
        }

        impl $name {
            /// Takes out the keys that its programs' context is made of.
            fn context_keys(&mut self) -> $crate::process::table::ContextKeys {
                $crate::process::table::ContextKeys {
                    user: self.user.take(),
                    group: self.group.take(),
                    env_pass: self.env_pass.take(),
                    env: self.env.take(),
                    env_file: self.env_file.take(),
                    secrets: self.secrets.take(),
                    cwd: self.cwd.take(),
                    umask: self.umask.take(),
                    limits: self.limits.take(),
                    capabilities: self.capabilities.take(),
                    no_new_privs: self.no_new_privs.take(),
                    oom_score_adj: self.oom_score_adj.take(),
                }
            }
        }
    };
}

/// Tables that stand in the schema as examples.
#[doc(hidden)]
pub mod example {
    use serde_json::{Value, json};

    pub fn env() -> Value {
        json!({ "LANG": "C.UTF-8" })
    }

    pub fn secrets() -> Value {
        json!({ "DB_PASSWORD": "/run/secrets/db" })
    }

    pub fn limits() -> Value {
        json!({ "nofile": 65536, "core": 0 })
    }
}

impl ContextKeys {
    /// What no program can be given: a variable without a proper name, a NUL byte anywhere, a name
    /// that is said twice, and a pattern that is none.
    pub fn refusals(&self) -> Vec<Refusal> {
        let names = self.env.iter().flatten().filter_map(|(name, Text(value))| {
            let expected = match () {
                () if is_no_variable(name) => NAME,
                () if value.contains('\0') => "a value without NUL",
                () => return None,
            };
            let what = format!("`{}` cannot be passed on", name.escape_debug());
            Some(Refusal::wrong("env", what).below(name.clone()).expected(expected))
        });
        let secrets = self.secrets.iter().flatten().filter_map(|(name, path)| {
            let wrong = |what: String| Refusal::wrong("secrets", what).below(name.clone());
            match () {
                () if is_no_variable(name) => {
                    let what = format!("`{}` cannot be passed on", name.escape_debug());
                    Some(wrong(what).expected(NAME))
                }
                () if path.is_empty() || path.contains('\0') => {
                    Some(wrong("names no file".to_owned()).expected("the path of a file"))
                }
                () if self.env.as_ref().is_some_and(|env| env.contains_key(name)) => {
                    let what = format!("`{}` is in `env` as well", name.escape_debug());
                    Some(wrong(what).expected("a name that is in one of the two"))
                }
                () => None,
            }
        });
        let patterns = self.env_pass.iter().flat_map(|Words(words)| words).filter_map(|word| {
            let name = word.strip_suffix('*').unwrap_or(word);
            (word.is_empty() || name.contains(['*', '=', '\0'])).then(|| {
                let what = format!("`{}` names no variable", word.escape_debug());
                let expected = "a name, or the beginning of names with `*` behind it";
                Refusal::wrong("env_pass", what).expected(expected)
            })
        });
        let paths = [("env_file", &self.env_file), ("cwd", &self.cwd)]
            .into_iter()
            .filter(|(_, path)| path.as_ref().is_some_and(|path| path.contains('\0')))
            .map(|(key, _)| Refusal::wrong(key, "the path holds a NUL byte"));
        names.chain(secrets).chain(patterns).chain(paths).collect()
    }
}

/// What a variable's name has to be.
const NAME: &str = "a name without `=` and NUL";

fn is_no_variable(name: &str) -> bool {
    name.is_empty() || name.contains(['=', '\0'])
}

impl ContextKeys {
    /// The context of a helper: it dies before the main process unless the config says otherwise.
    pub fn of_helper(self) -> Context {
        let mut context = Context::from(self);
        if context.oom == OomAdjustment::Inherited {
            context.oom = OomAdjustment::RaisedBy(OF_HELPERS);
        }
        context
    }
}

impl From<ContextKeys> for Context {
    fn from(keys: ContextKeys) -> Self {
        let text = |text: Option<Text>| text.map(|t| t.0).filter(|t| !t.is_empty());
        let path = |text: Option<String>| text.filter(|t| !t.is_empty()).map(Into::into);
        Self {
            user: text(keys.user),
            group: text(keys.group),
            env_pass: keys.env_pass.map(|words| words.0),
            env: keys.env.unwrap_or_default().into_iter().map(|(k, v)| (k, v.0)).collect(),
            env_file: path(keys.env_file),
            secrets: keys
                .secrets
                .unwrap_or_default()
                .into_iter()
                .map(|(name, path)| (name, path.into()))
                .collect(),
            cwd: path(keys.cwd),
            umask: keys.umask.map(|mask| mask.0),
            limits: keys.limits.unwrap_or_default().resolve(),
            capabilities: keys.capabilities,
            no_new_privs: keys.no_new_privs.is_some_and(|flag| flag.0),
            oom: keys.oom_score_adj.map_or(OomAdjustment::Inherited, OomAdjustment::Set),
            cgroup: None,
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
