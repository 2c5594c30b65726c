//! Users, groups, capabilities and limits.

use std::ptr;

use rustix::process::{
    DumpableBehavior, Resource, Rlimit, Signal, getuid, set_parent_process_death_signal, setrlimit,
};
use rustix::thread::{CapabilitySet, CapabilitySets, set_capabilities};

use super::SandboxError;

/// The user and group that own nothing.
const NOBODY: libc::uid_t = 65534;

/// The address-space limit: a leaking driver is stopped before the machine swaps. It is virtual, so it is far above
/// actual use.
const ADDRESS_SPACE: u64 = 8 << 30;
const STACK: u64 = 8 << 20;
const FILES: u64 = 64;
/// A thread for the DPCs of each possible processor, and 512 more for the driver's own threads.
const THREADS: u64 = 2 * hotadd::MAX_PROCESSORS as u64 + 512;

/// Changes to the user nobody if it is root, and gives up all capabilities permanently.
pub(super) fn drop_all() -> Result<(), SandboxError> {
    rustix::thread::set_no_new_privs(true)
        .map_err(|error| SandboxError::new("no new privileges", error))?;
    if getuid().is_root() {
        become_nobody()?;
    }
    let alone = be_counted_alone();
    rustix::thread::clear_ambient_capability_set()
        .map_err(|error| SandboxError::new("ambient capabilities", error))?;
    let none = CapabilitySet::empty();
    let none = CapabilitySets { effective: none, permitted: none, inheritable: none };
    set_capabilities(None, none).map_err(|error| SandboxError::new("capabilities", error))?;
    // Existing threads count too, unless this process is counted alone.
    let others = if alone { 0 } else { threads_of(getuid().as_raw()) };
    set_limit(Resource::Nproc, others + THREADS)
}

/// The kernel counts threads for each user, and separately within a user namespace. So this process creates its own
/// namespace where it may. Otherwise the threads of the same user's other processes count against this one. The
/// namespace has no other purpose: it maps no user.
fn be_counted_alone() -> bool {
    // SAFETY: the argument is a number, and there is one thread.
    unsafe { libc::unshare(libc::CLONE_NEWUSER) == 0 }
}

/// The number of threads of this user.
fn threads_of(uid: u32) -> u64 {
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let statuses = processes.filter_map(|entry| {
        entry.file_name().to_str()?.parse::<u32>().ok()?;
        std::fs::read_to_string(entry.path().join("status")).ok()
    });
    let threads = |status: String| {
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            line.split_whitespace().next()?.parse::<u64>().ok()
        };
        field("Uid:").filter(|real| *real == u64::from(uid)).and_then(|_| field("Threads:"))
    };
    statuses.filter_map(threads).sum()
}

/// Makes the kernel end this process before its parent when memory is short.
pub(super) fn raise_oom_score() {
    const WORSE: i32 = 500;
    const WORST: i32 = 1000;
    let path = "/proc/self/oom_score_adj";
    let inherited = std::fs::read_to_string(path).ok().and_then(|text| text.trim().parse().ok());
    let score = (inherited.unwrap_or(0) + WORSE).min(WORST);
    // If that is not possible, the kernel's usual choice applies: the largest process.
    let _ = std::fs::write(path, score.to_string());
}

/// The kernel kills this process when the thread that started it ends, whatever the state of its own threads.
pub(super) fn end_with_parent() -> Result<(), SandboxError> {
    set_parent_process_death_signal(Some(Signal::KILL))
        .map_err(|error| SandboxError::new("ending with its parent", error))
}

/// Uses the C library's calls, which apply to all threads; the kernel's apply to one.
fn become_nobody() -> Result<(), SandboxError> {
    // SAFETY: an empty list is not read.
    if unsafe { libc::setgroups(0, ptr::null()) } != 0 {
        return alone("groups");
    }
    // SAFETY: the arguments are numbers.
    if unsafe { libc::setresgid(NOBODY, NOBODY, NOBODY) } != 0 {
        return alone("group");
    }
    // SAFETY: the arguments are numbers.
    if unsafe { libc::setresuid(NOBODY, NOBODY, NOBODY) } != 0 {
        return alone("user");
    }
    // Returning to root must be impossible.
    // SAFETY: the argument is a number.
    if unsafe { libc::setuid(0) } == 0 {
        let error = std::io::Error::other("the process is still root");
        return Err(SandboxError::new("user", error));
    }
    Ok(())
}

/// Accepts the failure in a user namespace that maps only root, where there is no other user to change to. Root of
/// such a namespace without capabilities is the user who created it, and can do nothing that this sandbox allows and
/// that this user cannot.
fn alone(what: &'static str) -> Result<(), SandboxError> {
    let error = SandboxError::last(what);
    let map = std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    let everybody = map.split_whitespace().eq(["0", "0", "4294967295"]);
    if everybody { Err(error) } else { Ok(()) }
}

/// Limits the resources of the process.
pub(super) fn limit() -> Result<(), SandboxError> {
    let limits = [
        // A core dump would write the partition's secrets to a file.
        (Resource::Core, 0),
        (Resource::Nofile, FILES),
        (Resource::As, ADDRESS_SPACE),
        (Resource::Stack, STACK),
    ];
    for (resource, most) in limits {
        set_limit(resource, most)?;
    }
    // Prevents other processes of the same user from reading or attaching to it.
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)
        .map_err(|error| SandboxError::new("hiding", error))
}

fn set_limit(resource: Resource, most: u64) -> Result<(), SandboxError> {
    // Not above the present limit.
    let most = rustix::process::getrlimit(resource).maximum.map_or(most, |old| old.min(most));
    let limit = Rlimit { current: Some(most), maximum: Some(most) };
    setrlimit(resource, limit).map_err(|error| SandboxError::new("limits", error))
}

/// Forbids that files grow.
pub(super) fn seal() -> Result<(), SandboxError> {
    // The error output may be a file. Writing to it then fails, but must not kill the process.
    // SAFETY: ignoring a signal runs no code.
    if unsafe { libc::signal(libc::SIGXFSZ, libc::SIG_IGN) } == libc::SIG_ERR {
        return Err(SandboxError::last("signals"));
    }
    // This comes last: a native driver is loaded from a file in memory, to which the limit applies too.
    set_limit(Resource::Fsize, 0)
}
