//! The socket on which the kernel reports device events, for programs in guests.

use std::io;

use rustix::fd::OwnedFd;
use rustix::net::netlink::{KOBJECT_UEVENT, SocketAddrNetlink};
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, socket_with, sockopt};

/// The multicast group to which the kernel itself sends.
const KERNEL_GROUP: u32 = 1;

/// A socket that receives uevents. `room` is the size of its buffer, in bytes, for events that come while nothing reads.
///
/// # Errors
/// If the kernel refuses. Without privileges it refuses a buffer larger than `net.core.rmem_max`.
pub fn socket(room: usize) -> io::Result<OwnedFd> {
    let (family, flags) = (AddressFamily::NETLINK, SocketFlags::CLOEXEC);
    let socket = socket_with(family, SocketType::DGRAM, flags, Some(KOBJECT_UEVENT))?;
    sockopt::set_socket_recv_buffer_size_force(&socket, room)?;
    bind(&socket, &SocketAddrNetlink::new(0, KERNEL_GROUP))?;
    Ok(socket)
}
