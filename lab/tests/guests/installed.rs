//! `hotadd daemon` as `dist/install` makes it a service of a Debian system: under systemd, on the system bus,
//! with polkit, and with the journal. Each step continues from the previous one, because a guest with Debian
//! takes long to boot.

use std::path::Path;

use lab::{Guest, Kernel};

use crate::common::daemon::{LIMIT, SAID, agent, hotadd, is_sandboxed, online, put, told, until};
use crate::common::journal::{follow, records};
use crate::common::{cpu, lab, on_each_kernel, text};

on_each_kernel!(the_installed_service_asks_all_parties_and_is_restarted);

/// The folder with the files to install.
const SOURCE: &str = "/opt/hotadd";

/// The distribution's rule.
const RULES: &str = "/usr/lib/udev/rules.d/80-cpu.rules";

/// The default image.
const RULE: &str = "SUBSYSTEM==\"cpu\", ACTION==\"add\", TEST==\"online\", ATTR{online}!=\"1\", ATTR{online}=\"1\"\n";

/// A Windows driver must agree. Parties have longer than any step takes in an emulated machine, to answer and
/// to come back.
const CONFIGURATION: &str = "\
[limits]
timeout = '60s'
rejoin = '60s'
[[party]]
driver = '/lib/hotadd/percpu.sys'
";

/// The user nobody, in no group.
const NOBODY: [&str; 4] = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];

fn the_installed_service_asks_all_parties_and_is_restarted(kernel: Kernel) {
    let guest = system(kernel);
    is_installed_and_begins(kernel, &guest);
    udevs_rule_is_found_and_shadowed(kernel, &guest);
    agent(&guest, "rust", &[]);
    python(&guest);
    a_plugged_processor_joins_with_the_agreement_of_all_parties(kernel, &guest);
    a_vetoed_processor_stays_off_and_the_veto_is_in_the_journal(kernel, &guest);
    other_users_may_only_read(kernel, &guest);
    a_reload_keeps_all_parties(kernel, &guest);
    a_killed_daemon_is_restarted_and_its_parties_return(kernel, &guest);
    a_hung_daemon_is_killed_by_its_watchdog_and_restarted(kernel, &guest);
    a_stopped_daemon_leaves_its_processors_and_is_activated_by_a_call(kernel, &guest);
    the_installed_files_are_removed_except_the_configuration(kernel, &guest);
}

/// A Debian system with the files for `dist/install` and the programs of the test.
fn system(kernel: Kernel) -> Guest {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let program = lab::binary("hotadd").unwrap();
    let mut lab = lab(kernel).debian().unwrap().program("lab-agent").unwrap().cpus(1, 8);
    lab = lab.file(&program, &format!("{SOURCE}/target/release/hotadd"));
    for name in [
        "dbus/org.hotadd.Agent1.xml",
        "dbus/org.hotadd.Partition1.xml",
        "dist/hotadd.service",
        "dist/hotadd.sysusers",
        "dist/hotadd.toml",
        "dist/install",
        "dist/org.hotadd.Hotadd1.conf",
        "dist/org.hotadd.Hotadd1.service",
        "dist/org.hotadd.policy",
        "examples/agent.py",
    ] {
        lab = lab.file(&root.join(name), &format!("{SOURCE}/{name}"));
    }
    let driver = root.join("crates/hotadd-nt/samples/fixtures/percpu.sys");
    lab.file(&driver, "/lib/hotadd/percpu.sys").boot().unwrap()
}

fn is_installed_and_begins(kernel: Kernel, guest: &Guest) {
    run(guest, &["sh", &format!("{SOURCE}/dist/install")]);
    put(guest, CONFIGURATION, "/etc/hotadd/hotadd.toml");
    follow(guest, "hotadd");
    let began = guest.run(&["systemctl", "enable", "--now", "hotadd"]).unwrap();
    let said = || run(guest, &["journalctl", "-u", "hotadd", "--no-pager"]);
    assert!(began.status.success(), "{kernel}: {}\n{}", text(&began.stderr), said());
    assert_eq!(show(guest, "ActiveState"), "active", "{kernel}: it has said that it is ready");
    assert_eq!(show(guest, "StatusText"), "processors 0 are active; parties: 1");
    let line = until(guest, SAID, "listening at");
    assert!(line.ends_with("/run/hotadd/system and on the system bus"), "{kernel}: {line}");
    let modes = run(guest, &["stat", "-c", "%a %U:%G", "/run/hotadd", "/run/hotadd/system"]);
    assert_eq!(modes, "755 root:root\n660 root:hotadd\n", "{kernel}: the access to the socket");
    is_sandboxed(guest);
    its_unit_has_only_the_needed_rights(kernel, guest);
}

