//! `hotadd run`: a command in a partition of processors that grows while it runs.

mod cannot_begin;
mod child;
mod driver_output;
mod fence;
mod first;
mod load;
mod output;
mod plan;
mod registering;
mod signals;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use hotadd::{CpuList, Event, Follow, HardwareId, Partition, Registration};
use hotadd_daemon::parties::{Parties, Terms};
use hotadd_daemon::view::{View, Weight};
use hotadd_service::children::Ending;
use hotadd_service::{Record, Service};

use self::cannot_begin::CannotBegin;
use self::child::{Child, Stdout};
use self::driver_output::{DriverOutput, OutputQueue};
use self::fence::Fence;
use self::load::Load;
use self::output::{Output, Wanted};
use self::plan::{Course, Plan};
use self::signals::Received;
use crate::args::Run;

/// How often the TUI is drawn when nothing happens.
const TICK: Duration = Duration::from_millis(100);

/// The same interval when there is no TUI and nothing is planned.
const IDLE: Duration = Duration::from_secs(1);

/// How long the last state is shown when there is no command to determine that.
const SHOWN: Duration = Duration::from_secs(1);

/// How long a driver may delay the end.
const GRACE: Duration = Duration::from_secs(2);

/// Exit statuses of this program, not of the command.
const CANNOT_BEGIN: u8 = 1;
const USAGE: u8 = 2;
const NOT_EXECUTABLE: u8 = 126;
const NOT_FOUND: u8 = 127;

/// Messages of the other threads to the main thread.
pub(crate) enum Message {
    /// From the partition. The event may come from any thread.
    Event(Box<Event>),
    Signal(Received),
    /// From the built-in load: steps per second by processor.
    Rates(BTreeMap<HardwareId, f64>),
    /// All drivers have registered, or the reason why one did not.
    Registered(Result<(), String>),
    /// From a driver's process.
    Output(DriverOutput),
    /// All drivers are deregistered, and their processes have ended.
    Left,
    /// Processors that appear cannot be followed.
    NotFollowed(hotadd::Error),
    /// Everything planned was done.
    Planned,
    /// The command ended.
    Ended(Ending),
}

/// Performs the run. Returns the exit status.
pub(crate) fn run(args: &Run) -> ExitCode {
    match Session::begin(args) {
        Ok(session) => session.conduct(),
        Err((code, reason)) => {
            crate::say::wrong(reason);
            signals::end_with(code.into())
        }
    }
}

/// A run under way.
struct Session {
    partition: Partition,
    /// Keeps processes to the partition, and is removed at the end.
    fence: Fence,
    view: View,
    output: Output,
    messages: Receiver<Message>,
    sender: Sender<Message>,
    /// The parties of the command line.
    parties: Arc<Parties>,
    /// The registration of the built-in load.
    load: Option<Registration>,
    /// Serves parties from outside and parties in processes of their own.
    service: Option<Arc<Service>>,
    child: Option<Child>,
    ending: Option<Ending>,
    /// Dropping it ends the plan before its next step.
    plan: Option<Sender<()>>,
    planned: bool,
    /// The run is for a command, and ends with it.
    has_command: bool,
    signal: Option<i32>,
    cpus_allowed_list: Option<String>,
}

impl Session {
    fn begin(args: &Run) -> Result<Self, (u8, String)> {
        let plan = Plan::new(args).map_err(|why| match why {
            CannotBegin::Usage(reason) => (USAGE, reason),
            CannotBegin::System(reason) => (CANNOT_BEGIN, reason),
        })?;
        let (sender, messages) = mpsc::channel();
        // First: a signal may be sent as soon as this program has printed something.
        signals::listen(sender.clone())
            .map_err(|e| (CANNOT_BEGIN, format!("signal handlers cannot be installed: {e}")))?;
        let partition = plan.partition.clone();
        let view = view_of(args, &plan).map_err(|error| (CANNOT_BEGIN, error.to_string()))?;
        let events = if args.json { Some(Path::new("-")) } else { args.events.as_deref() };
        let wanted = Wanted { events, people: !args.json, command: !args.command.is_empty() };
        let output = Output::open(&wanted, &view).map_err(|error| {
            let path = events.unwrap_or(Path::new("-")).display();
            (USAGE, format!("events cannot be written to {path}: {error}"))
        })?;
        let mut session = Self {
            partition,
            fence: plan.fence.clone(),
            view,
            output,
            messages,
            sender: sender.clone(),
            parties: Arc::default(),
            load: None,
            service: None,
            child: None,
            ending: None,
            plan: None,
            planned: false,
            has_command: !args.command.is_empty(),
            signal: None,
            cpus_allowed_list: None,
        };
        session.announce(&plan);
        let began = session.set_up(args, plan, &sender);
        began.map_err(|(code, reason)| {
            // The output so far explains the failure.
            session.drain();
            session.finish(i32::from(code));
            session.fence.close();
            (code, reason)
        })?;
        Ok(session)
    }

