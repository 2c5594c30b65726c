//! [`Manager`]: runs the daemon from start to end, on the main thread.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use hotadd::{Adder, CpuList, Event, EventKind, HardwareId, Partition, PartyId};
use hotadd_service::Service;

use super::config::{Config, Party};
use super::events::Events;
#[cfg(debug_assertions)]
use super::fault;
use super::hardware::Governed;
use super::log::Log;
use super::notify::Notify;
use super::state_file::StateFile;
use super::watchdog::Watchdog;
use super::{Message, listen};
use crate::descriptors;
use crate::parties::Terms;
use crate::parties::{Beginning, Parties};
use crate::trace::Tracer;
use crate::view::{Note, View, Weight};

/// The machine's partition manager.
pub(super) struct Manager {
    pub(super) config: Config,
    pub(super) partition: Partition,
    pub(super) governed: Governed,
    pub(super) view: View,
    pub(super) log: Log,
    pub(super) notify: Notify,
    pub(super) messages: Receiver<Message>,
    pub(super) sender: Sender<Message>,
    pub(super) events: Arc<Events>,
    pub(super) state_file: Arc<StateFile>,
    /// The processors that were off at the start, each with its plugging at that time.
    pub(super) off: Vec<(HardwareId, Option<u64>)>,
    pub(super) adder: Adder,
    pub(super) service: Option<Arc<Service>>,
    pub(super) parties: Arc<Parties>,
    /// The path of the configuration, if it is not the usual one.
    pub(super) file: Option<PathBuf>,
    pub(super) reloading: Reloading,
    /// Until when the daemon waits for the parties that were registered with the previous daemon. Nothing is added meanwhile.
    pub(super) rejoin: Option<Instant>,
    pub(super) watchdog: Watchdog,
    /// When the threads are checked next.
    pub(super) beat: Instant,
    /// A stuck thread has been reported.
    pub(super) stuck: bool,
    pub(super) plugging: Option<Sender<()>>,
    trace: Option<Tracer>,
}

/// Whether the configuration is to be reloaded, and whether that is possible now.
#[derive(Default)]
pub(super) struct Reloading {
    /// Requested since the last reload. Several requests cause one reload.
    pub(super) asked: bool,
    /// All parties of the last configuration have registered.
    pub(super) may_begin: bool,
}

impl Manager {
    pub(super) fn begin(
        file: Option<PathBuf>,
        config: Config,
        log: Log,
        trace: Option<PathBuf>,
    ) -> Result<Self, String> {
        let (sender, messages) = mpsc::channel();
        listen(sender.clone())
            .map_err(|error| format!("signal handlers cannot be installed: {error}"))?;
        let waker = sender.clone();
        log.wakes(move || drop(waker.send(Message::LeftOut)));
        let notify = Notify::from_env().map_err(|error| error.to_string())?;
        let governed = Governed::new(&config.hardware)?;
        let hardware = governed.hardware();
        // Before the partition is made: a processor that appears meanwhile is neither in the partition's list nor in its events.
        let off =
            hardware.candidates().map_err(|error| hotadd::Error::Hardware(error).to_string())?;
        let off = off.into_iter().map(|id| (id, governed.plugging(id))).collect();
        #[cfg(debug_assertions)]
        let hardware = fault::within(hardware);
        let partition = Partition::from_hardware(hardware).map_err(|error| error.to_string())?;
        #[cfg(debug_assertions)]
        fault::watch(&partition)?;
        let known = governed.clone();
        let plugging = Box::new(move |id| known.plugging(id));
        let watchdog = Watchdog::new(Instant::now());
        let watching = watchdog.clone();
        let observation = partition.observe(move |event: &Event| watching.observe(event));
        observation.map_err(|error| error.to_string())?.detach();
        let state_file = Arc::new(StateFile::new(partition.hardware(), plugging, log.clone()));
        let kept = Arc::clone(&state_file);
        let observation = partition.observe(move |event: &Event| kept.observe(event));
        observation.map_err(|error| error.to_string())?.detach();
        let active = partition.active();
        state_file.begin(active.iter().map(|p| p.id));
        let rows = active.iter().map(|p| (p.id, p.index.get()));
        let candidates = partition.candidates().map_err(|error| error.to_string())?;
        let view = View::new(partition.hardware(), String::new(), rows, candidates);
        let events = Arc::new(Events::new(sender.clone()));
        let observed = Arc::clone(&events);
        let observe = move |event: &Event| observed.observe(event);
        partition.observe(observe).map_err(|error| error.to_string())?.detach();
        let trace = trace.or_else(|| config.trace().map(Path::to_owned));
        let trace = trace.map(|path| {
            let log = log.clone();
            let wrong = move |why: String| log.line(Weight::Bad, &format!("hotadd: {why}"));
            Tracer::begin(&partition, config.name(), &path, wrong)
        });
        let trace = trace.transpose()?;
        let adder = Adder::listen(&partition).map_err(|error| error.to_string())?;
        Ok(Self {
            config,
            partition,
            governed,
            view,
            log,
            notify,
            messages,
            sender,
            events,
            state_file,
            off,
            adder,
            service: None,
            parties: Arc::default(),
            file,
            reloading: Reloading::default(),
            rejoin: None,
            watchdog,
            beat: Instant::now(),
            stuck: false,
            plugging: None,
            trace,
        })
    }

