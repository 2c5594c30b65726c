//! [`Found`]: the socket of the requested partition, and whether the process that listens there is trusted.
//!
//! A name is looked up in two folders. The socket there is trusted only if no other user could have put it there, and if the
//! process that listens is this user's or root's. A path was chosen by the caller, and may belong to any user; then its owner is
//! reported.

use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use hotadd::ownership;
use hotadd_wire as wire;

use super::failure::{Failure, several};
use super::patience::Process;

/// A socket at which a partition should listen.
pub(super) struct Found {
    pub(super) path: PathBuf,
    /// The socket was given as a path, not looked up.
    chosen: bool,
    warn: Warn,
}

/// Tells the user which entry was skipped, and which user's partition it is.
pub(crate) type Warn = fn(String);

impl Found {
    /// The requested socket or, if none is named, the only one that exists.
    pub(super) fn of(partition: Option<&str>, warn: Warn) -> Result<Self, Failure> {
        let path = match partition {
            Some(path) if path.contains('/') => {
                return Ok(Self { path: PathBuf::from(path), chosen: true, warn });
            }
            Some(name) => named(name, warn)?,
            None => the_only(warn)?,
        };
        Ok(Self { path, chosen: false, warn })
    }

    /// The names of all partitions that can be looked up: this user's, then the machine's.
    pub(super) fn names(warn: Warn) -> Result<Vec<String>, Failure> {
        let mut names: Vec<String> = Vec::new();
        let mut passed_over = None;
        for path in folders().iter().flat_map(|folder| sockets(folder)) {
            if let Err(why) = believed(&path) {
                passed_over = passed_over.or(Some(why));
                continue;
            }
            let name = name_of(&path);
            // A user's partition hides the machine's of the same name, as with -p.
            if !names.contains(&name) {
                names.push(name);
            }
        }
        match passed_over {
            Some(why) if names.is_empty() => return Err(why),
            Some(why) => warn(format!("skipped: {why}")),
            None if names.is_empty() => return Err(none_runs()),
            None => {}
        }
        Ok(names)
    }

    /// Asks the kernel which process listens, before anything is sent.
    pub(super) fn believe(&self, connection: &impl AsFd) -> Result<Process, Failure> {
        let (uid, pid) = ownership::peer(connection).map_err(|error| {
            Failure::Broken(format!("cannot determine which process listens: {error}"))
        })?;
        let process = Process { place: self.path.clone(), pid };
        if ownership::is_believed(uid) {
            return Ok(process);
        }
        let (path, who) = (self.path.display(), of(uid, pid));
        if self.chosen {
            (self.warn)(format!("the partition at {path} belongs to {who}"));
            return Ok(process);
        }
        Err(Failure::NoPartition(format!(
            "{who} listens at {path}, which is neither this user nor root; to use that partition anyway, \
             say -p {path}"
        )))
    }

    /// Why nothing listens at the path.
    pub(super) fn absent(&self, error: &io::Error) -> Failure {
        absent(&self.path, error)
    }
}

/// Describes a process of another user, as far as it is known.
fn of(uid: u32, pid: i32) -> String {
    match pid {
        0 => format!("a process of user {uid}"),
        pid => format!("process {pid} of user {uid}"),
    }
}

fn absent(path: &Path, error: &io::Error) -> Failure {
    let (place, name) = (path.display(), path.file_name().unwrap_or_default().display());
    let own_folders = folders();
    let starts = match own_folders.iter().position(|folder| path.parent() == Some(folder)) {
        Some(0) => format!("`hotadd run --name {name}` starts one"),
        Some(_) => "`hotadd daemon` starts the machine's partition".to_owned(),
        None => "`hotadd status` without -p finds running partitions".to_owned(),
    };
    Failure::NoPartition(match error.kind() {
        io::ErrorKind::NotFound => {
            format!("there is no running partition {name} (nothing is at {place}); {starts}")
        }
        // The kernel reports the same error for a file that is not a socket.
        io::ErrorKind::ConnectionRefused if !is_socket(path) => {
            format!("there is no partition at {place}, which is not a socket; {starts}")
        }
        io::ErrorKind::ConnectionRefused => {
            format!("partition {name} has ended: no process listens at {place}; {starts}")
        }
        io::ErrorKind::PermissionDenied => {
            let why = wire::denied(path);
            format!("partition {name} cannot be reached at {place}: {why}")
        }
        io::ErrorKind::WouldBlock => format!(
            "partition {name} at {place} accepts no connection: its queue of pending connections is full; \
             is its process stopped?"
        ),
        _ => format!("partition {name} cannot be reached at {place}: {error}"),
    })
}

