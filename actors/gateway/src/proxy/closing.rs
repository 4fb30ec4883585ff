//! How a thread tells its connections to end, and knows when none is left.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::task::{Context, Waker};

use tokio::sync::Notify;

/// The connections of one thread.
#[derive(Debug, Default)]
pub(super) struct Closing {
    told: Cell<bool>,
    stays: RefCell<HashMap<u64, Option<Waker>>>,
    next: Cell<u64>,
    idle: Notify,
}

/// One connection among them, until this is dropped.
#[derive(Debug)]
pub(super) struct Stay {
    closing: Rc<Closing>,
    id: u64,
    /// The thread knows whom to wake.
    known: Cell<bool>,
}

impl Closing {
    /// One more connection.
    pub(super) fn enter(self: &Rc<Self>) -> Stay {
        let id = self.next.get();
        self.next.set(id + 1);
        self.stays.borrow_mut().insert(id, None);
        Stay { closing: self.clone(), id, known: Cell::new(false) }
    }

    /// Tells all of them to end.
    pub(super) fn tell(&self) {
        self.told.set(true);
        let wakers: Vec<_> =
            self.stays.borrow_mut().values_mut().filter_map(Option::take).collect();
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Resolves when none is left.
    pub(super) async fn is_over(&self) {
        while !self.stays.borrow().is_empty() {
            self.idle.notified().await;
        }
    }
}

impl Stay {
    /// Whether the connection was told to end; its task, which is always the same, is woken when it is.
    pub(super) fn is_told(&self, cx: &Context<'_>) -> bool {
        if !self.known.replace(true) {
            self.closing.stays.borrow_mut().insert(self.id, Some(cx.waker().clone()));
        }
        self.closing.told.get()
    }
}

impl Drop for Stay {
    fn drop(&mut self) {
        let mut stays = self.closing.stays.borrow_mut();
        stays.remove(&self.id);
        if stays.is_empty() {
            self.closing.idle.notify_one();
        }
    }
}
