//! Who is connected, by entrance, and how many ever were. It outlives the server's actor.

use std::cell::Cell;
use std::rc::Rc;

/// Where a client comes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entrance {
    /// The control socket, where everything can be asked.
    Socket,
    /// A port of `control.listen`, where health and metrics can, and with a token everything.
    Port,
}

/// Sums of one entrance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Connections {
    /// How many there are now.
    pub open: u64,
    /// How many there have been.
    pub all: u64,
}

/// The sums of both entrances.
#[derive(Debug, Default)]
pub struct Guests([Cell<Connections>; 2]);

/// A connection; it counts as open until this is dropped.
pub(crate) struct Guest {
    guests: Rc<Guests>,
    entrance: Entrance,
}

impl Guests {
    /// The sums, with the names of the entrances.
    pub fn counts(&self) -> Vec<(&'static str, Connections)> {
        ["socket", "port"].into_iter().zip(self.0.iter().map(Cell::get)).collect()
    }

    pub(crate) fn enter(self: &Rc<Self>, entrance: Entrance) -> Guest {
        let sums = &self.0[entrance as usize];
        let Connections { open, all } = sums.get();
        sums.set(Connections { open: open + 1, all: all + 1 });
        Guest { guests: self.clone(), entrance }
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        let sums = &self.guests.0[self.entrance as usize];
        let Connections { open, all } = sums.get();
        sums.set(Connections { open: open.saturating_sub(1), all });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guests_come_and_go() {
        let guests = Rc::new(Guests::default());
        let first = guests.enter(Entrance::Socket);
        let second = guests.enter(Entrance::Socket);
        drop(first);
        drop(guests.enter(Entrance::Port));
        let expected = [
            ("socket", Connections { open: 1, all: 2 }),
            ("port", Connections { open: 0, all: 1 }),
        ];
        assert_eq!(guests.counts(), expected);
        drop(second);
    }
}
