//! What the root hears from outside the tree, and from its children: signals, and how the main process and
//! coprocesses ended.

use actix::{Context, Handler};
use coproc_coprocess::messages::GaveUp;
use coproc_core::exit::{ExitStatus, FAILURE};
use coproc_core::process::SpawnError;
use coproc_core::signal::Signal;
use coproc_main::config::Kind;
use coproc_main::messages::{MainNews, Pass};
use tokio::time::Instant;

use super::cause::Cause;
use super::lifecycle::Input;
use super::root::Root;
use crate::signals::{GRACEFUL_STOP, OsSignal};

impl Handler<OsSignal> for Root {
    type Result = ();

    fn handle(&mut self, OsSignal(signal): OsSignal, ctx: &mut Context<Self>) {
        let words = signal.description();
        tracing::debug!(target: "signals", "signal received: {words}");
        match signal {
            Signal::TERM | Signal::INT | Signal::QUIT => {
                tracing::info!(target: "signals", "shutting down");
                tracing::info!(target: "pm", "shutdown cause: {words}");
                self.leaves_because(Cause::Signal(signal));
                self.happened(Input::Stop(signal), ctx);
            }
            signal if signal.number() == GRACEFUL_STOP => {
                self.leaves_because(Cause::Signal(signal));
                self.happened(Input::Stop(Signal::QUIT), ctx);
            }
            Signal::HUP | Signal::USR2 => {
                self.reload(format!("the main process received HUP ({words})"), None);
            }
            Signal::USR1 => {
                self.output.reopen();
                self.log_exec_sockets();
                if let (Kind::Nginx, Some(main)) = (self.config.main.kind, &self.main) {
                    main.do_send(Pass(signal));
                }
            }
            other => {
                if let Some(main) = &self.main {
                    main.do_send(Pass(other));
                }
            }
        }
    }
}

impl Handler<MainNews> for Root {
    type Result = ();

    fn handle(&mut self, news: MainNews, ctx: &mut Context<Self>) {
        let (pid, status, daemonised) = match news {
            MainNews::Failed(error) => return self.main_failed(&error, ctx),
            MainNews::FileChanged(path) => return self.reload(format!("`{path}` changed"), None),
            MainNews::Unfit(why) => {
                tracing::error!(target: "pm", "the main process {why}: shutting down with status {FAILURE}");
                self.leaves_because(Cause::MainUnfit(why));
                return self.happened(Input::GaveUp(FAILURE), ctx);
            }
            MainNews::Exited { pid, status, daemonised } => (pid, status, daemonised),
        };
        self.main_pid = Some(pid);
        self.main_exit = Some(status);
        self.main_gone = Some(Instant::now());
        let mut code = status.shell_code();
        if daemonised {
            let text = "nginx left the foreground: its configuration says `daemon on;`, which has \
                        to go or to be `daemon off;`";
            tracing::error!(target: "nginx-run", fatal = true, "{text}");
            self.complain(text);
            self.leaves_because(Cause::MainLeft);
            code = FAILURE;
        }
        self.leaves_because(Cause::MainEnded(status));
        match status {
            ExitStatus::Code(0) => {
                tracing::debug!(target: "nginx-run", "{pid} ended with {status}")
            }
            // It did as it was told.
            ExitStatus::Signal(signal)
                if signal != Signal::KILL
                    && self.main_stop.is_some_and(|stop| stop.signal == signal) =>
            {
                tracing::info!(target: "nginx-run", "{pid} ended with {status}");
            }
            _ => tracing::error!(target: "nginx-run", "{pid} ended with {status}"),
        }
        self.happened(Input::MainGone(code), ctx);
    }
}

impl Handler<GaveUp> for Root {
    type Result = ();

    fn handle(&mut self, GaveUp { name, code }: GaveUp, ctx: &mut Context<Self>) {
        tracing::error!(target: "pm", "`{name}` has failed for good: shutting down with status {code}");
        self.leaves_because(Cause::GaveUp(name));
        self.happened(Input::GaveUp(code), ctx);
    }
}

impl Root {
    fn main_failed(&mut self, error: &SpawnError, ctx: &mut Context<Self>) {
        tracing::error!(target: "run", fatal = true, "{error}");
        self.complain(&error.to_string());
        self.leaves_because(Cause::MainNotStarted(error.to_string()));
        self.happened(Input::MainGone(error.code), ctx);
    }
}
