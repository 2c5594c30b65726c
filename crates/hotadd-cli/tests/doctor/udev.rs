//! udev rules in the forms that distributions use, and udev's precedence of files.

use crate::kit::Root;

/// A rule on its own, beside others for memory: the form of RHEL's 40-redhat.rules.
pub const REDHAT: &str = "\
# Processors
ACTION==\"add\", SUBSYSTEM==\"cpu\", ATTR{online}==\"0\", TEST==\"online\", ATTR{online}=\"1\"

# Memory, but not everywhere
SUBSYSTEM!=\"memory\", GOTO=\"behind\"
PROGRAM=\"/bin/arch\", RESULT==\"s390x\", GOTO=\"behind\"
ACTION==\"add\", ATTR{state}=\"online\"
LABEL=\"behind\"
";

/// A rule for some hypervisors only: the form of Ubuntu's 40-vm-hotadd.rules.
const UBUNTU: &str = "\
ATTR{[dmi/id]sys_vendor}==\"Xen\", GOTO=\"here\"
ATTR{[dmi/id]product_name}==\"Virtual Machine\", ATTR{[dmi/id]sys_vendor}==\"Microsoft*\", GOTO=\"here\"
GOTO=\"end\"
LABEL=\"here\"
ACTION==\"add\", SUBSYSTEM==\"memory\", ATTR{state}=\"online\"
ACTION==\"add\", SUBSYSTEM==\"cpu\", DEVPATH==\"/devices/system/cpu/cpu[0-9]*\", \\
  # where there is a switch
  TEST==\"online\", ATTR{online}!=\"1\", ATTR{online}=\"1\"
LABEL=\"end\"
";

/// Rules with labels and jumps: the form of SUSE's 80-hotplug-cpu-mem.rules.
const SUSE: &str = "\
SUBSYSTEM==\"cpu\", GOTO=\"cpu\"
SUBSYSTEM==\"memory\", GOTO=\"memory\"
GOTO=\"end\"
LABEL=\"cpu\"
ACTION==\"add\", ATTR{online}=\"1\", GOTO=\"end\"
LABEL=\"memory\"
ACTION==\"add\", ATTR{state}=\"online\"
LABEL=\"end\"
";

/// A rule that runs a program: the form of the rules for Xen guests.
const XEN: &str = "\
ACTION==\"add\", SUBSYSTEM==\"cpu\", RUN+=\"/bin/sh -c 'test -e /sys$devpath/online && echo 1 >/sys$devpath/online'\"
";

const LIB: &str = "usr/lib/udev/rules.d";

#[track_caller]
fn check(files: &[(&str, &str)], expected: &[&str]) {
    let root = Root::new();
    for (path, text) in files {
        root.file(path, text);
    }
    assert_eq!(root.problems(), expected, "{files:?}");
}

#[test]
fn every_distributions_form_is_found_with_file_and_line() {
    for (name, text, line) in [
        ("40-redhat.rules", REDHAT, 2),
        ("40-vm-hotadd.rules", UBUNTU, 6),
        ("80-hotplug-cpu-mem.rules", SUSE, 5),
        ("z10_xen-vcpu-hotplug.rules", XEN, 1),
    ] {
        let path = format!("{LIB}/{name}");
        check(&[(&path, text)], &[&format!("/{path}:{line}")]);
    }
}

#[test]
fn a_rule_for_another_hypervisor_is_not_a_problem() {
    let rules = format!("{LIB}/40-vm-hotadd.rules");
    for (vendor, problems) in [("QEMU\n", 0), ("Xen\n", 1)] {
        let root = Root::new();
        root.file(&rules, UBUNTU);
        root.file("sys/class/dmi/id/sys_vendor", vendor);
        assert_eq!(root.problems().len(), problems, "on {vendor}");
    }
}

