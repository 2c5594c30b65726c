//! The kernel operations that the rest of this backend needs, as a trait so that tests can refuse, invalidate and meddle
//! at will.

use std::fmt::Debug;
use std::fs;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use hotadd_core::HardwareId;
use rustix::fs::{Access, inotify};
use rustix::net::sockopt::set_socket_recv_buffer_size_force;
use rustix::process::Pid;

use super::CpusetKind;
use crate::CpuList;
use crate::hardware::file::{errno, read, write};
use crate::hardware::holding::{self, Masks};
use crate::hardware::uevents;

/// The kernel's error.
pub(super) type Errno = rustix::io::Errno;

/// The maximum number of cgroups that are checked for exclusive processors. If there are more, the kernel's
/// refusal must suffice.
const MOST: usize = 4096;

/// The number of characters of a reason that are kept.
const REASON: usize = 200;

/// A buffer for the uevents of a thousand processors that come at once.
const BACKLOG: usize = 4 << 20;

/// The content of `cpuset.cpus.partition`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Standing {
    pub(super) kind: CpusetKind,
    /// Why the partition is invalid. Empty if the kernel gives no reason, as 6.12 does in some cases.
    pub(super) invalid: Option<String>,
}

impl Standing {
    fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
        let all = [CpusetKind::Member, CpusetKind::Root, CpusetKind::Isolated];
        let kind = all.into_iter().find(|kind| kind.name() == word)?;
        let invalid = match rest {
            "" => None,
            _ => {
                let reason = rest.strip_prefix("invalid")?.trim();
                let reason = reason.strip_prefix('(').map_or(reason, |r| r.trim_end_matches(')'));
                Some(crate::text::cut(reason, REASON))
            }
        };
        Some(Self { kind, invalid })
    }

    /// The kernel's reason as a sentence, if the partition is invalid.
    pub(super) fn complaint(&self) -> Option<String> {
        let reason = self.invalid.as_ref()?;
        Some(if reason.is_empty() {
            "the kernel gives no reason; probably a sibling cgroup has one of the processors".into()
        } else {
            reason.clone()
        })
    }
}

/// Another cgroup, and its exclusive processors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Holder {
    pub(super) name: String,
    pub(super) cpus: CpuList,
}

/// The kernel operations. None of them retries.
pub(super) trait Kernel: Debug + Send + Sync {
    /// The possible processors.
    fn possible(&self) -> Result<CpuList, Errno>;

    /// Whether this processor is known to be offline.
    fn is_off(&self, id: HardwareId) -> bool;

    /// The list in the cpuset. Empty if the cpuset has all processors of the cgroup above.
    fn cpus(&self) -> Result<CpuList, Errno>;

    /// The processors on which its threads may actually run.
    fn effective(&self) -> Result<CpuList, Errno>;

    /// The processors of the cgroup above, without those that partitions have taken from it.
    fn above(&self) -> Result<CpuList, Errno>;

    /// Its kind, and whether the partition is valid.
    fn standing(&self) -> Result<Standing, Errno>;

    /// The sibling cgroups that have exclusive processors.
    fn beside(&self) -> Result<Vec<Holder>, Errno>;

    /// The child cgroups that have exclusive processors.
    fn below(&self) -> Result<Vec<Holder>, Errno>;

    /// Whether this process may change it.
    fn may_write(&self) -> Result<(), Errno>;

    /// Writes the list.
    fn write_cpus(&self, cpus: &CpuList) -> Result<(), Errno>;

    /// Writes the kind.
    fn write_kind(&self, kind: CpusetKind) -> Result<(), Errno>;

    /// The number of the latest uevent.
    fn sequence(&self) -> Result<u64, Errno>;

    /// A descriptor that is readable when there are uevents.
    fn listen(&self) -> Result<OwnedFd, Errno>;

    /// Receives the next uevent. Returns its length in the buffer, or `None` if it does not come from the kernel.
    fn receive(&self, socket: &OwnedFd, buffer: &mut [u8]) -> Result<Option<usize>, Errno>;

