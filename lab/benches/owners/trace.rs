//! When the kernel did what, by its own tracing.

use std::collections::BTreeMap;
use std::time::Instant;

use lab::Guest;

use crate::{LIMIT, Outcome};

const TRACING: &str = "/sys/kernel/tracing";

/// Probes of the functions at which it can be told. A device begins with a kernel object, and that with its name. The first is
/// called for each event, just before that is sent; what sends it cannot be probed.
const PROBES: [&str; 6] = [
    "p:lab/event dev_uevent name=+0(+0($arg1)):string",
    "p:lab/write online_store name=+0(+0($arg1)):string",
    "r:lab/wrote online_store result=$retval:s64",
    "p:lab/up cpu_up",
    "r:lab/upped cpu_up",
    "p:lab/free unlock_device_hotplug",
];

/// One processor's way, in microseconds of the kernel's clock.
#[derive(Debug)]
pub(crate) struct Times {
    /// The add event was sent.
    pub(crate) add: u64,
    /// The first write to `online` began.
    pub(crate) write: u64,
    /// The write that was not told to try again returned.
    pub(crate) wrote: u64,
    /// How often it was told so.
    pub(crate) retries: usize,
    /// The processor began to be brought up,
    pub(crate) up: u64,
    /// and was.
    pub(crate) upped: u64,
    /// The online event was sent.
    pub(crate) online: u64,
    /// Whoever added it let go of the hot-plug lock.
    pub(crate) free: u64,
}

/// Sets the probes, by the clock by which uevents are dated. `calls`: system calls as well, which makes everything slower.
pub(crate) fn begin(guest: &Guest, calls: bool) -> Outcome<()> {
    let probes = PROBES.join("\n");
    guest.write(&format!("{TRACING}/kprobe_events"), &probes)?;
    guest.write(&format!("{TRACING}/trace_clock"), "mono")?;
    guest.write(&format!("{TRACING}/events/lab/enable"), "1")?;
    if calls {
        guest.write(&format!("{TRACING}/events/raw_syscalls/sys_enter/enable"), "1")?;
    }
    Ok(())
}

/// Forgets what was seen.
pub(crate) fn clear(guest: &Guest) -> Outcome<()> {
    Ok(guest.write(&format!("{TRACING}/trace"), "\n")?)
}

/// What was seen of a processor that is online, once the write has returned.
pub(crate) fn times(guest: &Guest, id: u32) -> Outcome<(Times, Vec<String>)> {
    let began = Instant::now();
    loop {
        let text = guest.read(&format!("{TRACING}/trace"))?;
        if let Some(times) = read(&text, &format!("cpu{id}")) {
            let calls = calls(&text, &times);
            return Ok((times, calls));
        }
        if began.elapsed() > LIMIT {
            return Err(format!("cpu{id} is not in:\n{text}").into());
        }
    }
}

fn read(text: &str, name: &str) -> Option<Times> {
    let all: Vec<Line> = text.lines().filter_map(line).collect();
    let of = |l: &&Line, what: &str| l.what == what && l.fields.get("name") == Some(&name);
    let add = all.iter().find(|l| of(l, "event"))?.at;
    let write = all.iter().find(|l| of(l, "write"))?;
    let returned =
        || all.iter().filter(|l| l.what == "wrote" && l.task == write.task && l.at >= write.at);
    let done = returned().find(|l| l.fields.get("result").is_some_and(|r| !r.starts_with('-')))?;
    let after = |what: &str, from: u64, task: Option<&str>| {
        let is = |l: &&Line| l.what == what && l.at >= from && task.is_none_or(|t| l.task == t);
        all.iter().find(is).map(|l| l.at)
    };
    let upped = after("upped", write.at, Some(write.task))?;
    Some(Times {
        add,
        write: write.at,
        wrote: done.at,
        retries: returned().filter(|l| l.at < done.at).count(),
        up: after("up", write.at, Some(write.task))?,
        upped,
        online: all.iter().find(|l| of(l, "event") && l.at >= upped)?.at,
        free: all.iter().find(|l| l.what == "free" && l.at >= add && l.task != write.task)?.at,
    })
}

/// The system calls of owners from the add event to the write.
fn calls(text: &str, times: &Times) -> Vec<String> {
    let ours = |l: &Line| ["hotadd", "lab-onliner"].iter().any(|name| l.task.starts_with(name));
    let within = |l: &Line| (times.add..=times.write).contains(&l.at) && l.what == "sys_enter";
    let named = |l: Line| {
        let number = l.rest.trim_start_matches("NR ").split(' ').next().unwrap_or_default();
        let name = NAMES.iter().find(|(n, _)| *n == number).map_or(number, |(_, name)| name);
        format!("{:5} us {:16} {name}", l.at - times.add, l.task)
    };
    text.lines().filter_map(line).filter(|l| ours(l) && within(l)).map(named).collect()
}

/// Names of the system calls on the way, by their numbers.
const NAMES: [(&str, &str); 24] = [
    ("0", "read"),
    ("1", "write"),
    ("3", "close"),
    ("7", "poll"),
    ("9", "mmap"),
    ("10", "mprotect"),
    ("17", "pread64"),
    ("21", "access"),
    ("24", "sched_yield"),
    ("28", "madvise"),
    ("41", "socket"),
    ("44", "sendto"),
    ("45", "recvfrom"),
    ("46", "sendmsg"),
    ("47", "recvmsg"),
    ("49", "bind"),
    ("54", "setsockopt"),
    ("202", "futex"),
    ("232", "epoll_wait"),
    ("233", "epoll_ctl"),
    ("257", "openat"),
    ("269", "faccessat"),
    ("271", "ppoll"),
    ("281", "epoll_pwait"),
];

struct Line<'a> {
    /// Name and id of the thread.
    task: &'a str,
    at: u64,
    what: &'a str,
    /// What follows.
    rest: &'a str,
    fields: BTreeMap<&'a str, &'a str>,
}

/// `kworker/u8:1-29      [000] .....   12.345678: write: (online_store+0x0/0xa0) name="cpu1"`
fn line(text: &str) -> Option<Line<'_>> {
    let (task, rest) = text.split_once(" [")?;
    let mut words = rest.split_whitespace();
    let at = words.find(|word| word.ends_with(':'))?.trim_end_matches(':');
    let (seconds, micros) = at.split_once('.')?;
    let at = seconds.parse::<u64>().ok()? * 1_000_000 + micros.parse::<u64>().ok()?;
    let what = words.next()?.trim_end_matches(':');
    let after = rest.split_once(what).map_or("", |(_, after)| after);
    let after = after.trim_start_matches(':').trim_start();
    let fields = words.filter_map(|word| word.split_once('='));
    let fields = fields.map(|(name, value)| (name, value.trim_matches('"'))).collect();
    Some(Line { task: task.trim(), at, what, rest: after, fields })
}
