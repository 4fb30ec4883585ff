//! Server-sent events. Those of the wrapper are numbered, to be resumed, and with a word for whatever is missing.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use coproc_core::broker::{EventLog, Stamped};
use hyper::body::Bytes;
use hyper::header::{ACCEPT, CACHE_CONTROL, CONNECTION, HeaderValue};
use hyper::{HeaderMap, Response};
use serde_json::{Value, json};
use tokio::sync::{broadcast, mpsc};

use crate::body::{Answer, response};
use crate::request::Refused;
use crate::shared::{Seat, Shared};

/// The type of a stream.
pub(crate) const KIND: &str = "text/event-stream";
/// The header with the number that a client has seen last.
pub(crate) const LAST: &str = "last-event-id";

/// A comment: the stream is there.
pub(crate) const BEAT: &str = ":\n\n";

/// How many messages wait for a client that is slower than what happens; with one more it is let go.
const WAITING: usize = 256;
/// How long a client that is let go may take to read what is on its way to it.
const PARTING: Duration = Duration::from_secs(10);

/// Whether the client asks for this form.
pub(crate) fn wanted(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let kinds = accepted.flat_map(|value| value.split(','));
    kinds.map(|kind| kind.split(';').next().unwrap_or_default().trim()).any(|kind| kind == KIND)
}

/// The number that the client has seen last, as it says when it comes again; that is newer than what stands
/// in its address.
pub(crate) fn last_seen(headers: &HeaderMap) -> Result<Option<u64>, Refused> {
    let Some(value) = headers.get(LAST) else { return Ok(None) };
    let number = value.to_str().ok().and_then(|text| text.trim().parse().ok());
    number.map(Some).ok_or_else(|| Refused::new(400, "`Last-Event-ID` is not a number"))
}

/// A message: what happened, or what the client has to know of the stream itself.
pub(crate) fn message(kind: Option<&str>, id: Option<u64>, data: &Value) -> Bytes {
    let id = id.map(|id| format!("id: {id}\n")).unwrap_or_default();
    let kind = kind.map(|kind| format!("event: {kind}\n")).unwrap_or_default();
    format!("{id}{kind}data: {data}\n\n").into()
}

/// The messages for events that came after number `known`, which stands at the last of them then. Events
/// that were known and are not kept any more are a gap.
fn after(known: &mut u64, events: &[Arc<Stamped>]) -> Vec<Bytes> {
    let mut messages = Vec::new();
    for stamped in events {
        if stamped.seq <= *known {
            continue;
        }
        if stamped.seq > *known + 1 {
            let missing = json!({ "from": *known + 1, "to": stamped.seq - 1 });
            messages.push(message(Some("gap"), None, &missing));
        }
        messages.push(message(None, Some(stamped.seq), &stamped.to_json()));
        *known = stamped.seq;
    }
    messages
}

/// The messages that a client gets first, if `since` is what it has seen last.
fn beginning(known: &mut u64, since: Option<u64>, log: &EventLog) -> Vec<Bytes> {
    let kept = log.since(0);
    let last = kept.last().map_or(0, |stamped| stamped.seq);
    let mut messages = Vec::new();
    *known = match since {
        // It has seen those of a wrapper that is gone.
        Some(since) if since > last => {
            messages.push(message(Some("anew"), None, &json!({ "seen": since, "last": last })));
            0
        }
        Some(since) => since,
        // Who has seen nothing misses nothing.
        None => kept.first().map_or(0, |stamped| stamped.seq - 1),
    };
    messages.extend(after(known, &kept));
    messages
}

/// A stream of events after number `since`. A client that reads slower than they come is let go, and told so.
pub(crate) fn events(shared: &Shared, since: Option<u64>, seat: Rc<Seat>) -> Response<Answer> {
    let mut known = 0;
    // Both under one borrow: no event falls between the past and the future.
    let (past, future) = {
        let log = shared.sources.events.borrow();
        (beginning(&mut known, since, &log), log.follow())
    };
    let (messages, body) = mpsc::channel(WAITING);
    // Nothing else waits there yet.
    let _ = messages.try_send(if past.is_empty() { BEAT.into() } else { past.concat().into() });
    let follower = Follower { messages, known, log: shared.sources.events.clone() };
    actix_rt::spawn(follower.go_on(future, shared.heartbeat, seat));
    stream(body)
}

