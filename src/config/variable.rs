//! The names of coproc's own variables.

/// How the names of coproc's own variables begin.
pub(super) const PREFIX: &str = "COPROC_";

/// How a variable ends whose value is the path of a file with the key's value in it.
pub(super) const OF_FILE: &str = "_FILE";

/// The keys that end so themselves.
pub(super) const OWN_FILES: [&str; 1] = ["env_file"];

/// Whether a variable names a file whose content nobody is to see.
pub(super) fn is_of_file(variable: &str) -> bool {
    let own = |key: &str| variable.to_ascii_lowercase().ends_with(key);
    variable.starts_with(PREFIX) && variable.ends_with(OF_FILE) && !OWN_FILES.into_iter().any(own)
}
