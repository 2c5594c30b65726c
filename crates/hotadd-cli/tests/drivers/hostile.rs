//! A hostile driver: one that knows what its process is made of, and tries to be more than a driver.

use serde::Serialize;
use zbus::Message;
use zbus::zvariant::{DynamicType, ObjectPath};

use crate::built::{Built, Run};
use crate::common::live::ends;
use crate::common::{events, hotadd, of, stderr, stdout};

/// C that sends this call to the partition over whatever sockets the process has but the one that it reports over.
fn calls<B: Serialize + DynamicType>(method: &str, body: &B) -> String {
    let message = Message::method_call("/org/hotadd/Partition", method).unwrap();
    let message = message.interface("org.hotadd.Partition1").unwrap().build(body).unwrap();
    let bytes: Vec<String> = message.data().iter().map(u8::to_string).collect();
    format!(
        "static unsigned char call[] = {{ {} }}; write(3, call, sizeof call); sleep(1);",
        bytes.join(",")
    )
}

/// A driver whose process makes this call goes no further, and nothing comes of the call.
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
    assert_eq!(fault.len(), 1, "{method} is its fault: {events:#?}");
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
fn a_drivers_process_adds_and_removes_nothing() {
    trespasses("Add", &2_u32, "calls Add");
    trespasses("Remove", &0_u32, "calls Remove");
    trespasses("AddBatch", &(vec![2_u32, 3], false), "calls AddBatch");
    trespasses("Rehearse", &2_u32, "calls Rehearse");
    trespasses("RestartParty", &"other", "calls RestartParty");
    trespasses("Format", &"c:", "calls Format");
}

#[test]
fn a_drivers_process_is_no_other_party() {
    let agent = ObjectPath::try_from("/org/hotadd/Agent").unwrap();
    for name in ["other", "hostile.sox", "hostile.so#x"] {
        let said = format!("registers as {name}");
        trespasses("Register", &(&agent, name, 0_u32, 0_i32, 600_000_u32), &said);
    }
}

#[test]
fn what_a_drivers_process_says_of_its_time_limit_and_level_counts_for_nothing() {
    // A second callback by its own name is its right. This one never answers: whoever would is hung by a signal before it registers, and
    // the operator's limit is what counts, not ten minutes.
    let agent = ObjectPath::try_from("/org/hotadd/Nowhere").unwrap();
    let register = calls("Register", &(&agent, "hostile.so#2", 1_u32, 7_i32, 600_000_u32));
    let source = format!(
        "static void hang(int signal) {{ for (;;) pause(); }}
        int DriverEntry(void *driver, void *path) {{
            long pid = getpid(), own = syscall(186);
            signal(12, hang);
            for (long tid = pid; tid < pid + 64; tid++) if (tid != own) syscall(234, pid, tid, 12L);
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