    /// The threads in it, and in the cgroups below it.
    fn threads(&self) -> Result<Vec<Pid>, Errno>;

    /// The interface that reads and sets their masks.
    fn masks(&self) -> &dyn Masks;

    /// A descriptor that is readable when a process wrote the list, of this cgroup or of the one above, or moved a process in,
    /// or when the partition became valid or invalid.
    fn notices(&self) -> Result<OwnedFd, Errno>;
}

/// The running kernel.
#[derive(Debug)]
pub(super) struct Linux {
    group: PathBuf,
    parent: PathBuf,
    /// `/sys`, or a test's substitute.
    sys: PathBuf,
}

impl Linux {
    /// `None` if the path has no parent.
    pub(super) fn new(group: &Path) -> Option<Self> {
        let parent = group.parent()?.to_owned();
        Some(Self { group: group.to_owned(), parent, sys: "/sys".into() })
    }

    fn processors(&self, name: &str) -> Result<CpuList, Errno> {
        let list = list(&self.sys.join("devices/system/cpu").join(name))?;
        if list.is_empty() { Err(Errno::IO) } else { Ok(list) }
    }
}

impl Kernel for Linux {
    fn possible(&self) -> Result<CpuList, Errno> {
        self.processors("possible")
    }

    fn is_off(&self, id: HardwareId) -> bool {
        // This reads the processor's own file: a container may show other contents for the list of all (H4).
        let file = self.sys.join(format!("devices/system/cpu/cpu{id}/online"));
        read(&file).is_ok_and(|text| text.trim() == "0")
    }

    fn cpus(&self) -> Result<CpuList, Errno> {
        list(&self.group.join("cpuset.cpus"))
    }

    fn effective(&self) -> Result<CpuList, Errno> {
        list(&self.group.join("cpuset.cpus.effective"))
    }

    fn above(&self) -> Result<CpuList, Errno> {
        list(&self.parent.join("cpuset.cpus.effective"))
    }

    fn standing(&self) -> Result<Standing, Errno> {
        Standing::parse(&read(&self.group.join("cpuset.cpus.partition"))?).ok_or(Errno::IO)
    }

    fn beside(&self) -> Result<Vec<Holder>, Errno> {
        let mut all = holders(&self.parent)?;
        all.retain(|holder| self.parent.join(&holder.name) != self.group);
        Ok(all)
    }

    fn below(&self) -> Result<Vec<Holder>, Errno> {
        holders(&self.group)
    }

    fn may_write(&self) -> Result<(), Errno> {
        rustix::fs::access(self.group.join("cpuset.cpus"), Access::WRITE_OK)
    }

    fn write_cpus(&self, cpus: &CpuList) -> Result<(), Errno> {
        // The newline is needed, because a write of no bytes has no effect.
        write(&self.group.join("cpuset.cpus"), format!("{cpus}\n").as_bytes())
    }

    fn write_kind(&self, kind: CpusetKind) -> Result<(), Errno> {
        write(&self.group.join("cpuset.cpus.partition"), kind.name().as_bytes())
    }

    fn sequence(&self) -> Result<u64, Errno> {
        read(&self.sys.join("kernel/uevent_seqnum"))?.trim().parse().map_err(|_| Errno::IO)
    }

    fn listen(&self) -> Result<OwnedFd, Errno> {
        let socket = uevents::listen()?;
        // Only root may do this. With the default buffer more events are lost, and the poll finds the changes.
        let _ = set_socket_recv_buffer_size_force(&socket, BACKLOG);
        Ok(socket)
    }

    fn receive(&self, socket: &OwnedFd, buffer: &mut [u8]) -> Result<Option<usize>, Errno> {
        uevents::receive(socket, buffer)
    }

