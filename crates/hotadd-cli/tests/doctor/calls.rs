//! Programs called by other programs. The doctor follows calls as far as possible. Where it cannot follow
//! one, the answer is never "clear".

use std::fs;
use std::os::unix::fs::PermissionsExt;

use hotadd_testing::Need;
use rustix::fs::{CWD, Mode};

use crate::kit::Root;

const ONLINE: &str = "#!/bin/sh\necho 1 > /sys/devices/system/cpu/cpu1/online\n";

/// A root with this script or line, which calls `opt/wake`.
fn calling(path: &str, text: &str) -> Root {
    let root = Root::new();
    root.file(path, text);
    root.file("opt/wake", ONLINE);
    root
}

#[test]
fn a_called_script_is_followed_from_every_kind_of_caller() {
    for (path, text) in [
        ("etc/crontab", "* * * * * root /opt/wake\n"),
        ("etc/crontab", "PATH=/opt:/bin\n@reboot root nice wake\n"),
        ("var/spool/cron/crontabs/root", "1 2 3 4 5 cd / && /opt/wake\n"),
        ("etc/anacrontab", "1 5 job /opt/wake\n"),
        ("etc/cron.daily/x", "#!/bin/sh\n/opt/wake\n"),
        ("etc/rc.local", "#!/bin/sh\nif true; then sh /opt/wake; fi\n"),
        ("etc/rc.d/rc.local", "#!/bin/sh\n. /opt/wake\n"),
        ("etc/init.d/x", "#!/bin/sh\ncase $1 in start) exec /opt/wake ;; esac\n"),
        ("etc/inittab", "::sysinit:/opt/wake\n"),
        ("etc/hotplug.d/net/10-x", "( /opt/wake ) &\n"),
        ("etc/hotplug.d/cpu/10-x", "/opt/wake\n"),
        ("etc/mdev.conf", "cpu.* 0:0 600 @/opt/wake\n"),
        ("etc/mdev.conf", "$SUBSYSTEM=cpu;.* 0:0 600 */opt/wake\n"),
        ("etc/acpi/events/x", "event=processor.*\naction=/opt/wake %e\n"),
        ("proc/sys/kernel/hotplug", "/opt/wake\n"),
        ("usr/lib/systemd/system-sleep/x", "#!/bin/sh\n/opt/wake\n"),
        ("etc/NetworkManager/dispatcher.d/x", "#!/bin/sh\nx=$(/opt/wake)\n"),
        ("etc/udev/rules.d/9.rules", "SUBSYSTEM==\"cpu\", RUN+=\"/bin/sh /opt/wake\"\n"),
        ("etc/systemd/system/sysinit.target", "[Unit]\n"),
    ] {
        let root = calling(path, text);
        if path.ends_with(".target") {
            root.clear();
            root.file(
                "etc/systemd/system/x.service",
                "[Service]\nExecStartPre=-/bin/sh -c \"/opt/wake\"\n",
            );
            root.link("etc/systemd/system/sysinit.target.wants/x.service", "../x.service");
        }
        assert_eq!(root.problems().len(), 1, "{path}: {text}: {:?}", root.seen().findings);
        let said = root.said("problem");
        assert!(said[0].contains("/opt/wake"), "{path}: it names the script: {said:?}");
    }
}

#[test]
fn every_form_of_call_in_a_shell_script_is_followed() {
    for line in [
        "P=/opt/wake; $P",
        "export P=/opt; \"$P/wake\"",
        "for p in /bin/true /opt/wake; do $p; done",
        "${P:-/opt/wake}",
        "eval /opt/wake",
        "D=/opt; P=$D/wake; f() { eval \"$P\"; }; eval f",
        "trap '/opt/wake' EXIT",
        "bash -ec '/opt/wake now'",
        "sudo -u root env A=b /opt/wake",
        "find / -name x -exec /opt/wake {} +",
        "echo x | xargs /opt/wake",
        "run() { /opt/wake; }; run",
        "run-parts /opt",
        "flock /run/lock -c /opt/wake",
        "timeout 10 setsid /opt/wake",
        "start-stop-daemon --start --exec /opt/wake",
        "true && { false || /opt/wake; }",
        "x=`/opt/wake`",
        "cat <<E\n$(/opt/wake)\nE",
        "/usr/bin/agent --hook=/opt/wake",
        "[[ -e /x && $(/opt/wake) ]]",
        "for f in /opt/*; do $f; done",
        "/opt/wak?",
        "alias x=/opt/wake; x",
        "ip netns exec x /opt/wake",
        "taskset -c 0 /opt/wake",
    ] {
        let root = calling("etc/rc.local", &format!("#!/bin/sh\n{line}\n"));
        assert_eq!(root.seen().answer, "problem", "{line}: {:?}", root.seen().findings);
    }
}

