//! The environment of a program is exactly as documented.

use std::collections::BTreeMap;

use crate::fixture::{Fixture, LONG, Rig};

#[test]
fn a_program_gets_exactly_the_documented_environment() {
    let fixture = Fixture::new();
    // The environment that it was started with, before the shell changes it.
    let path = fixture.script(
        "hook",
        "tr '\\0' '\\n' </proc/$$/environ >$here/$1; pwd >$here/pwd; echo $# >$here/count",
    );
    let rig = Rig::new(&path, LONG);
    rig.add(3).unwrap();
    let text = fixture.read("add-start");
    let found: BTreeMap<_, _> = text.lines().map(|line| line.split_once('=').unwrap()).collect();
    let documented = BTreeMap::from([
        ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
        ("LANG", "C.UTF-8"),
        ("HOTADD_STATE", "add-start"),
        ("HOTADD_INDEX", "1"),
        ("HOTADD_GROUP", "0"),
        ("HOTADD_NUMBER", "1"),
        ("HOTADD_ID", "3"),
        ("HOTADD_EPOCH", "1"),
        ("HOTADD_STATUS", "0x00000000"),
        ("HOTADD_STATUS_NAME", "STATUS_SUCCESS"),
        ("HOTADD_SURPRISE", "0"),
        ("HOTADD_REPLAY", "0"),
    ]);
    assert_eq!(found, documented);
    assert_eq!(text.lines().count(), found.len());
    assert!(fixture.read("add-complete").contains("HOTADD_EPOCH=2\n"));
    assert_eq!((&*fixture.read("pwd"), &*fixture.read("count")), ("/\n", "2\n"));
}

#[test]
fn a_program_inherits_none_of_our_descriptors() {
    let fixture = Fixture::new();
    // A descriptor that would be inherited without our care.
    let ours = std::fs::File::open("/dev/zero").unwrap();
    let path = fixture.script("hook", "ls -l /proc/$$/fd >$here/fds");
    let rig = Rig::new(&path, LONG);
    rig.add(1).unwrap();
    drop(ours);
    let text = fixture.read("fds");
    let read = |line: &'static str| {
        let (rest, target) = line.split_once(" -> ")?;
        Some((rest.rsplit(' ').next()?, target))
    };
    let found: BTreeMap<_, _> = text.leak().lines().filter_map(read).collect();
    assert_eq!(found["0"], "/dev/null");
    assert!(found["2"].starts_with("pipe:"));
    // The shell holds its script, and its saved stdout while that is redirected.
    let stderr = std::fs::read_link("/proc/self/fd/2").unwrap();
    let shells = [path.to_str().unwrap(), stderr.to_str().unwrap()];
    for (fd, target) in found.iter().filter(|(fd, _)| !["0", "1", "2"].contains(*fd)) {
        assert!(shells.contains(target) || was_left_to_us(fd), "{fd} is {target}");
    }
}

/// Whether a descriptor was already open and inheritable when this process began; cargo leaves some.
fn was_left_to_us(fd: &str) -> bool {
    const CLOEXEC: u32 = 0o2_000_000;
    let info = std::fs::read_to_string(format!("/proc/self/fdinfo/{fd}")).unwrap_or_default();
    let flags = info.lines().find_map(|line| line.strip_prefix("flags:"));
    let flags = flags.and_then(|flags| u32::from_str_radix(flags.trim(), 8).ok());
    flags.is_some_and(|flags| flags & CLOEXEC == 0)
}

#[test]
fn a_program_leads_its_own_process_group() {
    let fixture = Fixture::new();
    let path = fixture.script("hook", "echo $$ $(cut -d' ' -f5 /proc/$$/stat) >$here/group");
    Rig::new(&path, LONG).add(1).unwrap();
    let text = fixture.read("group");
    let (pid, group) = text.trim().split_once(' ').unwrap();
    assert_eq!(pid, group);
}
