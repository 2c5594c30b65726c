//! Which folders show the cgroups of this process: `/proc/self/cgroup` and `/proc/self/mountinfo`, parsed.
//!
//! Both texts are bytes: a cgroup and a mount point may have any name. Nothing here reads a file.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

/// One of the trees in which a process has a cgroup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hierarchy {
    /// The tree of version 2.
    V2,
    /// The tree of version 1 that has this controller.
    V1(&'static str),
}

/// A folder that shows the cgroup of this process, and the outermost folder above it that shows one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Shown {
    /// The mount point.
    pub(crate) top: PathBuf,
    /// The cgroup of this process, in `top` or below.
    pub(crate) own: PathBuf,
}

impl Shown {
    /// The folders of the cgroup and of all visible ones above it, innermost first.
    pub(crate) fn folders(&self) -> impl Iterator<Item = &Path> {
        self.own.ancestors().take_while(|folder| folder.starts_with(&self.top))
    }
}

/// The path of this process's cgroup, from `/proc/self/cgroup`. `None` if the kernel does not have this hierarchy.
pub(crate) fn own_path(cgroups: &[u8], hierarchy: Hierarchy) -> Option<&Path> {
    // ID:CONTROLLERS:PATH. The path may contain colons, and no newline: the kernel refuses one in a name.
    lines(cgroups).find_map(|line| {
        let mut fields = line.splitn(3, |byte| *byte == b':');
        let (id, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
        let is_it = match hierarchy {
            Hierarchy::V2 => id == b"0" && controllers.is_empty(),
            Hierarchy::V1(name) => has_word(controllers, name),
        };
        is_it.then(|| Path::new(OsStr::from_bytes(path)))
    })
}

/// The mounts that show this process's cgroup, those first that show most of the cgroups above it. A later mount may hide one of
/// them, so the caller must try them in turn.
///
/// # Errors
/// Why there is none, as a sentence without its full stop.
pub(crate) fn shown(
    mounts: &[u8],
    cgroups: &[u8],
    hierarchy: Hierarchy,
) -> Result<Vec<Shown>, String> {
    let name = match hierarchy {
        Hierarchy::V2 => "of version 2".to_owned(),
        Hierarchy::V1(controller) => format!("of version 1 with the controller {controller}"),
    };
    let Some(own) = own_path(cgroups, hierarchy) else {
        return Err(format!("this kernel has no cgroups {name}"));
    };
    let mut found: Vec<(usize, Shown)> = Vec::new();
    let mut mounted = false;
    for mount in lines(mounts).filter_map(|line| Mount::parse(line, hierarchy)) {
        mounted = true;
        // For a mount from within a namespace, or a bind mount, only the part below its root is visible. A cgroup outside of this
        // process's namespace begins with `..`, and so does the root of a mount from outside.
        let Ok(below) = own.strip_prefix(&mount.root) else { continue };
        if below.components().any(|part| part == Component::ParentDir) {
            continue;
        }
        let own = match below.as_os_str().is_empty() {
            true => mount.at.clone(),
            false => mount.at.join(below),
        };
        found.push((mount.root.components().count(), Shown { top: mount.at, own }));
    }
    if found.is_empty() {
        let own = crate::text::cut(&own.display().to_string(), 200);
        return Err(match mounted {
            false => format!("cgroups {name} are not mounted"),
            true => format!("no mount of the cgroups {name} shows this process's cgroup, {own}"),
        });
    }
    // A stable sort: of mounts that show the same, the earlier one first.
    found.sort_by_key(|(depth, _)| *depth);
    Ok(found.into_iter().map(|(_, shown)| shown).collect())
}

/// A mount of cgroups.
struct Mount {
    /// The cgroup that is the root of the mount.
    root: PathBuf,
    /// The mount point.
    at: PathBuf,
}

impl Mount {
    /// Parses `ID PARENT DEVICE ROOT POINT OPTIONS [TAG…] - KIND SOURCE SUPEROPTIONS`. `None` for a mount of anything else.
    fn parse(line: &[u8], hierarchy: Hierarchy) -> Option<Self> {
        let mut words = line.split(|byte| *byte == b' ');
        let (root, at) = (words.nth(3)?, words.next()?);
        let mut words = words.skip_while(|word| *word != b"-").skip(1);
        let (kind, options) = (words.next()?, words.nth(1)?);
        let is_it = match hierarchy {
            Hierarchy::V2 => kind == b"cgroup2",
            Hierarchy::V1(name) => kind == b"cgroup" && has_word(options, name),
        };
        let (root, at) = (unescape(root), unescape(at));
        (is_it && root.is_absolute() && at.is_absolute()).then_some(Self { root, at })
    }
}

fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|byte| *byte == b'\n')
}

fn has_word(list: &[u8], word: &str) -> bool {
    list.split(|byte| *byte == b',').any(|one| one == word.as_bytes())
}

/// Decodes a path of mountinfo, in which some bytes are `\` and three octal digits. Anything else stands for itself.
fn unescape(mut path: &[u8]) -> PathBuf {
    let mut plain = Vec::with_capacity(path.len());
    while let Some((&byte, rest)) = path.split_first() {
        let code = (byte == b'\\').then(|| rest.get(..3).and_then(octal)).flatten();
        plain.push(code.unwrap_or(byte));
        path = code.map_or(rest, |_| &rest[3..]);
    }
    PathBuf::from(OsStr::from_bytes(&plain))
}

