//! [`Session`]: a run from start to end, on the main thread.

mod registering;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use hotadd::{CpuList, Event, Follow, Partition, Registration};
use hotadd_daemon::parties::{Parties, Terms};
use hotadd_daemon::trace::Tracer;
use hotadd_daemon::view::{View, Weight};
use hotadd_service::children::Ending;
use hotadd_service::{Record, Service};

use crate::child::{self, Child};
use crate::display::{Display, News};
use crate::driver_output::{DriverOutput, OutputQueue};
use crate::fail_on::Failures;
use crate::failure::CannotBegin;
use crate::fence::Fence;
use crate::first;
use crate::load::Load;
use crate::message::{Message, Received};
use crate::options::Options;
use crate::plan::{self, Course, Plan};
use crate::signals;

/// How often the TUI is drawn when nothing happens.
const TICK: Duration = Duration::from_millis(100);

/// The same interval when there is no TUI and nothing is planned.
const IDLE: Duration = Duration::from_secs(1);

/// How long the last state is shown when there is no command to determine that.
const SHOWN: Duration = Duration::from_secs(1);

/// How long a driver may delay the end.
const GRACE: Duration = Duration::from_secs(2);

/// Exit statuses if the command cannot be run.
const NOT_EXECUTABLE: u8 = 126;
const NOT_FOUND: u8 = 127;

/// The exit status of a run that failed only by `--fail-on`.
const FAILED: i32 = 1;

/// A run under way.
pub(crate) struct Session<D> {
    partition: Partition,
    /// Keeps processes to the partition, and is removed at the end.
    fence: Fence,
    view: View,
    display: D,
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
    failures: Failures,
    cpus_allowed_list: Option<String>,
    trace: Option<Tracer>,
}

impl<D: Display> Session<D> {
    pub(crate) fn begin(
        options: &Options,
        open: impl FnOnce(&View) -> Result<D, String>,
    ) -> Result<Self, CannotBegin> {
        let plan = Plan::new(options)?;
        let (sender, messages) = mpsc::channel();
        // First: a signal may be sent as soon as this program has printed something.
        signals::listen(sender.clone())
            .map_err(CannotBegin::by("signal handlers cannot be installed"))?;
        let view = view_of(options, &plan).map_err(CannotBegin::system)?;
        let display = open(&view).map_err(CannotBegin::usage)?;
        let mut session = Self {
            partition: plan.partition.clone(),
            fence: plan.fence.clone(),
            view,
            display,
            messages,
            sender,
            parties: Arc::default(),
            load: None,
            service: None,
            child: None,
            ending: None,
            plan: None,
            planned: false,
            has_command: !options.command.is_empty(),
            signal: None,
            failures: Failures::new(options.fail_on),
            cpus_allowed_list: None,
            trace: None,
        };
        session.announce(&plan);
        let began = session.set_up(options, plan);
        began.inspect_err(|why| {
            // The output so far explains the failure.
            session.drain();
            session.finish(i32::from(why.code));
            session.close_fence();
        })?;
        Ok(session)
    }

