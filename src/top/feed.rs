//! What `coproc top` hears of the wrapper: its events and its log as they come, and its status with each
//! event and each interval. What breaks off is begun again.

use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use coproc_control::client::{Call, ClientError, Target, send};
use serde_json::{Value, json};
use tokio::sync::{Notify, mpsc};

use super::Told;
use super::model::Input;

/// How long to wait before a wrapper that does not answer is tried again.
const AGAIN: Duration = Duration::from_secs(1);
/// How much of the log there is to begin with.
const LINES: &str = "500";
/// Events that come together need one status.
const TOGETHER: Duration = Duration::from_millis(50);

/// The tasks that hear of a wrapper.
pub(super) struct Feed {
    target: Target,
    tell: mpsc::Sender<Told>,
    /// Something happened.
    changed: Rc<Notify>,
}

impl Feed {
    pub(super) fn new(target: Target, tell: mpsc::Sender<Told>) -> Self {
        Self { target, tell, changed: Rc::default() }
    }

    /// Starts all of them.
    pub(super) fn start(&self, interval: Duration) {
        let tasks = (self.target.clone(), self.tell.clone());
        actix_rt::spawn(events(tasks.0.clone(), tasks.1.clone(), self.changed.clone()));
        actix_rt::spawn(status(tasks.0.clone(), tasks.1.clone(), self.changed.clone(), interval));
        actix_rt::spawn(log(tasks.0, tasks.1));
    }
}

async fn status(target: Target, tell: mpsc::Sender<Told>, changed: Rc<Notify>, interval: Duration) {
    let began = Instant::now();
    loop {
        let mut whole = Vec::new();
        let call = Call::get(&["status"], &[]);
        let answer = send(&target, call, |piece| {
            whole.extend_from_slice(piece);
            true
        });
        let input = match answer.await {
            Ok(()) => match serde_json::from_slice(&whole) {
                Ok(value) => Input::Status(value, began.elapsed().as_secs_f64()),
                Err(error) => Input::Lost(format!("its answer is not valid: {error}")),
            },
            Err(error) => Input::Lost(error.to_string()),
        };
        if tell.send(Told::Input(input)).await.is_err() {
            return;
        }
        tokio::select! {
            () = tokio::time::sleep(interval) => {}
            () = changed.notified() => tokio::time::sleep(TOGETHER).await,
        }
    }
}

async fn events(target: Target, tell: mpsc::Sender<Told>, changed: Rc<Notify>) {
    let last = Rc::new(Cell::new(None));
    loop {
        let mut stream = Stream::default();
        let ended = send(&target, Call::stream(last.get()), |piece| {
            for message in stream.take(piece) {
                if let Some(seq) = message["seq"].as_u64() {
                    last.set(Some(seq));
                }
                let input = match message.get("note") {
                    Some(note) => Input::Note(note.as_str().unwrap_or_default().to_owned()),
                    None => Input::Event(message),
                };
                // A screen that cannot keep up misses some; the status is asked for in any case.
                let _ = tell.try_send(Told::Input(input));
            }
            changed.notify_one();
            !tell.is_closed()
        })
        .await;
        // One that is not there will begin its numbers anew.
        let gone = matches!(ended, Err(ClientError::NobodyThere { .. }));
        if gone && last.take().is_some() {
            let note = "(another run of the wrapper)".to_owned();
            let _ = tell.try_send(Told::Input(Input::Note(note)));
        }
        // That it is lost is told by the status.
        changed.notify_one();
        tokio::time::sleep(AGAIN).await;
    }
}

async fn log(target: Target, tell: mpsc::Sender<Told>) {
    let mut lines = LINES;
    loop {
        let mut partial = Vec::new();
        let mut missed = 0_u64;
        let query = [("n", lines.to_owned()), ("follow", "1".to_owned())];
        let call = Call::get(&["logs"], &query).following(true);
        let ended = send(&target, call, |piece| {
            partial.extend_from_slice(piece);
            while let Some(end) = partial.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = partial.drain(..=end).collect();
                let Ok(mut line) = serde_json::from_slice::<Value>(&line) else { continue };
                if missed > 0 {
                    let msg = line["msg"].as_str().unwrap_or_default();
                    line["msg"] = format!("({missed} lines are not shown) {msg}").into();
                }
                match tell.try_send(Told::Input(Input::Line(line))) {
                    Ok(()) => missed = 0,
                    Err(_) => missed += 1,
                }
            }
            !tell.is_closed()
        });
        lines = match ended.await {
            // The next one is another run, of which nothing was seen.
            Err(ClientError::NobodyThere { .. }) => LINES,
            // What was seen already would be seen twice.
            _ => "0",
        };
        tokio::time::sleep(AGAIN).await;
    }
}

/// A stream of server-sent events that comes in pieces.
#[derive(Default)]
struct Stream(Vec<u8>);

impl Stream {
    /// The messages that are whole with this piece: events, and under `note` what is to be known of the
    /// stream itself.
    fn take(&mut self, piece: &[u8]) -> Vec<Value> {
        self.0.extend_from_slice(piece);
        let mut messages = Vec::new();
        while let Some(end) = self.0.windows(2).position(|pair| pair == b"\n\n") {
            let message: Vec<u8> = self.0.drain(..end + 2).collect();
            let text = String::from_utf8_lossy(&message);
            let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name));
            let data = field("data: ").and_then(|data| serde_json::from_str::<Value>(data).ok());
            messages.extend(data.map(|data| match field("event: ") {
                None => data,
                Some("gap") => json!({
                    "note": format!("(events {} to {} are not known)", data["from"], data["to"])
                }),
                Some("anew") => json!({ "note": "(another run of the wrapper)" }),
                Some(_) => json!({ "note": "(events came faster than they were read)" }),
            }));
        }
        messages
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_that_come_in_pieces() {
        let whole = ":\n\nid: 1\ndata: {\"seq\":1}\n\nevent: gap\ndata: {\"from\":2,\"to\":4}\n\n\
                     event: anew\ndata: {}\n\nid: 5\ndata: {\"seq\":5}\n\n";
        for size in [1, 7, 1000] {
            let mut stream = Stream::default();
            let pieces = whole.as_bytes().chunks(size);
            let messages: Vec<_> = pieces.flat_map(|piece| stream.take(piece)).collect();
            assert_eq!(
                messages,
                [
                    json!({ "seq": 1 }),
                    json!({ "note": "(events 2 to 4 are not known)" }),
                    json!({ "note": "(another run of the wrapper)" }),
                    json!({ "seq": 5 }),
                ]
            );
            assert!(stream.0.is_empty());
        }
    }
}
