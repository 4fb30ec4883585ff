//! The tiny init above the runtime: it forwards signals, reaps every orphan, and at the end ends
//! whatever is left. It starts before any thread exists and allocates next to nothing.
//!
//! The split exists because a process that reaps everybody's children steals the exit status of
//! its own. So the outer process, which may be PID 1, reaps strangers only, and the runtime below
//! it waits for nothing but what it started itself.
#![allow(unsafe_code)]

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use coproc_core::exit::{ExitStatus, FAILURE};
use coproc_core::signal::Signal;
use nix::errno::Errno;
use nix::sys::signal::SigSet;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, fork, getpid, setpgid};

/// Which side of the split this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The runtime: it goes on. All signals are blocked until [`take_signals`].
    Runtime,
    /// The init, after all is over.
    Init {
        /// It leaves with this code.
        code: u8,
        /// What ended the runtime, if that was no end of its own.
        killed: Option<Signal>,
    },
}

/// Takes CHLD back to its default. Where a parent had it ignored, as a shell's `trap '' CHLD` does,
/// the kernel would reap our children itself, and their exit status would be lost.
///
/// # Errors
/// When the system refuses.
pub fn heed_children() -> io::Result<()> {
    use nix::sys::signal::{SigHandler, Signal, signal};
    // SAFETY: no handler is installed, so none can run.
    unsafe { signal(Signal::SIGCHLD, SigHandler::SigDfl) }?;
    Ok(())
}

/// Whether a signal is ignored, as `nohup` and a shell's `trap '' INT` have it.
pub fn is_ignored(number: i32) -> bool {
    // SAFETY: all zeroes is a valid action, which is overwritten.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    // SAFETY: nothing is set, and what is read outlives the call.
    let read = unsafe { libc::sigaction(number, std::ptr::null(), &raw mut action) };
    read == 0 && action.sa_sigaction == libc::SIG_IGN
}

static STDOUT_WAS_CLOSED: AtomicBool = AtomicBool::new(false);

/// Looks before the standard library puts `/dev/null` where a standard stream is closed.
#[used]
// SAFETY: the loader calls it once, before any thread; it makes one system call and stores a flag.
#[unsafe(link_section = ".init_array")]
static LOOK: extern "C" fn() = {
    extern "C" fn look() {
        // SAFETY: a plain system call on a descriptor number.
        let closed = unsafe { libc::fcntl(libc::STDOUT_FILENO, libc::F_GETFD) } == -1;
        STDOUT_WAS_CLOSED.store(closed, Ordering::Relaxed);
    }
    look
};

/// Whether this process was started without a standard output.
pub fn stdout_was_closed() -> bool {
    STDOUT_WAS_CLOSED.load(Ordering::Relaxed)
}

/// Splits this process if it is PID 1 or `subreaper` is set. Must be called while it has one thread.
///
/// # Errors
/// When the system refuses a process or a group.
pub fn split(subreaper: bool, stray_timeout: Duration) -> io::Result<Side> {
    let first = getpid().as_raw() == 1;
    // Whatever comes before the runtime can take it waits, so that no signal is lost.
    SigSet::all().thread_block()?;
    if !first && !subreaper {
        return Ok(Side::Runtime);
    }
    if !first {
        rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
    }
    let init = getpid();
    // SAFETY: there is one thread, so the child is in a state as orderly as ours.
    match unsafe { fork() }? {
        ForkResult::Child => {
            // A group of its own: Ctrl-C reaches the init alone, which passes it on once.
            setpgid(Pid::from_raw(0), Pid::from_raw(0))?;
            rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::TERM))?;
            if !first && nix::unistd::getppid() != init {
                return Err(io::Error::other("the init is gone already"));
            }
            Ok(Side::Runtime)
        }
        ForkResult::Parent { child } => {
            // Also here, since either side may run first.
            let _ = setpgid(child, child);
            let status = forward_and_reap(child);
            let hurry = matches!(status, ExitStatus::Signal(_));
            sweep(first, if hurry { Duration::ZERO } else { stray_timeout });
            Ok(match status {
                ExitStatus::Code(code) => {
                    Side::Init { code: u8::try_from(code).unwrap_or(FAILURE), killed: None }
                }
                // The runtime does not die of signals that it handles: this is a failure of ours.
                ExitStatus::Signal(signal) => {
                    let text = format!("error: the wrapper's runtime was ended by {signal}\n");
                    crate::console::complain(&text);
                    Side::Init { code: FAILURE, killed: Some(signal) }
                }
            })
        }
    }
}

/// Lets signals through again, once their handlers are in place. CHLD stays blocked: nobody here waits
/// for it, and a child that ends while another is being started would wake a thread for nothing.
pub fn take_signals() {
    let mut heard = SigSet::all();
    heard.remove(nix::sys::signal::Signal::SIGCHLD);
    let _ = heard.thread_unblock();
}

/// Lets go of the program's own code as far as it was needed to get here: parsing, merging and
/// checking. What is needed later is mapped again from the page cache when it is run.
pub fn give_back_code() {
    // The linker lays out headers and constants first, then code, then all that is ever written to.
    unsafe extern "C" {
        static __executable_start: u8;
        static etext: u8;
    }
    let page = rustix::param::page_size();
    let start = (&raw const __executable_start).addr();
    let end = (&raw const etext).addr() & !(page - 1);
    if !start.is_multiple_of(page) || end <= start {
        return;
    }
    // SAFETY: these pages are the file's, never written to, so the kernel finds them again as they
    // were. Where it refuses, they stay.
    unsafe {
        libc::madvise(
            (&raw const __executable_start).cast_mut().cast(),
            end - start,
            libc::MADV_DONTNEED,
        )
    };
}

