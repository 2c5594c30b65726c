//! [`CommandQueue`] and [`Inbox`]: the requests of handles to the agent thread, which waits for them and for a connection at once.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender, TryRecvError};
use std::time::Instant;

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::io::Errno;

use crate::error::Error;
use crate::remote::command::Command;

/// The handles' end of the queue.
pub(super) struct CommandQueue {
    commands: Sender<Command>,
    /// An eventfd. It is readable after a ring, until it is read.
    bell: Arc<OwnedFd>,
}

/// The agent thread's end of the queue.
pub(super) struct Inbox {
    commands: Receiver<Command>,
    bell: Arc<OwnedFd>,
    /// The bell was rung, and there may be commands.
    rung: bool,
}

/// The reason why a wait has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Woken {
    /// The connection can be read from.
    Ready,
    /// The doorbell was rung.
    Called,
    /// There may be commands.
    Rung,
    /// The given time was reached.
    Late,
}

/// The next command of a handle, if there is one.
pub(super) enum Asked {
    Command(Command),
    Nothing,
    /// No handle is left.
    Closed,
}

pub(super) fn command_queue() -> io::Result<(CommandQueue, Inbox)> {
    let (sender, receiver) = mpsc::channel();
    let bell = Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?);
    let inbox = Inbox { commands: receiver, bell: Arc::clone(&bell), rung: false };
    Ok((CommandQueue { commands: sender, bell }, inbox))
}

impl CommandQueue {
    /// Sends a command. May be called on any thread.
    ///
    /// # Errors
    /// If the agent thread has ended.
    pub(super) fn send(&self, command: Command) -> Result<(), Error> {
        self.commands.send(command).map_err(|_| Error::Disconnected)?;
        // The ring comes after the command, so that a thread that is woken by it finds the command.
        self.ring();
        Ok(())
    }

    fn ring(&self) {
        // This fails only after 2^64 rings that were never read.
        let _ = rustix::io::retry_on_intr(|| rustix::io::write(&self.bell, &1_u64.to_ne_bytes()));
    }
}

impl Drop for CommandQueue {
    fn drop(&mut self) {
        // The sender is dropped first, so that the ring announces its end.
        drop(std::mem::replace(&mut self.commands, mpsc::channel().0));
        self.ring();
    }
}

impl Inbox {
    /// Takes the next command. After each [ring](Woken::Rung) the caller must call this until there is none.
    pub(super) fn take(&mut self) -> Asked {
        match self.commands.try_recv() {
            Ok(command) => Asked::Command(command),
            Err(TryRecvError::Empty) => {
                self.rung = false;
                Asked::Nothing
            }
            Err(TryRecvError::Disconnected) => Asked::Closed,
        }
    }

    /// Takes commands until no handle is left.
    pub(super) fn attend(&mut self, obey: &mut dyn FnMut(Command)) {
        while let Ok(command) = self.commands.recv() {
            obey(command);
        }
    }

    /// Waits for a connection, a doorbell, a command or a given time, and returns which of them is ready, in this order.
    ///
    /// # Errors
    /// If the kernel has no memory for that.
    pub(super) fn wait(
        &mut self,
        connection: Option<&impl AsFd>,
        doorbell: Option<BorrowedFd<'_>>,
        until: Option<Instant>,
    ) -> io::Result<Woken> {
        loop {
            let left = if self.rung {
                Some(Timespec::default())
            } else {
                let left = until.map(|until| until.saturating_duration_since(Instant::now()));
                // A time that the kernel cannot represent means no limit.
                left.and_then(|left| Timespec::try_from(left).ok())
            };
            let nothing = || PollFd::new(&self.bell, PollFlags::empty());
            let mut fds = [
                PollFd::new(&self.bell, PollFlags::IN),
                // Without one, the entry waits for nothing.
                connection
                    .map_or_else(nothing, |connection| PollFd::new(connection, PollFlags::IN)),
                doorbell.map_or_else(nothing, |bell| PollFd::from_borrowed_fd(bell, PollFlags::IN)),
            ];
            match poll(&mut fds, left.as_ref()) {
                Ok(0) => return Ok(if self.rung { Woken::Rung } else { Woken::Late }),
                Ok(_) => {}
                Err(Errno::INTR) => continue,
                Err(error) => return Err(error.into()),
            }
            let [rings, ready, called] = fds.map(|fd| !fd.revents().is_empty());
            if rings {
                self.rung = true;
                // The bell is read before the commands are taken, so that no command is left without a ring.
                let _ = rustix::io::read(&self.bell, &mut [0; 8]);
            }
            if ready {
                return Ok(Woken::Ready);
            }
            if called {
                return Ok(Woken::Called);
            }
            if rings {
                return Ok(Woken::Rung);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;
    use std::thread;
    use std::time::Duration;

    use super::*;

    fn observers() -> Command {
        Command::Observers(mpsc::channel().0)
    }

    /// Takes all commands and returns their number.
    fn taken(inbox: &mut Inbox) -> usize {
        std::iter::from_fn(|| matches!(inbox.take(), Asked::Command(_)).then_some(())).count()
    }

    #[test]
    fn commands_of_many_threads_arrive_and_the_end_of_all_handles_is_noticed() {
        let (commands, mut inbox) = command_queue().unwrap();
        let no_connection = None::<&UnixStream>;
        let much_later = Some(Instant::now() + Duration::from_secs(60));
        let each = 5000;
        let (mut arrived, mut closed) = (0, false);
        thread::scope(|scope| {
            let commands = Arc::new(commands);
            for _ in 0..4 {
                let commands = Arc::clone(&commands);
                scope.spawn(move || (0..each).for_each(|_| commands.send(observers()).unwrap()));
            }
            drop(commands);
            while !closed {
                let woken = inbox.wait(no_connection, None, much_later).unwrap();
                assert_eq!(woken, Woken::Rung, "{arrived} have arrived, and it is not rung");
                match inbox.take() {
                    Asked::Command(_) => arrived += 1,
                    Asked::Nothing => {}
                    Asked::Closed => closed = true,
                }
            }
        });
        assert_eq!(arrived, 4 * each, "however many came while it was at another");
    }

    #[test]
    fn the_queue_prefers_the_connection_then_commands_then_the_timeout() {
        let (commands, mut inbox) = command_queue().unwrap();
        let (ours, theirs) = UnixStream::pair().unwrap();
        let now = Some(Instant::now());
        assert_eq!(inbox.wait(Some(&ours), None, now).unwrap(), Woken::Late);
        commands.send(observers()).unwrap();
        assert_eq!(inbox.wait(Some(&ours), None, now).unwrap(), Woken::Rung);
        rustix::io::write(&theirs, b"x").unwrap();
        assert_eq!(inbox.wait(Some(&ours), None, now).unwrap(), Woken::Ready);
        rustix::io::read(&ours, &mut [0; 1]).unwrap();
        assert_eq!(inbox.wait(Some(&ours), None, now).unwrap(), Woken::Rung, "it is still there");
        assert_eq!(taken(&mut inbox), 1);
        assert_eq!(inbox.wait(Some(&ours), None, now).unwrap(), Woken::Late, "and said once");
    }
}
