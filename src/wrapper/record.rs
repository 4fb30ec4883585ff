//! The record at the end of a run: what made the wrapper leave, whose doing it was, and the last it
//! said. For people on standard error and in Kubernetes' termination log, for programs in a file.

use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::{self, Seek, Write as _};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use coproc_coprocess::lifecycle::RunEnd;
use coproc_coprocess::why::{end_json, seconds};
use coproc_core::exit::ExitStatus;
use coproc_core::output::LogLine;
use coproc_core::signal::Signal;
use serde_json::{Value, json};

use super::cause::Cause;
use super::oom;
use super::stop::Stop;
use crate::console::complain;

/// How many lines of the culprit are kept.
pub(super) const LINES: usize = 20;
/// How much of each line, in bytes.
const LINE: usize = 1024;
/// Where Kubernetes looks for a container's last words; there only if it wants them.
const TERMINATION_LOG: &str = "/dev/termination-log";
/// How much it reads of them, in bytes.
const TERMINATION: usize = 4096;

/// The record.
#[derive(Clone, Debug)]
pub(super) struct Record {
    pub(super) time: SystemTime,
    /// What made the wrapper leave.
    pub(super) cause: Option<Cause>,
    /// The status it leaves with.
    pub(super) status: u8,
    /// How the culprit's last run ended.
    pub(super) end: Option<RunEnd>,
    /// How the main process ended.
    pub(super) main: Option<ExitStatus>,
    /// Whether the culprit ended for want of memory; none where that cannot be known.
    pub(super) out_of_memory: Option<bool>,
    /// The culprit's last lines, oldest first.
    pub(super) lines: Vec<String>,
    /// How the stop went.
    pub(super) stop: Option<Stop>,
}

impl Record {
    /// Of a run that came to nothing.
    pub(super) fn unstarted(status: u8, why: &str) -> Self {
        Self {
            time: SystemTime::now(),
            cause: Some(Cause::NotStarted(why.to_owned())),
            status,
            end: None,
            main: None,
            out_of_memory: Some(false),
            lines: Vec::new(),
            stop: None,
        }
    }

    /// Of a run whose runtime did not live to tell of it. `kills` is how often the kernel had killed
    /// for want of memory before.
    pub(super) fn of_runtime(status: u8, signal: Signal, kills: Option<u64>) -> Self {
        let end = ExitStatus::Signal(signal);
        Self {
            cause: Some(Cause::Runtime(signal)),
            end: Some(RunEnd::Exited(end)),
            out_of_memory: oom::is_one(end, kills, oom::kills()),
            ..Self::unstarted(status, "")
        }
    }

    /// For programs.
    pub(super) fn to_json(&self) -> Value {
        let end = |end: Option<RunEnd>| end.map_or(Value::Null, end_json);
        let cause = self.cause.as_ref();
        json!({
            "time": humantime::format_rfc3339_millis(self.time).to_string(),
            "status": self.status,
            "cause": cause.map(Cause::as_str),
            "who": cause.and_then(Cause::who),
            "sentence": cause.map(ToString::to_string),
            "end": end(self.end),
            "main": end(self.main.map(RunEnd::Exited)),
            "out_of_memory": self.out_of_memory,
            "lines": self.lines,
            "stop": self.stop.as_ref().map(|stop| json!({
                "took_s": seconds(stop.took),
                "limit_s": seconds(stop.limit),
                "killed": stop.killed,
                "slowest": stop.slowest.as_ref().map(|(name, took)| json!({
                    "name": name, "took_s": seconds(*took),
                })),
            })),
        })
    }

    /// Whether it belongs on standard error: where the end was nobody's wish and nothing there has
    /// told of it yet.
    pub(super) fn is_news(&self) -> bool {
        let told = match &self.cause {
            Some(Cause::Signal(_)) | None => true,
            Some(Cause::Boot(..) | Cause::MainNotStarted(_) | Cause::MainLeft) => true,
            Some(Cause::MainEnded(_) | Cause::MainUnfit(_) | Cause::GaveUp(_)) => false,
            Some(Cause::NotStarted(_)) => true,
            Some(Cause::Runtime(_)) => self.out_of_memory != Some(true),
            Some(Cause::Actor(_)) => false,
        };
        self.status != 0 && !told
    }

