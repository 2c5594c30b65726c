//! What goes over the wire between a partition and parties in other processes: the names and types of
//! `org.hotadd.Partition1` and `org.hotadd.Agent1`, as their XML in the repository's `dbus/` says.

use std::collections::HashMap;

use hotadd_core::{
    ActiveSet, Epoch, Errno, HardwareId, Notice, Processor, ProcessorIndex, Standing, State, Status,
};
use zbus::zvariant::{OwnedValue, Value};

pub mod message;
pub mod socket;

/// The interface of a partition.
pub const PARTITION: &str = "org.hotadd.Partition1";

/// The interface of an agent.
pub const AGENT: &str = "org.hotadd.Agent1";

/// The object path of a partition.
pub const PARTITION_PATH: &str = "/org/hotadd/Partition";

/// The call by which a partition tells an agent that it is registered no longer (L3). Not a notice: party, status, reason.
/// Signature `tus`.
pub const DEREGISTERED: &str = "Deregistered";

/// The prefix of an error name by which an agent's veto gives its status, followed by eight hex digits.
pub const STATUS_ERROR: &str = "org.hotadd.Error.Status.";

/// The prefix of the error names of `org.hotadd.Partition1`.
pub const ERROR: &str = "org.hotadd.Error.";

/// The errors of D-Bus by which a partition says that somebody may not do what it asks for; the second, that it may with a
/// password, and that the call did not allow to ask for one.
pub const DENIALS: [&str; 2] = [
    "org.freedesktop.DBus.Error.AccessDenied",
    "org.freedesktop.DBus.Error.InteractiveAuthorizationRequired",
];

/// Flag of Register: hears only of later processors (R2).
pub const LATER_ONLY: u32 = 1;

/// Flag of Register: hears of removals (X1).
pub const REMOVAL: u32 = 2;

/// Flag of Register: notices carry the set that they speak of.
pub const WITH_SET: u32 = 4;

/// Flag of Register: what the connection asks for while this party is being asked comes from another thread or task, and
/// waits. Without it, it counts as asked from inside the callback, and is refused (D3).
pub const CONCURRENT: u32 = 8;

/// The largest message that either side takes, in bytes. The largest that either sends is a set of 2,048 processors, some 40 KiB.
pub const MAX_MESSAGE: usize = 128 * 1024;

/// The longest time limit that a party may have, in milliseconds.
pub const MAX_TIME_LIMIT_MS: u32 = 600_000;

/// A processor: index, group, number, id. Signature `(uqyu)`.
pub type WireProcessor = (u32, u16, u8, u32);

/// The arguments of every call of `org.hotadd.Agent1`: party, processor, epoch, details. Signature `t(uqyu)ta{sv}`.
pub type WireNotice<'a> = (u64, WireProcessor, u64, HashMap<&'a str, Value<'a>>);

/// The same, received.
pub type OwnedWireNotice = (u64, WireProcessor, u64, HashMap<String, OwnedValue>);

/// A set: epoch, maximum, the known processors as (id, standing), ascending by index, those being added as (index, id).
/// Standing is 0 for one that has left, 1 for an active one, 2 for an active one that nobody was asked about. Signature
/// `(tua(uy)a(uu))`.
pub type WireSet = (u64, u32, Vec<(u32, u8)>, Vec<(u32, u32)>);

/// The body of every error of `org.hotadd.Partition1`: message, status, errno (0 for none), id, party. Signature `suuus`.
pub type WireError = (String, u32, u32, u32, String);

/// What was sent is not what it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Malformed(pub &'static str);

/// A processor for the wire.
#[must_use]
pub const fn processor(processor: Processor) -> WireProcessor {
    let number = processor.number();
    (processor.index.get(), number.group, number.number, processor.id.0)
}

/// A processor from the wire.
///
/// # Errors
/// If the index is out of range, or group and number are not those of the index.
pub fn read_processor((index, group, number, id): WireProcessor) -> Result<Processor, Malformed> {
    let index = ProcessorIndex::new(index).ok_or(Malformed("a processor index is out of range"))?;
    let expected = index.number();
    if (group, number) != (expected.group, expected.number) {
        return Err(Malformed("a processor's group and number are not those of its index"));
    }
    Ok(Processor { index, id: HardwareId(id) })
}