#[test]
fn a_call_that_depends_on_the_run_time_cannot_be_told() {
    for line in [
        "$P",
        "\"$@\"",
        "$(cat /etc/program)",
        "P=$(cat /etc/program); exec $P",
        "read p; $p",
        "eval \"$(cat /etc/program)\"",
        "cat /etc/program | sh",
        "sh <<E\nx\nE",
        "sh -c \"$X\"",
        ". $X",
        "sudo $X",
        "echo 1 > $X/online",
        "echo 1 > $1",
        "cd /srv; ./unknown",
        "python3 -m agent",
        "python3 -c 'import agent'",
        "systemctl start $X",
        "echo 'open",
        "/opt/{wake,other}",
        "/o*/wake",
        "echo 1 | tee $X",
        "perl -e 'print 1'",
        "echo /opt/wake | at now",
        "make -C /opt",
        "alias x=$Y",
        "/usr/bin/agent /sys/devices/system/cpu/cpu1/online",
    ] {
        let root = Root::new();
        root.file("etc/rc.local", &format!("#!/bin/sh\n{line}\n"));
        assert_eq!(root.seen().answer, "cannot tell", "{line}: {:?}", root.seen().findings);
        let finding = &root.seen().findings[0];
        assert!(
            !finding["do"].as_str().unwrap().is_empty(),
            "the finding says what to do: {finding}"
        );
    }
}

#[test]
fn a_unit_is_found_under_all_its_names_and_with_its_drop_ins() {
    let unit = "usr/lib/systemd/system/a-b.service";
    let wants = "etc/systemd/system/multi-user.target.wants";
    let started = |exec: &str| {
        let root = Root::new();
        root.file(unit, &format!("[Service]\nExecStart={exec}\n"));
        root.file("opt/wake", ONLINE);
        root.link(&format!("{wants}/a-b.service"), "../a-b.service");
        root
    };
    for place in ["service.d", "a-.service.d", "a-b.service.d"] {
        let root = started("/bin/true");
        root.clear();
        root.file(
            &format!("etc/systemd/system/{place}/x.conf"),
            "[Service]\nExecStartPre=/opt/wake\n",
        );
        assert_eq!(root.problems(), [format!("/etc/systemd/system/{place}/x.conf:2")]);
    }
    // By another name, by D-Bus, and as a transient unit.
    let root = Root::new();
    root.file(unit, "[Service]\nExecStart=/opt/wake\n");
    root.file("opt/wake", ONLINE);
    root.clear();
    root.link("etc/systemd/system/other.service", "/usr/lib/systemd/system/a-b.service");
    root.link(&format!("{wants}/other.service"), "../other.service");
    assert_eq!(root.problems(), [format!("/{unit}:2")]);
    let root = Root::new();
    root.file(unit, "[Service]\nExecStart=/opt/wake\n");
    root.file("opt/wake", ONLINE);
    root.file(
        "usr/share/dbus-1/system-services/x.service",
        "[D-BUS Service]\nName=x\nSystemdService=a-b.service\n",
    );
    assert_eq!(root.problems(), [format!("/{unit}:2")]);
    let root = Root::new();
    root.file("run/systemd/transient/run-1.service", "[Service]\nExecStart=/opt/wake\n");
    root.file("opt/wake", ONLINE);
    assert_eq!(root.problems(), ["/run/systemd/transient/run-1.service:2"]);
    // The caller is known to systemd only.
    started("/opt/%i").cannot_tell("calls a program whose name is unknown");
    let root = started("/bin/true");
    root.file("etc/systemd/system/a-b.service.d/x.conf", "[Service]\nRootDirectory=/srv/other\n");
    root.cannot_tell("runs programs in another root");
}

#[test]
fn a_script_is_examined_again_with_other_variables() {
    let root = calling("opt/job", "#!/bin/sh\nwake\n");
    root.file("etc/cron.d/a", "* * * * * root /opt/job\n");
    root.clear();
    root.file("etc/cron.d/b", "PATH=/opt\n* * * * * root /opt/job\n");
    assert_eq!(root.problems(), ["/etc/cron.d/b:2"]);
}

#[test]
fn programs_configured_for_the_kernel_or_modprobe_are_examined() {
    let root = Root::new();
    root.file("proc/cmdline", "quiet init=/sbin/init root=/dev/vda\n");
    root.clear();
    root.file("proc/cmdline", "quiet init=/opt/init\n");
    root.cannot_tell("init=/opt/init");
    let root = calling("etc/modprobe.d/x.conf", "install foo /opt/wake; /sbin/modprobe -i foo\n");
    assert_eq!(root.problems(), ["/etc/modprobe.d/x.conf:1"]);
}

#[test]
fn hotadds_own_daemon_is_not_a_problem() {
    let root = Root::new();
    root.program("usr/bin/hotadd", "/sys/devices/system/cpu/cpu%d/online");
    root.file("etc/systemd/system/hotadd.service", "[Service]\nExecStart=/usr/bin/hotadd daemon\n");
    root.link("etc/systemd/system/multi-user.target.wants/hotadd.service", "../hotadd.service");
    root.clear();
}