/// How long the init keeps the code that it has needed: one whose main process soon ends needs it again.
const KEEPS_CODE: Duration = Duration::from_secs(1);

/// Passes signals on to the runtime and reaps orphans until the runtime has ended.
fn forward_and_reap(runtime: Pid) -> ExitStatus {
    let mut keeps_until = Some(Instant::now() + KEEPS_CODE);
    loop {
        let left = keeps_until.map(|until| until.saturating_duration_since(Instant::now()));
        match wait_for_signal(left) {
            Some((libc::SIGCHLD, _)) => {
                if let Some(status) = reap(Some(runtime)) {
                    return status;
                }
            }
            // What the terminal itself sends is not meant for the main process: nginx would end
            // its workers because a window was resized.
            Some((libc::SIGWINCH | libc::SIGTSTP, libc::SI_KERNEL)) => {}
            Some((libc::SIGTTIN | libc::SIGTTOU, _)) => {}
            // Faults, which nobody can be given.
            Some((libc::SIGSEGV | libc::SIGBUS | libc::SIGFPE | libc::SIGILL, _)) => {}
            Some((number, _)) => {
                // SAFETY: kill(2) touches no memory, and the runtime is our unreaped child.
                unsafe { libc::kill(runtime.as_raw(), number) };
            }
            None if keeps_until.take().is_some() => give_back_code(),
            None => {}
        }
    }
}

/// Waits for a blocked signal: its number and its origin.
fn wait_for_signal(limit: Option<Duration>) -> Option<(i32, i32)> {
    let set = SigSet::all();
    // SAFETY: an all-zero siginfo_t is valid, and it is only read after the kernel filled it.
    let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
    let number = match limit {
        // SAFETY: both pointers are valid for the call.
        None => unsafe { libc::sigwaitinfo(set.as_ref(), &mut info) },
        Some(limit) => {
            let limit = libc::timespec {
                tv_sec: limit.as_secs().try_into().unwrap_or(libc::time_t::MAX),
                tv_nsec: limit.subsec_nanos().into(),
            };
            // SAFETY: all three pointers are valid for the call.
            unsafe { libc::sigtimedwait(set.as_ref(), &mut info, &limit) }
        }
    };
    (number > 0).then_some((number, info.si_code))
}

/// Reaps all that has ended; says how `awaited` did.
fn reap(awaited: Option<Pid>) -> Option<ExitStatus> {
    let mut found = None;
    loop {
        let (pid, status) = match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::Exited(pid, code)) => (pid, ExitStatus::Code(code)),
            Ok(WaitStatus::Signaled(pid, signal, _)) => (
                pid,
                ExitStatus::Signal(Signal::from_number(signal as i32).unwrap_or(Signal::KILL)),
            ),
            Ok(WaitStatus::StillAlive) | Err(Errno::ECHILD) => return found,
            // A real-time signal, which nix has no name for, reads as EINVAL after the child is
            // reaped. Only a runtime killed by one could be meant, and it handles them all.
            Ok(_) | Err(_) => continue,
        };
        if Some(pid) == awaited {
            found = Some(status);
        }
    }
}

/// Ends everything that descends from the wrapper and is still there: TERM, then KILL.
fn sweep(first: bool, patience: Duration) {
    let deadline = Instant::now() + patience;
    let mut signal = libc::SIGTERM;
    loop {
        reap(None);
        if !any_child() {
            return;
        }
        if Instant::now() >= deadline {
            signal = libc::SIGKILL;
        }
        signal_children(first, signal);
        // After KILL the deaths come at once; a round per death also meets those whose parent died.
        let left =
            deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(20));
        match wait_for_signal(Some(left)) {
            Some((libc::SIGCHLD, _)) | None => {}
            Some((libc::SIGTERM | libc::SIGINT | libc::SIGQUIT, _)) => signal = libc::SIGKILL,
            Some(_) => {}
        }
    }
}

fn any_child() -> bool {
    let flags = WaitPidFlag::WNOHANG | WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT;
    nix::sys::wait::waitid(nix::sys::wait::Id::All, flags) != Err(Errno::ECHILD)
}

fn signal_children(first: bool, signal: i32) {
    if first {
        // SAFETY: kill(2) touches no memory; -1 spares PID 1 itself.
        unsafe { libc::kill(-1, signal) };
        return;
    }
    for pid in children() {
        // SAFETY: kill(2) touches no memory, and these are our own unreaped children.
        unsafe { libc::kill(pid, signal) };
    }
}

/// The pids of our children. The kernel lists them; where it was built without that list, all of
/// /proc is looked at.
fn children() -> Vec<i32> {
    let me = getpid().as_raw();
    if let Ok(list) = std::fs::read_to_string(format!("/proc/self/task/{me}/children")) {
        return list.split_ascii_whitespace().filter_map(|pid| pid.parse().ok()).collect();
    }
    let parent = |stat: &str| -> Option<i32> {
        // The command stands in brackets and may itself hold some.
        stat.rsplit_once(')')?.1.split_ascii_whitespace().nth(1)?.parse().ok()
    };
    std::fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|pid: &i32| {
            std::fs::read_to_string(format!("/proc/{pid}/stat"))
                .is_ok_and(|stat| parent(&stat) == Some(me))
        })
        .collect()
}
