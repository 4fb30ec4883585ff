//! Times of the wall clock: who waits for one is woken when it comes, or when somebody sets the clock.

use std::io;
use std::os::fd::OwnedFd;
use std::time::{Duration, SystemTime};

use rustix::io::Errno;
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};
use tokio::io::Interest;

use crate::process::watch;

/// Why one who waited was woken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Woken {
    /// The time has come.
    Due,
    /// The clock was set; when the time comes is to be asked anew.
    ClockSet,
}

/// Waits for a time of the wall clock, by one timer of the kernel. Where there is none to be had,
/// the clock is taken to go on undisturbed.
pub async fn alarm(at: SystemTime) -> Woken {
    let timer = match set(at) {
        Ok(timer) => watch(timer, Interest::READABLE),
        Err(error) => Err(error),
    };
    let left = || at.duration_since(SystemTime::now()).unwrap_or_default();
    let Ok(timer) = timer else {
        tokio::time::sleep(left()).await;
        return Woken::Due;
    };
    loop {
        let Ok(mut guard) = timer.readable().await else {
            tokio::time::sleep(left()).await;
            return Woken::Due;
        };
        match rustix::io::read(&timer, &mut [0; 8]) {
            Err(Errno::CANCELED) => return Woken::ClockSet,
            Err(Errno::AGAIN | Errno::INTR) => guard.clear_ready(),
            _ => return Woken::Due,
        }
    }
}

fn set(at: SystemTime) -> io::Result<OwnedFd> {
    let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
    let timer = timerfd_create(TimerfdClockId::Realtime, flags)?;
    // A time of zero would turn it off; one that is over is told at once.
    let since = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let value = Timespec::try_from(since.max(Duration::from_nanos(1)));
    let value = value.map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
    let spec = Itimerspec { it_interval: Timespec::default(), it_value: value };
    let flags = TimerfdTimerFlags::ABSTIME | TimerfdTimerFlags::CANCEL_ON_SET;
    timerfd_settime(&timer, flags, &spec)?;
    Ok(timer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_that_is_over_and_one_that_comes() {
        actix_rt::System::new().block_on(async {
            assert_eq!(alarm(SystemTime::UNIX_EPOCH).await, Woken::Due);
            let soon = SystemTime::now() + Duration::from_millis(20);
            assert_eq!(alarm(soon).await, Woken::Due);
            assert!(SystemTime::now() >= soon);
        });
    }
}
