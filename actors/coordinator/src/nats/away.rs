//! Requests on their way to another coordinator, and responses on their way back to it.

use std::pin::pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use async_nats::{Client, RequestErrorKind};
use coproc_acomm::{Request, Response, Url};
use tokio::time::{sleep, sleep_until};

use super::offer::{Offer, Verdict};
use super::peers::Peers;
use super::{Passed, When};
use crate::forward::{Entrance, Tracked, Untaken, Way, enter};
use crate::hook::{Try, outside};
use crate::oneshot::is_source;
use crate::router::{NO_PROVIDERS, is_task};
use crate::shared::Shared;
use crate::tracker::Origin;

/// What a requester is told when a stream cannot be read from elsewhere.
const NO_ADDRESS: &str = "the stream has no address that another coordinator can reach";
/// How long the one who was asked may take to claim a request before all are, and one of many where another
/// has passed it on.
const CLAIMED: Duration = Duration::from_millis(250);
/// In how many rounds a request is offered.
const ROUNDS: u32 = 32;

/// Gives a request to another coordinator, if one takes it.
pub(crate) async fn give_away(way: &Way<'_>, when: When) -> Result<(), Passed> {
    let Way { shared, request, .. } = *way;
    let nobody = || Passed::from(Untaken::Nobody(NO_PROVIDERS.to_owned()));
    // What came from another one goes no further.
    if way.entrance == Entrance::Shared || !is_task(&request.task) {
        return Err(nobody());
    }
    let peers = shared.peers.as_ref().ok_or_else(nobody)?;
    let client = peers.connected().ok_or_else(nobody)?;
    let own = match way.tracked {
        Some(_) => None,
        None => Some(enter(shared, &request.id, way.hook.clone(), way.entrance, way.now)?),
    };
    let Some(tracked) = way.tracked.as_ref().or(own.as_ref()) else { return Err(nobody()) };
    let given = async {
        let mut request = request.clone();
        if let Some(source) = request.stream.take_if(|source| source.is_unix()) {
            let reached = reachable(shared, &tracked.origin, source);
            request.stream = Some(reached.map_err(Untaken::Refused)?);
        }
        request.id = tracked.hop.to_string();
        request.hook = Some(peers.hook());
        let until = way.patience();
        let rounds = &way.rounds;
        let offering =
            Offering { peers, client: &client, request: &request, tracked, until, rounds };
        offering.offer(when).await
    }
    .await;
    match given {
        // If it is not there any more, it was answered already: that word counts.
        Err(_) if own.is_some_and(|own| !own.forget(shared)) => {}
        Err(passed) => return Err(passed),
        Ok(()) => {}
    }
    shared.figures.sent.add();
    Ok(())
}

/// A request that is offered to others.
struct Offering<'a> {
    peers: &'a Peers,
    client: &'a Client,
    request: &'a Request,
    tracked: &'a Tracked,
    /// Until when a provider is waited for.
    until: Instant,
    /// How many there were.
    rounds: &'a AtomicU32,
}

/// What came of one round.
enum Round {
    /// Somebody says what he makes of it.
    Said { error: String, verdict: Verdict, from: String },
    /// Nobody has claimed it in time.
    Unclaimed,
    /// Nobody is there to be asked.
    NobodyThere,
    /// The server takes no message of its size.
    TooLarge,
    /// It is answered already.
    Answered,
    /// It may be with somebody, and no word of it comes.
    Lost(String),
}

