//! The page beside a partition's socket: it is there as long as the partition, and never behind what parties are told.

use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::mpsc::channel;
use std::{fs, thread};

use hotadd::{HardwareId, Notice, Partition, SetPage, State, Veto};
use hotadd_service::Service;

use crate::common::{PATIENCE, Served};

fn page_of(served: &Served) -> PathBuf {
    let mut path = served.path.clone().into_os_string();
    path.push(".set");
    path.into()
}

#[test]
fn the_page_is_beside_the_socket_as_long_as_the_partition_is_served() {
    let served = Served::new(2, 1);
    let path = page_of(&served);
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let page = SetPage::open(&path).unwrap();
    served.partition.add(HardwareId(2)).unwrap();
    assert_eq!(page.summary(), (served.partition.epoch(), 3));
    let served = served.end_service();
    assert!(page.is_ended() && !path.exists());
    served.partition.remove(HardwareId(2)).unwrap();
    assert_eq!(page.count(), 3, "a partition that is no longer served does not write the page");
}

#[test]
fn a5_a_party_in_another_process_finds_in_the_page_what_its_notice_is_about() {
    let served = Served::new(1, 1);
    let there = Partition::connect(&served.path).unwrap();
    let page = SetPage::open(page_of(&served)).unwrap();
    let (found, finds) = channel();
    let looks = move |notice: &Notice| -> Result<(), Veto> {
        let set = page.snapshot().unwrap();
        let proposed: Vec<u32> = set.proposed().map(|p| p.id.0).collect();
        found.send((notice.state(), set.count(), proposed, set.epoch() >= notice.epoch())).unwrap();
        Ok(())
    };
    let _registration = there.registration("looks").without_replay().register(looks).unwrap();
    served.partition.add(HardwareId(1)).unwrap();
    let found: Vec<_> = finds.try_iter().collect();
    let expected = [(State::AddStart, 1, vec![1], true), (State::AddComplete, 2, vec![], true)];
    assert_eq!(found, expected);
}

#[test]
fn a_page_that_is_deleted_is_made_again() {
    let served = Served::new(1, 1);
    let path = page_of(&served);
    fs::remove_file(&path).unwrap();
    served.logged(".set was deleted and has been created again");
    served.partition.add(HardwareId(1)).unwrap();
    assert_eq!(SetPage::open(&path).unwrap().count(), 2);
}

#[test]
fn the_page_of_a_crashed_partition_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("run").join("demo");
    fs::create_dir(socket.parent().unwrap()).unwrap();
    fs::set_permissions(socket.parent().unwrap(), fs::Permissions::from_mode(0o700)).unwrap();
    let path = folder.path().join("run").join("demo.set");
    fs::write(&path, "what a crash has left").unwrap();
    fs::write(folder.path().join("run").join("demo.set.new"), "and this").unwrap();
    let hardware = hotadd::hardware::Simulated::new(3, 0).unwrap();
    let partition = Partition::simulated(&hardware).unwrap();
    let _service = Service::listen(&partition, "demo", &socket).unwrap();
    assert_eq!(SetPage::open(&path).unwrap().count(), 3);
}

#[test]
fn a_python_program_follows_the_set_without_d_bus() {
    let source = include_str!("../../../../examples/set.py");
    assert_eq!(source.lines().count(), 30, "README.md and docs/page.md say so");
    let served = Served::new(2, 1);
    let mut python = Command::new("/usr/bin/python3")
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/set.py"))
        .arg(page_of(&served))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("python3 is needed, as ./test installs it");
    let mut lines = BufReader::new(python.stdout.take().unwrap()).lines().map(Result::unwrap);
    assert_eq!(lines.next().as_deref(), Some("epoch 1 processors 0 1"));
    served.partition.add(HardwareId(2)).unwrap();
    assert_eq!(lines.next().as_deref(), Some("epoch 2 processors 0 1 2"));
    served.partition.remove(HardwareId(0)).unwrap();
    assert_eq!(lines.next().as_deref(), Some("epoch 3 processors 1 2"));
    let _ended = served.end_service();
    let ended = thread::spawn(move || python.wait_with_output().unwrap());
    let said = String::from_utf8(ended.join().unwrap().stderr).unwrap();
    assert_eq!(said.trim_end(), "the partition has ended", "within {PATIENCE:?}");
}
