//! A program gets what `docs/scripts.md` documents, in every state.

use std::collections::BTreeMap;

use hotadd::hardware::Simulated;
use hotadd::{HardwareId, Notice, Partition, Removal, State, Status, Veto};
use hotadd_service::script::Script;

use crate::fixture::Fixture;

const PAGE: &str = include_str!("../../../../docs/scripts.md");

/// The number of calls in the table of the page.
const CALLS: usize = 9;

/// What a program got, or should get: arguments and variables by name.
type Got = BTreeMap<String, String>;

/// The rows of the tables below a heading of the page, as cells.
fn rows(heading: &str) -> Vec<Vec<&'static str>> {
    let (_, section) = PAGE.split_once(&format!("\n## {heading}\n")).expect("the page has it");
    let section = section.split("\n## ").next().unwrap_or_default();
    let rows = section.lines().filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |"));
    rows.map(|row| row.split(" | ").map(str::trim).collect()).collect()
}

/// The text between backquotes, if the cell has nothing else.
fn code(cell: &str) -> Option<&str> {
    cell.strip_prefix('`')?.strip_suffix('`').filter(|code| !code.contains('`'))
}

/// The values that are the same in every call.
fn always() -> Got {
    let rows = rows("What it is told");
    let value = |row: &Vec<&str>| Some((code(row[0])?.to_owned(), code(row[1])?.to_owned()));
    rows.iter().filter_map(value).collect()
}

/// All names that the page explains.
fn explained() -> Vec<String> {
    let mut names: Vec<_> = rows("What it is told")
        .iter()
        .skip(1)
        .flat_map(|row| row[0].split(", "))
        .map(|name| code(name).unwrap_or_else(|| panic!("{name} is not a name")).to_owned())
        .collect();
    names.sort();
    names
}

/// The calls of the table.
fn documented() -> Vec<Got> {
    let mut calls = vec![always(); CALLS];
    for row in rows("Every call, by an example") {
        let Some(name) = code(row[0]) else { continue };
        assert_eq!(row.len(), CALLS + 1, "{name} has a value for each call");
        for (call, cell) in calls.iter_mut().zip(&row[1..]) {
            let value = code(cell).unwrap_or_else(|| panic!("{name}: {cell} is not a value"));
            call.insert(name.to_owned(), value.to_owned());
            if name == "$1" {
                call.insert("HOTADD_STATE".to_owned(), value.to_owned());
            } else if name == "$2" {
                call.insert("HOTADD_ID".to_owned(), value.to_owned());
            }
        }
    }
    calls
}

/// Refuses the next add if it is asked after the script, or the next removal if it is asked after the script.
struct Refuses {
    add: bool,
    removal: bool,
}

impl hotadd::Driver for Refuses {
    fn add_start(&mut self, _: &Notice) -> Result<(), Veto> {
        match std::mem::take(&mut self.add) {
            true => Err(Status::INSUFFICIENT_RESOURCES.into()),
            false => Ok(()),
        }
    }

    fn removal(&mut self) -> Option<&mut dyn Removal> {
        Some(self)
    }
}

impl Removal for Refuses {
    fn remove_start(&mut self, _: &Notice) -> Result<(), Veto> {
        match std::mem::take(&mut self.removal) {
            true => Err(Status::DEVICE_BUSY.into()),
            false => Ok(()),
        }
    }
}

/// The calls of the example, one of each kind.
fn really(fixture: &Fixture) -> Vec<Got> {
    let told = fixture.script(
        "hook",
        "n=$(ls $here/heard | wc -l); tr '\\0' '\\n' </proc/$$/environ >$here/heard/$(printf %02d $n); \
         for argument; do i=$((i + 1)); echo \"\\$$i=$argument\" >>$here/heard/$(printf %02d $n); done",
    );
    std::fs::create_dir(fixture.path("heard")).unwrap();
    let (active, spare) = (&[HardwareId(0)][..], &[HardwareId(5)][..]);
    let hardware = Simulated::with_ids(active.iter().copied(), spare.iter().copied()).unwrap();
    let partition = Partition::simulated(&hardware).unwrap();
    let refuses = |level, add, removal| {
        let party = partition.registration("other").level(level).without_replay();
        party.register(Refuses { add, removal }).unwrap()
    };
    let _others = [refuses(-1, false, true), refuses(1, true, false)];
    let script = Script::new(&told).unwrap();
    let _registration = partition.registration("script").at_once().register(script).unwrap();
    let five = HardwareId(5);
    assert_eq!(partition.add(five).unwrap_err().status(), Status::INSUFFICIENT_RESOURCES);
    partition.add(five).unwrap();
    assert_eq!(partition.remove(five).unwrap_err().status(), Status::DEVICE_BUSY);
    partition.remove(five).unwrap();
    partition.add(five).unwrap();
    hardware.vanish(five);
    let mut files: Vec<_> =
        fixture.path("heard").read_dir().unwrap().map(|entry| entry.unwrap().file_name()).collect();
    files.sort();
    let mut calls: Vec<Got> = Vec::new();
    for file in files {
        let text = fixture.read(&format!("heard/{}", file.to_str().unwrap()));
        let pair = |line: &str| line.split_once('=').map(|(k, v)| (k.to_owned(), v.to_owned()));
        let call: Got = text.lines().map(|line| pair(line).expect("a variable")).collect();
        let kind = |call: &Got| ["$1", "HOTADD_REPLAY", "HOTADD_SURPRISE"].map(|n| call[n].clone());
        if calls.iter().all(|earlier| kind(earlier) != kind(&call)) {
            calls.push(call);
        }
    }
    calls
}

#[test]
fn q5_a_program_gets_exactly_the_documented_arguments_and_variables() {
    let fixture = Fixture::new();
    let (documented, really) = (documented(), really(&fixture));
    for (number, (expected, got)) in documented.iter().zip(&really).enumerate() {
        assert_eq!(got, expected, "call {number} of the table in docs/scripts.md");
    }
    assert_eq!(really.len(), documented.len(), "each kind of call has its place in the table");
    let names: Vec<_> = really[0].keys().cloned().collect();
    assert_eq!(explained(), names, "each name has its meaning in docs/scripts.md");
    for state in State::ALL.map(hotadd_service::script::word) {
        assert!(really.iter().any(|call| call["$1"] == state), "the example has a {state}");
    }
}
