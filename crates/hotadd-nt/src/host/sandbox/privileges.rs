//! Users, groups, capabilities and limits.

use std::ptr;

use rustix::process::{
    DumpableBehavior, Resource, Rlimit, Signal, getuid, set_parent_process_death_signal, setrlimit,
};
use rustix::thread::{CapabilitySet, CapabilitySets, set_capabilities};

use super::SandboxError;

/// The user and group that own nothing.
const NOBODY: libc::uid_t = 65534;

/// The address space: a driver that leaks is stopped before the machine swaps. Virtual, so far above what is ever used.
const ADDRESS_SPACE: u64 = 4 << 30;
const STACK: u64 = 8 << 20;
const FILES: u64 = 64;
/// A thread for the DPCs of each processor that there can be, and as many of its own as any driver starts.
const THREADS: u64 = hotadd::MAX_PROCESSORS as u64 + 512;

/// Becomes nobody if it is root, and holds no capability and gets none.
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
    // What threads there are already count, unless this process is counted alone.
    let others = if alone { 0 } else { threads_of(getuid().as_raw()) };
    set_limit(Resource::Nproc, others + THREADS)
}

/// The kernel counts threads for each user, and within a user namespace for that alone. So this process gets one of its own, where it may;
/// else what others of its user do counts as its doing. The namespace has no other use: nobody is known in it.
fn be_counted_alone() -> bool {
    // SAFETY: a number alone; and there is one thread.
    unsafe { libc::unshare(libc::CLONE_NEWUSER) == 0 }
}

/// How many threads this user has.
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

/// When memory is short the kernel is to end this process before the one that started it.
pub(super) fn raise_oom_score() {
    const WORSE: i32 = 500;
    const WORST: i32 = 1000;
    let path = "/proc/self/oom_score_adj";
    let inherited = std::fs::read_to_string(path).ok().and_then(|text| text.trim().parse().ok());
    let score = (inherited.unwrap_or(0) + WORSE).min(WORST);
    // Where that is not possible it goes with the largest, as any other.
    let _ = std::fs::write(path, score.to_string());
}

/// The kernel kills this process when the thread that started it ends: whatever has become of its own threads.
pub(super) fn end_with_parent() -> Result<(), SandboxError> {
    set_parent_process_death_signal(Some(Signal::KILL))
        .map_err(|error| SandboxError::new("ending with its parent", error))
}

/// The C library's calls, which are for all threads; the kernel's are for one.
fn become_nobody() -> Result<(), SandboxError> {
    // SAFETY: an empty list is not looked at.
    if unsafe { libc::setgroups(0, ptr::null()) } != 0 {
        return alone("groups");
    }
    // SAFETY: numbers alone.
    if unsafe { libc::setresgid(NOBODY, NOBODY, NOBODY) } != 0 {
        return alone("group");
    }
    // SAFETY: numbers alone.
    if unsafe { libc::setresuid(NOBODY, NOBODY, NOBODY) } != 0 {
        return alone("user");
    }
    // Going back must be impossible.
    // SAFETY: numbers alone.
    if unsafe { libc::setuid(0) } == 0 {
        let error = std::io::Error::other("it is still root");
        return Err(SandboxError::new("user", error));
    }
    Ok(())
}

/// In a user namespace that has nobody but root there is no other user to become. Root of such a namespace without
/// capabilities is whoever made it, as which it may do nothing that this sandbox allows and that user may not.
fn alone(what: &'static str) -> Result<(), SandboxError> {
    let error = SandboxError::last(what);
    let map = std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    let everybody = map.split_whitespace().eq(["0", "0", "4294967295"]);
    if everybody { Err(error) } else { Ok(()) }
}

/// Limits of what it may take.
pub(super) fn limit() -> Result<(), SandboxError> {
    let limits = [
        // A core would be the partition's secrets, in a file.
        (Resource::Core, 0),
        (Resource::Nofile, FILES),
        (Resource::As, ADDRESS_SPACE),
        (Resource::Stack, STACK),
    ];
    for (resource, most) in limits {
        set_limit(resource, most)?;
    }
    // Nobody of the same user may look into it or attach to it.
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)
        .map_err(|error| SandboxError::new("hiding", error))
}

fn set_limit(resource: Resource, most: u64) -> Result<(), SandboxError> {
    // Not more than it has.
    let most = rustix::process::getrlimit(resource).maximum.map_or(most, |old| old.min(most));
    let limit = Rlimit { current: Some(most), maximum: Some(most) };
    setrlimit(resource, limit).map_err(|error| SandboxError::new("limits", error))
}

/// Files grow no more.
pub(super) fn seal() -> Result<(), SandboxError> {
    // Its error output may be a file. It is to go without, not to be killed for it.
    // SAFETY: ignoring a signal runs nothing.
    if unsafe { libc::signal(libc::SIGXFSZ, libc::SIG_IGN) } == libc::SIG_ERR {
        return Err(SandboxError::last("signals"));
    }
    // Not before: a native driver is loaded from a file in memory, which is one like others.
    set_limit(Resource::Fsize, 0)
}
