//! Who is measured: for each owner how it begins, what comes before each processor, and how it ends. One more is a few lines.

use std::path::PathBuf;

/// A program or service that brings processors online. Its scripts are run by `sh` in the guest, and must succeed; each ends
/// when what it does is done.
pub(crate) struct Owner {
    /// What the table calls it.
    pub(crate) name: &'static str,
    /// The programs of this workspace that it takes.
    pub(crate) programs: &'static [&'static str],
    /// Begins it, and ends when it is ready for a processor.
    pub(crate) start: String,
    /// Run before each processor: what is under way ends, so that nothing of it is measured.
    pub(crate) before: &'static str,
    /// Run when the processor `$id` is online: ends when all that follows from it is done.
    pub(crate) after: String,
    /// Ends it.
    pub(crate) stop: String,
}

/// All of them. Each is alone, without udevd, unless its name says otherwise.
pub(crate) fn all() -> Vec<Owner> {
    let mut all = vec![
        alone(listener("bare listener", "now", 0)),
        alone(listener("the same, upon bind@", "bind", 0)),
        alone(listener("the same that asks 10 bare", "now", 10)),
        alone(listener("the same that asks 100 bare", "now", 100)),
        udev("udevd, with a worker", WORKER),
        udev("udevd, without", QUIET),
        alone(daemon("hotadd, no party", 0)),
        alone(daemon("hotadd, 1 party", 1)),
        alone(daemon("hotadd, 10 parties", 10)),
        alone(daemon("hotadd, 100 parties", 100)),
        Owner { before: WORKER, ..listener("bare listener beside udevd", "now", 0) },
        Owner { before: WORKER, ..daemon("hotadd, 10, beside udevd", 10) },
    ];
    if earlier().is_some() {
        all.push(of_earlier(alone(daemon("earlier hotadd, no party", 0))));
        all.push(of_earlier(alone(daemon("earlier hotadd, 10 parties", 10))));
    }
    all
}

/// The `hotadd` of an earlier version, to be compared in the same run: the file that `$HOTADD_EARLIER` names, built for guests.
pub(crate) fn earlier() -> Option<PathBuf> {
    std::env::var_os("HOTADD_EARLIER").map(PathBuf::from)
}

/// What [`earlier`] is called in the guest.
pub(crate) const EARLIER: &str = "/bin/hotadd-earlier";

fn of_earlier(owner: Owner) -> Owner {
    Owner { start: owner.start.replace("hotadd daemon", &format!("{EARLIER} daemon")), ..owner }
}

/// Those that are given several processors at once.
pub(crate) fn at_once() -> Vec<Owner> {
    vec![
        alone(listener("bare listener", "now", 0)),
        alone(daemon("hotadd, no party", 0)),
        alone(daemon("hotadd, 10 parties", 10)),
    ]
}

/// With no udevd beside it, which looks at every event too.
fn alone(owner: Owner) -> Owner {
    Owner {
        start: format!("systemctl stop {UDEV}\n{}", owner.start),
        before: "",
        stop: format!("{}\nsystemctl start {UDEV}", owner.stop),
        ..owner
    }
}

/// `hotadd daemon` with parties that agree, each a process of its own.
fn daemon(name: &'static str, parties: u32) -> Owner {
    Owner {
        name,
        programs: &["hotadd", "lab-agent"],
        start: format!(
            "mkdir -p /etc/hotadd; echo '[hardware]
at-start = \"leave\"' > /etc/hotadd/hotadd.toml
# What those before have said is not waited for.
rm -f /run/*.said
hotadd daemon > /run/daemon.said 2>&1 &
echo $! > /run/owner.pid
until grep -qs 'listening at' /run/daemon.said; do sleep 0.02; done
: > /run/agents.pid
for n in $(seq {parties}); do
lab-agent /run/hotadd/system agent$n --later > /run/agent$n.said 2>&1 &
echo $! >> /run/agents.pid
# Not all at once: a connection has only so long to say who it is.
until [ $((n % 10)) != 0 ] || grep -qs registered /run/agent$n.said; do sleep 0.02; done
done
for n in $(seq {parties}); do
until grep -qs registered /run/agent$n.said; do sleep 0.02; done
done"
        ),
        before: QUIET,
        after: format!(
            "until grep -q \"processor $id joined\" /run/daemon.said; do sleep 0.02; done
for n in $(seq {parties}); do
until grep -q \"AddComplete $id \" /run/agent$n.said; do sleep 0.02; done
done
# What everybody asks for then is answered too: the daemon takes no more time.
took=; until [ \"$took\" = \"$(cut -d' ' -f14,15 /proc/$(cat /run/owner.pid)/stat)\" ]; do
took=$(cut -d' ' -f14,15 /proc/$(cat /run/owner.pid)/stat); sleep 0.2
done"
        ),
        // Agents outlive it, and would go on looking for it; the next one would wait for them.
        stop: format!(
            "{STOP}; rm -f /run/hotadd/system.decided; for agent in $(cat /run/agents.pid); do kill -9 $agent; done"
        ),
    }
}

/// udevd has no event under way, and no worker: those that are idle it ends when it is told to read its rules.
const QUIET: &str = "udevadm settle; udevadm control --reload
procs=$(find /sys/fs/cgroup/system.slice/systemd-udevd.service -name cgroup.procs)
until [ $(cat $procs | wc -l) = 1 ]; do sleep 0.02; done";

/// udevd has just handled an event of no account: its worker stays for three seconds.
const WORKER: &str = "udevadm settle; udevadm trigger --settle --action=change /sys/class/mem/null";

const UDEV: &str = "systemd-udevd-kernel.socket systemd-udevd-control.socket systemd-udevd";

const STOP: &str = "kill $(cat /run/owner.pid); tail --pid=$(cat /run/owner.pid) -f /dev/null";

/// The least that it takes, with so many parties that get a byte and send it back. It says in a pipe when it listens.
fn listener(name: &'static str, how: &str, parties: u32) -> Owner {
    Owner {
        name,
        programs: &["lab-onliner"],
        start: format!(
            "[ -p /run/up ] || mkfifo /run/up
lab-onliner /run/up {how} {parties} > /dev/console 2>&1 &
echo $! > /run/owner.pid; cat /run/up"
        ),
        before: QUIET,
        after: String::new(),
        stop: STOP.into(),
    }
}

/// With the usual rule.
fn udev(name: &'static str, before: &'static str) -> Owner {
    let rule =
        r#"SUBSYSTEM=="cpu", ACTION=="add", TEST=="online", ATTR{online}!="1", ATTR{online}="1""#;
    let file = "/run/udev/rules.d/80-cpu.rules";
    Owner {
        name,
        programs: &[],
        start: format!(
            "mkdir -p /run/udev/rules.d; echo '{rule}' > {file}; udevadm control --reload"
        ),
        before,
        after: String::new(),
        stop: format!("rm {file}; udevadm control --reload"),
    }
}
