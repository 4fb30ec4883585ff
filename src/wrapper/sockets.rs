//! The exec sockets of a running wrapper: those that a changed config opens and closes, and what they do.

use actix::Context;
use coproc_core::service::Drain;
use tokio::sync::oneshot;

use super::children::{Child, Served};
use super::root::Root;
use crate::change::{Plan, Socket};

impl Root {
    /// Serves exec sockets that were opened.
    pub(super) fn open_sockets(
        &mut self,
        sockets: Vec<coproc_exec::Bound>,
        ctx: &mut Context<Self>,
    ) {
        for bound in sockets {
            let place = self.next_socket;
            self.next_socket += 1;
            self.open_sockets.borrow_mut().push(bound.clone());
            self.exec_sockets.insert(place, Served::new(bound));
            self.build(Child::ExecSocket(place), ctx);
        }
    }

    /// Closes the exec sockets that the config has no more; resolves with their places when their programs
    /// have ended.
    pub(super) fn close_sockets(&self, plan: &Plan) -> impl Future<Output = Vec<usize>> + use<> {
        let closes = |name: &str| plan.sockets.contains(&(name.to_owned(), Socket::Close));
        self.open_sockets.borrow_mut().retain(|bound| !closes(bound.name()));
        let closing = self.exec_sockets.iter().filter(|(_, one)| closes(one.bound.name()));
        let (places, drained): (Vec<_>, Vec<_>) = closing
            .map(|(place, socket)| {
                let (done, over) = oneshot::channel();
                if let Some(actor) = &socket.actor {
                    actor.do_send(Drain { done });
                }
                (*place, over)
            })
            .unzip();
        async move {
            for one in drained {
                // One whose actor died has nothing that runs.
                let _ = one.await;
            }
            places
        }
    }

    /// What each exec socket does just now, for the log.
    pub(super) fn log_exec_sockets(&self) {
        for socket in self.exec_sockets.values() {
            let figures = socket.bound.figures().snapshot();
            tracing::info!(
                target: "exec",
                "{}: {} connections, {} programs run, {} were started, {} connections were refused",
                socket.bound.name(),
                figures.connected,
                figures.runs.len(),
                figures.started,
                figures.refused,
            );
            for run in figures.runs {
                let seconds = run.started.elapsed().as_secs();
                tracing::info!(
                    target: "exec",
                    "{}: `{}` runs as {} for uid {}, for {seconds} s",
                    socket.bound.name(),
                    run.program,
                    run.pid,
                    run.uid,
                );
            }
        }
    }
}
