//! The cgroups in which this process can create a cpuset: its own cgroup, or the topmost one.

use std::path::{Path, PathBuf};

use rustix::fs::Access;

use super::CpusetError;
use crate::CpuList;
use crate::cgroups::{self, Hierarchy, Shown};
use crate::hardware::Mask;
use crate::hardware::file::{read, read_mounts, read_own_cgroups};

/// The cgroups in which this process may create others, the best first. None is changed.
pub(super) fn places() -> Result<Vec<PathBuf>, CpusetError> {
    let unreadable = |(path, errno)| {
        CpusetError::NoPlace(format!("{path} cannot be read: {}", super::raw(errno)))
    };
    let mounts = read_mounts(Path::new("/")).map_err(unreadable)?;
    let cgroups = read_own_cgroups(Path::new("/")).map_err(unreadable)?;
    let Shown { top, own } = home(&mounts, &cgroups).map_err(CpusetError::NoPlace)?;
    unconfined(&top, &own)?;
    let mut places = vec![own.clone(), top];
    places.dedup();
    places.retain(|place| is_ours(place) && has_cpuset(place));
    if places.is_empty() {
        return Err(CpusetError::NoPlace(format!(
            "this process may not create cgroups with the cpuset controller in its own cgroup, {}: this \
             needs root or delegation, for example by systemd-run --user --scope -p Delegate=cpuset",
            own.display()
        )));
    }
    Ok(places)
}

/// The cgroups of this process, its own first, as far as they are visible.
pub(in crate::hardware) fn own_groups() -> Vec<PathBuf> {
    let mounts = read_mounts(Path::new("/")).unwrap_or_default();
    let cgroups = read_own_cgroups(Path::new("/")).unwrap_or_default();
    let Ok(shown) = home(&mounts, &cgroups) else { return Vec::new() };
    shown.folders().map(Path::to_owned).collect()
}

/// Whether this process can create cgroups there and move its processes into them.
fn is_ours(place: &Path) -> bool {
    let may = |path: &Path| rustix::fs::access(path, Access::WRITE_OK).is_ok();
    may(place) && may(&place.join("cgroup.procs")) && may(&place.join("cgroup.subtree_control"))
}

fn has_cpuset(place: &Path) -> bool {
    let controllers = read(&place.join("cgroup.controllers")).unwrap_or_default();
    controllers.split_whitespace().any(|name| name == "cpuset")
}

/// Checks this process's mask. The processes that it starts inherit the mask, and would not run on a
/// processor outside of it.
fn unconfined(top: &Path, own: &Path) -> Result<(), CpusetError> {
    let of = |group: &Path| read(&group.join("cpuset.cpus.effective")).ok();
    let within = own.ancestors().take_while(|group| group.starts_with(top)).find_map(of);
    let all: Option<CpuList> = within.and_then(|text| text.parse().ok());
    let own = Mask::current().ok();
    let (Some(all), Some(own)) = (all, own) else { return Ok(()) };
    if all.ids().iter().all(|id| own.contains(*id)) {
        return Ok(());
    }
    Err(CpusetError::NoPlace(format!(
        "this process and its children are confined to {own} by its affinity mask"
    )))
}

/// Reads the kernel's description of the mounts and of this process's cgroup.
fn home(mounts: &[u8], cgroups: &[u8]) -> Result<Shown, String> {
    if cgroups::own_path(cgroups, Hierarchy::V1("cpuset")).is_some() {
        return Err("the cpuset controller belongs to cgroups of version 1 here".to_owned());
    }
    let mut shown = cgroups::shown(mounts, cgroups, Hierarchy::V2)?;
    Ok(shown.swap_remove(0))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const V2: &str = "27 1 0:24 / /sys/fs/cgroup rw,relatime shared:4 - cgroup2 cgroup2 rw";

    fn at(mounts: &str, cgroups: &str) -> Result<(String, String), String> {
        let show = |path: PathBuf| path.display().to_string();
        home(mounts.as_bytes(), cgroups.as_bytes()).map(|home| (show(home.top), show(home.own)))
    }

    fn ok(top: &str, own: &str) -> Result<(String, String), String> {
        Ok((top.to_owned(), own.to_owned()))
    }

    #[test]
    fn our_cgroup_is_found_at_any_mount_point() {
        assert_eq!(at(V2, "0::/\n"), ok("/sys/fs/cgroup", "/sys/fs/cgroup"));
        let slice = "0::/user.slice/user-1000.slice/a b.scope\n";
        let own = "/sys/fs/cgroup/user.slice/user-1000.slice/a b.scope";
        assert_eq!(at(V2, slice), ok("/sys/fs/cgroup", own));
        let beside = "26 1 0:2 / /dev rw - devtmpfs devtmpfs rw\n\
                      27 1 0:24 /user.slice /mnt/with\\040space rw - cgroup2 none rw";
        let own = "/mnt/with space/user-1000.slice/a b.scope";
        assert_eq!(at(beside, slice), ok("/mnt/with space", own), "a bind mount of a subtree");
        assert!(at(beside, "0::/system.slice\n").is_err(), "another part is not ours");
    }

    #[test]
    fn the_error_says_why_no_cgroup_can_be_used() {
        let reason = |mounts, cgroups| at(mounts, cgroups).unwrap_err();
        let v1 = reason(V2, "3:cpuset:/\n0::/\n");
        assert!(v1.contains("version 1"), "{v1}");
        let joined = reason(V2, "3:cpu,cpuset:/x\n0::/\n");
        assert!(joined.contains("version 1"), "{joined}");
        assert!(reason("", "0::/\n").contains("not mounted"));
        assert!(reason(V2, "").contains("no cgroups of version 2"));
        assert!(reason(V2, "0::/../other\n").contains("shows this process's cgroup, /../other"));
    }

    proptest! {
        #[test]
        fn any_text_gives_a_path_below_a_mount_or_an_error(mounts in "[ -~\n]{0,200}", own in "[/a.]{0,20}") {
            let cgroups = format!("0::/{own}\n");
            for mounts in [format!("{V2}\n{mounts}"), mounts] {
                if let Ok(home) = home(mounts.as_bytes(), cgroups.as_bytes()) {
                    prop_assert!(home.own.starts_with(&home.top), "{home:?}");
                }
            }
        }
    }

    #[test]
    fn this_machine_has_a_place_or_a_reason_for_none() {
        match places() {
            Ok(places) => assert!(places.iter().all(|place| has_cpuset(place)), "{places:?}"),
            Err(CpusetError::NoPlace(reason)) => assert!(!reason.is_empty()),
            Err(other) => panic!("{other}"),
        }
    }
}
