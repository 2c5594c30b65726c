//! [`Output`], a terminal that is written to, and [`Writer`], which writes without making its caller wait.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Sender};
use std::thread::JoinHandle;

use ratatui::layout::Size;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;

/// Where a TUI can be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Output {
    Stdout,
    Stderr,
}

impl Output {
    pub(crate) fn size(self) -> io::Result<Size> {
        let size = self.with(|fd| rustix::termios::tcgetwinsize(fd))?;
        Ok(Size { width: size.ws_col, height: size.ws_row })
    }

    /// Avoids the standard library's buffers, which split output into several writes.
    fn with<T>(self, act: impl FnOnce(BorrowedFd<'_>) -> T) -> T {
        match self {
            Self::Stdout => act(io::stdout().as_fd()),
            Self::Stderr => act(io::stderr().as_fd()),
        }
    }

    fn write(self, mut bytes: &[u8]) -> io::Result<()> {
        self.with(|fd| {
            while !bytes.is_empty() {
                match rustix::io::write(fd, bytes) {
                    Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                    Ok(written) => bytes = &bytes[written..],
                    Err(Errno::INTR) => {}
                    // The command may have made the terminal non-blocking, which also applies here: the setting is shared.
                    Err(Errno::AGAIN) => {
                        let _ = poll(&mut [PollFd::from_borrowed_fd(fd, PollFlags::OUT)], None);
                    }
                    Err(error) => return Err(error.into()),
                }
            }
            Ok(())
        })
    }
}

/// Writes on a thread of its own. A terminal that was stopped with Ctrl-S, or that the command floods, must not delay the run.
#[derive(Debug)]
pub(crate) struct Writer {
    /// `None` once it is finished.
    sender: Option<Sender<Vec<u8>>>,
    busy: Arc<AtomicBool>,
    thread: Option<JoinHandle<io::Result<()>>>,
}

impl Writer {
    pub(crate) fn new(out: Output) -> io::Result<Self> {
        let (sender, receiver) = mpsc::channel::<Vec<u8>>();
        let busy = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&busy);
        let write = move || {
            for bytes in receiver {
                out.write(&bytes)?;
                // Relaxed: the flag only says that more may be written; the bytes themselves go through the channel.
                flag.store(false, Ordering::Relaxed);
            }
            Ok(())
        };
        let thread = std::thread::Builder::new().name("tui".to_owned()).spawn(write)?;
        Ok(Self { sender: Some(sender), busy, thread: Some(thread) })
    }

    /// Whether the last bytes are written.
    pub(crate) fn ready(&self) -> bool {
        !self.busy.load(Ordering::Relaxed)
            || self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Queues bytes, which are written soon and in one piece. An error is returned by the next call.
    pub(crate) fn write(&mut self, bytes: Vec<u8>) -> io::Result<()> {
        self.busy.store(true, Ordering::Relaxed);
        match &self.sender {
            Some(sender) if sender.send(bytes).is_ok() => Ok(()),
            _ => self.finish(),
        }
    }

    /// Waits until everything is written.
    pub(crate) fn finish(&mut self) -> io::Result<()> {
        self.sender = None;
        match self.thread.take().map(JoinHandle::join) {
            Some(Ok(result)) => result,
            _ => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }
}
