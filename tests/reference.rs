//! The schema tells the truth, and docs/config.md is what is made of it.

use std::path::{Path, PathBuf};

use coproc::config::{self, Format, Loaded, Sources};
use coproc::reference::{Key, Reference, markdown};
use serde_json::{Map, Value, json};

/// Makes the test write the page in place of comparing it.
const WRITE: &str = "COPROC_WRITE_DOCS";

fn reference() -> Reference {
    Reference::new(&config::schema())
}

#[test]
fn the_page_of_the_config_is_made_of_the_schema() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/config.md");
    let made = markdown(&reference());
    if std::env::var_os(WRITE).is_some() {
        std::fs::write(&page, made).unwrap();
        return;
    }
    let there = std::fs::read_to_string(&page).unwrap_or_default();
    let differ = there.lines().zip(made.lines()).position(|(there, made)| there != made);
    assert!(
        there == made,
        "docs/config.md is not what the schema says, first in line {}; `make docs` writes it anew",
        differ.unwrap_or(there.lines().count().min(made.lines().count())) + 1
    );
}

/// A config in which every table is there and as little as possible is said.
fn sparse() -> Value {
    json!({
        "log": { "forward": { "agent": { "to": "http://127.0.0.1:4318" } } },
        "main": { "exec": "true", "ready": { "file": "/x" }, "live": { "file": "/x" } },
        "template": {},
        "exec_socket": { "path": "/x.sock" },
        "coordinator": {
            "service_name": "c",
            "exec": { "allow": ["/bin/true"] },
            "nats": { "url": "nats://h", "user": "u" },
        },
        "gateway": {
            "store": { "redis": "redis://127.0.0.1" },
            "tls": { "certificate": "/c", "key": "/k" },
            "python": { "path": "/hooks" },
            "lua": { "path": "/lua" },
            "native": { "library": "/hooks.so" },
        },
        "coprocess": { "agent": {
            "name": "agent",
            "exec": "true",
            "restarts": "never",
            "exec_event": "start",
            "backoff": {},
            "restart_limit": { "count": 7 },
            "ready": { "file": "/x" },
            "live": { "file": "/x" },
            "schedule": { "cron": "@daily" },
        },
        // Whom examples name.
        "migrate": { "name": "migrate", "exec": "true", "restarts": "never", "exec_event": "start" },
        "db": { "name": "db", "exec": "true", "restarts": "never", "exec_event": "start" },
        },
    })
}

fn load(config: &Value, environment: &[(String, String)]) -> Loaded {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("coproc.json");
    std::fs::write(&file, config.to_string()).unwrap();
    let sources = Sources {
        files: vec![file],
        environment: environment.iter().map(|(k, v)| (k.into(), v.into())).collect(),
        folder: PathBuf::from("/nowhere"),
        ..Sources::default()
    };
    config::load(&sources).unwrap_or_else(|errors| panic!("{config:#}\n{errors}"))
}

/// The place of a key in [`sparse`].
fn place(path: &str) -> Vec<String> {
    path.split('.').map(|key| key.replace("NAME", "agent")).collect()
}

fn set(config: &mut Value, path: &[String], value: Value) {
    let mut at = config;
    for key in path {
        if at.get(key).is_none() {
            at[key] = json!({});
        }
        at = &mut at[key];
    }
    *at = value;
}

/// What excludes another kind of probe.
const KINDS: [&str; 8] = ["exec", "http", "tcp", "unix", "log", "file", "fd", "notify"];

fn is_kind_of_probe(path: &str, key: &Key) -> bool {
    KINDS.contains(&key.name.as_str()) && path.contains(".ready.")
}

/// [`sparse`], but for the key's own neighbours that exclude it.
fn around(path: &str, key: &Key) -> Value {
    let mut config = sparse();
    if is_kind_of_probe(path, key) {
        let place = place(path);
        set(&mut config, &place[..place.len() - 1], json!({}));
    }
    // Who has a token has no user.
    if path == "coordinator.nats.token" {
        config["coordinator"]["nats"] = json!({ "url": "nats://h" });
    }
    // A burst exceeds a rate, and a buffer is for who does not wait.
    if let Some(table) = path.strip_suffix(".log.burst") {
        set(&mut config, &place(&format!("{table}.log.rate")), json!("9/s"));
    }
    if let Some(table) = path.strip_suffix(".log.buffer") {
        set(&mut config, &place(&format!("{table}.log.on_full")), json!("drop"));
    }
    // A facility is for syslog.
    if path == "log.forward.NAME.facility" {
        config["log"]["forward"]["agent"]["to"] = json!("udp://127.0.0.1:514");
    }
    // Who runs at a distance has no times of the calendar.
    if path == "coprocess.NAME.schedule.every" {
        config["coprocess"]["agent"]["schedule"] = json!({});
    }
    // What is kept in a file is not in Redis.
    if path == "gateway.store.path" {
        config["gateway"]["store"] = json!({});
    }
    config
}

