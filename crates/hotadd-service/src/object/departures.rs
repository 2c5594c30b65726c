//! [`Departures`]: the thread that drops registrations, and waiting for it.

use std::io;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use hotadd::Registration;

/// Registrations to drop, in order. Dropping one waits until no transaction is in progress, so a thread of its own does
/// it. The thread ends when the last of these is gone.
#[derive(Clone, Debug)]
pub struct Departures(Sender<Departure>);

#[derive(Debug)]
enum Departure {
    Of(Registration),
    /// Everything before has been dropped.
    Tell(Sender<()>),
}

impl Departures {
    /// Starts the thread.
    pub(crate) fn begin() -> io::Result<Self> {
        let (sender, departures): (_, Receiver<Departure>) = channel();
        let run = move || {
            for departure in departures {
                match departure {
                    Departure::Of(registration) => drop(registration),
                    // The waiting thread may have given up.
                    Departure::Tell(who) => drop(who.send(())),
                }
            }
        };
        thread::Builder::new().name("hotadd-leave".to_owned()).spawn(run)?;
        Ok(Self(sender))
    }

    /// Drops a registration on the thread.
    pub(crate) fn add(&self, registration: Registration) {
        // If the thread has ended, the registration comes back inside the error and is dropped here.
        let _ = self.0.send(Departure::Of(registration));
    }

    /// Waits until every registration that was given up before this call is dropped, and the partition has reported it. May wait
    /// as long as a transaction takes.
    pub fn wait(&self) {
        let (told, all) = channel();
        if self.0.send(Departure::Tell(told)).is_ok() {
            let _ = all.recv();
        }
    }
}
