//! New generations: workers make way for their successors one after another, so that others serve meanwhile.

use std::sync::Arc;

use tokio::time::timeout;

use super::Shared;
use super::worker::Worker;

/// Does so each time that it is asked for.
pub(super) async fn roll(shared: &Shared) {
    loop {
        shared.renewal.notified().await;
        for (name, pid) in shared.crew.loading() {
            // It may have read what was there before, or never come to an end of it.
            tracing::info!(target: "gateway", "{name} loads its hooks anew: they changed meanwhile");
            shared.kill(&name, pid);
        }
        for worker in shared.crew.workers() {
            if !renew(shared, &worker).await {
                tracing::error!(
                    target: "gateway",
                    "{} did not come back: the other workers stay as they are",
                    worker.name
                );
                break;
            }
        }
    }
}

/// Has one worker end when its calls have, and waits for its successor. Whether that came.
async fn renew(shared: &Shared, worker: &Arc<Worker>) -> bool {
    let config = &shared.config;
    let mut news = shared.crew.news();
    news.mark_unchanged();
    worker.leave();
    let drained = timeout(config.drain, worker.idle()).await.is_ok() && worker.drain().is_ok();
    let gone = drained && timeout(config.start_timeout, worker.gone()).await.is_ok();
    if !gone {
        tracing::warn!(target: "gateway", "{} is killed: it does not make way", worker.name);
        shared.crew.remove(worker);
        shared.kill(&worker.name, worker.pid);
    }
    let back = || {
        let workers = shared.crew.workers();
        workers.iter().any(|one| one.name == worker.name && one.load().is_some())
    };
    let came = async {
        while !back() {
            // It cannot fail: the sender outlives this.
            let _ = news.changed().await;
        }
    };
    timeout(config.start_timeout, came).await.is_ok()
}
