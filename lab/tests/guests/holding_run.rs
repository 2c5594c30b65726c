//! `hotadd run` on real kernels, started on all online processors: later processors are added and used by the
//! command only with the agreement of all parties. With masks, with a cpuset, and inside of a service that
//! systemd confines.

use std::time::{Duration, Instant};

use lab::{Guest, Kernel};

use crate::common::daemon::{put, until};
use crate::common::holder::{LIMIT, ids, masks};
use crate::common::{bring_up, cpu, lab, on_each_kernel, text};

on_each_kernel!(a_command_started_on_all_processors_uses_only_agreed_ones);

/// Linux 6.12 is the kernel that keeps masks. The other one takes a minute longer, and is tested with the long tests.
mod confined {
    #[test]
    fn a_service_confined_by_systemd_uses_only_agreed_processors() {
        super::a_service_confined_by_systemd_uses_only_agreed_processors(lab::Kernel::V6_12);
    }

    #[cfg(feature = "long")]
    #[test]
    fn a_service_on_linux_6_1_uses_only_agreed_processors() {
        super::a_service_confined_by_systemd_uses_only_agreed_processors(lab::Kernel::V6_1);
    }
}

/// The file with the output of `hotadd run --json`.
const SAID: &str = "/tmp/run";

/// The command: busy loops, which end with it. They have the lowest priority: in an emulated machine, all others would be slow beside
/// them.
const LOOPS: &str = "renice -n 19 -p $$ > /dev/null
for i in 1 2 3 4; do (while :; do :; done) & done; echo $$ > /tmp/command
while [ ! -e /tmp/end ]; do sleep 0.2; done; kill $(jobs -p)";

fn a_command_started_on_all_processors_uses_only_agreed_ones(kernel: Kernel) {
    let lab = lab(kernel).program("hotadd").unwrap();
    let guest = lab.program("lab-holder").unwrap().cpus(2, 8).boot().unwrap();
    bring_up(&guest, 2);
    put(&guest, LOOPS, "/tmp/loops");
    let begin = |over: &str| {
        run(&guest, "rm -f /tmp/end /tmp/command; mkfifo /tmp/command");
        let words =
            "hotadd run --start 0-2 --add none --driver sample:veto=3 --name x --json --over";
        let argv: Vec<&str> = words.split(' ').chain([over, "--", "sh", "/tmp/loops"]).collect();
        let pid = guest.start(&argv, SAID).unwrap();
        (pid, Command::begun(&guest))
    };
    let end = |pid: u32| {
        run(&guest, "touch /tmp/end");
        let ended = guest.wait(pid, LIMIT).unwrap();
        assert!(ended.success(), "{kernel}: {ended}: {}", guest.read(SAID).unwrap());
    };

    let (pid, command) = begin("cpuset");
    command.runs_within(kernel, "0-2", "at the beginning, over a cpuset");
    for id in [3, 4] {
        assert_eq!(guest.add_cpu(id).unwrap() as usize, id);
    }
    guest.write(&cpu("cpu3/online"), "1").unwrap();
    command.runs_within(kernel, "0-2", "3 is plugged in and online, over a cpuset");
    refused(&guest, 3);
    guest.write(&cpu("cpu4/online"), "1").unwrap();
    joined(kernel, &guest, 4);
    command.comes_to(kernel, 4);
    command.runs_within(kernel, "0-2,4", "4 has joined, over a cpuset");
    end(pid);

    for id in [3, 4] {
        guest.write(&cpu(&format!("cpu{id}/online")), "0").unwrap();
    }
    let (pid, command) = begin("affinity");
    command.runs_within(kernel, "0-2", "at the beginning, over masks");
    guest.write(&cpu("cpu3/online"), "1").unwrap();
    command.runs_within(kernel, "0-2", "3 comes online, over masks");
    refused(&guest, 3);
    guest.write(&cpu("cpu4/online"), "1").unwrap();
    joined(kernel, &guest, 4);
    command.comes_to(kernel, 4);
    command.runs_within(kernel, "0-2,4", "4 has joined, over masks");
    end(pid);
}

