//! [`Recorder`]: records what happens in a scenario, and makes calls of the driver fail. It is the probe and the console of its process.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use hotadd::{PartyInfo, State};
use hotadd_nt::probe::{self, Notification, Probe};
use hotadd_nt::{Breach, Console, Fault, Rule, pool};

use super::classify;
use crate::message::{Found, Named, Played};
use crate::report::{Place, Step, StepKind};
use crate::scenario::{Failing, Phase, Point};

/// How many steps are kept. Beyond it the oldest calls are dropped.
const MOST_STEPS: usize = 2000;
/// How many of the driver's calls identify a call that can fail.
const STACK: usize = 8;
/// How many points are recorded.
const MOST_POINTS: usize = 1000;
/// How many findings are kept of one scenario.
const MOST_FOUND: usize = 200;

/// What `*OperationStatus` holds before a callback. All are values that no driver chooses.
pub(super) mod status {
    /// Another driver's refusal.
    pub(in super::super) const REFUSAL: u32 = 0xC0E7_0001;
    /// A value without a meaning.
    pub(in super::super) const SENTINEL: u32 = 0x40E7_0002;
}

/// Records a scenario. Cheap to clone.
#[derive(Clone)]
pub(super) struct Recorder(Arc<Inner>);

pub(super) struct Inner {
    begun: Instant,
    told: Mutex<Told>,
    /// The call that is to fail, and whether it fails now.
    failing: Option<Failing>,
    armed: AtomicBool,
    /// What the scenario does at the moment: load, add or unload the driver.
    act: Mutex<Phase>,
    before_start: AtomicU32,
    before_outcome: AtomicU32,
    /// What is done when the driver deregisters, once.
    on_deregistering: Mutex<Option<Box<dyn FnOnce() + Send>>>,
    /// Sends the result, before the process ends.
    send: Box<dyn Fn(&Played) + Send + Sync>,
}

#[derive(Default)]
struct Told {
    played: Played,
    points: BTreeMap<Point, (Option<Place>, u32)>,
    /// How often each was made in the current callback.
    in_callback: BTreeMap<Point, u32>,
    registered: usize,
    asked_active: bool,
    asked_maximum: bool,
    /// Questions about groups, by place: the function, and whether it was about another group than 0.
    asked_groups: BTreeMap<Option<Place>, (&'static str, bool)>,
    several_groups: bool,
    several_active_groups: bool,
    /// How many blocks were allocated when the driver had been loaded.
    blocks_at_load: Option<u64>,
    /// How many steps were dropped.
    dropped: usize,
    /// A processor has vanished.
    has_vanished: bool,
}

thread_local! {
    /// The part of a callback in which this thread is, and the index of the processor.
    static INSIDE: Cell<Option<(State, u32)>> = const { Cell::new(None) };
    /// The callback in which this thread is.
    static CALLBACK: RefCell<Option<Place>> = const { RefCell::new(None) };
    /// Whether this thread's calls are steps. Those of the driver's own threads are not, because their order is not always the same.
    static RECORDED: Cell<bool> = const { Cell::new(false) };
}

/// Makes this thread's calls steps.
pub(super) fn record_this_thread() {
    RECORDED.set(true);
}

/// `ALL_PROCESSOR_GROUPS`.
const ALL_GROUPS: u16 = 0xffff;

/// Functions that answer for group 0 alone.
const ONE_GROUP: &[&str] = &[
    "KeQueryActiveProcessorCount",
    "KeQueryActiveProcessors",
    "KeQueryMaximumProcessorCount",
    "KeGetCurrentProcessorNumber",
    "KeSetSystemAffinityThread",
    "KeSetSystemAffinityThreadEx",
    "KeSetTargetProcessorDpc",
];

impl Recorder {
    pub(super) fn new(failing: Option<Failing>, send: Box<dyn Fn(&Played) + Send + Sync>) -> Self {
        Self(Arc::new(Inner {
            begun: Instant::now(),
            told: Mutex::default(),
            failing,
            armed: AtomicBool::new(false),
            act: Mutex::new(Phase::Load),
            before_start: AtomicU32::new(0),
            before_outcome: AtomicU32::new(0),
            on_deregistering: Mutex::new(None),
            send,
        }))
    }

