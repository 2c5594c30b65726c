//! [`AgentLoop`]: the agent thread. It connects, serves the connection until it is lost, and connects again.

use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use hotadd_wire::{Kind, Message};

use crate::backend::BoxedDriver;
use crate::error::Error;
use crate::event::{Event, EventKind};
use crate::observers::Observers;
use crate::published::Published;
use crate::remote::client::{Client, Common};
use crate::remote::command::{Command, drop_contained};
use crate::remote::command_queue::{Inbox, command_queue};
use crate::remote::connection::{Fault, Lost, Next, Opened, Over, Patience, Source, lost};
use crate::remote::drivers::Drivers;
use crate::remote::names;
use crate::remote::session::{Backoff, Pending, Session};

/// After a connection of this length, the wait before reconnecting starts at its minimum again.
const GOOD: Duration = Duration::from_secs(2);

pub(super) struct AgentLoop {
    source: Source,
    inbox: Inbox,
    pub(super) common: Arc<Common>,
    pub(super) drivers: Drivers,
    pub(super) observers: Observers,
}

/// Why a connection is not served any more.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Lost,
    /// No handle is left.
    Closed,
}

impl From<Lost> for End {
    fn from(Lost: Lost) -> Self {
        Self::Lost
    }
}

/// Starts the agent thread and waits until it has connected.
pub(super) fn start(source: Source) -> Result<Arc<Client>, Error> {
    let (ready, outcome) = mpsc::channel();
    let (commands, mut inbox) = command_queue()
        .map_err(|error| Error::Protocol(format!("the threads could not be polled: {error}")))?;
    let run = move || {
        // No handle exists yet.
        match source.open(&mut inbox, &mut |_| {}) {
            Ok(mut opened) => {
                let Some(set) = opened.set.take() else { return };
                let common = Arc::new(Common {
                    published: Arc::new(Published::following(set)),
                    connected: AtomicBool::new(true),
                    departures: AtomicBool::new(false),
                });
                let _ = ready.send(Ok((Arc::clone(&common), names::hardware(&opened.hardware))));
                let drivers = Drivers::new(Arc::clone(&common));
                AgentLoop { source, inbox, common, drivers, observers: Observers::default() }
                    .run(opened);
            }
            Err(error) => drop(ready.send(Err(error))),
        }
    };
    let thread = thread::Builder::new().name("hotadd-agent".to_owned()).spawn(run);
    let thread =
        thread.map_err(|error| Error::Protocol(format!("no thread could be started: {error}")))?;
    let (common, hardware) = outcome.recv().map_err(|_| Error::Disconnected)??;
    Ok(Arc::new(Client { common, commands, thread: thread.thread().id(), hardware }))
}

impl AgentLoop {
    fn run(mut self, opened: Opened) {
        let mut opened = Some(opened);
        let mut backoff = Backoff::new();
        loop {
            let attempt = match opened.take() {
                Some(opened) => Some(Ok(opened)),
                None => self.reconnect(backoff.next()),
            };
            let Some(attempt) = attempt else { return };
            let Ok(Opened { connection, set, early, .. }) = attempt else { continue };
            // Another connection may lead to another partition.
            if let (Some(set), Some(replica)) = (set, self.common.published.replica()) {
                replica.replace(set);
                self.common.published.renew();
                self.common.published.tell_followers();
            }
            self.common.connected.store(true, Ordering::Release);
            let began = Instant::now();
            let mut session = Session::new(connection, self.drivers.numbers().into());
            let Err(end) = self.serve(&mut session, &early);
            self.common.connected.store(false, Ordering::Release);
            self.lose(session);
            if end == End::Closed {
                return;
            }
            if began.elapsed() >= GOOD {
                backoff = Backoff::new();
            }
            if !self.source.is_lasting() {
                // No other connection can follow. Later commands are answered as without a connection.
                let Self { mut inbox, mut drivers, mut observers, .. } = self;
                return inbox.attend(&mut |command| refuse(&mut drivers, &mut observers, command));
            }
        }
    }

    /// Waits a while and connects. Meanwhile commands are answered as without a connection. Returns `None` if no handle is left.
    fn reconnect(&mut self, wait: Duration) -> Option<Result<Opened, Error>> {
        let Self { source, inbox, drivers, observers, .. } = self;
        let mut refuse = |command| refuse(drivers, observers, command);
        let until = Instant::now() + wait;
        let mut patience = Patience { inbox, refuse: &mut refuse, until };
        if patience.sleep() == Over::Closed {
            return None;
        }
        // If the last handle is dropped meanwhile, the next wait ends at once.
        Some(source.open(inbox, &mut refuse))
    }

    /// Serves a connection until it ends.
    fn serve(&mut self, session: &mut Session, early: &[Message]) -> Result<Infallible, End> {
        for message in early {
            self.take(session, message)?;
        }
        self.register_again(session)?;
        loop {
            match session.connection.next(&mut self.inbox, session.retry) {
                Next::Message(message) => self.take(session, &message)?,
                Next::Asked(entry, call) => self.asked(session, entry, &call)?,
                Next::Command(command) => self.obey(session, command)?,
                Next::Now => {
                    session.retry = None;
                    session.again.extend(std::mem::take(&mut session.refused));
                    self.register_again(session)?;
                }
                Next::Lost(fault) => {
                    session.fault = fault;
                    return Err(End::Lost);
                }
                Next::Closed => return Err(End::Closed),
            }
            for number in self.drivers.sweep() {
                self.send_off(session, number, None)?;
            }
        }
    }

