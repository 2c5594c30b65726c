//! [`Socket`]: a stream to a peer. It always watches for input. It watches for room to write only while there is none.
//!
//! A socket becomes writable whenever its peer has read something. A stream that always watches for that, as tokio's own
//! stream does, is woken by every message that it sends.

#![expect(unsafe_code, reason = "tokio's safe streams always wait for both")]

use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::buffer::spare_capacity;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{
    RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, Shutdown, recv, send, sendmsg,
    shutdown,
};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// The maximum number of descriptors of one message.
const MOST_DESCRIPTORS: usize = 4;

/// One end of a connection.
#[derive(Debug)]
pub(crate) struct Socket {
    stream: AsyncFd<UnixStream>,
    /// Input that was read may not have been handled yet.
    unhandled: AtomicBool,
}

impl Socket {
    /// Must be created, and waited on, on the runtime's thread.
    pub(crate) fn new(stream: UnixStream) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        let stream = watch(stream, Interest::READABLE)?;
        Ok(Self { stream, unhandled: AtomicBool::new(false) })
    }

    /// Waits for input and appends it to the buffer, as far as the buffer's capacity allows. Returns 0 at the end. The future may
    /// be dropped at any point: then nothing was read.
    pub(crate) async fn read(&self, buffer: &mut Vec<u8>) -> io::Result<usize> {
        loop {
            // The reader has handled its earlier input before it reads again. Release: a thread that reads `false` sees the effects.
            self.unhandled.store(false, Ordering::Release);
            let mut ready = self.stream.readable().await?;
            // Before the input is taken. Relaxed: the kernel's lock of the socket orders it before the input is gone.
            self.unhandled.store(true, Ordering::Relaxed);
            let most = buffer.capacity() - buffer.len();
            let mut read = None;
            let tried = ready.try_io(|stream| {
                // There is no room for control messages, so the kernel closes descriptors that were sent along.
                let (_, got) = recv(stream, spare_capacity(buffer), RecvFlags::empty())?;
                read = Some(got);
                // If less was read than there is room for, nothing more is available. `WouldBlock` reports this, and
                // saves the call that would find nothing. The end of the stream stays readable.
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

    /// Whether the peer has sent nothing that was not handled yet, not even the end of the stream. May be called on any thread.
    pub(crate) fn is_quiet(&self) -> bool {
        let mut input = [PollFd::new(self, PollFlags::IN | PollFlags::RDHUP)];
        // In this order: input that is not there any more was taken, and `unhandled` was set before.
        matches!(poll(&mut input, Some(&Timespec::default())), Ok(0))
            && !self.unhandled.load(Ordering::Acquire)
    }

    /// Waits until there may be room to write.
    pub(crate) async fn writable(&self) -> io::Result<()> {
        // This needs a second descriptor of the same socket, because one descriptor is watched for one
        // direction only.
        let other = watch(self.stream.get_ref().try_clone()?, Interest::WRITABLE)?;
        other.writable().await.map(drop)
    }

    /// Sends what the socket accepts without blocking, on any thread. If the peer is gone, this raises no signal, even in a
    /// program that does not ignore SIGPIPE.
    pub(crate) fn send_now(&self, bytes: &[u8]) -> io::Result<usize> {
        let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
        rustix::io::retry_on_intr(|| send(self, bytes, flags)).map_err(Into::into)
    }

    /// As [`send_now`](Self::send_now), with descriptors that belong to the first byte. If nothing is sent, they are not sent either.
    pub(crate) fn send_with(
        &self,
        bytes: &[u8],
        descriptors: &[BorrowedFd<'_>],
    ) -> io::Result<usize> {
        if descriptors.is_empty() {
            return self.send_now(bytes);
        }
        let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_DESCRIPTORS))];
        let mut along = SendAncillaryBuffer::new(&mut space);
        if !along.push(SendAncillaryMessage::ScmRights(descriptors)) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let bytes = [IoSlice::new(bytes)];
        rustix::io::retry_on_intr(|| sendmsg(self, &bytes, &mut along, flags)).map_err(Into::into)
    }

    /// Makes both ends read the end of the stream.
    pub(crate) fn shut_down(&self) {
        // A socket that the peer has closed already cannot be shut down, and need not be.
        let _ = shutdown(self, Shutdown::Both);
    }
}

fn watch(stream: UnixStream, interest: Interest) -> io::Result<AsyncFd<UnixStream>> {
    // SAFETY: The stream owns its descriptor, and is never replaced: only this file can access the `AsyncFd` that holds the
    // stream, and this file only borrows it.
    unsafe { AsyncFd::register_with_interest(stream, interest) }.map_err(Into::into)
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.get_ref().as_fd()
    }
}
