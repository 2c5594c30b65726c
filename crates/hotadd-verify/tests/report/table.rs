//! The table for terminals.

use hotadd_verify::check::CHECKS;
use hotadd_verify::report::{Report, table};

use crate::sample::{clean, hostile, is_harmless, report, written};

fn text(report: &Report, colours: bool) -> String {
    written(|out| table::write(report, colours, out))
}

/// Everything before the list of checks that passed.
const BEFORE: &str = "\
out/percpu.sys: 4 scenarios, normal, seed 7

scenarios that could not be run
  groups-of-2: no memory

checks
  error    leak-after-failure    1 finding    keeps what it prepared for a processor that did not join (A4)
  warning  single-group-assumed  1 finding    asks for group 0 alone on a machine with several groups (KeQueryActiveProcessorCountEx)
";

/// Everything behind it.
const BEHIND: &str = "
1. error leak-after-failure (A4)
   percpu.sys leaves one block of 128 bytes, tag 'PcpU'
   place      PerCpuFailed (src/percpu.c:61)
   made at    PerCpuStart (src/percpu.c:40)
   story      act       loads the driver
              act       adds processor 2, which then fails to start
              callback  AddStart for processor 2 begins
              call      ExAllocatePool2(POOL_FLAG_NON_PAGED, 128, 'PcpU') returns a block, at PerCpuStart (src/percpu.c:40)
              callback  AddStart returns STATUS_SUCCESS
              callback  AddFailure for processor 2 begins and returns
              finding   the block is still there, at PerCpuFailed (src/percpu.c:61)
   effect     each failed attempt to add a processor loses memory until the next restart
   advice     free in KeProcessorAddFailureNotify everything that KeProcessorAddStartNotify allocated
   found in   failed-start, and in 1 other scenario
   reproduce  hotadd verify out/percpu.sys --scenario failed-start --seed 7

2. warning single-group-assumed (KeQueryActiveProcessorCountEx)
   percpu.sys asks for group 0
   place      percpu.sys+0x1b00
   effect     processors beyond the 64th are not counted, or are taken for others
   advice     use the functions whose names end in Ex, with ALL_PROCESSOR_GROUPS
   found in   short-of-memory
   reproduce  hotadd verify out/percpu.sys --scenario short-of-memory --seed 7

injected failures: 1 of 2 reached. Where the driver did not make the call again, its failure is untested:
  IoAllocateWorkItem at PerCpuStart (src/percpu.c:44), add, scenario short-of-memory

note: percpu.pdb is of another build

";

#[test]
fn a_table_has_checks_stories_failures_and_totals() {
    let text = text(&report(), false);
    let (all, others) = (CHECKS.len(), CHECKS.len() - 2);
    assert!(text.starts_with(BEFORE), "{text}");
    let list = format!("{BEFORE}  ok       {others} others: never-registered, unknown-flags, ");
    assert!(text.starts_with(&list), "{text}");
    let totals = format!(
        "4 scenarios: 1 passed, 2 failed, 1 not run; {all} checks: {others} passed, 2 failed; 2 findings: 1 error, 1 warning\n"
    );
    assert!(text.ends_with(&format!(", misuse\n{BEHIND}{totals}")), "{text}");
    assert!(text.lines().all(|line| line.len() < 140), "lists are broken");
}

#[test]
fn colours_change_nothing_else() {
    let coloured = text(&report(), true);
    assert!(coloured.contains("\x1b[31;1merror"), "an error is red");
    let mut plain = String::new();
    for (at, part) in coloured.split("\x1b[").enumerate() {
        plain += if at == 0 { part } else { part.split_once('m').unwrap().1 };
    }
    assert_eq!(plain, text(&report(), false));
}

#[test]
fn a_clean_driver_has_a_short_table() {
    let text = text(&clean(), false);
    let all = format!("\nchecks\n  ok       all {} checks: never-registered, ", CHECKS.len());
    assert!(text.contains(&all), "{text}");
    assert!(text.contains("\ninjected failures: none\n"), "{text}");
    assert!(text.ends_with(" passed; 0 findings\n"), "{text}");
    assert!(!text.contains("note: "), "{text}");
}

#[test]
fn hostile_text_does_not_reach_the_terminal() {
    assert!(is_harmless(&text(&hostile(), false)));
    let lines = text(&report(), false).lines().count();
    assert_eq!(text(&hostile(), false).lines().count(), lines, "no text makes lines");
}

#[test]
fn a_long_story_shows_its_end() {
    let mut report = report();
    let step = report.findings[0].story[0].clone();
    report.findings[0].story.splice(0..0, vec![step; 100]);
    let text = text(&report, false);
    assert!(text.contains("   story      95 steps before\n"), "{text}");
    assert!(text.contains("the block is still there"));
}
