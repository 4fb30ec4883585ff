//! The output thread with real pipes.

use std::fs;
use std::io::{self, PipeWriter, Write, pipe};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use coproc_core::output::{
    Form, Kind, Level, Limits, Line, LogLine, OnFull, Output, OutputThread, Rate, Record, Rules,
    Sink, Source, Stream, Tally, Tap,
};
use coproc_core::scalar::Scalar;

/// Long enough for any machine; no test waits so long when all is well.
const LONG: Duration = Duration::from_secs(20);

const LIMITS: Limits = Limits {
    level: Level::Info,
    form: Form::Text,
    max_line: 16 * 1024,
    history: 64 * 1024,
    queue: 8,
};

/// What the sink received, and a gate that holds it up.
#[derive(Clone, Default)]
struct Seen(Arc<(Mutex<State>, Condvar)>);

#[derive(Default)]
struct State {
    lines: Vec<LogLine>,
    flushed: usize,
    reopened: usize,
    shut: bool,
    thread: Option<PathBuf>,
}

impl Seen {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.0.lock().unwrap()
    }

    /// Waits for a fact.
    fn until(&self, what: &str, mut fact: impl FnMut(&State) -> bool) -> MutexGuard<'_, State> {
        let (state, timeout) =
            self.0.1.wait_timeout_while(self.lock(), LONG, |state| !fact(state)).unwrap();
        assert!(!timeout.timed_out(), "never: {what}");
        state
    }

    fn shut(&self, shut: bool) {
        self.lock().shut = shut;
        self.0.1.notify_all();
    }

    fn texts(&self) -> Vec<String> {
        self.lock().lines.iter().map(|l| String::from_utf8_lossy(&l.text).into_owned()).collect()
    }
}

impl Sink for Seen {
    fn line(&mut self, line: &Line<'_>) {
        let mut state = self.lock();
        state.thread.get_or_insert_with(|| fs::read_link("/proc/thread-self").unwrap());
        state.lines.push(line.kept(line.logger.into(), 0));
        self.0.1.notify_all();
    }

    fn flush(&mut self) {
        let mut state = self.0.1.wait_while(self.lock(), |state| state.shut).unwrap();
        state.flushed = state.lines.len();
        self.0.1.notify_all();
    }

    fn reopen(&mut self) {
        self.lock().reopened += 1;
        self.0.1.notify_all();
    }

    fn step_aside(&mut self, _: Box<dyn Fn() + Send>) -> io::Result<()> {
        Ok(())
    }
}

fn start(limits: Limits) -> (Output, OutputThread, Seen) {
    let seen = Seen::default();
    let (output, thread) = Output::start(Box::new(seen.clone()), limits).unwrap();
    (output, thread, seen)
}

fn source(name: &str, stream: Stream) -> Source {
    Source { name: name.into(), stream, kind: Kind::Plain, tap: None }
}

fn attach(output: &Output, name: &str, stream: Stream) -> PipeWriter {
    let (reader, writer) = pipe().unwrap();
    output.attach(reader.into(), source(name, stream));
    writer
}

fn finish(thread: OutputThread) {
    assert!(thread.finish(Instant::now() + LONG));
}

#[test]
fn two_streams_at_once() {
    let (output, thread, seen) = start(LIMITS);
    let mut out = attach(&output, "a", Stream::Stdout);
    let mut err = attach(&output, "a", Stream::Stderr);
    out.write_all(b"one\ntw").unwrap();
    drop(seen.until("one", |s| s.lines.len() == 1));
    err.write_all(b"oops\n").unwrap();
    drop(seen.until("oops", |s| s.lines.len() == 2));
    out.write_all(b"o\n\n").unwrap();
    drop((out, err));
    finish(thread);
    assert_eq!(seen.texts(), ["one", "oops", "two"]);
    let state = seen.lock();
    assert_eq!(state.lines[1].stream, Some(Stream::Stderr));
    assert_eq!(&*state.lines[1].logger, "a");
    assert_eq!(state.flushed, 3);
}

#[test]
fn a_line_of_one_mebibyte_and_what_follows() {
    let (output, thread, seen) = start(LIMITS);
    let mut out = attach(&output, "a", Stream::Stdout);
    out.write_all(&vec![b'x'; 1 << 20]).unwrap();
    out.write_all(b"\nafter\n").unwrap();
    let state = seen.until("after", |s| s.lines.last().is_some_and(|l| &*l.text == b"after"));
    let pieces = &state.lines[..state.lines.len() - 1];
    assert_eq!(pieces.iter().map(|l| l.text.len()).sum::<usize>(), 1 << 20);
    assert_eq!(pieces[0].part.mark(), Some("begin"));
    assert_eq!(pieces[1].part.mark(), Some("middle"));
    assert_eq!(pieces[pieces.len() - 1].part.mark(), Some("end"));
    drop((state, out));
    finish(thread);
}

