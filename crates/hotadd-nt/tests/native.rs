//! The whole life of native drivers (L1, L2, D4), in one process.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]

mod built;

use std::path::Path;

use built::{Built, world};
use hotadd::Status;
use hotadd_nt::{Driver, File, FileError, Kind, Options, Provision};

fn load(path: &Path) -> Result<Driver, FileError> {
    File::read(path)?.load(Options::default())
}

#[test]
fn l1_driver_entry_is_called_once_with_windows_arguments() {
    let built = Built::new();
    let path = built.so(
        "percpu.so",
        r#"
        static int calls;
        int DriverEntry(char *driver, STRING *path) {
            CHECK(++calls == 1);
            CHECK(*(short *)driver == 4 && *(short *)(driver + 2) == 0x150);
            CHECK(UNLOAD(driver) == 0);
            char *extension = *(char **)(driver + 0x30);
            CHECK(*(char **)extension == driver);
            *(void **)(extension + 8) = path; /* AddDevice */
            int (*request)(void *, void *) = *(void **)(driver + 0x70);
            CHECK(request(driver, 0) == (int)0xC0000010);
            static const unsigned short expected[] =
                L"\\Registry\\Machine\\System\\CurrentControlSet\\Services\\percpu";
            CHECK(path->length == sizeof expected - 2);
            for (unsigned i = 0; i < path->length / 2; i++) CHECK(path->buffer[i] == expected[i]);
            STRING *name = (STRING *)(driver + 0x38);
            CHECK(name->length == sizeof L"\\Driver\\percpu" - 2 && name->buffer[8] == 'p');
            return 0;
        }"#,
        &[],
    );
    let _world = world();
    let driver = load(&path).unwrap();
    assert_eq!(driver.name(), "percpu.so");
    let begun = driver.begin();
    assert!(begun.is_ok(), "the line of the check that failed: {:?}", begun.err());
}

#[test]
fn l1_a_loaded_driver_is_notified_of_processors_and_may_refuse_them() {
    let built = Built::new();
    let path = built.so(
        "percpu.so",
        r#"
        static int starts, completes;
        static void *handle;
        static void changed(void *context, CHANGE *change, int *status) {
            if (context != &starts) *status = 0xC0000001;
            if (change->state == 0) starts++;
            if (change->state == 1) completes++;
            if (change->state == 0 && change->index == 3) *status = 0xC000009A;
        }
        static void unload(void *driver) { KeDeregisterProcessorChangeCallback(handle); }
        int DriverEntry(void *driver, STRING *path) {
            UNLOAD(driver) = unload;
            handle = KeRegisterProcessorChangeCallback(changed, &starts, 1);
            CHECK(handle && starts >= 2 && completes == starts);
            return 0;
        }"#,
        &[],
    );
    let world = world();
    let driver = load(&path).unwrap().begin().unwrap();
    assert_eq!(world.parties(), 1);
    while world.partition.count() < 3 {
        let next = world.partition.candidates().unwrap()[0];
        world.partition.add(next).unwrap();
    }
    let next = world.partition.candidates().unwrap()[0];
    let refused = world.partition.add(next).unwrap_err().to_string();
    assert!(refused.contains("STATUS_INSUFFICIENT_RESOURCES"), "{refused}");
    let left = driver.unload().unwrap();
    assert_eq!(left, hotadd_nt::UnloadReport::default(), "the driver has freed everything");
    assert_eq!(world.parties(), 0, "the driver has deregistered");
    world.partition.add(next).expect("no party refuses");
}

