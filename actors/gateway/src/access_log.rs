//! The access log: a line for each request, on a bounded way to one task that writes them into the log. A
//! line that finds no room is counted and not written.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use http::{Method, StatusCode};
use tokio::sync::mpsc;

/// How many lines may wait.
const QUEUE: usize = 4096;

/// One request, as the log tells of it. Neither query nor headers are in it, which may hold secrets.
#[derive(Debug)]
pub struct Line {
    /// Whom it came from.
    pub client: Option<std::net::IpAddr>,
    /// The method.
    pub method: Method,
    /// The path.
    pub path: String,
    /// The API's id.
    pub api: Option<String>,
    /// What was answered.
    pub status: StatusCode,
    /// How long it took to the head of the answer.
    pub took: Duration,
    /// The trace that it belongs to.
    pub trace: Option<String>,
}

/// The way to the log.
#[derive(Clone, Debug)]
pub struct AccessLog {
    lines: mpsc::Sender<Line>,
    dropped: Arc<AtomicU64>,
}

impl AccessLog {
    /// Starts the task that writes; it ends with the last handle. Must be called within a runtime.
    pub fn start() -> Self {
        let (lines, waiting) = mpsc::channel(QUEUE);
        let dropped = Arc::<AtomicU64>::default();
        tokio::spawn(write(waiting, dropped.clone()));
        Self { lines, dropped }
    }

    /// Hands a line over, without waiting.
    pub fn tell(&self, line: Line) {
        if self.lines.try_send(line).is_err() {
            self.dropped.fetch_add(1, Relaxed);
        }
    }
}

async fn write(mut lines: mpsc::Receiver<Line>, dropped: Arc<AtomicU64>) {
    while let Some(line) = lines.recv().await {
        let Line { client, method, path, api, status, took, trace } = line;
        let lost = dropped.swap(0, Relaxed);
        if lost > 0 {
            tracing::warn!(target: "access", "{lost} requests found no room in the access log");
        }
        let client = client.map_or_else(|| "-".to_owned(), |client| client.to_string());
        tracing::info!(
            target: "access",
            "{client} {method} {} {} {} {:.3}ms{}",
            path.escape_debug(),
            status.as_u16(),
            api.as_deref().unwrap_or("-"),
            took.as_secs_f64() * 1e3,
            trace.map(|trace| format!(" trace={trace}")).unwrap_or_default(),
        );
    }
}