    fn take(&mut self, session: &mut Session, message: &Message) -> Result<(), Lost> {
        self.common.published.renew_followers();
        match message.kind() {
            Kind::Call => self.dispatch(session, message),
            Kind::Signal => {
                self.signal(message);
                Ok(())
            }
            Kind::Reply | Kind::Error => self.reply(session, message),
        }
    }

    fn obey(&mut self, session: &mut Session, command: Command) -> Result<(), Lost> {
        match command {
            Command::Register(new, to) => match self.drivers.take_in(new) {
                Ok(number) => self.register(session, number, Some(to)),
                Err(refused) => {
                    let _ = to.send(Err(refused));
                    Ok(())
                }
            },
            Command::Deregister(number, to) => {
                let Some(member) =
                    self.drivers.get(number).filter(|m| m.is_present() && !m.leaving)
                else {
                    let _ = to.send(Err(Error::Disconnected));
                    return Ok(());
                };
                if member.party.is_none() {
                    // The driver is being registered again. Until the partition knows that it left, this side
                    // agrees on its behalf.
                    member.registered.depart();
                    let _ = to.send(Ok(member.driver.take()));
                    return self.send_off(session, number, None);
                }
                self.send_off(session, number, Some(to))
            }
            Command::Call(call, to) => session.call(&call, Pending::Call(to)),
            Command::Observe(observer, to) => {
                drop(self.observers.take_ended());
                let _ = to.send(Ok(self.observers.push(observer)));
                Ok(())
            }
            Command::Observers(to) => {
                drop(self.observers.take_ended());
                let _ = to.send(Ok(self.observers.len()));
                Ok(())
            }
        }
    }

    /// The connection is lost. Fails all pending requests, and records that the outcome of what the drivers
    /// agreed to is open.
    fn lose(&mut self, mut session: Session) {
        if let Some(fault) = session.fault {
            self.report(fault);
        }
        let gone = lost(session.fault);
        // The waiting threads are released when all of this is done.
        let mut waiting: Vec<Box<dyn FnOnce()>> = Vec::new();
        for pending in session.clear() {
            match pending {
                Pending::Call(to) => {
                    let gone = gone.clone();
                    waiting.push(Box::new(move || drop(to.send(Err(gone)))));
                }
                Pending::Register(number, Some(to)) => {
                    let refused = (gone.clone(), self.give_up(number));
                    waiting.push(Box::new(move || drop(to.send(Err(refused)))));
                }
                Pending::Deregister(number, to) => {
                    let member = self.drivers.remove(number);
                    if let (Some(to), Some(member)) = (to, member) {
                        member.registered.depart();
                        waiting.push(Box::new(move || drop(to.send(Ok(member.driver)))));
                    }
                }
                Pending::Register(_, None) => {}
            }
        }
        self.drivers.sweep();
        for number in self.drivers.numbers() {
            let Some(member) = self.drivers.get(number) else { continue };
            member.agent.lost();
            member.set_party(None);
            member.registering = false;
            if !member.is_present() || !self.source.is_lasting() {
                drop_contained(self.give_up(number));
            }
        }
        self.drivers.sweep();
        waiting.into_iter().for_each(|release| release());
    }

    /// Reports to all observers why this side closed the connection.
    fn report(&mut self, fault: Fault) {
        let mut event = Event::new(EventKind::Breach, self.common.published.summary().0);
        event.clause = Some("L3");
        event.reason = Some(format!("the partition does not follow the protocol: {fault}"));
        self.observers.tell(&event);
    }

    /// Removes a driver that will not be registered (again), and sends it failure notices for what it had prepared.
    pub(super) fn give_up(&mut self, number: u32) -> Option<BoxedDriver> {
        let owed = self.drivers.get(number).map(|member| member.agent.abandon());
        self.drivers.tell_owed(number, &owed.unwrap_or_default());
        let member = self.drivers.remove(number)?;
        member.registered.depart();
        member.driver
    }
}

/// Answers a command while there is no connection.
fn refuse(drivers: &mut Drivers, observers: &mut Observers, command: Command) {
    match command {
        Command::Register(new, to) => {
            let _ = to.send(Err((Error::Disconnected, Some(new.driver))));
        }
        Command::Deregister(number, to) => {
            let member = drivers.remove(number);
            let _ = to.send(member.ok_or(Error::Disconnected).map(|member| {
                member.registered.depart();
                member.driver
            }));
        }
        Command::Call(_, to) => drop(to.send(Err(Error::Disconnected))),
        Command::Observe(observer, to) => {
            let _ = to.send(Ok(observers.push(observer)));
        }
        Command::Observers(to) => {
            drop(observers.take_ended());
            let _ = to.send(Ok(observers.len()));
        }
    }
}
