//! The cgroups in which this process can create a cpuset: its own cgroup, or the topmost one.

use std::path::{Component, Path, PathBuf};

use rustix::fs::Access;

use super::CpusetError;
use crate::CpuList;
use crate::hardware::Mask;
use crate::hardware::file::read;

/// The mount point of the cgroups of version 2, and the cgroup of this process.
#[derive(Debug, PartialEq, Eq)]
struct Home {
    top: PathBuf,
    own: PathBuf,
}

/// The cgroups in which this process may create others, the best first. None is changed.
pub(super) fn places() -> Result<Vec<PathBuf>, CpusetError> {
    let read = |path: &str| {
        read(Path::new(path)).map_err(|errno| {
            let errno = super::raw(errno);
            CpusetError::NoPlace(format!("{path} cannot be read: {errno}"))
        })
    };
    let (mounts, cgroups) = (read("/proc/self/mountinfo")?, read("/proc/self/cgroup")?);
    let Home { top, own } = home(&mounts, &cgroups).map_err(CpusetError::NoPlace)?;
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
    let read = |path: &str| read(Path::new(path)).unwrap_or_default();
    let home = home(&read("/proc/self/mountinfo"), &read("/proc/self/cgroup"));
    let Ok(Home { top, own }) = home else { return Vec::new() };
    own.ancestors().take_while(|group| group.starts_with(&top)).map(Path::to_owned).collect()
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
fn home(mounts: &str, cgroups: &str) -> Result<Home, String> {
    let controller = |line: &str| line.split(':').nth(1).map(str::to_owned).unwrap_or_default();
    if cgroups.lines().any(|line| controller(line).split(',').any(|name| name == "cpuset")) {
        return Err("the cpuset controller belongs to cgroups of version 1 here".to_owned());
    }
    let own = cgroups.lines().find_map(|line| line.strip_prefix("0::"));
    let own = own.ok_or("this kernel has no cgroups of version 2")?;
    // A path outside of this namespace contains `..`.
    if Path::new(own).components().any(|part| part == Component::ParentDir) {
        return Err(format!("this process's cgroup, {own}, is not visible from its namespace"));
    }
    for line in mounts.lines() {
        let mut words = line.split(' ');
        let (root, at) = (words.nth(3), words.next());
        let kind = words.skip_while(|word| *word != "-").nth(1);
        let (Some(root), Some(at), Some("cgroup2")) = (root, at, kind) else { continue };
        // For a mount from within a namespace, or a bind mount: only this part is mounted.
        let Ok(below) = Path::new(own).strip_prefix(unescape(root)) else { continue };
        let top = PathBuf::from(unescape(at));
        let own = if below.as_os_str().is_empty() { top.clone() } else { top.join(below) };
        return Ok(Home { top, own });
    }
    Err("cgroups of version 2 are not mounted".to_owned())
}

/// Decodes a path of mountinfo, where spaces and some other characters are octal.
fn unescape(path: &str) -> String {
    let pairs = [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")];
    pairs.iter().fold(path.to_owned(), |path, (code, plain)| path.replace(code, plain))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const V2: &str = "27 1 0:24 / /sys/fs/cgroup rw,relatime shared:4 - cgroup2 cgroup2 rw";

    fn at(mounts: &str, cgroups: &str) -> Result<(String, String), String> {
        let show = |path: PathBuf| path.display().to_string();
        home(mounts, cgroups).map(|home| (show(home.top), show(home.own)))
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
        assert!(reason(V2, "0::/../other\n").contains("is not visible"));
    }

    proptest! {
        #[test]
        fn any_text_gives_a_path_below_a_mount_or_an_error(mounts in "[ -~\n]{0,200}", own in "[/a.]{0,20}") {
            let cgroups = format!("0::/{own}\n");
            for mounts in [format!("{V2}\n{mounts}"), mounts] {
                if let Ok(home) = home(&mounts, &cgroups) {
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
