//! Holding (H1 to H4) in a cpuset: its threads use a new processor only after agreement, and a processor that
//! comes is reported.

use super::*;
use crate::hardware::cpuset::fake::set;

/// A cpuset with all online processors, which are 0 to 2 of 0 to 3.
fn everything(is_6_1: bool) -> Rig {
    let fake = Fake::new("0-3", "0-2", CpusetKind::Member);
    fake.world().is_6_1 = is_6_1;
    fake.world().switch(3, false);
    Rig::over(fake)
}

#[test]
fn h1_a_thread_that_enters_a_cpuset_of_all_processors_is_held() {
    for is_6_1 in [true, false] {
        let mut rig = everything(is_6_1);
        rig.act(|world| world.attach(10));
        rig.look();
        rig.act(|world| world.switch(3, true));
        assert_eq!(rig.fake.world().masks(), "10: 0-2", "{is_6_1}: before the first look");
        assert_eq!(rig.fake.world().effective(), "0-2");
        assert!(rig.look());
        assert_eq!(rig.told(), ["3 appeared"], "{is_6_1}");
        rig.add(3).unwrap();
        assert_eq!(rig.fake.world().masks(), "10: 0-3", "{is_6_1}: and gets what joins");
        rig.remove(0).unwrap();
        assert_eq!(rig.fake.world().masks(), "10: 1-3");
        assert!(!rig.look());
    }
}

#[test]
fn h1_h5_a_thread_that_gained_a_processor_is_put_back_and_reported() {
    let mut rig = everything(false);
    rig.act(|world| {
        world.attach(10);
        world.switch(3, true);
    });
    assert_eq!(rig.fake.world().masks(), "10: 0-3", "6.12 has left its mask alone");
    assert!(rig.look());
    assert_eq!(rig.fake.world().masks(), "10: 0-2");
    let says = "breach Q3: the kernel let thread 10 of process 10 (a) run on 0-3, outside of the cpuset; \
     now limited to 0-2";
    assert_eq!(rig.told(), [says, "3 appeared"]);
}

#[test]
fn h1_threads_of_an_adopted_cpuset_are_held_from_the_start() {
    let fake = Fake::new("0-3", "0-2", CpusetKind::Member);
    fake.world().switch(3, false);
    fake.world().attach(10);
    let rig = Rig::over(fake);
    rig.act(|world| world.switch(3, true));
    assert_eq!(rig.fake.world().masks(), "10: 0-2");
}

#[test]
fn h2_a_processor_gained_by_the_cgroup_above_appears_and_a_removed_one_does_not() {
    let mut rig = Rig::new("0", CpusetKind::Member);
    assert!(!rig.look(), "the candidates of the beginning do not appear");
    rig.act(|world| world.give_above("0-1"));
    rig.look();
    rig.told();
    rig.act(|world| world.give_above("0-2"));
    assert!(rig.look());
    assert_eq!(rig.told(), ["2 appeared"]);
    assert!(!rig.look());
    rig.act(|world| drop(world.beside.insert("other", set("3"))));
    rig.act(|world| world.give_above("0-3"));
    rig.look();
    assert_eq!(rig.told(), [""; 0], "it is exclusive to another cgroup");
    for kind in [CpusetKind::Root, CpusetKind::Member] {
        rig.act(|world| world.write_kind(kind));
        while rig.look() {}
        rig.told();
        rig.add(1).unwrap();
        rig.remove(1).unwrap();
        rig.look();
        assert_eq!(rig.told(), [""; 0], "{kind}: given back by agreement");
    }
}

#[test]
fn h2_a_lost_processor_appears_when_it_comes_back() {
    let mut rig = Rig::new("0-1", CpusetKind::Member);
    rig.act(|world| world.switch(1, false));
    while rig.look() {}
    assert_eq!(rig.told(), ["1 vanished"]);
    rig.act(|world| world.switch(1, true));
    while rig.look() {}
    assert_eq!(rig.told(), ["1 appeared"]);
}

#[test]
fn h3_masks_set_by_threads_are_kept_when_processors_join_or_leave() {
    for is_6_1 in [true, false] {
        let mut rig = Rig::new("0-1", CpusetKind::Member);
        rig.act(|world| {
            world.is_6_1 = is_6_1;
            world.attach(10);
            world.attach(11);
            world.pin(11, "0");
        });
        rig.look();
        rig.add(2).unwrap();
        assert_eq!(rig.fake.world().masks(), "10: 0-2, 11: 0", "6.1 is {is_6_1}");
        rig.remove(1).unwrap();
        assert_eq!(rig.fake.world().masks(), "10: 0,2, 11: 0", "6.1 is {is_6_1}");
        rig.act(|world| world.switch(2, false));
        while rig.look() {}
        assert_eq!(rig.fake.world().masks(), "10: 0, 11: 0");
    }
}

#[test]
fn h3_a_cpuset_widened_from_outside_does_not_lead_to_reports_per_thread() {
    let mut rig = Rig::new("0", CpusetKind::Member);
    rig.act(|world| world.attach(10));
    rig.look();
    rig.act(|world| world.write("0-1"));
    while rig.look() {}
    let wrote = "breach Q3: another process wrote to /cg/cpuset.cpus: it was 0, and is 0-1";
    assert_eq!(rig.told(), [&*breach(1), "1 joined", wrote]);
    assert_eq!(rig.fake.world().masks(), "10: 0-1", "what is effective is what counts");
}
