//! [`Quotas`]: the CPU quotas of this process's cgroup and of all cgroups above it, of both versions, read from their files.

use std::path::{Path, PathBuf};

use rustix::io::Errno;

use crate::cgroups::{self, Hierarchy, Shown};
use crate::hardware::file;
use crate::parallelism::Quota;
use crate::text;

/// The number of cgroups above each other that are read. Kubernetes and systemd use about ten.
pub(super) const DEEPEST: usize = 128;

/// The quotas that were found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    /// The lowest quota; the innermost one of equal quotas.
    pub(super) lowest: Option<Quota>,
    /// What could not be read, and why: a sentence without its full stop for each. It counts as no quota.
    pub(super) unknown: Vec<String>,
}

/// Where this process's quotas are.
#[derive(Debug)]
pub(super) struct Quotas {
    /// `/`, but for tests.
    root: PathBuf,
    /// The cgroups as they were when the folders were looked up.
    cgroups: Vec<u8>,
    groups: Vec<Group>,
    unknown: Vec<String>,
}

/// A cgroup that may have a quota.
#[derive(Debug)]
struct Group {
    folder: PathBuf,
    hierarchy: Hierarchy,
}

const CPU: Hierarchy = Hierarchy::V1("cpu");

impl Group {
    /// The file whose writing changes the quota.
    fn file(&self) -> PathBuf {
        self.folder.join(if self.hierarchy == CPU { "cpu.cfs_quota_us" } else { "cpu.max" })
    }

    /// The quota in time and period, in microseconds. `None` if there is none.
    fn read(&self) -> Result<Option<(u64, u64)>, String> {
        let file = self.file();
        let Some(text) = read(&file)? else { return Ok(None) };
        let parsed = match self.hierarchy {
            Hierarchy::V2 => parse_max(&text),
            Hierarchy::V1(_) => match text.trim() {
                "-1" => Some(None),
                time => {
                    let period = read(&self.folder.join("cpu.cfs_period_us"))?;
                    period.and_then(|period| pair(time, period.trim())).map(Some)
                }
            },
        };
        parsed.ok_or_else(|| format!("{} is not a quota: {:?}", shown(&file), text::cut(&text, 40)))
    }
}

impl Quotas {
    pub(super) const fn new(root: PathBuf) -> Self {
        Self { root, cgroups: Vec::new(), groups: Vec::new(), unknown: Vec::new() }
    }

    /// Reads all quotas again. The mounts are read only if the process has moved to another cgroup.
    pub(super) fn read(&mut self) -> Found {
        match file::read_own_cgroups(&self.root) {
            Ok(cgroups) if cgroups == self.cgroups => {}
            Ok(cgroups) => {
                self.look_up(&cgroups);
                self.cgroups = cgroups;
            }
            // A system without /proc: there is nothing that could be read.
            Err((path, errno)) => {
                (self.cgroups, self.groups) = (Vec::new(), Vec::new());
                self.unknown = vec![unreadable(Path::new(path), errno)];
            }
        }
        let mut found = Found { lowest: None, unknown: self.unknown.clone() };
        for group in &self.groups {
            match group.read() {
                Ok(Some((time, period))) => {
                    let quota = Quota { cgroup: group.folder.clone(), time, period };
                    let lower = |lowest: &Quota| quota.is_lower_than(lowest);
                    if found.lowest.as_ref().is_none_or(lower) {
                        found.lowest = Some(quota);
                    }
                }
                Ok(None) => {}
                Err(reason) => found.unknown.push(reason),
            }
        }
        found
    }

    /// The files whose writing changes a quota.
    pub(super) fn files(&self) -> impl Iterator<Item = PathBuf> {
        self.groups.iter().map(Group::file)
    }

    /// Finds the folders of the cgroups.
    fn look_up(&mut self, cgroups: &[u8]) {
        (self.groups, self.unknown) = (Vec::new(), Vec::new());
        let mounts = match file::read_mounts(&self.root) {
            Ok(mounts) => mounts,
            Err((path, errno)) => return self.unknown.push(unreadable(Path::new(path), errno)),
        };
        // A controller belongs to one version at a time.
        let has = |hierarchy: &Hierarchy| cgroups::own_path(cgroups, *hierarchy).is_some();
        // A kernel that has neither has no quotas.
        let Some(hierarchy) = [CPU, Hierarchy::V2].into_iter().find(has) else { return };
        match cgroups::shown(&mounts, cgroups, hierarchy) {
            Ok(all) => self.add(hierarchy, &all),
            Err(reason) => self.unknown.push(reason),
        }
    }

    /// Adds the cgroups that the first usable mount shows.
    fn add(&mut self, hierarchy: Hierarchy, all: &[Shown]) {
        let of = |shown: &Shown| {
            shown.folders().map(|folder| within(&self.root, folder)).collect::<Vec<_>>()
        };
        // A mount that another one hides does not have the file, which every cgroup has.
        let is_there = |folders: &Vec<PathBuf>| {
            folders.first().is_some_and(|own| own.join("cgroup.procs").exists())
        };
        let Some(mut folders) = all.iter().map(of).find(is_there) else {
            let own = all.first().map(|first| shown(&first.own)).unwrap_or_default();
            return self.unknown.push(format!("{own} does not show this process's cgroup"));
        };
        if folders.len() > DEEPEST {
            folders.truncate(DEEPEST);
            let reason =
                format!("only the innermost {DEEPEST} cgroups of this process are considered");
            self.unknown.push(reason);
        }
        self.groups.extend(folders.into_iter().map(|folder| Group { folder, hierarchy }));
    }
}

/// An absolute path below another root.
fn within(root: &Path, path: &Path) -> PathBuf {
    root.join(path.strip_prefix("/").unwrap_or(path))
}

/// The text of a file; `None` if there is no such file, as in the root cgroup and without the controller.
fn read(path: &Path) -> Result<Option<String>, String> {
    match file::read(path) {
        Ok(text) => Ok(Some(text)),
        // ENODEV: the cgroup was removed.
        Err(Errno::NOENT | Errno::NODEV) => Ok(None),
        Err(errno) => Err(unreadable(path, errno)),
    }
}

fn unreadable(path: &Path, errno: Errno) -> String {
    let errno = hotadd_core::Errno::from_raw(errno.raw_os_error());
    format!("{} cannot be read: {errno}", shown(path))
}

fn shown(path: &Path) -> String {
    text::cut(&path.display().to_string(), 200)
}

/// The contents of `cpu.max`: `max 100000` or `150000 100000`. The outer `None` if it is neither.
fn parse_max(text: &str) -> Option<Option<(u64, u64)>> {
    let mut words = text.split_whitespace();
    let quota = match (words.next()?, words.next()?) {
        ("max", period) => number(period).map(|_| None)?,
        (time, period) => Some(pair(time, period)?),
    };
    words.next().is_none().then_some(quota)
}

/// Time and period. The kernel allows neither to be 0.
fn pair(time: &str, period: &str) -> Option<(u64, u64)> {
    let (time, period) = (number(time)?, number(period)?);
    (time > 0 && period > 0).then_some((time, period))
}

/// Digits only: the kernel writes no sign.
fn number(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}