    /// Registers the drivers, starts the command, and then the plan.
    fn set_up(&mut self, options: &Options, plan: Plan) -> Result<(), CannotBegin> {
        let observer = self.sender.clone();
        let observe = move |event: &Event| {
            // Fails only when the run is over.
            let _ = observer.send(Message::Event(Box::new(event.clone())));
        };
        self.partition.observe(observe).map_err(CannotBegin::by("observing"))?.detach();
        if let Some(path) = &options.trace {
            let sender = self.sender.clone();
            let wrong = move |why| drop(sender.send(Message::Untraced(why)));
            let name = options.name.as_deref().unwrap_or(&self.view.title);
            let trace = Tracer::begin(&self.partition, name, path, wrong);
            self.trace = Some(trace.map_err(CannotBegin::usage)?);
        }
        // Nothing that the command or a driver starts may escape from the partition or outlive it.
        rustix::process::set_child_subreaper(Some(rustix::process::getpid()))
            .map_err(CannotBegin::by("the command's processes cannot be tracked"))?;
        // Before the service starts: for a peer that connects and adds a processor, these parties are already required (L4).
        self.parties.name(&self.partition, &options.drivers).map_err(CannotBegin::system)?;
        self.service = self.serve(options).map_err(CannotBegin::system)?;
        let terms = Terms {
            partition: self.partition.clone(),
            start: plan.fence.starts(),
            service: self.service.as_ref().map(Arc::downgrade),
            timeout: options.timeout,
            output: OutputQueue::to(self.sender.clone()),
        };
        self.register(terms)?;
        self.start_child(options, &plan)?;
        let (stop, stopped) = mpsc::channel();
        self.plan = Some(stop);
        // The built-in load is first shown on the processors that it starts on. A command is not made to wait.
        let first =
            if self.child.is_some() && !self.has_command { options.every } else { Duration::ZERO };
        // If a time before all changes is given, no further time passes before the first.
        let (after, first) =
            options.after.map_or((Duration::ZERO, first), |after| (after, Duration::ZERO));
        let course = Course { follow: options.follow, after, first, every: options.every };
        let sender = self.sender.clone();
        let carry_out = move || {
            let cannot_follow = |error| drop(sender.send(Message::NotFollowed(error)));
            plan::carry_out(&plan.partition, &plan.changes, course, &stopped, cannot_follow);
            let _ = sender.send(Message::Planned);
        };
        std::thread::Builder::new()
            .name("hotadd-plan".to_owned())
            .spawn(carry_out)
            .map_err(CannotBegin::by("the plan's thread cannot be started"))?;
        Ok(())
    }

    fn start_child(&mut self, options: &Options, plan: &Plan) -> Result<(), CannotBegin> {
        const NO_LOAD: &str = "the built-in load cannot be run";
        let (way, sender) = (plan.fence.way(), &self.sender);
        let mut child = if let Some(program) = options.command.first() {
            child::start(options, way, sender).map_err(|error| {
                let code = match error.kind() {
                    std::io::ErrorKind::NotFound => NOT_FOUND,
                    _ => NOT_EXECUTABLE,
                };
                let reason = format!("{} cannot be run: {error}", program.display());
                CannotBegin { code, reason }
            })?
        } else if plan.fence.is_real() {
            child::start_workload(way, sender).map_err(CannotBegin::by(NO_LOAD))?
        } else {
            // Nothing can run on simulated processors.
            return Ok(());
        };
        if let Some((orders, answers)) = child.pipes.take() {
            let load =
                Load::listen(orders, answers, sender.clone()).map_err(CannotBegin::by(NO_LOAD))?;
            let registered = self.partition.register("load", load);
            self.load = Some(registered.map_err(CannotBegin::by(NO_LOAD))?);
        }
        self.child = Some(child);
        Ok(())
    }

    /// Outputs the first event: the initial state.
    fn announce(&mut self, plan: &Plan) {
        let (first, note) = first::first(plan, &self.view.title);
        self.display.record(&first);
        self.display.show(News::Note(Some(&note)), &self.view);
    }