/// Checks the unit's sandbox with systemd's analysis; the unit explains each exception.
fn its_unit_has_only_the_needed_rights(kernel: Kernel, guest: &Guest) {
    let judged = run(guest, &["systemd-analyze", "security", "--no-pager", "hotadd.service"]);
    let overall = judged.lines().find_map(|line| line.split_once("Overall exposure level for "));
    let score = overall.and_then(|(_, rest)| rest.split_whitespace().nth(1)?.parse::<f32>().ok());
    assert!(score.is_some_and(|score| score <= 1.5), "{kernel}: {judged}");
    let lacks: Vec<_> = judged
        .lines()
        .filter_map(|line| line.trim().strip_prefix('✗'))
        .filter_map(|line| line.trim().split(['=', ' ']).next())
        .collect();
    let unit = include_str!("../../../dist/hotadd.service");
    for directive in lacks {
        let explained =
            unit.lines().any(|line| line.starts_with("#   ") && line.contains(directive));
        assert!(explained, "{kernel}: the unit says why {directive} is as it is: {judged}");
    }
}

fn udevs_rule_is_found_and_shadowed(kernel: Kernel, guest: &Guest) {
    put(guest, RULE, RULES);
    run(guest, &["udevadm", "control", "--reload"]);
    let (found, code) = hotadd(guest, &["doctor"]);
    assert_eq!(code, Some(1), "{kernel}: it goes round the consent of all: {found}");
    assert!(found.contains(&format!("where: {RULES}:1")), "{kernel}: it says which: {found}");
    let (after, code) = hotadd(guest, &["doctor", "--shadow", "/etc/udev/rules.d"]);
    // 3: some scripts of the distribution cannot be followed.
    assert!(matches!(code, Some(0 | 3)), "{kernel}: nothing else does: {after}");
    run(guest, &["udevadm", "control", "--reload"]);
}

/// Starts the agent in Python on the system bus, as a service that ends with the daemon and is restarted.
fn python(guest: &Guest) {
    let program = format!("{SOURCE}/examples/agent.py");
    let agent = ["python3", &program, "system", "--bus", "system", "--refuse", "2"];
    let service = [
        "systemd-run",
        "--unit=python",
        "-pRestart=always",
        "-pRestartSec=200ms",
        "-pStartLimitIntervalSec=0",
        "-pStandardOutput=append:/tmp/python",
    ];
    run(guest, &[&service[..], &agent].concat());
    until(guest, "/tmp/python", "registered as party");
}

fn a_plugged_processor_joins_with_the_agreement_of_all_parties(kernel: Kernel, guest: &Guest) {
    guest.add_cpu(1).unwrap();
    let line = until(guest, SAID, "1 joined");
    for name in ["percpu.sys ", "rust ", "agent.py "] {
        assert!(line.contains(name), "{kernel}: all three agreed (A1): {line}");
    }
    assert_eq!(online(guest, 1), "1", "{kernel}: it runs (A5)");
    let asked = of_python(guest, "AddStart 1 ");
    assert_eq!(asked, 1, "{kernel}: the agent on the bus was asked, once");
    assert_eq!(told(guest, "rust", 1), ["AddStart 1 as 0:1", "AddComplete 1 as 0:1"], "{kernel}");
    until(guest, SAID, "percpu.sys: percpu: processor 1 (group 0, number 1): complete");
}

