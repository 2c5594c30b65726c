//! A hostile driver that knows how its process works and tries to exceed a driver's rights.

use serde::Serialize;
use zbus::Message;
use zbus::zvariant::{DynamicType, ObjectPath};

use crate::built::{Built, Run};
use crate::common::live::ends;
use crate::common::{events, hotadd, of, stderr, stdout};

/// C code that sends this call to the partition over every socket of the process except the one for reports.
fn calls<B: Serialize + DynamicType>(method: &str, body: &B) -> String {
    let message = Message::method_call("/org/hotadd/Partition", method).unwrap();
    let message = message.interface("org.hotadd.Partition1").unwrap().build(body).unwrap();
    let bytes: Vec<String> = message.data().iter().map(u8::to_string).collect();
    format!(
        "static unsigned char call[] = {{ {} }}; write(3, call, sizeof call); sleep(1);",
        bytes.join(",")
    )
}

/// A driver whose process makes this call is ended, and the call has no effect.
fn trespasses<B: Serialize + DynamicType>(method: &str, body: &B, said: &str) {
    let built = Built::new();
    let driver = built.doing("hostile", &calls(method, body));
    let output = Run::new("2+2").driver(&driver).add("none").output();
    let why = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{method}: {why}");
    let expected = format!("hostile.so is not loaded: {said}, which a driver's process may not do");
    assert!(why.contains(&expected), "{method}: {why}");
    let events = events(&stdout(&output));
    let fault = of(&events, "fault");
    assert_eq!(fault.len(), 1, "{method} is reported as its fault: {events:#?}");
    assert_eq!(
        (&fault[0]["driver"], &fault[0]["status_name"]),
        (&"hostile.so".into(), &"STATUS_ACCESS_DENIED".into()),
        "{method}"
    );
    for kind in ["joined", "left", "add-start", "remove-start", "registered"] {
        assert!(of(&events, kind).is_empty(), "{method}: {events:#?}");
    }
}

#[test]
fn a_drivers_process_cannot_add_or_remove_processors() {
    trespasses("Add", &2_u32, "calls Add");
    trespasses("Remove", &0_u32, "calls Remove");
    trespasses("AddBatch", &(vec![2_u32, 3], false), "calls AddBatch");
    trespasses("Rehearse", &2_u32, "calls Rehearse");
    trespasses("RestartParty", &"other", "calls RestartParty");
    trespasses("Format", &"c:", "calls Format");
}

#[test]
fn a_drivers_process_cannot_act_as_another_party() {
    let agent = ObjectPath::try_from("/org/hotadd/Agent").unwrap();
    for name in ["other", "hostile.sox", "hostile.so#x"] {
        let said = format!("registers as {name}");
        trespasses("Register", &(&agent, name, 0_u32, 0_i32, 600_000_u32), &said);
    }
}

#[test]
fn a_drivers_process_cannot_change_its_time_limit_or_level() {
    // It may register a second callback under its own name, and that one never answers. Its thread is stopped
    // by a signal before the driver itself registers. The operator's time limit applies, not the requested
    // ten minutes.
    let agent = ObjectPath::try_from("/org/hotadd/Nowhere").unwrap();
    let register = calls("Register", &(&agent, "hostile.so#2", 1_u32, 7_i32, 600_000_u32));
    let source = format!(
        "static void hang(int signal) {{ for (;;) pause(); }}
        int DriverEntry(void *driver, void *path) {{
            long pid = getpid(), own = syscall(186);
            signal(12, hang);
            for (long tid = pid; tid < pid + 20000; tid++) if (tid != own) syscall(234, pid, tid, 12L);
            {register} return 0;
        }}"
    );
    let built = Built::new();
    let driver = format!("{},timeout=500,level=-2,when-missing=skip", built.of("hostile", &source));
    let args = ["run", "--simulate", "1+1", "--every", "0s", "--json", "--driver", &driver];
    let events = events(&stdout(&ends(hotadd(&args))));
    let registered = of(&events, "registered");
    assert_eq!(registered.len(), 1, "{events:#?}");
    assert_eq!(registered[0]["level"], -2);
    let veto = of(&events, "veto");
    assert_eq!(veto.len(), 1, "{events:#?}");
    assert_eq!(
        (&veto[0]["driver"], &veto[0]["status_name"]),
        (&"hostile.so#2".into(), &"STATUS_IO_TIMEOUT".into()),
        "{events:#?}"
    );
    assert!(of(&events, "joined").is_empty(), "{events:#?}");
}
