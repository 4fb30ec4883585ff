//! The time in a line, printed anew only when it has changed.

use std::time::{SystemTime, UNIX_EPOCH};

use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

use crate::log::go_time::Layout;

/// The text of a time, kept for as long as it stays the same: for a second, as a rule.
#[derive(Debug)]
pub(super) struct Stamp {
    layout: Layout,
    zone: TimeZone,
    /// Turns the printed time into what stands in the line.
    encode: fn(&[u8], &mut Vec<u8>),
    /// What `text` was printed for.
    printed: Option<(i64, i32)>,
    text: Vec<u8>,
}

impl Stamp {
    pub(super) fn new(
        layout: Option<&str>,
        zone: TimeZone,
        encode: fn(&[u8], &mut Vec<u8>),
    ) -> Self {
        let layout = Layout::new(layout.unwrap_or(Layout::RFC3339));
        Self { layout, zone, encode, printed: None, text: Vec::new() }
    }

    /// The text of `time`.
    pub(super) fn at(&mut self, time: SystemTime) -> &[u8] {
        let second = match time.duration_since(UNIX_EPOCH) {
            Ok(since) => (since.as_secs() as i64, since.subsec_nanos() as i32),
            // Where the clock has not been set yet, the start of its count will do.
            Err(_) => (0, 0),
        };
        let key = if self.layout.has_fraction() { second } else { (second.0, 0) };
        if self.printed != Some(key) {
            let timestamp = Timestamp::new(key.0, key.1).unwrap_or(Timestamp::MAX);
            let mut plain = Vec::with_capacity(40);
            self.layout.write(&Zoned::new(timestamp, self.zone.clone()), &mut plain);
            self.text.clear();
            (self.encode)(&plain, &mut self.text);
            self.printed = Some(key);
        }
        &self.text
    }
}