    /// Registers the drivers, starts the command, and then the plan.
    fn set_up(
        &mut self,
        args: &Run,
        plan: Plan,
        sender: &Sender<Message>,
    ) -> Result<(), (u8, String)> {
        let system =
            |what: &str, error: &dyn std::fmt::Display| (CANNOT_BEGIN, format!("{what}: {error}"));
        let observer = sender.clone();
        let observe = move |event: &Event| {
            // Fails only when the run is over.
            let _ = observer.send(Message::Event(Box::new(event.clone())));
        };
        self.partition.observe(observe).map_err(|e| system("observing", &e))?.detach();
        // Nothing that the command or a driver starts may escape from the partition or outlive it.
        rustix::process::set_child_subreaper(Some(rustix::process::getpid()))
            .map_err(|e| system("the command's processes cannot be tracked", &e))?;
        // Before the service starts: for a peer that connects and adds a processor, these parties are already required (L4).
        self.parties.name(&self.partition, &args.drivers).map_err(|why| (CANNOT_BEGIN, why))?;
        self.service = self.serve(args).map_err(|e| (CANNOT_BEGIN, e.to_string()))?;
        let terms = Terms {
            partition: self.partition.clone(),
            start: plan.fence.starts(),
            service: self.service.as_ref().map(Arc::downgrade),
            timeout: args.timeout,
            output: OutputQueue::to(sender.clone()),
        };
        self.register(terms, sender)?;
        self.start_child(args, &plan, sender)?;
        let (stop, stopped) = mpsc::channel();
        self.plan = Some(stop);
        // The built-in load is first shown on the processors that it starts on. A command is not made to wait.
        let first =
            if self.child.is_some() && !self.has_command { args.every } else { Duration::ZERO };
        // If a time before all changes is given, no further time passes before the first.
        let (after, first) =
            args.after.map_or((Duration::ZERO, first), |after| (after, Duration::ZERO));
        let course = Course { follow: args.follow, after, first, every: args.every };
        let sender = sender.clone();
        let carry_out = move || {
            let cannot_follow = |error| drop(sender.send(Message::NotFollowed(error)));
            plan::carry_out(&plan.partition, &plan.changes, course, &stopped, cannot_follow);
            let _ = sender.send(Message::Planned);
        };
        std::thread::Builder::new()
            .name("hotadd-plan".to_owned())
            .spawn(carry_out)
            .map_err(|e| system("the plan's thread cannot be started", &e))?;
        Ok(())
    }

    fn start_child(
        &mut self,
        args: &Run,
        plan: &Plan,
        sender: &Sender<Message>,
    ) -> Result<(), (u8, String)> {
        let way = plan.fence.way();
        let mut child = if self.has_command {
            let to_stderr = args.json || args.events.as_deref() == Some(Path::new("-"));
            let stdout = if to_stderr { Stdout::ToStderr } else { Stdout::Inherited };
            child::start(&args.command, way, stdout, sender).map_err(|error| {
                let code = match error.kind() {
                    std::io::ErrorKind::NotFound => NOT_FOUND,
                    _ => NOT_EXECUTABLE,
                };
                (code, format!("{} cannot be run: {error}", args.command[0].display()))
            })?
        } else if plan.fence.is_real() {
            child::start_workload(way, sender)
                .map_err(|e| (CANNOT_BEGIN, format!("the built-in load cannot be run: {e}")))?
        } else {
            // Nothing can run on simulated processors.
            return Ok(());
        };
        if let Some((orders, answers)) = child.pipes.take() {
            let cannot = |e: &dyn std::fmt::Display| {
                (CANNOT_BEGIN, format!("the built-in load cannot be run: {e}"))
            };
            let load = Load::listen(orders, answers, sender.clone()).map_err(|e| cannot(&e))?;
            let registered = self.partition.register("load", load);
            self.load = Some(registered.map_err(|e| cannot(&e))?);
        }
        self.child = Some(child);
        Ok(())
    }

    /// Outputs the first event: the initial state.
    fn announce(&mut self, plan: &Plan) {
        let (first, note) = first::first(plan, &self.view.title);
        self.output.record(&first);
        self.output.note(Some(&note), &self.view);
    }

