//! The time as Go prints it, which `last_reload_time` shows.

use jiff::Timestamp;

/// Now in UTC, such as `2026-11-21 08:08:46.007706378 +0000 UTC`; zeros at the end of the fraction
/// are left out.
pub fn now_in_go() -> String {
    in_go(Timestamp::now())
}

fn in_go(time: Timestamp) -> String {
    let text = time.strftime("%Y-%m-%d %H:%M:%S%.f").to_string();
    format!("{text} +0000 UTC")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fraction_has_no_zeros_at_its_end() {
        let at = |text: &str| in_go(text.parse().unwrap());
        assert_eq!(at("2026-01-02T03:04:05.120Z"), "2026-01-02 03:04:05.12 +0000 UTC");
        assert_eq!(at("2026-01-02T03:04:05Z"), "2026-01-02 03:04:05 +0000 UTC");
    }
}
