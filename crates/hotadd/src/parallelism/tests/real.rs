//! The number on this machine: its masks, and a cgroup with a quota, in a process of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc;
use std::time::Duration;

use hotadd_testing::{Need, skip};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use crate::cgroups::{self, Hierarchy};
use crate::hardware::file;
use crate::parallelism::{LimitKind, Parallelism};

const PATIENCE: Duration = Duration::from_secs(60);

/// Set in a process that a test starts: the cgroup that it moves to, and the file with its quota.
const CGROUP: &str = "HOTADD_TEST_CGROUP";

/// Runs one test of this file again, in a process of its own.
fn again(test: &str, cgroup: &str) {
    let mut again = Command::new(std::env::current_exe().unwrap());
    again.args(["--exact", &format!("parallelism::tests::real::{test}"), "--nocapture"]);
    let output = again.env(CGROUP, cgroup).output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&text));
}

#[test]
fn h4_a_thread_with_a_mask_of_its_own_gets_its_number_and_another_thread_does_not() {
    let test = "h4_a_thread_with_a_mask_of_its_own_gets_its_number_and_another_thread_does_not";
    if !Need::TwoProcessors.is_met(test) {
        return;
    }
    if std::env::var_os(CGROUP).is_none() {
        return again(test, "none");
    }
    let all = sched_getaffinity(None).unwrap();
    let wide = Parallelism::of_process().unwrap();
    assert_eq!(wide.limits().mask, Some(all.count()), "{}", wide.limits());
    let narrow = std::thread::spawn(move || {
        let mut one = CpuSet::new();
        one.set((0..CpuSet::MAX_CPU).find(|id| all.is_set(*id)).unwrap());
        sched_setaffinity(None, &one).unwrap();
        let narrow = Parallelism::of_process().unwrap();
        let limits = narrow.limits();
        assert_eq!((limits.number.get(), limits.decides), (1, LimitKind::Mask));
        let (to, told) = mpsc::channel();
        narrow.on_change(move |limits| to.send(limits.clone()).unwrap()).detach();
        sched_setaffinity(None, &all).unwrap();
        let limits = told.recv_timeout(PATIENCE).expect("a wider mask is noticed");
        assert_eq!(limits.mask, Some(all.count()), "{limits}");
        narrow
    });
    let narrow = narrow.join().unwrap();
    assert_eq!(wide.limits().mask, Some(all.count()), "this thread's mask did not change");
    drop(narrow);
}

/// A cgroup below that of this process, removed at the end, and the file with its quota.
struct Group {
    folder: PathBuf,
    quota: PathBuf,
    version: Hierarchy,
}

impl Group {
    /// `None` if this process may not make one.
    fn new() -> Option<Self> {
        let root = Path::new("/");
        let (mounts, own) = (file::read_mounts(root).ok()?, file::read_own_cgroups(root).ok()?);
        let cpu = Hierarchy::V1("cpu");
        let version = if cgroups::own_path(&own, cpu).is_some() { cpu } else { Hierarchy::V2 };
        let shown = cgroups::shown(&mounts, &own, version).ok()?.swap_remove(0);
        if version == Hierarchy::V2 {
            fs::write(shown.own.join("cgroup.subtree_control"), "+cpu").ok()?;
        }
        let folder = shown.own.join(format!("hotadd-test-{}", std::process::id()));
        fs::create_dir(&folder).ok()?;
        let file = if version == cpu { "cpu.cfs_quota_us" } else { "cpu.max" };
        Some(Self { quota: folder.join(file), folder, version })
    }

    /// The text of a quota of this many microseconds of the usual 100 ms.
    fn text(&self, micros: Option<u32>) -> String {
        match (self.version, micros) {
            (Hierarchy::V1(_), None) => "-1".to_owned(),
            (Hierarchy::V2, None) => "max".to_owned(),
            (_, Some(micros)) => micros.to_string(),
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        fs::remove_dir(&self.folder).unwrap();
    }
}

#[test]
fn a_quota_of_a_cgroup_of_this_machine_decides_and_its_end_is_told() {
    let test = "a_quota_of_a_cgroup_of_this_machine_decides_and_its_end_is_told";
    if let Some(inside) = std::env::var_os(CGROUP) {
        return in_the_cgroup(&inside.into_string().unwrap());
    }
    if !Need::TwoProcessors.is_met(test) {
        return;
    }
    let Some(group) = Group::new() else { return skip(Need::CpuQuota, test) };
    fs::write(&group.quota, group.text(Some(150_000))).unwrap();
    let inside =
        [group.folder.display().to_string(), group.quota.display().to_string(), group.text(None)];
    again(test, &inside.join("\n"));
}

fn in_the_cgroup(inside: &str) {
    let [folder, quota, none] = *inside.split('\n').collect::<Vec<_>>().as_slice() else {
        panic!("{inside:?}");
    };
    let processors = Parallelism::of_process().unwrap();
    let (to, told) = mpsc::channel();
    processors.on_change(move |limits| to.send(limits.clone()).unwrap()).detach();
    fs::write(Path::new(folder).join("cgroup.procs"), std::process::id().to_string()).unwrap();
    let limits = told.recv_timeout(PATIENCE).expect("the move to the cgroup is noticed");
    assert_eq!((limits.number.get(), limits.decides), (1, LimitKind::Quota), "{limits:?}");
    let found = limits.quota.unwrap();
    assert_eq!((found.cgroup.to_str(), found.time, found.period), (Some(folder), 150_000, 100_000));
    fs::write(quota, none).unwrap();
    let limits = told.recv_timeout(PATIENCE).expect("the end of the quota is noticed");
    assert_eq!((limits.decides, limits.quota), (LimitKind::Set, None));
    // Back, so that the cgroup can be removed as soon as this has ended.
    let above = Path::new(folder).parent().unwrap();
    fs::write(above.join("cgroup.procs"), std::process::id().to_string()).unwrap();
}
