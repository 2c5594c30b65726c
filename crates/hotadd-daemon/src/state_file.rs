//! [`StateFile`]: observes decisions and registrations, and keeps the state file current.

mod contents;

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use hotadd::{Event, EventKind, HardwareId, Occasion};

use self::contents::{Contents, MOST_PARTIES, Of};
use super::log::Log;
use crate::view::Weight;

/// The number of a processor's plugging-in, which differs each time. `None` if the processor is not there.
pub(super) type Plugging = Box<dyn Fn(HardwareId) -> Option<u64> + Send + Sync>;

/// Observes decisions and registrations. Shared by the threads that emit events and the main thread.
pub(super) struct StateFile {
    plugging: Plugging,
    log: Log,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// What is known since this daemon started, together with what the file had.
    contents: Contents,
    /// The names of all registered parties.
    registered: Vec<String>,
    /// The names of the configured parties, which are not waited for.
    configured: Vec<String>,
    /// The names of the parties that were registered when the last daemon ended.
    before: Vec<String>,
    /// The file's path, once this daemon owns it.
    path: Option<PathBuf>,
    /// A failure to write the file has been reported.
    failing: bool,
    /// The daemon is ending. Events from now on are not decisions.
    ending: bool,
}

impl StateFile {
    /// Of a partition on this hardware, with nothing decided yet.
    pub(super) fn new(hardware: &str, plugging: Plugging, log: Log) -> Self {
        let contents = Contents::nothing(Of::this(hardware));
        let state = State { contents, ..State::default() };
        Self { plugging, log, state: Mutex::new(state) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Marks these processors as decided: they joined before the observer was there.
    pub(super) fn begin(&self, active: impl IntoIterator<Item = HardwareId>) {
        let mut state = self.lock();
        active.into_iter().for_each(|id| self.decide(&mut state, id));
    }

    /// Sets the names of the configured parties.
    pub(super) fn configured(&self, names: Vec<String>) {
        let mut state = self.lock();
        state.configured = names;
        self.save(&mut state);
    }

    /// This daemon owns the file beside the socket: reads what the previous daemon has left, and keeps the file from now on.
    pub(super) fn open(&self, socket: &Path) {
        let path = Contents::path(socket);
        let mut state = self.lock();
        match Contents::read(&path, &state.contents.of) {
            Ok(Some(before)) => {
                for (id, plugging) in before.processors {
                    // What this daemon knows is newer.
                    state.contents.processors.entry(id).or_insert(plugging);
                }
                state.before = before.parties;
            }
            Ok(None) => {}
            Err(why) => {
                let at = path.display();
                let none = format!(
                    "hotadd: {at} is ignored, so that all processors that are off count as undecided: {why}"
                );
                self.log.line(Weight::Bad, &none);
            }
        }
        state.path = Some(path);
        self.save(&mut state);
    }

    /// Whether a decision was made about this processor as it is plugged in now.
    pub(super) fn is_decided(&self, id: HardwareId) -> bool {
        (self.plugging)(id).is_some_and(|plugging| self.lock().contents.has(id, plugging))
    }

    /// The parties that were registered when the last daemon ended and are not yet registered again.
    pub(super) fn missing(&self) -> Vec<String> {
        let state = self.lock();
        without(&state.before, &without(&state.registered, &state.configured))
    }

    /// Stops waiting for missing parties. Only those that are registered now are kept in the file.
    pub(super) fn forget_missing(&self) {
        let mut state = self.lock();
        state.before.clear();
        self.save(&mut state);
    }

    /// Events from now on are not decisions: the daemon itself makes the parties leave.
    pub(super) fn end(&self) {
        self.lock().ending = true;
    }

    /// Called before all other observers, so that the file is written before they report an event.
    pub(super) fn observe(&self, event: &Event) {
        let mut state = self.lock();
        if state.ending || event.occasion != Occasion::Change {
            return;
        }
        match (event.kind, event.id, &event.party) {
            (EventKind::Joined | EventKind::Left, Some(id), _) => self.decide(&mut state, id),
            // A processor that was refused as not admitted, or because a party is missing, is not decided: no party was asked
            // (A8, L4).
            (EventKind::Refused, Some(id), _) if !matches!(event.clause, Some("A8" | "L4")) => {
                self.decide(&mut state, id);
            }
            // The file's entry is about the previous processor in this place; the plugging number tells them apart. The file is
            // not written now, so that the thread that adds does not wait for it.
            (EventKind::Appeared, Some(id), _) => {
                state.contents.processors.remove(&id.0);
                return;
            }
            (EventKind::Registered, _, Some(party)) => state.registered.push(party.name.clone()),
            (EventKind::Deregistered, _, Some(party)) => {
                state.registered = without(&state.registered, std::slice::from_ref(&party.name));
            }
            _ => return,
        }
        self.save(&mut state);
        #[cfg(debug_assertions)]
        if let (EventKind::Joined | EventKind::Refused, Some(id)) = (event.kind, event.id) {
            super::fault::pass("decided", id);
        }
    }

    fn decide(&self, state: &mut State, id: HardwareId) {
        match (self.plugging)(id) {
            Some(plugging) => state.contents.processors.insert(id.0, plugging),
            None => state.contents.processors.remove(&id.0),
        };
    }

    fn save(&self, state: &mut State) {
        let Some(path) = &state.path else { return };
        let here = without(&state.registered, &state.configured);
        // Parties that this daemon waits for stay in the file. If it is killed, the next daemon waits for them too.
        let missing = without(&state.before, &here);
        state.contents.parties = here.into_iter().chain(missing).take(MOST_PARTIES).collect();
        match state.contents.write(path) {
            Ok(()) => state.failing = false,
            Err(error) if !std::mem::replace(&mut state.failing, true) => {
                let at = path.display();
                let says = format!(
                    "hotadd: {at} cannot be written: {error}; after a restart of hotadd, processors may be \
                     requested a second time"
                );
                self.log.line(Weight::Bad, &says);
            }
            Err(_) => {}
        }
    }
}

/// All names except these, each removed as often as it is listed.
fn without(all: &[String], these: &[String]) -> Vec<String> {
    let mut left = all.to_vec();
    for one in these {
        if let Some(at) = left.iter().position(|name| name == one) {
            left.remove(at);
        }
    }
    left
}
