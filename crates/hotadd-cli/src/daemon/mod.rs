//! `hotadd daemon`: the machine's processors, governed in the foreground. What is plugged in is added if everybody agrees.

mod config;
mod log;
mod plug;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use hotadd::hardware::{Hardware, Hotplug, HotplugOptions, Intruders, Simulated};
use hotadd::{CpuList, Event, Partition};
use hotadd_service::notify::Notify;
use hotadd_service::{Adder, Service};
use rustix::process::geteuid;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use self::config::{AtStart, Config, FILE, HardwareKeys, Kind, Policy};
use self::log::Log;
use crate::args::Daemon;
use crate::run::descriptors;
use crate::run::drivers::{Drivers, Terms};
use crate::run::fence::Fence;
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
    simulated: Option<Arc<Simulated>>,
    view: View,
    log: Log,
    notify: Notify,
    messages: Receiver<Message>,
    sender: Sender<Message>,
    service: Option<Arc<Service>>,
    drivers: Drivers,
    /// What goes on from when all are ready until the end.
    adder: Option<Adder>,
    plugging: Option<Sender<()>>,
}

impl Manager {
    fn begin(config: Config, log: Log) -> Result<Self, String> {
        let (sender, messages) = mpsc::channel();
        listen(sender.clone()).map_err(|error| format!("signals cannot be heard: {error}"))?;
        let notify = Notify::from_env().map_err(|error| error.to_string())?;
        let (hardware, simulated) = hardware(&config.hardware)?;
        let partition = Partition::over(hardware).map_err(|error| error.to_string())?;
        let active = partition.active();
        let rows = active.iter().map(|p| (p.id, p.index.get()));
        let view = View::new(partition.hardware(), String::new(), rows, partition.candidates());
        let observer = sender.clone();
        let observe = move |event: &Event| {
            // Nobody listens any more: it has ended.
            let _ = observer.send(Message::Event(Box::new(event.clone())));
        };
        partition.observe(observe).map_err(|error| error.to_string())?.keep();
        let drivers = Drivers::default();
        Ok(Self {
            config,
            partition,
            simulated,
            view,
            log,
            notify,
            messages,
            sender,
            service: None,
            drivers,
            adder: None,
            plugging: None,
        })
    }

    /// Governs until it is told to end.
    fn conduct(mut self) -> Result<(), String> {
        let began = self.register();
        let ended = began.and_then(|()| {
            loop {
                match self.next() {
                    Message::Registered(all) => {
                        self.drivers = all?;
                        self.open()?;
                    }
                    Message::Signal => return Ok(()),
                    message => self.take(message),
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
            fence: Fence::Nothing,
            service: Some(service),
            timeout: self.config.limits.timeout(),
            // At once, and not by way of the main thread: who says more than can be written waits for its own words.
            heard: Arc::new(move |driver, said| to.note(&Note::of_driver(driver, &said))),
        };
        let specs: Vec<_> =
            self.config.parties.iter().map(|party| party.driver.0.clone()).collect();
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
        let pretended = if self.simulated.is_some() { ", which do not exist" } else { "" };
        let at = socket.display();
        let begins = format!(
            "{kind} processors{pretended}: {active} are active, off: {off}; listening at {at}"
        );
        self.log.line(Weight::Plain, &begins);
        let adder = Adder::start(&self.partition).map_err(|error| error.to_string())?;
        if self.config.hardware.at_start == AtStart::Add {
            adder.add(self.partition.candidates());
        }
        self.adder = Some(adder);
        self.say("READY=1");
        if let (Some(hardware), Some(plug)) = (&self.simulated, &self.config.hardware.plug) {
            let (ids, every) = (plug.get_ref().0.clone(), self.config.hardware.plug_every());
            let plugging = plug::begin(Arc::clone(hardware), ids, every);
            self.plugging = Some(plugging.map_err(|error| error.to_string())?);
        }
        Ok(())
    }

    /// Waits for something to happen, and tells the service manager meanwhile that it does.
    fn next(&self) -> Message {
        loop {
            let heard = match self.notify.interval() {
                Some(interval) => self.messages.recv_timeout(interval),
                None => self.messages.recv().map_err(|_| RecvTimeoutError::Disconnected),
            };
            // However much happens, it is said.
            if self.notify.interval().is_some() {
                self.say("WATCHDOG=1");
            }
            match heard {
                Ok(message) => return message,
                Err(RecvTimeoutError::Timeout) => {}
                // We hold a sender ourselves.
                Err(RecvTimeoutError::Disconnected) => return Message::Signal,
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
            }
            Message::Turned(what) => self.log.line(Weight::Bad, &what),
            Message::Signal | Message::Registered(_) | Message::Left => {}
        }
    }

    /// Adds no more, lets everybody go, and leaves the processors as they are.
    fn end(mut self) {
        self.say("STOPPING=1");
        (self.adder, self.plugging) = (None, None);
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

/// The processors, and once more if they are simulated.
type Governed = (Arc<dyn Hardware>, Option<Arc<Simulated>>);

fn hardware(keys: &HardwareKeys) -> Result<Governed, String> {
    if keys.kind == Kind::Simulated {
        let simulated =
            keys.simulation().map_err(|(_, key, what)| format!("hardware.{key}: {what}"))?;
        return Ok((Arc::clone(&simulated) as _, Some(simulated)));
    }
    if !geteuid().is_root() {
        return Err("switching this machine's processors takes root; \
                    with hardware.kind = \"simulated\" all else can be tried without"
            .to_owned());
    }
    let intruders = match keys.policy.as_ref().map(|policy| *policy.get_ref()) {
        Some(Policy::Revoke) => Intruders::Revoke,
        Some(Policy::Report) | None => Intruders::Report,
    };
    let hotplug = Hotplug::new(HotplugOptions::new().intruders(intruders));
    Ok((Arc::new(hotplug.map_err(|error| error.to_string())?), None))
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
