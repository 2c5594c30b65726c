//! The first process of a guest: mounts what programs expect, starts the agent, and reaps ended processes.

mod agent;
mod programs;
mod shared;
mod text;
mod uevents;

use std::fs::File;
use std::io;
use std::process::Command;

use rustix::mount::{MountFlags, mount};
use rustix::process::{WaitOptions, wait};
use rustix::system::{RebootCommand, reboot};

/// Mount points and their file systems.
const MOUNTS: [(&str, &str); 6] = [
    ("/proc", "proc"),
    ("/sys", "sysfs"),
    ("/dev", "devtmpfs"),
    ("/tmp", "tmpfs"),
    ("/run", "tmpfs"),
    ("/cgroup", "cgroup2"),
];

fn main() {
    let first = std::process::id() == 1;
    let result = match std::env::args().nth(1).as_deref() {
        Some("agent") => agent::serve(),
        _ if first => init(),
        _ => Err(io::Error::other("this program must be the first process of a guest")),
    };
    if let Err(e) = result {
        eprintln!("lab: {e}");
    }
    if first {
        // The guest is of no more use. QEMU ends when the guest would restart.
        let Err(errno) = reboot(RebootCommand::Restart) else { return };
        eprintln!("lab: cannot restart: {errno}");
    }
    std::process::exit(1);
}

/// Mounts, starts the agent, and returns when the agent has ended.
fn init() -> io::Result<()> {
    for (folder, kind) in MOUNTS {
        mount(kind, folder, kind, MountFlags::empty(), None)
            .map_err(|e| io::Error::other(format!("{folder}: {e}")))?;
    }
    let mut agent = Command::new("/proc/self/exe");
    agent.arg("agent").env_clear().env("PATH", "/bin").env("HOME", "/root");
    // A core dump or a panic of the agent must be reported on the console, so only stdin is replaced.
    agent.stdin(File::open("/dev/null")?);
    let agent = agent.spawn()?;
    loop {
        match wait(WaitOptions::empty()) {
            Ok(Some((pid, status))) if pid.as_raw_nonzero().get().cast_unsigned() == agent.id() => {
                return Err(io::Error::other(format!("the agent ended: {status:?}")));
            }
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}
