//! A partition that does not keep to the protocol does not get far.

use hotadd::{HardwareId, Notice, State, wire};

use crate::fake::{FIRST, Log, at, both, pair, set};

#[test]
fn a_call_that_is_not_what_it_should_be_does_not_reach_the_driver() {
    let (mut fake, partition) = pair(1);
    let log = Log::default();
    let (_, registration) =
        both(|| fake.admit(FIRST, 7), || partition.register("p", log.driver("d")));
    log.take();
    let mut wrong =
        |path: &str,
         member: &str,
         body: &dyn Fn(&mut crate::fake::Fake, &str, &str) -> zbus::Message| {
            let call = body(&mut fake, path, member);
            fake.answer(&call).unwrap_err().0
        };
    let good = |member: &'static str| {
        move |fake: &mut crate::fake::Fake, path: &str, _: &str| {
            let notice = Notice::new(State::AddStart, at(1));
            let body = wire::notice(7, &notice, None);
            fake.call(path, member, &body)
        }
    };
    let empty =
        |fake: &mut crate::fake::Fake, path: &str, member: &str| fake.call(path, member, &());
    assert!(wrong("/org/hotadd/Agent/9", "", &good("AddStart")).ends_with("UnknownObject"));
    assert!(wrong("/org/hotadd/Agent", "", &good("AddStart")).ends_with("UnknownObject"));
    assert!(wrong(FIRST, "", &good("AddEverything")).ends_with("UnknownMethod"));
    assert!(wrong(FIRST, "AddStart", &empty).ends_with("InvalidArgs"));
    let far = |fake: &mut crate::fake::Fake, path: &str, member: &str| {
        let details: std::collections::HashMap<&str, zbus::zvariant::Value<'_>> = [].into();
        fake.call(path, member, &(7_u64, (9999_u32, 0_u16, 0_u8, 1_u32), 1_u64, details))
    };
    assert!(wrong(FIRST, "AddStart", &far).ends_with("InvalidArgs"));
    // An outcome of something that was never asked.
    assert_eq!(wrong(FIRST, "", &good("AddComplete")), "org.hotadd.Error.Status.C0000184");
    assert_eq!(log.take(), "");
    drop(fake);
    drop(registration);
}

#[test]
fn a_message_that_is_too_large_ends_the_connection() {
    let (mut fake, partition) = pair(1);
    fake.set = set(1, 1, false);
    fake.signal("Breach", &("", "", "x".repeat(wire::MAX_MESSAGE)));
    fake.until_closed();
    let error = partition.add(HardwareId(1)).unwrap_err();
    assert_eq!(error, hotadd::Error::Disconnected);
    assert!(!partition.is_connected());
    assert_eq!(partition.count(), 1, "the replica stays readable");
}
