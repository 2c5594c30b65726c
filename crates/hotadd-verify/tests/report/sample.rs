//! Reports that are made by hand.

use std::io;

use hotadd_verify::check::{CHECKS, Check};
use hotadd_verify::report::{Finding, Injected, Outcome, Place, Report, Scenario, Step, StepKind};

/// Text that does damage where it is not made safe.
pub(crate) const HOSTILE: &str =
    "<script>alert(1)</script>]]>&amp;'\"\u{1b}[2J\0\r\n\u{202e}\u{9b}\u{fffe}[a](http://x){0}";

/// What a writer writes.
pub(crate) fn written(write: impl Fn(&mut dyn io::Write) -> io::Result<()>) -> String {
    let bytes = |write: &dyn Fn(&mut dyn io::Write) -> io::Result<()>| {
        let mut bytes = Vec::new();
        write(&mut bytes).unwrap();
        bytes
    };
    let once = bytes(&write);
    assert_eq!(once, bytes(&write), "the same report gives the same bytes");
    String::from_utf8(once).unwrap()
}

/// A place with symbols.
pub(crate) fn known(function: &str, line: u32) -> Place {
    Place {
        module: "percpu.sys".to_owned(),
        offset: 0x1000 + u64::from(line) * 4,
        function: Some(function.to_owned()),
        file: Some("src/percpu.c".to_owned()),
        line: Some(line),
    }
}

/// A place without symbols.
pub(crate) fn unknown(offset: u64) -> Place {
    Place { module: "percpu.sys".to_owned(), offset, ..Place::default() }
}

fn step(micros: u64, kind: StepKind, text: &str, place: Option<Place>) -> Step {
    Step { micros, kind, text: text.to_owned(), place }
}

fn scenario(name: &str, title: &str, outcome: Outcome, steps: Vec<Step>) -> Scenario {
    Scenario { name: name.to_owned(), title: title.to_owned(), outcome, millis: 1234, steps }
}

fn check(id: &str) -> &'static Check {
    Check::find(id).unwrap()
}

/// A report with two findings, a scenario that could not be run, and failures that were not reached.
pub(crate) fn report() -> Report {
    let leak = vec![
        step(10, StepKind::Act, "loads the driver", None),
        step(1150, StepKind::Act, "adds processor 2, which then fails to start", None),
        step(1200, StepKind::Notice, "AddStart for processor 2 begins", None),
        step(
            1210,
            StepKind::Call,
            "ExAllocatePool2(POOL_FLAG_NON_PAGED, 128, 'PcpU') returns a block",
            Some(known("PerCpuStart", 40)),
        ),
        step(1230, StepKind::Notice, "AddStart returns STATUS_SUCCESS", None),
        step(1300, StepKind::Notice, "AddFailure for processor 2 begins and returns", None),
        step(1400, StepKind::Finding, "the block is still there", Some(known("PerCpuFailed", 61))),
    ];
    let refused = vec![
        step(5, StepKind::Act, "loads the driver", None),
        step(900, StepKind::Injected, "ExAllocatePool2 fails", Some(unknown(0x1a40))),
        step(950, StepKind::Print, "percpu: no memory", None),
        step(990, StepKind::Finding, "leaves one event", None),
    ];
    let finding = |id, what: &str, place, origin, scenario: &str, also, story| Finding {
        check: check(id),
        what: what.to_owned(),
        place,
        origin,
        scenario: scenario.to_owned(),
        also,
        story,
        reproduce: format!("hotadd verify out/percpu.sys --scenario {scenario} --seed 7"),
    };
    let injected = |function: &str, place, reached| Injected {
        function: function.to_owned(),
        place,
        phase: "add".to_owned(),
        scenario: "short-of-memory".to_owned(),
        reached,
    };
    Report {
        version: 1,
        subject: "out/percpu.sys".to_owned(),
        seed: 7,
        depth: "normal".to_owned(),
        scenarios: vec![
            scenario("plain", "adds one processor", Outcome::Passed, Vec::new()),
            scenario("failed-start", "a start fails", Outcome::Failed, leak.clone()),
            scenario("short-of-memory", "calls fail", Outcome::Failed, refused),
            scenario("groups-of-2", "groups of 2", Outcome::NotRun("no memory".into()), Vec::new()),
        ],
        findings: vec![
            finding(
                "leak-after-failure",
                "leaves one block of 128 bytes, tag 'PcpU'",
                Some(known("PerCpuFailed", 61)),
                Some(known("PerCpuStart", 40)),
                "failed-start",
                1,
                leak,
            ),
            finding(
                "single-group-assumed",
                "asks for group 0",
                Some(unknown(0x1b00)),
                None,
                "short-of-memory",
                0,
                Vec::new(),
            ),
        ],
        injected: vec![
            injected("ExAllocatePool2", unknown(0x1a40), true),
            injected("IoAllocateWorkItem", known("PerCpuStart", 44), false),
        ],
        checks: CHECKS.iter().collect(),
        note: Some("percpu.pdb is of another build".to_owned()),
    }
}

/// A report of a driver without faults.
pub(crate) fn clean() -> Report {
    let mut report = report();
    report.findings.clear();
    report.injected.clear();
    report.note = None;
    report.scenarios.truncate(1);
    report
}

/// A report with hostile text wherever text can come from a driver or its file.
pub(crate) fn hostile() -> Report {
    let mut report = report();
    let spoil = |text: &mut String| *text = format!("{HOSTILE}{text}{HOSTILE}");
    let spoil_place = |place: &mut Place| {
        spoil(&mut place.module);
        place.function.iter_mut().for_each(spoil);
        place.file.iter_mut().for_each(spoil);
    };
    let spoil_step = |step: &mut Step| {
        spoil(&mut step.text);
        step.place.iter_mut().for_each(spoil_place);
    };
    spoil(&mut report.subject);
    spoil(&mut report.depth);
    report.note.iter_mut().for_each(spoil);
    for scenario in &mut report.scenarios {
        spoil(&mut scenario.name);
        spoil(&mut scenario.title);
        scenario.steps.iter_mut().for_each(spoil_step);
        if let Outcome::NotRun(why) = &mut scenario.outcome {
            spoil(why);
        }
    }
    for finding in &mut report.findings {
        spoil(&mut finding.what);
        spoil(&mut finding.scenario);
        spoil(&mut finding.reproduce);
        finding.place.iter_mut().for_each(spoil_place);
        finding.origin.iter_mut().for_each(spoil_place);
        finding.story.iter_mut().for_each(spoil_step);
    }
    for injected in &mut report.injected {
        spoil(&mut injected.function);
        spoil(&mut injected.phase);
        spoil(&mut injected.scenario);
        spoil_place(&mut injected.place);
    }
    report
}

/// Whether the text has nothing that controls a terminal or is invisible, apart from line ends.
pub(crate) fn is_harmless(text: &str) -> bool {
    text.split('\n').all(hotadd::text::is_clean)
}
