//! Descriptors of any kind in the event loop: who waits for one is woken by an event, and by nothing
//! else.

use std::io;
use std::os::fd::OwnedFd;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Hands a descriptor to the event loop of this thread.
///
/// # Errors
/// When it is none that can be waited for, such as a file.
pub fn watch_descriptor(fd: OwnedFd, interest: Interest) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an `OwnedFd` is one descriptor for as long as it lives, and it lives in the `AsyncFd`.
    Ok(unsafe { AsyncFd::register_with_interest(fd, interest) }?)
}

/// Resolves once nobody is at the other end of a pipe that is written to, or of a Unix socket, both
/// directions of it closed. Never resolves for what has no other end, such as a file. `fd` is a copy
/// of the descriptor in use.
pub async fn hung_up(fd: io::Result<OwnedFd>) {
    // Hang-ups and errors are told unasked; of all else that could be asked for, urgent data is what
    // never comes, so that no read and no write by anybody wakes this task.
    let watched = fd.and_then(|fd| watch_descriptor(fd, Interest::PRIORITY));
    let Ok(watched) = watched else { return std::future::pending().await };
    loop {
        match watched.ready(Interest::WRITABLE).await {
            Ok(guard) if guard.ready().is_write_closed() => return,
            Ok(mut guard) => guard.clear_ready(),
            // The event loop is going.
            Err(_) => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;
    use std::time::Duration;

    async fn is_hung_up(fd: &OwnedFd) -> bool {
        let waiting = hung_up(fd.as_fd().try_clone_to_owned());
        tokio::time::timeout(Duration::from_millis(50), waiting).await.is_ok()
    }

    #[test]
    fn a_pipe_without_a_reader() {
        actix_rt::System::new().block_on(async {
            let (read, write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).unwrap();
            assert!(!is_hung_up(&write).await);
            rustix::io::write(&write, b"unread").unwrap();
            let waiting = hung_up(write.as_fd().try_clone_to_owned());
            let task = actix_rt::spawn(waiting);
            assert!(!is_hung_up(&write).await);
            drop(read);
            task.await.unwrap();
            assert!(is_hung_up(&write).await, "also for who asks later");
        });
    }

    #[test]
    fn a_socket_that_was_closed_for_both_directions() {
        actix_rt::System::new().block_on(async {
            let (ours, theirs) = UnixStream::pair().unwrap();
            let ours = OwnedFd::from(ours);
            theirs.shutdown(std::net::Shutdown::Write).unwrap();
            assert!(!is_hung_up(&ours).await, "it may still listen");
            drop(theirs);
            assert!(is_hung_up(&ours).await);
        });
    }

    #[test]
    fn a_file_has_no_other_end() {
        actix_rt::System::new().block_on(async {
            assert!(!is_hung_up(&tempfile::tempfile().unwrap().into()).await);
        });
    }
}
