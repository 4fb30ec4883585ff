//! The groups of the process at the other end of a Unix socket, as the kernel knows them.

use std::io;
use std::mem::size_of;
use std::os::fd::{AsRawFd, BorrowedFd};

/// The supplementary groups that a peer had when it connected; `None` where the kernel cannot tell,
/// which Linux can since 4.13.
///
/// # Errors
/// When it is no connected Unix socket.
pub fn peer_groups(socket: BorrowedFd<'_>) -> io::Result<Option<Vec<u32>>> {
    let mut groups: Vec<libc::gid_t> = vec![0; 32];
    loop {
        let mut length = (groups.len() * size_of::<libc::gid_t>()) as libc::socklen_t;
        // SAFETY: the kernel writes at most `length` bytes to the vector, which has as many, and the
        // length that it has or would need.
        let result = unsafe {
            libc::getsockopt(
                socket.as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_PEERGROUPS,
                groups.as_mut_ptr().cast(),
                &mut length,
            )
        };
        let count = length as usize / size_of::<libc::gid_t>();
        if result == 0 {
            groups.truncate(count);
            return Ok(Some(groups));
        }
        let error = io::Error::last_os_error();
        match error.raw_os_error() {
            Some(libc::ERANGE) if count > groups.len() => groups.resize(count, 0),
            Some(libc::ENOPROTOOPT) => return Ok(None),
            _ => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn this_process_has_the_groups_that_it_has() {
        let (ours, _theirs) = UnixStream::pair().unwrap();
        let Some(mut groups) = peer_groups(ours.as_fd()).unwrap() else { return };
        let mut expected: Vec<_> =
            nix::unistd::getgroups().unwrap().into_iter().map(nix::unistd::Gid::as_raw).collect();
        groups.sort_unstable();
        expected.sort_unstable();
        assert_eq!(groups, expected);
    }

    #[test]
    fn what_is_no_socket_has_no_peer() {
        assert!(peer_groups(tempfile::tempfile().unwrap().as_fd()).is_err());
    }
}
