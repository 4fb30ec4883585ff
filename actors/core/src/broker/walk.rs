//! One event's way through its subscribers: which orders it gives, to whom, one after another. Pure.

use actix::Message;
use tokio::sync::oneshot;

use crate::event::EventName;
use crate::process::SpawnError;

/// What a subscriber waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscription {
    /// By which it is known; nobody else ever has it.
    pub place: usize,
    /// The order among all subscribers, that of the config file.
    pub rank: usize,
    /// The event that starts it.
    pub exec_event: EventName,
    /// What has to hold besides, or if `exec_event` is among them, with it: then the last of them to come
    /// starts it.
    pub after: Vec<EventName>,
    /// The event that stops it; `None` for one that never is stopped by an event.
    pub stop_event: Option<EventName>,
}

impl Subscription {
    /// Whether both are started by the same.
    pub(super) fn starts_as(&self, other: &Self) -> bool {
        (&self.exec_event, &self.after) == (&other.exec_event, &other.after)
    }
}

/// What an event asks of a subscriber.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Start; hold the event if in the foreground.
    Start,
    /// Run the stop command, whatever the state.
    RunStopCommand,
    /// Stop, in bounded steps.
    Stop,
}

/// An order on its way to a subscriber.
///
/// One that is dropped before it was taken, in the mailbox of an actor that died, goes to the actor
/// that takes its place.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Deliver {
    order: Order,
    event: EventName,
    hold: Option<Hold>,
}

impl Deliver {
    /// An order that `event` asks for.
    pub fn new(order: Order, event: EventName, hold: Hold) -> Self {
        Self { order, event, hold: Some(hold) }
    }

    /// What is asked, by which event, and what is to be kept until it is carried out. `None` for
    /// one that was taken before.
    pub fn take(mut self) -> Option<(Order, EventName, Hold)> {
        let hold = self.hold.take()?;
        Some((self.order, self.event.clone(), hold))
    }
}

impl Drop for Deliver {
    fn drop(&mut self) {
        if let Some(Hold(release)) = self.hold.take() {
            // An event that was cancelled has nothing to give again.
            let _ = release.send(Outcome::Undelivered);
        }
    }
}

/// The right to make an event wait. Dropping it lets the event go on.
#[derive(Debug)]
pub struct Hold(oneshot::Sender<Outcome>);

/// How a subscriber let go of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All is well as far as the event is concerned.
    Released,
    /// The program in the foreground could not be started at all.
    SpawnFailed(SpawnError),
    /// The subscriber died before it saw the order.
    Undelivered,
}

/// A hold, and what tells that it was let go; an error says that it was dropped.
pub fn held() -> (Hold, oneshot::Receiver<Outcome>) {
    let (release, released) = oneshot::channel();
    (Hold(release), released)
}

impl Hold {
    /// Lets the event go on with the news that the program could not be started.
    pub fn spawn_failed(self, error: SpawnError) {
        // An event that was cancelled has no use for the news.
        let _ = self.0.send(Outcome::SpawnFailed(error));
    }
}

/// How an event ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Walked {
    /// The place of the first foreground program that could not be started, and why.
    pub failure: Option<(usize, SpawnError)>,
}

/// Orders that are given together; the next step waits until all are carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) order: Order,
    pub(super) places: Vec<usize>,
}

/// The steps of an event: starts in file order, one by one; then stop commands in file order, one
/// by one; then all that stop at it, side by side. `started` are the places of those whom it starts.
pub(super) fn steps<'a>(
    event: &EventName,
    subscriptions: impl Iterator<Item = &'a Subscription>,
    started: &[usize],
) -> Vec<Step> {
    let starts = |s: &Subscription| started.contains(&s.place);
    let stops = |s: &Subscription| s.stop_event.as_ref() == Some(event);
    // Most events concern nobody, however many there are.
    let mut sorted: Vec<_> = subscriptions.filter(|s| starts(s) || stops(s)).collect();
    sorted.sort_by_key(|subscription| subscription.rank);
    let places = |concerned: &dyn Fn(&Subscription) -> bool| -> Vec<usize> {
        sorted.iter().filter(|s| concerned(s)).map(|s| s.place).collect()
    };
    let (starts, stops) = (places(&starts), places(&stops));
    let single = |order| move |place: &usize| Step { order, places: vec![*place] };
    let mut steps: Vec<_> = starts.iter().map(single(Order::Start)).collect();
    steps.extend(stops.iter().map(single(Order::RunStopCommand)));
    if !stops.is_empty() {
        steps.push(Step { order: Order::Stop, places: stops });
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Phase;

    fn subscription(place: usize, exec: Phase, stop: Phase) -> Subscription {
        let (rank, stop_event) = (place, Some(stop.into()));
        Subscription { place, rank, exec_event: exec.into(), after: Vec::new(), stop_event }
    }

    #[test]
    fn the_order_is_that_of_the_file_whoever_came_first() {
        let mut subscriptions =
            [0, 1, 2].map(|place| subscription(place, Phase::Start, Phase::Exit));
        subscriptions[2].rank = 0;
        subscriptions[0].rank = 2;
        let steps = steps(&Phase::Exit.into(), subscriptions.iter(), &[]);
        let places: Vec<_> = steps.iter().map(|step| step.places.as_slice()).collect();
        assert_eq!(places, [&[2][..], &[1], &[0], &[2, 1, 0]]);
    }

    #[test]
    fn starts_then_stop_commands_in_file_order_then_all_stops_at_once() {
        let subscriptions = [
            subscription(2, Phase::Start, Phase::Reload),
            subscription(0, Phase::Reload, Phase::Reload),
            subscription(3, Phase::PreStart, Phase::Reload),
            subscription(1, Phase::Reload, Phase::Exit),
        ];
        let steps = steps(&Phase::Reload.into(), subscriptions.iter(), &[0, 1]);
        let seen: Vec<_> = steps.iter().map(|s| (s.order, s.places.as_slice())).collect();
        assert_eq!(
            seen,
            [
                (Order::Start, &[0][..]),
                (Order::Start, &[1]),
                (Order::RunStopCommand, &[0]),
                (Order::RunStopCommand, &[2]),
                (Order::RunStopCommand, &[3]),
                (Order::Stop, &[0, 2, 3]),
            ]
        );
    }

    #[test]
    fn an_event_nobody_waits_for_has_no_steps() {
        let subscriptions = [subscription(0, Phase::PreStart, Phase::Exit)];
        assert_eq!(steps(&Phase::ExitWorker.into(), subscriptions.iter(), &[]), []);
    }
}
