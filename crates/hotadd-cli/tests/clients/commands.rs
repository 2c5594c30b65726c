//! Commands: busctl (sd-bus), gdbus (GDBus) and dbus-send (libdbus) treat the socket as a bus. They can call a partition, and
//! cannot be agents, because they export no objects.

use std::process::{Command, Output};

use crate::common::terminal::Terminal;
use crate::{address, at_hand, partition, stderr, stdout};

const PARTITION: [&str; 2] = ["org.hotadd.Partition.demo", "/org/hotadd/Partition"];

/// Adds processor 2 with a command, which must print this.
fn adds(terminal: &Terminal, command: &mut Command, printed: &str) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stdout(&output).contains(printed), "{}", stdout(&output));
    let status = stdout(&terminal.hotadd(&["status"]));
    assert!(status.contains("active: 0,2"), "{status}");
}

/// Checks that a command fails with this text.
fn fails(output: &Output, text: &str) {
    assert!(!output.status.success(), "{}", stdout(output));
    assert!(stderr(output).contains(text), "{}", stderr(output));
}

const NOT_THERE: &str = "there is no com.example.None: this connection reaches only the partition, \
                         org.hotadd.Partition.demo or no name";

#[test]
fn busctl_lists_introspects_and_calls_a_partition() {
    if !at_hand(Command::new("busctl").arg("--version"), "busctl", "busctl at the socket") {
        return;
    }
    let terminal = partition("busctl");
    let busctl = |args: &[&str]| {
        let mut busctl = Command::new("busctl");
        busctl.arg(format!("--address={}", address(&terminal))).arg("--no-pager").args(args);
        busctl
    };
    let prints = |args: &[&str], text: &str| {
        let output = busctl(args).output().unwrap();
        assert!(output.status.success(), "busctl {args:?}: {}", stderr(&output));
        assert!(stdout(&output).contains(text), "busctl {args:?}: {}", stdout(&output));
    };
    prints(&["list"], PARTITION[0]);
    prints(&["tree", PARTITION[0]], PARTITION[1]);
    prints(&["introspect", PARTITION[0], PARTITION[1]], "org.hotadd.Partition1 interface");
    prints(
        &["get-property", PARTITION[0], PARTITION[1], "org.hotadd.Partition1", "Name"],
        "\"demo\"",
    );
    prints(&["status", PARTITION[0]], &format!("PID={}", terminal.run.id()));
    let add = ["call", PARTITION[0], PARTITION[1], "org.hotadd.Partition1", "Add", "u", "2"];
    adds(&terminal, &mut busctl(&add), "(uqyu)t 1 0 1 2 2");
    let lost = busctl(&["call", "com.example.None", "/", "com.example.None", "Call"]);
    fails(&{ lost }.output().unwrap(), NOT_THERE);
}

#[test]
fn gdbus_introspects_and_calls_a_partition() {
    if !at_hand(Command::new("gdbus").arg("help"), "gdbus", "gdbus at the socket") {
        return;
    }
    let terminal = partition("gdbus");
    let gdbus = |command: &str, destination: &str, args: &[&str]| {
        let mut gdbus = Command::new("gdbus");
        gdbus.args([command, "--address", &address(&terminal), "--dest", destination]);
        gdbus.args(["--object-path", PARTITION[1]]).args(args);
        gdbus
    };
    let shown = gdbus("introspect", PARTITION[0], &[]).output().unwrap();
    assert!(stdout(&shown).contains("interface org.hotadd.Partition1 {"), "{}", stderr(&shown));
    let add = ["--method", "org.hotadd.Partition1.Add", "2"];
    adds(
        &terminal,
        &mut gdbus("call", PARTITION[0], &add),
        "((uint32 1, uint16 0, byte 0x01, uint32 2), uint64 2)",
    );
    fails(&gdbus("call", "com.example.None", &add).output().unwrap(), NOT_THERE);
}

#[test]
fn dbus_send_calls_a_partition_as_a_bus_and_as_a_peer() {
    if !at_hand(Command::new("which").arg("dbus-send"), "dbus-send", "dbus-send at the socket") {
        return;
    }
    let terminal = partition("dbus-send");
    let send = |kind: &str, destination: &str, id: &str| {
        let mut send = Command::new("dbus-send");
        send.arg(format!("--{kind}={}", address(&terminal))).arg("--print-reply");
        send.arg(format!("--dest={destination}"));
        send.args([PARTITION[1], "org.hotadd.Partition1.Add", &format!("uint32:{id}")]);
        send
    };
    adds(&terminal, &mut send("bus", PARTITION[0], "2"), "uint64 2");
    fails(&send("bus", "com.example.None", "3").output().unwrap(), NOT_THERE);
    let as_a_peer = send("peer", PARTITION[0], "3").output().unwrap();
    assert!(as_a_peer.status.success(), "{}", stderr(&as_a_peer));
}