#[test]
fn a3_every_error_status_of_a_driver_is_a_veto_and_no_other_status() {
    const REST: [u32; 6] = [0, 1, 0x11, 0xFFFF, 0x1_0000, 0x0FFF_FFFF];
    let built = Built::new();
    let path = built.so(
        "refuses.so",
        r#"
        static void *handle;
        static void changed(void *context, CHANGE *change, int *status) {
            static const unsigned rest[] = { 0, 1, 0x11, 0xFFFF, 0x10000, 0x0FFFFFFF };
            static unsigned next;
            if (change->state != 0) return;
            *status = next / 6 << 28 | rest[next % 6];
            next++;
        }
        static void unload(void *driver) { KeDeregisterProcessorChangeCallback(handle); }
        int DriverEntry(void *driver, STRING *path) {
            UNLOAD(driver) = unload;
            return (handle = KeRegisterProcessorChangeCallback(changed, 0, 0)) ? 0 : 0xC0000001;
        }"#,
        &[],
    );
    let world = world();
    let driver = load(&path).unwrap().begin().unwrap();
    let spare = world.partition.candidates().unwrap()[0];
    for status in (0..16_u32).flat_map(|high| REST.map(|rest| high << 28 | rest)) {
        let answers = world.partition.rehearse(spare).unwrap().answers;
        let refused = answers[0].answer.as_ref().err().map(|veto| veto.status().to_raw());
        let expected = (status.cast_signed() < 0).then_some(status);
        assert_eq!(refused, expected, "the driver's status was 0x{status:08X}");
    }
    driver.unload().unwrap();
}

#[test]
fn l1_a_driver_whose_entry_fails_is_not_loaded_and_is_deregistered() {
    let built = Built::new();
    let path = built.so(
        "refuses.so",
        r#"
        static void changed(void *context, CHANGE *change, int *status) {}
        static void unload(void *driver) { __builtin_trap(); }
        int DriverEntry(void *driver, STRING *path) {
            UNLOAD(driver) = unload;
            KeRegisterProcessorChangeCallback(changed, 0, 1);
            KeRegisterProcessorChangeCallback(changed, 0, 0);
            return 0xC0000017;
        }"#,
        &[],
    );
    let world = world();
    let error = load(&path).unwrap().begin().unwrap_err();
    assert_eq!(error.0, Status::NO_MEMORY);
    assert_eq!(error.to_string(), "DriverEntry returned STATUS_NO_MEMORY (0xC0000017)");
    let heard = world.heard.take();
    let breach = "breach DriverEntry failed and left 2 registrations; deregistered (L1)";
    assert_eq!(heard.last().map(String::as_str), Some(breach), "{heard:?}");
    assert_eq!(world.parties(), 0, "L1: its Unload would have trapped");
}

#[test]
fn l1_an_informational_status_is_a_success() {
    let built = Built::new();
    let source = "int DriverEntry(void *driver, STRING *path) { return 0x40000000; }";
    let _world = world();
    load(&built.so("informs.so", source, &[])).unwrap().begin().unwrap();
}

#[test]
fn l2_a_driver_without_an_unload_stays() {
    let built = Built::new();
    let source = "int DriverEntry(void *driver, STRING *path) { return 0; }";
    let _world = world();
    let driver = load(&built.so("stays.so", source, &[])).unwrap().begin().unwrap();
    let (_, why) = driver.unload().unwrap_err();
    assert_eq!(why.to_string(), "cannot be unloaded, because it did not set DriverUnload (L2)");
}

#[test]
fn d4_a_registration_left_by_unload_is_deregistered_and_reported() {
    let built = Built::new();
    let path = built.so(
        "leaves.so",
        r#"
        static void changed(void *context, CHANGE *change, int *status) {}
        static void unload(void *driver) {}
        int DriverEntry(void *driver, STRING *path) {
            UNLOAD(driver) = unload;
            CHECK(KeRegisterProcessorChangeCallback(changed, 0, 0));
            return 0;
        }"#,
        &[],
    );
    let world = world();
    let driver = load(&path).unwrap().begin().unwrap();
    world.heard.take();
    assert_eq!(driver.unload().unwrap().registrations, 1);
    assert_eq!(world.heard.take(), ["breach unloaded with one registration; deregistered (D4)"]);
    let next = world.partition.candidates().unwrap()[0];
    world.partition.add(next).expect("the partition goes on (D4)");
}

