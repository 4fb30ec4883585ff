//! Signals: to the wrapper, handlers on all that can be passed on, and a task that tells of them; to
//! a client, the first that asks it to stop.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use coproc_core::process::watch;
use coproc_core::signal::Signal;
use signal_hook::flag;
use signal_hook::iterator::Signals;
use signal_hook::iterator::backend::SignalDelivery;
use signal_hook::iterator::exfiltrator::SignalOnly;
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
pub struct Taken(SignalDelivery<UnixStream, SignalOnly>);

/// Puts the handlers in place and lets signals through. Must come before any other thread, so
/// that none of them is born with signals blocked.
///
/// # Errors
/// When the system has no descriptors left.
pub fn take() -> io::Result<Taken> {
    let (read, write) = UnixStream::pair()?;
    let real_time = libc::SIGRTMIN()..=libc::SIGRTMAX();
    let numbers = TAKEN.into_iter().chain(real_time);
    let signals = SignalDelivery::with_pipe(read, write, SignalOnly, numbers)?;
    init::take_signals();
    Ok(Taken(signals))
}

impl Taken {
    /// Has the event loop, within which this is called, wait for them. Without it nobody may begin.
    ///
    /// # Errors
    /// When there are no descriptors left, or the event loop has no room.
    pub fn watch(self) -> io::Result<Watched> {
        let read = self.0.get_read();
        read.set_nonblocking(true)?;
        let woken = watch(read.try_clone()?.into(), Interest::READABLE)?;
        Ok(Watched { signals: self.0, woken })
    }
}

/// Signals that are waited for.
pub struct Watched {
    signals: SignalDelivery<UnixStream, SignalOnly>,
    /// Can be read from when one has come.
    woken: AsyncFd<OwnedFd>,
}

impl Watched {
    /// Tells of every signal, those that have come already too.
    pub fn tell(self, tell: impl Fn(OsSignal) + 'static) {
        let Self { mut signals, woken } = self;
        actix::spawn(async move {
            // No error but that the event loop is going.
            while let Ok(mut guard) = woken.readable().await {
                // In this order: what comes after the last look makes it readable again.
                guard.clear_ready();
                signals.pending().filter_map(Signal::from_number).map(OsSignal).for_each(&tell);
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
