//! `coproc keys`: what it asks for, and how its answers are shown.

use std::fmt::Write;
use std::io::Read;

use clap::{Args, Subcommand};
use coproc_control::client::Call;
use serde_json::{Map, Value, json};

use crate::cli::Client;
use crate::console::complain;

/// `coproc keys`.
#[derive(Clone, Debug, Args)]
pub struct Keys {
    /// What to do.
    #[command(subcommand)]
    pub action: Action,
}

/// What is done with keys.
#[derive(Clone, Debug, Subcommand)]
pub enum Action {
    /// Print all keys, one a line; where keys are hashed, their hashes.
    List(Client),
    /// Print the session of a key as JSON, with what is left of its quota.
    Show(OneKey),
    /// Add a key, and print it.
    Add(Add),
    /// Set the session of a key, whether it is there or not. Its quota begins anew.
    Set(Set),
    /// Delete a key.
    Delete(OneKey),
}

/// A command about one key.
#[derive(Clone, Debug, Args)]
pub struct OneKey {
    /// The wrapper.
    #[command(flatten)]
    pub client: Client,

    /// The key.
    #[arg(value_name = "KEY")]
    pub key: String,

    /// It is the key's hash, as `list` prints it where keys are hashed.
    #[arg(long)]
    pub hashed: bool,
}

/// `coproc keys add`.
#[derive(Clone, Debug, Args)]
pub struct Add {
    /// The wrapper.
    #[command(flatten)]
    pub client: Client,

    /// The key; without it a new one that nobody can guess.
    #[arg(long, value_name = "KEY")]
    pub key: Option<String>,

    /// Its session.
    #[command(flatten)]
    pub session: SessionArgs,
}

/// `coproc keys set`.
#[derive(Clone, Debug, Args)]
pub struct Set {
    /// The wrapper.
    #[command(flatten)]
    pub client: Client,

    /// The key.
    #[arg(value_name = "KEY")]
    pub key: String,

    /// It is the hash of a key that is there, as `list` prints it where keys are hashed.
    #[arg(long)]
    pub hashed: bool,

    /// Its session.
    #[command(flatten)]
    pub session: SessionArgs,
}

/// A session in JSON, in flags, or both; flags win.
#[derive(Clone, Debug, Default, Args)]
pub struct SessionArgs {
    /// The session as JSON, or `-` to read it from standard input.
    #[arg(long, value_name = "JSON")]
    pub json: Option<String>,

    /// The id of an API that may be used; may be repeated. Without any, all may be.
    #[arg(long = "api", value_name = "ID")]
    pub apis: Vec<String>,

    /// The organisation.
    #[arg(long, value_name = "ID")]
    pub org: Option<String>,

    /// A name for people.
    #[arg(long, value_name = "TEXT")]
    pub alias: Option<String>,

    /// How many requests may come within the time of --per.
    #[arg(long, value_name = "NUMBER")]
    pub rate: Option<f64>,

    /// That time, in seconds; 1 where only --rate is said.
    #[arg(long, value_name = "SECONDS")]
    pub per: Option<f64>,

    /// How many requests may come within a period.
    #[arg(long, value_name = "NUMBER")]
    pub quota: Option<i64>,

    /// The period, in seconds; without it the quota is never renewed.
    #[arg(long, value_name = "SECONDS")]
    pub quota_period: Option<i64>,

    /// When the key ends, in seconds since 1970; 0 is never.
    #[arg(long, value_name = "TIME")]
    pub expires: Option<i64>,

    /// The id of a policy; may be repeated.
    #[arg(long = "policy", value_name = "ID")]
    pub policies: Vec<String>,

    /// The key is there, and lets nobody in.
    #[arg(long)]
    pub inactive: bool,
}

impl SessionArgs {
    /// The session as JSON; the error is a sentence.
    fn session(&self) -> Result<Value, String> {
        let mut session: Map<String, Value> = match self.json.as_deref() {
            None => Map::new(),
            Some(json) => {
                let mut read = String::new();
                let json = match json {
                    "-" => {
                        let mut input = std::io::stdin().lock();
                        input.read_to_string(&mut read).map_err(|error| {
                            format!("the session cannot be read from standard input: {error}")
                        })?;
                        &read
                    }
                    json => json,
                };
                serde_json::from_str(json)
                    .map_err(|error| format!("the session is not a JSON object: {error}"))?
            }
        };
        let mut set = |key: &str, value: Value| drop(session.insert(key.to_owned(), value));
        if let Some(rate) = self.rate {
            set("rate", rate.into());
            set("per", self.per.unwrap_or(1.0).into());
        } else if let Some(per) = self.per {
            set("per", per.into());
        }
        let numbers = [
            ("quota_max", self.quota),
            ("quota_renewal_rate", self.quota_period),
            ("expires", self.expires),
        ];
        for (key, number) in numbers {
            number.into_iter().for_each(|number| set(key, number.into()));
        }
        for (key, text) in [("org_id", &self.org), ("alias", &self.alias)] {
            text.iter().for_each(|text| set(key, text.as_str().into()));
        }
        if !self.policies.is_empty() {
            set("apply_policies", self.policies.clone().into());
        }
        if self.inactive {
            set("is_inactive", true.into());
        }
        if !self.apis.is_empty() {
            let right = |id: &String| (id.clone(), json!({ "api_id": id, "api_name": id }));
            set("access_rights", self.apis.iter().map(right).collect::<Map<_, _>>().into());
        }
        Ok(session.into())
    }
}

impl Action {
    /// How the wrapper is found.
    pub(crate) fn client(&self) -> &Client {
        match self {
            Self::List(client) => client,
            Self::Show(one) | Self::Delete(one) => &one.client,
            Self::Add(add) => &add.client,
            Self::Set(set) => &set.client,
        }
    }

    /// What the wrapper is asked; the error is a sentence.
    pub(crate) fn call(&self) -> Result<Call, String> {
        let named = |call: Call, hashed| if hashed { call.with("hashed") } else { call };
        Ok(match self {
            Self::List(_) => Call::get(&["keys"], &[]),
            Self::Show(one) => named(Call::get(&["keys", &one.key], &[]), one.hashed),
            Self::Delete(one) => named(Call::delete(&["keys", &one.key]), one.hashed),
            Self::Add(add) => {
                let session = Some(add.session.session()?);
                match &add.key {
                    Some(key) => Call::post(&["keys", key], session),
                    None => Call::post(&["keys"], session),
                }
            }
            Self::Set(set) => {
                let call = Call::post(&["keys", &set.key], Some(set.session.session()?));
                named(call, set.hashed)
            }
        })
    }

    /// The answer as people read it.
    pub(crate) fn show(&self) -> fn(&Value) -> String {
        match self {
            Self::List(_) => |answer| {
                let keys = answer["keys"].as_array().into_iter().flatten();
                keys.filter_map(Value::as_str).fold(String::new(), |mut out, key| {
                    let _ = writeln!(out, "{key}");
                    out
                })
            },
            Self::Show(_) => |answer| format!("{answer:#}\n"),
            Self::Add(_) => |answer| {
                warn(answer);
                format!("{}\n", answer["key"].as_str().unwrap_or_default())
            },
            Self::Set(_) => |answer| {
                warn(answer);
                String::new()
            },
            Self::Delete(_) => |_| String::new(),
        }
    }
}

/// Tells on standard error what a key is for and is not there.
fn warn(answer: &Value) {
    for id in answer["unserved_apis"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        complain(&format!("warning: no API with the id `{id}` is served now\n"));
    }
}