    fn told(&self) -> MutexGuard<'_, Told> {
        // A panic ends the process.
        self.0.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The scenario begins to do something.
    pub(super) fn act(&self, phase: Phase, text: impl Into<String>) {
        *self.0.act.lock().unwrap_or_else(PoisonError::into_inner) = phase;
        self.step(StepKind::Act, text.into(), None);
    }

    /// Makes calls at the scenario's point fail, or not any more.
    pub(super) fn arm(&self, armed: bool) {
        self.0.armed.store(armed, Ordering::Relaxed);
    }

    /// Sets what `*OperationStatus` holds when the driver is asked, and when it is told the outcome.
    pub(super) fn preset(&self, start: u32, outcome: u32) {
        self.0.before_start.store(start, Ordering::Relaxed);
        self.0.before_outcome.store(outcome, Ordering::Relaxed);
    }

    /// Does this once, when the driver deregisters next.
    pub(super) fn on_deregistering(&self, act: Option<Box<dyn FnOnce() + Send>>) {
        *self.0.on_deregistering.lock().unwrap_or_else(PoisonError::into_inner) = act;
    }

    /// There are several groups of processors, and perhaps several are active when the driver is loaded.
    pub(super) fn several_groups(&self, active: bool) {
        let mut told = self.told();
        (told.several_groups, told.several_active_groups) = (true, active);
    }

    /// A processor has vanished.
    pub(super) fn vanished(&self) {
        self.told().has_vanished = true;
    }

    /// The driver is loaded.
    pub(super) fn loaded(&self) {
        let blocks = pool::accounting().total.ever;
        self.told().blocks_at_load = Some(blocks);
    }

    /// How many callbacks the driver has registered in its life.
    pub(super) fn registered_ever(&self) -> usize {
        self.told().registered
    }

    /// Whether the call that was to fail was made.
    pub(super) fn reached(&self) -> bool {
        self.told().played.reached
    }

    /// Changes the result.
    pub(super) fn note(&self, note: impl FnOnce(&mut Played)) {
        note(&mut self.told().played);
    }

    /// Records something wrong.
    pub(super) fn find(
        &self,
        check: &str,
        what: impl Into<String>,
        place: Option<Place>,
        origin: Option<Place>,
    ) {
        let what = what.into();
        // A call that is the last thing in a function leaves no trace of the function on the stack. Then at least the callback is known.
        let place = place.or_else(|| CALLBACK.with_borrow(Clone::clone));
        self.step(StepKind::Finding, what.clone(), place.clone());
        let mut told = self.told();
        let step = told.played.steps.len() + told.dropped;
        let played = &mut told.played;
        let same = |one: &Found| {
            (&one.check, &one.place, &one.origin) == (&check.to_owned(), &place, &origin)
                && one.what == what
        };
        if played.found.len() < MOST_FOUND && !played.found.iter().any(same) {
            let (check, otherwise) = (check.to_owned(), None);
            played.found.push(Found { check, otherwise, what, place, origin, step });
        }
    }

    fn step(&self, kind: StepKind, text: String, place: Option<Place>) {
        let micros = u64::try_from(self.0.begun.elapsed().as_micros()).unwrap_or(u64::MAX);
        let mut told = self.told();
        told.played.steps.push(Step { micros, kind, text, place });
        if told.played.steps.len() > MOST_STEPS {
            // The acts stay, so that a reader sees what was done before.
            let half = MOST_STEPS / 2;
            let before = told.played.steps.len();
            let mut at = 0;
            told.played.steps.retain(|step| {
                at += 1;
                at > half
                    || matches!(step.kind, StepKind::Act | StepKind::Injected | StepKind::Finding)
            });
            let dropped = before - told.played.steps.len();
            told.dropped += dropped;
        }
    }

