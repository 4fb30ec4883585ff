//! Datagrams with the process that sent them, as the kernel names it.

use std::io;
use std::mem;
use std::os::fd::{AsFd, AsRawFd};

use rustix::process::{Pid, getpgid};

/// Makes the kernel name the sender of each datagram that comes to this socket.
pub fn name_senders(socket: &impl AsFd) -> io::Result<()> {
    let on: libc::c_int = 1;
    // SAFETY: the value is an int that outlives the call, and its length is said truly.
    let set = unsafe {
        libc::setsockopt(
            socket.as_fd().as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PASSCRED,
            (&raw const on).cast(),
            mem::size_of_val(&on) as libc::socklen_t,
        )
    };
    if set == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Takes one datagram without waiting: its length, and its sender's pid unless it is unknown here.
///
/// There is room for credentials only: descriptors that come along are closed by the kernel, which
/// is what a sender of `BARRIER=1` waits for.
pub fn receive(socket: &impl AsFd, buffer: &mut [u8]) -> io::Result<(usize, Option<i32>)> {
    #[repr(C, align(8))]
    struct Control([u8; 64]);
    let mut control = Control([0; 64]);
    let mut piece = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    // SAFETY: all zeroes is a valid header, with nothing in it.
    let mut header: libc::msghdr = unsafe { mem::zeroed() };
    header.msg_iov = &raw mut piece;
    header.msg_iovlen = 1;
    header.msg_control = (&raw mut control).cast();
    // SAFETY: plain arithmetic.
    header.msg_controllen = unsafe { libc::CMSG_SPACE(mem::size_of::<libc::ucred>() as u32) } as _;
    let flags = libc::MSG_DONTWAIT | libc::MSG_CMSG_CLOEXEC;
    // SAFETY: every buffer that the header names outlives the call, with the length that it names.
    let read = unsafe { libc::recvmsg(socket.as_fd().as_raw_fd(), &raw mut header, flags) };
    let length = usize::try_from(read).map_err(|_| io::Error::last_os_error())?;
    // SAFETY: the kernel filled the control buffer in and set its length; the macros stay within.
    let sender = unsafe {
        let first = libc::CMSG_FIRSTHDR(&raw const header);
        (!first.is_null()
            && (*first).cmsg_level == libc::SOL_SOCKET
            && (*first).cmsg_type == libc::SCM_CREDENTIALS)
            .then(|| libc::CMSG_DATA(first).cast::<libc::ucred>().read_unaligned().pid)
    };
    Ok((length, sender.filter(|pid| *pid > 0)))
}

/// Whether a process belongs to the group of this leader; one that is gone belongs to none.
pub fn in_group(pid: i32, leader: i32) -> bool {
    let group = Pid::from_raw(pid).and_then(|pid| getpgid(Some(pid)).ok());
    group.is_some_and(|group| group.as_raw_nonzero().get() == leader)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixDatagram;

    #[test]
    fn the_kernel_names_the_sender() {
        let (here, there) = UnixDatagram::pair().unwrap();
        name_senders(&here).unwrap();
        there.send(b"READY=1").unwrap();
        let mut buffer = [0; 64];
        let (length, pid) = receive(&here, &mut buffer).unwrap();
        assert_eq!(&buffer[..length], b"READY=1");
        assert_eq!(pid, Some(std::process::id() as i32));
        let nothing = receive(&here, &mut buffer).unwrap_err();
        assert_eq!(nothing.kind(), io::ErrorKind::WouldBlock);
    }
}