    /// For people: one line, one on memory if that matters, and the last lines below.
    pub(super) fn text(&self) -> String {
        self.text_with(self.lines.len())
    }

    /// The same within so many bytes: the oldest lines go first.
    fn text_within(&self, bytes: usize) -> String {
        let fits = |count: &usize| self.text_with(*count).len() <= bytes;
        match (0..=self.lines.len()).rev().find(fits) {
            Some(count) => self.text_with(count),
            None => cut(&self.text_with(0), bytes).to_owned(),
        }
    }

    fn text_with(&self, count: usize) -> String {
        let mut out = format!("coproc: left with status {}", self.status);
        if let Some(cause) = &self.cause {
            let _ = write!(out, ": {cause}");
        }
        out.push('\n');
        let killed =
            matches!(self.end.and_then(RunEnd::status), Some(end) if end.shell_code() == 137);
        match self.out_of_memory {
            Some(true) => out.push_str(
                "coproc: out of memory: the kernel killed in this cgroup for want of memory\n",
            ),
            None if killed => {
                out.push_str("coproc: whether that was for want of memory cannot be known here\n");
            }
            Some(false) | None => {}
        }
        let who = self.cause.as_ref().and_then(Cause::who);
        if let (Some(who), true) = (who, count > 0) {
            let _ = writeln!(out, "coproc: the last lines of {who}:");
            for line in &self.lines[self.lines.len() - count..] {
                let _ = writeln!(out, "  {line}");
            }
        }
        out
    }

    /// Writes it for programs.
    fn report(&self, file: &mut File) -> io::Result<()> {
        // A pipe, a terminal or a device has no beginning.
        if file.metadata()?.is_file() {
            file.rewind()?;
            file.set_len(0)?;
        }
        file.write_all(format!("{:#}\n", self.to_json()).as_bytes())
    }

    /// Leaves it for Kubernetes at `path`, if there is a file that holds nothing: what a program has
    /// left there itself stays.
    fn leave_at(&self, path: &Path) -> io::Result<()> {
        let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
        let opened = OpenOptions::new().append(true).custom_flags(flags).open(path);
        let mut file = match opened {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            opened => opened?,
        };
        let metadata = file.metadata()?;
        if !metadata.is_file() || metadata.len() > 0 {
            return Ok(());
        }
        file.write_all(self.text_within(TERMINATION).as_bytes())
    }
}

/// Where the record of a run goes.
pub(super) struct Places {
    report: Option<(File, PathBuf)>,
    /// Whether this run tells anything at all.
    tells: bool,
}

impl Places {
    /// Opens the report before anything is started: one that cannot be written would be missed only at
    /// the end. The error is a sentence.
    pub(super) fn open(report: Option<&Path>, tells: bool) -> Result<Self, String> {
        let open = |path: &Path| match File::create(path) {
            Ok(file) => Ok((file, path.to_owned())),
            Err(error) => Err(unwritable(path, &error)),
        };
        Ok(Self { report: report.map(open).transpose()?, tells })
    }

    /// Tells it wherever it belongs.
    pub(super) fn tell(&mut self, record: &Record) {
        if !self.tells {
            return;
        }
        if record.is_news() {
            complain(&record.text());
        }
        if let Some((file, path)) = &mut self.report
            && let Err(error) = record.report(file)
        {
            complain(&format!("error: {}\n", unwritable(path, &error)));
        }
        // Where nothing can be left there, nobody looks.
        let _ = record.leave_at(Path::new(TERMINATION_LOG));
    }
}

fn unwritable(path: &Path, error: &io::Error) -> String {
    format!("--report: `{}`: {error}", path.display())
}

/// A line as it can be shown anywhere.
pub(super) fn plain(line: &LogLine) -> String {
    let text = String::from_utf8_lossy(&line.text);
    let tame = |c: char| if c.is_control() && c != '\t' { ' ' } else { c };
    cut(&text, LINE).chars().map(tame).collect()
}