    /// Runs the daemon until it is told to end.
    pub(super) fn conduct(mut self) -> Result<(), String> {
        let began = self.register();
        let ended = began.and_then(|()| {
            loop {
                match self.next() {
                    Some(Message::Registered(all)) => {
                        all?;
                        self.open()?;
                        self.reloading.may_begin = true;
                        self.reload_if_asked();
                    }
                    Some(Message::Signal) => return Ok(()),
                    Some(Message::Reload) => {
                        self.reloading.asked = true;
                        self.reload_if_asked();
                    }
                    Some(Message::Reloaded(outcome)) => self.reloaded(outcome),
                    Some(message) => self.take(message),
                    None => self.look_who_is_back(true),
                }
            }
        });
        self.end();
        ended
    }

    /// Registers the parties of the configuration on a thread of its own, because one may take long.
    fn register(&mut self) -> Result<(), String> {
        // Before any party is called.
        self.config.check_place().map_err(|error| error.to_string())?;
        descriptors::raise();
        let turned = self.sender.clone();
        let log = move |what: &str| drop(turned.send(Message::Turned(what.to_owned())));
        let service =
            Service::with_access(&self.partition, self.config.name(), self.access(), Arc::new(log));
        let service = Arc::new(service.map_err(|error| error.to_string())?);
        service.restart_by(self.parties.restart());
        self.service = Some(service);
        let specs: Vec<_> = self.config.parties.iter().map(Party::spec).collect();
        self.state_file.configured(specs.iter().map(|spec| spec.name.clone()).collect());
        self.parties.name(&self.partition, &specs)?;
        let (terms, parties) =
            (self.terms(self.config.limits.timeout()), Arc::clone(&self.parties));
        let done = self.sender.clone();
        let register = move || {
            let registered = parties.begin(terms, Beginning::Degraded);
            let _ = done.send(Message::Registered(registered));
        };
        let thread = std::thread::Builder::new().name("hotadd-drivers".to_owned()).spawn(register);
        thread.map(drop).map_err(|error| error.to_string())
    }

    /// What the parties of the configuration are registered with.
    pub(super) fn terms(&self, timeout: Duration) -> Terms {
        let to = self.log.clone();
        Terms {
            partition: self.partition.clone(),
            // Without a mask: on whichever processors there are.
            start: Arc::new(Command::spawn),
            service: self.service.as_ref().map(Arc::downgrade),
            timeout,
            // Logged directly, not through the main thread: a driver that prints more than can be written waits for its own
            // output.
            output: Arc::new(move |driver, output| {
                to.output(driver, &Note::of_driver(driver, &output));
            }),
        }
    }

    /// Waits for a message, and keeps the service manager's watchdog served meanwhile. Returns `None` when the time to wait for
    /// previously registered parties is over.
    fn next(&mut self) -> Option<Message> {
        loop {
            self.log.say_left_out(false);
            let now = Instant::now();
            let turn = self.beat(now);
            let left = self.rejoin.map(|until| until.saturating_duration_since(now));
            if left.is_some_and(|left| left.is_zero()) {
                return None;
            }
            let left_out = self.log.due().map(|due| due.saturating_duration_since(now));
            let heard = match turn.into_iter().chain(left).chain(left_out).min() {
                Some(within) => self.messages.recv_timeout(within),
                None => self.messages.recv().map_err(|_| RecvTimeoutError::Disconnected),
            };
            match heard {
                Ok(message) => return Some(message),
                Err(RecvTimeoutError::Timeout) => {}
                // Cannot happen: this thread holds a sender too.
                Err(RecvTimeoutError::Disconnected) => return Some(Message::Signal),
            }
        }
    }

