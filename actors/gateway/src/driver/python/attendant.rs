//! What hooks ask of the gateway while they run: data to be kept, events to be fired, lines for the log.

use std::io;
use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::AsyncWriteExt;
use tokio::net::UnixStream;
use tokio::time::timeout;

use super::Shared;
use super::codec::{self, Decoder, Kind, pair};
use super::door::next;
use crate::driver::Driver;
use crate::event::{self, Events};
use crate::store::{self, Store};

/// How long the store may take.
const STORE: Duration = Duration::from_secs(1);

/// Who does it.
#[derive(Debug)]
pub struct Attendant {
    /// Where data are kept.
    pub store: Arc<dyn Store>,
    /// The way of events to plugins.
    pub events: Events,
    /// Handlers of the gateway's own events: the event's name and the handler's.
    pub handlers: Vec<(String, String)>,
    /// Those that have the handlers.
    pub drivers: Vec<Weak<dyn Driver>>,
}

impl Attendant {
    async fn data(&self, name: &str) -> Vec<u8> {
        match timeout(STORE, store::data(&*self.store, name)).await {
            Ok(Ok(data)) => return data,
            Ok(Err(error)) => tracing::error!(target: "gateway", "get_data: {error}"),
            Err(_) => tracing::error!(target: "gateway", "get_data: the store takes too long"),
        }
        Vec::new()
    }

    async fn keep(&self, name: &str, mut life: Bytes) {
        // Without them there is nothing to keep.
        let Some(seconds) = life.first_chunk::<8>().map(|bytes| i64::from_le_bytes(*bytes)) else {
            return;
        };
        let value = life.split_off(8).to_vec();
        match timeout(STORE, store::keep_data(&*self.store, name, value, seconds)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!(target: "gateway", "store_data: {error}"),
            Err(_) => tracing::error!(target: "gateway", "store_data: the store takes too long"),
        }
    }

    fn fire(&self, name: &str, message: &str) {
        for (_, handler) in self.handlers.iter().filter(|(event, _)| event == name) {
            for driver in self.drivers.iter().filter_map(Weak::upgrade) {
                let payload = || event::system(name, message, handler, jiff::Timestamp::now());
                self.events.send(&driver, payload);
            }
        }
    }
}

/// Does what comes over a connection, one after another.
pub(super) async fn serve(
    shared: &Shared,
    worker: &str,
    mut stream: UnixStream,
    mut decoder: Decoder,
) -> io::Result<()> {
    while let Some(frame) = next(&mut stream, &mut decoder).await? {
        let attendant = shared.attendant.get();
        match (frame.kind, pair(&frame.payload)) {
            (Kind::Log, Some((level, line))) => log(worker, level, &String::from_utf8_lossy(&line)),
            (Kind::Get, _) => {
                let name = String::from_utf8_lossy(&frame.payload);
                let data = match attendant {
                    Some(attendant) => attendant.data(&name).await,
                    None => Vec::new(),
                };
                let mut answer = BytesMut::new();
                codec::put(&mut answer, frame.id, Kind::Value, &data);
                stream.write_all(&answer).await?;
            }
            (Kind::Set, Some((name, life))) => {
                if let Some(attendant) = attendant {
                    attendant.keep(name, life).await;
                }
            }
            (Kind::Trigger, Some((name, message))) => {
                if let Some(attendant) = attendant {
                    attendant.fire(name, &String::from_utf8_lossy(&message));
                }
            }
            (kind, _) => return Err(io::Error::other(format!("{worker} sends {kind:?} here"))),
        }
    }
    Ok(())
}

/// A line of a hook in the log.
fn log(worker: &str, level: &str, line: &str) {
    match level {
        "debug" => tracing::debug!(target: "python", "{worker}: {line}"),
        "warning" => tracing::warn!(target: "python", "{worker}: {line}"),
        "error" => tracing::error!(target: "python", "{worker}: {line}"),
        _ => tracing::info!(target: "python", "{worker}: {line}"),
    }
}