#[test]
fn a_mebibyte_on_stderr_and_a_silent_stdout() {
    let (output, thread, seen) = start(LIMITS);
    let out = attach(&output, "a", Stream::Stdout);
    let mut err = attach(&output, "a", Stream::Stderr);
    let text: String = (0..40_000).map(|n| format!("line {n} of a noisy child\n")).collect();
    assert!(text.len() > 1 << 20);
    err.write_all(text.as_bytes()).unwrap();
    drop(seen.until("all", |s| s.lines.len() == 40_000));
    assert_eq!(seen.texts().join("\n") + "\n", text);
    drop((out, err));
    finish(thread);
}

#[test]
fn bytes_that_are_no_text_pass() {
    let (output, thread, seen) = start(LIMITS);
    let mut out = attach(&output, "a", Stream::Stdout);
    out.write_all(b"\xFF\x00\xFE\n").unwrap();
    drop(out);
    finish(thread);
    assert_eq!(&*seen.lock().lines[0].text, b"\xFF\x00\xFE");
}

#[test]
fn a_slow_destination_holds_the_children_back_and_loses_nothing() {
    const LINES: usize = 50_000;
    let (output, thread, seen) = start(LIMITS);
    let mut out = attach(&output, "a", Stream::Stdout);
    seen.shut(true);
    let written = Arc::new(AtomicUsize::new(0));
    let child = thread::spawn({
        let written = written.clone();
        move || {
            for n in 0..LINES {
                out.write_all(format!("{n:0100}\n").as_bytes()).unwrap();
                written.fetch_add(1, Ordering::SeqCst);
            }
        }
    });
    // The child stands still once the pipe and one buffer are full, long before its end.
    let stuck = || {
        let before = written.load(Ordering::SeqCst);
        thread::sleep(Duration::from_millis(50));
        before > 0 && before == written.load(Ordering::SeqCst)
    };
    let deadline = Instant::now() + LONG;
    while !stuck() {
        assert!(Instant::now() < deadline, "the child was never held back");
    }
    assert!(written.load(Ordering::SeqCst) * 101 < 512 * 1024);
    assert!(seen.lock().lines.len() * 101 <= 2 * 64 * 1024);
    // coproc's own lines neither wait nor grow without bound.
    for n in 0..1000 {
        output.own(Record::new(Level::Info, "test", format!("own {n}")));
    }
    seen.shut(false);
    child.join().unwrap();
    finish(thread);
    let state = seen.lock();
    let own: Vec<_> = state.lines.iter().filter(|l| l.stream.is_none()).collect();
    assert_eq!(own.len(), LIMITS.queue + 1);
    let last = String::from_utf8_lossy(&own[own.len() - 1].text);
    assert_eq!(last, format!("{} lines of coproc dropped: the log is slow", 1000 - LIMITS.queue));
    let child: Vec<_> = state.lines.iter().filter(|l| l.stream.is_some()).collect();
    assert_eq!(child.len(), LINES);
    assert!((0..LINES).all(|n| *child[n].text == *format!("{n:0100}").as_bytes()));
}

#[test]
fn a_flood_does_not_starve_the_quiet() {
    let (output, thread, seen) = start(LIMITS);
    let mut flood = attach(&output, "flood", Stream::Stdout);
    let mut quiet = attach(&output, "quiet", Stream::Stdout);
    let flooder = thread::spawn(move || {
        let block = b"0123456789012345678901234567890\n".repeat(2048);
        // Ends when the reading end is closed.
        while flood.write_all(&block).is_ok() {}
    });
    drop(seen.until("the flood runs", |s| s.lines.len() > 10_000));
    for n in 0..20 {
        // Looks only at what is new: the flood is long.
        let mut from = seen.lock().lines.len();
        let text = format!("quiet {n}\n");
        quiet.write_all(text.as_bytes()).unwrap();
        drop(seen.until("the quiet one is heard", |s| {
            let found = s.lines[from..].iter().any(|l| *l.text == *text.trim_end().as_bytes());
            from = s.lines.len();
            found
        }));
    }
    let ended = thread.finish(Instant::now() + Duration::from_millis(50));
    assert!(ended, "a flood does not hold up the end");
    flooder.join().unwrap();
}

fn rules(rate: &str, burst: u32, on_full: OnFull) -> Rules {
    Rules { rate: Rate::read(rate), burst, on_full, ..Rules::default() }
}