fn a_vetoed_processor_stays_off_and_the_veto_is_in_the_journal(kernel: Kernel, guest: &Guest) {
    guest.add_cpu(2).unwrap();
    until(guest, SAID, "2 stays out");
    assert_eq!(online(guest, 2), "0", "{kernel}: one refused, and it stays off (A3)");
    let refused = run(guest, &["journalctl", "-u", "hotadd", "HOTADD_EVENT=refused", "-o", "json"]);
    let refused = records(&refused);
    let [record] = &refused[..] else { panic!("{kernel}: one record of it: {refused:?}") };
    for (field, is) in [
        ("HOTADD_PROCESSOR", "2"),
        ("HOTADD_PARTY", "agent.py"),
        ("HOTADD_CLAUSE", "A3"),
        ("HOTADD_STATUS", "STATUS_INSUFFICIENT_RESOURCES"),
        ("PRIORITY", "4"),
        ("SYSLOG_IDENTIFIER", "hotadd"),
        ("_SYSTEMD_UNIT", "hotadd.service"),
    ] {
        assert_eq!(record[field], is, "{kernel}: {field} in {record}");
    }
    assert!(record.get("HOTADD_ERRNO").is_none(), "{kernel}: none that says nothing: {record}");

    let of_it = run(guest, &["journalctl", "-u", "hotadd", "HOTADD_PROCESSOR=2"]);
    assert_eq!(of_it.matches("processor 2 stays out").count(), 1, "{kernel}: said once: {of_it}");
    assert!(!of_it.contains("processor 1 joined"), "{kernel}: of no other one: {of_it}");
    let warnings = run(guest, &["journalctl", "-u", "hotadd", "-p", "warning"]);
    assert!(warnings.contains("processor 2 stays out"), "{kernel}: it is a warning: {warnings}");
    assert!(
        !warnings.contains("processor 1 joined"),
        "{kernel}: joining is not a warning: {warnings}"
    );
    let joined = ["journalctl", "-u", "hotadd", "HOTADD_EVENT=joined", "-o", "json"];
    let joined = records(&run(guest, &joined));
    let of_1 = joined.iter().find(|record| record["HOTADD_PROCESSOR"] == "1").unwrap();
    assert_eq!(of_1["PRIORITY"], "5", "{kernel}: it came: {of_1}");
    let took = of_1["HOTADD_TOOK_US"].as_str().and_then(|took| took.parse::<u64>().ok());
    assert!(took.is_some(), "{kernel}: in microseconds: {of_1}");
}

fn other_users_may_only_read(kernel: Kernel, guest: &Guest) {
    // It may take longer to start than a D-Bus activation waits.
    run(guest, &["systemctl", "start", "polkit"]);
    let nobody = |args: &[&str]| {
        let ran = guest.run(&[&NOBODY[..], &["hotadd"], args].concat()).unwrap();
        (text(&ran.stdout) + &text(&ran.stderr), ran.status.success())
    };
    let (status, looked) = nobody(&["status", "--bus", "system"]);
    assert!(looked && status.contains("active: 0-1 (2"), "{kernel}: anybody may look: {status}");
    let (refused, done) = nobody(&["add", "2", "--bus", "system"]);
    assert!(!done, "{kernel}: polkit permits no change: {refused}");
    assert!(refused.contains("org.hotadd.change"), "{kernel}: it says what it takes: {refused}");
    assert_eq!(online(guest, 2), "0", "{kernel}: nothing was done");
    let asked = of_python(guest, "AddStart 2");
    assert_eq!(asked, 1, "{kernel}: the party was asked only when it was plugged in");
    let (refused, done) = nobody(&["status", "-p", "system"]);
    assert!(!done && refused.contains("/run/hotadd/system"), "{kernel}: at the socket: {refused}");

    let group = run(guest, &["stat", "-c", "%g", "/run/hotadd/system"]);
    let groups = format!("--groups={}", group.trim());
    let member = ["setpriv", "--reuid=65534", "--regid=65534", &groups, "hotadd", "rehearse", "2"];
    let ran = guest.run(&member).unwrap();
    let said = text(&ran.stdout) + &text(&ran.stderr);
    assert!(said.contains("processor 2 would be refused"), "{kernel}: a member may: {said}");
}

fn a_reload_keeps_all_parties(kernel: Kernel, guest: &Guest) {
    let before = (guest.read("/tmp/python").unwrap(), guest.read("/tmp/rust").unwrap());
    let pid = main_pid(guest);
    put(guest, &format!("# another one\n{CONFIGURATION}"), "/etc/hotadd/hotadd.toml");
    run(guest, &["systemctl", "reload", "hotadd"]);
    until(guest, SAID, "the configuration was reloaded");
    assert_eq!(main_pid(guest), pid, "{kernel}: it is the same process");
    let parties = hotadd(guest, &["parties"]).0;
    for name in ["percpu.sys (", "rust (", "agent.py ("] {
        assert!(parties.contains(name), "{kernel}: {name}: {parties}");
    }
    let after = (guest.read("/tmp/python").unwrap(), guest.read("/tmp/rust").unwrap());
    assert_eq!(after, before, "{kernel}: no party was called");
}

fn a_killed_daemon_is_restarted_and_its_parties_return(kernel: Kernel, guest: &Guest) {
    signal(guest, "KILL", main_pid(guest));
    // Both parties were registered before, and nothing is added until they are back.
    let waits = until(guest, SAID, "which had registered before; nothing is added until then");
    assert!(waits.contains("rust") && waits.contains("agent.py"), "{kernel}: for whom: {waits}");
    guest.add_cpu(3).unwrap();
    let line = until(guest, SAID, "3 joined");
    for name in ["percpu.sys ", "rust ", "agent.py "] {
        assert!(line.contains(name), "{kernel}: all three are asked again: {line}");
    }
    assert_eq!(show(guest, "NRestarts"), "1", "{kernel}: systemd has started it");
    assert_eq!(online(guest, 2), "0", "{kernel}: what was refused stays so (A4)");
}

