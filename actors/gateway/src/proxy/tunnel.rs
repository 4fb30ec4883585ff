//! What a connection is after it has changed its protocol: bytes both ways.

use std::rc::Rc;

use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::copy_bidirectional;
use tokio::time::{Instant, sleep_until};

use super::forward::Client;

/// Connects both sides once each is ready, until both have ended, one fails, or nothing has moved for too
/// long.
pub(super) fn open(client: &Rc<Client>, up: OnUpgrade, down: OnUpgrade) {
    let client = client.clone();
    // A thread that is told to stop waits for tunnels as for all connections.
    let stay = client.worker.closing.enter();
    tokio::task::spawn_local(async move {
        let _stay = stay;
        let (Ok(up), Ok(down)) = tokio::join!(up, down) else { return };
        client.watch.become_tunnel();
        let (mut up, mut down) = (TokioIo::new(up), TokioIo::new(down));
        let limit = client.worker.shared.config.limits.tunnel_timeout;
        let silent = async {
            loop {
                let end = client.watch.moved() + limit;
                if end <= Instant::now() {
                    return;
                }
                sleep_until(end).await;
            }
        };
        tokio::select! {
            // Both ends see it close, whichever failed.
            _ = copy_bidirectional(&mut up, &mut down) => {}
            () = silent => {}
        }
    });
}
