//! The functions with Windows' names and pages, as a program uses them: installed, found by pkg-config, linked by a C compiler.
#![cfg(target_os = "linux")]

mod common;

use std::fs::DirBuilder;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::DirBuilderExt;
use std::process::Stdio;

use common::{Installed, run, text};
use hotadd::hardware::Simulated;
use hotadd::{HardwareId, Partition};
use hotadd_service::Service;
use hotadd_testing::Need;

#[test]
fn a_c_program_is_notified_of_the_processors_of_its_own_process() {
    if !Need::FirstTwo.is_met("a C program on its own processors") {
        return;
    }
    let installed = Installed::new();
    let program = installed.build("example/percpu.c");
    let said = text(&run(&mut installed.command(&program)).stdout);
    let first = "processor 0 is coming: yes\nprocessor 0 is here, one of 1\n\
                 processor 1 is coming: yes\nprocessor 1 is here, one of 2\n";
    assert!(said.starts_with(first), "replay (R3), then the processor that was added (A5): {said}");

    let said = text(&run(installed.command(&program).arg("1")).stdout);
    let refused = "processor 1 is coming: no\n\
                   cpu1: percpu refused to add processor 1: memory or another resource is exhausted";
    assert!(said.contains(refused), "the veto by name, with its reason (A11): {said}");
    assert!(!said.contains("did not come"), "who vetoed is not told AddFailure (A3): {said}");

    let none = installed.command(&program).arg("0").output().unwrap();
    let said = text(&none.stderr);
    assert_eq!(none.status.code(), Some(1), "a refused replay leaves no registration (R4): {said}");
}

#[test]
fn a_c_program_is_notified_of_the_processors_of_another_process() {
    let installed = Installed::new();
    let program = installed.build("tests/c/connected.c");
    let simulated = Simulated::new(65, 4).unwrap();
    let partition = Partition::simulated(&simulated).unwrap();
    let folder = installed.prefix().join("hotadd");
    DirBuilder::new().mode(0o700).create(&folder).unwrap();
    let _service = Service::listen(&partition, "demo", &folder.join("demo")).unwrap();

    let nobody = installed.command(&program).arg("nobody").output().unwrap();
    let said = text(&nobody.stdout);
    assert!(said.starts_with("not connected: ") && said.contains("nobody"), "{said}");

    let mut command = installed.command(&program);
    command.arg("demo").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "registered", "and not connected a second time");
    partition.add(HardwareId(65)).unwrap();
    let refused = partition.add(HardwareId(66)).unwrap_err().to_string();
    drop(child.stdin.take());
    let said: Vec<String> = lines.map(Result::unwrap).collect();
    let expected = ["0 65 1:1 named of 65", "1 65 1:1 named of 66", "0 66 1:2 named of 66"];
    assert_eq!(
        said, expected,
        "names translate from AddStart on, counts change at AddComplete (A5)"
    );
    assert!(refused.starts_with("connected refused to add processor 66: "), "{refused}");
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    let stderr = text(&output.stderr);
    assert!(stderr.contains("no longer one (D2)"), "the second deregistering: {stderr}");
    assert!(
        stderr.contains("from inside a callback of this partition"),
        "registering inside (D3): {stderr}"
    );
    partition.add(HardwareId(66)).expect("nobody is left to refuse");
}

