//! The life of the thread: it opens the doors to connections, lets deadlines pass, and closes the
//! doors in the order in which nothing is lost.

use std::future::pending;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use coproc_acomm::Response;
use coproc_core::threads::Stop;
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::door::close;
use crate::gate::{Gate, Unix};
use crate::hook::deliver;
use crate::http_server;
use crate::nats;
use crate::server::{Bound, Sockets};
use crate::shared::Shared;
use crate::shown::shown;
use crate::tracker::Origin;
use crate::unix;

/// Which part of `stop_timeout` is kept for telling those who wait that they wait in vain.
const TELLING: f64 = 0.2;
/// The most of it.
const LONGEST_TELLING: Duration = Duration::from_secs(2);

/// What a requester is told whose request nobody answered.
pub(crate) const TIMEOUT: &str = "response timeout";

/// Serves until it is told to stop, and until all that waits has its answer or `stop_timeout` is over.
pub(crate) async fn serve(
    bound: Bound,
    sockets: Sockets,
    mut stop: watch::Receiver<Stop>,
) -> io::Result<()> {
    let Bound { shared, doors } = bound;
    let (last, last_seen) = watch::channel(Stop::Not);
    let seats = shared.seats;
    let mut http = Gate::new("the port", seats, stop.clone());
    let mut internal = Gate::new("the socket of requests", seats, stop.clone());
    let mut response = Gate::new("the socket of responses", seats, last_seen);
    if let Some(port) = sockets.port {
        let (shared, doors) = (shared.clone(), doors.clone());
        http.open(
            TcpListener::from_std(port)?,
            move || close(&doors.port),
            move |stream, stop| http_server::serve(shared.clone(), stream, stop),
        );
    }
    if let Some(socket) = sockets.internal {
        let door = Unix::new(socket, shared.clone())?;
        let (shared, doors) = (shared.clone(), doors.clone());
        internal.open(
            door,
            move || close(&doors.internal),
            move |stream, stop| unix::request(shared.clone(), stream, stop),
        );
    }
    if let Some(socket) = sockets.response {
        let door = Unix::new(socket, shared.clone())?;
        let (shared, doors) = (shared.clone(), doors.clone());
        response.open(
            door,
            move || close(&doors.response),
            move |stream, stop| unix::response(shared.clone(), stream, stop),
        );
    }
    tokio::spawn(expire(shared.clone()));
    let sharing = tokio::spawn(nats::serve(shared.clone(), stop.clone()));
    let _ = stop.wait_for(|stop| *stop != Stop::Not).await;
    let orderly = async {
        http.closed().await;
        internal.closed().await;
        let _ = sharing.await;
        shared.tracker().stop();
        while !shared.tracker().is_idle() {
            shared.left.notified().await;
        }
        last.send_replace(Stop::InOrder);
        response.closed().await;
    };
    let limit = shared.config.stop_timeout;
    let in_time = async {
        let telling = limit.mul_f64(TELLING).min(LONGEST_TELLING);
        tokio::select! {
            () = orderly => return,
            () = tokio::time::sleep(limit - telling) => {}
        }
        let _ = tokio::time::timeout(telling, give_all_up(&shared)).await;
    };
    tokio::select! {
        () = in_time => {}
        _ = stop.wait_for(|stop| *stop >= Stop::Now) => {}
    }
    let left = {
        let tracker = shared.tracker();
        tracker.waiting() + tracker.leaving()
    };
    if left > 0 && *stop.borrow() != Stop::Left {
        tracing::warn!(target: "coordinator", "the end came before the response of so many requests: {left}");
    }
    if *stop.borrow() == Stop::Left {
        return Ok(());
    }
    close(&doors.port);
    close(&doors.internal);
    close(&doors.response);
    Ok(())
}

/// Answers requests whose time is over. One timer serves them all.
async fn expire(shared: Arc<Shared>) {
    loop {
        let next = shared.tracker().next_deadline();
        let over = async {
            match next {
                Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
                None => pending().await,
            }
        };
        tokio::select! {
            () = over => {}
            () = shared.deadline.notified() => continue,
        }
        loop {
            let late = shared.tracker().expire(Instant::now());
            let Some(origin) = late else { break };
            give_up(&shared, origin);
        }
    }
}

/// Tells a requester that nobody answered.
fn give_up(shared: &Arc<Shared>, origin: Origin) {
    shared.figures.timed_out.add();
    let (id, hook) = (shown(&origin.id), shown(&origin.hook.to_string()));
    tracing::warn!(target: "coordinator", "`{id}` has no response in time; {hook} is told");
    let response = Response::error(&*origin.id, TIMEOUT);
    deliver(shared, origin, response);
}

/// Gives up all requests that wait, and lets their requesters be told.
async fn give_all_up(shared: &Arc<Shared>) {
    shared.tracker().stop();
    loop {
        let Some(origin) = shared.tracker().give_up() else { break };
        give_up(shared, origin);
    }
    while !shared.tracker().is_idle() {
        shared.left.notified().await;
    }
}
