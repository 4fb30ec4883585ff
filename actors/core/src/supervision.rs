//! Supervision of actors: how a parent learns that a child actor is gone, and whether it builds a new one.
//!
//! An actor that dies is a bug; a program that ends is not, and never shows here. actix's own
//! supervisor does not survive a panic, so every child owns a [`Lifeline`], whose drop tells the
//! parent. The parent keeps the strong address (without one an actor ends) and, per child, a
//! [`Rebuilds`] that says how soon to build the next incarnation, or that it is time to give up.

use std::any::Any;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

use actix::{Message, WeakRecipient};
use tokio::time::Instant;

/// Which of its children a parent is told about.
pub type ChildId = usize;

/// How an actor ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Exit {
    /// It was asked to, or had nothing left to do.
    Stopped,
    /// It panicked, with this message.
    Panicked(String),
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stopped => f.write_str("stopped"),
            Self::Panicked(message) => write!(f, "panicked: {message}"),
        }
    }
}

/// The only proof that a child actor is gone.
#[derive(Clone, Debug, PartialEq, Eq, Message)]
#[rtype(result = "()")]
pub struct ChildExited {
    /// Which child.
    pub id: ChildId,
    /// How.
    pub exit: Exit,
}

/// What a child actor owns so that its parent hears of its end, whatever that end is.
#[derive(Debug)]
pub struct Lifeline {
    id: ChildId,
    // Weak, so that a child does not keep its parent alive.
    parent: WeakRecipient<ChildExited>,
}

impl Lifeline {
    /// A lifeline from child `id` to its parent.
    pub fn new(id: ChildId, parent: WeakRecipient<ChildExited>) -> Self {
        Self { id, parent }
    }
}

impl Drop for Lifeline {
    fn drop(&mut self) {
        let exit = match std::thread::panicking() {
            true => Exit::Panicked(LAST_PANIC.take().unwrap_or_else(|| "no message".to_owned())),
            false => Exit::Stopped,
        };
        if let Some(parent) = self.parent.upgrade() {
            parent.do_send(ChildExited { id: self.id, exit });
        }
    }
}

/// A bug on purpose, so that tests can see what comes of one.
#[cfg(feature = "faults")]
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub struct Panic;

thread_local! {
    static LAST_PANIC: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// The message of a panic, which is a literal or a formatted text.
fn payload_text(payload: &(dyn Any + Send)) -> &str {
    let literal = payload.downcast_ref::<&str>().copied();
    literal.or_else(|| payload.downcast_ref().map(String::as_str)).unwrap_or("no message")
}

/// Makes panics a line of the log, kept for the [`Lifeline`] of the actor they end, in place of a
/// message on stderr.
pub fn log_panics() {
    std::panic::set_hook(Box::new(|info| {
        let message = payload_text(info.payload());
        let text = match info.location() {
            Some(place) => format!("{message} ({}:{})", place.file(), place.line()),
            None => message.to_owned(),
        };
        tracing::error!(target: "supervisor", "panic: {text}");
        // A panic while another is handled must not become a third.
        let _ = LAST_PANIC.try_with(|last| {
            if let Ok(mut last) = last.try_borrow_mut() {
                *last = Some(text);
            }
        });
    }));
}

/// How many deaths of one child in which time are one too many, and how long to wait after each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Intensity {
    /// This many rebuilds are allowed…
    pub rebuilds: usize,
    /// …within this time.
    pub window: Duration,
    /// The pause before the first; it doubles with each further one in the window.
    pub initial: Duration,
    /// The longest pause.
    pub max: Duration,
}

impl Default for Intensity {
    fn default() -> Self {
        Self {
            rebuilds: 3,
            window: Duration::from_secs(30),
            initial: Duration::from_millis(100),
            max: Duration::from_secs(5),
        }
    }
}

/// What a parent does about a dead child.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Build it anew after this pause.
    Rebuild(Duration),
    /// It dies too often: the parent gives up as well.
    Escalate,
}

