//! What hooks ask of the gateway while they run: data to be kept, events to be fired, lines for the log.

use std::future::Future;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::timeout;

use crate::event::Voice;
use crate::store::{self, Store};

/// How long the store may take.
const STORE: Duration = Duration::from_secs(1);

/// Who does it.
#[derive(Clone, Debug)]
pub struct Attendant {
    /// Where data are kept.
    pub store: Arc<dyn Store>,
    /// Who tells handlers of events.
    pub voice: Arc<Voice>,
    /// Where the store is asked for hooks that run in this process.
    pub background: Handle,
}

impl Attendant {
    /// Data that a hook stored; empty where there are none, or where the store does not say.
    pub async fn data(&self, name: &str) -> Vec<u8> {
        match timeout(STORE, store::data(&*self.store, name)).await {
            Ok(Ok(data)) => return data,
            Ok(Err(error)) => tracing::error!(target: "gateway", "get_data: {error}"),
            Err(_) => tracing::error!(target: "gateway", "get_data: the store takes too long"),
        }
        Vec::new()
    }

    /// Keeps data for so many seconds; zero and less: for ever.
    pub async fn keep(&self, name: &str, value: Vec<u8>, seconds: i64) {
        match timeout(STORE, store::keep_data(&*self.store, name, value, seconds)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!(target: "gateway", "store_data: {error}"),
            Err(_) => tracing::error!(target: "gateway", "store_data: the store takes too long"),
        }
    }

    /// [`Attendant::data`] for a hook that holds its thread. Not on the background's own.
    pub fn data_now(&self, name: &str) -> Vec<u8> {
        let (one, name) = (self.clone(), name.to_owned());
        self.wait(async move { one.data(&name).await }).unwrap_or_default()
    }

    /// [`Attendant::keep`] for a hook that holds its thread. Not on the background's own.
    pub fn keep_now(&self, name: &str, value: Vec<u8>, seconds: i64) {
        let (one, name) = (self.clone(), name.to_owned());
        self.wait(async move { one.keep(&name, value, seconds).await });
    }

    /// `None` where the background has ended, or has too much to do.
    fn wait<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> Option<T> {
        let (tell, told) = mpsc::sync_channel(1);
        self.background.spawn(async move {
            let _ = tell.send(work.await);
        });
        told.recv_timeout(STORE * 2).ok()
    }
}
