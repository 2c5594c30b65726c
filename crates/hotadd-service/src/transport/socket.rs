//! [`Socket`]: a stream to a peer. It always watches for input. It watches for room to write only while the socket is full.
//!
//! A socket becomes writable whenever its peer has read something. A stream that always watches for that, as tokio's own
//! stream does, is woken by every message that it sends.

#![expect(unsafe_code, reason = "tokio's safe streams always wait for both")]

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::num::NonZeroU32;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use hotadd_wire::{AGREEMENT, agreement};
use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{
    RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, Shutdown, recv, send, sendmsg,
    shutdown,
};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::Notify;

use crate::lock::lock;

/// The maximum number of descriptors of one message.
const MOST_DESCRIPTORS: usize = 4;

/// One end of a connection.
#[derive(Debug)]
pub(crate) struct Socket {
    stream: UnixStream,
    /// An epoll instance with the stream. Readable if the stream has input, except while a thread takes that by itself.
    input: AsyncFd<OwnedFd>,
    /// Another thread than the runtime's reads. Locked while the runtime's thread reads.
    aside: Mutex<bool>,
    /// Notified when the stream cannot be watched any more.
    deaf: Notify,
    /// Input that was read may not have been handled yet.
    unhandled: AtomicBool,
}

impl Socket {
    /// Must be created, and waited on, on the runtime's thread.
    pub(crate) fn new(stream: UnixStream) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        let input = epoll::create(CreateFlags::CLOEXEC)?;
        look_at(&input, &stream)?;
        let input = watch(input, Interest::READABLE)?;
        let (aside, deaf, unhandled) = (Mutex::new(false), Notify::new(), AtomicBool::new(false));
        Ok(Self { stream, input, aside, deaf, unhandled })
    }

    /// Waits for input and appends it to the buffer, as far as the buffer's capacity allows. `midway` says that the input so far ends
    /// within a message. Returns 0 at the end. The future may be dropped at any point: then nothing was read.
    pub(crate) async fn read(&self, buffer: &mut Vec<u8>, midway: bool) -> io::Result<usize> {
        loop {
            // The reader has handled its earlier messages before it reads again. Release: a thread that reads `false` sees the effects.
            self.unhandled.store(midway, Ordering::Release);
            let mut ready = {
                let (mut readable, mut deaf) =
                    (pin!(self.input.readable()), pin!(self.deaf.notified()));
                poll_fn(|context| match deaf.as_mut().poll(context) {
                    Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::OutOfMemory.into())),
                    Poll::Pending => readable.as_mut().poll(context),
                })
                .await?
            };
            let is_aside = lock(&self.aside);
            if *is_aside {
                // The stream is watched again when that thread is done, which is an event if input is left.
                ready.clear_ready();
                continue;
            }
            // Before the input is taken. Relaxed: the kernel's lock of the socket orders it before the input is gone.
            self.unhandled.store(true, Ordering::Relaxed);
            // There is no room for control messages, so the kernel closes descriptors that were sent along. Less input than there is
            // room for does not mean that there is no more: the end of the stream may be there as well.
            let tried = ready.try_io(|_| {
                let (_, got) = recv(&self.stream, spare_capacity(buffer), RecvFlags::empty())?;
                Ok(got)
            });
            match tried {
                Ok(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(read) => return read,
                Err(_would_block) => {}
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

    /// Lets a thread take the next agreement by itself, until the returned value is dropped. Without this, an answer would wake two
    /// threads one after the other: the one that reads all sockets, and then the one that waits for the answer. `None` if input is not
    /// handled yet, or if the socket is set aside already.
    pub(crate) fn set_aside(self: &Arc<Self>) -> Option<Aside> {
        let mut is_aside = lock(&self.aside);
        // Acquire: pairs with the Release in `read`. All answers that were read before have been delivered.
        if *is_aside || self.unhandled.load(Ordering::Acquire) {
            return None;
        }
        // Not only masked: a socket that has been ready before would not be reported when it is unmasked.
        epoll::delete(self.input.get_ref(), self).ok()?;
        *is_aside = true;
        Some(Aside(Arc::clone(self)))
    }

    /// Waits until there may be room to write.
    pub(crate) async fn writable(&self) -> io::Result<()> {
        // The runtime needs a descriptor that it owns.
        let other = watch(self.stream.try_clone()?, Interest::WRITABLE)?;
        other.writable().await.map(drop)
    }

    /// Sends what the socket accepts without blocking, on any thread. If the peer is gone, this raises no signal, even in a
    /// program that does not ignore SIGPIPE.
    pub(crate) fn send_now(&self, bytes: &[u8]) -> io::Result<usize> {
        let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
        rustix::io::retry_on_intr(|| send(self, bytes, flags)).map_err(Into::into)
    }

    /// Sends what the socket accepts without blocking, with descriptors that belong to the first byte. If nothing is sent, they are
    /// not sent either.
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

/// While this exists, the runtime's thread does not read the socket.
#[derive(Debug)]
pub(crate) struct Aside(Arc<Socket>);

impl Aside {
    /// Waits for input for a short time, and takes the next message if it agrees to the call with this serial. Returns whether it did.
    pub(crate) fn takes_agreement(&self, serial: NonZeroU32, limit: Duration) -> bool {
        let socket = &*self.0;
        let mut input = [PollFd::new(socket, PollFlags::IN)];
        if !matches!(poll(&mut input, Timespec::try_from(limit).ok().as_ref()), Ok(1)) {
            return false;
        }
        let mut bytes = [0; AGREEMENT];
        let look = RecvFlags::PEEK | RecvFlags::DONTWAIT;
        matches!(recv(socket, &mut bytes, look), Ok((_, AGREEMENT)))
            && agreement(&bytes) == Some(serial)
            && matches!(recv(socket, &mut bytes, RecvFlags::DONTWAIT), Ok((_, AGREEMENT)))
    }
}

impl Drop for Aside {
    fn drop(&mut self) {
        let socket = &self.0;
        let mut is_aside = lock(&socket.aside);
        *is_aside = false;
        if look_at(socket.input.get_ref(), &socket.stream).is_err() {
            socket.deaf.notify_one();
        }
    }
}

/// Makes the epoll instance readable when the stream has input.
fn look_at(input: &OwnedFd, stream: &UnixStream) -> io::Result<()> {
    let data = epoll::EventData::new_u64(0);
    epoll::add(input, stream, data, epoll::EventFlags::IN | epoll::EventFlags::RDHUP)
        .map_err(Into::into)
}

fn watch<T: AsFd + AsRawFd>(descriptor: T, interest: Interest) -> io::Result<AsyncFd<T>> {
    // SAFETY: Both types with which this is called own their descriptor, and are never replaced: only this file can access the
    // `AsyncFd` that holds them, and this file only borrows them.
    unsafe { AsyncFd::register_with_interest(descriptor, interest) }.map_err(Into::into)
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}
