//! What processors are called: index, group and number, hardware id (A5, A8, X3, Q1, Q2).

use hotadd_core::{
    ActiveSet, Epoch, HardwareId, MAX_PROCESSORS, NotAddable, ProcessorIndex, ProcessorNumber,
    State, Status, Transaction,
};

use crate::rig::{Rig, ids};

fn index(value: u32) -> ProcessorIndex {
    ProcessorIndex::new(value).expect("below 2,048")
}

#[test]
fn q1_sparse_ids_get_dense_indexes_and_every_name_leads_to_every_other() {
    let sparse: Vec<u32> = (0..130).map(|n| 1_000_000 - n * 7).collect();
    let set = ActiveSet::first(&ids(&sparse), 200).unwrap();
    assert_eq!((set.count(), set.group_count()), (130, 3));
    for (at, id) in sparse.iter().enumerate() {
        let by_index = set.by_index(index(at as u32)).expect("dense");
        assert_eq!(by_index.id, HardwareId(*id), "index {at}");
        assert_eq!(set.by_id(HardwareId(*id)), Some(by_index));
        assert_eq!(set.by_number(by_index.number()), Some(by_index));
        let number = ProcessorNumber { group: at as u16 / 64, number: at as u8 % 64 };
        assert_eq!(by_index.number(), number, "index = 64 * group + number");
    }
    assert_eq!(set.by_index(index(130)), None);
    assert_eq!(set.by_id(HardwareId(3)), None);
}

#[test]
fn q1_group_masks_say_the_same_as_membership_and_count() {
    let mut rig = Rig::with_ids(&(0..130).collect::<Vec<_>>(), 200);
    for id in [0, 63, 64, 128, 129] {
        rig.remove(id);
    }
    let set = &rig.set;
    assert_eq!(set.group_mask(0), !(1 | 1 << 63));
    assert_eq!(set.group_mask(1), !1);
    assert_eq!(set.group_mask(2), 0, "both of the third group have left");
    assert_eq!(set.group_count(), 3, "but their indexes stay given");
    assert_eq!((set.group_mask(3), set.group_mask(u16::MAX)), (0, 0), "no such group");
    let bits: u32 = (0..32).map(|g| set.group_mask(g).count_ones()).sum();
    assert_eq!((bits, set.count()), (125, 125));
    assert_eq!(set.iter().collect::<Vec<_>>(), set.to_vec(), "two ways to list, one answer");
    assert!(set.iter().all(|p| set.contains(p.index)));
}

#[test]
fn a5_names_hold_from_add_start_until_after_add_failure_and_not_longer() {
    let mut rig = Rig::with_ids(&(0..64).collect::<Vec<_>>(), 100);
    let mut transaction = Transaction::add(&rig.set, &ids(&[900])).unwrap();
    let expected = index(64);
    {
        rig.set = transaction.publish(&rig.set);
        let set = transaction.set();
        let new = set.by_id(HardwareId(900)).expect("it translates while it is proposed");
        assert_eq!(new.index, expected);
        assert_eq!(set.by_index(expected), Some(new));
        assert_eq!(set.by_number(ProcessorNumber { group: 1, number: 0 }), Some(new));
        assert_eq!((set.count(), set.contains(expected)), (64, false), "but it is not active");
        assert_eq!(set.group_count(), 2, "its group exists, empty");
    }
    rig.join("vetoer");
    rig.veto("vetoer", State::AddStart, 900, Status::NO_MEMORY);
    transaction = rig.run(transaction);
    let set = transaction.set();
    assert_eq!(set.by_id(HardwareId(900)), None);
    assert_eq!(set.by_index(expected), None);
    assert_eq!(set.group_count(), 1);
}

#[test]
fn a5_a_proposed_processor_in_the_last_place_of_a_group_begins_no_other_group() {
    let rig = Rig::with_ids(&(0..63).collect::<Vec<_>>(), 100);
    let mut transaction = Transaction::add(&rig.set, &ids(&[900])).unwrap();
    let set = transaction.publish(&rig.set);
    assert_eq!(set.by_id(HardwareId(900)).map(|p| p.index), Some(index(63)));
    assert_eq!(set.group_count(), 1);
}

#[test]
fn x3_a_processor_that_comes_back_keeps_its_index_and_nobody_else_gets_it() {
    let mut rig = Rig::with_ids(&[10, 20, 30], 8);
    rig.remove(20);
    assert_eq!(rig.set.by_id(HardwareId(20)).unwrap().index, index(1), "gone, and still named");
    rig.add(&[40]);
    assert_eq!(rig.set.by_id(HardwareId(40)).unwrap().index, index(3), "20's index is not reused");
    rig.add(&[20]);
    assert_eq!(rig.set.by_id(HardwareId(20)).unwrap().index, index(1));
    assert_eq!(rig.active(), [10, 20, 30, 40]);
}