    fn notices(&self) -> Result<OwnedFd, Errno> {
        let queue = inotify::init(inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK)?;
        for name in ["cpuset.cpus", "cpuset.cpus.partition"] {
            inotify::add_watch(&queue, self.group.join(name), inotify::WatchFlags::MODIFY)?;
        }
        for name in ["cgroup.procs", "cgroup.threads"] {
            let _ = inotify::add_watch(&queue, self.group.join(name), inotify::WatchFlags::MODIFY);
        }
        for above in self.group.ancestors().skip(1).take_while(|above| **above != *Path::new("/")) {
            // The topmost cgroup has no such file, and its parent is not a cgroup.
            let list = above.join("cpuset.cpus");
            let _ = inotify::add_watch(&queue, list, inotify::WatchFlags::MODIFY);
        }
        Ok(queue)
    }

    fn threads(&self) -> Result<Vec<Pid>, Errno> {
        let mut threads = Vec::new();
        let mut groups = vec![self.group.clone()];
        let mut seen = 0;
        while let Some(group) = groups.pop().filter(|_| seen < MOST) {
            seen += 1;
            match lines(&group.join("cgroup.threads")) {
                Ok(ids) => threads.extend(ids),
                // A cgroup below has gone meanwhile, or is of a kind that cannot have threads.
                Err(_) if group != self.group => {}
                Err(errno) => return Err(errno),
            }
            groups.extend(below(&group));
        }
        Ok(threads)
    }

    fn masks(&self) -> &dyn Masks {
        &holding::Linux
    }
}

/// The ids in a file that may be long, one a line. An id of another pid namespace is 0, and is skipped.
fn lines(path: &Path) -> Result<Vec<Pid>, Errno> {
    let text = fs::read_to_string(path).map_err(|error| errno(&error))?;
    Ok(text.lines().filter_map(|line| Pid::from_raw(line.parse().ok()?)).collect())
}

/// The child cgroups of this one.
fn below(group: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(group).into_iter().flatten().filter_map(Result::ok);
    let groups = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    groups.take(MOST).map(|entry| entry.path()).collect()
}

fn list(path: &Path) -> Result<CpuList, Errno> {
    read(path)?.parse().map_err(|_| Errno::IO)
}

