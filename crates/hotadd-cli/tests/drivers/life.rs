//! The life of the sample drivers in both forms: what they print, and the memory that they leave, when they
//! are loaded, asked, refused and unloaded.

use serde_json::Value;

use crate::built::{Built, Form, Run};
use crate::common::{events, names, of, stderr, stdout};

/// The lines that a driver printed, in order, without its name and the message at load.
pub(crate) fn printed(events: &[Value], driver: &str) -> Vec<String> {
    let said = of(events, "said").into_iter().filter(|event| event["driver"] == driver);
    let lines = said.map(|event| event["text"].as_str().unwrap().to_owned());
    lines
        .map(|line| line.split_once(": ").map_or(line.clone(), |(_, rest)| rest.to_owned()))
        .collect()
}

/// Checks that it was unloaded and has freed everything.
pub(crate) fn freed_everything(events: &[Value], driver: &str) {
    let unloaded = of(events, "unloaded").into_iter().find(|event| event["driver"] == driver);
    let unloaded = unloaded.unwrap_or_else(|| panic!("{driver} was unloaded: {events:#?}"));
    assert_eq!(unloaded["text"], "unloaded, 0 bytes of pool left", "{driver}");
    assert!(of(events, "breach").is_empty(), "{events:#?}");
}

#[test]
fn r3_a_driver_gets_the_whole_replay_before_it_is_loaded() {
    for form in Form::ALL {
        let percpu = form.sample("percpu");
        let events = Run::new("3+0").driver(&percpu.path).ends_well();
        let mut lines = printed(&events, &percpu.name);
        assert_eq!(lines.pop().as_deref(), Some("unloaded"));
        assert_eq!(
            lines,
            [
                "processor 0 (group 0, number 0): start",
                "processor 1 (group 0, number 1): start",
                "processor 2 (group 0, number 2): start",
                "processor 0 (group 0, number 0): complete",
                "processor 0: the DPC ran on processor 0",
                "processor 1 (group 0, number 1): complete",
                "processor 1: the DPC ran on processor 1",
                "processor 2 (group 0, number 2): complete",
                "processor 2: the DPC ran on processor 2",
                "loaded, for up to 3 processors",
            ],
            "{}",
            percpu.name
        );
        freed_everything(&events, &percpu.name);
    }
}

#[test]
fn a5_a_driver_prepares_for_a_processor_and_uses_it_after_it_joined() {
    for form in Form::ALL {
        let percpu = form.sample("percpu");
        let events = Run::new("1+64").add("63-64").driver(&percpu.path).ends_well();
        let lines = printed(&events, &percpu.name);
        let at = lines.iter().position(|line| line.starts_with("loaded")).unwrap();
        assert_eq!(
            lines[at + 1..],
            [
                "processor 1 (group 0, number 1): start",
                "processor 1 (group 0, number 1): complete",
                "processor 1: the DPC ran on processor 1",
                "processor 2 (group 0, number 2): start",
                "processor 2 (group 0, number 2): complete",
                "processor 2: the DPC ran on processor 2",
                "unloaded",
            ],
            "indexes are assigned in order, whatever the hardware ids are"
        );
        assert_eq!(of(&events, "exit")[0]["active"], "0,63-64");
        freed_everything(&events, &percpu.name);
    }
}

#[test]
fn a5_a_driver_uses_many_processors_in_several_groups() {
    for form in Form::ALL {
        let percpu = form.sample("percpu");
        let events = Run::new("62+8").driver(&percpu.path).ends_well();
        let lines = printed(&events, &percpu.name);
        let ran = |index| format!("processor {index}: the DPC ran on processor {index}");
        let missing: Vec<u32> = (0..70).filter(|index| !lines.contains(&ran(*index))).collect();
        assert_eq!(
            missing, [0; 0],
            "{}: a DPC thread in the sandbox for each processor",
            percpu.name
        );
        freed_everything(&events, &percpu.name);
    }
}

#[test]
fn a2_a_driver_without_memory_refuses_and_cleans_up() {
    for form in Form::ALL {
        let percpu = form.sample("percpu");
        // The table, the block of processor 0, and that of processor 1, which fails.
        let events = Run::new("1+2").driver(&percpu.with("alloc-fail=3")).ends_well();
        let veto = of(&events, "veto")[0];
        assert_eq!((&veto["driver"], &veto["id"]), (&percpu.name.as_str().into(), &1.into()));
        assert_eq!(veto["status_name"], "STATUS_INSUFFICIENT_RESOURCES");
        let lines = printed(&events, &percpu.name);
        assert!(lines.contains(&"processor 1: refused, 0xc000009a".to_owned()), "{lines:#?}");
        assert!(
            !lines.iter().any(|line| line.contains("failure")),
            "A3: it is not called again for this processor"
        );
        assert_eq!(of(&events, "exit")[0]["active"], "0,2", "the next add works");
        freed_everything(&events, &percpu.name);
    }
}

#[test]
fn a3_a_driver_is_told_when_another_refuses() {
    for form in Form::ALL {
        let (percpu, veto) = (form.sample("percpu"), form.sample("veto"));
        // It is at a higher level, so the sample was asked first and has agreed.
        let events = Run::new("1+1").driver(&percpu.path).driver(&veto.with("level=1")).ends_well();
        assert_eq!(of(&events, "veto")[0]["driver"], veto.name);
        let lines = printed(&events, &percpu.name);
        let failure = "processor 1 (group 0, number 1): failure, 0xc000009a".to_owned();
        assert!(lines.contains(&failure), "{lines:#?}");
        let lines = printed(&events, &veto.name);
        assert!(lines.contains(&"processor 1: refused".to_owned()), "{lines:#?}");
        freed_everything(&events, &percpu.name);
        freed_everything(&events, &veto.name);
    }
}

