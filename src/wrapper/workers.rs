//! The workers of the gateway's Python driver, ended when the driver says so; that they are started again is
//! their own policy.

use std::sync::Arc;

use actix::{AsyncContext, Context, Handler, Message, WeakRecipient};
use coproc_coprocess::messages::Command;
use coproc_core::process::in_group;
use coproc_core::signal::Signal;
use coproc_gateway::driver::python::Supervisor;

use super::root::Root;

/// Ends a worker if it is still this process.
#[derive(Message)]
#[rtype(result = "()")]
struct KillWorker {
    name: String,
    pid: i32,
}

/// The tree as the driver sees it, from whatever thread.
struct Tree(WeakRecipient<KillWorker>);

impl Supervisor for Tree {
    fn kill(&self, worker: &str, pid: i32) {
        if let Some(root) = self.0.upgrade() {
            root.do_send(KillWorker { name: worker.to_owned(), pid });
        }
    }
}

impl Root {
    /// Has the driver end workers through the tree.
    pub(super) fn supervise_workers(&self, ctx: &Context<Self>) {
        let Some(gateway) = &self.gateway else { return };
        if let Some(python) = &gateway.bound.services().python {
            python.supervised_by(Arc::new(Tree(ctx.address().downgrade().recipient())));
        }
    }
}

impl Handler<KillWorker> for Root {
    type Result = ();

    fn handle(&mut self, KillWorker { name, pid }: KillWorker, _: &mut Context<Self>) {
        let mut children = self.coprocesses.iter();
        let Some(child) = children.find(|child| child.config.name.as_str() == name) else { return };
        let leader = child.standing.borrow().pid;
        // What has been started since is another process.
        if leader.is_some_and(|leader| leader == pid || in_group(pid, leader))
            && let Some(actor) = &child.actor
        {
            actor.do_send(Command::Signal(Signal::KILL));
        }
    }
}
