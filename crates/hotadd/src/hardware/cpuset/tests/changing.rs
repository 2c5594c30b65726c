//! Creating a cpuset, and starting and stopping processors: one write, and the effective list decides.

use hotadd_core::{Errno as Number, Status};

use super::*;
use crate::hardware::cpuset::fake::set;
use crate::hardware::cpuset::kernel::Errno;

const WHY: &str = "Cpu list in cpuset.cpus not exclusive";

fn options(start: &str) -> CpusetOptions {
    CpusetOptions::new().start_on(start.parse().unwrap())
}

#[test]
fn a_start_and_a_stop_are_one_write_each() {
    for kind in [CpusetKind::Member, CpusetKind::Root, CpusetKind::Isolated] {
        let rig = Rig::new("1", kind);
        assert_eq!(
            rig.partition.candidates().unwrap().len(),
            3,
            "{kind}: all but its own processor"
        );
        rig.add(3).unwrap();
        assert_eq!(rig.writes(), ["1,3"], "{kind}");
        rig.remove(1).unwrap();
        assert_eq!(rig.writes(), ["3"], "{kind}");
        assert_eq!((rig.active(), rig.fake.world().effective()), (vec![3], "3".into()), "{kind}");
    }
}

#[test]
fn a4_a_write_that_fails_is_a_failed_start_with_its_errno() {
    let rig = Rig::new("1", CpusetKind::Member);
    rig.act(|world| world.refusals.push_back(Some(Errno::BUSY)));
    let error = rig.add(2).unwrap_err();
    assert_eq!((error.errno(), error.clause()), (Some(Number::EBUSY), "A4"));
    assert_eq!((rig.active(), rig.writes()), (vec![1], vec![]), "and it is not tried again");
}

#[test]
fn a4_a_start_that_makes_the_partition_invalid_is_reverted_with_the_kernels_reason() {
    for is_6_1 in [true, false] {
        let mut rig = Rig::new("1", CpusetKind::Isolated);
        rig.act(|world| {
            world.is_6_1 = is_6_1;
            world.spoils.insert(2, WHY);
        });
        let error = rig.add(2).unwrap_err();
        assert_eq!(error.errno(), Some(Number::EINVAL));
        assert!(error.to_string().ends_with(WHY), "{error}");
        assert_eq!(rig.writes(), ["1-2", "1"], "narrowed again");
        let standing = rig.cpuset.kernel.standing().unwrap();
        assert_eq!((standing.kind, standing.invalid), (CpusetKind::Isolated, None), "{is_6_1}");
        assert!(!rig.fake.world().is_unguarded, "the kernel's state is restored too");
        assert!(!rig.look(), "nothing is left to be said");
        rig.add(3).expect("the others can be had");
        assert_eq!(rig.active(), [1, 3]);
    }
}

#[test]
fn a4_a_write_without_effect_is_a_failed_start() {
    let rig = Rig::new("1", CpusetKind::Member);
    rig.act(|world| {
        let taken = |world: &mut World| drop(world.beside.insert("thief", set("2")));
        world.before = Some(Box::new(taken));
    });
    let error = rig.add(2).unwrap_err();
    assert_eq!(error.errno(), Some(Number::EIO));
    assert!(error.to_string().contains("the effective processors are 1"), "{error}");
    assert_eq!(rig.fake.world().cpus(), "1", "and does not come when the thief lets it go");
}

#[test]
fn a_write_that_cannot_be_reverted_is_reported() {
    let mut rig = Rig::new("1", CpusetKind::Root);
    rig.act(|world| {
        world.spoils.insert(2, WHY);
        world.refusals.extend([None, Some(Errno::NODEV)]);
    });
    rig.add(2).unwrap_err();
    assert!(rig.look(), "there is something to be said");
    let told = rig.told();
    assert!(
        told.iter().any(|line| line.contains("was 1 and cannot be restored: ENODEV")),
        "{told:?}"
    );
    assert!(told.contains(&breach(2)), "it runs and is reported as not agreed: {told:?}");
}