#[test]
fn a_rate_drops_the_lines_of_one_and_all_others_come_in_order() {
    const LINES: usize = 20_000;
    let (output, thread, seen) = start(LIMITS);
    output.rules([("noisy".into(), rules("1/h", 5, OnFull::Drop))]);
    let mut noisy = attach(&output, "noisy", Stream::Stdout);
    let mut errors = attach(&output, "noisy", Stream::Stderr);
    let mut steady = attach(&output, "steady", Stream::Stdout);
    let writer = |pipe: &mut PipeWriter| {
        for n in 0..LINES {
            writeln!(pipe, "{n}").unwrap();
        }
    };
    thread::scope(|scope| {
        scope.spawn(|| writer(&mut noisy));
        scope.spawn(|| writer(&mut errors));
        scope.spawn(|| writer(&mut steady));
    });
    // A line that is too long is dropped and counted as one.
    noisy.write_all(&vec![b'x'; 3 * LIMITS.max_line]).unwrap();
    drop((noisy, errors, steady));
    finish(thread);
    let state = seen.lock();
    let of = |name: &str| -> Vec<_> {
        let lines = state.lines.iter().filter(|line| &*line.logger == name);
        lines.map(|line| String::from_utf8_lossy(&line.text).into_owned()).collect()
    };
    assert_eq!(of("noisy").len(), 5);
    assert_eq!(of("steady"), (0..LINES).map(|n| n.to_string()).collect::<Vec<_>>());
    let said = of("log");
    assert!(said.iter().all(|line| line.starts_with("dropped ") && line.contains(" of noisy in ")));
    let said: u64 = said
        .iter()
        .filter_map(|line| line.split(' ').nth(1)?.replace(',', "").parse::<u64>().ok())
        .sum();
    assert_eq!(said, 2 * LINES as u64 + 1 - 5);
    assert_eq!(*output.dropped(), [("noisy".into(), said)]);
}

#[test]
fn a_rate_holds_back_and_loses_nothing() {
    let (output, thread, seen) = start(LIMITS);
    output.rules([("a".into(), rules("10/s", 1, OnFull::Block))]);
    let mut out = attach(&output, "a", Stream::Stdout);
    let began = Instant::now();
    out.write_all(b"one\ntwo\nthree\n").unwrap();
    drop(seen.until("three", |s| s.lines.len() == 3));
    out.write_all(b"four\n").unwrap();
    drop(seen.until("four", |s| s.lines.len() == 4));
    assert!(began.elapsed() >= Duration::from_millis(300), "three lines are 300 ms ahead");
    // The end does not wait for a pace, and new rules count at once.
    out.write_all("more\n".repeat(1000).as_bytes()).unwrap();
    output.rules([]);
    out.write_all(b"last\n").unwrap();
    drop(out);
    finish(thread);
    assert_eq!(seen.texts().len(), 1005);
    assert_eq!(output.dropped().len(), 0);
}

#[test]
fn the_end_takes_all_that_was_written_and_waits_for_no_stream_to_end() {
    let (output, thread, seen) = start(LIMITS);
    let mut left_behind = attach(&output, "a", Stream::Stdout);
    left_behind.write_all(b"first\nlast without newline").unwrap();
    let finished = Instant::now() + Duration::from_secs(3600);
    assert!(thread.finish(finished), "it would take an hour otherwise");
    drop(left_behind);
    assert_eq!(seen.texts(), ["first", "last without newline"]);
    assert_eq!(seen.lock().flushed, 2);
}

#[test]
fn the_end_does_not_wait_beyond_its_deadline() {
    let (output, thread, seen) = start(LIMITS);
    let mut held_open = attach(&output, "a", Stream::Stdout);
    held_open.write_all(b"said\nhalf").unwrap();
    assert!(thread.finish(Instant::now()));
    assert_eq!(seen.texts(), ["said", "half"]);

    let (output, thread, seen) = start(LIMITS);
    seen.shut(true);
    output.own(Record::new(Level::Info, "test", "x"));
    assert!(!thread.finish(Instant::now()), "a blocked destination is left behind");
    seen.shut(false);
}

/// Notes the lines, and counts the ends.
struct Notes(Arc<Mutex<(Vec<String>, usize)>>);

impl Tap for Notes {
    fn line(&mut self, line: &[u8]) {
        self.0.lock().unwrap().0.push(String::from_utf8_lossy(line).into_owned());
    }

    fn closed(&mut self) {
        self.0.lock().unwrap().1 += 1;
    }
}

