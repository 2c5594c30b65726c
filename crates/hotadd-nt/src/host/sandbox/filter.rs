//! The allowed system calls.

use std::collections::BTreeMap;
use std::io;

use libc::c_long;
use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition,
    SeccompFilter, SeccompRule, TargetArch,
};

use super::SandboxError;

/// The system calls that are allowed with any arguments.
const FREE: &[c_long] = &[
    // Memory.
    libc::SYS_brk,
    libc::SYS_madvise,
    libc::SYS_mremap,
    libc::SYS_munmap,
    // Threads and synchronisation. Another filter answers clone3.
    libc::SYS_clone3,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_futex,
    libc::SYS_getcpu,
    libc::SYS_getpid,
    libc::SYS_gettid,
    libc::SYS_membarrier,
    libc::SYS_rseq,
    libc::SYS_sched_getaffinity,
    libc::SYS_sched_getparam,
    libc::SYS_sched_getscheduler,
    libc::SYS_sched_yield,
    libc::SYS_set_robust_list,
    libc::SYS_set_tid_address,
    // Signals to its own process.
    libc::SYS_alarm,
    libc::SYS_pause,
    libc::SYS_restart_syscall,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigpending,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_rt_sigtimedwait,
    libc::SYS_sigaltstack,
    // Time.
    libc::SYS_clock_getres,
    libc::SYS_clock_gettime,
    libc::SYS_clock_nanosleep,
    libc::SYS_gettimeofday,
    libc::SYS_nanosleep,
    libc::SYS_time,
    libc::SYS_timer_create,
    libc::SYS_timer_delete,
    libc::SYS_timer_getoverrun,
    libc::SYS_timer_gettime,
    libc::SYS_timer_settime,
    libc::SYS_timerfd_create,
    libc::SYS_timerfd_gettime,
    libc::SYS_timerfd_settime,
    // The descriptors that it has, and what wakes the thread that waits for its connection.
    libc::SYS_close,
    libc::SYS_eventfd2,
    libc::SYS_fstat,
    libc::SYS_getpeername,
    libc::SYS_getsockname,
    libc::SYS_getsockopt,
    libc::SYS_poll,
    libc::SYS_ppoll,
    libc::SYS_read,
    libc::SYS_readv,
    libc::SYS_recvfrom,
    libc::SYS_recvmsg,
    libc::SYS_sendmsg,
    libc::SYS_sendto,
    libc::SYS_shutdown,
    libc::SYS_write,
    libc::SYS_writev,
    // Its own ids, and random numbers.
    libc::SYS_getegid,
    libc::SYS_geteuid,
    libc::SYS_getgid,
    libc::SYS_getrandom,
    libc::SYS_getuid,
    libc::SYS_sysinfo,
    libc::SYS_uname,
];

/// A condition on an argument: the argument's index, the bits that are compared, and their required value.
type Demand = (u8, u64, u64);

const ALL: u64 = u64::MAX;
const PROT_EXEC: u64 = libc::PROT_EXEC as u64;
const CLONE_THREAD: u64 = libc::CLONE_THREAD as u64;
const ARCH_SET_GS: u64 = 0x1001;
const PR_SET_VMA: u64 = 0x5356_4d41;
const PR_GET_AUXV: u64 = 0x4155_5856;

/// The system calls that are allowed with these arguments. Each line is one allowed form of a call.
fn bound() -> Vec<(c_long, Vec<Demand>)> {
    let own = u64::from(std::process::id());
    let mut all = vec![
        // No new executable memory.
        (libc::SYS_mmap, vec![(2, PROT_EXEC, 0)]),
        (libc::SYS_mprotect, vec![(2, PROT_EXEC, 0)]),
        // Threads, but no processes. The C library uses this call when clone3 is unavailable.
        (libc::SYS_clone, vec![(0, CLONE_THREAD, CLONE_THREAD)]),
        (libc::SYS_sched_setaffinity, vec![(0, u32::MAX.into(), 0)]),
        (libc::SYS_kill, vec![(0, u32::MAX.into(), own)]),
        (libc::SYS_tgkill, vec![(0, u32::MAX.into(), own)]),
        (libc::SYS_rt_sigqueueinfo, vec![(0, u32::MAX.into(), own)]),
        (libc::SYS_rt_tgsigqueueinfo, vec![(0, u32::MAX.into(), own)]),
        // Sets the processor block that a driver's gs points to.
        (libc::SYS_arch_prctl, vec![(0, ALL, ARCH_SET_GS)]),
        // Limits can be read, for its own process only.
        (libc::SYS_prlimit64, vec![(0, u32::MAX.into(), 0), (2, ALL, 0)]),
        // Switches a descriptor between blocking and non-blocking.
        (libc::SYS_ioctl, vec![(1, u32::MAX.into(), libc::FIONBIO)]),
    ];
    // Names of threads and of memory, and the auxiliary vector.
    for option in [libc::PR_SET_NAME as u64, PR_SET_VMA, PR_GET_AUXV] {
        all.push((libc::SYS_prctl, vec![(0, u32::MAX.into(), option)]));
    }
    // The last one is asked of the page and the board that the partition hands out.
    let commands = [
        libc::F_GETFD,
        libc::F_SETFD,
        libc::F_GETFL,
        libc::F_SETFL,
        libc::F_DUPFD_CLOEXEC,
        libc::F_GET_SEALS,
    ];
    for command in commands {
        all.push((libc::SYS_fcntl, vec![(1, u32::MAX.into(), command as u64)]));
    }
    all
}

