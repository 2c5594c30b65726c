//! Requests to a partition in another process, and their refusals.

use hotadd::{Batch, Errno, Error, Follow, HardwareId, Notice, Partition, PartyId, Status};
use hotadd_wire::{self as wire, WireError};

use crate::fake::{FIRST, Fake, Place, at, both, pair, set};

#[test]
fn a_count_read_after_an_add_includes_it() {
    let (mut fake, partition) = pair(1);
    let (_, change) = both(
        || {
            let request = fake.request("Add");
            assert_eq!(request.body().deserialize::<u32>().unwrap(), 1);
            fake.set = set(2, 2, false);
            fake.reply(&request, &(wire::processor(at(1)), 2_u64));
            let request = fake.request("Rehearse");
            let answers =
                vec![(3_u64, "pool", 5_i32, false, Status::NO_MEMORY.to_raw(), "no", 9_u64)];
            fake.reply(&request, &(wire::processor(at(2)), answers));
        },
        || {
            let change = partition.add(HardwareId(1)).unwrap();
            assert_eq!((partition.count(), partition.epoch()), (2, change.epoch));
            let rehearsal = partition.rehearse(HardwareId(2)).unwrap();
            let answer = &rehearsal.answers[0];
            assert_eq!((answer.party.id, answer.party.level.0), (PartyId(3), 5));
            assert_eq!(answer.answer.as_ref().unwrap_err().reason(), "no");
            assert_eq!(answer.took.as_micros(), 9);
            change
        },
    );
    assert_eq!(change.processor, at(1));
}

#[test]
fn h2_a_remote_handle_cannot_set_the_policy_for_appearances() {
    let (_fake, partition) = pair(1);
    assert_eq!(partition.following(), Follow::Manual);
    for follow in [Follow::Ask, Follow::Report, Follow::Manual] {
        let error = partition.follow(follow).unwrap_err();
        assert_eq!(error.status(), Status::ACCESS_DENIED);
        let says = "not allowed: the process that owns the partition sets the policy";
        assert!(error.to_string().starts_with(says), "{error}");
    }
}

#[test]
fn a11_a_remote_refusal_is_the_partitions_error() {
    let (mut fake, partition) = pair(1);
    let raw = Status::NO_MEMORY.to_raw();
    let cases: [(&str, WireError, &str, &str); 7] = [
        (
            "Vetoed",
            ("no".into(), raw, 0, 1, "pool".into()),
            "A3",
            "pool refused to add processor 1: no (STATUS_NO_MEMORY, 0xC0000017)",
        ),
        (
            "Platform",
            (String::new(), raw, 16, 1, String::new()),
            "A4",
            "all parties agreed, but the platform failed to add processor 1: ",
        ),
        (
            "NotAddable",
            ("processor 1 cannot be added: it is odd".into(), raw, 0, 1, String::new()),
            "A8",
            "processor 1 cannot be added: it is odd",
        ),
        (
            "Stuck",
            (String::new(), raw, 16, 1, String::new()),
            "A9",
            "processor 1 joined although its batch failed",
        ),
        ("InsideCallback", (String::new(), raw, 0, 0, String::new()), "D3", "adding from inside"),
        ("Limit", ("too many calls".into(), raw, 0, 0, String::new()), "R7", "too many calls"),
        (
            "Novel",
            ("what?".into(), raw, 0, 0, String::new()),
            "L3",
            "the partition does not follow the protocol: it answered with org.hotadd.Error.Novel: what?",
        ),
    ];
    for (name, wire, clause, text) in cases {
        let (_, error) = both(
            || {
                let request = fake.request("Add");
                fake.refuse(&request, name, &wire);
            },
            || partition.add(HardwareId(1)).unwrap_err(),
        );
        assert_eq!(error.clause(), clause, "{error}");
        assert!(error.to_string().starts_with(text), "{error}");
        if let Error::Platform { error, .. } = &error {
            assert_eq!((error.errno, error.status), (Some(Errno::EBUSY), Status::NO_MEMORY));
        }
    }
}

#[test]
fn a9_a_remote_batch_has_a_result_for_each_processor() {
    let (mut fake, partition) = pair(1);
    let ids = [HardwareId(1), HardwareId(2)];
    let (_, results) = both(
        || {
            let request = fake.request("AddBatch");
            assert_eq!(
                request.body().deserialize::<(Vec<u32>, bool)>().unwrap(),
                (vec![1, 2], false)
            );
            fake.set = set(2, 2, false);
            let joined = (1_u32, true, wire::processor(at(1)), 2_u64, "", "", 0_u32, 0_u32, "");
            let vetoed = "org.hotadd.Error.Vetoed";
            let raw = Status::NO_MEMORY.to_raw();
            let refused =
                (2_u32, false, wire::processor(at(2)), 0_u64, vetoed, "no", raw, 0_u32, "pool");
            fake.reply(&request, &vec![joined, refused]);
        },
        || partition.add_batch(&ids, Batch::Each),
    );
    assert_eq!(results[0].1.as_ref().unwrap().processor, at(1));
    assert_eq!(results[1].1.as_ref().unwrap_err().party().unwrap().name, "pool");
    assert_eq!(partition.count(), 2);
}

#[test]
fn a_driver_sends_its_options_when_it_registers() {
    use std::time::Duration;
    struct Careful;
    impl hotadd::Driver for Careful {
        fn add_start(&mut self, _: &Notice) -> Result<(), hotadd::Veto> {
            Ok(())
        }
        fn removal(&mut self) -> Option<&mut dyn hotadd::Removal> {
            Some(self)
        }
    }
    impl hotadd::Removal for Careful {
        fn remove_start(&mut self, _: &Notice) -> Result<(), hotadd::Veto> {
            Ok(())
        }
    }
    let (mut fake, partition) = pair(1);
    let (_, registration) = both(
        || {
            let request = fake.request("Register");
            let body = request.body();
            let (path, name, flags, level, limit): (
                zbus::zvariant::ObjectPath<'_>,
                String,
                u32,
                i32,
                u32,
            ) = body.deserialize().unwrap();
            assert_eq!((path.as_str(), name.as_str(), level, limit), (FIRST, "careful", -3, 1500));
            assert_eq!(
                flags,
                wire::LATER_ONLY | wire::REMOVAL | wire::CONCURRENT,
                "it has no board"
            );
            fake.reply(&request, &(4_u64, 1_u64));
            let request = fake.request("Deregister");
            fake.reply(&request, &());
        },
        || {
            let party = partition.registration("careful").level(-3).without_replay();
            let registration = party.time_limit(Duration::from_micros(1_499_001)).register(Careful);
            registration.unwrap().deregister()
        },
    );
    assert_eq!(registration, Ok(()));
    let bad = partition.register("", |_: &Notice| Ok(())).unwrap_err();
    assert_eq!(bad, Error::BadName(String::new()));
}

#[test]
fn an_error_about_a_missing_partition_says_what_to_do() {
    let place = Place::new();
    let error = Partition::connect(&place.0).unwrap_err();
    assert!(error.to_string().contains("Start the partition first"), "{error}");
    drop(place.listen());
    let error = Partition::connect(&place.0).unwrap_err();
    assert!(error.to_string().contains("start it again"), "{error}");
    assert_eq!(error.status(), Status::OBJECT_NAME_NOT_FOUND);
}

#[test]
fn dropping_the_last_handle_closes_the_connection() {
    let (mut fake, partition) = pair(1);
    let other = partition.clone();
    drop(partition);
    assert!(other.is_connected());
    both(|| fake.until_closed(), || drop(other));
    let _: Fake = fake;
}
