//! Values on the wire: processors, sets, notices, errors.

use hotadd_core::{
    ActiveSet, Epoch, Errno, HardwareId, Notice, Processor, ProcessorIndex, Standing, State, Status,
};
use serde::{Deserialize, Serialize};
use zbus::zvariant::{Type, as_value};

/// A processor: index, group, number, id. Signature `(uqyu)`.
pub type WireProcessor = (u32, u16, u8, u32);

/// The arguments of every call of `org.hotadd.Agent1`: party, processor, epoch, details. Signature `t(uqyu)ta{sv}`.
pub type WireNotice = (u64, WireProcessor, u64, Details);

/// The optional details of a notice. Unknown ones are ignored.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, Type)]
#[serde(default)]
#[zvariant(signature = "a{sv}")]
pub struct Details {
    /// The reason of a Failure, if not [`Status::SUCCESS`].
    #[serde(with = "as_value::optional", skip_serializing_if = "Option::is_none")]
    pub status: Option<u32>,
    /// The kernel's error in a Failure, positive.
    #[serde(with = "as_value::optional", skip_serializing_if = "Option::is_none")]
    pub errno: Option<u32>,
    /// The processor left without a remove (X2).
    #[serde(with = "as_value::optional", skip_serializing_if = "Option::is_none")]
    pub surprise: Option<bool>,
    /// The notice is part of a replay, about a processor that is already active (Q5).
    #[serde(with = "as_value::optional", skip_serializing_if = "Option::is_none")]
    pub replay: Option<bool>,
}

/// A set: epoch, maximum, the known processors as (id, standing), ascending by index, and those being added as (index, id).
/// Standing is 0 for a processor that has left, 1 for an active one, 2 for an active one that joined without agreement. Signature
/// `(tua(uy)a(uu))`.
pub type WireSet = (u64, u32, Vec<(u32, u8)>, Vec<(u32, u32)>);

/// The body of every error of `org.hotadd.Partition1`: message, status, errno (0 for none), id, party. Signature `suuus`.
pub type WireError = (String, u32, u32, u32, String);

/// A message is malformed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Malformed(pub &'static str);

/// Encodes a processor.
#[must_use]
pub const fn processor(processor: Processor) -> WireProcessor {
    let number = processor.number();
    (processor.index.get(), number.group, number.number, processor.id.0)
}

/// Decodes a processor.
///
/// # Errors
/// If the index is out of range, or group and number are not those of the index.
pub fn read_processor((index, group, number, id): WireProcessor) -> Result<Processor, Malformed> {
    let index = ProcessorIndex::new(index).ok_or(Malformed("a processor index is out of range"))?;
    let expected = index.number();
    if (group, number) != (expected.group, expected.number) {
        return Err(Malformed("a processor's group and number do not match its index"));
    }
    Ok(Processor { index, id: HardwareId(id) })
}

/// Encodes a set.
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

/// Decodes a set.
///
/// # Errors
/// If it is not a valid set.
pub fn read_set((epoch, maximum, known, proposed): WireSet) -> Result<ActiveSet, Malformed> {
    let standing = |standing| match standing {
        0 => Ok(Standing::Gone),
        1 => Ok(Standing::Active),
        2 => Ok(Standing::Unagreed),
        _ => Err(Malformed("a processor of a set has an unknown state")),
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
        .map_err(|_| Malformed("a set is inconsistent"))
}

/// Encodes the arguments of a call that tells a party of a notice.
#[must_use]
pub fn notice(party: u64, notice: &Notice) -> WireNotice {
    let status = notice.status();
    let details = Details {
        status: (status != Status::SUCCESS).then(|| status.to_raw()),
        errno: notice.errno().map(|errno| errno.to_raw().unsigned_abs()),
        surprise: notice.is_surprise().then_some(true),
        replay: notice.is_replay().then_some(true),
    };
    (party, processor(notice.processor()), notice.epoch().0, details)
}

/// Decodes a notice from the arguments of a call, with its party.
///
/// # Errors
/// If a value is out of range.
pub fn read_notice(
    state: State,
    (party, processor, epoch, details): WireNotice,
) -> Result<(u64, Notice), Malformed> {
    let status = details.status.map_or(Status::SUCCESS, Status::from_raw);
    let errno = details.errno.and_then(|errno| i32::try_from(errno).ok());
    let errno = errno.filter(|errno| *errno > 0).map(Errno::from_raw);
    let mut notice = Notice::new(state, read_processor(processor)?)
        .with_failure(status, errno)
        .at_epoch(Epoch(epoch));
    if details.surprise == Some(true) {
        notice = notice.as_surprise();
    }
    if details.replay == Some(true) {
        notice = notice.as_replay();
    }
    Ok((party, notice))
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use zbus::zvariant::serialized::Context;
    use zbus::zvariant::{LE, Value, to_bytes};

    use super::*;

    /// Reads a notice with this detail in addition to its status.
    fn read(name: &str, value: impl Into<Value<'static>>) -> zbus::zvariant::Result<Details> {
        let details = HashMap::from([("status", Value::from(5_u32)), (name, value.into())]);
        let processor: WireProcessor = (1, 0, 1, 1);
        let context = Context::new_dbus(LE, 0);
        let bytes = to_bytes(context, &(7_u64, processor, 3_u64, details)).unwrap();
        let ((_, _, _, details), _): (WireNotice, _) = bytes.deserialize()?;
        Ok(details)
    }

    #[test]
    fn a_notice_has_an_errno_only_if_it_is_one() {
        for (sent, errno) in [(0, None), (12, Some(Errno::ENOMEM)), (u32::MAX, None)] {
            let details = read("errno", sent).unwrap();
            let notice = read_notice(State::AddFailure, (7, (1, 0, 1, 1), 3, details)).unwrap().1;
            assert_eq!(notice.errno(), errno, "{sent}");
        }
    }

    #[test]
    fn unknown_details_are_ignored() {
        let rows = vec![(1_u32, "text"), (2, "more")];
        for value in [Value::from(rows), Value::from("text"), Value::new(Value::from(1_u8))] {
            let details = read("later", value.try_clone().unwrap()).unwrap();
            assert_eq!(details, Details { status: Some(5), ..Details::default() }, "{value:?}");
        }
    }

    #[test]
    fn known_details_of_a_wrong_type_are_errors() {
        assert!(read("surprise", true).is_ok_and(|details| details.surprise == Some(true)));
        assert!(read("surprise", 1_u32).is_err());
    }
}
