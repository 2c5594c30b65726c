//! The command `hotadd`, statically linked, in guests.

use std::time::Duration;

use lab::Kernel;

use crate::common::{bring_up, cpu, lab, on_each_kernel, text};

const LIMIT: Duration = Duration::from_secs(60);

on_each_kernel!(
    a_command_runs_in_a_partition_of_a_guest,
    a_partition_answers_requests_while_the_guest_gets_a_processor,
    root_runs_a_command_in_a_cpuset_that_is_removed_afterwards,
);

fn a_command_runs_in_a_partition_of_a_guest(kernel: Kernel) {
    let guest = lab(kernel).program("hotadd").unwrap().cpus(2, 8).boot().unwrap();
    let ran = guest.run(&["hotadd", "run", "--", "true"]).unwrap();
    assert!(ran.status.success(), "{kernel}: {}", text(&ran.stderr));
    let script = "exit $(($(nproc) + 10))";
    let ran = guest.run(&["hotadd", "run", "--add", "none", "--", "sh", "-c", script]).unwrap();
    assert_eq!(ran.status.code(), Some(11), "it has one of two processors: {}", text(&ran.stderr));
}

fn a_partition_answers_requests_while_the_guest_gets_a_processor(kernel: Kernel) {
    let guest = lab(kernel).program("hotadd").unwrap().cpus(2, 8).boot().unwrap();
    let script = "echo up > /tmp/up; until [ -e /tmp/end ]; do sleep 0.1; done";
    guest.run(&["mkfifo", "/tmp/up"]).unwrap();
    // A processor that appears waits for a request.
    let run = "hotadd run --name demo --add none --follow no -- sh -c".split(' ');
    let run: Vec<&str> = run.chain([script]).collect();
    let pid = guest.start(&run, "/tmp/said").unwrap();
    // Reading ends when the command has written, after the partition was created.
    assert_eq!(guest.run(&["cat", "/tmp/up"]).unwrap().stdout, b"up\n");

    let status = || {
        let said = guest.run(&["hotadd", "status"]).unwrap();
        assert!(said.status.success(), "{kernel}: {}", text(&said.stderr));
        text(&said.stdout)
    };
    let before = status();
    assert!(before.contains("active: 0 ") && before.contains("added: 1\n"), "{before}");
    let added = guest.add_cpu(2).unwrap();
    guest.write(&cpu(&format!("cpu{added}/online")), "1").unwrap();
    let after = status();
    assert!(after.contains("added: 1-2\n"), "processor 2 is there to be added: {after}");
    assert!(after.contains("active: 0 "), "it has not joined without agreement (A1): {after}");
    let joined = guest.run(&["hotadd", "add", "1"]).unwrap();
    assert!(text(&joined.stdout).contains("processor 1 joined"), "{}", text(&joined.stderr));
    assert!(status().contains("active: 0-1 "), "the one that joined is shown");

    guest.run(&["touch", "/tmp/end"]).unwrap();
    let ended = guest.wait(pid, LIMIT).unwrap();
    assert!(ended.success(), "{ended}: {}", guest.read("/tmp/said").unwrap());
}

fn root_runs_a_command_in_a_cpuset_that_is_removed_afterwards(kernel: Kernel) {
    let guest = lab(kernel).program("hotadd").unwrap().cpus(2, 8).boot().unwrap();
    bring_up(&guest, 2);
    let groups = || text(&guest.run(&["sh", "-c", "ls -d /cgroup/*/"]).unwrap().stdout);
    // The command waits for its set to grow, without which it would not end. It also tries to widen its mask,
    // without effect.
    let script = "until [ $(nproc) -gt 1 ]; do :; done; taskset -p 7 $$ > /dev/null
        grep Cpus_allowed_list /proc/self/status; cat /proc/self/cgroup";
    // The driver's process is in the cgroup too.
    let driver = "sample:veto=2,isolated";
    let run = ["hotadd", "run", "--driver", driver, "--json", "--", "sh", "-c", script];
    let ran = guest.run(&run).unwrap();
    let (events, said) = (text(&ran.stdout), text(&ran.stderr));
    assert!(ran.status.success(), "{kernel}: {said}");
    let first = events.lines().next().unwrap();
    let cgroup = said.lines().find_map(|line| line.strip_prefix("0::")).unwrap();
    assert!(first.contains(r#""hardware":"cpuset","active":"0","add":"1-2""#), "{first}");
    assert!(first.contains(&format!(r#""cgroup":"/cgroup{cgroup}""#)), "{cgroup}: {first}");
    assert!(
        said.contains("Cpus_allowed_list:\t0-1\n"),
        "{kernel}: it has what was agreed to: {said}"
    );
    assert_eq!(groups(), "", "{kernel}: the cgroup is gone");

    let over = |what: &str| guest.run(&["hotadd", "run", "--over", what, "--", "true"]).unwrap();
    let said = text(&over("affinity").stderr);
    assert!(said.contains("(affinity processors)\n"), "{kernel}: asked for: {said}");
    let said = text(&over("cpuset").stderr);
    assert!(said.contains("(cpuset processors of /cgroup/hotadd-run."), "{kernel}: {said}");
    let confined = guest.run(&["taskset", "1", "hotadd", "run", "--", "true"]).unwrap();
    let said = text(&confined.stderr);
    let why = "(affinity processors; no cpuset: this process and its children are confined to 0 by its \
     affinity mask";
    assert!(said.contains(why), "{kernel}: {said}");

    // Killed without cleaning up.
    guest.run(&["mkfifo", "/tmp/up"]).unwrap();
    let script = "echo $$ > /tmp/up; exec sleep 1000";
    let pid = guest.start(&["hotadd", "run", "--", "sh", "-c", script], "/tmp/said").unwrap();
    let command = text(&guest.run(&["cat", "/tmp/up"]).unwrap().stdout);
    guest.signal(pid, rustix::process::Signal::KILL.as_raw()).unwrap();
    guest.wait(pid, LIMIT).unwrap();
    let script = format!("while kill -0 {} 2> /dev/null; do :; done", command.trim());
    assert!(guest.run(&["sh", "-c", &script]).unwrap().status.success(), "the command ends too");
    assert_ne!(groups(), "", "{kernel}: this is what a kill leaves");
    assert!(over("cpuset").status.success());
    assert_eq!(groups(), "", "{kernel}: and the next run removes it");
}
