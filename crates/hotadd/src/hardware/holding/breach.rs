//! The reports about masks that were put back.

use super::mask::Mask;
use super::settle::Put;
use super::threads::{Masks, Owner};

/// The maximum number of threads that one sentence names. For more threads, it gives only the number.
const NAMED: usize = 3;

/// Why a thread's mask was not the mask that the partition gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Why {
    /// The partition itself changes it.
    Ours,
    /// Before 6.2, inside a cgroup with the cpuset controller, the kernel overwrites every mask on every hot-plug, and in
    /// any cgroup when the processors of its cpuset change. Later kernels overwrite the mask of a thread that has no
    /// processor left.
    Kernel,
    /// The kernel has not limited it to the thread's cpuset: on 6.12 it does not when a thread comes in from a cgroup that has the
    /// same processors.
    Stale,
    /// A processor that had vanished is back. Masks that were set while it was there contain it again.
    Returned,
    /// The thread was being created while the partition's mask changed.
    Late,
    /// The program or another process set it (H3).
    Somebody,
}

/// One sentence for each kind of repair.
pub(super) fn sentences(put: &[Put], masks: &dyn Masks) -> Vec<String> {
    let mut groups: Vec<(Why, Mask, Mask, Vec<&Put>)> = Vec::new();
    for one in put.iter().filter(|one| one.why != Why::Ours) {
        let found = groups
            .iter_mut()
            .find(|(why, was, now, _)| (*why, *was, *now) == (one.why, one.was, one.now));
        match found {
            Some((.., all)) => all.push(one),
            None => groups.push((one.why, one.was, one.now, vec![one])),
        }
    }
    groups.iter().map(|(why, was, now, all)| sentence(*why, was, now, all, masks)).collect()
}

fn sentence(why: Why, was: &Mask, now: &Mask, all: &[&Put], masks: &dyn Masks) -> String {
    let count = all.len();
    let (mask, thread) = if count == 1 { ("mask", "thread") } else { ("masks", "threads") };
    match why {
        Why::Ours | Why::Kernel => format!(
            "the kernel had set the {mask} of {count} {thread} to {was} on a hot-plug or a change of a \
             cpuset; restored to {now}"
        ),
        Why::Stale => format!(
            "the kernel let {} run on {was}, outside of the cpuset; now limited to {now}",
            who(all, masks)
        ),
        Why::Returned => format!(
            "processors that came back were at once in the {mask} of {count} {thread}, {was}; narrowed to \
             {now} again"
        ),
        Why::Late => {
            format!(
                "{count} {thread} created while the partition changed still had {was}; now {now}"
            )
        }
        Why::Somebody => format!(
            "another process set the {mask} of {} to {was}, outside of the partition; restored to {now}",
            who(all, masks)
        ),
    }
}

/// `thread 12 of process 10 (make)`, or a list of several threads.
fn who(all: &[&Put], masks: &dyn Masks) -> String {
    let name = |one: &&Put| {
        let thread = one.thread;
        match masks.owner(thread) {
            Some(Owner { process, name }) => {
                format!("thread {thread} of process {process} ({name})")
            }
            None => format!("thread {thread}, which has ended"),
        }
    };
    let mut names: Vec<String> = all.iter().take(NAMED).map(name).collect();
    match all.len().saturating_sub(NAMED) {
        0 => {}
        1 => names.push("1 more thread".to_owned()),
        more => names.push(format!("{more} more threads")),
    }
    match &names[..] {
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
        [] => String::new(),
    }
}
