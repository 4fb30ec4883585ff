//! Which keys are flags and which are numbers: what a variable says of them is a text, and is shown and given
//! to templates as what it means.

use coproc_core::count::Count;
use coproc_core::flag::Flag;
use coproc_core::scalar::Scalar;
use serde_json::Value as Json;

/// Keys whose values are flags, in whatever table they stand.
const FLAGS: [&str; 29] = [
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

/// Keys whose values are whole numbers.
const COUNTS: [&str; 32] = [
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

/// What a text means as the value of a key; `None` where it stands for itself.
pub(super) fn typed(key: &str, text: &str) -> Option<Json> {
    if FLAGS.contains(&key) {
        Flag::read(text).map(|flag| flag.0.into())
    } else if COUNTS.contains(&key) {
        Count::read(text).map(|count| count.0.into())
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::config::schema::schema;

    /// The keys that the schema calls by one of these nouns.
    fn called(nouns: &[&str]) -> BTreeSet<String> {
        fn search(schema: &Json, nouns: &[&str], found: &mut BTreeSet<String>) {
            let is_one = |one: &Json| one["x-noun"].as_str().is_some_and(|n| nouns.contains(&n));
            for (key, one) in schema["properties"].as_object().into_iter().flatten() {
                let kinds = one["anyOf"].as_array().into_iter().flatten().chain([one]);
                if kinds.into_iter().any(is_one) {
                    found.insert(key.clone());
                }
            }
            match schema {
                Json::Array(all) => all.iter().for_each(|one| search(one, nouns, found)),
                // What stands in the options of a form is a text.
                Json::Object(map) => map
                    .iter()
                    .filter(|(key, _)| *key != "formatter_options")
                    .for_each(|(_, one)| search(one, nouns, found)),
                _ => {}
            }
        }
        let mut found = BTreeSet::new();
        search(&schema(), nouns, &mut found);
        found
    }

    #[test]
    fn they_are_those_of_the_schema() {
        let listed = |keys: &[&str]| keys.iter().map(|key| (*key).to_owned()).collect();
        assert_eq!(called(&["a boolean"]), listed(&FLAGS));
        let numbers = [
            "a whole number",
            "a whole number above 0",
            "a port",
            "the number of a descriptor",
            "a number of processors",
            "a number of replicas",
        ];
        assert_eq!(called(&numbers), listed(&COUNTS));
    }

    #[test]
    fn texts_are_what_they_mean() {
        assert_eq!(typed("no_new_privs", "F"), Some(false.into()));
        assert_eq!(typed("replicas", "3"), Some(3.into()));
        assert_eq!(typed("replicas", "three"), None);
        assert_eq!(typed("word", "true"), None);
    }
}
