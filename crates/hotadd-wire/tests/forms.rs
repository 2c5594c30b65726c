//! Conversions to the wire and back: statuses to error names, notices to arguments, texts to messages.

use hotadd_core::{
    Epoch, Errno, HardwareId, Notice, Processor, ProcessorIndex, State, Status, Veto,
};
use hotadd_wire::{self as wire, WireNotice};
use proptest::prelude::*;
use zbus::Message;
use zbus::names::ErrorName;
use zbus::zvariant::serialized::Context;
use zbus::zvariant::{LE, to_bytes};

/// Every status, by its parts: severity, customer bit, reserved bit, facility and code. The bounds of a part
/// are as likely as all values between them.
fn status() -> impl Strategy<Value = Status> {
    let facility = prop_oneof![Just(0), Just(1), Just(0xFFF), 0..=0xFFF_u32];
    let code = prop_oneof![Just(0), Just(1), Just(0x11), Just(0xFFFF), 0..=0xFFFF_u32];
    (0..16_u32, facility, code)
        .prop_map(|(high, facility, code)| Status::from_raw(high << 28 | facility << 16 | code))
}

/// Each first digit with each bound of the rest, so that no class of status depends on chance.
fn bounds() -> impl Iterator<Item = Status> {
    let rest = [0, 1, 0x11, 0xFFFF, 0x1_0000, 0x0FFF_0000, 0x0FFF_FFFE, 0x0FFF_FFFF];
    let all =
        (0..16_u32).flat_map(move |high| rest.map(|rest| Status::from_raw(high << 28 | rest)));
    all.chain(Status::NAMED.iter().copied())
}

/// The status of a veto after it was sent as an error name.
fn through_a_name(status: Status) -> Status {
    let name = wire::veto_error(Veto::new(status, "no").status());
    assert!(
        ErrorName::try_from(name.as_str()).is_ok(),
        "{status:?} is refused with {name}, which D-Bus does not let pass: the refusal would be lost"
    );
    Veto::new(wire::veto_status(&name), "no").status()
}

/// The status that a veto with this status has: the same if it is an error, otherwise `UNSUCCESSFUL`.
fn as_veto(status: Status) -> Status {
    if status.is_error() { status } else { Status::UNSUCCESSFUL }
}

#[test]
fn a3_every_class_of_status_survives_as_an_error_name() {
    for status in bounds() {
        assert_eq!(through_a_name(status), as_veto(status), "{status:?}");
    }
}

#[test]
fn a3_error_names_in_the_form_of_older_agents_are_read() {
    for status in bounds().filter(|status| status.is_error()) {
        let name = format!("{}{:08X}", wire::STATUS_ERROR, status.to_raw());
        if ErrorName::try_from(name.as_str()).is_ok() {
            assert_eq!(wire::veto_status(&name), status, "{name}");
        }
    }
}

#[test]
fn a3_an_error_name_without_a_status_is_a_veto() {
    let odd =
        ["", "x", "x8000001", "x800000111", "x+8000011", "80000011x", "xx8000011", "C000009G"];
    for element in odd {
        let name = format!("{}{element}", wire::STATUS_ERROR);
        assert_eq!(wire::veto_status(&name), Status::UNSUCCESSFUL, "{name}");
    }
}

fn notice() -> impl Strategy<Value = Notice> {
    let errno = prop::option::of(1..=i32::MAX);
    let parts = (0..State::ALL.len(), 0..2048_u32, any::<u32>(), any::<u64>());
    (parts, status(), errno, any::<(bool, bool)>()).prop_map(
        |((state, index, id, epoch), status, errno, (surprise, replay))| {
            let index = ProcessorIndex::new(index).expect("an index in range");
            let processor = Processor { index, id: HardwareId(id) };
            let notice = Notice::new(State::ALL[state], processor)
                .with_failure(status, errno.map(Errno::from_raw))
                .at_epoch(Epoch(epoch));
            let notice = if surprise { notice.as_surprise() } else { notice };
            if replay { notice.as_replay() } else { notice }
        },
    )
}

proptest! {
    #[test]
    fn a3_any_status_survives_as_an_error_name(status in status()) {
        prop_assert_eq!(through_a_name(status), as_veto(status));
    }

    #[test]
    fn a3_every_error_name_gives_an_error_status(name in ".{0,60}") {
        prop_assert!(wire::veto_status(&name).is_error());
        let of_ours = format!("{}{name}", wire::STATUS_ERROR);
        prop_assert!(wire::veto_status(&of_ours).is_error());
    }

    #[test]
    fn a_notice_survives_encoding_and_decoding(notice in notice(), party: u64) {
        let context = Context::new_dbus(LE, 0);
        let bytes = to_bytes(context, &wire::notice(party, &notice)).unwrap();
        let (arguments, _): (WireNotice, _) = bytes.deserialize().unwrap();
        let (of, read) = wire::read_notice(notice.state(), arguments).unwrap();
        prop_assert_eq!((of, read), (party, notice));
    }

    #[test]
    fn any_text_can_be_sent_and_keeps_its_limit(text in any::<String>(), most in 0..40_usize) {
        let sent = wire::text(&text, most);
        prop_assert!(sent.len() <= most);
        prop_assert!(Message::signal("/a", "a.b", "C").unwrap().build(&sent).is_ok(), "{:?}", sent);
        if text.len() <= most && !text.contains('\0') {
            prop_assert_eq!(sent, text);
        }
    }
}

#[test]
fn a_call_to_another_object_is_answered_with_an_error() {
    let properties =
        wire::Properties { name: "demo", hardware: "simulated", epoch: 1, machine: None };
    let call = |path: &str| {
        let call = wire::Outgoing::call(path, wire::PARTITION, "GetSet").unwrap();
        properties.answer(&call.build(&()).unwrap())
    };
    assert!(call(wire::PARTITION_PATH).is_none(), "the partition answers it");
    let wire::StandardError(name, _) = call("/org/hotadd/Other").unwrap().unwrap_err();
    assert_eq!(name, "UnknownObject");
}
