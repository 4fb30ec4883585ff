//! The actor of the gateway, and the events that the tree hears of.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use coproc_core::broker::{BrokerPlace, Publish};
use coproc_core::event::{Event, EventName};
use coproc_core::service::{Service, ServiceActor, Started};
use tokio::sync::{Mutex, mpsc};
use tokio::time::sleep;

use crate::event::Heard;
use crate::server::Bound;

/// How many events the broker is told of at once.
const BATCH: usize = 32;
/// How long it then has peace.
const INTERVAL: Duration = Duration::from_secs(1);

/// Has the gateway served.
pub type GatewayActor = ServiceActor<Bound>;

impl Service for Bound {
    fn start(&self, broker: &BrokerPlace) -> io::Result<Started> {
        let threads = Self::start(self)?;
        let publisher = actix_rt::spawn(publish(self.heard.clone(), broker.clone()));
        Ok(Started { threads, publisher: Some(publisher) })
    }

    fn close(&self) {
        Self::close(self);
    }

    fn patience(&self) -> Option<Duration> {
        Some(self.config().drain)
    }

    fn cannot_start(&self, error: &io::Error) {
        tracing::error!(target: "gateway", "cannot be served: {error}");
    }

    fn cut_off(&self) {
        tracing::warn!(target: "gateway", "requests are cut off that took longer than `drain`");
    }
}

/// Has the tree hear of what happens. What happens again before a second is over is one event with the
/// number of times.
async fn publish(heard: Arc<Mutex<mpsc::Receiver<Heard>>>, broker: BrokerPlace) {
    let mut heard = heard.lock().await;
    let mut batch = Vec::new();
    while heard.recv_many(&mut batch, BATCH).await > 0 {
        for heard in batch.drain(..) {
            let name = EventName::Gateway(heard.kind().as_str().to_owned());
            let event = match heard.api() {
                "" => Event::new(name),
                api => Event::new(name).with("api", api),
            };
            broker.borrow().do_send(Publish::new(event.with("count", heard.take())));
        }
        sleep(INTERVAL).await;
    }
}
