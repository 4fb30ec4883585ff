//! What comes from other coordinators: requests for tasks that have providers here, claims of requests
//! that were offered, and responses.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_nats::{Client, ConnectOptions, Event, HeaderMap, Message, Subscriber};
use coproc_acomm::{DecodeError, Request, Response};
use coproc_core::scalar::printable;
use coproc_core::threads::Stop;
use futures_util::StreamExt;
use tokio::sync::{OwnedSemaphorePermit, oneshot, watch};
use tokio::task::JoinHandle;

use super::Login;
use super::folders::Folders;
use super::offer::{Offer, Verdict, claimed};
use super::peers::Peers;
use crate::awaited::comes;
use crate::forward::{Entrance, attempt, patience};
use crate::router::NO_PROVIDERS;
use crate::server::Shared;
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

/// The subjects on which this coordinator takes tasks for others. To drop the first part is to leave it.
type Offered = HashMap<String, (oneshot::Sender<()>, JoinHandle<()>)>;

async fn share(shared: &Arc<Shared>, peers: &Peers, offered: &mut Offered) -> io::Result<()> {
    // What a thread that died had offered is not granted any more.
    peers.claims.clear();
    let client = connect(peers, &shared.config.service_name).await.map_err(io::Error::other)?;
    let own = client.subscribe(format!("{}.*", peers.own)).await.map_err(io::Error::other)?;
    *peers.client.lock().unwrap_or_else(PoisonError::into_inner) = Some(client.clone());
    tokio::spawn(hear(shared.clone(), client.clone(), own));
    let folders = Folders::open(shared.config.socket_dir.clone())?;
    let mut awaited = shared.awaited.changes();
    loop {
        let mut tasks = folders.tasks();
        tasks.extend(awaited.borrow_and_update().iter().cloned());
        let groups = tasks.iter().map(|task| (peers.task(task), true));
        let wanted: HashMap<_, _> =
            groups.chain(tasks.iter().map(|task| (peers.all(task), false))).collect();
        offered.retain(|subject, _| wanted.contains_key(subject));
        for (subject, is_group) in wanted {
            if offered.contains_key(&subject) {
                continue;
            }
            let requests = match is_group {
                true => client.queue_subscribe(subject.clone(), GROUP.to_owned()).await,
                false => client.subscribe(subject.clone()).await,
            };
            let requests = requests.map_err(io::Error::other)?;
            let (leave, left) = oneshot::channel();
            let taking = take_in(shared.clone(), client.clone(), requests, is_group, left);
            offered.insert(subject, (leave, tokio::spawn(taking)));
        }
        tokio::select! {
            changed = folders.changed() => changed?,
            // The sender lives as long as what is shared.
            _ = awaited.changed() => {}
        }
    }
}

/// Returns at once; the connection comes about when the server is there, and again when it was away.
async fn connect(peers: &Peers, name: &str) -> Result<Client, async_nats::ConnectError> {
    let troubles = Arc::new(Troubles::default());
    let told = troubles.clone();
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
        // It is called before each try; the choice stays the client's own.
        .reconnect_to_server_callback(move |servers, _| {
            troubles.tell(&servers);
            async { None }
        })
        .event_callback(move |event| {
            match event {
                Event::Connected => {
                    told.are_over();
                    tracing::info!(target: "coordinator", "NATS: connected");
                }
                Event::Disconnected => tracing::warn!(target: "coordinator", "NATS: disconnected"),
                event => {
                    tracing::warn!(target: "coordinator", "NATS: {}", shown(&event.to_string()));
                }
            }
            async {}
        });
    let options = match &peers.config.login {
        Login::None => options,
        Login::User(user, password) => options.user_and_password(user.clone(), password.clone()),
        Login::Token(token) => options.token(token.clone()),
    };
    let options = match &peers.config.ca {
        Some(ca) => options.add_root_certificates(ca.clone()),
        None => options,
    };
    options.connect(peers.config.servers.as_slice()).await
}

/// Why there is no connection, as it was told last.
#[derive(Default)]
struct Troubles(Mutex<String>);

impl Troubles {
    /// Tells what is new.
    fn tell(&self, servers: &[async_nats::Server]) {
        let trouble = |server: &async_nats::Server| {
            Some(format!("{server}: {}", server.last_error.as_deref()?))
        };
        let all = servers.iter().filter_map(trouble).collect::<Vec<_>>().join("; ");
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !all.is_empty() && *told != all {
            tracing::warn!(target: "coordinator", "NATS: no connection: {:.400}", printable(&all));
            *told = all;
        }
    }

