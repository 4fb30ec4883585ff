//! The broker's actor: it keeps the subscriptions and works off the steps of events.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::rc::Rc;
use std::time::SystemTime;

use actix::{
    Actor, Addr, AsyncContext, Context, Handler, Message, MessageResult, Recipient, WeakRecipient,
};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::group::Group;
use super::join::Join;
use super::walk::{self, Step};
use super::{Deliver, EventLog, Order, Outcome, Subscription, Walked, held};
use crate::event::{Event, EventName, Phase};
use crate::supervision::Lifeline;

/// How many events of the main process may wait for one that is held. Beyond it the comings and
/// goings of workers are passed over; all else still waits, and is bounded by its nature.
const PHASES_WAITING: usize = 1024;

/// Adds a subscriber, or gives the one in its place a new address.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Subscribe {
    /// What it waits for.
    pub subscription: Subscription,
    /// Where orders go. Weak, so that a list of subscribers keeps nobody alive.
    pub to: WeakRecipient<Deliver>,
}

/// Where the broker is, after it was built anew.
#[derive(Clone, Debug, Message)]
#[rtype(result = "()")]
pub struct BrokerIs(pub Addr<EventBroker>);

/// Where the broker is, for an actor and for tasks of its own.
pub type BrokerPlace = Rc<RefCell<Addr<EventBroker>>>;

/// The subscriber in this place is gone for good: nothing waits for it any more.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub struct Unsubscribe(pub usize);

/// From now on these are the groups.
#[derive(Clone, Debug, Message)]
#[rtype(result = "()")]
pub struct Regroup(pub Vec<Group>);

/// An event happened.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Publish {
    /// Which.
    pub event: Event,
    /// Who waits for it to be worked off. A sender that is dropped says that the broker died.
    pub done: Option<oneshot::Sender<Walked>>,
}

impl Publish {
    /// An event that nothing waits for.
    pub fn new(event: Event) -> Self {
        Self { event, done: None }
    }
}

/// The wrapper is leaving: from now on nobody but those concerned by the exit makes it wait.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Cancel;

/// Asks which events are being worked off just now.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "Ongoing")]
pub struct WhatGoesOn;

/// The events that are being worked off, and those of the main process that wait behind one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ongoing {
    /// In the order in which they came.
    pub walks: Vec<OngoingWalk>,
    /// In their order.
    pub behind: Vec<EventName>,
    /// What those wait for who wait for several events, by place: what has not come, or holds no longer.
    pub missing: BTreeMap<usize, Vec<EventName>>,
}

/// An event that is being worked off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OngoingWalk {
    /// Which.
    pub event: EventName,
    /// When its present step began.
    pub since: Instant,
    /// What is asked in this step.
    pub order: Order,
    /// The places of those whom it asks. Some of them may have let go already.
    pub places: Vec<usize>,
    /// The places of those whose start comes later.
    pub to_start: Vec<usize>,
}

#[derive(Message)]
#[rtype(result = "()")]
struct StepDone {
    walk: u64,
    order: Order,
    /// By place.
    outcomes: Vec<(usize, Outcome)>,
}

struct Slot {
    subscription: Subscription,
    join: Join,
    to: WeakRecipient<Deliver>,
    /// Orders that came while the subscriber was being rebuilt.
    waiting: Vec<Deliver>,
}

struct Walk {
    event: EventName,
    /// The step that goes on, and when it began.
    present: Option<(Step, Instant)>,
    steps: VecDeque<Step>,
    walked: Walked,
    done: Option<oneshot::Sender<Walked>>,
}

/// The actor.
pub struct EventBroker {
    slots: HashMap<usize, Slot>,
    groups: Vec<Group>,
    log: Rc<RefCell<EventLog>>,
    walks: HashMap<u64, Walk>,
    next_walk: u64,
    /// Events of the main process that wait for the one before.
    phases: VecDeque<Publish>,
    /// The walk of the main process's event that is being worked off.
    current_phase: Option<u64>,
    leaving: bool,
    _lifeline: Lifeline,
}

impl EventBroker {
    /// A broker without subscribers that goes on with this log.
    pub fn new(log: Rc<RefCell<EventLog>>, lifeline: Lifeline) -> Self {
        Self {
            slots: HashMap::new(),
            groups: Vec::new(),
            log,
            walks: HashMap::new(),
            next_walk: 0,
            phases: VecDeque::new(),
            current_phase: None,
            leaving: false,
            _lifeline: lifeline,
        }
    }

