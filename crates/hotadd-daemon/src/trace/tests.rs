//! Traces of whole partitions, live and from what a history has, checked against the format.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};

use hotadd::hardware::Simulated;
use hotadd::{Errno, HardwareId, Notice, Registration, State, Status, Veto};
use hotadd_testing::trace::{check, events};
use serde_json::json;

use super::*;

/// A partition of one active processor and three others, the last of which does not start; and a party that refuses processor 2.
fn partition() -> (Partition, impl FnOnce() -> Registration) {
    let hardware = Simulated::new(1, 3).unwrap();
    hardware.fail_start(HardwareId(3), Errno::from_raw(11));
    let partition = Partition::simulated(&hardware).unwrap();
    let registering = partition.clone();
    let register = move || {
        let refuses = |notice: &Notice| match notice.processor().id {
            HardwareId(2) if notice.state() == State::AddStart => {
                Err(Veto::new(Status::DEVICE_BUSY, "no room for \u{1b}[31m\"2\""))
            }
            _ => Ok(()),
        };
        registering.registration("po</script>ol").register(refuses).unwrap()
    };
    (partition, register)
}

/// What happens in each of these tests.
fn happen(partition: &Partition, register: impl FnOnce() -> Registration) {
    let registration = register();
    partition.rehearse(HardwareId(1)).unwrap();
    partition.rehearse(HardwareId(1)).unwrap();
    partition.rehearse(HardwareId(2)).unwrap();
    partition.add(HardwareId(1)).unwrap();
    partition.add(HardwareId(2)).unwrap_err();
    partition.add(HardwareId(3)).unwrap_err();
    partition.add(HardwareId(77)).unwrap_err();
    partition.remove(HardwareId(1)).unwrap();
    drop(registration);
}

fn traced(path: &Path) {
    let (partition, register) = partition();
    let tracer = Tracer::begin(&partition, "try", path, |why| panic!("{why}")).unwrap();
    happen(&partition, register);
    tracer.end();
}

/// The slices of a track: their names, and the arguments at their begins and ends.
fn slices(events: &[Value], track: &str) -> Vec<(String, Value)> {
    let name = |event: &&Value| event["name"] == "thread_name" && event["args"]["name"] == track;
    let Some(named) = events.iter().find(name) else { panic!("no track {track}: {events:#?}") };
    let (mut open, mut all) = (Vec::new(), Vec::new());
    for event in events.iter().filter(|event| event["tid"] == named["tid"]) {
        match event["ph"].as_str() {
            Some("B") => open.push(event["name"].as_str().unwrap().to_owned()),
            Some("E") => all.push((open.pop().unwrap(), event["args"].clone())),
            _ => {}
        }
    }
    all
}

fn names(slices: &[(String, Value)]) -> Vec<&str> {
    slices.iter().map(|(name, _)| name.as_str()).collect()
}

#[test]
fn a_trace_has_each_call_and_each_change_with_its_outcome() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trace.json");
    traced(&path);
    let events = events(&fs::read_to_string(path).unwrap());
    let calls = slices(&events, "po</script>ol (level 0)");
    let refused = calls.iter().filter(|(_, args)| args["answer"] == "refused").collect::<Vec<_>>();
    assert_eq!(refused.len(), 2, "a rehearsal and an add: {refused:?}");
    assert_eq!(refused[1].0, "AddStart 2");
    assert_eq!(
        refused[1].1["reason"], "no room for \u{fffd}[31m\"2\"",
        "without control characters"
    );
    assert_eq!(refused[1].1["status"], "STATUS_DEVICE_BUSY");
    let one = slices(&events, "processor 1");
    let rehearsed = ["ask", "undo", "rehearse 1"];
    // The party is not told of removals.
    let changed = ["ask", "start", "tell", "add 1", "stop", "remove 1"];
    assert_eq!(names(&one), [&rehearsed[..], &rehearsed, &changed].concat());
    assert_eq!(one[2].1["result"], "could join");
    assert_eq!(one[9].1["result"], "joined");
    let two = slices(&events, "processor 2");
    assert_eq!(names(&two), ["ask", "rehearse 2", "ask", "add 2"]);
    assert_eq!(two[1].1["result"], "would be refused");
    assert_eq!(
        (&two[3].1["result"], &two[3].1["party"]),
        (&json!("refused"), &json!("po</script>ol"))
    );
    let three = slices(&events, "processor 3");
    assert_eq!(names(&three), ["ask", "start", "undo", "add 3"]);
    assert_eq!(three[1].1["result"], "start-failed");
    assert_eq!(names(&slices(&events, "processor 77")), ["add 77"], "no party was asked");
    let counts = events.iter().filter(|event| event["ph"] == "C");
    let counts: Vec<_> = counts.map(|event| event["args"]["count"].as_u64().unwrap()).collect();
    assert_eq!(counts, [1, 2, 1]);
    let begins = events.iter().find(|event| event["name"] == "trace begins").unwrap();
    assert_eq!((&begins["args"]["active"], &begins["args"]["spare"]), (&json!("0"), &json!("1-3")));
}