/// The answer that such messages come in.
pub(crate) fn stream(messages: mpsc::Receiver<Bytes>) -> Response<Answer> {
    let mut response = response(200, KIND, Answer::Lines(messages));
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

/// A client that is told what happens.
struct Follower {
    messages: mpsc::Sender<Bytes>,
    known: u64,
    log: Rc<RefCell<EventLog>>,
}

impl Follower {
    async fn go_on(
        mut self,
        mut future: broadcast::Receiver<Arc<Stamped>>,
        heartbeat: Duration,
        seat: Rc<Seat>,
    ) {
        loop {
            let next = tokio::select! {
                next = future.recv() => next,
                () = pause(heartbeat) => {
                    // Who has all that to read hears from us anyway; the last place is kept.
                    if self.messages.capacity() > 1 {
                        let _ = self.messages.try_send(BEAT.into());
                    }
                    continue;
                }
                () = self.messages.closed() => return,
            };
            let events = match next {
                Ok(stamped) => vec![stamped],
                // What fell out of the channel may still be in the log.
                Err(broadcast::error::RecvError::Lagged(_)) => self.log.borrow().since(self.known),
                Err(broadcast::error::RecvError::Closed) => return,
            };
            if !self.tell(&events) {
                break;
            }
        }
        // Without its sender the stream ends after what it still holds.
        drop(self.messages);
        tokio::time::sleep(PARTING).await;
        seat.leave.notify_one();
    }

    /// Whether there was room for all of it. The last place is for the word that there was not.
    fn tell(&mut self, events: &[Arc<Stamped>]) -> bool {
        let mut known = self.known;
        for stamped in events {
            let mut all = after(&mut known, std::slice::from_ref(stamped));
            if self.messages.capacity() <= all.len() {
                let why = "the events came faster than they were read";
                let data = json!({ "why": why, "last": self.known });
                let _ = self.messages.try_send(message(Some("dropped"), None, &data));
                return false;
            }
            all.drain(..).for_each(|message| drop(self.messages.try_send(message)));
            self.known = known;
        }
        true
    }
}

/// Over after this time; never where there is none.
pub(crate) async fn pause(time: Duration) {
    match time.is_zero() {
        true => std::future::pending().await,
        false => tokio::time::sleep(time).await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use coproc_core::event::{Event, Phase};
    use std::time::SystemTime;

    fn log(count: usize) -> EventLog {
        let mut log = EventLog::default();
        for _ in 0..count {
            log.record(Event::new(Phase::Start), SystemTime::UNIX_EPOCH);
        }
        log
    }

    fn told(messages: &[Bytes]) -> String {
        String::from_utf8(messages.concat()).unwrap()
    }

    #[test]
    fn a_client_goes_on_where_it_was() {
        let (log, mut known) = (log(3), 0);
        let first = told(&beginning(&mut known, Some(1), &log));
        let event = |seq| {
            format!(
                "id: {seq}\ndata: {{\"seq\":{seq},\"time\":\"1970-01-01T00:00:00.000Z\",\
                 \"event\":\"start\"}}\n\n"
            )
        };
        assert_eq!(first, [event(2), event(3)].concat());
        assert_eq!(known, 3);
        assert_eq!(told(&beginning(&mut known, Some(3), &log)), "");
        assert_eq!(told(&beginning(&mut known, None, &log)), [1, 2, 3].map(event).concat());
    }

    #[test]
    fn what_is_not_kept_any_more_is_a_gap_for_who_has_seen_something() {
        let (log, mut known) = (log(1030), 0);
        let messages = beginning(&mut known, Some(2), &log);
        assert_eq!(told(&messages[..1]), "event: gap\ndata: {\"from\":3,\"to\":6}\n\n");
        assert_eq!((messages.len(), known), (1025, 1030));
        assert_eq!(beginning(&mut known, None, &log).len(), 1024);
    }

    #[test]
    fn numbers_of_another_life_are_not_taken_for_ones_own() {
        let (log, mut known) = (log(2), 0);
        let messages = beginning(&mut known, Some(500), &log);
        assert_eq!(told(&messages[..1]), "event: anew\ndata: {\"seen\":500,\"last\":2}\n\n");
        assert_eq!((messages.len(), known), (3, 2));
    }

    #[test]
    fn a_slow_client_is_told_that_it_is_let_go() {
        let (messages, mut body) = mpsc::channel(3);
        let log = log(6);
        let events = log.since(0);
        let mut follower = Follower { messages, known: 0, log: Rc::new(RefCell::new(log)) };
        assert!(follower.tell(&events[..2]));
        assert!(!follower.tell(&events[2..]));
        drop(follower);
        let heard: Vec<_> = std::iter::from_fn(|| body.try_recv().ok()).collect();
        assert_eq!(heard.len(), 3);
        assert_eq!(
            told(&heard[2..]),
            "event: dropped\ndata: {\"why\":\"the events came faster than they were read\",\"last\":2}\n\n"
        );
    }

    #[test]
    fn what_clients_say_of_themselves() {
        let headers = |name: &'static str, value: &'static str| {
            HeaderMap::from_iter([(
                hyper::header::HeaderName::from_static(name),
                HeaderValue::from_static(value),
            )])
        };
        assert!(wanted(&headers("accept", "text/html, text/event-stream;q=0.9")));
        assert!(!wanted(&headers("accept", "*/*")) && !wanted(&HeaderMap::new()));
        assert_eq!(last_seen(&headers("last-event-id", " 17")), Ok(Some(17)));
        assert_eq!(last_seen(&HeaderMap::new()), Ok(None));
        assert_eq!(last_seen(&headers("last-event-id", "x")).unwrap_err().status, 400);
    }
}
