//! A USDT probe for each event, which bpftrace, perf and SystemTap attach to. Unused, it costs one instruction that does nothing.

use hotadd::{Event, Occasion};

/// The probe `hotadd:event`. Texts are a pointer and a length, without a zero at the end.
pub(crate) fn event(event: &Event) {
    let kind = event.kind.name();
    let party = event.party.as_ref().map_or("", |party| party.name.as_str());
    let id = event.id.map_or(-1, |id| i64::from(id.0));
    let micros = event.took.map_or(-1, |took| i64::try_from(took.as_micros()).unwrap_or(i64::MAX));
    let occasion = match event.occasion {
        Occasion::Replay => 1,
        Occasion::Rehearsal => 2,
        _ => 0,
    };
    probe::probe!(
        hotadd,
        event,
        kind.as_ptr(),
        kind.len(),
        party.as_ptr(),
        party.len(),
        id,
        micros,
        occasion
    );
}
