//! `hotadd daemon`: the machine's processors, governed in the foreground. What is plugged in is added if everybody agrees.

mod config;
mod decided;
#[cfg(feature = "fault-points")]
mod fault;
mod hardware;
mod keeper;
mod log;
mod plug;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use hotadd::{CpuList, Event, EventKind, HardwareId, Partition};
use hotadd_service::notify::Notify;
use hotadd_service::{Adder, Service};
use rustix::process::geteuid;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use self::config::{AtStart, Config, FILE};
use self::hardware::Governed;
use self::keeper::Keeper;
use self::log::Log;
use crate::args::Daemon;
use crate::run::descriptors;
use crate::run::drivers::{Drivers, Terms};
use crate::view::{Note, View, Weight};

/// Where the machine's partition is found.
pub(crate) const RUN: &str = "/run/hotadd";

/// What it is called.
const NAME: &str = "system";

/// How long a driver may hold up the end.
const GRACE: Duration = Duration::from_secs(2);

const CANNOT_BEGIN: u8 = 1;
const USAGE: u8 = 2;

/// What the main thread hears from the others.
enum Message {
    Event(Box<Event>),
    /// Somebody was turned away or disconnected.
    Turned(String),
    Signal,
    /// All parties of the configuration, or what kept one from registering.
    Registered(Result<Drivers, String>),
    /// All of them are deregistered, and their processes gone.
    Left,
}

/// Says whether a configuration will do. Returns the exit status.
pub(crate) fn check(file: Option<&Path>) -> ExitCode {
    match Config::load(file) {
        Ok(_) => {
            let file = file.unwrap_or(Path::new(FILE));
            println!("{}: ok", file.display());
            ExitCode::SUCCESS
        }
        Err(wrong) => {
            eprintln!("{wrong}");
            ExitCode::FAILURE
        }
    }
}

/// Runs it. Returns the exit status.
pub(crate) fn run(args: &Daemon) -> ExitCode {
    let log = Log::new();
    let begun = Config::load(args.config.as_deref())
        .map_err(|wrong| (USAGE, wrong))
        .and_then(|config| Manager::begin(config, log).map_err(|why| (CANNOT_BEGIN, why)));
    let ended = begun.and_then(|manager| manager.conduct().map_err(|why| (CANNOT_BEGIN, why)));
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err((code, why)) => {
            log.line(Weight::Bad, &format!("hotadd: {why}"));
            ExitCode::from(code)
        }
    }
}

/// The machine's partition manager.
struct Manager {
    config: Config,
    partition: Partition,
    governed: Governed,
    view: View,
    log: Log,
    notify: Notify,
    messages: Receiver<Message>,
    sender: Sender<Message>,
    keeper: Arc<Keeper>,
    /// Those that were off when it began, each as it was plugged in then.
    off: Vec<(HardwareId, Option<u64>)>,
    adder: Adder,
    service: Option<Arc<Service>>,
    drivers: Drivers,
    /// Until when those who were registered with the daemon before are waited for. Nothing is added meanwhile.
    rejoin: Option<Instant>,
    plugging: Option<Sender<()>>,
}