    /// The same, with groups whose events it publishes as well.
    pub fn with_groups(mut self, groups: Vec<Group>) -> Self {
        self.regroup(groups);
        self
    }

    /// What has come has come, also to the groups before these.
    fn regroup(&mut self, mut groups: Vec<Group>) {
        for stamped in self.log.borrow().since(0) {
            groups.iter_mut().for_each(|group| drop(group.hears(&stamped.event)));
        }
        self.groups = groups;
    }

    fn begin(&mut self, publish: Publish, ctx: &mut Context<Self>) {
        let Publish { event, done } = publish;
        tracing::debug!(target: "event", "[{}] triggered: {}", event.name, Facts(&event));
        self.log.borrow_mut().record(event.clone(), SystemTime::now());
        for told in self.groups.iter_mut().filter_map(|group| group.hears(&event)) {
            ctx.notify(Publish::new(told));
        }
        let hears = |slot: &mut Slot| slot.join.hears(&event).then_some(slot.subscription.place);
        let started: Vec<_> = self.slots.values_mut().filter_map(hears).collect();
        let subscriptions = self.slots.values().map(|slot| &slot.subscription);
        let steps = walk::steps(&event.name, subscriptions, &started).into();
        let id = self.next_walk;
        self.next_walk += 1;
        if event.phase().is_some() {
            self.current_phase = Some(id);
        }
        let (event, walked) = (event.name, Walked::default());
        self.walks.insert(id, Walk { event, present: None, steps, walked, done });
        self.advance(id, ctx);
    }

    fn advance(&mut self, id: u64, ctx: &mut Context<Self>) {
        let Some(walk) = self.walks.get_mut(&id) else { return };
        let step = match walk.walked.failure {
            // Starting more would only mean stopping more.
            Some(_) if walk.event == EventName::Phase(Phase::PreStart) => None,
            _ => walk.steps.pop_front(),
        };
        let Some(step) = step else {
            self.finish(id, ctx);
            return;
        };
        walk.present = Some((step.clone(), Instant::now()));
        let event = walk.event.clone();
        let is_phase = matches!(event, EventName::Phase(_));
        let order = step.order;
        let mut releases = Vec::with_capacity(step.places.len());
        for place in step.places {
            let (hold, released) = held();
            releases.push((place, released));
            let deliver = Deliver::new(order, event.clone(), hold);
            let Some(slot) = self.slots.get_mut(&place) else {
                drop(deliver.take());
                continue;
            };
            match slot.to.upgrade().filter(Recipient::connected) {
                Some(to) => to.do_send(deliver),
                None => slot.waiting.push(deliver),
            }
        }
        let broker = ctx.address();
        let is_exit = event == EventName::Phase(Phase::Exit);
        if self.leaving && is_phase && !is_exit {
            releases.clear();
        }
        actix_rt::spawn(async move {
            let mut outcomes = Vec::with_capacity(releases.len());
            for (place, release) in releases {
                // A hold that was dropped was let go.
                outcomes.push((place, release.await.unwrap_or(Outcome::Released)));
            }
            broker.do_send(StepDone { walk: id, order, outcomes });
        });
    }

    fn finish(&mut self, id: u64, ctx: &mut Context<Self>) {
        if let Some(Walk { done: Some(done), walked, .. }) = self.walks.remove(&id) {
            // One who gave up waiting has lost interest.
            let _ = done.send(walked);
        }
        if self.current_phase == Some(id) {
            self.current_phase = None;
            if let Some(next) = self.phases.pop_front() {
                self.begin(next, ctx);
            }
        }
    }
}

impl Actor for EventBroker {
    type Context = Context<Self>;
}

impl Handler<Subscribe> for EventBroker {
    type Result = ();

    fn handle(&mut self, Subscribe { subscription, to }: Subscribe, _: &mut Context<Self>) {
        let place = subscription.place;
        let (waiting, join) = match self.slots.remove(&place) {
            Some(slot) if slot.subscription.starts_as(&subscription) => {
                (slot.waiting, Some(slot.join))
            }
            Some(slot) => (slot.waiting, None),
            None => (Vec::new(), None),
        };
        // Nothing is started by what was; but what has come has come, also to the broker before this one.
        let join = join.unwrap_or_else(|| {
            let mut join = Join::new(&subscription);
            for stamped in self.log.borrow().since(0) {
                join.hears(&stamped.event);
            }
            join
        });
        if let Some(to) = to.upgrade() {
            for deliver in waiting {
                to.do_send(deliver);
            }
        }
        self.slots.insert(place, Slot { subscription, join, to, waiting: Vec::new() });
    }
}

