//! [`Socket`]: a stream to a peer. What comes in is always waited for; room to write, only while there is none.
//!
//! A socket can be written to whenever its peer has read something. Whoever always waits for that, as tokio's own stream does,
//! is woken by every message that it sends.

#![allow(unsafe_code, reason = "tokio's safe streams always wait for both")]

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;

use rustix::buffer::spare_capacity;
use rustix::net::{RecvFlags, SendFlags, Shutdown, recv, send, shutdown};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// One end of a connection.
#[derive(Debug)]
pub(crate) struct Socket(AsyncFd<UnixStream>);

impl Socket {
    /// To be made, and waited on, on the runtime's thread.
    pub(crate) fn new(stream: UnixStream) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        watch(stream, Interest::READABLE).map(Self)
    }

    /// Waits until there is something to read, and reads it behind what is in the buffer, where there is room; 0 at the end. May be
    /// dropped at any point: then nothing was read.
    pub(crate) async fn read(&self, buffer: &mut Vec<u8>) -> io::Result<usize> {
        loop {
            let mut ready = self.0.readable().await?;
            let most = buffer.capacity() - buffer.len();
            let mut read = None;
            let tried = ready.try_io(|stream| {
                // Without room for control messages: descriptors that were sent along are closed by the kernel.
                let (_, got) = recv(stream, spare_capacity(buffer), RecvFlags::empty())?;
                read = Some(got);
                // Less than there is room for is all there is: to say so spares the call that would find nothing. The end
                // of the stream stays where it is.
                if (1..most).contains(&got) {
                    Err(io::ErrorKind::WouldBlock.into())
                } else {
                    Ok(())
                }
            });
            match (read, tried) {
                (Some(read), _) => return Ok(read),
                (None, Ok(Err(error))) if error.kind() != io::ErrorKind::Interrupted => {
                    return Err(error);
                }
                (None, _) => {}
            }
        }
    }

    /// Waits until there may be room to write.
    pub(crate) async fn writable(&self) -> io::Result<()> {
        // Another descriptor of the same socket, as one is watched in one way only.
        let other = watch(self.0.get_ref().try_clone()?, Interest::WRITABLE)?;
        other.writable().await.map(drop)
    }

    /// Sends what the socket takes without waiting, from any thread; and without a signal if the peer is gone, also in a program
    /// that has not set SIGPIPE aside.
    pub(crate) fn send_now(&self, bytes: &[u8]) -> io::Result<usize> {
        let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
        rustix::io::retry_on_intr(|| send(self, bytes, flags)).map_err(Into::into)
    }

    /// Has both ends read the end.
    pub(crate) fn shut_down(&self) {
        // One that the peer has closed already cannot be shut down, and need not be.
        let _ = shutdown(self, Shutdown::Both);
    }
}

fn watch(stream: UnixStream, interest: Interest) -> io::Result<AsyncFd<UnixStream>> {
    // SAFETY: The stream owns its descriptor, and is not replaced: nobody but this file gets at what holds it, and this file
    // only borrows it.
    unsafe { AsyncFd::register_with_interest(stream, interest) }.map_err(Into::into)
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.get_ref().as_fd()
    }
}
