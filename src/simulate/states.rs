//! What each is doing, as a status tells it.

use serde_json::Value;

/// The states in a status, `main` first.
pub(super) fn states(status: Option<&Value>) -> Vec<(String, String)> {
    let Some(status) = status else { return Vec::new() };
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let main = status["main"]["state"].as_str();
    let main = main.map(|state| ("main".to_owned(), state.to_owned()));
    let all = status["coprocesses"].as_array().into_iter().flatten();
    let all = all.map(|one| (text(&one["name"]), text(&one["state"])));
    main.into_iter().chain(all).collect()
}
