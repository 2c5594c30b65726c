//! [`Group`]: a cgroup that was found or created, and the removal of a created one.

use std::fs::{self, File};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use rustix::fs::{FlockOperation, Mode, OFlags, flock};
use rustix::io::Errno;

use super::{CpusetError, raw};
use crate::hardware::file::{errno, read, write};

/// The file system type of cgroups, version 2.
const MAGIC: u64 = 0x6367_7270;

/// The maximum number of processes that an error names.
const NAMED: usize = 3;

/// How often a lock is tried that another hotadd process holds for a moment, and the pause between tries.
const TRIES: u32 = 100;
const PAUSE: Duration = Duration::from_millis(1);

/// The maximum number of children that a sweep checks.
const MOST: usize = 4096;

/// A cgroup with the cpuset controller.
#[derive(Debug)]
pub(super) struct Group {
    path: PathBuf,
    made: Option<Made>,
}

/// What must be undone.
#[derive(Debug)]
struct Made {
    /// Locked as long as this lives, which tells other processes that the cgroup is in use.
    _lock: File,
    parent: PathBuf,
    /// The controller was enabled for this cgroup.
    enabled: bool,
}

impl Group {
    /// Opens an existing cgroup.
    pub(super) fn find(path: &Path) -> Result<Self, CpusetError> {
        let path = cgroup(path)?;
        if let Err(error) = fs::metadata(path.join("cpuset.cpus")) {
            let why = match errno(&error) {
                Errno::NOENT if !path.join("cgroup.type").exists() => {
                    "it is the root cgroup, which has all processors and cannot be confined"
                        .to_owned()
                }
                Errno::NOENT => "the cpuset controller is not enabled for it; write +cpuset to \
                 cgroup.subtree_control of its parent"
                    .to_owned(),
                other => raw(other).to_string(),
            };
            return Err(CpusetError::Unsuitable { path, why });
        }
        Ok(Self { path, made: None })
    }

