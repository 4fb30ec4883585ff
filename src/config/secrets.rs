//! Which values nobody is to see.

/// What stands in the place of a secret.
pub(super) const MASK: &str = "********";

/// Keys whose names only sound as if they were secrets.
const NO_SECRETS: [&str; 8] = [
    "authtoken",
    "hash_key_function",
    "hash_keys",
    "ignore_canonical_mime_header_key",
    "min_token_length",
    "post_key_auth",
    "session_lifetime_respects_key_expiration",
    "use_keyless",
];

/// Whether the value of a key or variable of this name is not to be shown.
pub fn secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    if NO_SECRETS.iter().any(|other| name.ends_with(other)) {
        return false;
    }
    ["token", "secret", "password", "key"].iter().any(|word| name.contains(word))
}

/// Whether the value at a path is not to be shown.
pub(super) fn secret_path(path: &[String]) -> bool {
    // What a collector asks for may be a password under any name.
    if matches!(path, [log, forward, _, headers, _] if [log, forward, headers] == ["log", "forward", "headers"])
    {
        return true;
    }
    // An element of a list is as secret as the list; a coprocess may have any name.
    let named = path.iter().rev().find(|key| !key.bytes().all(|b| b.is_ascii_digit()));
    named.is_some_and(|key| secret(key))
}
