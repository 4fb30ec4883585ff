//! Tells of workers that do not come: whose files never end to be loaded, or who end before they are there.

use std::sync::Arc;

use futures_util::future::join_all;
use tokio::time::timeout;

use super::worker::Worker;
use super::{PythonConfig, Shared};

/// Does so for all of them, once each time. Never ends.
pub(super) async fn tell(shared: &Shared) {
    shared.supervised.notified().await;
    join_all((1..=shared.config.workers).map(|number| heed(shared, PythonConfig::name(number))))
        .await;
}

async fn heed(shared: &Shared, name: String) {
    let patience = shared.config.start_timeout;
    loop {
        let worker = match timeout(patience, there(shared, &name)).await {
            Ok(worker) => worker,
            Err(_) => {
                if !shared.is_closed() {
                    tracing::warn!(
                        target: "gateway",
                        "{name} has not come up for {patience:?}: it has not been started yet, it ended, or a file \
                         of hooks is still being loaded"
                    );
                }
                there(shared, &name).await
            }
        };
        worker.gone().await;
    }
}

/// Waits for a worker.
async fn there(shared: &Shared, name: &str) -> Arc<Worker> {
    let mut news = shared.crew.news();
    loop {
        news.mark_unchanged();
        let mut workers = shared.crew.workers().into_iter();
        if let Some(worker) = workers.find(|worker| worker.name == name) {
            return worker;
        }
        // It cannot fail: the sender is there as long as this runs.
        let _ = news.changed().await;
    }
}