    /// The result, which is complete.
    pub(super) fn played(&self) -> Played {
        self.judge_groups();
        let mut told = self.told();
        let points = std::mem::take(&mut told.points).into_iter();
        let mut played = std::mem::take(&mut told.played);
        played.points =
            points.map(|(point, (place, count))| (point.to_string(), place, count)).collect();
        for found in &mut played.found {
            found.step = found.step.saturating_sub(told.dropped);
        }
        if played.found.is_empty() {
            played.steps.clear();
        }
        played
    }

    /// A driver that asks about group 0, and from the same place never about another one, assumes that there is one.
    fn judge_groups(&self) {
        let told = self.told();
        let groups =
            if told.several_active_groups { told.asked_groups.clone() } else { BTreeMap::new() };
        drop(told);
        for (place, (function, others)) in groups {
            if !others {
                let what =
                    format!("asks {function} about group 0, and never about the other groups");
                self.find("single-group-assumed", what, place, None);
            }
        }
    }

    fn phase(&self) -> Phase {
        let act = *self.0.act.lock().unwrap_or_else(PoisonError::into_inner);
        if !RECORDED.get() {
            return Phase::Other;
        }
        match (INSIDE.get(), act) {
            (Some((State::AddStart, _)), Phase::Load) => Phase::Replay,
            (Some((State::AddStart, _)), _) => Phase::Add,
            (Some((State::AddComplete, _)), _) => Phase::Complete,
            (Some(_), _) => Phase::Failure,
            (None, act @ (Phase::Load | Phase::Unload)) => act,
            // The driver's device is used.
            (None, _) => Phase::Other,
        }
    }
}

/// A position for reports.
pub(super) fn place(place: hotadd_nt::Place) -> Place {
    Place { module: place.image.name.clone(), offset: place.offset as u64, ..Place::default() }
}

impl Probe for Recorder {
    fn called(&self, function: &'static str) {
        let irql = probe::current_irql();
        // Most calls are made at PASSIVE_LEVEL, where all functions may be called.
        let most = (irql > 0).then(|| probe::highest_irql(function)).flatten();
        if let Some(most) = most.filter(|most| irql > *most) {
            let what = format!("calls {function} at IRQL {irql}, but the maximum is {most}");
            self.find(Rule::Irql.id(), what, probe::calling().map(place), None);
        }
        let mut told = self.told();
        match function {
            "KeQueryActiveProcessorCount"
            | "KeQueryActiveProcessorCountEx"
            | "KeQueryActiveProcessors"
            | "KeQueryGroupAffinity" => told.asked_active = true,
            "KeQueryMaximumProcessorCount" | "KeQueryMaximumProcessorCountEx" => {
                told.asked_maximum = true;
            }
            _ => {}
        }
        let one_group = told.several_groups && ONE_GROUP.contains(&function);
        drop(told);
        if one_group {
            let what = format!(
                "calls {function}, which knows group 0 alone, on a machine with several groups"
            );
            self.find("single-group-assumed", what, probe::calling().map(place), None);
        }
        if RECORDED.get() {
            self.step(StepKind::Call, function.to_owned(), probe::calling().map(place));
        }
    }

    fn fails(&self, function: &'static str) -> bool {
        let calls = probe::call_stack(STACK);
        if calls.is_empty() {
            // The scenario's own use of a device.
            return false;
        }
        let stack = calls.iter().map(|call| call.offset as u64).collect();
        let point = Point { phase: self.phase(), function: function.to_owned(), stack };
        let call = calls.first().copied().map(place);
        let mut told = self.told();
        let is_new = !told.points.contains_key(&point);
        if is_new && told.points.len() >= MOST_POINTS {
            return false;
        }
        let in_callback = told.in_callback.entry(point.clone()).or_insert(0);
        *in_callback += 1;
        let in_callback = *in_callback;
        let (_, count) = told.points.entry(point.clone()).or_insert((call.clone(), 0));
        let count = if point.phase.is_repeated() {
            *count = in_callback.max(*count);
            in_callback
        } else {
            *count += 1;
            *count
        };
        let Some(failing) = &self.0.failing else { return false };
        let fails =
            failing.point == point && self.0.armed.load(Ordering::Relaxed) && failing.nth == count;
        if fails {
            told.played.reached = true;
            drop(told);
            self.step(StepKind::Injected, format!("{function} is made to fail"), call);
        }
        fails
    }