#[test]
fn a_tap_sees_lines_as_written_and_the_end_once() {
    let (output, thread, seen) = start(Limits { max_line: 60, ..LIMITS });
    let (reader, mut writer) = pipe().unwrap();
    let told = Arc::default();
    let tap = Some(Box::new(Notes(Arc::clone(&told))) as Box<dyn Tap>);
    let main = Source { name: "nginx".into(), stream: Stream::Stdout, kind: Kind::Nginx, tap };
    output.attach(reader.into(), main);
    let warn = "2026/11/21 08:28:12 [warn] 7#7: x";
    let debug = "2026/11/21 08:28:12 [debug] 7#7: y";
    let forged = format!("{}{warn}", "-".repeat(60));
    writeln!(writer, "{warn}\n{debug}\n{forged}\np]q[r").unwrap();
    drop(writer);
    finish(thread);
    assert_eq!(told.lock().unwrap().0, [warn, debug, &forged[..60], "p]q[r"]);
    assert_eq!(told.lock().unwrap().1, 1);
    assert_eq!(seen.texts(), ["7#7: x", &forged[..60], warn, "p]q[r"]);
    let levels: Vec<_> = seen.lock().lines.iter().map(|l| l.level).collect();
    assert_eq!(levels, [Level::Warn, Level::Info, Level::Info, Level::Info]);

    // After the end a stream is closed at once.
    let (reader, _writer) = pipe().unwrap();
    let tap = Some(Box::new(Notes(Arc::clone(&told))) as Box<dyn Tap>);
    output.attach(reader.into(), Source { tap, ..source("late", Stream::Stdout) });
    assert_eq!(told.lock().unwrap().1, 2);
}

#[test]
fn history_and_followers() {
    let (output, thread, seen) = start(LIMITS);
    let mut follower = output.follow(&["a".into()]);
    let mut all = output.follow(&[]);
    let mut out = attach(&output, "a", Stream::Stdout);
    out.write_all(b"one\ntwo\n").unwrap();
    drop(seen.until("two", |s| s.flushed == 2));
    output.own(Record::new(Level::Info, "test", "three"));
    output.own(Record::new(Level::Debug, "test", "not written"));
    drop(seen.until("three", |s| s.flushed == 3));
    let texts = |lines: Vec<LogLine>| -> Vec<String> {
        lines.into_iter().map(|l| String::from_utf8(l.text.into()).unwrap()).collect()
    };
    assert_eq!(texts(output.history(&["a".into()], 9).blocking_recv().unwrap()), ["one", "two"]);
    assert_eq!(texts(output.history(&[], 2).blocking_recv().unwrap()), ["two", "three"]);
    assert_eq!(texts(output.history(&["b".into()], 9).blocking_recv().unwrap()), [""; 0]);
    for expected in ["one", "two"] {
        assert_eq!(&*follower.blocking_recv().unwrap().text, expected.as_bytes());
        assert_eq!(&*all.blocking_recv().unwrap().text, expected.as_bytes());
    }
    assert_eq!(&*all.blocking_recv().unwrap().text, b"three");
    output.reopen();
    drop(seen.until("reopened", |s| s.reopened == 1));
    drop(out);
    finish(thread);
    assert!(follower.blocking_recv().is_none());
    assert!(output.history(&[], 1).blocking_recv().is_err());
}

#[test]
fn what_goes_through_is_counted() {
    let (output, thread, _) = start(LIMITS);
    let mut out = attach(&output, "a", Stream::Stdout);
    // Neither its level nor its length makes a difference.
    out.write_all(b"[DEBUG] one\ntwo\n\n").unwrap();
    out.write_all(&[b'x'; 40 * 1024]).unwrap();
    out.write_all(b"\n").unwrap();
    let deadline = Instant::now() + LONG;
    while output.tally().lines < 4 {
        assert!(Instant::now() < deadline, "{:?}", output.tally());
        thread::yield_now();
    }
    drop(out);
    finish(thread);
    assert_eq!(output.tally(), Tally { lines: 4, missed: 0, dropped: 0 });
}

#[test]
fn idle_children_cost_no_wake_ups() {
    let (output, thread, seen) = start(LIMITS);
    let mut writers: Vec<_> =
        (0..50).map(|n| attach(&output, &format!("c{n}"), Stream::Stdout)).collect();
    writers[49].write_all(b"here\n").unwrap();
    let state = seen.until("here", |s| s.flushed == 1);
    let status = PathBuf::from("/proc").join(state.thread.as_ref().unwrap()).join("status");
    drop(state);
    assert!(fs::read_to_string(&status).unwrap().contains("coproc-output"));
    let look = || {
        let text = fs::read_to_string(&status).unwrap();
        let switches = text.lines().find(|line| line.starts_with("voluntary_ctxt_switches"));
        (switches.unwrap().to_owned(), text.contains("State:\tS"))
    };
    let deadline = Instant::now() + LONG;
    while !look().1 {
        assert!(Instant::now() < deadline, "the thread never came to rest");
        thread::yield_now();
    }
    let before = look();
    // The measure itself: a span in which nothing may happen.
    thread::sleep(Duration::from_millis(300));
    assert_eq!(look(), before);
    drop(writers);
    finish(thread);
}