#[test]
fn x3_an_index_belongs_to_the_first_that_was_active_not_to_one_that_was_refused() {
    let mut rig = Rig::new(1).with(&["a"]);
    rig.veto("a", State::AddStart, 5, Status::NO_MEMORY);
    rig.add(&[5]);
    rig.rehearse(6);
    rig.add(&[7]);
    assert_eq!(rig.set.by_id(HardwareId(7)).unwrap().index, index(1), "indexes are dense");
}

#[test]
fn x3_a_batch_may_mix_newcomers_and_those_that_come_back() {
    let mut rig = Rig::with_ids(&[10, 20, 30], 8);
    rig.remove(10);
    rig.add(&[50, 10, 40]);
    let at = |id| rig.set.by_id(HardwareId(id)).unwrap().index.get();
    assert_eq!([at(50), at(10), at(40)], [3, 0, 4], "in the order named, dense, old ones kept");
    assert_eq!(rig.set.count(), 5);
}

#[test]
fn a8_what_cannot_be_added_fails_before_there_is_a_transaction() {
    let set = ActiveSet::first(&ids(&[0, 1]), 3).unwrap();
    let why = |wanted: &[u32]| Transaction::add(&set, &ids(wanted)).unwrap_err();
    assert_eq!(why(&[1]), NotAddable::AlreadyActive(HardwareId(1)));
    assert_eq!(why(&[2, 2]), NotAddable::NamedTwice(HardwareId(2)));
    let beyond = NotAddable::BeyondMaximum { id: HardwareId(8), maximum: 3 };
    assert_eq!(why(&[7, 8]), beyond, "the first of the two still had an index");
    let rehearsal = Transaction::rehearse(&set, HardwareId(0)).unwrap_err();
    assert_eq!(rehearsal, NotAddable::AlreadyActive(HardwareId(0)));
    let intruded = set.intrude(HardwareId(0)).unwrap_err();
    assert_eq!(intruded, NotAddable::AlreadyActive(HardwareId(0)));
}

#[test]
fn a8_the_maximum_counts_every_processor_that_ever_was_active() {
    let mut rig = Rig::with_ids(&[0, 1], 2);
    rig.remove(1);
    let why = Transaction::add(&rig.set, &ids(&[9])).unwrap_err();
    assert_eq!(why, NotAddable::BeyondMaximum { id: HardwareId(9), maximum: 2 });
    assert!(rig.add(&[1]).is_agreed(), "its own index is still there for it");
}

#[test]
fn a8_a_partition_holds_2048_processors_in_32_groups_and_not_one_more() {
    let all: Vec<u32> = (0..MAX_PROCESSORS).collect();
    let set = ActiveSet::first(&ids(&all), u32::MAX).unwrap();
    assert_eq!((set.maximum(), set.count(), set.group_count()), (2048, 2048, 32));
    assert!((0..32).all(|g| set.group_mask(g) == u64::MAX));
    assert!(Transaction::add(&set, &ids(&[5000])).is_err());
    let more: Vec<u32> = (0..=MAX_PROCESSORS).collect();
    assert!(ActiveSet::first(&ids(&more), u32::MAX).is_err());
    assert_eq!(ProcessorIndex::new(2048), None);
    assert_eq!(ProcessorNumber { group: 32, number: 0 }.index(), None);
    assert_eq!(ProcessorNumber { group: 0, number: 64 }.index(), None);
    assert_eq!(ProcessorNumber { group: 31, number: 63 }.index(), ProcessorIndex::new(2047));
}

#[test]
fn q2_the_epoch_grows_with_every_change_and_only_then() {
    let mut rig = Rig::new(2).with(&["a"]);
    rig.veto("a", State::AddStart, 7, Status::NO_MEMORY);
    let epoch = |rig: &Rig| rig.set.epoch();
    assert_eq!(epoch(&rig), Epoch(1));
    rig.add(&[7]);
    rig.rehearse(7);
    assert_eq!(epoch(&rig), Epoch(1), "a veto and a rehearsal change nothing");
    rig.add(&[2, 3]);
    assert_eq!(epoch(&rig), Epoch(2), "an atomic batch is one change");
    rig.remove(2);
    assert_eq!(epoch(&rig), Epoch(3));
}
