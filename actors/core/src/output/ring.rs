//! The last lines of one child, bounded in bytes; an idle child's ring costs nothing.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::{Level, Line, LogLine, Part, Stream};

/// Bytes before each entry: number, time, lengths of logger and text, marks.
const HEADER: usize = 8 + 8 + 2 + 4 + 3;

/// Entries one after another in one buffer, so that keeping a line is a copy and no allocation.
#[derive(Debug)]
pub(super) struct Ring {
    bytes: VecDeque<u8>,
    max: usize,
}

impl Ring {
    pub(super) fn new(max: usize) -> Self {
        Self { bytes: VecDeque::new(), max }
    }

    /// Keeps a line under its number, and with its logger if `named`; the oldest make room for it.
    pub(super) fn push(&mut self, number: u64, line: &Line<'_>, named: bool) {
        let logger = if named { line.logger.as_bytes() } else { b"" };
        let logger = &logger[..logger.len().min(usize::from(u16::MAX))];
        let needed = HEADER + logger.len() + line.text.len();
        if needed > self.max || u32::try_from(line.text.len()).is_err() {
            return;
        }
        while self.bytes.len() + needed > self.max {
            self.drop_oldest();
        }
        let mut header = [0; HEADER];
        header[..8].copy_from_slice(&number.to_le_bytes());
        header[8..16].copy_from_slice(&micros(line.time).to_le_bytes());
        header[16..18].copy_from_slice(&(logger.len() as u16).to_le_bytes());
        header[18..22].copy_from_slice(&(line.text.len() as u32).to_le_bytes());
        header[22] = line.level as u8;
        header[23] = line.stream.map_or(0, |stream| 1 + stream as u8);
        header[24] = line.part as u8;
        self.bytes.extend(&header);
        self.bytes.extend(logger);
        self.bytes.extend(line.text);
    }

    /// The last `count` lines with their numbers, oldest first; `name` stands for a logger that
    /// was not kept.
    pub(super) fn last(&mut self, count: usize, name: &Arc<str>) -> Vec<(u64, LogLine)> {
        let mut lines = VecDeque::new();
        let mut rest: &[u8] = self.bytes.make_contiguous();
        while let Some((entry, after)) = decode(rest, name) {
            if lines.len() == count {
                lines.pop_front();
            }
            if count > 0 {
                lines.push_back(entry);
            }
            rest = after;
        }
        lines.into()
    }

    fn drop_oldest(&mut self) {
        let byte = |at: usize| self.bytes.get(at).copied().unwrap_or(0);
        let logger = usize::from(u16::from_le_bytes([byte(16), byte(17)]));
        let text = u32::from_le_bytes([byte(18), byte(19), byte(20), byte(21)]) as usize;
        let end = (HEADER + logger + text).min(self.bytes.len());
        self.bytes.drain(..end);
    }
}

fn decode<'a>(bytes: &'a [u8], name: &Arc<str>) -> Option<((u64, LogLine), &'a [u8])> {
    let (header, rest) = bytes.split_first_chunk::<HEADER>()?;
    let number = u64::from_le_bytes(*header.first_chunk()?);
    let micros = i64::from_le_bytes(*header[8..].first_chunk()?);
    let logger = usize::from(u16::from_le_bytes(*header[16..].first_chunk()?));
    let text = u32::from_le_bytes(*header[18..].first_chunk()?) as usize;
    let (logger, rest) = rest.split_at_checked(logger)?;
    let (text, rest) = rest.split_at_checked(text)?;
    let logger = match logger {
        [] => name.clone(),
        bytes => String::from_utf8_lossy(bytes).into(),
    };
    let line = LogLine {
        time: time(micros),
        logger,
        stream: match header[23] {
            1 => Some(Stream::Stdout),
            2 => Some(Stream::Stderr),
            _ => None,
        },
        level: Level::ALL.get(usize::from(header[22])).copied().unwrap_or(Level::Info),
        text: text.into(),
        part: match header[24] {
            1 => Part::Begin,
            2 => Part::Middle,
            3 => Part::End,
            _ => Part::Whole,
        },
        missed: 0,
    };
    Some(((number, line), rest))
}

fn micros(time: SystemTime) -> i64 {
    let micros = |d: Duration| i64::try_from(d.as_micros()).unwrap_or(i64::MAX);
    match time.duration_since(UNIX_EPOCH) {
        Ok(since) => micros(since),
        Err(before) => -micros(before.duration()),
    }
}

fn time(micros: i64) -> SystemTime {
    let distance = Duration::from_micros(micros.unsigned_abs());
    let time = if micros < 0 {
        UNIX_EPOCH.checked_sub(distance)
    } else {
        UNIX_EPOCH.checked_add(distance)
    };
    time.unwrap_or(UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &[u8]) -> Line<'_> {
        Line {
            time: UNIX_EPOCH + Duration::from_micros(1_700_000_000_123_456),
            logger: "consul",
            stream: Some(Stream::Stderr),
            level: Level::Panic,
            text,
            part: Part::End,
            form: None,
        }
    }

    #[test]
    fn keeps_what_a_line_is() {
        let mut ring = Ring::new(1000);
        let name: Arc<str> = "child".into();
        ring.push(7, &line(b"a\xFF"), true);
        ring.push(8, &line(b""), false);
        let kept = ring.last(9, &name);
        assert_eq!(kept[0].0, 7);
        assert_eq!(kept[0].1.line(), line(b"a\xFF"));
        assert_eq!(kept[1].1.line(), Line { logger: "child", ..line(b"") });
        assert_eq!(ring.last(1, &name), kept[1..]);
        assert_eq!(ring.last(0, &name), []);
    }

    #[test]
    fn the_oldest_go_and_the_bound_holds() {
        let mut ring = Ring::new(300);
        for number in 0..1000 {
            ring.push(number, &line(format!("line {number}").as_bytes()), false);
            assert!(ring.bytes.len() <= 300);
        }
        let kept = ring.last(100, &"c".into());
        assert_eq!(kept.last().map(|(number, _)| *number), Some(999));
        assert!(kept.windows(2).all(|pair| pair[0].0 + 1 == pair[1].0));
        ring.push(1000, &line(&[b'x'; 400]), false);
        assert_eq!(
            ring.last(1, &"c".into())[0].0,
            999,
            "a line that cannot be kept drives none out"
        );
    }

    #[test]
    fn nothing_is_kept_where_nothing_may_be() {
        let mut ring = Ring::new(0);
        ring.push(1, &line(b"x"), true);
        assert_eq!(ring.last(9, &"c".into()), []);
        assert_eq!(ring.bytes.capacity(), 0);
    }

    #[test]
    fn times_before_the_epoch() {
        let early = UNIX_EPOCH - Duration::from_micros(5);
        assert_eq!(time(micros(early)), early);
    }
}