    /// Creates a cgroup.
    pub(super) fn make(parent: &Path, name: &str) -> Result<Self, CpusetError> {
        let parent = cgroup(parent)?;
        let unsuitable = |why| CpusetError::Unsuitable { path: parent.clone(), why };
        if !is_name(name) {
            let why = format!(
                "{name:?} is not a valid cgroup name: a name has 1 to 128 characters of A-Z a-z 0-9 . _ - \
                 and does not start with a dot"
            );
            return Err(unsuitable(why));
        }
        if read(&parent.join("cgroup.type")).unwrap_or_default().trim() == "domain invalid" {
            let why = "it is invalid, because an ancestor has processes; write threaded to its cgroup.type";
            return Err(unsuitable(why.to_owned()));
        }
        // The lock is held until there is a child, so that no other hotadd process disables the controller.
        let parents = lock_soon(&parent);
        let enabled = enable(&parent)?;
        let path = parent.join(name);
        let made = make(&path).map_err(|errno| {
            let doing = format!("make the cgroup {}", path.display());
            CpusetError::Kernel { doing, errno: raw(errno) }
        });
        let lock = made.inspect_err(|_| {
            if enabled {
                disable(&parent);
            }
        })?;
        let made = Made { _lock: lock, parent: parent.clone(), enabled };
        let group = Self { path, made: Some(made) };
        let threaded = group.thread_if_needed();
        // Dropping the group removes it, and locks the parent for that.
        drop(parents);
        threaded.map(|()| group)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// In a cgroup that has processes itself, a child for processes is invalid. A child for threads, which can contain processes as
    /// well, is valid.
    fn thread_if_needed(&self) -> Result<(), CpusetError> {
        let kind = read(&self.path.join("cgroup.type")).unwrap_or_default();
        if kind.trim() != "domain invalid" {
            return Ok(());
        }
        write(&self.path.join("cgroup.type"), b"threaded").map_err(|errno| {
            let path = self.path.parent().unwrap_or(&self.path).to_owned();
            let (way, number) = (in_the_way(&path), raw(errno));
            let why = format!(
                "a cgroup {way} cannot have children: {number}; move the processes into a child cgroup"
            );
            CpusetError::Unsuitable { path, why }
        })
    }

    /// Removes the cgroup, if it was created. A cgroup that is not empty stays.
    pub(super) fn remove(&mut self) -> Result<(), CpusetError> {
        let Some(made) = &self.made else { return Ok(()) };
        let parents = lock_soon(&made.parent);
        match fs::remove_dir(&self.path).map_err(|error| errno(&error)) {
            // Another process has removed it first.
            Ok(()) | Err(Errno::NOENT) => {}
            Err(errno) => {
                let what = in_the_way(&self.path);
                let doing = format!("remove the cgroup {}, {what}", self.path.display());
                return Err(CpusetError::Kernel { doing, errno: raw(errno) });
            }
        }
        if made.enabled && parents.is_some() {
            disable(&made.parent);
        }
        self.made = None;
        Ok(())
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // A drop cannot report an error. A caller that needs the result calls `remove` before.
        let _ = self.remove();
    }
}

/// Removes the cgroups whose names begin with `prefix`, that no process holds, and that are empty. Returns
/// their paths.
pub(super) fn sweep(parent: &Path, prefix: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(parent).into_iter().flatten().filter_map(Result::ok);
    let ours = entries
        .take(MOST)
        .filter(|e| e.file_name().as_encoded_bytes().starts_with(prefix.as_bytes()));
    let mut removed = Vec::new();
    for path in ours.map(|entry| entry.path()) {
        // The creator holds a lock on it. If the cgroup is removed before it is locked, the creator notices,
        // and creates it again.
        if lock(&path).is_some() && fs::remove_dir(&path).is_ok() {
            removed.push(path);
        }
    }
    removed
}

/// The real path, if it is a cgroup of version 2.
fn cgroup(path: &Path) -> Result<PathBuf, CpusetError> {
    let unsuitable = |why: String| CpusetError::Unsuitable { path: path.to_owned(), why };
    let real =
        fs::canonicalize(path).map_err(|error| unsuitable(raw(errno(&error)).to_string()))?;
    let system = rustix::fs::statfs(&real).map_err(|errno| unsuitable(raw(errno).to_string()))?;
    if u64::try_from(system.f_type).ok() != Some(MAGIC) || !real.is_dir() {
        return Err(unsuitable("it is not a cgroup of version 2".to_owned()));
    }
    Ok(real)
}

fn is_name(name: &str) -> bool {
    let good = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    (1..=128).contains(&name.len()) && !name.starts_with('.') && name.bytes().all(good)
}

/// Enables the controller for the children of this cgroup. Returns whether it was disabled before.
fn enable(parent: &Path) -> Result<bool, CpusetError> {
    let unsuitable = |why| CpusetError::Unsuitable { path: parent.to_owned(), why };
    if has(&parent.join("cgroup.subtree_control")) {
        return Ok(false);
    }
    if !has(&parent.join("cgroup.controllers")) {
        let why = "the cpuset controller is not enabled for it; write +cpuset to cgroup.subtree_control of \
         its parent, or have systemd delegate it (Delegate=cpuset)";
        return Err(unsuitable(why.to_owned()));
    }
    write(&parent.join("cgroup.subtree_control"), b"+cpuset").map_err(|errno| {
        let (number, way) = (raw(errno), in_the_way(parent));
        unsuitable(match errno {
            Errno::BUSY | Errno::OPNOTSUPP => {
                format!("the cpuset controller cannot be enabled in it, {way}: {number}")
            }
            Errno::ACCESS | Errno::PERM | Errno::ROFS => {
                format!(
                    "the cpuset controller cannot be enabled in it, because it is not delegated to \
                 this user: {number}"
                )
            }
            _ => format!("the cpuset controller cannot be enabled in it: {number}"),
        })
    })?;
    Ok(true)
}

/// Disables the controller if no other cgroup can be using it.
fn disable(parent: &Path) {
    if !has_groups(parent) {
        // A failure here has no consequences.
        let _ = write(&parent.join("cgroup.subtree_control"), b"-cpuset");
    }
}

fn has_groups(path: &Path) -> bool {
    let mut entries = fs::read_dir(path).into_iter().flatten().filter_map(Result::ok);
    entries.any(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
}

fn has(file: &Path) -> bool {
    read(file).is_ok_and(|text| text.split_whitespace().any(|word| word == "cpuset"))
}

/// Creates and locks the cgroup.
fn make(path: &Path) -> Result<File, Errno> {
    for _ in 0..3 {
        rustix::fs::mkdir(path, Mode::from_raw_mode(0o755))?;
        match lock(path) {
            // A sweep may have removed the cgroup meanwhile. Then the locked folder is not the one at the path.
            Some(locked) if is_same(&locked, path) => return Ok(locked),
            _ => {}
        }
    }
    Err(Errno::AGAIN)
}

fn is_same(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let ids = |m: &fs::Metadata| (m.dev(), m.ino());
    matches!((file.metadata(), fs::metadata(path)), (Ok(a), Ok(b)) if ids(&a) == ids(&b))
}

/// Locks a folder, unless another process has locked it. Never blocks: any process that may read the folder
/// can lock it.
fn lock(folder: &Path) -> Option<File> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let folder = rustix::fs::open(folder, flags, Mode::empty()).ok()?;
    flock(&folder, FlockOperation::NonBlockingLockExclusive).ok()?;
    Some(File::from(folder))
}

/// Locks a cgroup in which other hotadd processes create cgroups too, which takes a moment. A process that holds the lock for
/// longer is not hotadd. Then no hotadd process disables the controller, and nothing needs protection.
fn lock_soon(folder: &Path) -> Option<File> {
    (0..TRIES).find_map(|nth| {
        if nth > 0 {
            thread::sleep(PAUSE);
        }
        lock(folder)
    })
}

/// The processes in a cgroup, as part of a sentence.
fn in_the_way(path: &Path) -> String {
    let text = read(&path.join("cgroup.procs")).or_else(|_| read(&path.join("cgroup.threads")));
    let text = text.unwrap_or_default();
    let pids: Vec<&str> = text.lines().take(NAMED).collect();
    if pids.is_empty() {
        let what =
            if has_groups(path) { "there are other cgroups" } else { "no process was found" };
        return format!("in which {what}");
    }
    let more = if text.lines().count() > NAMED { " and others" } else { "" };
    let named = pids.iter().map(|pid| {
        let comm = read(Path::new(&format!("/proc/{pid}/comm"))).unwrap_or_default();
        let comm = crate::text::cut(comm.trim(), 16);
        format!("{pid} ({comm})")
    });
    format!("in which there are processes: {}{more}", named.collect::<Vec<_>>().join(", "))
}

/// Opens the file by which processes enter the cgroup.
pub(super) fn open_procs(group: &Path) -> Result<OwnedFd, CpusetError> {
    let path = group.join("cgroup.procs");
    rustix::fs::open(&path, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty()).map_err(|errno| {
        let doing = format!("move processes into {}", group.display());
        CpusetError::Kernel { doing, errno: raw(errno) }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sweep_removes_only_empty_abandoned_cgroups() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for name in ["run.1", "run.2", "run.3", "run.3/in", "other.1"] {
            fs::create_dir(at(name)).unwrap();
        }
        let held = make(&at("run.4")).unwrap();
        let _also = lock(&at("run.1")).unwrap();
        assert_eq!(sweep(folder.path(), "run."), [at("run.2")]);
        assert!(at("run.4").exists() && at("run.3").exists() && at("other.1").exists());
        drop(held);
        assert_eq!(sweep(folder.path(), "run."), [at("run.4")], "its maker is gone");
        assert_eq!(sweep(&at("none"), "run."), Vec::<PathBuf>::new());
    }

    #[test]
    fn an_existing_cgroup_is_not_treated_as_created() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(make(folder.path()).unwrap_err(), Errno::EXIST);
    }

    #[test]
    fn a_name_that_is_a_path_is_refused() {
        for name in ["hotadd-run.1", "a", "A_b", &"x".repeat(128)] {
            assert!(is_name(name), "{name}");
        }
        for name in ["", ".", "..", ".a", "a/b", "/", "a b", "a\n", "ü", &"x".repeat(129)] {
            assert!(!is_name(name), "{name:?}");
        }
    }

    #[test]
    fn processes_that_prevent_removal_are_named_up_to_a_limit() {
        let folder = tempfile::tempdir().unwrap();
        let said = |procs: &str| {
            fs::write(folder.path().join("cgroup.procs"), procs).unwrap();
            in_the_way(folder.path())
        };
        assert_eq!(said(""), "in which no process was found");
        let us = std::process::id();
        let one = format!("in which there are processes: {us} (");
        assert!(said(&format!("{us}\n")).starts_with(&one), "{}", said(&format!("{us}\n")));
        assert!(said("1\n2\n3\n4\n").ends_with(" and others"), "{}", said("1\n2\n3\n4\n"));
        fs::create_dir(folder.path().join("in")).unwrap();
        assert_eq!(said(""), "in which there are other cgroups");
    }
}