fn is_socket(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|found| found.file_type().is_socket())
}

/// The folders of partitions: this user's, and the machine's.
fn folders() -> [PathBuf; 2] {
    [wire::runtime_dir(), PathBuf::from(hotadd_daemon::RUN)]
}

/// The error for a socket that was found by its name and is not trusted.
fn disbelief(path: &Path, why: &ownership::Untrusted) -> Failure {
    Failure::NoPartition(format!(
        "the socket {} is not trusted, because another user could have put it there: {why}; to use it \
         anyway, say -p {}",
        path.display(),
        path.display()
    ))
}

/// The socket of this name: this user's, otherwise the machine's.
fn named(name: &str, warn: Warn) -> Result<PathBuf, Failure> {
    let [own, system] = folders().map(|folder| folder.join(name));
    let there = |path: &Path| fs::symlink_metadata(path).is_ok();
    if !there(&own) && !there(&system) {
        // No checks for a socket that does not exist.
        return Ok(own);
    }
    let ours = there(&own).then(|| believed(&own));
    match ours {
        Some(Ok(())) => Ok(own),
        Some(Err(why)) if !there(&system) => Err(why),
        passed_over => {
            if let Some(Err(why)) = passed_over {
                warn(format!("skipped: {why}"));
            }
            believed(&system).map(|()| system)
        }
    }
}

/// Checks that no other user can have put a socket there. A file that is not a socket passes: connecting reports it.
fn believed(path: &Path) -> Result<(), Failure> {
    match ownership::socket(path) {
        Ok(()) => Ok(()),
        Err(ownership::Untrusted::Kind { path: what, .. })
            if what == path && !path.is_symlink() =>
        {
            Ok(())
        }
        Err(why) => Err(disbelief(path, &why)),
    }
}

fn sockets(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let paths = entries.map(|entry| entry.path());
    let mut paths: Vec<_> = paths.filter(|path| is_socket(path)).collect();
    paths.sort();
    paths
}

/// The partition to talk to when none is named: one of this user's, otherwise the machine's.
fn the_only(warn: Warn) -> Result<PathBuf, Failure> {
    let (ours, machines) = {
        let [own, system] = folders();
        (sockets(&own), sockets(&system))
    };
    let mut passed_over = None;
    for paths in [ours, machines] {
        let (believed, not): (Vec<_>, Vec<_>) =
            paths.into_iter().map(|path| believed(&path).map(|()| path)).partition(Result::is_ok);
        passed_over = passed_over.or_else(|| not.into_iter().find_map(Result::err));
        let believed: Vec<PathBuf> = believed.into_iter().flatten().collect();
        match believed.as_slice() {
            [] => {}
            [one] => {
                if let Some(why) = passed_over {
                    warn(format!("skipped: {why}"));
                }
                return Ok(one.clone());
            }
            many => {
                let names: Vec<_> = many.iter().map(|path| name_of(path)).collect();
                return Err(several(&names.iter().map(String::as_str).collect::<Vec<_>>()));
            }
        }
    }
    Err(passed_over.unwrap_or_else(none_runs))
}

fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or_default().display().to_string()
}

fn none_runs() -> Failure {
    let [own, system] = folders();
    Failure::NoPartition(format!(
        "no partition is running (there is no socket in {} or {}); `hotadd run --name NAME` starts \
         one, `hotadd daemon` starts the machine's",
        own.display(),
        system.display()
    ))
}