#[test]
fn a_driver_can_be_loaded_and_unloaded_repeatedly() {
    let built = Built::new();
    let source = "
        static int loads;
        static void unload(void *driver) {}
        int DriverEntry(void *driver, STRING *path) {
            UNLOAD(driver) = unload;
            CHECK(++loads == 1);
            return 0;
        }";
    let path = built.so("again.so", source, &[]);
    let _world = world();
    for _ in 0..100 {
        load(&path).unwrap().begin().expect("a fresh copy").unload().unwrap();
    }
    let two = [load(&path).unwrap(), load(&path).unwrap()];
    for driver in two {
        driver.begin().expect("each has its own data");
    }
}

#[test]
fn missing_imports_are_listed_and_a_strict_load_refuses_them() {
    let built = Built::new();
    let source = r#"
        void KeNoSuchThing(void);
        int IoNorThis(int);
        extern void maybe(void) __attribute__((weak));
        static int (*table[])(int) = { IoNorThis };
        unsigned long strlen(const char *);
        static void unload(void *driver) {}
        int DriverEntry(void *driver, STRING *path) {
            UNLOAD(driver) = unload;
            if (path == 0) { KeNoSuchThing(); table[0](1); }
            CHECK(maybe == 0);
            CHECK(table[0] != 0);
            CHECK(strlen((char *)path->buffer) == 1);
            return 0;
        }"#;
    let _world = world();
    for flags in [&[][..], &["-Wl,-z,now"], &["-fno-plt"], &["-Wl,-z,norelro"]] {
        let file = File::read(&built.so("wants.so", source, flags)).unwrap();
        assert_eq!(file.kind(), Kind::Native);
        let refused = file.load(Options { strict: true }).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "it needs functions that are not provided: IoNorThis, KeNoSuchThing",
            "{flags:?}"
        );
        let imports = file.inspect().unwrap().imports;
        let missing = imports.iter().filter(|import| import.provision == Provision::Missing);
        let mut missing: Vec<_> = missing.map(|import| &*import.name).collect();
        missing.sort_unstable();
        assert_eq!(missing, ["IoNorThis", "KeNoSuchThing"], "{flags:?}");
        let driver = file.load(Options::default()).unwrap();
        driver.begin().expect("a missing import that is not called is harmless").unload().unwrap();
    }
}

#[test]
fn a_file_that_is_not_a_driver_is_refused_with_a_sentence() {
    let built = Built::new();
    let refused = |path: &Path| load(path).unwrap_err().to_string();
    let text = built.folder().join("text.so");
    std::fs::write(&text, "not a driver").unwrap();
    assert_eq!(refused(&text), "not a driver: a text file");
    assert_eq!(refused(built.folder()), "not a driver: a directory");
    assert!(refused(&built.folder().join("absent.so")).starts_with("it cannot be read: "));
    let plain = built.so("plain.so", "int other(void) { return 1; }", &[]);
    assert_eq!(refused(&plain), "not a driver: a shared object without DriverEntry");
    let good = std::fs::read(&plain).unwrap();
    for (at, byte, why) in
        [(16, 2, "shared object"), (18, 0xb7, "another processor"), (4, 1, "64 bits")]
    {
        let mut bytes = good.clone();
        bytes[at] = byte;
        let path = built.folder().join("other.so");
        std::fs::write(&path, bytes).unwrap();
        assert!(refused(&path).contains(why), "{why}: {}", refused(&path));
    }
}

#[test]
fn a_truncated_file_is_refused() {
    let built = Built::new();
    let source = "
        void KeNoSuchThing(void);
        int DriverEntry(void *driver, STRING *path) { if (!path) KeNoSuchThing(); return 0; }";
    let whole = std::fs::read(built.so("whole.so", source, &["-Wl,-z,now"])).unwrap();
    let path = built.folder().join("cut.so");
    for length in (0..whole.len()).step_by(97) {
        std::fs::write(&path, &whole[..length]).unwrap();
        assert!(
            load(&path).is_err(),
            "the first {length} of {} bytes are accepted as a driver",
            whole.len()
        );
    }
}
