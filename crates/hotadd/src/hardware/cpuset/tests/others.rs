//! Changes of the cpuset by other processes are reported, and never counted as agreed.

use super::*;
use crate::hardware::cpuset::fake::set;
use crate::hardware::cpuset::kernel::Errno;

#[test]
fn x2_a_processor_that_goes_offline_vanishes_and_does_not_come_back_by_itself() {
    for kind in [CpusetKind::Member, CpusetKind::Root] {
        let mut rig = Rig::new("1-2", kind);
        rig.act(|world| world.switch(2, false));
        assert!(rig.look());
        assert_eq!((rig.told(), rig.active()), (vec!["2 vanished".into()], vec![1]), "{kind}");
        rig.act(|world| world.switch(2, true));
        rig.look();
        assert_eq!(rig.fake.world().effective(), "1", "{kind}: no party has agreed");
        assert_eq!(rig.told(), ["2 appeared"], "it can be asked for (H2)");
        rig.add(2).unwrap();
        assert_eq!(rig.active(), [1, 2]);
    }
}

#[test]
fn x2_a_processor_that_was_gone_between_two_looks_needs_agreement_again() {
    let mut rig = Rig::new("1", CpusetKind::Member);
    rig.add(2).unwrap();
    rig.act(|world| {
        world.switch(2, false);
        world.switch(2, true);
    });
    assert!(rig.look(), "it looks as before, and the kernel has said it");
    let told = vec!["2 vanished".into(), "2 appeared".into()];
    assert_eq!((rig.told(), rig.active()), (told, vec![1]));
    assert_eq!(rig.fake.world().effective(), "1");
    // An event from before it joined is outdated.
    rig.add(2).unwrap();
    rig.act(World::lose);
    assert!(!rig.look());
}

#[test]
fn x2_a_lasting_change_is_found_without_events() {
    let mut rig = Rig::new("1-2", CpusetKind::Member);
    rig.act(|world| {
        world.switch(2, false);
        world.lose();
    });
    assert!(rig.look());
    assert_eq!(rig.told(), ["2 vanished"]);
    rig.act(|world| world.give_above("0,2-3"));
    assert!(rig.look(), "a change of the cgroup above is found without an event");
    assert_eq!(
        rig.told()[..2],
        ["1 vanished".to_owned(), breach(0),],
        "the kernel then runs its threads on other processors"
    );
}

#[test]
fn q3_a_processor_written_by_another_process_joins_without_agreement_and_is_reported() {
    let mut rig = Rig::new("1", CpusetKind::Member);
    rig.act(|world| world.write("1-2"));
    assert!(rig.look());
    let wrote = "breach Q3: another process wrote to /cg/cpuset.cpus: it was 1, and is 1-2";
    assert_eq!(rig.told(), [&breach(2), "2 joined", wrote]);
    assert_eq!((rig.active(), rig.writes()), (vec![1, 2], vec![]), "it is not fought with");
    rig.act(|world| world.write("2"));
    assert!(rig.look());
    assert_eq!(rig.told()[0], "1 vanished", "X2");
    rig.act(|world| world.write("2"));
    assert!(!rig.look(), "a write without an effect is not reported");
}

#[test]
fn q3_a_processor_written_by_another_process_without_effect_is_removed_again() {
    let mut rig = Rig::new("1", CpusetKind::Member);
    rig.act(|world| {
        world.switch(3, false);
        world.write("1,3");
    });
    assert!(rig.look());
    assert_eq!(rig.writes(), ["1"], "or it would run there as soon as it comes online");
    let told = rig.told();
    assert!(told[1].contains("narrowed to the effective processors, 1"), "{told:?}");
}

#[test]
fn an_invalid_cpuset_partition_is_reported_once_with_the_kernels_reason() {
    let mut rig = Rig::new("1-2", CpusetKind::Root);
    let reason = "Parent unable to distribute cpu downstream";
    rig.act(|world| {
        world.spoils.insert(2, reason);
        world.write("1-2");
    });
    assert!(rig.look());
    let line = "breach Q3: the cpuset is no longer a valid root, and shares its processors: ";
    assert_eq!(rig.told(), [format!("{line}{reason}")]);
    assert!(!rig.look(), "it is said once");
    rig.act(|world| world.spoils.clear());
    rig.act(|world| world.write("1-2"));
    assert!(rig.look());
    assert_eq!(rig.told(), ["breach Q3: the cpuset is a valid root again"]);
    rig.act(|world| world.write_kind(CpusetKind::Member));
    assert!(rig.look());
    let told = rig.told();
    assert_eq!(told, ["breach Q3: another process made the cpuset a member; it was a root"]);
}

#[test]
fn q3_processors_that_the_kernel_substitutes_count_as_joined_without_agreement() {
    let mut rig = Rig::new("1", CpusetKind::Member);
    rig.act(|world| world.switch(1, false));
    assert!(rig.look());
    assert_eq!(rig.active(), [0, 2, 3], "what is effective is what counts");
    let told = rig.told();
    assert!(told.contains(&"1 vanished".to_owned()) && told.contains(&breach(3)), "{told:?}");
    let last = told.last().unwrap();
    assert!(last.ends_with("is left (1): the kernel runs its threads on 0,2-3"), "{last}");
    assert_eq!(rig.writes(), Vec::<String>::new(), "there is nothing to narrow it to");
    rig.remove(3).unwrap();
    assert_eq!(rig.writes(), ["0,2"], "and it is governed again");
    assert_eq!(rig.fake.world().effective(), "0,2");
}

#[test]
fn q3_a_processor_written_from_outside_while_parties_are_asked_is_not_agreed() {
    let mut rig = Rig::new("1", CpusetKind::Member);
    let fake = rig.fake.clone();
    let meddler = move |notice: &crate::Notice| {
        if notice.state() == hotadd_core::State::AddStart && notice.processor().id.0 == 2 {
            fake.world().write("1-2");
        }
        Ok(())
    };
    let _registration = rig.partition.register("meddler", meddler).unwrap();
    let error = rig.add(2).unwrap_err();
    assert_eq!(error.clause(), "A4", "all parties had agreed by then: {error}");
    assert!(error.to_string().contains("another process has added it"), "{error}");
    assert!(rig.look());
    assert_eq!(rig.told()[0], breach(2));
}

#[test]
fn an_unreadable_file_is_reported_once_and_changes_nothing() {
    let mut rig = Rig::new("1-2", CpusetKind::Member);
    for _ in 0..2 {
        rig.act(|world| world.readings.extend([Some(Errno::NODEV); 2]));
        rig.look();
        rig.act(|world| world.readings.clear());
    }
    assert_eq!(rig.told(), ["breach Q3: the cpuset cannot be read: ENODEV (19)"]);
    assert_eq!(rig.active(), [1, 2]);
    assert!(rig.look(), "it looks again when it can");
    assert_eq!(rig.told(), Vec::<String>::new());
}

#[test]
fn a_processor_taken_by_a_sibling_cgroup_is_noticed() {
    let mut rig = Rig::new("1-2", CpusetKind::Member);
    rig.act(|world| drop(world.beside.insert("thief", set("2"))));
    assert!(rig.look());
    assert_eq!((rig.told(), rig.active()), (vec!["2 vanished".into()], vec![1]));
}