/// A set for the wire.
#[must_use]
pub fn set(set: &ActiveSet) -> WireSet {
    let known = set.known().map(|(processor, standing)| {
        let standing = match standing {
            Standing::Gone => 0,
            Standing::Active => 1,
            Standing::Unagreed => 2,
        };
        (processor.id.0, standing)
    });
    let proposed = set.proposed().iter().map(|p| (p.index.get(), p.id.0));
    (set.epoch().0, set.maximum(), known.collect(), proposed.collect())
}

/// A set from the wire.
///
/// # Errors
/// If it is no set that could be.
pub fn read_set((epoch, maximum, known, proposed): WireSet) -> Result<ActiveSet, Malformed> {
    let standing = |standing| match standing {
        0 => Ok(Standing::Gone),
        1 => Ok(Standing::Active),
        2 => Ok(Standing::Unagreed),
        _ => Err(Malformed("a processor of a set stands in no known way")),
    };
    let known: Result<Vec<_>, _> =
        known.into_iter().map(|(id, how)| Ok((HardwareId(id), standing(how)?))).collect();
    let proposed: Result<Vec<_>, _> = proposed
        .into_iter()
        .map(|(index, id)| {
            let index = ProcessorIndex::new(index);
            let index = index.ok_or(Malformed("a processor index is out of range"))?;
            Ok(Processor { index, id: HardwareId(id) })
        })
        .collect();
    ActiveSet::assemble(Epoch(epoch), maximum, known?, proposed?)
        .map_err(|_| Malformed("a set contradicts itself"))
}

/// The arguments of a call that tells a party of a notice.
#[must_use]
pub fn notice<'a>(party: u64, notice: &Notice, with_set: Option<&ActiveSet>) -> WireNotice<'a> {
    let mut details = HashMap::new();
    if notice.status() != Status::SUCCESS {
        details.insert("status", Value::U32(notice.status().to_raw()));
    }
    if let Some(errno) = notice.errno() {
        details.insert("errno", Value::U32(errno.to_raw().unsigned_abs()));
    }
    if notice.is_surprise() {
        details.insert("surprise", Value::Bool(true));
    }
    if let Some(with_set) = with_set {
        details.insert("set", Value::from(set(with_set)));
    }
    (party, processor(notice.processor()), notice.epoch().0, details)
}

/// A notice from the arguments of a call, the party that it is for, and the set that came with it.
///
/// # Errors
/// If something is out of range or of the wrong type.
pub fn read_notice(
    state: State,
    (party, processor, epoch, mut details): OwnedWireNotice,
) -> Result<(u64, Notice, Option<ActiveSet>), Malformed> {
    let wrong = |_| Malformed("a detail of a notice is of the wrong type");
    let number = |name| details.get(name).map(|v| u32::try_from(v).map_err(wrong)).transpose();
    let status = number("status")?.map_or(Status::SUCCESS, Status::from_raw);
    let errno = number("errno")?.map(|errno| Errno::from_raw(errno.cast_signed()));
    let surprise = details.get("surprise").map(|v| bool::try_from(v).map_err(wrong)).transpose()?;
    let set = details.remove("set").map(|v| WireSet::try_from(v).map_err(wrong)).transpose()?;
    let mut notice = Notice::new(state, read_processor(processor)?)
        .with_failure(status, errno)
        .at_epoch(Epoch(epoch));
    if surprise == Some(true) {
        notice = notice.as_surprise();
    }
    Ok((party, notice, set.map(read_set).transpose()?))
}

/// The name of the error by which a party vetoes with this status.
#[must_use]
pub fn veto_error(status: Status) -> String {
    format!("{STATUS_ERROR}{:08X}", status.to_raw())
}

/// The status that an error's name stands for; [`Status::UNSUCCESSFUL`] if it names none.
#[must_use]
pub fn veto_status(error_name: &str) -> Status {
    let digits = error_name.strip_prefix(STATUS_ERROR).filter(|digits| digits.len() == 8);
    let value = digits.and_then(|digits| u32::from_str_radix(digits, 16).ok());
    value.map_or(Status::UNSUCCESSFUL, Status::from_raw)
}
