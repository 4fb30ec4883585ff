//! Which thread serves a connection. Of a crowd that comes at once the kernel gives nearly all to the thread that
//! woke first. So whoever accepts a connection passes it on to the thread that serves the fewest, once for as long
//! as it lasts.

use std::net::{IpAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use tokio::sync::mpsc;

use super::figures::Connected;

/// A connection that was accepted.
#[derive(Debug)]
pub(crate) enum Accepted {
    Tcp(TcpStream, IpAddr),
    Unix(UnixStream),
}

/// A connection on its way to the thread that serves it. There are as many as there may be connections.
pub(super) type Passed = (Accepted, Seated, Connected);

/// What comes to a thread.
pub(crate) type Coming = mpsc::UnboundedReceiver<Passed>;

/// All threads.
#[derive(Debug)]
pub(crate) struct Crew(Vec<Seat>);

#[derive(Debug)]
struct Seat {
    /// How many connections its thread serves.
    serving: AtomicUsize,
    way: mpsc::UnboundedSender<Passed>,
}

/// A connection among those of a thread, until this is dropped.
#[derive(Debug)]
pub(crate) struct Seated {
    crew: Arc<Crew>,
    number: usize,
}

impl Drop for Seated {
    fn drop(&mut self) {
        self.crew.0[self.number].serving.fetch_sub(1, Relaxed);
    }
}

impl Crew {
    /// So many threads, and what comes to each.
    pub(crate) fn new(threads: usize) -> (Arc<Self>, Vec<Coming>) {
        let seat = |_| {
            let (way, coming) = mpsc::unbounded_channel();
            (Seat { serving: AtomicUsize::new(0), way }, coming)
        };
        let (seats, coming) = (0..threads).map(seat).unzip();
        (Arc::new(Self(seats)), coming)
    }

    /// A place for a connection that thread `own` has accepted: there unless another serves fewer.
    pub(super) fn seat(self: &Arc<Self>, own: usize) -> Seated {
        let serving = |number: &usize| self.0[*number].serving.load(Relaxed);
        let least = (0..self.0.len()).min_by_key(serving).unwrap_or(own);
        let number = if serving(&least) < serving(&own) { least } else { own };
        self.seat_at(number)
    }

    fn seat_at(self: &Arc<Self>, number: usize) -> Seated {
        self.0[number].serving.fetch_add(1, Relaxed);
        Seated { crew: self.clone(), number }
    }

    /// Passes a connection on to where it is seated. It comes back, seated at `own`, where nobody takes it.
    pub(super) fn pass(self: &Arc<Self>, passed: Passed, own: usize) -> Result<(), Passed> {
        let number = passed.1.number;
        let back = self.0[number].way.send(passed).map_err(|back| back.0);
        back.map_err(|(accepted, _, connected)| (accepted, self.seat_at(own), connected))
    }
}

impl Seated {
    /// Whether it is at this thread.
    pub(super) fn is_at(&self, number: usize) -> bool {
        self.number == number
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proxy::Figures;

    #[test]
    fn a_crowd_is_spread_and_who_is_alone_stays() {
        let (crew, mut coming) = Crew::new(3);
        let alone = crew.seat(1);
        assert!(alone.is_at(1));
        let crowd: Vec<_> = (0..8).map(|_| crew.seat(1)).collect();
        for number in 0..3 {
            assert_eq!(crew.0[number].serving.load(Relaxed), 3);
        }
        drop((alone, crowd));
        let figures = Arc::<Figures>::default();
        let passed = |seated| {
            let stream = UnixStream::pair().unwrap().0;
            (Accepted::Unix(stream), seated, figures.connect(9).unwrap())
        };
        let _first = crew.seat(1);
        assert!(crew.pass(passed(crew.seat(1)), 1).is_ok());
        assert!(coming[0].try_recv().unwrap().1.is_at(0));
        // A thread that has ended takes nothing.
        coming[0].close();
        let (_, seated, _) = crew.pass(passed(crew.seat(1)), 1).unwrap_err();
        assert!(seated.is_at(1));
    }
}