fn a_service_confined_by_systemd_uses_only_agreed_processors(kernel: Kernel) {
    let lab = lab(kernel).debian().unwrap().program("hotadd").unwrap();
    let lab = lab.program("lab-holder").unwrap();
    // The second one is plugged in here, so that all guests with Debian's userland share a saved state.
    let guest = lab.cpus(1, 8).boot().unwrap();
    assert_eq!(guest.add_cpu(1).unwrap(), 1);
    guest.write(&cpu("cpu1/online"), "1").unwrap();
    put(&guest, LOOPS, "/tmp/loops");
    for over in ["cpuset", "affinity"] {
        run(&guest, "rm -f /tmp/end /tmp/command; mkfifo /tmp/command");
        // All online processors, in its own cgroup if one can be made.
        let service = format!(
            "rm -f {SAID}; systemd-run --quiet --unit={over} -pAllowedCPUs=0-1 -pDelegate=yes \
             -pStandardOutput=append:{SAID} -pStandardError=append:{SAID} hotadd run --over {over} \
             --start 0-1 --add none --driver sample:veto=2 --json -- sh /tmp/loops"
        );
        run(&guest, &service);
        let command = Command::begun(&guest);
        let allow = |list: &str| {
            run(&guest, &format!("systemctl set-property --runtime {over} AllowedCPUs={list}"));
        };
        command.runs_within(kernel, "0-1", &format!("in a service, over {over}"));
        for id in [2, 3] {
            if over == "cpuset" {
                assert_eq!(guest.add_cpu(id).unwrap() as usize, id);
            }
            guest.write(&cpu(&format!("cpu{id}/online")), "1").unwrap();
        }
        // The service may not run there, even if all parties agreed.
        command.runs_within(kernel, "0-1", &format!("2-3 come online, over {over}"));
        allow("0-2");
        refused(&guest, 2);
        command.comes_to_rest(kernel, "0-1", &format!("AllowedCPUs=0-2, over {over}"));
        allow("0-3");
        joined(kernel, &guest, 3);
        command.comes_to(kernel, 3);
        command.comes_to_rest(kernel, "0-1,3", &format!("AllowedCPUs=0-3, over {over}"));
        run(&guest, "touch /tmp/end");
        let over_at = format!("until ! systemctl is-active --quiet {over}; do sleep 0.1; done");
        run(&guest, &over_at);
        for id in [2, 3] {
            guest.write(&cpu(&format!("cpu{id}/online")), "0").unwrap();
        }
    }
}

/// The command and its loops.
struct Command<'a> {
    guest: &'a Guest,
    processes: Vec<u32>,
}

/// The masks of its processes, and the processors on which they ran.
#[derive(Debug)]
struct Seen {
    masks: Vec<String>,
    /// The number of samples on each processor.
    on: Vec<(u32, u32)>,
}

impl<'a> Command<'a> {
    /// Waits for the command.
    fn begun(guest: &'a Guest) -> Self {
        let shell: u32 = run(guest, "cat /tmp/command").trim().parse().unwrap();
        let children = guest.read(&format!("/proc/{shell}/task/{shell}/children")).unwrap();
        let loops = children.split_whitespace().map(|pid| pid.parse().unwrap());
        let processes: Vec<u32> = [shell].into_iter().chain(loops).collect();
        assert!(processes.len() >= 5, "the loops of {shell}: {children}");
        Self { guest, processes: processes[..5].to_vec() }
    }

    /// Samples many times.
    fn look(&self) -> Seen {
        let list: Vec<String> = self.processes[1..].iter().map(u32::to_string).collect();
        let script = format!("lab-holder look 200 {}", list.join(" "));
        let on = |line: &str| {
            let (id, times) = line.split_once(' ')?;
            Some((id.parse().ok()?, times.parse().ok()?))
        };
        let mut on: Vec<_> = run(self.guest, &script).lines().filter_map(on).collect();
        on.sort_unstable();
        let of = |pid: &u32| masks(self.guest, *pid).into_values();
        Seen { masks: self.processes.iter().flat_map(of).collect(), on }
    }

    /// Checks that every process runs, and may run, only there.
    fn runs_within(&self, kernel: Kernel, set: &str, when: &str) {
        let seen = self.look();
        println!("{kernel}: {when}: {seen:?}");
        let elsewhere: Vec<_> = seen.on.iter().filter(|(id, _)| !ids(set).contains(id)).collect();
        assert!(elsewhere.is_empty(), "{kernel}: {when}: it runs on {elsewhere:?}: {seen:?}");
        assert!(seen.are_within(set), "{kernel}: {when}: it may run outside of {set}: {seen:?}");
    }

    /// Waits until that holds: where Linux 6.1 resets masks, it takes until the next look.
    fn comes_to_rest(&self, kernel: Kernel, set: &str, when: &str) {
        let began = Instant::now();
        if kernel == Kernel::V6_1 {
            while !self.look().are_within(set) {
                assert!(began.elapsed() < LIMIT, "{kernel}: {when}: {:?}", self.look());
            }
        }
        self.runs_within(kernel, set, when);
    }

    /// Waits until a loop runs there.
    fn comes_to(&self, kernel: Kernel, id: u32) {
        let began = Instant::now();
        while !self.look().on.iter().any(|(on, _)| *on == id) {
            assert!(began.elapsed() < LIMIT, "{kernel}: it runs on {id}: {:?}", self.look());
        }
    }
}

impl Seen {
    fn are_within(&self, set: &str) -> bool {
        self.masks.iter().all(|mask| ids(mask).is_subset(&ids(set)))
    }
}

fn joined(kernel: Kernel, guest: &Guest, id: u32) {
    let line = until(guest, SAID, &format!("\"joined\",\"id\":{id},"));
    assert!(!line.contains("\"agreed\":false"), "{kernel}: {id} joined by agreement: {line}");
}

fn refused(guest: &Guest, id: u32) {
    let by = "\"event\":\"refused\",\"driver\":\"sample\",\"level\":0";
    until(guest, SAID, &format!("{by},\"id\":{id},"));
}

/// The output of a script, which must succeed.
fn run(guest: &Guest, script: &str) -> String {
    let script = format!("set -e; {script}");
    let ran = guest.run_within(Duration::from_secs(120), &["sh", "-c", &script]).unwrap();
    assert!(ran.status.success(), "{script}: {}", text(&ran.stderr));
    text(&ran.stdout)
}