#[test]
fn usual_scripts_are_clear() {
    for text in [
        "exit 0",
        "[ -x /usr/sbin/foo ] || exit 0\n/usr/sbin/foo --daily > /dev/null 2>&1",
        "DAEMON=/usr/sbin/foo\ncase \"$1\" in\n start) $DAEMON -f;;\n *) echo \"usage: $0\";;\nesac",
        "log() { logger -t x \"$1\"; }\nlog hello\nfor f in /var/log/*.log; do gzip \"$f\"; done",
        "n=$(cat /sys/devices/system/cpu/online); echo \"$n\" > /run/cpus",
        "echo 0 > /sys/devices/system/cpu/cpu1/online",
        "if ! grep -q x /proc/cmdline; then umask 077; mkdir -p /run/x; fi",
        "cat > /etc/issue <<E\nwelcome to $HOSTNAME\nE",
    ] {
        let root = Root::new();
        root.program("usr/sbin/foo", "foo");
        root.file("etc/rc.local", &format!("#!/bin/sh\n{text}\n"));
        assert_eq!(root.seen().answer, "clear", "{text}: {:?}", root.seen().findings);
    }
}

#[test]
fn compiled_programs_are_searched_and_local_ones_are_never_clear() {
    let call = |path: &str, text: &str| {
        let root = Root::new();
        root.file("etc/cron.d/x", &format!("* * * * * root /{path}\n"));
        root.program(path, text);
        root
    };
    call("usr/sbin/foo", "foo").clear();
    call("usr/sbin/foo", "/sys/devices/system/cpu/cpu%d/online")
        .cannot_tell("it contains the path of processors' online files");
    call("usr/sbin/foo", "UPX!").cannot_tell("it is packed (UPX)");
    call("opt/foo", "foo").cannot_tell("not in a folder of the distribution");
    let root = Root::new();
    root.file("etc/cron.d/x", "* * * * * root /usr/sbin/foo\n");
    root.file("usr/sbin/foo", "\u{7f}ELF\0");
    root.cannot_tell("not an ELF program");
    // A name in the distribution's folder that leads out of it.
    let root = Root::new();
    root.file("etc/cron.d/x", "* * * * * root /usr/sbin/foo\n");
    root.program("opt/foo", "foo");
    root.link("usr/sbin/foo", "/opt/foo");
    root.cannot_tell("/usr/sbin/foo");
}

#[test]
fn scripts_that_call_each_other_in_a_ring_or_too_deeply_are_not_followed_forever() {
    let root = Root::new();
    root.file("etc/rc.local", "#!/bin/sh\n/opt/a\n");
    root.file("opt/a", "#!/bin/sh\n/opt/b\n");
    root.file("opt/b", "#!/bin/sh\n/opt/a; . /opt/b; exec /etc/rc.local\n");
    root.clear();
    for n in 0..20 {
        root.file(&format!("opt/s{n}"), &format!("#!/bin/sh\n/opt/s{}\n", n + 1));
    }
    root.file("opt/s20", ONLINE);
    root.file("etc/rc.local", "#!/bin/sh\n/opt/s0\n");
    root.cannot_tell("is called through more than 8 other scripts");
}

#[test]
fn pipes_devices_and_unreadable_files_do_not_block_and_are_not_clear() {
    let root = Root::new();
    root.file("etc/rc.local", "#!/bin/sh\n/opt/pipe\n");
    root.file("opt/x", "");
    rustix::fs::mkfifoat(CWD, root.path("opt/pipe"), Mode::RUSR | Mode::WUSR).unwrap();
    root.cannot_tell("/opt/pipe is not a regular file");
    if !Need::AnotherUser.is_met("what may not be read is not clear") {
        return;
    }
    let root = calling("etc/rc.local", "#!/bin/sh\n/opt/wake\n");
    fs::set_permissions(root.path("opt/wake"), fs::Permissions::from_mode(0o000)).unwrap();
    root.cannot_tell("/opt/wake cannot be read");
    let root = calling("etc/cron.daily/x", "#!/bin/sh\nexit 0\n");
    fs::set_permissions(root.path("etc/cron.daily"), fs::Permissions::from_mode(0o000)).unwrap();
    root.cannot_tell("not examined");
    fs::set_permissions(root.path("etc/cron.daily"), fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn an_init_script_with_a_unit_of_the_same_name_is_not_followed() {
    let root = Root::new();
    root.file("etc/init.d/foo", "#!/bin/sh\n\"$@\"\n");
    root.cannot_tell("line 2 of /etc/init.d/foo");
    root.file("usr/lib/systemd/system/foo.service", "[Service]\nExecStart=/bin/true\n");
    root.cannot_tell("line 2 of /etc/init.d/foo");
    // On a systemd machine the unit runs in place of the script.
    fs::create_dir_all(root.path("run/systemd/system")).unwrap();
    root.clear();
    root.file("etc/init.d/foo", ONLINE);
    assert_eq!(
        root.problems(),
        ["/etc/init.d/foo:2"],
        "a problem in the script itself is reported"
    );
}