    fn are_over(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

/// Answers claims and takes responses.
async fn hear(shared: Arc<Shared>, client: Client, mut messages: Subscriber) {
    while let Some(message) = messages.next().await {
        let Some(peers) = &shared.peers else { return };
        let part = message.subject.rsplit('.').next().unwrap_or_default();
        let answer = match (part, claimed(part)) {
            (_, Some(round)) => {
                let hop = String::from_utf8_lossy(&message.payload);
                if peers.claims.grant(&hop, round) { YES } else { "no" }.into()
            }
            ("response", None) => match Response::decode(&message.payload) {
                Ok(response) => {
                    peers.claims.answered(&response.id);
                    answered(&shared, response);
                    Response::ack("").encode()
                }
                Err(DecodeError(why)) => Response::error("", why).encode(),
            },
            _ => continue,
        };
        reply(&client, &message, answer, None).await;
    }
}

/// Takes the requests of one task until its group is left, and those that came before that.
async fn take_in(
    shared: Arc<Shared>,
    client: Client,
    mut requests: Subscriber,
    is_group: bool,
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
            let offer = Offer::read(message.headers.as_ref());
            let offer = Asked { offer: &offer, is_alone: is_group };
            let considered = match Request::decode(&message.payload) {
                Ok(request) => consider(&shared, &client, request, offer, seat).await,
                Err(DecodeError(why)) => Some((Response::error("", why), Verdict::Final)),
            };
            let Some((ack, verdict)) = considered else { return };
            let Some(peers) = &shared.peers else { return };
            reply(&client, &message, ack.encode(), verdict.headers(&peers.name)).await;
        });
    }
}

/// An offer that came.
struct Asked<'a> {
    offer: &'a Offer,
    /// Whether nobody else was asked.
    is_alone: bool,
}

/// What to say of an offer; `None` where others are asked as well and this one has nothing to add.
async fn consider(
    shared: &Arc<Shared>,
    client: &Client,
    request: Request,
    Asked { offer, is_alone }: Asked<'_>,
    seat: OwnedSemaphorePermit,
) -> Option<(Response, Verdict)> {
    let home = shared.peers.as_ref().and_then(|peers| {
        let home = peers.home(request.hook.as_ref()?)?;
        Some((peers, home))
    });
    let Some((peers, home)) = home else {
        let refused = Response::error(request.id, "response hook is not allowed");
        return Some((refused, Verdict::Final));
    };
    if offer.passed.contains(&peers.name) {
        return None;
    }
    let id = request.id.clone();
    let verdict = |is_awaited| if is_awaited { Verdict::Later } else { Verdict::Nobody };
    let nobody = || (Response::error(id.clone(), NO_PROVIDERS), Verdict::Nobody);
    let is_awaited = shared.awaited.includes(&request.task);
    let mut seat = Some(seat);
    if offer.hoped.is_some() && is_awaited {
        let Ok(_wait) = peers.waits.try_acquire() else {
            return offer.hopes_for(&peers.name).then(nobody);
        };
        // Others need not wait for it.
        seat = None;
        let until = Instant::now() + patience(shared);
        tracing::debug!(
            target: "coordinator",
            "`{}` is waited for for another coordinator",
            shown(&request.task)
        );
        if !comes(shared, &request.task, until).await {
            return Some(nobody());
        }
    } else if shared.directory.sockets(&request.task, Instant::now()).is_empty() {
        let verdict = verdict(is_awaited);
        let is_asked = is_alone || verdict == Verdict::Later || offer.hopes_for(&peers.name);
        return is_asked.then(|| (Response::error(id, NO_PROVIDERS), verdict));
    }
    let claim = async_nats::Request::new()
        .payload(id.clone().into())
        .timeout(Some(peers.config.ack_timeout));
    let claimed = client.send_request(format!("{home}.{}", offer.claim()), claim).await;
    if !claimed.is_ok_and(|answer| answer.payload == YES) {
        let given_up = Response::error(id, "the request was given up");
        return is_alone.then_some((given_up, Verdict::Final));
    }
    let outcome = attempt(shared, request, Entrance::Shared).await;
    drop(seat);
    Some(match outcome {
        Ok(()) => (Response::ack(id), Verdict::Final),
        Err(untaken) => {
            let verdict = match Verdict::of(&untaken) {
                Verdict::Nobody => verdict(is_awaited),
                other => other,
            };
            (Response::error(id, untaken.why()), verdict)
        }
    })
}

async fn reply(client: &Client, message: &Message, answer: Vec<u8>, headers: Option<HeaderMap>) {
    let Some(subject) = message.reply.clone() else { return };
    let sent = match headers {
        Some(headers) => client.publish_with_headers(subject, headers, answer.into()).await,
        None => client.publish(subject, answer.into()).await,
    };
    if let Err(error) = sent {
        tracing::debug!(target: "coordinator", "NATS: an answer is not sent: {error}");
    }
}
