//! Signals: to the wrapper, handlers on all that can be passed on, and a thread that tells of them; to
//! a client, the first that asks it to stop.

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use coproc_core::signal::Signal;
use signal_hook::flag;
use signal_hook::iterator::{Handle, Signals};

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
    /// Tells of every signal from now on, from a thread that waits for nothing else.
    ///
    /// # Errors
    /// When the system refuses a thread.
    pub fn tell(self, tell: impl Fn(OsSignal) + Send + 'static) -> io::Result<Handle> {
        let mut signals = self.0;
        let handle = signals.handle();
        std::thread::Builder::new().name("coproc-signals".into()).stack_size(64 * 1024).spawn(
            move || {
                for number in signals.forever() {
                    if let Some(signal) = Signal::from_number(number) {
                        tell(OsSignal(signal));
                    }
                }
            },
        )?;
        Ok(handle)
    }
}

/// Calls `first` at the first INT or TERM, from a thread of its own. The second ends this process as if
/// nobody had asked.
///
/// # Errors
/// When the system refuses descriptors or a thread.
pub fn first_stop(first: impl FnOnce(Signal) + Send + 'static) -> io::Result<()> {
    let came = Arc::new(AtomicBool::new(false));
    for number in [libc::SIGINT, libc::SIGTERM] {
        // In this order: the first one is not yet the second.
        flag::register_conditional_default(number, came.clone())?;
        flag::register(number, came.clone())?;
    }
    let mut signals = Signals::new([libc::SIGINT, libc::SIGTERM])?;
    std::thread::Builder::new().name("coproc-signals".into()).stack_size(64 * 1024).spawn(
        move || {
            if let Some(signal) = signals.forever().next().and_then(Signal::from_number) {
                first(signal);
            }
        },
    )?;
    Ok(())
}
