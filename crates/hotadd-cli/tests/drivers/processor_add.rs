//! A driver that registers functions with `\Callback\ProcessorAdd`. Each function is asked and told, and may refuse.

use crate::built::{Built, Form, Run};
use crate::common::of;
use crate::life::{freed_everything, printed};

#[test]
fn a3_each_callback_function_may_refuse_and_later_ones_are_then_not_called() {
    for form in Form::ALL {
        let callback = form.sample("callback");
        let events = Run::new("1+2").driver(&callback.path).ends_well();
        assert_eq!(
            printed(&events, &callback.name),
            [
                "loaded, refuses processors from 2 on",
                "first: processor 1: start",
                "second: processor 1: start",
                "third: processor 1: start",
                "first: processor 1: complete",
                "second: processor 1: complete",
                "third: processor 1: complete",
                "first: processor 2: start",
                "second: processor 2: refused",
                "first: processor 2: failure, 0xc000009a",
                "unloaded",
            ],
            "{}",
            callback.name
        );
        let veto = of(&events, "veto");
        assert_eq!(veto.len(), 1, "{events:#?}");
        assert_eq!(veto[0]["driver"], callback.name, "A11: the party that refused");
        assert_eq!(veto[0]["status_name"], "STATUS_INSUFFICIENT_RESOURCES");
        assert_eq!(of(&events, "exit")[0]["active"], "0-1");
        freed_everything(&events, &callback.name);
    }
}

#[test]
fn a3_a_function_is_told_that_another_driver_refused() {
    for form in Form::ALL {
        let (callback, veto) = (form.sample("callback"), form.sample("veto"));
        let run = Run::new("1+1").driver(&callback.path).driver(&veto.with("level=1"));
        let events = run.ends_well();
        let lines = printed(&events, &callback.name);
        let failures = lines.iter().filter(|line| line.ends_with("failure, 0xc000009a"));
        let failures: Vec<_> = failures.map(|line| line.split(':').next().unwrap()).collect();
        assert_eq!(failures, ["third", "second", "first"], "in reverse order (A3): {lines:#?}");
        freed_everything(&events, &callback.name);
    }
}

#[test]
fn a4_a_function_is_told_that_the_platform_failed() {
    for form in Form::ALL {
        let callback = form.sample("callback");
        let events = Run::new("1+1,fail-start=1").driver(&callback.path).ends_well();
        let lines = printed(&events, &callback.name);
        let failures = lines.iter().filter(|line| line.ends_with("failure, 0xc0000185"));
        assert_eq!(failures.count(), 3, "STATUS_IO_DEVICE_ERROR: {lines:#?}");
        freed_everything(&events, &callback.name);
    }
}

#[test]
fn d4_a_function_that_is_left_registered_is_unregistered_and_reported() {
    let built = Built::new();
    let driver = built.doing(
        "left",
        r#"static unsigned short text[] = u"\\Callback\\ProcessorAdd";
        static struct { unsigned short length, maximum; unsigned short *text; } name;
        static struct { unsigned length; void *root, *name; unsigned flags; void *more[2]; } object;
        extern void *ExRegisterCallback(void *, void *, void *);
        static void *callback;
        void unload(void *driver) {}
        void told(void *context, void *change, void *status) {}
        name.length = name.maximum = sizeof text - 2;
        name.text = text;
        object.length = sizeof object;
        object.name = &name;
        if (ExCreateCallback(&callback, &object, 0, 1)) return 0xC0000001;
        if (!ExRegisterCallback(callback, told, 0)) return 0xC0000001;
        *(void **)((char *)driver + 0x68) = unload;"#,
    );
    let events = Run::new("1+1").driver(&driver).ends_well();
    let reason = "unloaded with one registered callback function and one referenced object; deregistered (D4)";
    let breaches = of(&events, "breach");
    assert!(breaches.iter().any(|breach| breach["reason"] == reason), "{breaches:#?}");
    assert_eq!(of(&events, "deregistered").len(), 1, "deregistered once: {events:#?}");
}