impl Offering<'_> {
    /// One of the group first. If that one passes, all others, until one has it or nobody wants it.
    async fn offer(&self, when: When) -> Result<(), Passed> {
        let mut passed = Passed::from(Untaken::Nobody(NO_PROVIDERS.to_owned()));
        let (wait, mut hoped) = match when {
            When::Now => (false, Vec::new()),
            When::Later(hoped) => (true, hoped),
        };
        let mut offer = Offer::default();
        // Whoever waits is asked with all others.
        let mut to_all = wait;
        let mut limit = CLAIMED;
        loop {
            // No number comes twice, for a late claim to be one on its own round alone.
            offer.round = self.rounds.fetch_add(1, Ordering::Relaxed);
            offer.hoped = wait.then(|| hoped.clone());
            if offer.round == ROUNDS {
                return Err(passed);
            }
            let (error, verdict, from) = match self.ask(&offer, to_all, limit).await {
                Round::Said { error, verdict, from } => (error, verdict, from),
                Round::Answered => return Ok(()),
                // One that leaves the group may lose what was on its way to it. One that has much to do is
                // asked once more, and has all of its time.
                Round::Unclaimed if !to_all => {
                    passed.untaken = Untaken::Refused("ack timeout".to_owned());
                    (to_all, limit) = (true, self.peers.config.ack_timeout);
                    continue;
                }
                Round::Unclaimed | Round::NobodyThere => return Err(passed),
                Round::TooLarge => return Err(Untaken::Refused(self.too_large()).into()),
                Round::Lost(why) => return Err(Untaken::Unclear(why).into()),
            };
            match verdict {
                Verdict::Final if error.is_empty() => return Ok(()),
                Verdict::Final => return Err(Untaken::Unclear(error).into()),
                Verdict::Later => passed.later.push(from.clone()),
                Verdict::Nobody if matches!(passed.untaken, Untaken::Refused(_)) => {}
                Verdict::Nobody => passed.untaken = Untaken::Nobody(error),
                Verdict::Refused => passed.untaken = Untaken::Refused(error),
            }
            // A coordinator that does not say who it is knows nothing of rounds.
            if from.is_empty() {
                return Err(passed);
            }
            hoped.retain(|hoped| *hoped != from);
            if wait && hoped.is_empty() {
                return Err(passed);
            }
            offer.passed.push(from);
            (to_all, limit) = (true, CLAIMED);
        }
    }

    /// One round: it is over if nobody claims the request within `limit`, and where a provider is waited for,
    /// when that has had its time.
    async fn ask(&self, offer: &Offer, to_all: bool, limit: Duration) -> Round {
        let (peers, hop) = (self.peers, &self.tracked.hop);
        let subject = match to_all {
            false => peers.task(&self.request.task),
            true => peers.all(&self.request.task),
        };
        let left = |until: Instant| until.saturating_duration_since(Instant::now());
        let limit = match offer.hoped {
            Some(_) => left(self.until),
            None => limit.min(left(self.tracked.origin.deadline)),
        };
        let message = async_nats::Request::new()
            .payload(self.request.encode().into())
            .headers(offer.headers())
            .timeout(None);
        let answered = peers.claims.open(hop, offer.round);
        let mut answer = pin!(self.client.send_request(subject, message));
        let at_once = tokio::select! {
            answer = &mut answer => Some(answer),
            () = answered.notified() => return self.close(Round::Answered),
            () = sleep(limit) => None,
        };
        let answer = match at_once {
            Some(answer) => answer,
            // From here on nobody gets it who has not claimed it yet.
            None if !peers.claims.withdraw(hop) => return Round::Unclaimed,
            // Whoever has it may take all of its time.
            None => tokio::select! {
                answer = &mut answer => answer,
                () = answered.notified() => return self.close(Round::Answered),
                () = sleep_until(self.tracked.origin.deadline.into()) => {
                    return self.close(Round::Lost("ack timeout".to_owned()));
                }
            },
        };
        let granted = peers.claims.withdraw(hop);
        peers.claims.close(hop);
        match answer {
            Ok(message) => match Response::decode(&message.payload) {
                Ok(response) => {
                    let (verdict, from) = Verdict::read(message.headers.as_ref());
                    Round::Said { error: response.error, verdict, from }
                }
                Err(error) => Round::Lost(error.0),
            },
            Err(error) => match error.kind() {
                RequestErrorKind::NoResponders if !granted => Round::NobodyThere,
                RequestErrorKind::MaxPayloadExceeded => Round::TooLarge,
                _ => Round::Lost(error.to_string()),
            },
        }
    }

    fn too_large(&self) -> String {
        let (length, most) = (self.request.encode().len(), self.client.max_payload());
        format!("the request has {length} bytes, NATS takes {most}")
    }

    fn close(&self, round: Round) -> Round {
        self.peers.claims.close(&self.tracked.hop);
        round
    }
}

/// The address at which others can read a stream of this machine.
fn reachable(shared: &Shared, origin: &Origin, source: Url) -> Result<Url, String> {
    if !is_source(shared, &source) {
        return Err("stream is not allowed".to_owned());
    }
    let query = shared.publish(source).map_err(|error| error.to_string())?;
    outside(shared, origin, None, &query).ok_or_else(|| NO_ADDRESS.to_owned())
}

/// Tries to bring a response back. Doing so again does no harm: who waits for it hears it once.
pub(crate) async fn return_response(
    shared: &Shared,
    origin: &Origin,
    response: &Response,
    query: Option<&str>,
) -> Try {
    let Some(peers) = &shared.peers else { return Try::Refused("nothing is shared".to_owned()) };
    let Some(home) = peers.home(&origin.hook) else {
        return Try::Refused("it is no coordinator".to_owned());
    };
    let Some(client) = peers.connected() else {
        return Try::Again("the NATS server is away".to_owned());
    };
    let mut response = response.clone();
    if let Some(query) = query {
        match outside(shared, origin, None, query) {
            Some(url) => response.stream = Some(url),
            None => response = Response::error(response.id, NO_ADDRESS),
        }
    }
    let (mut payload, most) = (response.encode(), client.max_payload());
    if payload.len() > most {
        let why = format!("the response has {} bytes, NATS takes {most}", payload.len());
        payload = Response::error(response.id, why).encode();
    }
    let message = async_nats::Request::new()
        .payload(payload.into())
        .timeout(Some(peers.config.ack_timeout.min(shared.config.hook_timeout / 2)));
    match client.send_request(format!("{home}.response"), message).await {
        Ok(_) => Try::Delivered,
        Err(error) => Try::Again(error.to_string()),
    }
}