    /// Tells the service manager, at its interval, that all threads run. Returns how long until the next time.
    fn beat(&mut self, now: Instant) -> Option<Duration> {
        // Threads are asked, and checked after they had time to answer, twice within the service manager's interval.
        let interval = self.notify.interval()? / 2;
        if now >= self.beat {
            self.beat = now + interval;
            let limit = |party| {
                self.service.as_ref().and_then(|service| service.time_limit(PartyId(party)))
            };
            let stuck = self.watchdog.stuck(now, self.adder.adding_since(), limit);
            match stuck {
                None => self.say("WATCHDOG=1"),
                Some(who) if !self.stuck => {
                    let says = format!(
                        "hotadd: {who} is stuck: the service manager's watchdog is no longer fed"
                    );
                    self.log.line(Weight::Bad, &says);
                }
                Some(_) => {}
            }
            self.stuck = stuck.is_some();
            // A thread that has not answered the last question is not asked again.
            if let (Some(service), None) = (&self.service, stuck) {
                self.watchdog.ask(|answer| service.call(answer));
            }
        }
        Some(self.beat.saturating_duration_since(now))
    }

    fn take(&mut self, message: Message) {
        // Before the line of another message.
        self.take_events();
        match message {
            Message::Turned(what) => self.log.turned(&what),
            Message::Events
            | Message::Signal
            | Message::Reload
            | Message::Registered(_)
            | Message::Reloaded(_)
            | Message::LeftOut
            | Message::Left => {}
        }
    }

    fn take_events(&mut self) {
        for event in self.events.take() {
            if let Some(note) = self.view.take(&event) {
                self.log.event(&event, &note);
            }
            // Parties come and go for as long as the machine runs, so rows of deregistered parties are dropped.
            self.view.drivers.retain(|driver| driver.registered);
            match event.kind {
                EventKind::Registered => self.look_who_is_back(false),
                EventKind::Missing | EventKind::Present => self.say(&self.status()),
                _ => {}
            }
        }
    }

    /// Stops adding, deregisters all parties, and leaves the processors as they are.
    fn end(mut self) {
        // Parties that the daemon itself disconnects will return. Their leaving is not a decision.
        self.state_file.end();
        self.say("STOPPING=1");
        (self.rejoin, self.plugging) = (None, None);
        self.adder.end();
        // Closed explicitly, not by dropping the last reference: parties may still be registering.
        if let Some(service) = &self.service {
            service.close();
        }
        let (parties, service, done) =
            (Arc::clone(&self.parties), self.service.take(), self.sender.clone());
        let done = move || drop(done.send(Message::Left));
        let left = parties.leave(service, (), done, |within| {
            match self.messages.recv_timeout(within) {
                Ok(Message::Left) => return Some(true),
                Ok(message) => self.take(message),
                Err(_) => return Some(false),
            }
            None
        });
        // Also those that did not wake this thread: the view then knows whom the partition waits for.
        self.take_events();
        if !left {
            let waiting = self.view.waiting.as_ref();
            let who = waiting.map_or("a party", |waiting| waiting.driver.as_str());
            let busy = format!("hotadd: {who} is still busy; not waiting for it");
            self.log.line(Weight::Bad, &busy);
        }
        self.log.say_left_out(true);
        let active: CpuList = self.partition.active().iter().map(|p| p.id).collect();
        self.log.line(Weight::Plain, &format!("ended; processors {active} stay active"));
        if let Some(trace) = self.trace.take() {
            trace.end();
        }
    }

    pub(super) fn say(&self, what: &str) {
        if let Err(error) = self.notify.say(what) {
            self.log.line(
                Weight::Bad,
                &format!("hotadd: {what} cannot be sent to the service manager: {error}"),
            );
        }
    }
}