    fn status_before(&self, state: State) -> u32 {
        match state {
            State::AddStart => self.0.before_start.load(Ordering::Relaxed),
            _ => self.0.before_outcome.load(Ordering::Relaxed),
        }
    }

    fn notifying(&self, callback: &Notification) {
        INSIDE.set(Some((callback.state, callback.index)));
        CALLBACK.set(callback.place.map(place));
        self.told().in_callback.clear();
        let text = format!("callback: {}, processor {}", callback.state, callback.index);
        self.step(StepKind::Notice, text, callback.place.map(place));
    }

    fn notified(&self, callback: &Notification, status: u32) {
        INSIDE.set(None);
        CALLBACK.set(None);
        let before = self.status_before(callback.state);
        let at = callback.place.map(place);
        let is_start = callback.state == State::AddStart;
        let is_error = status.cast_signed() < 0;
        if status != before && is_start && before == status::REFUSAL && !is_error {
            let what = format!(
                "sets *OperationStatus to {status:#010x}, although it holds the refusal of another driver"
            );
            self.find(Rule::VetoSwallowed.id(), what, at, None);
        } else if status != before && !(is_start && is_error) {
            let what = format!(
                "sets *OperationStatus to {status:#010x} in {}, where it does not refuse",
                callback.state
            );
            self.find(Rule::StatusOutsideStart.id(), what, at, None);
        }
        let refused = if is_start && is_error && status != before {
            format!(", refused with {status:#010x}")
        } else {
            String::new()
        };
        self.step(StepKind::Notice, format!("callback returns{refused}"), None);
    }

    fn named(&self, function: &'static str, index: Option<u32>) {
        let at = probe::calling().map(place);
        let Some(index) = index else {
            let what = format!("names a processor to {function} that does not exist");
            return self.find(Rule::Affinity.id(), what, at, None);
        };
        let (Some((_, own)), Some(at)) = (INSIDE.get(), at) else { return };
        let named = Named { function: function.to_owned(), place: at, own: index == own };
        let mut told = self.told();
        let all = &mut told.played.named;
        if all.len() < MOST_POINTS && !all.contains(&named) {
            all.push(named);
        }
    }

    fn asks_about(&self, function: &'static str, group: u16) {
        if group == ALL_GROUPS {
            return;
        }
        let mut told = self.told();
        let (_, others) =
            told.asked_groups.entry(probe::calling().map(place)).or_insert((function, false));
        *others |= group != 0;
    }

    fn deregistering(&self) {
        let act = self.0.on_deregistering.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(act) = act {
            act();
        }
    }

    fn tells_who_refused(&self) -> bool {
        self.0.failing.as_ref().is_some_and(|failing| failing.told)
    }
}

impl Console for Recorder {
    fn print(&self, text: &str) {
        if RECORDED.get() {
            self.step(StepKind::Print, text.trim_end().to_owned(), None);
        }
    }

    fn breach(&self, breach: &Breach) {
        if breach.rule == Rule::Affinity && self.told().has_vanished {
            // Windows removes no processors, so that a driver cannot be prepared for this.
            return;
        }
        self.find(breach.rule.id(), breach.what.clone(), breach.place.map(place), None);
    }

    fn fault(&self, fault: &Fault) {
        let told = self.told();
        let known = classify::Known {
            asked_active: told.asked_active && !told.asked_maximum,
            blocks_at_load: told.blocks_at_load,
            injected: told.played.reached,
            deregistering: classify::is_deregistering(),
        };
        drop(told);
        let class = classify::fault(fault, known);
        self.find(class.check, class.what, fault.place.map(place), class.origin.map(place));
        if let Some(last) = self.told().played.found.last_mut() {
            last.otherwise = class.otherwise.map(str::to_owned);
        }
        (self.0.send)(&self.played());
    }

    fn registered(&self, _: &PartyInfo) {
        self.told().registered += 1;
    }
}