/// As much of the beginning as these bytes hold.
fn cut(text: &str, bytes: usize) -> &str {
    let ends = |at: &usize| text.is_char_boundary(*at);
    let end = (0..=bytes.min(text.len())).rev().find(ends).unwrap_or(0);
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn record(cause: Cause, status: u8, lines: &[&str]) -> Record {
        Record {
            time: SystemTime::UNIX_EPOCH,
            cause: Some(cause),
            status,
            end: Some(RunEnd::Exited(ExitStatus::Code(i32::from(status)))),
            main: None,
            out_of_memory: Some(false),
            lines: lines.iter().map(|line| (*line).to_owned()).collect(),
            stop: None,
        }
    }

    fn ended(lines: &[&str]) -> Record {
        record(Cause::MainEnded(ExitStatus::Code(3)), 3, lines)
    }

    #[test]
    fn people_read_the_cause_and_the_last_lines() {
        assert_eq!(
            ended(&["one", "two"]).text(),
            "coproc: left with status 3: the main process ended with exit status 3\n\
             coproc: the last lines of main:\n  one\n  two\n"
        );
        let text = record(Cause::Signal(Signal::TERM), 143, &[]).text();
        assert_eq!(text, "coproc: left with status 143: the wrapper was sent TERM\n");
    }

    #[test]
    fn want_of_memory_is_told_and_so_is_not_knowing() {
        let kill = ExitStatus::Signal(Signal::KILL);
        let mut record = record(Cause::MainEnded(kill), 137, &[]);
        record.end = Some(RunEnd::Exited(kill));
        assert_eq!(record.text().lines().count(), 1);
        record.out_of_memory = Some(true);
        assert!(record.text().contains("\ncoproc: out of memory: the kernel killed"));
        record.out_of_memory = None;
        assert!(record.text().contains("cannot be known here"));
    }

    #[test]
    fn only_news_is_for_standard_error() {
        assert!(ended(&[]).is_news());
        assert!(record(Cause::GaveUp("a".into()), 3, &[]).is_news());
        assert!(record(Cause::MainUnfit("shows no life".into()), 1, &[]).is_news());
        assert!(!record(Cause::MainEnded(ExitStatus::Code(0)), 0, &[]).is_news());
        assert!(!record(Cause::Signal(Signal::TERM), 143, &[]).is_news());
        assert!(!record(Cause::Boot(None, "x".into()), 1, &[]).is_news());
        assert!(!record(Cause::MainNotStarted("x".into()), 127, &[]).is_news());
    }

    #[test]
    fn the_termination_log_is_bounded_and_keeps_the_newest_lines() {
        let long = "x".repeat(1000);
        let lines = [&long[..], &long, &long, &long, "last"];
        let text = ended(&lines).text_within(TERMINATION);
        assert!(text.len() <= TERMINATION && text.len() > 3000, "{}", text.len());
        assert!(text.ends_with("\n  last\n"), "{text}");
        let why = "é".repeat(9000);
        let text = record(Cause::MainUnfit(why), 1, &[]).text_within(TERMINATION);
        assert!(text.len() <= TERMINATION && text.len() >= TERMINATION - 1);
    }

    #[test]
    fn what_a_program_left_there_itself_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        ended(&[]).leave_at(&path).unwrap();
        assert!(!path.exists(), "nobody wants it");
        std::fs::write(&path, "").unwrap();
        ended(&["one"]).leave_at(&path).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), ended(&["one"]).text());
        std::fs::write(&path, "mine").unwrap();
        ended(&[]).leave_at(&path).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "mine");
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert!(ended(&[]).leave_at(&link).is_err());
    }

    #[test]
    fn programs_read_all_of_it() {
        let mut record = ended(&["one"]);
        record.main = Some(ExitStatus::Code(3));
        record.stop = Some(Stop {
            took: Duration::from_millis(1800),
            limit: Duration::from_secs(9),
            killed: false,
            slowest: Some(("nginx".into(), Duration::from_millis(1700))),
        });
        assert_eq!(
            record.to_json(),
            json!({
                "time": "1970-01-01T00:00:00.000Z",
                "status": 3,
                "cause": "main-ended",
                "who": "main",
                "sentence": "the main process ended with exit status 3",
                "end": { "code": 3 },
                "main": { "code": 3 },
                "out_of_memory": false,
                "lines": ["one"],
                "stop": {
                    "took_s": 1.8, "limit_s": 9.0, "killed": false,
                    "slowest": { "name": "nginx", "took_s": 1.7 },
                },
            })
        );
    }
}
