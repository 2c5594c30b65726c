//! What is read from the files of cgroups.

use std::fs;

use proptest::prelude::*;

use super::Root;
use crate::parallelism::quota::{DEEPEST, Found, Quotas};

fn found(root: &Root) -> Found {
    Quotas::new(root.path()).read()
}

/// The quota that was found: cgroup, time and period.
fn lowest(root: &Root) -> Option<(String, u64, u64)> {
    let found = found(root);
    assert_eq!(found.unknown, [""; 0], "everything could be read");
    found.lowest.map(|quota| (root.inside(&quota.cgroup), quota.time, quota.period))
}

fn quota(cgroup: &str, time: u64, period: u64) -> Option<(String, u64, u64)> {
    Some((cgroup.to_owned(), time, period))
}

#[test]
fn the_lowest_quota_of_all_cgroups_above_counts() {
    let root = Root::v2("/slice/app/pod");
    assert_eq!(lowest(&root), None, "no cgroup has a file: the controller is not enabled");
    root.file("cg/slice/app/pod/cpu.max", "max 100000\n");
    root.file("cg/slice/app/cpu.max", "300000 100000\n");
    root.file("cg/slice/cpu.max", "max 100000\n");
    assert_eq!(lowest(&root), quota("cg/slice/app", 300_000, 100_000));
    root.file("cg/slice/cpu.max", "50000 10000\n");
    assert_eq!(lowest(&root), quota("cg/slice/app", 300_000, 100_000), "3 is less than 5");
    root.file("cg/slice/cpu.max", "25000 10000\n");
    assert_eq!(lowest(&root), quota("cg/slice", 25_000, 10_000), "2.5 is less than 3");
    root.file("cg/slice/app/pod/cpu.max", "250000 100000\n");
    assert_eq!(
        lowest(&root),
        quota("cg/slice/app/pod", 250_000, 100_000),
        "the innermost of equal ones"
    );
}

#[test]
fn a_quota_of_version_1_has_two_files_and_minus_1_stands_for_none() {
    let mounts = "30 1 0:25 / /v1/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n\
                  31 1 0:26 / /v1/unified rw - cgroup2 cgroup2 rw\n";
    let root = Root::new(mounts, "4:cpu,cpuacct:/docker/abc\n3:cpuset:/other\n0::/two\n");
    root.group("v1/cpu,cpuacct/docker/abc");
    root.group("v1/unified/two");
    root.file("v1/cpu,cpuacct/docker/abc/cpu.cfs_quota_us", "-1\n");
    root.file("v1/cpu,cpuacct/docker/abc/cpu.cfs_period_us", "100000\n");
    assert_eq!(lowest(&root), None);
    root.file("v1/cpu,cpuacct/docker/cpu.cfs_quota_us", "200000\n");
    root.file("v1/cpu,cpuacct/docker/cpu.cfs_period_us", "50000\n");
    assert_eq!(lowest(&root), quota("v1/cpu,cpuacct/docker", 200_000, 50_000));
    root.file("v1/unified/two/cpu.max", "10000 100000\n");
    let still = quota("v1/cpu,cpuacct/docker", 200_000, 50_000);
    assert_eq!(lowest(&root), still, "a controller belongs to one version");
}

#[test]
fn a_mount_with_any_name_and_of_a_part_only_shows_the_quota() {
    let mounts = "30 1 0:26 /docker/a\\040b /run/my\\134cg rw - cgroup2 cgroup2 rw\n";
    let root = Root::new(mounts, "0::/docker/a b/c\n");
    root.group("run/my\\cg/c");
    root.file("run/my\\cg/cpu.max", "150000 100000\n");
    assert_eq!(lowest(&root), quota("run/my\\cg", 150_000, 100_000));
}

#[test]
fn of_two_mounts_one_that_is_hidden_by_another_is_not_used() {
    let mounts = "30 1 0:26 / /hidden rw - cgroup2 cgroup2 rw\n\
                  31 1 0:26 /app /seen rw - cgroup2 cgroup2 rw\n";
    let root = Root::new(mounts, "0::/app\n");
    root.group("seen");
    root.file("seen/cpu.max", "150000 100000\n");
    assert_eq!(lowest(&root), quota("seen", 150_000, 100_000));
}

#[test]
fn a_process_that_moves_to_another_cgroup_has_its_quota() {
    let root = Root::v2("/a");
    root.file("cg/a/cpu.max", "150000 100000\n");
    let mut quotas = Quotas::new(root.path());
    let mut time = || quotas.read().lowest.map(|quota| quota.time);
    assert_eq!(time(), Some(150_000));
    root.group("cg/b");
    root.file("cg/b/cpu.max", "250000 100000\n");
    assert_eq!(time(), Some(150_000), "it has not moved yet");
    root.file("proc/self/cgroup", "0::/b\n");
    assert_eq!(time(), Some(250_000));
    fs::remove_file(root.path().join("proc/self/cgroup")).unwrap();
    assert_eq!(time(), None, "no longer known");
}