/// A history does not say when a call begins, only how long it took.
#[test]
fn a_trace_of_a_history_has_the_same_slices_as_one_that_was_written_live() {
    let (partition, register) = partition();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let sees = Arc::clone(&seen);
    let observe = move |event: &Event| sees.lock().unwrap().push(Step::of(event, now()));
    partition.observe(observe).unwrap().detach();
    happen(&partition, register);
    let seen = seen.lock().unwrap().clone();
    let trace = |steps: &[Step]| {
        let active = BTreeSet::from([0]);
        let (mut trace, mut made) = Converter::begin(Beginning { active, ..Beginning::default() });
        made.extend(steps.iter().flat_map(|step| trace.step(step)));
        made.extend(trace.end(now()));
        check(&made);
        made
    };
    let live = trace(&seen);
    let kept: Vec<Step> = seen.into_iter().filter(|step| step.event != "calling").collect();
    let kept = trace(&kept);
    for track in
        ["po</script>ol (level 0)", "processor 1", "processor 2", "processor 3", "processor 77"]
    {
        assert_eq!(slices(&live, track), slices(&kept, track), "{track}");
    }
}

#[test]
fn a_call_without_an_answer_is_shown_up_to_the_end() {
    let (mut trace, mut made) = Converter::begin(Beginning::default());
    made.extend(trace.step(&Step::waiting("slow".to_owned(), "AddStart".to_owned(), 4, 10)));
    // What a killed process leaves: a begin without an end.
    assert_eq!(made.iter().filter(|event| event["ph"] == "B").count(), 3, "{made:#?}");
    made.extend(trace.end(50));
    check(&made);
    let (name, args) = slices(&made, "slow (level 0)").remove(0);
    assert_eq!((name.as_str(), &args["unfinished"]), ("AddStart 4", &json!("the trace ends here")));
}

#[test]
fn a_file_that_is_full_is_ended_and_continued_in_another() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trace.json");
    let mut file = TraceFile::create(&path, 2000).unwrap();
    let (mut trace, first) = Converter::begin(Beginning::default());
    file.write(&first).unwrap();
    file.write(&trace.step(&Step::waiting("slow".to_owned(), "AddStart".to_owned(), 4, 10)))
        .unwrap();
    let mut turned = 0;
    for at in 0..100 {
        let step = json!({ "event": "appeared", "id": at, "mono": 100 + at });
        file.write(&trace.step(&serde_json::from_value(step).unwrap())).unwrap();
        if file.is_full() {
            file.write(&trace.close(200 + at, "full")).unwrap();
            file.turn().unwrap();
            file.write(&trace.again(200 + at)).unwrap();
            turned += 1;
        }
    }
    file.write(&trace.end(400)).unwrap();
    file.end().unwrap();
    assert!(turned > 2);
    let read = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
    for name in ["trace.json", "trace.json.1"] {
        assert!(read(name).len() < 4000, "{name} has a limit");
        let events = events(&read(name));
        assert_eq!(
            names(&slices(&events, "slow (level 0)")),
            ["AddStart 4"],
            "{name} has what is open"
        );
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "no third file");
}

#[test]
fn a_trace_is_not_written_through_a_link_or_into_something_else() {
    let folder = tempfile::tempdir().unwrap();
    let [file, link] = ["file", "link"].map(|name| folder.path().join(name));
    fs::write(&file, "precious").unwrap();
    std::os::unix::fs::symlink(&file, &link).unwrap();
    TraceFile::create(&link, LIMIT).unwrap_err();
    TraceFile::create(folder.path(), LIMIT).unwrap_err();
    TraceFile::create(Path::new("/dev/null"), LIMIT).unwrap_err();
    assert_eq!(fs::read_to_string(&file).unwrap(), "precious");
}

/// Whatever a history says, the trace of it is one.
#[test]
fn a_hostile_history_makes_a_trace_in_the_format() {
    let mut random = 1_u64;
    let mut pick = |most: u64| {
        random =
            random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) % most
    };
    let kinds = [
        "calling",
        "add-start",
        "veto",
        "add-complete",
        "add-failure",
        "started",
        "start-failed",
        "joined",
        "refused",
        "left",
        "remove-start",
        "remove-complete",
        "registered",
        "deregistered",
        "breach",
        "appeared",
        "missing",
        "said",
        "nonsense",
        "",
    ];
    for _ in 0..100 {
        let (mut trace, mut made) = Converter::begin(Beginning::default());
        for _ in 0..40 {
            let driver = ["a", "\u{202e}b", "</script>"][usize::try_from(pick(3)).unwrap()];
            let kind = kinds[usize::try_from(pick(kinds.len() as u64)).unwrap()];
            let step = json!({
                "event": kind, "mono": pick(1000), "us": pick(3).checked_sub(1).map(|us| us * u64::MAX), "id": pick(4),
                "driver": driver, "party": pick(4),
                "state": "AddStart", "rehearsal": pick(3) == 0, "replay": pick(5) == 0, "surprise": pick(5) == 0,
            });
            made.extend(trace.step(&serde_json::from_value(step).unwrap()));
        }
        made.extend(trace.end(pick(2000)));
        check(&made);
        assert!(!serde_json::to_string(&made).unwrap().contains('\u{202e}'));
    }
}
