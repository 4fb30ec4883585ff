//! The types of keys whose values variables and flags say as texts: booleans and whole numbers are shown,
//! and handed to templates, as what they are.

use coproc_core::count::Count;
use coproc_core::flag::Flag;
use coproc_core::scalar::Scalar;
use serde_json::Value as Json;

/// Keys of booleans.
const FLAGS: &[&str] = &[
    "access_log",
    "allow_unix_hooks_from_http",
    "background",
    "bundle_insecure_skip_verify",
    "bundle_refresh",
    "bundle_remove_unused",
    "cgroup",
    "close_connections",
    "coprocess",
    "delete_run_path_on_exit",
    "delete_templated_conf_on_exit",
    "enable_bundle_downloader",
    "enable_coprocess",
    "fresh_state",
    "grpc_health_check",
    "hash_keys",
    "hide_generator_header",
    "ignore_canonical_mime_header_key",
    "install_requirements",
    "keep_ids",
    "log_arguments",
    "nginx_is_plus",
    "no_new_privs",
    "notify",
    "rotate",
    "server_timing",
    "skip_verify_existing_plugin_bundle",
    "strict_http",
    "subreaper",
];

/// Keys of whole numbers.
const COUNTS: &[&str] = &[
    "bundle_max_files",
    "burst",
    "count",
    "external_port",
    "failures",
    "fd",
    "grpc_breaker_failures",
    "grpc_channels",
    "grpc_max_in_flight",
    "grpc_queue",
    "instructions",
    "keep",
    "max_cached_sessions",
    "max_clients",
    "max_connections",
    "max_connections_per_user",
    "max_headers",
    "max_in_flight",
    "max_inflight",
    "max_queue",
    "max_requests",
    "max_running",
    "max_streams",
    "min_token_length",
    "queue",
    "replicas",
    "successes",
    "threads",
    "upstream_idle",
    "vcpu_count",
    "worker_threads",
    "workers",
];

/// What a text means as a value of this key; `None` where it is the text itself.
pub(super) fn typed(key: &str, text: &str) -> Option<Json> {
    if FLAGS.contains(&key) {
        return Flag::read(text).map(|flag| flag.0.into());
    }
    if COUNTS.contains(&key) {
        return Count::read(text).map(|count| count.0.into());
    }
    None
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Adds all keys of a schema whose values are such.
    fn keys(schema: &Json, is: &impl Fn(&str) -> bool, found: &mut BTreeSet<String>) {
        let noun = |one: &Json| one["x-noun"].as_str().is_some_and(is);
        for (key, value) in schema["properties"].as_object().into_iter().flatten() {
            if noun(value) || value["anyOf"].as_array().into_iter().flatten().any(noun) {
                found.insert(key.clone());
            }
        }
        match schema {
            Json::Object(map) => map.values().for_each(|value| keys(value, is, found)),
            Json::Array(all) => all.iter().for_each(|value| keys(value, is, found)),
            _ => {}
        }
    }

    #[test]
    fn all_keys_of_the_schema_that_are_no_texts_are_here() {
        let mut flags = BTreeSet::new();
        keys(&crate::config::schema(), &|noun| noun == "a boolean", &mut flags);
        assert_eq!(flags.iter().map(String::as_str).collect::<Vec<_>>(), FLAGS);
        let mut counts = BTreeSet::new();
        let numbers = ["a whole number", "a number of ", "a port", "the number of a descriptor"];
        let is_count = |noun: &str| {
            numbers.iter().any(|number| noun.starts_with(number)) && !noun.contains(" time")
        };
        keys(&crate::config::schema(), &is_count, &mut counts);
        // It may be a duration as well.
        counts.remove("request_timeout");
        assert_eq!(counts.iter().map(String::as_str).collect::<Vec<_>>(), COUNTS);
    }
}