#[test]
fn a_rule_for_an_architecture_is_judged_by_the_system_below_the_root() {
    let rule =
        "CONST{arch}==\"s390*\", SUBSYSTEM==\"cpu\", ATTR{configure}=\"1\", ATTR{online}=\"1\"\n";
    let root = Root::new();
    root.file(&format!("{LIB}/41-cpu.rules"), rule);
    for (machine, problems) in [(62, 0), (22, 1)] {
        let mut program = vec![0; 64];
        program[..6].copy_from_slice(b"\x7fELF\x02\x02");
        program[19] = machine;
        root.bytes("bin/sh", &program);
        assert_eq!(root.problems().len(), problems, "a system for {machine}");
    }
}

#[test]
fn a_file_overrides_files_of_the_same_name_in_later_folders() {
    let (usr, run) = (format!("{LIB}/40-x.rules"), "run/udev/rules.d/40-x.rules");
    let harmless = "SUBSYSTEM==\"cpu\", SYMLINK+=\"x\"\n";
    check(&[(&usr, XEN), (run, harmless)], &[]);
    check(&[(&usr, harmless), (run, XEN)], &["/run/udev/rules.d/40-x.rules:1"]);
    check(&[(run, XEN), ("etc/udev/rules.d/40-x.rules", harmless)], &[]);
    check(
        &[(run, XEN), ("etc/udev/rules.d/41-x.rules", harmless)],
        &["/run/udev/rules.d/40-x.rules:1"],
    );
    check(&[("usr/local/lib/udev/rules.d/40-x.rules", harmless), (&usr, XEN)], &[]);
}

#[test]
fn a_rules_file_is_masked_by_a_link_to_dev_null_or_an_empty_file() {
    let root = Root::new();
    root.file(&format!("{LIB}/40-x.rules"), XEN);
    root.link("etc/udev/rules.d/40-x.rules", "/dev/null");
    assert_eq!(root.problems(), [""; 0]);
    let root = Root::new();
    root.file(&format!("{LIB}/40-x.rules"), XEN);
    root.file("etc/udev/rules.d/40-x.rules", "");
    assert_eq!(root.problems(), [""; 0]);
}

#[test]
fn a_file_is_reported_once_if_lib_is_a_link() {
    let root = Root::new();
    root.file(&format!("{LIB}/40-x.rules"), XEN);
    root.link("lib", "usr/lib");
    assert_eq!(root.problems(), [format!("/{LIB}/40-x.rules:1")]);
    let root = Root::new();
    root.file("lib/udev/rules.d/40-x.rules", XEN);
    assert_eq!(
        root.problems(),
        ["/lib/udev/rules.d/40-x.rules:1"],
        "if /lib is a folder, its file is found too"
    );
}

#[test]
fn files_with_other_names_are_not_rules() {
    for name in ["40-x.rules.bak", "README", ".40-x.rules"] {
        check(&[(&format!("{LIB}/{name}"), XEN)], &[]);
    }
}

#[test]
fn a_script_run_by_a_rule_is_examined() {
    let rule = "SUBSYSTEM==\"cpu\", ACTION==\"add\", RUN+=\"hotplug-helper %k\"\n";
    let script = "#!/bin/sh\n# on\necho 1 > \"/sys$DEVPATH/online\"\n";
    let root = Root::new();
    root.file(&format!("{LIB}/50-x.rules"), rule);
    root.file("usr/lib/udev/hotplug-helper", script);
    let seen = root.seen();
    assert_eq!(root.problems(), [format!("/{LIB}/50-x.rules:1")]);
    let what = seen.findings[0]["what"].as_str().unwrap();
    assert!(what.contains("/usr/lib/udev/hotplug-helper") && what.contains("line 3"), "{what}");
}

#[test]
fn a_program_that_cannot_be_read_cannot_be_told() {
    let root = Root::new();
    root.file(&format!("{LIB}/50-x.rules"), "SUBSYSTEM==\"cpu\", RUN+=\"/opt/helper %k\"\n");
    root.file("opt/helper", "\u{7f}ELF\0");
    root.cannot_tell("/opt/helper");
}

#[test]
fn an_unintelligible_rule_about_processors_is_not_clear() {
    let root = Root::new();
    root.file(&format!("{LIB}/50-x.rules"), "SUBSYSTEM==\"cpu\", ATTR{online}=1\n");
    root.cannot_tell("a rule cannot be parsed");
}