impl Manager {
    fn begin(config: Config, log: Log) -> Result<Self, String> {
        let (sender, messages) = mpsc::channel();
        listen(sender.clone()).map_err(|error| format!("signals cannot be heard: {error}"))?;
        let notify = Notify::from_env().map_err(|error| error.to_string())?;
        let governed = Governed::new(&config.hardware)?;
        let hardware = governed.hardware();
        // Before anything of the partition: what comes while that is made is in neither its list nor its events.
        let off = hardware.candidates();
        let off = off.into_iter().map(|id| (id, governed.plugging(id))).collect();
        #[cfg(feature = "fault-points")]
        let hardware = Arc::new(fault::Faulty(hardware));
        let partition = Partition::over(hardware).map_err(|error| error.to_string())?;
        #[cfg(feature = "fault-points")]
        fault::watch(&partition)?;
        let known = governed.clone();
        let plugging = Box::new(move |id| known.plugging(id));
        let keeper = Arc::new(Keeper::new(partition.hardware(), plugging, log));
        let kept = Arc::clone(&keeper);
        let observation = partition.observe(move |event: &Event| kept.observe(event));
        observation.map_err(|error| error.to_string())?.keep();
        let active = partition.active();
        keeper.begin(active.iter().map(|p| p.id));
        let rows = active.iter().map(|p| (p.id, p.index.get()));
        let view = View::new(partition.hardware(), String::new(), rows, partition.candidates());
        let observer = sender.clone();
        let observe = move |event: &Event| {
            // Nobody listens any more: it has ended.
            let _ = observer.send(Message::Event(Box::new(event.clone())));
        };
        partition.observe(observe).map_err(|error| error.to_string())?.keep();
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
            keeper,
            off,
            adder,
            service: None,
            drivers: Drivers::default(),
            rejoin: None,
            plugging: None,
        })
    }

    /// Governs until it is told to end.
    fn conduct(mut self) -> Result<(), String> {
        let began = self.register();
        let ended = began.and_then(|()| {
            loop {
                match self.next() {
                    Some(Message::Registered(all)) => {
                        self.drivers = all?;
                        self.open()?;
                    }
                    Some(Message::Signal) => return Ok(()),
                    Some(message) => self.take(message),
                    None => self.look_who_is_back(true),
                }
            }
        });
        self.end();
        ended
    }

    /// Registers the parties of the configuration, on a thread of their own: one may take its time.
    fn register(&mut self) -> Result<(), String> {
        descriptors::raise();
        let turned = self.sender.clone();
        let log = move |what: &str| drop(turned.send(Message::Turned(what.to_owned())));
        let service = Service::new(&self.partition, self.name(), Arc::new(log));
        let service = Arc::new(service.map_err(|error| error.to_string())?);
        self.service = Some(Arc::clone(&service));
        let to = self.log;
        let terms = Terms {
            partition: self.partition.clone(),
            affinity: None,
            service: Some(service),
            timeout: self.config.limits.timeout(),
            // At once, and not by way of the main thread: who says more than can be written waits for its own words.
            heard: Arc::new(move |driver, said| to.note(&Note::of_driver(driver, &said))),
        };
        let specs: Vec<_> =
            self.config.parties.iter().map(|party| party.driver.0.clone()).collect();
        self.keeper.configured(specs.iter().map(|spec| spec.name.clone()).collect());
        let done = self.sender.clone();
        let register = move || drop(done.send(Message::Registered(terms.register(&specs))));
        let thread = std::thread::Builder::new().name("hotadd-drivers".to_owned()).spawn(register);
        thread.map(drop).map_err(|error| error.to_string())
    }

    /// All have registered: others may come, and processors too.
    fn open(&mut self) -> Result<(), String> {
        let socket = self.socket();
        if let Some(service) = &self.service {
            service.open(&socket).map_err(|error| error.to_string())?;
        }
        let active: CpuList = self.partition.active().iter().map(|p| p.id).collect();
        let (kind, off) = (self.partition.hardware(), self.partition.candidates());
        let off: CpuList = off.into_iter().collect();
        let off = if off.is_empty() { "none".to_owned() } else { off.to_string() };
        let pretended =
            if self.governed.simulated().is_some() { ", which do not exist" } else { "" };
        let at = socket.display();
        let begins = format!(
            "{kind} processors{pretended}: {active} are active, off: {off}; listening at {at}"
        );
        self.log.line(Weight::Plain, &begins);
        // With the socket the place beside it is ours, and nobody else's.
        self.keeper.open(&socket);
        self.say("READY=1");
        if let (Some(hardware), Some(plug)) =
            (self.governed.simulated(), &self.config.hardware.plug)
        {
            let (ids, every) = (plug.get_ref().0.clone(), self.config.hardware.plug_every());
            let plugging = plug::begin(Arc::clone(hardware), ids, every);
            self.plugging = Some(plugging.map_err(|error| error.to_string())?);
        }
        let missing = self.keeper.missing();
        if missing.is_empty() {
            self.begin_adding();
        } else {
            let within = self.config.limits.rejoin();
            self.rejoin = Some(Instant::now() + within);
            let (who, within) = (some_of(&missing), humantime::format_duration(within));
            let waits = format!(
                "waiting up to {within} for {who}, registered before; until then nothing is added"
            );
            self.log.line(Weight::Plain, &waits);
        }
        Ok(())
    }

    /// Nothing is added before all who were registered are again, or have had their time.
    fn look_who_is_back(&mut self, time_is_up: bool) {
        if self.rejoin.is_none() {
            return;
        }
        let missing = self.keeper.missing();
        if !missing.is_empty() {
            if !time_is_up {
                return;
            }
            let who = some_of(&missing);
            let says = format!("{who} did not come back and is not asked any more (L3)");
            self.log.line(Weight::Bad, &says);
        }
        self.rejoin = None;
        self.keeper.forget_missing();
        self.begin_adding();
    }

    /// Adds what has appeared since the beginning, with what else is off and to be added, and from now on each as it appears.
    fn begin_adding(&self) {
        let came = |id: &HardwareId| !self.off.contains(&(*id, self.governed.plugging(*id)));
        let mut off = self.partition.candidates();
        off.retain(|id| match self.config.hardware.at_start {
            AtStart::Add => true,
            AtStart::Undecided => !self.keeper.is_decided(*id),
            AtStart::Leave => came(id) && !self.keeper.is_decided(*id),
        });
        self.adder.add(off);
        self.adder.begin();
    }

    /// Waits for something to happen, and tells the service manager meanwhile that it does. `None` if those who are waited for have
    /// had their time.
    fn next(&self) -> Option<Message> {
        loop {
            let turn = self.notify.interval();
            let left = self.rejoin.map(|until| until.saturating_duration_since(Instant::now()));
            if left.is_some_and(|left| left.is_zero()) {
                return None;
            }
            let heard = match turn.into_iter().chain(left).min() {
                Some(within) => self.messages.recv_timeout(within),
                None => self.messages.recv().map_err(|_| RecvTimeoutError::Disconnected),
            };
            // However much happens, it is said.
            if turn.is_some() {
                self.say("WATCHDOG=1");
            }
            match heard {
                Ok(message) => return Some(message),
                Err(RecvTimeoutError::Timeout) => {}
                // We hold a sender ourselves.
                Err(RecvTimeoutError::Disconnected) => return Some(Message::Signal),
            }
        }
    }

    fn take(&mut self, message: Message) {
        match message {
            Message::Event(event) => {
                if let Some(note) = self.view.take(&event) {
                    self.log.note(&note);
                }
                // Parties come and go for as long as the machine runs.
                self.view.drivers.retain(|driver| driver.registered);
                if event.kind == EventKind::Registered {
                    self.look_who_is_back(false);
                }
            }
            Message::Turned(what) => self.log.line(Weight::Bad, &what),
            Message::Signal | Message::Registered(_) | Message::Left => {}
        }
    }

    /// Adds no more, lets everybody go, and leaves the processors as they are.
    fn end(mut self) {
        // Whom we send away ourselves will come back, and refuses nothing by that.
        self.keeper.end();
        self.say("STOPPING=1");
        (self.rejoin, self.plugging) = (None, None);
        self.adder.end();
        let (service, mut drivers) = (self.service.take(), std::mem::take(&mut self.drivers));
        let until = Instant::now() + GRACE + drivers.grace();
        let done = self.sender.clone();
        let leave = move || {
            // Those in other processes first: an add that one of them holds up is over then.
            drivers.end_hosts();
            drop(service);
            drop(drivers);
            let _ = done.send(Message::Left);
        };
        let thread = std::thread::Builder::new().name("hotadd-leave".to_owned()).spawn(leave);
        let mut left = thread.is_err();
        while !left {
            match self.messages.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(Message::Left) => left = true,
                Ok(message) => self.take(message),
                Err(_) => break,
            }
        }
        if !left {
            let waiting = self.view.waiting.as_ref();
            let who = waiting.map_or("a party", |waiting| waiting.driver.as_str());
            let busy = format!("hotadd: {who} is still busy and is not waited for");
            self.log.line(Weight::Bad, &busy);
        }
        let active: CpuList = self.partition.active().iter().map(|p| p.id).collect();
        self.log.line(Weight::Plain, &format!("ended; processors {active} stay as they are"));
    }

    fn say(&self, what: &str) {
        if let Err(error) = self.notify.say(what) {
            self.log
                .line(Weight::Bad, &format!("hotadd: {what} reaches no service manager: {error}"));
        }
    }

    fn name(&self) -> &str {
        self.config.service.name.as_ref().map_or(NAME, |name| &name.0.0)
    }

    /// Where it listens: the machine's folder is root's.
    fn socket(&self) -> PathBuf {
        match &self.config.service.socket {
            Some(socket) => socket.0.0.clone(),
            None if geteuid().is_root() => Path::new(RUN).join(self.name()),
            None => hotadd_service::runtime_dir().join(self.name()),
        }
    }
}

/// `pool, fragile and 3 more`
fn some_of(names: &[String]) -> String {
    const SHOWN: usize = 8;
    let shown = names.iter().take(SHOWN).cloned().collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

/// Sends a message when we are told to end.
fn listen(messages: Sender<Message>) -> std::io::Result<()> {
    let mut signals = Signals::new([SIGHUP, SIGINT, SIGTERM])?;
    std::thread::Builder::new().name("hotadd-signals".to_owned()).spawn(move || {
        for _ in &mut signals {
            if messages.send(Message::Signal).is_err() {
                return;
            }
        }
    })?;
    Ok(())
}