fn a_hung_daemon_is_killed_by_its_watchdog_and_restarted(kernel: Kernel, guest: &Guest) {
    let folder = "/etc/systemd/system/hotadd.service.d";
    run(guest, &["mkdir", "-p", folder]);
    put(guest, "[Service]\nWatchdogSec=5\n", &format!("{folder}/watchdog.conf"));
    run(guest, &["systemctl", "daemon-reload"]);
    run(guest, &["systemctl", "restart", "hotadd"]);
    let pid = main_pid(guest);
    signal(guest, "STOP", pid);
    until(guest, SAID, "hotadd.service: Watchdog timeout");
    until(guest, SAID, "hotadd.service: Failed with result 'watchdog'");
    run(guest, &["rm", "-r", folder]);
    run(guest, &["systemctl", "daemon-reload"]);
    guest.add_cpu(4).unwrap();
    until(guest, SAID, "4 joined");
    assert_ne!(main_pid(guest), pid, "{kernel}: it is another process");
    let heard = ["AddStart 4 as 0:3", "AddComplete 4 as 0:3"];
    assert_eq!(told(guest, "rust", 4), heard, "{kernel}: the agent has come back, and was asked");
}

fn a_stopped_daemon_leaves_its_processors_and_is_activated_by_a_call(
    kernel: Kernel,
    guest: &Guest,
) {
    let before = guest.read(&cpu("online")).unwrap();
    assert_eq!(before.trim(), "0-1,3-4", "{kernel}: all that was agreed to");
    run(guest, &["systemctl", "stop", "python", "hotadd"]);
    until(guest, SAID, "ended; processors 0-1,3-4 stay active");
    assert_eq!(guest.read(&cpu("online")).unwrap(), before, "{kernel}: nothing was reversed");
    assert_eq!(show(guest, "ActiveState"), "inactive", "{kernel}: it stays away");
    guest.read("/run/hotadd/system.decided").expect("what was decided is for the next one");

    let call =
        "busctl call org.hotadd.Hotadd1 /org/hotadd/Partition org.freedesktop.DBus.Peer Ping";
    run(guest, &call.split(' ').collect::<Vec<_>>());
    assert_eq!(show(guest, "ActiveState"), "active", "{kernel}: a call activates it");
}

fn the_installed_files_are_removed_except_the_configuration(kernel: Kernel, guest: &Guest) {
    run(guest, &["sh", &format!("{SOURCE}/dist/install"), "--remove"]);
    assert_eq!(show(guest, "LoadState"), "not-found", "{kernel}: there is no such service");
    for path in ["/usr/bin/hotadd", "/usr/share/polkit-1/actions/org.hotadd.policy"] {
        guest.read(path).expect_err("it was removed");
    }
    assert_eq!(guest.read(&cpu("online")).unwrap().trim(), "0-1,3-4", "{kernel}: they stay");
    guest.read("/etc/hotadd/hotadd.toml").expect("the configuration is the administrator's");
}

/// The output of a program, which must succeed.
fn run(guest: &Guest, argv: &[&str]) -> String {
    let ran = guest.run_within(LIMIT, argv).unwrap();
    let said = || text(&guest.run(&["tail", "-n", "40", SAID]).unwrap().stdout);
    assert!(ran.status.success(), "{argv:?}: {}\nthe journal: {}", text(&ran.stderr), said());
    text(&ran.stdout)
}

/// A property of the service, as systemd shows it.
fn show(guest: &Guest, property: &str) -> String {
    let said = run(guest, &["systemctl", "show", "--value", "-p", property, "hotadd"]);
    said.trim().to_owned()
}

fn main_pid(guest: &Guest) -> u32 {
    let pid = show(guest, "MainPID").parse().unwrap();
    assert_ne!(pid, 0, "it runs");
    pid
}

fn signal(guest: &Guest, name: &str, pid: u32) {
    run(guest, &["sh", "-c", &format!("kill -{name} {pid}")]);
}

/// The number of lines of the agent in Python that begin with this text.
fn of_python(guest: &Guest, begins: &str) -> usize {
    guest.read("/tmp/python").unwrap().lines().filter(|line| line.starts_with(begins)).count()
}
