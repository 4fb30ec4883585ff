//! What comes from other coordinators: requests for tasks that have providers here, claims of requests
//! that were offered, and responses.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_nats::{Client, ConnectOptions, Event, Message, Subscriber};
use coproc_acomm::{DecodeError, Request, Response};
use futures_util::StreamExt;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

use super::folders::Folders;
use super::{Login, Peers};
use crate::forward::{Entrance, take};
use crate::router::NO_PROVIDERS;
use crate::server::{Shared, Stop};
use crate::unix::{answered, shown};

/// The group in which one coordinator gets each request.
const GROUP: &str = "coordinators";
/// How many messages of a subject wait; what comes beyond that is not kept, and who sent it hears no
/// answer.
const QUEUE: usize = 1024;
/// The longest pause between two tries to connect.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// What a claim is answered with if it is granted.
const YES: &str = "yes";

/// Serves other coordinators until nothing more is to be accepted. What they sent back is taken for as
/// long as the thread lives.
pub(crate) async fn serve(shared: Arc<Shared>, mut stop: watch::Receiver<Stop>) {
    let Some(peers) = &shared.peers else { return };
    let told = async {
        // Its sender is there for as long as the thread is wanted.
        let _ = stop.wait_for(|stop| *stop != Stop::Not).await;
    };
    let mut offered = Offered::new();
    tokio::select! {
        shared = share(&shared, peers, &mut offered) => if let Err(error) = shared {
            tracing::error!(target: "coordinator", "tasks are not shared: {error}");
        },
        () = told => {}
    }
    if peers.connected().is_none() {
        return;
    }
    let left = async {
        // Who came before the groups were left is answered.
        for (leave, taking) in offered.into_values() {
            drop(leave);
            let _ = taking.await;
        }
        let all = u32::try_from(peers.config.max_requests).unwrap_or(u32::MAX);
        let _ = peers.seats.acquire_many(all).await;
    };
    if tokio::time::timeout(peers.config.ack_timeout, left).await.is_err() {
        tracing::warn!(target: "coordinator", "NATS: the groups are not left in time");
    }
}

/// The tasks that this coordinator takes for others. To drop the first part is to leave the group.
type Offered = HashMap<String, (oneshot::Sender<()>, JoinHandle<()>)>;

async fn share(shared: &Arc<Shared>, peers: &Peers, offered: &mut Offered) -> io::Result<()> {
    // What a thread that died had offered is not granted any more.
    peers.open().clear();
    let client = connect(peers, &shared.config.service_name).await.map_err(io::Error::other)?;
    let own = client.subscribe(format!("{}.*", peers.own)).await.map_err(io::Error::other)?;
    *peers.client.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(client.clone());
    tokio::spawn(hear(shared.clone(), client.clone(), own));
    let folders = Folders::open(shared.config.socket_dir.clone())?;
    loop {
        let tasks = folders.tasks();
        offered.retain(|task, _| tasks.contains(task));
        for task in tasks {
            if offered.contains_key(&task) {
                continue;
            }
            let subject = peers.task(&task);
            let group = client.queue_subscribe(subject, GROUP.to_owned()).await;
            let requests = group.map_err(io::Error::other)?;
            let (leave, left) = oneshot::channel();
            let taking = take_in(shared.clone(), client.clone(), requests, left);
            offered.insert(task, (leave, tokio::spawn(taking)));
        }
        folders.changed().await?;
    }
}

/// Returns at once; the connection comes about when the server is there, and again when it was away.
async fn connect(peers: &Peers, name: &str) -> Result<Client, async_nats::ConnectError> {
    let options = ConnectOptions::new()
        .name(name)
        .retry_on_initial_connect()
        .connection_timeout(peers.config.connect_timeout)
        .subscription_capacity(QUEUE)
        .custom_inbox_prefix(format!("{}.inbox", peers.config.subject))
        .reconnect_delay_callback(|tries| {
            let tries = u32::try_from(tries).unwrap_or(u32::MAX);
            Duration::from_millis(100).saturating_mul(tries).min(LONGEST_PAUSE)
        })
        .event_callback(async |event| match event {
            Event::Connected => tracing::info!(target: "coordinator", "NATS: connected"),
            Event::Disconnected => tracing::warn!(target: "coordinator", "NATS: disconnected"),
            event => tracing::warn!(target: "coordinator", "NATS: {}", shown(&event.to_string())),
        });
    let options = match &peers.config.login {
        Login::None => options,
        Login::User(user, password) => options.user_and_password(user.clone(), password.clone()),
        Login::Token(token) => options.token(token.clone()),
    };
    options.connect(peers.config.servers.as_slice()).await
}

/// Answers claims and takes responses.
async fn hear(shared: Arc<Shared>, client: Client, mut messages: Subscriber) {
    while let Some(message) = messages.next().await {
        let Some(peers) = &shared.peers else { return };
        let answer = match message.subject.rsplit('.').next() {
            Some("claim") => {
                let hop = String::from_utf8_lossy(&message.payload);
                let granted = peers.open().remove(&*hop);
                if granted { YES } else { "no" }.into()
            }
            Some("response") => match Response::decode(&message.payload) {
                Ok(response) => {
                    answered(&shared, response);
                    Response::ack("").encode()
                }
                Err(DecodeError(why)) => Response::error("", why).encode(),
            },
            _ => continue,
        };
        reply(&client, &message, answer).await;
    }
}

/// Takes the requests of one task until its group is left, and those that came before that.
async fn take_in(
    shared: Arc<Shared>,
    client: Client,
    mut requests: Subscriber,
    mut left: oneshot::Receiver<()>,
) {
    let Some(seats) = shared.peers.as_ref().map(|peers| peers.seats.clone()) else { return };
    let mut leaving = false;
    loop {
        let message = tokio::select! {
            message = requests.next() => message,
            _ = &mut left, if !leaving => {
                leaving = true;
                match requests.drain().await {
                    Ok(()) => continue,
                    Err(_) => return,
                }
            }
        };
        let Some(message) = message else { return };
        let Ok(seat) = seats.clone().acquire_owned().await else { return };
        let (shared, client) = (shared.clone(), client.clone());
        tokio::spawn(async move {
            let ack = match Request::decode(&message.payload) {
                Ok(request) => consider(&shared, &client, request).await,
                Err(DecodeError(why)) => Response::error("", why),
            };
            reply(&client, &message, ack.encode()).await;
            drop(seat);
        });
    }
}

async fn consider(shared: &Arc<Shared>, client: &Client, request: Request) -> Response {
    let home = shared.peers.as_ref().and_then(|peers| {
        let home = peers.home(request.hook.as_ref()?)?;
        Some((peers, home))
    });
    let Some((peers, home)) = home else {
        return Response::error(request.id, "response hook is not allowed");
    };
    if shared.directory.sockets(&request.task, Instant::now()).is_empty() {
        return Response::error(request.id, NO_PROVIDERS);
    }
    let claim = async_nats::Request::new()
        .payload(request.id.clone().into())
        .timeout(Some(peers.config.ack_timeout));
    match client.send_request(format!("{home}.claim"), claim).await {
        Ok(answer) if answer.payload == YES => take(shared, request, Entrance::Shared).await,
        _ => Response::error(request.id, "the request was given up"),
    }
}

async fn reply(client: &Client, message: &Message, answer: Vec<u8>) {
    let Some(subject) = message.reply.clone() else { return };
    if let Err(error) = client.publish(subject, answer.into()).await {
        tracing::debug!(target: "coordinator", "NATS: an answer is not sent: {error}");
    }
}
