//! A daemon is killed at every point of an add, and the next one continues: no agreement is lost, no processor joins without
//! asking, and each party is told one outcome, the right one.

use lab::{Guest, Kernel};
use serde_json::Value;

use crate::common::daemon::{LIMIT, SAID, SOCKET, agent, begin, hotadd, online, until};
use crate::common::{MANY, cpu, lab, on_each_kernel, text};

const TERM: i32 = 15;
const KILL: i32 = 9;

/// Long enough for all steps. How long they take is not tested here.
const CONFIGURATION: &str = "[limits]\nrejoin = '10m'\n";

/// What happens to the processor in whose add the daemon is killed.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Then {
    /// All parties are asked once more, and agree.
    Joins,
    /// It runs already when the next daemon begins.
    Runs,
    /// All parties are asked once more, and one refuses.
    Refused,
    /// A party has refused, and none is asked again.
    StaysOut,
}

use Then::{Joins, Refused, Runs, StaysOut};

/// The fault point and at which passing of it, with two parties that are asked at once.
const CASES: [(&str, u32, Then); 20] = [
    ("appeared", 1, Joins),
    ("asked", 1, Joins),
    ("asked", 2, Joins),
    ("agreed", 1, Joins),
    ("agreed", 2, Joins),
    ("veto", 1, Refused),
    ("before-write", 1, Joins),
    ("after-write", 1, Runs),
    ("started", 1, Runs),
    ("completing", 1, Runs),
    ("completing", 2, Runs),
    ("completed", 1, Runs),
    ("completed", 2, Runs),
    ("failing", 1, Refused),
    ("failed", 1, Refused),
    ("joined", 1, Runs),
    ("refused", 1, Refused),
    ("decided", 1, Runs),
    ("decided", 1, StaysOut),
    ("asked", 2, Refused),
];

on_each_kernel!(a1_a3_a5_l3_a_daemon_killed_at_any_point_is_continued_correctly_by_the_next);

fn a1_a3_a5_l3_a_daemon_killed_at_any_point_is_continued_correctly_by_the_next(kernel: Kernel) {
    let lab = lab(kernel).program("hotadd").unwrap();
    let lab = lab.program("lab-agent").unwrap();
    let guest = lab.cpus(1, MANY).boot().unwrap();

    let mut daemon = begin(&guest, CONFIGURATION, &[&fault(1)]);
    until(&guest, SAID, "listening at");
    agent(&guest, "pool", &[]);
    let refuses = |(id, case): (usize, &(_, _, Then))| {
        matches!(case.2, Refused | StaysOut).then(|| format!("refuse={}", id + 1))
    };
    let refuses: Vec<_> = CASES.iter().enumerate().filter_map(refuses).collect();
    agent(&guest, "fragile", &refuses.iter().map(String::as_str).collect::<Vec<_>>());

    for (at, (point, times, then)) in CASES.into_iter().enumerate() {
        let (id, case) = (at + 1, format!("{kernel}: {point}:{times} @{}", at + 1));
        guest.add_cpu(id).unwrap();
        let ended = guest.wait(daemon, LIMIT).unwrap();
        let signal = std::os::unix::process::ExitStatusExt::signal(&ended);
        assert_eq!(signal, Some(KILL), "{case}: it dies there, and of nothing else: {ended}");
        let ran = online(&guest, id) == "1";
        assert_eq!(ran, then == Runs, "{case}: whether it runs when the daemon is dead");

        // The next daemon must die as well, at the next processor.
        daemon = begin(&guest, CONFIGURATION, &[&fault(id + 1)]);
        until(&guest, SAID, "driver pool registered");
        until(&guest, SAID, "driver fragile registered");
        match then {
            Joins => drop(until(&guest, SAID, &format!("processor {id} joined"))),
            Refused => drop(until(&guest, SAID, &format!("processor {id} stays out"))),
            Runs | StaysOut => {}
        }
        let runs = matches!(then, Joins | Runs);
        assert_eq!(
            online(&guest, id),
            if runs { "1" } else { "0" },
            "{case}: what the kernel says"
        );
        let said = guest.read(SAID).unwrap();
        assert!(!said.contains("without agreement"), "{case}: it was agreed to: {said}");
        assert!(!said.contains("breach"), "{case}: {said}");
        let again = said.lines().any(|line| line.contains(&format!("processor {id} ")));
        assert_eq!(again, matches!(then, Joins | Refused), "{case}: whether it is asked: {said}");
        status(&guest, id, runs, &case);
        decided(&guest, id, &case);
        told(&guest, id, then, &case);
    }
    guest.signal(daemon, TERM).unwrap();
    assert!(guest.wait(daemon, LIMIT).unwrap().success());
}