#[test]
fn a8_an_unavailable_processor_is_refused_with_a_reason_before_any_party_is_asked() {
    let rig = Rig::new("1", CpusetKind::Root);
    let reason = |id| {
        let error = rig.add(id).unwrap_err();
        assert_eq!(error.clause(), "A8", "{error}");
        (error.status(), error.reason())
    };
    let (status, why) = reason(9);
    assert_eq!(status, Status::NO_SUCH_DEVICE, "{why}");
    rig.act(|world| drop(world.beside.insert("neighbour", set("2"))));
    let (status, why) = reason(2);
    assert_eq!(status, Status::ACCESS_DENIED);
    assert!(why.contains("neighbour"), "{why}");
    rig.act(|world| world.give_above("1-2"));
    let (_, why) = reason(3);
    assert!(why.contains("the parent cgroup"), "{why}");
    rig.act(|world| world.give_above("0-3"));
    rig.act(|world| world.switch(3, false));
    assert_eq!(reason(3).0, Status::DEVICE_OFF_LINE);
    rig.act(|world| world.barred = Some(Errno::ACCESS));
    let (_, why) = reason(0);
    assert!(why.contains("may not change /cg/cpuset.cpus: EACCES"), "{why}");
    rig.act(|world| {
        world.spoils.insert(1, WHY);
        world.write("1");
    });
    let (status, why) = reason(0);
    assert_eq!(status, Status::INVALID_DEVICE_STATE);
    assert!(why.contains(WHY), "{why}");
    assert!(rig.partition.candidates().unwrap().is_empty() && rig.writes().is_empty());
}

#[test]
fn the_last_processor_of_a_cpuset_cannot_be_stopped() {
    let rig = Rig::new("1-2", CpusetKind::Member);
    // One is gone, and no look has noticed yet.
    rig.act(|world| world.give_above("0,2-3"));
    let error = rig.remove(2).unwrap_err();
    assert_eq!(error.errno(), Some(Number::EINVAL));
    assert!(error.to_string().contains("no processor left"), "{error}");
    assert_eq!(rig.writes(), Vec::<String>::new());
}

#[test]
fn processors_taken_by_partitions_below_are_not_touched() {
    let fake = Fake::new("0-3", "1-3", CpusetKind::Root);
    fake.world().below = set("3");
    let mut rig = Rig::over(fake);
    assert_eq!(rig.active(), [1, 2]);
    rig.add(0).unwrap();
    rig.remove(1).unwrap();
    assert_eq!(rig.writes(), ["0-3", "0,2-3"]);
    rig.act(|world| world.switch(2, false));
    assert!(rig.look());
    assert_eq!((rig.writes(), rig.active()), (vec!["0,3".into()], vec![0]));
}

#[test]
fn a_created_cpuset_begins_with_the_requested_processors_or_the_first() {
    let begin = |options: &CpusetOptions, taken: &str| {
        let fake = Fake::new("0-3", "", CpusetKind::Member);
        fake.world().beside.insert("other", set(taken));
        let made = govern(&fake, options, true);
        let world = fake.world();
        made.map(|_| (world.cpus(), world.kind()))
    };
    assert_eq!(begin(&CpusetOptions::new(), "0"), Ok(("1".into(), CpusetKind::Member)));
    let root = options("2-3").kind(CpusetKind::Root);
    assert_eq!(begin(&root, ""), Ok(("2-3".into(), CpusetKind::Root)));
    let error = begin(&root, "3").unwrap_err().to_string();
    assert_eq!(error, "the cpuset /cg cannot have 3; it can have 0-2");
    assert_eq!(begin(&options(""), ""), Err(CpusetError::Empty));
    let nothing = begin(&CpusetOptions::new(), "0-3").unwrap_err();
    assert!(matches!(nothing, CpusetError::Invalid { .. }), "no processor is available: {nothing}");
}

#[test]
fn an_adopted_cpuset_keeps_its_processors_and_gains_none_by_itself() {
    let adopt = |cpus: &str, options: &CpusetOptions| {
        let fake = Fake::new("0-3", cpus, CpusetKind::Member);
        fake.world().give_above("0-2");
        let cpuset = govern(&fake, options, false);
        let cpus = fake.world().cpus();
        (cpuset.map(|cpuset| cpuset.active().unwrap().len()), cpus)
    };
    assert_eq!(
        adopt("", &CpusetOptions::new()),
        (Ok(3), "0-2".into()),
        "all processors of the cgroup above"
    );
    assert_eq!(adopt("1,3", &CpusetOptions::new()), (Ok(1), "1".into()), "3 is not effective");
    assert_eq!(adopt("1", &options("0")), (Ok(1), "0".into()), "on demand");
    let (refused, left) = adopt("1", &options("3"));
    assert!(matches!(refused, Err(CpusetError::NotAllowed { .. })), "{refused:?}");
    assert_eq!(left, "1", "the list is restored");
}

#[test]
fn a_cpuset_that_cannot_satisfy_its_options_is_restored() {
    for is_6_1 in [true, false] {
        let fake = Fake::new("0-3", "1", CpusetKind::Member);
        fake.world().spoils.insert(2, WHY);
        fake.world().is_6_1 = is_6_1;
        let error = govern(&fake, &options("2").kind(CpusetKind::Root), false).unwrap_err();
        assert_eq!(error.to_string(), format!("the cpuset /cg cannot be root: {WHY}"));
        let world = fake.world();
        assert_eq!((world.cpus(), world.kind()), ("1".into(), CpusetKind::Member));
    }
}