impl Handler<Unsubscribe> for EventBroker {
    type Result = ();

    fn handle(&mut self, Unsubscribe(place): Unsubscribe, _: &mut Context<Self>) {
        if let Some(slot) = self.slots.remove(&place) {
            for deliver in slot.waiting {
                drop(deliver.take());
            }
        }
    }
}

impl Handler<Regroup> for EventBroker {
    type Result = ();

    fn handle(&mut self, Regroup(groups): Regroup, _: &mut Context<Self>) {
        self.regroup(groups);
    }
}

impl Handler<Publish> for EventBroker {
    type Result = ();

    fn handle(&mut self, publish: Publish, ctx: &mut Context<Self>) {
        let phase = publish.event.phase();
        if phase.is_none() || self.current_phase.is_none() {
            self.begin(publish, ctx);
            return;
        }
        let of_worker = matches!(phase, Some(Phase::StartWorker | Phase::ExitWorker));
        if of_worker && self.phases.len() >= PHASES_WAITING {
            tracing::warn!(target: "events", "[{}] passed over: {PHASES_WAITING} events wait already", publish.event.name);
        } else {
            self.phases.push_back(publish);
        }
    }
}

impl Handler<StepDone> for EventBroker {
    type Result = ();

    fn handle(&mut self, done: StepDone, ctx: &mut Context<Self>) {
        let Some(walk) = self.walks.get_mut(&done.walk) else { return };
        let mut undelivered = Vec::new();
        for (place, outcome) in done.outcomes {
            match outcome {
                Outcome::Released => {}
                Outcome::SpawnFailed(error) => {
                    walk.walked.failure.get_or_insert((place, error));
                }
                Outcome::Undelivered => undelivered.push(place),
            }
        }
        if !undelivered.is_empty() {
            walk.steps.push_front(Step { order: done.order, places: undelivered });
        }
        self.advance(done.walk, ctx);
    }
}

impl Handler<WhatGoesOn> for EventBroker {
    type Result = MessageResult<WhatGoesOn>;

    fn handle(&mut self, _: WhatGoesOn, _: &mut Context<Self>) -> Self::Result {
        let mut walks: Vec<_> = self.walks.iter().collect();
        walks.sort_unstable_by_key(|(id, _)| **id);
        let ongoing = walks.into_iter().filter_map(|(_, walk)| {
            let (step, since) = walk.present.as_ref()?;
            let starts = walk.steps.iter().filter(|step| step.order == Order::Start);
            Some(OngoingWalk {
                event: walk.event.clone(),
                since: *since,
                order: step.order,
                places: step.places.clone(),
                to_start: starts.flat_map(|step| step.places.clone()).collect(),
            })
        });
        MessageResult(Ongoing {
            walks: ongoing.collect(),
            behind: self.phases.iter().map(|publish| publish.event.name.clone()).collect(),
            missing: self
                .slots
                .iter()
                .filter(|(_, slot)| !slot.subscription.after.is_empty())
                .map(|(place, slot)| (*place, slot.join.missing().cloned().collect()))
                .collect(),
        })
    }
}

impl Handler<Cancel> for EventBroker {
    type Result = ();

    fn handle(&mut self, Cancel: Cancel, ctx: &mut Context<Self>) {
        self.leaving = true;
        if let Some(id) = self.current_phase {
            if let Some(walk) = self.walks.get_mut(&id) {
                walk.steps.clear();
            }
            self.finish(id, ctx);
        }
    }
}

#[cfg(feature = "faults")]
impl Handler<crate::supervision::Panic> for EventBroker {
    type Result = ();

    fn handle(&mut self, _: crate::supervision::Panic, _: &mut Context<Self>) {
        panic!("the broker was told to");
    }
}

/// An event's facts in the form of nginx-wrapper's debug line.
struct Facts<'a>(&'a Event);

impl std::fmt::Display for Facts<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut fields: Vec<_> = self.0.fields.iter().collect();
        fields.sort_by_key(|(key, _)| *key);
        f.write_str("map[")?;
        for (at, (key, value)) in fields.into_iter().enumerate() {
            let gap = if at == 0 { "" } else { " " };
            match value.as_str() {
                Some(text) => write!(f, "{gap}{key}:{text}")?,
                None => write!(f, "{gap}{key}:{value}")?,
            }
        }
        f.write_str("]")
    }
}
