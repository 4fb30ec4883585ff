//! What becomes of a piece of a line: its level, the rules of its process, memory and sink.

use std::time::{Instant, SystemTime};

use super::lanes::{Course, Lanes};
use super::memory::{Memory, Place};
use super::queue::Waiting;
use super::{
    Form, Kind, Level, Limits, Line, Part, Piece, Record, Sink, Source, Tally, nginx, recognise,
};

/// Where lines are handed on.
pub(super) struct Desk {
    pub(super) sink: Box<dyn Sink>,
    pub(super) memory: Memory,
    pub(super) lanes: Lanes,
    /// From when on lanes count their time.
    pub(super) began: Instant,
    /// The sink writes on a thread of its own.
    pub(super) aside: bool,
    level: Level,
    form: Form,
    /// How many lines children wrote so far.
    lines: u64,
    /// How many of coproc's own were dropped so far.
    dropped: u64,
}

/// Where pieces come from.
pub(super) struct Origin<'a> {
    pub(super) now: SystemTime,
    pub(super) source: &'a mut Source,
    pub(super) place: Place,
    pub(super) level: &'a mut Level,
    pub(super) dropping: &'a mut bool,
}

impl Desk {
    pub(super) fn new(sink: Box<dyn Sink>, limits: &Limits) -> Self {
        Self {
            sink,
            memory: Memory::new(limits.history),
            lanes: Lanes::default(),
            began: Instant::now(),
            aside: false,
            level: limits.level,
            form: limits.form,
            lines: 0,
            dropped: 0,
        }
    }

    /// From now on lines below this level are not written, those of processes without a form of their
    /// own have this one, and with a sink all go there.
    pub(super) fn change(&mut self, level: Level, form: Form, sink: Option<Box<dyn Sink>>) {
        (self.level, self.form) = (level, form);
        if let Some(sink) = sink {
            self.sink.finish();
            self.sink = sink;
            self.aside = false;
        }
    }

    pub(super) fn piece(&mut self, from: &mut Origin<'_>, piece: Piece<'_>) {
        let Origin { now, source, place, level, dropping } = from;
        let mut text = piece.bytes;
        let form = self.lanes.form(place.at());
        let whole = form.unwrap_or(self.form).is_whole();
        if piece.first {
            self.lines += 1;
            if let Some(tap) = &mut source.tap {
                tap.line(text);
            }
            let head = match source.kind {
                Kind::Nginx => nginx::head(text),
                Kind::Plain | Kind::Aside => None,
            };
            **level = match (head, source.kind) {
                (Some(head), _) => {
                    if !whole {
                        text = head.message;
                    }
                    head.level
                }
                (None, Kind::Aside) => Level::Debug,
                (None, _) => recognise(text).unwrap_or(Level::Info),
            };
            **dropping = false;
        }
        let part = Part::new(piece.first, piece.last);
        // A blank line has nothing to say beside a time and a name.
        let blank = text.is_empty() && part == Part::Whole && !whole;
        if **level < self.level || blank {
            return;
        }
        let stream = Some(source.stream);
        let line =
            Line { time: *now, logger: &source.name, stream, level: **level, text, part, form };
        match self.lanes.course(place.at()) {
            Course::Plain => self.sink.line(&line),
            Course::Paced => {
                if piece.first {
                    self.lanes.charge(place.at(), self.began.elapsed());
                }
                self.sink.line(&line);
            }
            Course::Dropping => {
                // A line is dropped from one of its pieces on, and counted once.
                **dropping = **dropping || self.drops(place.at(), piece.first, text.len());
                if **dropping {
                    return;
                }
                self.sink.line_of(place.at(), &line);
            }
        }
        self.memory.line(Some(*place), &line);
    }

    /// Drops a piece of a line if it is too much.
    fn drops(&mut self, lane: usize, first: bool, bytes: usize) -> bool {
        let now = self.began.elapsed();
        let drops = first && !self.lanes.take(lane, now)
            || !self.lanes.fits(lane, self.sink.waiting(lane), bytes);
        if drops {
            self.lanes.dropped(lane, now);
        }
        drops
    }

    /// Says how many lines were dropped, if it is time to, or at the end.
    pub(super) fn say_dropped(&mut self, end: bool) {
        let Some(due) = self.lanes.due() else { return };
        let now = self.began.elapsed();
        if end || (now >= due && !self.sink.is_full()) {
            for message in self.lanes.say(now) {
                self.own(&Record::new(Level::Warn, "log", message));
            }
        }
    }

    /// coproc's own lines that waited, and how many could not.
    pub(super) fn waiting(&mut self, waiting: &Waiting) {
        for record in &waiting.records {
            self.own(record);
        }
        self.dropped += waiting.lost;
        if waiting.lost > 0 {
            let lines = if waiting.lost == 1 { "line" } else { "lines" };
            let message = format!("{} {lines} of coproc dropped: the log is slow", waiting.lost);
            self.own(&Record::new(Level::Warn, "log", message));
        }
    }

    pub(super) fn tally(&self) -> Tally {
        Tally { lines: self.lines, missed: self.memory.missed(), dropped: self.dropped }
    }

    pub(super) fn own(&mut self, record: &Record) {
        if record.level >= self.level {
            let line = record.line();
            self.memory.line(None, &line);
            self.sink.line(&line);
        }
    }
}