fn octal(digits: &[u8]) -> Option<u8> {
    digits.iter().try_fold(0_u8, |value, digit| {
        let digit = matches!(digit, b'0'..=b'7').then(|| digit - b'0')?;
        value.checked_mul(8)?.checked_add(digit)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CPU: Hierarchy = Hierarchy::V1("cpu");
    const V1: &str = "30 20 0:25 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n";

    fn own(mounts: &str, cgroups: &str, hierarchy: Hierarchy) -> Vec<String> {
        let shown = shown(mounts.as_bytes(), cgroups.as_bytes(), hierarchy).unwrap_or_default();
        shown.iter().map(|shown| shown.own.display().to_string()).collect()
    }

    #[test]
    fn a_controller_of_version_1_is_found_by_its_name_and_not_by_a_part_of_it() {
        let cgroups = "5:cpuset:/set\n4:cpuacct,cpu:/a:b\n1:name=cpu:/no\n0::/two\n";
        let path = |hierarchy| own_path(cgroups.as_bytes(), hierarchy).unwrap().to_owned();
        assert_eq!(path(CPU), Path::new("/a:b"), "a path may contain a colon");
        assert_eq!(path(Hierarchy::V1("cpuset")), Path::new("/set"));
        assert_eq!(path(Hierarchy::V2), Path::new("/two"));
        assert_eq!(own_path(cgroups.as_bytes(), Hierarchy::V1("memory")), None);
        assert_eq!(own(V1, cgroups, CPU), ["/sys/fs/cgroup/cpu,cpuacct/a:b"]);
        assert_eq!(own(V1, cgroups, Hierarchy::V1("cpuset")).len(), 0, "it is not mounted");
    }

    #[test]
    fn every_octal_escape_of_a_mount_point_is_decoded() {
        let cases: [(&[u8], &[u8]); 7] = [
            (b"/a\\040b\\011c\\012d\\134e\\043f", b"/a b\tc\nd\\e#f"),
            (b"/\\377", b"/\xff"),
            (b"/\\400", b"/\\400"),
            (b"/\\08", b"/\\08"),
            (b"/\\12", b"/\\12"),
            (b"/\\134040", b"/\\040"),
            (b"/\\", b"/\\"),
        ];
        for (escaped, plain) in cases {
            assert_eq!(unescape(escaped).as_os_str().as_bytes(), plain);
        }
    }

    #[test]
    fn the_mount_that_shows_most_cgroups_above_is_first() {
        let mounts = "1 0 0:1 /a/b /deep rw - cgroup2 none rw\n\
                      2 0 0:1 / /whole rw shared:1 master:2 - cgroup2 none rw\n\
                      3 0 0:1 /a /half rw - cgroup2 none rw\n";
        assert_eq!(own(mounts, "0::/a/b\n", Hierarchy::V2), ["/whole/a/b", "/half/b", "/deep"]);
    }

    #[test]
    fn a_mount_from_outside_of_the_namespace_shows_a_cgroup_outside_of_it() {
        let mounts = "1 0 0:1 /.. /mnt rw - cgroup2 none rw\n";
        assert_eq!(own(mounts, "0::/../sibling\n", Hierarchy::V2), ["/mnt/sibling"]);
        assert_eq!(own(mounts, "0::/../../far\n", Hierarchy::V2).len(), 0, "above the mount");
        // The name of the namespace's own root within the mount is not known.
        assert_eq!(own(mounts, "0::/\n", Hierarchy::V2).len(), 0);
    }

    #[test]
    fn the_folders_end_at_the_mount_point() {
        let shown = Shown { top: "/sys/fs/cgroup".into(), own: "/sys/fs/cgroup/a/b".into() };
        let folders: Vec<_> = shown.folders().map(|folder| folder.display().to_string()).collect();
        assert_eq!(folders, ["/sys/fs/cgroup/a/b", "/sys/fs/cgroup/a", "/sys/fs/cgroup"]);
    }

    proptest! {
        #[test]
        fn any_bytes_give_folders_below_a_mount_or_a_sentence(
            mounts in "(1 0 0:1 [/a.\\\\0-7]{1,9} [/a.\\\\0-7]{1,9} rw( x:1)? - cgroup2? n rw(,cpu)?\n|[ -~\n]{0,9}){0,6}",
            cgroups in "(0::/[/a.]{0,9}\n|4:cpu:[/a.]{0,9}\n|[ -~\n]{0,9}){0,4}",
            noise in proptest::collection::vec(any::<u8>(), 0..64),
        ) {
            for hierarchy in [CPU, Hierarchy::V2] {
                for (mounts, cgroups) in [(mounts.as_bytes(), cgroups.as_bytes()), (&noise[..], &noise[..])] {
                    match shown(mounts, cgroups, hierarchy) {
                        Ok(all) => for shown in all {
                            prop_assert!(shown.own.starts_with(&shown.top), "{shown:?}");
                            prop_assert_eq!(shown.folders().last(), Some(&*shown.top));
                        },
                        Err(reason) => prop_assert!(!reason.is_empty()),
                    }
                }
            }
        }
    }
}
