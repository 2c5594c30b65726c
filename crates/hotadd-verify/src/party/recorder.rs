//! [`Recorder`]: records what happens in a scenario of a party, from the events of the partition, and finds what the party does wrong.

use std::any::Any;
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hotadd::{Event, EventKind, HardwareId, Occasion, PartyId, PartyInfo, State};

use crate::message::{AddDecision, Found, Played};
use crate::report::{Step, StepKind};

/// How many processors of a replay are recorded.
const SHOWN: u32 = 8;

/// What separates a call from the reason of its refusal.
pub(super) const REFUSES: &str = ": refuses: ";

/// How long nothing may happen outside of the party's calls, while it is registered or deregistered.
const SILENCE: Duration = Duration::from_secs(60);

/// Records a scenario. Cheap to clone.
#[derive(Clone)]
pub(super) struct Recorder(Arc<Mutex<Inner>>);

struct Inner {
    begun: Instant,
    limit: Duration,
    played: Played,
    /// The parties of the scenario itself.
    own: Vec<PartyId>,
    /// How often the party is registered.
    registered: usize,
    /// The party's call in progress, or the last one.
    call: Option<(State, HardwareId)>,
    /// Since when the call is in progress.
    calling: Option<Instant>,
    /// The last call took too long.
    late: bool,
    /// The party refused a processor that was active when it registered.
    refused_replay: bool,
    /// The party must stay registered.
    stays: bool,
    /// It did not.
    left: bool,
    /// Steps are not recorded, so that nothing is allocated.
    muted: bool,
    /// When something happened last.
    last: Instant,
}

impl Recorder {
    pub(super) fn new(limit: Duration) -> Self {
        let now = Instant::now();
        Self(Arc::new(Mutex::new(Inner {
            begun: now,
            limit,
            played: Played::default(),
            own: Vec::new(),
            registered: 0,
            call: None,
            calling: None,
            late: false,
            refused_replay: false,
            stays: false,
            left: false,
            muted: false,
            last: now,
        })))
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records an event of the partition.
    pub(super) fn event(&self, event: &Event) {
        let mut inner = self.lock();
        inner.last = Instant::now();
        let own = event.party.as_ref().is_some_and(|party| inner.own.contains(&party.id));
        match (&event.party, event.kind) {
            (Some(party), EventKind::Veto) if own => inner.refusal(party, event),
            (Some(_), _) if !own => inner.party(event),
            (None, EventKind::StartFailed) => {
                let id = event.id.unwrap_or(HardwareId(0));
                inner.step(StepKind::Injected, || format!("processor {id} fails to start"));
            }
            _ => {}
        }
    }

    /// This is a party of the scenario itself.
    pub(super) fn own(&self, id: PartyId) {
        self.lock().own.push(id);
    }

    /// The scenario does something.
    pub(super) fn act(&self, what: impl FnOnce() -> String) {
        let mut inner = self.lock();
        inner.last = Instant::now();
        inner.step(StepKind::Act, what);
    }

    /// Something is wrong.
    pub(super) fn find(&self, check: &str, what: String) {
        self.lock().find(check, what);
    }

    /// The party decided on a processor.
    pub(super) fn decided(&self, index: u32, agreed: bool) {
        let mut inner = self.lock();
        if !inner.muted {
            inner.played.adds.push(AddDecision { index, group_was_active: true, agreed });
        }
    }

    /// The scenario cannot be played.
    pub(super) fn not_run(&self, why: String) {
        self.lock().played.not_run = Some(why);
    }

    /// The party did not register. If it refused an active processor, that was its decision.
    pub(super) fn refused_load(&self, why: String) {
        let mut inner = self.lock();
        if mem::take(&mut inner.refused_replay) {
            inner.played.refused_load.get_or_insert(why);
        } else {
            inner.played.not_run.get_or_insert(why);
        }
    }

    /// Whether something is wrong so far.
    pub(super) fn has_found(&self) -> bool {
        !self.lock().played.found.is_empty()
    }

    /// From now on the party must stay registered, or need not.
    pub(super) fn stays(&self, stays: bool) {
        self.lock().stays = stays;
    }

    /// Whether the party is registered.
    pub(super) fn is_registered(&self) -> bool {
        self.lock().registered > 0
    }

    /// Does not record steps, or does again.
    pub(super) fn mute(&self, muted: bool) {
        self.lock().muted = muted;
    }

    /// Whether nothing happens any more. This is recorded as a finding.
    pub(super) fn is_stuck(&self) -> bool {
        let mut inner = self.lock();
        let limit = inner.limit;
        match (inner.calling, inner.call) {
            // A party in another process is ended by then.
            (Some(since), Some((state, _)))
                if since.elapsed() > 2 * limit + Duration::from_secs(2) =>
            {
                inner.find("over-budget", late(state, limit));
                true
            }
            (None, _) if inner.last.elapsed() > SILENCE => {
                let seconds = SILENCE.as_secs();
                inner.find(
                    "over-budget",
                    format!("does not register or deregister within {seconds} s"),
                );
                true
            }
            _ => false,
        }
    }

    /// The record. What happens later is lost.
    pub(super) fn take(&self) -> Played {
        let mut inner = self.lock();
        let ends = |found: &Found| ["crash", "over-budget"].contains(&&*found.check);
        if inner.left && !inner.played.found.iter().any(ends) {
            inner.find("crash", "leaves the partition, although nobody ended it".to_owned());
        }
        mem::take(&mut inner.played)
    }
}

fn late(state: State, limit: Duration) -> String {
    format!("does not return from {state} within {limit:?}")
}

impl Inner {
    fn step(&mut self, kind: StepKind, text: impl FnOnce() -> String) {
        if !self.muted {
            let micros = u64::try_from(self.begun.elapsed().as_micros()).unwrap_or(u64::MAX);
            self.played.steps.push(Step { micros, kind, text: text(), place: None });
        }
    }