#[test]
fn a_kernel_without_cgroups_has_no_quota_and_nothing_is_unknown() {
    assert_eq!(lowest(&Root::new("", "")), None);
}

#[test]
fn what_cannot_be_read_is_no_limit_and_has_a_reason() {
    let reason = |root: &Root| {
        let Found { lowest, unknown } = found(root);
        assert_eq!(lowest, None);
        assert_eq!(unknown.len(), 1, "{unknown:?}");
        unknown.into_iter().next().unwrap()
    };
    let missing = Root::v2("/a");
    fs::remove_file(missing.path().join("proc/self/mountinfo")).unwrap();
    assert_eq!(reason(&missing), "/proc/self/mountinfo cannot be read: ENOENT (2)");
    let none = Root::new("1 0 0:1 / / rw - ext4 none rw\n", "0::/a\n");
    assert_eq!(reason(&none), "cgroups of version 2 are not mounted");
    let outside = Root::v2("/a");
    outside.file("proc/self/cgroup", "0::/../b\u{202e}\n");
    let says = "no mount of the cgroups of version 2 shows this process's cgroup, /../b\u{fffd}";
    assert_eq!(reason(&outside), says);
    let hidden = Root::v2("/a");
    fs::remove_file(hidden.path().join("cg/a/cgroup.procs")).unwrap();
    assert_eq!(reason(&hidden), "/cg/a does not show this process's cgroup");
}

#[test]
fn hostile_contents_of_a_quota_are_no_limit_and_are_quoted_safely() {
    let root = Root::v2("/a");
    let hostile: [&[u8]; 14] = [
        b"",
        b"max",
        b"max max",
        b"-1 100000",
        b"0 100000",
        b"100000 0",
        b"1 2 3",
        b"+1 100000",
        b"99999999999999999999999 1",
        b"1e5 100000",
        b"max 100000 x",
        b"\x1b[2J 1",
        b"\xff\xfe 1",
        &[b'1'; 70_000],
    ];
    for bytes in hostile {
        root.file("cg/a/cpu.max", bytes);
        let Found { lowest, unknown } = found(&root);
        assert_eq!((lowest, unknown.len()), (None, 1), "for {}", bytes.escape_ascii());
        assert!(crate::text::is_clean(&unknown[0]), "{:?}", unknown[0]);
        assert!(unknown[0].len() < 400, "{} bytes", unknown[0].len());
    }
}

#[test]
fn a_pipe_in_place_of_a_quota_is_not_waited_for() {
    let root = Root::v2("/a");
    let path = root.path().join("cg/a/cpu.max");
    let mode = rustix::fs::Mode::RUSR;
    rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    assert_eq!(found(&root).unknown.len(), 1);
}

#[test]
fn cgroups_above_each_other_without_end_are_read_up_to_a_limit() {
    let own = "/x".repeat(DEEPEST + 1);
    let root = Root::v2(&own);
    root.file(&format!("cg{own}/cpu.max"), "200000 100000\n");
    root.file("cg/cpu.max", "100000 100000\n");
    let Found { lowest, unknown } = found(&root);
    assert_eq!(lowest.unwrap().time, 200_000);
    assert_eq!(
        unknown,
        [format!("only the innermost {DEEPEST} cgroups of this process are considered")]
    );
}

proptest! {
    #[test]
    fn any_bytes_are_a_quota_or_a_reason(
        max in prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..40),
            "(max|[0-9]{1,22}) [0-9]{1,22}\n?".prop_map(String::into_bytes),
        ],
        v1 in any::<bool>(),
    ) {
        let root = if v1 {
            let root = Root::new("1 0 0:1 / /cg rw - cgroup c rw,cpu\n", "1:cpu:/\n");
            root.file("cg/cpu.cfs_quota_us", &max);
            root.file("cg/cpu.cfs_period_us", &max);
            root
        } else {
            let root = Root::v2("/");
            root.file("cg/cpu.max", &max);
            root
        };
        root.group("cg");
        let Found { lowest, unknown } = found(&root);
        prop_assert!(lowest.is_none() || unknown.is_empty());
        if let Some(quota) = lowest {
            prop_assert!(quota.time > 0 && quota.period > 0);
            prop_assert!(quota.whole().get() as u64 <= (quota.time / quota.period).max(1));
        }
    }
}
