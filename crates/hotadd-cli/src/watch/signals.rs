//! The signals that end or stop the view.

use std::io;
use std::sync::mpsc::Sender;

use tokio::signal::unix::{SignalKind, signal};
use tokio::task::spawn_local;

use super::Message;

/// A signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Caught {
    /// SIGINT, SIGTERM or SIGHUP, by its number.
    End(u8),
    /// SIGTSTP.
    Stop,
}

/// Begins to report signals.
pub(super) fn report(news: &Sender<Message>) -> io::Result<()> {
    let of = |kind: SignalKind, caught| -> io::Result<()> {
        let (mut signals, news) = (signal(kind)?, news.clone());
        spawn_local(async move {
            while signals.recv().await.is_some() && news.send(Message::Signal(caught)).is_ok() {}
        });
        Ok(())
    };
    of(SignalKind::interrupt(), Caught::End(2))?;
    of(SignalKind::terminate(), Caught::End(15))?;
    of(SignalKind::hangup(), Caught::End(1))?;
    // SIGTSTP has this number on every architecture of Linux.
    of(SignalKind::from_raw(rustix::process::Signal::TSTP.as_raw()), Caught::Stop)
}