/// The recent deaths of one child.
#[derive(Clone, Debug, Default)]
pub struct Rebuilds {
    intensity: Intensity,
    recent: VecDeque<Instant>,
}

impl Rebuilds {
    /// No death so far.
    pub fn new(intensity: Intensity) -> Self {
        Self { intensity, recent: VecDeque::new() }
    }

    /// The child died at `now`.
    pub fn died(&mut self, now: Instant) -> Verdict {
        let window = self.intensity.window;
        self.recent.retain(|died| now.duration_since(*died) < window);
        if self.recent.len() >= self.intensity.rebuilds {
            return Verdict::Escalate;
        }
        let doublings = u32::try_from(self.recent.len()).unwrap_or(u32::MAX);
        let pause = self.intensity.initial.saturating_mul(2u32.saturating_pow(doublings));
        self.recent.push_back(now);
        Verdict::Rebuild(pause.min(self.intensity.max))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_and_the_fourth_death_escalates() {
        let mut rebuilds = Rebuilds::default();
        let start = Instant::now();
        let ms = |ms| Verdict::Rebuild(Duration::from_millis(ms));
        assert_eq!(rebuilds.died(start), ms(100));
        assert_eq!(rebuilds.died(start + Duration::from_secs(1)), ms(200));
        assert_eq!(rebuilds.died(start + Duration::from_secs(2)), ms(400));
        assert_eq!(rebuilds.died(start + Duration::from_secs(3)), Verdict::Escalate);
    }

    #[test]
    fn deaths_outside_the_window_are_forgotten() {
        let mut rebuilds = Rebuilds::default();
        let mut now = Instant::now();
        for _ in 0..50 {
            assert_eq!(rebuilds.died(now), Verdict::Rebuild(Duration::from_millis(100)));
            now += Duration::from_secs(30);
        }
    }

    mod with_actors {
        use actix::{Actor, Context, Handler};
        use tokio::sync::mpsc;

        use super::*;

        struct Parent(mpsc::UnboundedSender<ChildExited>);
        impl Actor for Parent {
            type Context = Context<Self>;
        }
        impl Handler<ChildExited> for Parent {
            type Result = ();
            fn handle(&mut self, exited: ChildExited, _: &mut Context<Self>) {
                self.0.send(exited).unwrap();
            }
        }

        struct Child(#[allow(dead_code)] Lifeline);
        impl Actor for Child {
            type Context = Context<Self>;
        }
        #[derive(Message)]
        #[rtype(result = "()")]
        struct Die(bool);
        impl Handler<Die> for Child {
            type Result = ();
            fn handle(&mut self, Die(panic): Die, ctx: &mut Context<Self>) {
                assert!(!panic, "as asked");
                actix::ActorContext::stop(ctx);
            }
        }

        async fn how_it_ends(panic: bool) -> ChildExited {
            let (told, mut tells) = mpsc::unbounded_channel();
            let parent = Parent(told).start();
            let child = Child(Lifeline::new(7, parent.downgrade().recipient())).start();
            child.do_send(Die(panic));
            tells.recv().await.unwrap()
        }

        #[actix_rt::test]
        async fn a_stopped_child_says_so() {
            assert_eq!(how_it_ends(false).await, ChildExited { id: 7, exit: Exit::Stopped });
        }

        #[actix_rt::test]
        async fn a_panicking_child_says_so() {
            log_panics();
            let exited = how_it_ends(true).await;
            let Exit::Panicked(message) = exited.exit else { panic!("{exited:?}") };
            assert!(message.starts_with("as asked ("), "{message}");
        }

        #[actix_rt::test]
        async fn a_child_without_an_address_is_gone_as_well() {
            let (told, mut tells) = mpsc::unbounded_channel();
            let parent = Parent(told).start();
            drop(Child(Lifeline::new(1, parent.downgrade().recipient())).start());
            assert_eq!(tells.recv().await.unwrap().exit, Exit::Stopped);
        }
    }
}
