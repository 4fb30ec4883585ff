//! Signals: to the wrapper, handlers on all that can be passed on, and a task that tells of them; to
//! a client, the first that asks it to stop.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use coproc_core::process::watch;
use coproc_core::signal::Signal;
use signal_hook::flag;
use signal_hook::iterator::Signals;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::init;

/// A signal came.
#[derive(Clone, Copy, Debug, actix::Message)]
#[rtype(result = "()")]
pub struct OsSignal(pub Signal);

/// All that can be passed on to the main process. CHLD and PIPE are not among them: neither is for
/// us. SEGV, BUS, FPE and ILL are faults of whoever gets them.
const TAKEN: [i32; 20] = [
    libc::SIGHUP,
    libc::SIGINT,
    libc::SIGQUIT,
    libc::SIGTERM,
    libc::SIGUSR1,
    libc::SIGUSR2,
    libc::SIGALRM,
    libc::SIGCONT,
    libc::SIGTSTP,
    libc::SIGWINCH,
    libc::SIGPWR,
    libc::SIGVTALRM,
    libc::SIGPROF,
    libc::SIGIO,
    libc::SIGXCPU,
    libc::SIGXFSZ,
    libc::SIGTRAP,
    libc::SIGSYS,
    libc::SIGABRT,
    libc::SIGSTKFLT,
];

/// systemd's and podman's way to ask for a stop.
pub const GRACEFUL_STOP: i32 = 37;

/// The taken signals, waiting for somebody to be told of them.
pub struct Taken(OwnedFd);

/// Puts the handlers in place and lets signals through. Must come before any other thread, so
/// that none of them is born with signals blocked.
///
/// # Errors
/// When the system has no descriptors left.
pub fn take() -> io::Result<Taken> {
    let real_time = libc::SIGRTMIN()..=libc::SIGRTMAX();
    init::take_signals(TAKEN.into_iter().chain(real_time)).map(Taken)
}

impl Taken {
    /// Has the event loop, within which this is called, wait for them. Without it nobody may begin.
    ///
    /// # Errors
    /// When the event loop has no room.
    pub fn watch(self) -> io::Result<Watched> {
        watch(self.0, Interest::READABLE).map(Watched)
    }
}

/// Signals that are waited for.
pub struct Watched(AsyncFd<OwnedFd>);

impl Watched {
    /// Tells of every signal, those that have come already too.
    pub fn tell(self, tell: impl Fn(OsSignal) + 'static) {
        let Self(woken) = self;
        actix::spawn(async move {
            // No error but that the event loop is going.
            while let Ok(mut guard) = woken.readable().await {
                // Emptied first: what comes from here on makes it readable again.
                guard.clear_ready();
                let _ = rustix::io::read(&woken, &mut [0; 8]);
                init::came().filter_map(Signal::from_number).map(OsSignal).for_each(&tell);
            }
        });
    }
}

/// Calls `first` at the first INT or TERM, from a thread of its own. The second ends this process as if
/// nobody had asked. What was ignored when this process was started stays so.
///
/// # Errors
/// When the system refuses descriptors or a thread.
pub fn first_stop(first: impl FnOnce(Signal) + Send + 'static) -> io::Result<()> {
    let came = Arc::new(AtomicBool::new(false));
    let heeded =
        [libc::SIGINT, libc::SIGTERM].into_iter().filter(|number| !init::is_ignored(*number));
    let heeded = heeded.collect::<Vec<_>>();
    for number in heeded.iter().copied() {
        // In this order: the first one is not yet the second.
        flag::register_conditional_default(number, came.clone())?;
        flag::register(number, came.clone())?;
    }
    let mut signals = Signals::new(heeded)?;
    std::thread::Builder::new().name("coproc-signals".into()).stack_size(64 * 1024).spawn(
        move || {
            if let Some(signal) = signals.forever().next().and_then(Signal::from_number) {
                first(signal);
            }
        },
    )?;
    Ok(())
}