    /// Shows what happens until the run is over. Returns the exit status.
    pub(crate) fn conduct(mut self) -> i32 {
        let mut last_change = Instant::now();
        loop {
            match self.messages.recv_timeout(self.patience()) {
                Ok(Message::Planned) => (self.planned, last_change) = (true, Instant::now()),
                Ok(message) => self.take(message),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            self.display.show(News::Time, &self.view);
            let shown =
                if self.display.is_tui() || self.child.is_some() { SHOWN } else { Duration::ZERO };
            let over = !self.has_command && self.planned && last_change.elapsed() >= shown;
            if over || self.ending.is_some() || (self.signal.is_some() && !self.has_command) {
                break;
            }
        }
        self.end()
    }

    /// How long to wait for messages when nothing has to be drawn or printed.
    fn patience(&self) -> Duration {
        let quiet = self.has_command && self.planned && !self.display.is_tui();
        if quiet { IDLE } else { TICK }
    }

    fn take(&mut self, message: Message) {
        match message {
            Message::Event(event) => self.event(&event),
            Message::Rates(rates) => {
                self.view.rates = Some(rates);
                self.display.show(News::Rates, &self.view);
            }
            Message::Signal(received) => self.signalled(received),
            Message::Output(output) => self.driver_output(&output),
            Message::Registered(_) | Message::Left => {}
            Message::NotFollowed(error) => {
                let text = format!("processors that appear are not added: {error}");
                self.display
                    .show(News::Note(Some(&self.view.remark(Weight::Bad, text))), &self.view);
            }
            Message::Metrics(place) => {
                let text = format!("metrics are served at {place}");
                self.display
                    .show(News::Note(Some(&self.view.remark(Weight::Plain, text))), &self.view);
            }
            Message::Untraced(why) => self.display.wrong(&why),
            Message::Planned => self.planned = true,
            Message::Ended(ending) => self.ending = Some(ending),
        }
    }

    fn event(&mut self, event: &Event) {
        self.failures.event(event);
        let concludes = Record::concludes(event);
        if concludes {
            self.look_at_child();
        }
        if let Some(mut record) = Record::of(event) {
            if concludes {
                record.cpus_allowed_list.clone_from(&self.cpus_allowed_list);
            }
            self.display.record(&record);
        }
        let note = self.view.take(event);
        self.display.show(News::Note(note.as_ref()), &self.view);
    }

    /// Shows the output of a driver.
    fn driver_output(&mut self, line: &DriverOutput) {
        self.failures.output(&line.driver, &line.output);
        if let Some(trace) = &self.trace {
            trace.output(&line.driver, &line.output);
        }
        let epoch = self.partition.epoch().0;
        self.display.record(&Record::output(&line.driver, &line.output, epoch));
        let note = self.view.output(&line.driver, &line.output);
        self.display.show(News::Note(Some(&note)), &self.view);
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
    fn end(mut self) -> i32 {
        self.look_at_child();
        self.plan = None;
        // Asks for no further processor. This needs no thread and does not wait.
        let _ = self.partition.follow(Follow::Manual);
        let began = Instant::now();
        while !self.planned && began.elapsed() < GRACE {
            if let Ok(message) = self.messages.recv_timeout(TICK) {
                self.take(message);
            }
            self.display.show(News::Time, &self.view);
        }
        self.leave();
        self.end_child();
        self.drain();
        let own = self.has_command.then_some(self.ending).flatten();
        let interrupted = self.signal.filter(|_| !self.has_command).map(|signal| 128 + signal);
        let code = own.map(Ending::code).or(interrupted).unwrap_or(0);
        let failed = self.failures.reason();
        let code = if code == 0 && failed.is_some() { FAILED } else { code };
        self.finish(code);
        if let Some(why) = failed {
            self.display.wrong(&format!("the run failed, {why}"));
        }
        code
    }

    fn end_child(&self) {
        let left = child::end_leftovers();
        if !left.is_empty() {
            let pids: Vec<_> = left.iter().map(|pid| pid.as_raw_nonzero().to_string()).collect();
            let pids = pids.join(", ");
            self.display.wrong(&format!("still running and cannot be ended: process {pids}"));
        }
        self.close_fence();
    }

    fn close_fence(&self) {
        if let Err(error) = self.fence.close() {
            self.display.wrong(&error.to_string());
        }
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
        self.display.record(&record);
        if let Some(trace) = self.trace.take() {
            trace.end();
        }
        self.display.close(&self.view);
    }
}

fn view_of(options: &Options, plan: &Plan) -> Result<View, hotadd::Error> {
    let title = match options.command.first() {
        Some(command) => command.to_string_lossy().into_owned(),
        None if plan.fence.is_real() => "built-in load".to_owned(),
        None => "simulation".to_owned(),
    };
    let active = plan.partition.active();
    let rows = active.iter().map(|p| (p.id, p.index.get()));
    let off = plan.partition.candidates()?;
    let mut view = View::new(plan.partition.hardware(), title, rows, off);
    if options.command.is_empty() && plan.fence.is_real() {
        view.rates = Some(BTreeMap::new());
    }
    view.follow = Some(options.follow);
    Ok(view)
}
