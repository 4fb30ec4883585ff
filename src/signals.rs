//! Signals: to the wrapper, handlers on all that can be passed on, and a thread that tells of them; to
//! a client, the first that asks it to stop.

use std::io;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, mpsc};

use coproc_core::signal::Signal;
use signal_hook::flag;
use signal_hook::iterator::Signals;

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

/// The taken signals, waiting to be told of.
pub struct Taken(Signals);

/// Puts the handlers in place and lets signals through. Must come before any other thread, so
/// that none of them is born with signals blocked.
///
/// # Errors
/// When the system has no descriptors left.
pub fn take() -> io::Result<Taken> {
    let real_time = libc::SIGRTMIN()..=libc::SIGRTMAX();
    let signals = Signals::new(TAKEN.into_iter().chain(real_time))?;
    init::take_signals();
    Ok(Taken(signals))
}

impl Taken {
    /// Starts the thread that waits for signals and for nothing else. It is started before there is
    /// anybody to tell, since without it nobody may begin.
    ///
    /// # Errors
    /// When the system refuses a thread.
    pub fn watch(self) -> io::Result<Watched> {
        let mut signals = self.0;
        let (listener, told) = mpsc::channel::<Listener>();
        std::thread::Builder::new().name("coproc-signals".into()).stack_size(64 * 1024).spawn(
            move || {
                // Without a listener the start was given up.
                let Ok(tell) = told.recv() else { return };
                for number in signals.forever() {
                    if let Some(signal) = Signal::from_number(number) {
                        tell(OsSignal(signal));
                    }
                }
            },
        )?;
        Ok(Watched(listener))
    }
}

/// Who is told of signals.
type Listener = Box<dyn Fn(OsSignal) + Send>;

/// Signals that are watched for and wait to be told of.
pub struct Watched(mpsc::Sender<Listener>);

impl Watched {
    /// Tells of every signal, those that have come already too.
    pub fn tell(self, tell: impl Fn(OsSignal) + Send + 'static) {
        // The thread waits for just this.
        let _ = self.0.send(Box::new(tell));
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