#[test]
fn a4_a_driver_is_told_when_the_platform_fails() {
    for form in Form::ALL {
        let percpu = form.sample("percpu");
        let events = Run::new("1+1,fail-start=1").driver(&percpu.path).ends_well();
        assert!(names(&events).contains(&"start-failed"));
        let lines = printed(&events, &percpu.name);
        let failure = "processor 1 (group 0, number 1): failure, 0xc0000185".to_owned();
        assert!(lines.contains(&failure), "STATUS_IO_DEVICE_ERROR: {lines:#?}");
        freed_everything(&events, &percpu.name);
    }
}

#[test]
fn r4_a_driver_that_refuses_an_active_processor_is_not_loaded_and_frees_its_memory() {
    for form in Form::ALL {
        let percpu = form.sample("percpu");
        // The table, and the blocks of processors 0 and 1. That of 2 fails.
        let output = Run::new("4+0").driver(&percpu.with("alloc-fail=4")).output();
        let said = stderr(&output);
        let expected = format!(
            "{} is not loaded: DriverEntry returned STATUS_INSUFFICIENT_RESOURCES (0xC000009A)",
            percpu.name
        );
        assert_eq!(output.status.code(), Some(1));
        assert!(
            said.contains(&expected),
            "R4: the driver's own status, passed through its context: {said}"
        );
        let events = events(&stdout(&output));
        assert_eq!(
            printed(&events, &percpu.name),
            [
                "processor 0 (group 0, number 0): start",
                "processor 1 (group 0, number 1): start",
                "processor 2 (group 0, number 2): start",
                "processor 2: refused, 0xc000009a",
                "processor 0 (group 0, number 0): failure, 0xc000009a",
                "processor 1 (group 0, number 1): failure, 0xc000009a",
            ]
        );
        assert!(of(&events, "breach").is_empty(), "L1: it left no memory: {events:#?}");
        assert!(of(&events, "registered").is_empty());
    }
}

#[test]
fn l2_a_driver_is_unloaded_at_the_end_and_deregisters() {
    for form in Form::ALL {
        let veto = form.sample("veto");
        let events = Run::new("1+0").driver(&veto.path).ends_well();
        let lines = printed(&events, &veto.name);
        assert_eq!(lines, ["loaded, refuses processors from 1 on", "unloaded"]);
        freed_everything(&events, &veto.name);
        let deregistered = of(&events, "deregistered");
        assert_eq!(deregistered.len(), 1, "the driver deregistered itself, once");
    }
}

#[test]
fn lines_for_people_show_what_a_driver_prints() {
    let veto = Form::Sys.sample("veto");
    let output = Run::new("1+1").driver(&veto.path).people();
    let said = stdout(&output);
    for line in [
        "veto.sys: veto: loaded, refuses processors from 1 on",
        "veto.sys: veto: processor 1: refused",
        "veto.sys: unloaded, 0 bytes of pool left",
    ] {
        assert!(said.lines().any(|said| said == line), "{line:?} in {said}");
    }
}

#[test]
fn a_driver_is_notified_of_real_processors() {
    let Some((first, second)) = crate::common::two_processors("a driver on real ones") else {
        return;
    };
    let percpu = Form::Sys.sample("percpu");
    let (first, second) = (first.to_string(), second.to_string());
    let args = ["run", "--json", "--start", &first, "--add", &second, "--every", "1ms", "--driver"];
    let output = crate::common::output(&[&args[..], &[&percpu.path, "--", "sleep", "1"]].concat());
    assert!(output.status.success(), "{}", stderr(&output));
    let events = events(&stdout(&output));
    let lines = printed(&events, &percpu.name);
    assert!(lines.contains(&"processor 1: the DPC ran on processor 1".to_owned()), "{lines:#?}");
    freed_everything(&events, &percpu.name);
}

#[test]
fn l4_a_loaded_driver_without_registrations_is_not_missing() {
    let source = "#include <ntddk.h>\n\
        static PVOID handle;\n\
        static VOID NTAPI changed(PVOID context, PKE_PROCESSOR_CHANGE_NOTIFY_CONTEXT change, PNTSTATUS status) { }\n\
        static VOID unload(PDRIVER_OBJECT driver) { DbgPrint(\"left\\n\"); }\n\
        NTSTATUS DriverEntry(PDRIVER_OBJECT driver, PUNICODE_STRING path) {\n\
            driver->DriverUnload = unload;\n\
            handle = KeRegisterProcessorChangeCallback(changed, NULL, 0);\n\
            KeDeregisterProcessorChangeCallback(handle);\n\
            return STATUS_SUCCESS;\n\
        }\n";
    let built = Built::new();
    let events = Run::new("1+2").driver(&built.with_headers("leaver", source)).ends_well();
    assert_eq!(of(&events, "exit")[0]["active"], "0-2", "{events:#?}");
    assert!(of(&events, "missing").is_empty(), "{events:#?}");
    assert_eq!(printed(&events, "leaver.so"), ["left"]);
}