#[test]
fn a3_every_error_status_of_a_c_program_is_a_veto_and_no_other_status() {
    let installed = Installed::new();
    let program = installed.build("tests/c/statuses.c");
    let partition = Partition::simulated(&Simulated::new(1, 1).unwrap()).unwrap();
    let folder = installed.prefix().join("hotadd");
    DirBuilder::new().mode(0o700).create(&folder).unwrap();
    let _service = Service::listen(&partition, "demo", &folder.join("demo")).unwrap();
    let mut child = installed
        .command(&program)
        .args(["demo", "1"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let rest = [0, 1, 0x11, 0xFFFF, 0x1_0000, 0x0FFF_FFFF];
    let statuses: Vec<u32> =
        (0..16_u32).flat_map(|high| rest.map(|rest| high << 28 | rest)).collect();
    let lines: String = statuses.iter().map(|status| format!("{status:08X}\n")).collect();
    child.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
    let said = text(&child.wait_with_output().unwrap().stdout);
    let expected = statuses.iter().map(|status| {
        // A status that is not an error is not a veto (A2), and the processor joins.
        let came_to = if status.cast_signed() < 0 { *status } else { 0 };
        format!("{status:08X} {came_to:08X}\n")
    });
    assert_eq!(said, expected.collect::<String>(), "the status that it set, and that of the add");
}

#[test]
fn a_c_program_follows_a_partition_by_its_page() {
    let installed = Installed::new();
    let program = installed.build("tests/c/page.c");
    let partition = Partition::simulated(&Simulated::new(2, 2).unwrap()).unwrap();
    let folder = installed.prefix().join("hotadd");
    DirBuilder::new().mode(0o700).create(&folder).unwrap();

    let none = installed.command(&program).arg("demo").output().unwrap();
    let said = text(&none.stdout);
    assert!(said.starts_with("no page: cannot open ") && said.contains("demo.set"), "{said}");

    let service = Service::listen(&partition, "demo", &folder.join("demo")).unwrap();
    let mut child = installed.command(&program).arg("demo").stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let first: Vec<String> = lines.by_ref().take(4).collect();
    assert_eq!(first, ["NULL: 0 1 -1", "the same descriptor: 1", "epoch 1: 0 1", "unchanged: 0"]);
    partition.add(HardwareId(3)).unwrap();
    assert_eq!(lines.next().as_deref(), Some("epoch 2: 0 1 3"));
    partition.remove(HardwareId(0)).unwrap();
    assert_eq!(lines.next().as_deref(), Some("epoch 3: 1 3"));
    drop(service);
    assert_eq!(lines.next().as_deref(), Some("ended: the partition has ended"));
    assert!(child.wait().unwrap().success());
}

/// A partition of 2 active and 3 spare processors, under the name "demo" for programs of this installation.
fn demo(installed: &Installed) -> (Partition, Service) {
    let partition = Partition::simulated(&Simulated::new(2, 3).unwrap()).unwrap();
    let folder = installed.prefix().join("hotadd");
    DirBuilder::new().mode(0o700).create(&folder).unwrap();
    let service = Service::listen(&partition, "demo", &folder.join("demo")).unwrap();
    (partition, service)
}

#[test]
fn an_event_loop_follows_and_refuses_processors_of_another_process() {
    let installed = Installed::new();
    let program = installed.compile("gcc", &["-std=c99"], "tests/c/remote.c");
    let (partition, _service) = demo(&installed);
    let mut command = installed.command(&program);
    command.args(["demo", "3", "60000"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    assert_eq!(lines.next().unwrap(), "registered");
    partition.add(HardwareId(2)).unwrap();
    let refused = partition.add(HardwareId(3)).unwrap_err().to_string();
    assert!(
        refused.starts_with("remote refused to add processor 3: no room here"),
        "by name, and in its words (A11): {refused}"
    );
    partition.remove(HardwareId(2)).unwrap();
    let _others = partition
        .registration("others")
        .level(1)
        .without_replay()
        .register(|_: &hotadd::Notice| Err(hotadd::Veto::from("not with me")))
        .unwrap();
    partition.add(HardwareId(4)).unwrap_err();
    drop(_others);
    drop(child.stdin.take());
    let said: Vec<String> = lines.collect();
    let expected = [
        "AddStart 2",
        "AddComplete 2",
        "AddStart 3",
        "RemoveStart 2",
        "RemoveComplete 2",
        "AddStart 4",
        "AddFailure 4: the operation failed for an unknown reason",
        "AddStart 3",
        "done",
    ];
    assert_eq!(said, expected, "only the status of a refusal comes from another process");
    assert!(child.wait().unwrap().success());
    assert!(partition.active().active(HardwareId(3)).is_some(), "it added after it had stopped");
}

#[test]
fn l3_an_event_loop_that_does_not_dispatch_in_time_is_a_refusal_by_name() {
    let installed = Installed::new();
    let program = installed.compile("gcc", &["-std=c99"], "tests/c/remote.c");
    let (partition, _service) = demo(&installed);
    let mut command = installed.command(&program);
    command.args(["demo", "9", "50"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    assert_eq!(lines.next().unwrap(), "registered");
    let refused = partition.add(HardwareId(2)).unwrap_err().to_string();
    assert!(
        refused.contains("remote refused")
            && refused.contains("did not dispatch and answer within 50ms"),
        "{refused}"
    );
    partition.add(HardwareId(2)).expect("it is deregistered, and asked no more");
    drop(child.stdin.take());
    assert_eq!(lines.collect::<Vec<_>>(), ["late", "done"]);
    assert!(child.wait().unwrap().success());
}

#[test]
fn the_example_of_a_poll_loop_follows_a_partition() {
    let installed = Installed::new();
    let program = installed.build("example/poll.c");
    let (partition, _service) = demo(&installed);
    let mut command = installed.command(&program);
    command.arg("demo").stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let first: Vec<_> = lines.by_ref().take(2).collect();
    assert_eq!(first, ["cpu0: AddComplete, workers: 1", "cpu1: AddComplete, workers: 2"]);
    partition.add(HardwareId(3)).unwrap();
    assert_eq!(lines.next().unwrap(), "cpu3: AddComplete, workers: 3");
    partition.remove(HardwareId(0)).unwrap();
    assert_eq!(lines.next().unwrap(), "cpu0: RemoveComplete, workers: 2");
    drop(child.stdin.take());
    assert_eq!(lines.next(), None);
    assert!(child.wait().unwrap().success());

    let none = installed.command(&program).arg("nobody").output().unwrap();
    assert_eq!(none.status.code(), Some(1));
    assert!(
        text(&none.stderr).contains("no partition can be reached at"),
        "{}",
        text(&none.stderr)
    );
}

#[test]
fn the_example_in_cpp_counts_on_every_processor() {
    if !Need::FirstTwo.is_met("the example in C++") {
        return;
    }
    let installed = Installed::new();
    let program = installed.build("example/counters.cpp");
    let said = text(&run(&mut installed.command(&program)).stdout);
    assert!(said.starts_with("cpu0 is here, with index 0\ncpu1 is here, with index 1\n"), "{said}");
    let workers: u64 = said.lines().filter(|line| line.contains("is here")).count() as u64;
    assert!(
        said.ends_with(&format!("{workers} workers counted {}\n", workers * 100_000)),
        "{said}"
    );
}