/// The fault of the daemon at this processor, if there is one.
fn fault(id: usize) -> String {
    match CASES.get(id - 1) {
        Some((point, times, _)) => format!("HOTADD_FAULT={point}:{times}@{id}"),
        None => "HOTADD_FAULT=appeared@9999".to_owned(),
    }
}

/// Checks that the daemon's status equals the kernel's.
fn status(guest: &Guest, id: usize, runs: bool, case: &str) {
    let (status, code) = hotadd(guest, &["status", "--json", "-p", SOCKET]);
    assert_eq!(code, Some(0), "{case}: {status}");
    let status: Value = serde_json::from_str(&status).unwrap();
    let active = status["active"].as_str().unwrap();
    assert_eq!(active, guest.read(&cpu("online")).unwrap(), "{case}: {status}");
    assert_eq!(
        status["unagreed"], "",
        "{case}: no processor joined without agreement (Q3): {status}"
    );
    let off: hotadd::CpuList = status["candidates"].as_str().unwrap().parse().unwrap();
    let off = off.ids().contains(&hotadd::HardwareId(u32::try_from(id).unwrap()));
    assert_eq!(off, !runs, "{case}: {status}");
}

/// Checks that the state file lists it as decided, with the current plugging.
fn decided(guest: &Guest, id: usize, case: &str) {
    let note = guest.read(&format!("{SOCKET}.decided")).unwrap();
    let note: Value = serde_json::from_str(&note).unwrap();
    let inode = guest.run(&["stat", "-c", "%i", &cpu(&format!("cpu{id}"))]).unwrap();
    let inode: u64 = text(&inode.stdout).trim().parse().unwrap();
    assert_eq!(note["processors"][id.to_string()], inode, "{case}: {note}");
}

/// Checks that each AddStart that a party agreed to had one outcome, and that the last one is right.
fn told(guest: &Guest, id: usize, then: Then, case: &str) {
    for name in ["pool", "fragile"] {
        let heard = guest.read(&format!("/tmp/{name}")).unwrap();
        // `pool AddFailure 3 as 0:3: STATUS_UNSUCCESSFUL`
        let (name_of, id_of) = (format!("{name} "), format!(" {id} as "));
        let of = |line: &str| Some(line.strip_prefix(&name_of)?.split_once(&id_of)?.0.to_owned());
        let heard: Vec<_> = heard.lines().filter_map(of).collect();
        let all = format!("{case}: {name} heard {heard:?}");
        let refuses = name == "fragile" && matches!(then, Refused | StaysOut);
        let mut open = false;
        for notice in &heard {
            match notice.as_str() {
                "AddStart" => {
                    assert!(!open, "it is not asked again before it knows: {all}");
                    // A party that refused is told nothing more (A3).
                    open = !refuses;
                }
                "AddComplete" | "AddFailure" => {
                    assert!(std::mem::take(&mut open), "an outcome of nothing: {all}");
                }
                other => panic!("{other}: {all}"),
            }
        }
        assert!(!open, "it waits for an outcome: {all}");
        let last = match then {
            Joins | Runs => "AddComplete",
            Refused | StaysOut if refuses => "AddStart",
            Refused | StaysOut => "AddFailure",
        };
        assert_eq!(heard.last().map(String::as_str), Some(last), "{all}");
        let completed = heard.iter().filter(|notice| *notice == "AddComplete").count();
        assert_eq!(completed, usize::from(last == "AddComplete"), "once is enough: {all}");
    }
}
