//! Named events (`IoCreateNotificationEvent`, `IoCreateSynchronizationEvent`): all calls with one name share one event.

use std::collections::BTreeMap;

use parking_lot::Mutex;

use crate::ground::declare::nt;
use crate::ground::foreign::{In, Out, Shared};
use crate::ground::objects::{Event, Kind};
use crate::ground::types::UnicodeString;
use crate::kernel::ke::irql;
use crate::kernel::ob::{handles, references};
use crate::kernel::rtl::{buffers, case};

nt! {
    /// Creates or opens an event that stays set. Returns it, or NULL.
    fn IoCreateNotificationEvent(name: In<UnicodeString>, handle: Out<usize>) -> usize {
        open("IoCreateNotificationEvent", name, Kind::NotificationEvent, handle)
    }

    /// Creates or opens an event that releases one wait. Returns it, or NULL.
    fn IoCreateSynchronizationEvent(name: In<UnicodeString>, handle: Out<usize>) -> usize {
        open("IoCreateSynchronizationEvent", name, Kind::SynchronizationEvent, handle)
    }
}

/// The addresses of the events, by name. Names are compared without regard to case.
///
/// Held while a reference is added, so that `forget` sees it.
static EVENTS: Mutex<BTreeMap<Vec<u16>, usize>> = Mutex::new(BTreeMap::new());

/// How many events can exist at a time.
const MOST: usize = 4096;

fn open(function: &str, name: In<UnicodeString>, kind: Kind, handle: Out<usize>) -> usize {
    irql::at_most(function, irql::PASSIVE);
    let name: Vec<u16> = name.get().units().into_iter().map(case::up).collect();
    let mut events = EVENTS.lock();
    let known = events.get(&name).copied();
    if known.is_none() && events.len() >= MOST {
        return 0;
    }
    let Some(event) = known.or_else(|| create(kind)) else { return 0 };
    if known.is_none() {
        events.insert(name, event);
    }
    // The handle is the only reference, so closing it ends the event, unless the driver adds a reference.
    references::at_end(references::Kind::Event, forget);
    handle.put(handles::open(event, references::Kind::Event));
    event
}

/// A new event, which is set, as documented.
fn create(kind: Kind) -> Option<usize> {
    let memory = buffers::allocate(buffers::EVENT, size_of::<Event>())?;
    // SAFETY: the memory has the size and alignment of an event, and lives until `forget` frees it.
    let event: Shared<Event> = unsafe { Shared::new(memory.cast_const().cast()) };
    event.get().header.initialize(kind, 1);
    Some(memory as usize)
}

/// Ends an event without references.
fn forget(event: usize) {
    let mut events = EVENTS.lock();
    if references::kind_of(event).is_some() {
        // It was opened again in the meantime.
        return;
    }
    let before = events.len();
    events.retain(|_, known| *known != event);
    if events.len() != before {
        buffers::free(event as *mut std::ffi::c_void);
    }
}