fn shown(loaded: &Loaded) -> Map<String, Value> {
    let text = config::debug(loaded, &loaded.config, Format::Json);
    let debug: Value = serde_json::from_str(&text).unwrap();
    debug["values"].as_object().unwrap().clone()
}

#[test]
fn every_key_says_what_it_means_and_what_it_is_without() {
    let found_out = ["nginx_version", "nginx_is_plus", "last_reload_time"];
    let optional_texts = ["timestamp_format", "data_key"];
    for (path, key) in reference().paths() {
        assert!(key.about.len() > 5 && key.about.ends_with('.'), "{path}: {}", key.about);
        let said = key.about.contains("Default: ");
        let has = key.default.is_some();
        let exempt = key.required
            || key.is_table && !path.contains('.')
            || found_out.contains(&path.as_str())
            || optional_texts.contains(&key.name.as_str())
            || path.contains(".limits.")
            || is_kind_of_probe(&path, key);
        assert_eq!(u8::from(said) + u8::from(has), u8::from(!exempt), "{path}: {}", key.about);
    }
}

/// To say every default oneself changes nothing.
#[test]
fn defaults_are_what_is_in_force() {
    let sparse_config = sparse();
    let bare = load(&sparse_config, &[]);
    let effective = shown(&bare);
    let mut full = sparse_config;
    let mut compared = 0;
    for (path, key) in reference().paths() {
        let Some(default) = &key.default else { continue };
        let place = place(&path);
        set(&mut full, &place, default.clone());
        if let Some(value) = effective.get(&place.join(".")) {
            assert_eq!(&value["value"], default, "{path}");
            assert_eq!(value["origin"]["kind"], "default", "{path}");
            compared += 1;
        }
        // One by one, so that no two wrong ones make up for each other.
        let mut one = sparse();
        set(&mut one, &place, default.clone());
        let one = load(&one, &[]).config;
        assert_eq!(format!("{one:?}"), format!("{:?}", bare.config), "{path}");
    }
    assert!(compared >= 30, "{compared}");
    assert_eq!(format!("{:?}", load(&full, &[]).config), format!("{:?}", bare.config));
}

#[test]
fn examples_are_valid_and_say_something_else_than_the_default() {
    for (path, key) in reference().paths() {
        for example in &key.examples {
            assert_ne!(Some(example), key.default.as_ref(), "{path}");
            let mut config = around(&path, key);
            set(&mut config, &place(&path), example.clone());
            let loaded = load(&config, &[]);
            // One key is taken for Tyk's sake alone, and one takes a guard away: both say so.
            let says_so =
                ["gateway.ignore_canonical_mime_header_key", "gateway.bundle_insecure_skip_verify"];
            let says_so = says_so.iter().any(|key| path == *key);
            let warnings = &loaded.config.warnings;
            assert_eq!(warnings.len(), usize::from(says_so), "{path}: {warnings:?}");
        }
    }
}

#[test]
fn every_key_but_tables_and_what_is_found_out_has_an_example() {
    for (path, key) in reference().paths() {
        let exempt = key.is_table && !path.contains('.')
            || key.about.starts_with("Found out")
            || path.contains("formatter_options.");
        assert_eq!(key.examples.is_empty(), exempt, "{path}");
    }
}

#[test]
fn variables_reach_their_keys() {
    let reference = reference();
    let mut reached = 0;
    for table in &reference.tables {
        for key in &table.keys {
            let path = match table.path() {
                "" => key.name.clone(),
                path => format!("{path}.{}", key.name),
            };
            let text = match key.examples.first() {
                Some(Value::Object(_)) if key.is_map() => {
                    let variable = table.variable(key).replace("__NAME__", "__AGENT__");
                    let loaded = load(&sparse(), &[(format!("{variable}__Key"), "x".to_owned())]);
                    let shown = format!("{:?} {:?}", loaded.table(), loaded.config);
                    assert!(shown.contains("\"Key\": "), "{variable}: {shown}");
                    continue;
                }
                None | Some(Value::Object(_)) => continue,
                Some(Value::String(text)) => text.clone(),
                Some(Value::Array(words)) => {
                    let word = |word: &Value| word.as_str().map_or(word.to_string(), str::to_owned);
                    words.iter().map(word).collect::<Vec<_>>().join(" ")
                }
                Some(other) => other.to_string(),
            };
            let variable = table.variable(key).replace("__NAME__", "__AGENT__");
            let loaded = load(&around(&path, key), &[(variable.clone(), text)]);
            let values = shown(&loaded);
            let shown = &values[&place(&path).join(".")];
            assert_eq!(shown["origin"]["kind"], "env", "{variable}: {shown}");
            reached += 1;
        }
    }
    assert!(reached > 80, "{reached}");
}
