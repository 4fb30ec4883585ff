//! Turns coproc's own tracing events into lines of the log.

use std::borrow::Cow;
use std::error::Error;
use std::fmt::{self, Write};

use coproc_core::output::{Level, Output, Record};
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Metadata, Subscriber, span};

/// Begins the module path of every crate of the workspace.
const OWN: &str = "coproc";

/// A subscriber that writes events to the log.
///
/// The logger is the event's target, or its field `logger`. The message is followed by the other
/// fields as `key=value`. An error with `fatal = true` is a fatal line. Spans are ignored.
#[derive(Debug)]
pub struct Events {
    output: Output,
}

impl Events {
    /// Events go to `output`.
    pub fn new(output: Output) -> Self {
        Self { output }
    }
}

impl Subscriber for Events {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        let level = level(metadata.level());
        // Libraries tell their every step; only what goes wrong in them is of interest here.
        let ours = metadata.module_path().unwrap_or(metadata.target()).starts_with(OWN);
        metadata.is_event() && (ours || level >= Level::Warn) && {
            // An error may turn out to be fatal.
            self.output.enabled(level) || level == Level::Error
        }
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(match self.output.level() {
            Level::Trace => LevelFilter::TRACE,
            Level::Debug => LevelFilter::DEBUG,
            Level::Info => LevelFilter::INFO,
            Level::Warn => LevelFilter::WARN,
            Level::Error | Level::Fatal | Level::Panic => LevelFilter::ERROR,
        })
    }

    fn event(&self, event: &Event<'_>) {
        let metadata = event.metadata();
        let mut parts = Parts::default();
        event.record(&mut parts);
        let level = if parts.fatal { Level::Fatal } else { level(metadata.level()) };
        let logger = match parts.logger {
            Some(logger) => Cow::Owned(logger),
            None => Cow::Borrowed(metadata.target()),
        };
        let message = match (parts.message, parts.fields) {
            (message, fields) if fields.is_empty() => message,
            (message, fields) if message.is_empty() => fields,
            (message, fields) => message + " " + &fields,
        };
        self.output.own(Record::new(level, logger, message));
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

fn level(level: &tracing::Level) -> Level {
    match *level {
        tracing::Level::TRACE => Level::Trace,
        tracing::Level::DEBUG => Level::Debug,
        tracing::Level::INFO => Level::Info,
        tracing::Level::WARN => Level::Warn,
        tracing::Level::ERROR => Level::Error,
    }
}

/// What an event says.
#[derive(Default)]
struct Parts {
    message: String,
    logger: Option<String>,
    fatal: bool,
    /// The other fields, as they will stand in the line.
    fields: String,
}

impl Parts {
    fn field(&mut self, field: &Field, value: &str) {
        match field.name() {
            "message" => self.message.push_str(value),
            "logger" => self.logger = Some(value.to_owned()),
            name => {
                let blank = if self.fields.is_empty() { "" } else { " " };
                let quoted = value.is_empty() || value.contains([' ', '"', '\n', '=']);
                // A String takes everything.
                let _ = if quoted {
                    write!(self.fields, "{blank}{name}={value:?}")
                } else {
                    write!(self.fields, "{blank}{name}={value}")
                };
            }
        }
    }
}

impl Visit for Parts {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.field(field, &format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.field(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        if field.name() == "fatal" {
            self.fatal = value;
        } else {
            self.field(field, if value { "true" } else { "false" });
        }
    }

    /// The whole chain of causes on one line.
    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        let mut text = value.to_string();
        let mut cause = value.source();
        while let Some(error) = cause {
            // A String takes everything.
            let _ = write!(text, ": {error}");
            cause = error.source();
        }
        self.field(field, &text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use coproc_core::output::{Form, Limits, Line, Sink};
    use std::io;
    use std::sync::{Arc, Mutex};
    use std::time::{Duration, Instant};

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<String>>>);

    impl Sink for Lines {
        fn line(&mut self, line: &Line<'_>) {
            let text = String::from_utf8_lossy(line.text);
            self.0.lock().unwrap().push(format!("{} {}: {text}", line.level, line.logger));
        }

        fn flush(&mut self) {}

        fn reopen(&mut self) {}
    }

    /// What is logged of `events` at `level`.
    fn logged(level: Level, events: impl FnOnce()) -> Vec<String> {
        let lines = Lines::default();
        let limits = Limits { level, form: Form::Text, max_line: 100, history: 0, queue: 100 };
        let (output, thread) = Output::start(Box::new(lines.clone()), limits).unwrap();
        tracing::subscriber::with_default(Events::new(output), events);
        assert!(thread.finish(Instant::now() + Duration::from_secs(20)));
        let lines = lines.0.lock().unwrap();
        lines.clone()
    }

    #[derive(Debug, thiserror::Error)]
    #[error("cannot start")]
    struct Failure(#[source] io::Error);

    #[test]
    fn every_part_of_an_event() {
        let error = Failure(io::Error::other("no\nluck"));
        let lines = logged(Level::Info, || {
            tracing::info!(target: "signals", "received {}", "hangup");
            tracing::warn!(logger = "consul", pid = 7, user = "a b", ok = true, "started");
            tracing::error!(logger = %"x", fatal = true, "main is gone");
            tracing::error!(target: "pm", error = &error as &dyn Error, "failed");
            tracing::info!(target: "pm", only = "fields");
            tracing::debug!(target: "pm", "not said");
            let _span = tracing::info_span!(target: "pm", "work").entered();
        });
        assert_eq!(
            lines,
            [
                "info signals: received hangup",
                "warning consul: started pid=7 user=\"a b\" ok=true",
                "fatal x: main is gone",
                "error pm: failed error=\"cannot start: no\\nluck\"",
                "info pm: only=fields",
            ]
        );
    }

    #[test]
    fn fatal_lines_pass_where_errors_do_not() {
        let lines = logged(Level::Fatal, || {
            tracing::error!(target: "pm", "an error");
            tracing::error!(target: "pm", fatal = true, "the end");
        });
        assert_eq!(lines, ["fatal pm: the end"]);
    }
}