/// The additional calls of the system's linker, and those that close the sandbox afterwards.
const LOADING: &[c_long] = &[
    libc::SYS_access,
    libc::SYS_lseek,
    libc::SYS_memfd_create,
    libc::SYS_mmap,
    libc::SYS_mprotect,
    libc::SYS_newfstatat,
    libc::SYS_prctl,
    libc::SYS_pread64,
    libc::SYS_prlimit64,
    libc::SYS_seccomp,
    libc::SYS_statx,
];

/// The additional calls that are allowed with these arguments.
const LOADING_BOUND: &[(c_long, Demand)] = &[
    // Files can be read, but not written or created.
    (libc::SYS_openat, (2, WRITES, 0)),
    (libc::SYS_fcntl, (1, u32::MAX as u64, libc::F_ADD_SEALS as u64)),
];

/// Every flag of open that allows more than reading.
const WRITES: u64 = (libc::O_ACCMODE
    | libc::O_CREAT
    | libc::O_TRUNC
    | libc::O_APPEND
    | libc::O_TMPFILE & !libc::O_DIRECTORY) as u64;

/// The stage of a driver's process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Its file is about to be loaded. None of its code runs.
    Loading,
    /// Its code runs.
    Running,
}

/// Forbids all other system calls, on all threads, permanently.
pub(super) fn install(stage: Stage) -> Result<(), SandboxError> {
    let failed = |error: seccompiler::Error| match error {
        seccompiler::Error::Prctl(error) | seccompiler::Error::Seccomp(error) => {
            SandboxError::new("the system call filter", error)
        }
        other => SandboxError::new("the system call filter", io::Error::other(other.to_string())),
    };
    let apply =
        |program: BpfProgram| seccompiler::apply_filter_all_threads(&program).map_err(failed);
    // If several filters match, the strictest result applies.
    if stage == Stage::Loading {
        // The arguments of clone3 are in memory, where no filter can read them. With this result the C library
        // uses clone.
        let enosys = SeccompAction::Errno(libc::ENOSYS.cast_unsigned());
        let clone3 = BTreeMap::from([(libc::SYS_clone3, Vec::new())]);
        apply(program(clone3, SeccompAction::Allow, enosys).map_err(failed)?)?;
    }
    let allowed = allowed(stage).map_err(|error| failed(error.into()))?;
    apply(program(allowed, SeccompAction::Trap, SeccompAction::Allow).map_err(failed)?)
}

fn program(
    rules: BTreeMap<c_long, Vec<SeccompRule>>,
    others: SeccompAction,
    these: SeccompAction,
) -> Result<BpfProgram, seccompiler::Error> {
    let filter = SeccompFilter::new(rules, others, these, TargetArch::x86_64)?;
    Ok(filter.try_into()?)
}

fn allowed(stage: Stage) -> Result<BTreeMap<c_long, Vec<SeccompRule>>, BackendError> {
    let mut rules: BTreeMap<c_long, Vec<SeccompRule>> =
        FREE.iter().map(|call| (*call, Vec::new())).collect();
    let mut bound = bound();
    if stage == Stage::Loading {
        bound.retain(|(call, _)| !LOADING.contains(call));
        rules.extend(LOADING.iter().map(|call| (*call, Vec::new())));
        bound.extend(LOADING_BOUND.iter().map(|(call, demand)| (*call, vec![*demand])));
    }
    for (call, demands) in bound {
        let conditions = demands.into_iter().map(|(argument, mask, value)| {
            let operator = SeccompCmpOp::MaskedEq(mask);
            SeccompCondition::new(argument, SeccompCmpArgLen::Qword, operator, value)
        });
        let rule = SeccompRule::new(conditions.collect::<Result<_, _>>()?)?;
        rules.entry(call).or_default().push(rule);
    }
    Ok(rules)
}
