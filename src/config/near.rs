//! The key that was probably meant.

/// The candidate that differs from the text in the fewest letters, if these are few enough.
pub(crate) fn nearest<'a>(
    text: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    candidates
        .into_iter()
        .map(|candidate| (strsim::osa_distance(text, candidate), candidate))
        .filter(|(distance, candidate)| {
            *distance <= (text.chars().count().max(candidate.chars().count()) / 3).max(1)
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn misspelt_keys() {
        let keys = ["exec", "stop_exec", "background", "restarts", "user"];
        assert_eq!(nearest("bakground", keys), Some("background"));
        assert_eq!(nearest("restart", keys), Some("restarts"));
        assert_eq!(nearest("stopexec", keys), Some("stop_exec"));
        assert_eq!(nearest("colour", keys), None);
    }
}