    /// Shows what happens until the run is over. Returns the exit status.
    fn conduct(mut self) -> ExitCode {
        let mut last_change = Instant::now();
        loop {
            match self.messages.recv_timeout(self.patience()) {
                Ok(Message::Planned) => (self.planned, last_change) = (true, Instant::now()),
                Ok(message) => self.take(message),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            self.output.tick(&self.view);
            let shown =
                if self.output.is_tui() || self.child.is_some() { SHOWN } else { Duration::ZERO };
            let over = !self.has_command && self.planned && last_change.elapsed() >= shown;
            if over || self.ending.is_some() || (self.signal.is_some() && !self.has_command) {
                break;
            }
        }
        self.end()
    }

    /// How long to wait for messages when nothing has to be drawn or printed.
    fn patience(&self) -> Duration {
        let quiet = self.has_command && self.planned && !self.output.is_tui();
        if quiet { IDLE } else { TICK }
    }

    fn take(&mut self, message: Message) {
        match message {
            Message::Event(event) => self.event(&event),
            Message::Rates(rates) => {
                self.view.rates = Some(rates);
                self.output.rates(&self.view);
            }
            Message::Signal(received) => self.signalled(received),
            Message::Output(output) => self.driver_output(&output),
            Message::Registered(_) | Message::Left => {}
            Message::NotFollowed(error) => {
                let text = format!("processors that appear are not added: {error}");
                self.output.note(Some(&self.view.remark(Weight::Bad, text)), &self.view);
            }
            Message::Planned => self.planned = true,
            Message::Ended(ending) => self.ending = Some(ending),
        }
    }

    fn event(&mut self, event: &Event) {
        let concludes = Record::concludes(event);
        if concludes {
            self.look_at_child();
        }
        if let Some(mut record) = Record::of(event) {
            if concludes {
                record.cpus_allowed_list.clone_from(&self.cpus_allowed_list);
            }
            self.output.record(&record);
        }
        let note = self.view.take(event);
        self.output.note(note.as_ref(), &self.view);
    }

    /// Shows the output of a driver.
    fn driver_output(&mut self, line: &DriverOutput) {
        let epoch = self.partition.epoch().0;
        self.output.record(&Record::said(&line.driver, &line.output, epoch));
        let note = self.view.hear(&line.driver, &line.output);
        self.output.note(Some(&note), &self.view);
    }

    /// Passes a signal on to the command, unless the terminal has sent it to the command as well.
    fn signalled(&mut self, received: Received) {
        self.signal.get_or_insert(received.number);
        if let (Some(child), true, false) = (&self.child, self.has_command, received.from_terminal)
            && let Some(signal) = rustix::process::Signal::from_named_raw(received.number)
        {
            // The command may have ended meanwhile.
            let _ = rustix::process::kill_process(child.pid, signal);
        }
    }

    /// Reads from the kernel on which processors the command may run.
    fn look_at_child(&mut self) {
        let Some(child) = &self.child else { return };
        let path = format!("/proc/{}/status", child.pid.as_raw_nonzero());
        let status = std::fs::read_to_string(path).unwrap_or_default();
        let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
        if let Some(list) = list {
            self.cpus_allowed_list = Some(list.trim().to_owned());
        }
    }

    /// Stops the plan, deregisters the drivers, and ends what is left of the command.
    fn end(mut self) -> ExitCode {
        self.look_at_child();
        self.plan = None;
        // Asks for no further processor. This needs no thread and does not wait.
        let _ = self.partition.follow(Follow::Manual);
        let began = Instant::now();
        while !self.planned && began.elapsed() < GRACE {
            if let Ok(message) = self.messages.recv_timeout(TICK) {
                self.take(message);
            }
            self.output.tick(&self.view);
        }
        self.leave();
        self.end_child();
        self.drain();
        let own = self.has_command.then_some(self.ending).flatten();
        let interrupted = self.signal.filter(|_| !self.has_command).map(|signal| 128 + signal);
        let code = own.map(Ending::code).or(interrupted).unwrap_or(0);
        self.finish(code);
        drop(self);
        signals::end_with(code)
    }

    fn end_child(&self) {
        let left = child::end_leftovers();
        if !left.is_empty() {
            let pids: Vec<_> = left.iter().map(|pid| pid.as_raw_nonzero().to_string()).collect();
            crate::say::wrong(format!(
                "still running and cannot be ended: process {}",
                pids.join(", ")
            ));
        }
        self.fence.close();
    }

    /// Takes all messages that have arrived.
    fn drain(&mut self) {
        while let Ok(message) = self.messages.try_recv() {
            self.take(message);
        }
    }

    /// Outputs the last event and the last line.
    fn finish(&mut self, code: i32) {
        let mut record = Record::of_run("exit", self.partition.epoch().0);
        record.code = Some(code);
        record.active =
            Some(self.partition.active().iter().map(|p| p.id).collect::<CpuList>().to_string());
        record.cpus_allowed_list.clone_from(&self.cpus_allowed_list);
        if let (Some(Ending::Killed(signal)), true) = (self.ending, self.has_command) {
            record.signal = Some(signal);
        }
        self.output.record(&record);
        self.output.close(&self.view);
    }
}

fn view_of(args: &Run, plan: &Plan) -> Result<View, hotadd::Error> {
    let title = match args.command.first() {
        Some(command) => command.to_string_lossy().into_owned(),
        None if plan.fence.is_real() => "built-in load".to_owned(),
        None => "simulation".to_owned(),
    };
    let active = plan.partition.active();
    let rows = active.iter().map(|p| (p.id, p.index.get()));
    let off = plan.partition.candidates()?;
    let mut view = View::new(plan.partition.hardware(), title, rows, off);
    if args.command.is_empty() && plan.fence.is_real() {
        view.rates = Some(BTreeMap::new());
    }
    view.follow = Some(args.follow);
    Ok(view)
}