/// The child cgroups of this one that have exclusive processors: partitions, valid or not, and cgroups with reserved processors.
fn holders(above: &Path) -> Result<Vec<Holder>, Errno> {
    let mut found = Vec::new();
    let entries = fs::read_dir(above).map_err(|error| errno(&error))?;
    let is_group = |entry: &fs::DirEntry| entry.file_type().is_ok_and(|kind| kind.is_dir());
    for entry in entries.filter_map(Result::ok).filter(is_group).take(MOST) {
        let path = entry.path();
        // A cgroup that is removed meanwhile has no processors. Before 6.7 no cgroup has the second file.
        let partition = read(&path.join("cpuset.cpus.partition")).unwrap_or_default();
        let mut cpus = list(&path.join("cpuset.cpus.exclusive")).unwrap_or_default();
        if Standing::parse(&partition).is_some_and(|s| s.kind != CpusetKind::Member) {
            let own = list(&path.join("cpuset.cpus")).unwrap_or_default();
            cpus = cpus.ids().iter().chain(own.ids()).copied().collect();
        }
        if !cpus.is_empty() {
            found.push(Holder { name: entry.file_name().to_string_lossy().into_owned(), cpus });
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tempfile::TempDir;

    use super::*;

    /// Creates folders that look like a cgroup with two children.
    fn groups() -> (TempDir, Linux) {
        let folder = tempfile::tempdir().unwrap();
        let above = folder.path().join("above");
        for (name, cpus, partition) in [("ours", "2-3\n", "root\n"), ("other", "5\n", "member\n")] {
            let group = above.join(name);
            fs::create_dir_all(&group).unwrap();
            fs::write(group.join("cpuset.cpus"), cpus).unwrap();
            fs::write(group.join("cpuset.cpus.effective"), cpus).unwrap();
            fs::write(group.join("cpuset.cpus.partition"), partition).unwrap();
        }
        fs::write(above.join("cpuset.cpus.effective"), "0-1\n").unwrap();
        let linux =
            Linux { sys: folder.path().to_owned(), ..Linux::new(&above.join("ours")).unwrap() };
        (folder, linux)
    }

    fn parsed(text: &str) -> Option<(CpusetKind, Option<String>)> {
        Standing::parse(text).map(|standing| (standing.kind, standing.invalid))
    }

    #[test]
    fn a_partition_state_is_read_in_both_kernels_forms() {
        assert_eq!(parsed("member\n"), Some((CpusetKind::Member, None)));
        assert_eq!(parsed("isolated\n"), Some((CpusetKind::Isolated, None)));
        let reason = Some("Cpu list in cpuset.cpus not exclusive".to_owned());
        let text = "root invalid (Cpu list in cpuset.cpus not exclusive)\n";
        assert_eq!(parsed(text), Some((CpusetKind::Root, reason)));
        assert_eq!(parsed("root invalid\n"), Some((CpusetKind::Root, Some(String::new()))), "6.12");
        for text in ["", "\n", "rooted", "root valid", "invalid", "0"] {
            assert_eq!(parsed(text), None, "{text:?}");
        }
        let long = format!("root invalid ({})", "x".repeat(60_000));
        assert_eq!(parsed(&long).unwrap().1.unwrap().len(), REASON, "no page is passed on");
    }

    proptest! {
        #[test]
        fn any_text_is_a_partition_state_or_refused(text in "(root|member|isolated)?.{0,80}") {
            if let Some(standing) = Standing::parse(&text) {
                prop_assert!(text.trim().starts_with(standing.kind.name()), "{text:?}");
            }
        }
    }

    #[test]
    fn files_are_at_linux_paths_and_a_write_changes_one_file() {
        let (folder, linux) = groups();
        assert_eq!(linux.cpus().unwrap().to_string(), "2-3");
        assert_eq!(linux.effective().unwrap().to_string(), "2-3");
        assert_eq!(linux.above().unwrap().to_string(), "0-1");
        linux.write_cpus(&"2-4".parse().unwrap()).unwrap();
        assert_eq!(linux.cpus().unwrap().to_string(), "2-4");
        let partition = folder.path().join("above/ours/cpuset.cpus.partition");
        fs::write(&partition, "").unwrap();
        linux.write_kind(CpusetKind::Root).unwrap();
        assert_eq!(fs::read_to_string(&partition).unwrap(), "root", "the kernel's word alone");
        assert_eq!(linux.possible(), Err(Errno::NOENT), "nothing is made up");
    }

    #[test]
    fn other_cgroups_with_exclusive_processors_are_named() {
        let (folder, linux) = groups();
        assert_eq!(linux.beside(), Ok(vec![]), "a member shares, and ours is ours");
        let other = folder.path().join("above/other");
        fs::write(other.join("cpuset.cpus.partition"), "root invalid (so)\n").unwrap();
        let holder =
            |cpus: &str| vec![Holder { name: "other".into(), cpus: cpus.parse().unwrap() }];
        assert_eq!(linux.beside(), Ok(holder("5")), "an invalid one may become valid again");
        fs::write(other.join("cpuset.cpus.exclusive"), "6\n").unwrap();
        assert_eq!(linux.beside(), Ok(holder("5-6")));
        fs::write(other.join("cpuset.cpus.partition"), "member\n").unwrap();
        assert_eq!(linux.beside(), Ok(holder("6")), "set aside for it");
        assert_eq!(linux.below(), Ok(vec![]));
    }

    #[test]
    fn a_write_to_either_file_is_noticed() {
        let (folder, linux) = groups();
        let queue = linux.notices().unwrap();
        let mut buffer = [0; 1024];
        assert_eq!(rustix::io::read(&queue, &mut buffer), Err(Errno::AGAIN));
        for name in ["cpuset.cpus", "cpuset.cpus.partition"] {
            fs::write(folder.path().join("above/ours").join(name), "").unwrap();
            assert!(rustix::io::read(&queue, &mut buffer).unwrap() > 0, "{name}");
        }
    }
}
