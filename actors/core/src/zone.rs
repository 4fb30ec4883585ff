//! The local time zone, found the way libc finds it.
//!
//! jiff can do this itself, but it reads the whole database of zones first, which would be a third
//! of the wrapper's start.

use std::fs;
use std::path::Path;

use jiff::tz::TimeZone;

const DATABASE: &str = "/usr/share/zoneinfo";
const LOCAL: &str = "/etc/localtime";

/// The zone that `TZ` names, else the machine's, else UTC.
pub fn local(tz: Option<&str>) -> TimeZone {
    let found = match tz.map(|tz| tz.strip_prefix(':').unwrap_or(tz)) {
        None => read("local", Path::new(LOCAL)),
        Some("") => None,
        Some(path) if path.starts_with('/') => read(path, Path::new(path)),
        Some(name) => {
            let inside = !name.split('/').any(|part| part == "..");
            let file = inside.then(|| Path::new(DATABASE).join(name));
            file.and_then(|file| read(name, &file)).or_else(|| TimeZone::posix(name).ok())
        }
    };
    found.unwrap_or(TimeZone::UTC)
}

fn read(name: &str, file: &Path) -> Option<TimeZone> {
    TimeZone::tzif(name, &fs::read(file).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    fn offset(tz: Option<&str>) -> i32 {
        local(tz).to_offset(Timestamp::UNIX_EPOCH).seconds()
    }

    #[test]
    fn names_paths_and_rules() {
        assert_eq!(offset(Some("")), 0);
        assert_eq!(offset(Some("UTC")), 0);
        assert_eq!(offset(Some("XYZ-3")), 3 * 3600);
        assert_eq!(offset(Some(":XYZ-3")), 3 * 3600);
        assert_eq!(offset(Some("no such zone")), 0);
        assert_eq!(offset(Some("../../../etc/passwd")), 0);
        assert_eq!(offset(Some("/etc/passwd")), 0);
    }
}
