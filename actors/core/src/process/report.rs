//! The parent's end of the pipe on which the stage reports a failure.

use std::io;
use std::os::fd::OwnedFd;
use std::task::{Context, Poll, ready};

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::descriptor::watch;
use super::stage::REPORT_LEN;
use super::{SpawnError, Step};

/// What the stage has to say; the end of the pipe without a word is its success.
#[derive(Debug)]
pub struct StageReport {
    pipe: AsyncFd<OwnedFd>,
    program: String,
    heard: Vec<u8>,
}

impl StageReport {
    pub(super) fn new(pipe: OwnedFd, program: String) -> io::Result<Self> {
        rustix::io::ioctl_fionbio(&pipe, true)?;
        let pipe = watch(pipe, Interest::READABLE)?;
        Ok(Self { pipe, program, heard: Vec::with_capacity(REPORT_LEN) })
    }

    /// The failure that the stage reported, if it did; known when the program itself runs.
    pub async fn failure(mut self) -> Option<SpawnError> {
        std::future::poll_fn(|cx| self.poll_failure(cx)).await
    }

    /// As [`StageReport::failure`], for those who wait for more than one thing.
    pub fn poll_failure(&mut self, cx: &mut Context<'_>) -> Poll<Option<SpawnError>> {
        while let Ok(mut guard) = ready!(self.pipe.poll_read_ready(cx)) {
            let mut buffer = [0; REPORT_LEN];
            match rustix::io::read(&self.pipe, &mut buffer) {
                Ok(0) => break,
                Ok(read) => self.heard.extend_from_slice(&buffer[..read]),
                Err(rustix::io::Errno::AGAIN) => guard.clear_ready(),
                Err(rustix::io::Errno::INTR) => {}
                Err(_) => break,
            }
        }
        Poll::Ready(self.read())
    }

    fn read(&self) -> Option<SpawnError> {
        let step = Step::from_number(*self.heard.first()?)?;
        let errno = i32::from_le_bytes(self.heard.get(1..REPORT_LEN)?.try_into().ok()?);
        let error = io::Error::from_raw_os_error(errno);
        Some(SpawnError::system(&self.program, step, &error))
    }
}
