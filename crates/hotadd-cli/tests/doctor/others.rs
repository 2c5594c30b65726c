//! Findings about units, scripts, settings, the kernel and the daemon.

use std::os::unix::net::UnixListener;

use crate::kit::Root;

const ONLINE: &str = "echo 1 > /sys/devices/system/cpu/cpu1/online";

fn notes(root: &Root, about: &str) -> usize {
    root.said("note").iter().filter(|note| note.contains(about)).count()
}

#[test]
fn an_enabled_unit_is_a_problem_and_a_disabled_one_a_note() {
    let root = Root::new();
    let unit = "usr/lib/systemd/system/wake.service";
    root.file(unit, &format!("[Service]\nType=oneshot\nExecStart=/bin/sh -c '{ONLINE}'\n\n[Install]\nWantedBy=multi-user.target\n"));
    assert_eq!(root.problems(), [""; 0]);
    assert_eq!(notes(&root, "the unit wake.service is not enabled"), 1);
    root.link(
        "etc/systemd/system/multi-user.target.wants/wake.service",
        "/usr/lib/systemd/system/wake.service",
    );
    assert_eq!(root.problems(), [format!("/{unit}:3")]);
    root.link("etc/systemd/system/wake.service", "/dev/null");
    assert_eq!(root.problems(), [""; 0], "a masked unit cannot be started");
}

#[test]
fn a_unit_started_by_a_timer_another_unit_or_udev_is_a_problem() {
    for (path, text) in [
        ("etc/systemd/system/timers.target.wants/wake.timer", "[Timer]\n"),
        ("usr/lib/systemd/system/multi-user.target", "[Unit]\nWants=a.service wake.service\n"),
        (
            "etc/udev/rules.d/9.rules",
            "SUBSYSTEM==\"cpu\", TAG+=\"systemd\", ENV{SYSTEMD_WANTS}+=\"wake.service\"\n",
        ),
    ] {
        let root = Root::new();
        root.file(
            "etc/systemd/system/wake.service",
            "[Service]\nExecStart=-/usr/sbin/chcpu -e 1-7\n",
        );
        root.file("etc/systemd/system/wake.timer", "[Timer]\nOnBootSec=1\n");
        assert_eq!(root.problems(), [""; 0], "before {path}");
        root.file(path, text);
        assert_eq!(root.problems(), ["/etc/systemd/system/wake.service:2"], "by {path}");
    }
}

#[test]
fn a_drop_in_adds_to_a_unit_and_can_reset_it() {
    let root = Root::new();
    root.file("usr/lib/systemd/system/a.service", "[Service]\nExecStart=/bin/true\n");
    root.link("etc/systemd/system/x.target.wants/a.service", "../a.service");
    root.file(
        "etc/systemd/system/a.service.d/on.conf",
        "[Service]\nExecStartPost=/opt/on.sh now\n",
    );
    root.file(
        "opt/on.sh",
        "#!/bin/sh\nfor c in /sys/devices/system/cpu/cpu*; do\n  echo 1 > $c/online\ndone\n",
    );
    assert_eq!(root.problems(), ["/etc/systemd/system/a.service.d/on.conf:2"]);
    assert!(root.said("problem")[0].contains("line 3 of /opt/on.sh"), "{:?}", root.said("problem"));
    root.file("etc/systemd/system/a.service.d/zero.conf", "[Service]\nExecStartPost=\n");
    assert_eq!(root.problems(), [""; 0]);
}

#[test]
fn boot_scripts_cron_jobs_and_settings_are_examined() {
    for (path, text) in [
        ("etc/rc.local", format!("#!/bin/sh\n{ONLINE}\n")),
        ("etc/crontab", format!("# at boot\n@reboot root {ONLINE}\n")),
        ("etc/cron.d/wake", "\n* * * * * root chcpu -e 1\n".to_owned()),
        ("var/spool/cron/crontabs/root", format!("\n@reboot {ONLINE}\n")),
        ("etc/init.d/wake", format!("#!/bin/sh\n{ONLINE}\n")),
        ("etc/cloud/cloud.cfg.d/50.cfg", format!("runcmd:\n  - {ONLINE}\n")),
        ("usr/lib/tuned/profiles/x/script.sh", format!("#!/bin/sh\n{ONLINE}\n")),
        (
            "usr/lib/tuned/x/tuned.conf",
            "[sysfs]\n/sys/devices/system/cpu/cpu1/online=1\n".to_owned(),
        ),
        (
            "usr/lib/tmpfiles.d/x.conf",
            "\nw /sys/devices/system/cpu/cpu1/online - - - - 1\n".to_owned(),
        ),
        ("etc/sysfs.conf", "\ndevices/system/cpu/cpu1/online = 1\n".to_owned()),
    ] {
        let root = Root::new();
        root.file(path, &text);
        assert_eq!(root.problems(), [format!("/{path}:2")]);
    }
}

