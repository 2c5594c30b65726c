//! Who is measured: for each owner how it begins, what comes before each processor, and how it ends. One more is a few lines.

/// A program or service that brings processors online. Its scripts are run by `sh` in the guest, and must succeed; each ends
/// when what it does is done.
pub(crate) struct Owner {
    /// What the table calls it.
    pub(crate) name: &'static str,
    /// A program of this workspace that it takes, as package and name.
    pub(crate) program: Option<(&'static str, &'static str)>,
    /// Begins it, and ends when it is ready for a processor.
    pub(crate) start: String,
    /// Run when it is ready: what is under way ends, so that nothing of it is measured.
    pub(crate) before: &'static str,
    /// Ends it.
    pub(crate) stop: String,
}

/// All of them. Some are one and the same program, by which ways to wait for the kernel's lock are compared.
pub(crate) fn all() -> Vec<Owner> {
    let acpi = "flip=/sys/firmware/acpi/hotplug/pci_root/enabled";
    vec![
        listener("bare listener", "now"),
        listener("the same, 10 ms later", "after=10"),
        listener("the same, upon bind@", "bind"),
        listener("the same, behind ACPI's lock", acpi),
        Owner {
            start: format!("systemctl stop {UDEV}\n{}", listener("", "now").start),
            before: "",
            stop: format!("{STOP}\nsystemctl start {UDEV}"),
            ..listener("bare listener, no udevd", "now")
        },
        udev("udevd, with a worker", WORKER),
        udev("udevd, without", QUIET),
    ]
}

/// udevd has no event under way, and no worker: those that are idle it ends when it is told to read its rules.
const QUIET: &str = "udevadm settle; udevadm control --reload
procs=$(find /sys/fs/cgroup/system.slice/systemd-udevd.service -name cgroup.procs)
until [ $(cat $procs | wc -l) = 1 ]; do sleep 0.02; done";

/// udevd has just handled an event of no account: its worker stays for three seconds.
const WORKER: &str = "udevadm settle; udevadm trigger --settle --action=change /sys/class/mem/null";

const UDEV: &str = "systemd-udevd-kernel.socket systemd-udevd-control.socket systemd-udevd";

const STOP: &str = "kill $(cat /run/owner.pid); tail --pid=$(cat /run/owner.pid) -f /dev/null";

/// The least that it takes. It says in a pipe when it listens.
fn listener(name: &'static str, how: &str) -> Owner {
    Owner {
        name,
        program: Some(("lab", "lab-onliner")),
        start: format!(
            "[ -p /run/up ] || mkfifo /run/up
lab-onliner /run/up {how} > /dev/console 2>&1 &
echo $! > /run/owner.pid; cat /run/up"
        ),
        before: QUIET,
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
        program: None,
        start: format!(
            "mkdir -p /run/udev/rules.d; echo '{rule}' > {file}; udevadm control --reload"
        ),
        before,
        stop: format!("rm {file}; udevadm control --reload"),
    }
}