    fn find(&mut self, check: &str, what: String) {
        let same = |found: &Found| found.check == check && found.what == what;
        if self.played.found.iter().any(same) {
            return;
        }
        let muted = mem::replace(&mut self.muted, false);
        self.step(StepKind::Finding, || what.clone());
        self.muted = muted;
        let step = self.played.steps.len();
        let (check, otherwise) = (check.to_owned(), None);
        let found = Found { check, otherwise, what, place: None, origin: None, step };
        self.played.found.push(found);
    }

    /// A party of the scenario refused.
    fn refusal(&mut self, party: &PartyInfo, event: &Event) {
        let id = event.id.unwrap_or(HardwareId(0));
        self.step(StepKind::Injected, || format!("{} refuses processor {id}", party.name));
    }

    /// An event of the party that is verified.
    fn party(&mut self, event: &Event) {
        use EventKind::{
            AddComplete, AddFailure, AddStart, Breach, Calling, Deregistered, Registered,
            RemoveComplete, RemoveFailure, RemoveStart, RemoveVeto, Veto,
        };
        match event.kind {
            Registered => self.registered += 1,
            Deregistered => {
                self.registered = self.registered.saturating_sub(1);
                self.left |= self.stays;
            }
            Calling => {
                self.call = event.state.zip(event.id);
                self.calling = Some(Instant::now());
            }
            AddStart | AddComplete | AddFailure | RemoveStart | RemoveComplete | RemoveFailure => {
                self.answered(event, None);
            }
            Veto | RemoveVeto => {
                self.refused_replay |= event.occasion == Occasion::Replay;
                let reason = event.reason.as_deref().unwrap_or("no reason");
                self.answered(event, Some(reason));
            }
            Breach => self.breach(event),
            _ => {}
        }
    }

    fn answered(&mut self, event: &Event, refusal: Option<&str>) {
        self.calling = None;
        let call = event.state.zip(event.id).or(self.call);
        self.call = call;
        let Some((state, id)) = call else { return };
        let replay = event.occasion == Occasion::Replay;
        let index = event.processor.map_or(0, |processor| processor.index.get());
        if refusal.is_some() || !replay || index < SHOWN {
            let why = match (event.occasion, event.surprise) {
                (Occasion::Replay, _) => ", which was active before",
                (Occasion::Rehearsal, _) => ", in a rehearsal",
                (_, true) => ", which vanished",
                _ => "",
            };
            self.step(StepKind::Notice, || match refusal {
                Some(reason) => format!("{state} for processor {id}{why}{REFUSES}{reason}"),
                None => format!("{state} for processor {id}{why}: returns"),
            });
        }
        self.late = event.took.is_some_and(|took| took > self.limit);
        if self.late {
            self.find("over-budget", late(state, self.limit));
        }
    }

    fn breach(&mut self, event: &Event) {
        self.calling = None;
        let reason = event.reason.as_deref().unwrap_or("no reason");
        let what = reason.strip_prefix("it ").unwrap_or(reason).to_owned();
        match event.clause {
            Some("L3") => {
                let what = reason.trim_end_matches("; it is deregistered");
                let in_state =
                    self.call.map(|(state, _)| format!(" in {state}")).unwrap_or_default();
                match self.call {
                    // It was ended because it was late.
                    _ if self.late => {}
                    Some((state, _)) if what.contains("no answer in ") => {
                        self.find("over-budget", late(state, self.limit));
                    }
                    _ => self.find("crash", format!("crashes{in_state}: {what}")),
                }
            }
            Some("A6") => self.find("status-outside-start", what),
            Some("D2") => self.find("handle-misuse", what),
            Some("D4") => self.find("not-deregistered", what),
            _ => self.find("misuse", what),
        }
    }
}

/// What a panic says.
pub(super) fn panic_message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}
