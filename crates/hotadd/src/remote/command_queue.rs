//! [`CommandQueue`] and [`Inbox`]: what handles ask of the agent thread, and how it waits for that and a connection at once.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender, TryRecvError};
use std::time::Instant;

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::io::Errno;

use crate::error::Error;
use crate::remote::command::Command;

/// The handles' end.
pub(super) struct CommandQueue {
    commands: Sender<Command>,
    /// An eventfd: readable once it was rung, until it is read.
    bell: Arc<OwnedFd>,
}

/// The agent thread's end.
pub(super) struct Inbox {
    commands: Receiver<Command>,
    bell: Arc<OwnedFd>,
    /// The bell was rung, and there may be commands.
    rung: bool,
}

/// What there is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Woken {
    /// The connection can be read from.
    Ready,
    /// There may be commands.
    Rung,
    /// The moment that was waited for.
    Late,
}

/// What a handle asks for, if one does.
pub(super) enum Asked {
    Command(Command),
    Nothing,
    /// All handles are gone.
    Closed,
}

pub(super) fn command_queue() -> io::Result<(CommandQueue, Inbox)> {
    let (sender, receiver) = mpsc::channel();
    let bell = Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?);
    let inbox = Inbox { commands: receiver, bell: Arc::clone(&bell), rung: false };
    Ok((CommandQueue { commands: sender, bell }, inbox))
}

impl CommandQueue {
    /// From any thread.
    ///
    /// # Errors
    /// If the agent thread is gone.
    pub(super) fn send(&self, command: Command) -> Result<(), Error> {
        self.commands.send(command).map_err(|_| Error::Disconnected)?;
        // Behind the command: who hears it finds that.
        self.ring();
        Ok(())
    }

    fn ring(&self) {
        // It fails only if it was rung 2^64 times and never heard.
        let _ = rustix::io::retry_on_intr(|| rustix::io::write(&self.bell, &1_u64.to_ne_bytes()));
    }
}

impl Drop for CommandQueue {
    fn drop(&mut self) {
        // First the commands end, and then it is rung for that.
        drop(std::mem::replace(&mut self.commands, mpsc::channel().0));
        self.ring();
    }
}

impl Inbox {
    /// What a handle asks for. To be asked until there is nothing, whenever it was [rung](Woken::Rung) for.
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

    /// Takes commands until all handles are gone.
    pub(super) fn attend(&mut self, obey: &mut dyn FnMut(Command)) {
        while let Ok(command) = self.commands.recv() {
            obey(command);
        }
    }

    /// Waits for a connection, a command or a moment, and says which is there, in this order.
    ///
    /// # Errors
    /// If the kernel has no room for that.
    pub(super) fn wait(
        &mut self,
        connection: Option<&impl AsFd>,
        until: Option<Instant>,
    ) -> io::Result<Woken> {
        loop {
            let left = if self.rung {
                Some(Timespec::default())
            } else {
                let left = until.map(|until| until.saturating_duration_since(Instant::now()));
                // What is no time of the kernel's is for ever.
                left.and_then(|left| Timespec::try_from(left).ok())
            };
            let mut fds = [
                PollFd::new(&self.bell, PollFlags::IN),
                match connection {
                    Some(connection) => PollFd::new(connection, PollFlags::IN),
                    // Not looked at.
                    None => PollFd::new(&self.bell, PollFlags::empty()),
                },
            ];
            let count = if connection.is_some() { 2 } else { 1 };
            match poll(&mut fds[..count], left.as_ref()) {
                Ok(0) => return Ok(if self.rung { Woken::Rung } else { Woken::Late }),
                Ok(_) => {}
                Err(Errno::INTR) => continue,
                Err(error) => return Err(error.into()),
            }
            let [rings, ready] = fds.map(|fd| !fd.revents().is_empty());
            if rings {
                self.rung = true;
                // Before the commands are taken, so that none is left behind without a bell.
                let _ = rustix::io::read(&self.bell, &mut [0; 8]);
            }
            if ready {
                return Ok(Woken::Ready);
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

    /// How many commands there are, until there is nothing.
    fn taken(inbox: &mut Inbox) -> usize {
        std::iter::from_fn(|| matches!(inbox.take(), Asked::Command(_)).then_some(())).count()
    }

    #[test]
    fn commands_of_many_threads_all_arrive_and_the_end_of_the_handles_is_heard() {
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
                let woken = inbox.wait(no_connection, much_later).unwrap();
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
    fn a_connection_comes_before_commands_and_commands_before_the_time() {
        let (commands, mut inbox) = command_queue().unwrap();
        let (ours, theirs) = UnixStream::pair().unwrap();
        let now = Some(Instant::now());
        assert_eq!(inbox.wait(Some(&ours), now).unwrap(), Woken::Late);
        commands.send(observers()).unwrap();
        assert_eq!(inbox.wait(Some(&ours), now).unwrap(), Woken::Rung);
        rustix::io::write(&theirs, b"x").unwrap();
        assert_eq!(inbox.wait(Some(&ours), now).unwrap(), Woken::Ready);
        rustix::io::read(&ours, &mut [0; 1]).unwrap();
        assert_eq!(inbox.wait(Some(&ours), now).unwrap(), Woken::Rung, "it is still there");
        assert_eq!(taken(&mut inbox), 1);
        assert_eq!(inbox.wait(Some(&ours), now).unwrap(), Woken::Late, "and said once");
    }
}
