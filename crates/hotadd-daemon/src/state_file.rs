//! [`StateFile`]: watches what is decided and who is registered, and keeps the file that says so true.

mod contents;

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use hotadd::{Event, EventKind, HardwareId, Occasion};

use self::contents::{Contents, MOST_PARTIES, Of};
use super::log::Log;
use crate::view::Weight;

/// What a processor was called when it was plugged in: another number each time. `None` if it is not there.
pub(super) type Plugging = Box<dyn Fn(HardwareId) -> Option<u64> + Send + Sync>;

/// Watches what is decided and who is registered. Shared by the thread of whatever happens, and the main thread.
pub(super) struct StateFile {
    plugging: Plugging,
    log: Log,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// What is known in this life, with what the file added to it.
    contents: Contents,
    /// Everybody who is registered, by name.
    registered: Vec<String>,
    /// The names of those of the configuration, who are not waited for.
    configured: Vec<String>,
    /// Those that were registered when the last daemon ended.
    before: Vec<String>,
    /// Where it is kept, once that is ours.
    path: Option<PathBuf>,
    /// That it cannot be kept was said.
    failing: bool,
    /// What happens from now on is our own ending, and nobody's decision.
    ending: bool,
}

impl StateFile {
    /// Of a partition with these processors, which count as decided.
    pub(super) fn new(hardware: &str, plugging: Plugging, log: Log) -> Self {
        let contents = Contents::nothing(Of::this(hardware));
        let state = State { contents, ..State::default() };
        Self { plugging, log, state: Mutex::new(state) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// These have come in before anybody watched.
    pub(super) fn begin(&self, active: impl IntoIterator<Item = HardwareId>) {
        let mut state = self.lock();
        active.into_iter().for_each(|id| self.decide(&mut state, id));
    }

    /// The names of the parties of the configuration.
    pub(super) fn configured(&self, names: Vec<String>) {
        let mut state = self.lock();
        state.configured = names;
        self.save(&mut state);
    }

    /// The place beside the socket is ours: reads what the daemon before has left there, and keeps the file from now on.
    pub(super) fn open(&self, socket: &Path) {
        let path = Contents::path(socket);
        let mut state = self.lock();
        match Contents::read(&path, &state.contents.of) {
            Ok(Some(before)) => {
                for (id, plugging) in before.processors {
                    // What is known in this life is newer.
                    state.contents.processors.entry(id).or_insert(plugging);
                }
                state.before = before.parties;
            }
            Ok(None) => {}
            Err(why) => {
                let at = path.display();
                let none = format!(
                    "hotadd: {at} counts as none, so that all processors that are off are undecided: {why}"
                );
                self.log.line(Weight::Bad, &none);
            }
        }
        state.path = Some(path);
        self.save(&mut state);
    }

    /// Whether this processor, as it is plugged in now, was decided about.
    pub(super) fn is_decided(&self, id: HardwareId) -> bool {
        (self.plugging)(id).is_some_and(|plugging| self.lock().contents.has(id, plugging))
    }

    /// Who was registered when the last daemon ended, and is not yet again.
    pub(super) fn missing(&self) -> Vec<String> {
        let state = self.lock();
        without(&state.before, &without(&state.registered, &state.configured))
    }

    /// Nobody is waited for any longer: those who are registered now are all.
    pub(super) fn forget_missing(&self) {
        let mut state = self.lock();
        state.before.clear();
        self.save(&mut state);
    }

    /// From now on nothing is a decision: those that go are sent by us.
    pub(super) fn end(&self) {
        self.lock().ending = true;
    }

    /// Called first of all observers, so that what they say is in the file already.
    pub(super) fn observe(&self, event: &Event) {
        let mut state = self.lock();
        if state.ending || event.occasion != Occasion::Change {
            return;
        }
        match (event.kind, event.id, &event.party) {
            (EventKind::Joined | EventKind::Left, Some(id), _) => self.decide(&mut state, id),
            // One that was refused at the door, or because a party is missing, nobody was asked about (A8, L4).
            (EventKind::Refused, Some(id), _) if !matches!(event.clause, Some("A8" | "L4")) => {
                self.decide(&mut state, id);
            }
            // What the file says of it is of one that had its place, and told apart by its number. Whoever adds it is not kept
            // waiting for a file.
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
        #[cfg(feature = "fault-points")]
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
        // Who is waited for now is waited for by the next one too, should this one be killed meanwhile.
        let missing = without(&state.before, &here);
        state.contents.parties = here.into_iter().chain(missing).take(MOST_PARTIES).collect();
        match state.contents.write(path) {
            Ok(()) => state.failing = false,
            Err(error) if !std::mem::replace(&mut state.failing, true) => {
                let at = path.display();
                let says = format!(
                    "hotadd: {at} cannot be written: {error}; should hotadd be started again, processors may be asked for a second time"
                );
                self.log.line(Weight::Bad, &says);
            }
            Err(_) => {}
        }
    }
}

/// All but these, each as often as it is named.
fn without(all: &[String], these: &[String]) -> Vec<String> {
    let mut left = all.to_vec();
    for one in these {
        if let Some(at) = left.iter().position(|name| name == one) {
            left.remove(at);
        }
    }
    left
}
