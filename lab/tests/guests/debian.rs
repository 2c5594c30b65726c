//! Guests with Debian's userland, with an administrator's tools and other programs that online processors.

use std::fs;
use std::time::Duration;

use lab::{Guest, Kernel};

use crate::common::{cpu, lab, on_each_kernel, text};

const LIMIT: Duration = Duration::from_secs(60);

on_each_kernel!(debians_services_and_hotadd_run_and_udev_onlines_plugged_processors);

/// The default image.
const RULE: &str = r#"SUBSYSTEM=="cpu", ACTION=="add", TEST=="online", ATTR{online}!="1", ATTR{online}="1"
"#;

/// The output of a program, which must succeed.
fn run(guest: &Guest, argv: &[&str]) -> String {
    let output = guest.run(argv).unwrap();
    assert!(output.status.success(), "{argv:?}: {}", text(&output.stderr));
    text(&output.stdout)
}

fn debians_services_and_hotadd_run_and_udev_onlines_plugged_processors(kernel: Kernel) {
    let lab = lab(kernel).debian().unwrap().program("hotadd").unwrap();
    // The second one is plugged in here, so that all guests with Debian's userland share a saved state.
    let guest = lab.cpus(1, 8).boot().unwrap();
    assert_eq!(guest.add_cpu(1).unwrap(), 1);
    guest.write(&cpu("cpu1/online"), "1").unwrap();
    assert_eq!(guest.read("/proc/1/comm").unwrap(), "systemd", "{kernel}");
    let state = run(&guest, &["systemctl", "is-system-running"]);
    assert_eq!(state, "running\n", "{kernel}: nothing that systemd starts at boot fails");

    let call = "org.freedesktop.DBus /org/freedesktop/DBus org.freedesktop.DBus GetId";
    let mut argv = vec!["busctl", "--system", "call"];
    argv.extend(call.split(' '));
    assert!(run(&guest, &argv).starts_with("s \""), "{kernel}: the system bus answers");
    // The bus activates polkit through systemd, as the package's user; and Python finds GLib's bindings.
    let asks = "from gi.repository import Gio, GLib
bus = Gio.bus_get_sync(Gio.BusType.SYSTEM)
name, path = 'org.freedesktop.PolicyKit1', '/org/freedesktop/PolicyKit1/Authority'
get, of = 'org.freedesktop.DBus.Properties', GLib.Variant('(ss)', (name + '.Authority', 'BackendName'))
print(bus.call_sync(name, path, get, 'Get', of, None, 0, 50000, None)[0])";
    assert_eq!(run(&guest, &["python3", "-c", asks]), "js\n", "{kernel}: polkit says what it is");
    let owner = run(&guest, &["ps", "-o", "user=", "-C", "polkitd"]);
    assert_eq!(owner.trim(), "polkitd", "{kernel}: the user of polkit");

    let terminal = run(&guest, &["ps", "-o", "tty=", "-C", "agent"]);
    assert_eq!(terminal.trim(), "?", "{kernel}: what the agent starts must not read its port");

    let command = ["hotadd", "run", "--add", "none", "--", "nproc"];
    assert_eq!(
        run(&guest, &command),
        "1\n",
        "{kernel}: the command starts on one of two processors"
    );
    assert_eq!(run(&guest, &["hotadd", "run", "--", "true"]), "", "{kernel}: and ends");

    let online = |n: u32| guest.read(&cpu(&format!("cpu{n}/online"))).unwrap();
    let plugged = guest.add_cpu(2).unwrap();
    run(&guest, &["udevadm", "settle", "--timeout=50"]);
    assert_eq!(online(plugged), "0", "{kernel}: without a rule udev leaves it alone");

    let rule = tempfile::NamedTempFile::new().unwrap();
    fs::write(rule.path(), RULE).unwrap();
    guest.put(rule.path(), "/etc/udev/rules.d/80-cpu.rules").unwrap();
    run(&guest, &["udevadm", "control", "--reload"]);
    let from = guest.next_uevent().unwrap();
    let plugged = guest.add_cpu(3).unwrap();
    guest.uevent(from, &format!("online@/devices/system/cpu/cpu{plugged}"), LIMIT).unwrap();
    assert_eq!(online(plugged), "1", "{kernel}: the rule has brought it online");
    assert_eq!(online(2), "0", "{kernel}: and no other one");
}