#[test]
fn a_script_with_many_names_is_reported_once() {
    let root = Root::new();
    root.file("etc/rc.d/init.d/wake", ONLINE);
    root.link("etc/init.d", "rc.d/init.d");
    root.link("etc/rc.d/rc3.d/S99wake", "../init.d/wake");
    assert_eq!(root.problems().len(), 1);
}

#[test]
fn an_inactive_tuned_profile_is_a_note() {
    let root = Root::new();
    root.file("usr/lib/tuned/wake/script.sh", ONLINE);
    root.file("etc/tuned/active_profile", "virtual-guest\n");
    assert_eq!(root.problems(), [""; 0]);
    assert_eq!(notes(&root, "the profile is not active"), 1);
    root.file("etc/tuned/active_profile", "wake\n");
    assert_eq!(root.problems(), ["/usr/lib/tuned/wake/script.sh:1"]);
}

#[test]
fn kernel_parameters_and_limits_are_notes() {
    let root = Root::new();
    let cpu = |name: &str| format!("sys/devices/system/cpu/{name}");
    root.file("proc/cmdline", "quiet nr_cpus=4 maxcpus=2 -- nosmt\n");
    root.file("proc/sys/kernel/osrelease", "6.1.0-42-amd64\n");
    for (name, list) in [
        ("possible", "0-3\n"),
        ("present", "0-3\n"),
        ("online", "0-1\n"),
        ("smt/control", "forceoff\n"),
    ] {
        root.file(&cpu(name), list);
    }
    assert_eq!(root.problems(), [""; 0]);
    for about in [
        "nr_cpus=4",
        "maxcpus=2",
        "Linux 6.1.0",
        "hyperthreads are forceoff",
        "no processor can be plugged in",
        "present and offline: 2-3",
    ] {
        assert_eq!(notes(&root, about), 1, "{about}: {:?}", root.said("note"));
    }
    assert_eq!(notes(&root, "nosmt"), 0, "nosmt after -- is for the first process");
    root.file(&cpu("possible"), "0-7\n");
    assert_eq!(notes(&root, "no processor can be plugged in"), 0);
}

#[test]
fn the_guest_agent_cannot_be_told_unless_it_may_not_switch_processors() {
    for forbids in [
        "block-rpcs=guest-exec,guest-set-vcpus",
        "BLACKLIST_RPC=guest-set-vcpus",
        "allow-rpcs=guest-ping",
    ] {
        let root = Root::new();
        root.file("usr/sbin/qemu-ga", "\u{7f}ELF\0");
        root.file("etc/qemu/qemu-ga.conf", &format!("[general]\n# {forbids}\n"));
        root.cannot_tell("the QEMU guest agent");
        root.file("etc/qemu/qemu-ga.conf", &format!("[general]\n{forbids}\n"));
        root.clear();
    }
}

#[test]
fn the_state_of_the_daemon_is_a_note() {
    let root = Root::new();
    assert_eq!((notes(&root, "is not running"), notes(&root, "no configuration")), (1, 1));
    root.file("etc/hotadd/hotadd.toml", "");
    root.file(
        "usr/lib/systemd/system/hotadd.service",
        "[Service]\nExecStart=/usr/bin/hotadd daemon\n",
    );
    assert_eq!(
        (notes(&root, "no configuration"), notes(&root, "hotadd.service is not enabled")),
        (0, 1)
    );
    root.link(
        "etc/systemd/system/multi-user.target.wants/hotadd.service",
        "/usr/lib/systemd/system/hotadd.service",
    );
    root.file("run/hotadd/.keep", "");
    let _listener = UnixListener::bind(root.path("run/hotadd/system")).unwrap();
    assert_eq!((notes(&root, "is not running"), notes(&root, "is not enabled")), (0, 0));
}
