//! [`Peer`]: the identity of a peer. The kernel gives it for a socket, the bus daemon for a name on a bus.

#![expect(
    unsafe_code,
    reason = "no library asks for a peer's groups; and rustix knows no process 0, which one in another container is"
)]

use std::fmt;
use std::io;
use std::mem::size_of;
use std::os::fd::{AsFd, AsRawFd};

use rustix::process::geteuid;

/// The maximum number of groups of a process (NGROUPS_MAX).
const MOST_GROUPS: usize = 65_536;

/// The number of groups that are asked for first: most users have fewer.
const SOME_GROUPS: usize = 64;

/// The identity of a peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Peer {
    pub(crate) uid: u32,
    /// Only for messages: the process id may belong to another process by now.
    pub(crate) pid: Option<u32>,
    /// All groups of the peer.
    pub(crate) groups: Vec<u32>,
}

impl Peer {
    /// The peer that connected this socket, as of the time of connecting.
    pub(crate) fn of(socket: &impl AsFd) -> io::Result<Self> {
        let [pid, uid, gid] = ask(socket, libc::SO_PEERCRED, 3)?[..] else {
            return Err(io::Error::other("the kernel does not report the peer's identity"));
        };
        let mut groups = ask(socket, libc::SO_PEERGROUPS, SOME_GROUPS)?;
        groups.push(gid);
        // The pid of a process in another container is 0 here.
        Ok(Self { uid, pid: Some(pid).filter(|pid| *pid != 0), groups })
    }

    /// The peer's name in the log. The user is omitted if it is the user of this process.
    pub(crate) fn name(&self) -> String {
        match self.pid {
            Some(pid) if self.uid == geteuid().as_raw() => format!("process {pid}"),
            _ => self.to_string(),
        }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.pid {
            Some(pid) => write!(f, "process {pid} of user {}", self.uid),
            None => write!(f, "a process of user {}", self.uid),
        }
    }
}

/// Asks the kernel a question about a peer. The answer is numbers of 32 bits; the buffer has room for `some` at first.
fn ask(socket: &impl AsFd, question: libc::c_int, some: usize) -> io::Result<Vec<u32>> {
    let mut numbers = vec![0_u32; some];
    loop {
        let room = numbers.len() * size_of::<u32>();
        let mut bytes = libc::socklen_t::try_from(room).map_err(io::Error::other)?;
        // SAFETY: the descriptor is open as long as `socket` is borrowed. The kernel writes at most `bytes` bytes, and
        // `numbers` is that large; any bits are a valid number. The kernel writes the number of bytes to `bytes`, which is a
        // local variable.
        let status = unsafe {
            libc::getsockopt(
                socket.as_fd().as_raw_fd(),
                libc::SOL_SOCKET,
                question,
                numbers.as_mut_ptr().cast(),
                &raw mut bytes,
            )
        };
        let error = io::Error::last_os_error();
        let count = usize::try_from(bytes).map_err(io::Error::other)? / size_of::<u32>();
        if status == 0 {
            numbers.truncate(count);
            return Ok(numbers);
        }
        // The buffer was too small. The kernel has returned the size that is needed.
        let more = error.raw_os_error() == Some(libc::ERANGE) && count > numbers.len();
        if !more || count > MOST_GROUPS {
            return Err(error);
        }
        numbers.resize(count, 0);
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use rustix::process::{getegid, getgroups};

    use super::*;

    #[test]
    fn the_kernel_reports_a_peers_user_and_groups() {
        let (ours, _theirs) = UnixStream::pair().unwrap();
        let peer = Peer::of(&ours).unwrap();
        assert_eq!((peer.uid, peer.pid), (geteuid().as_raw(), Some(std::process::id())));
        let mut groups: Vec<u32> = getgroups().unwrap().iter().map(|gid| gid.as_raw()).collect();
        groups.push(getegid().as_raw());
        assert_eq!(peer.groups, groups);
    }

    #[test]
    fn a_descriptor_that_is_not_a_socket_has_no_peer() {
        Peer::of(&std::fs::File::open("/dev/null").unwrap()).unwrap_err();
    }
}
