//! Drivers in Rust: the example, built natively with cargo and as the committed `.sys`.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::built::{Driver, Run};
use crate::common::{of, stderr};
use crate::life::{freed_everything, printed};

/// The example in both forms.
fn both() -> [Driver; 2] {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/rust-driver");
    let target = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("rust-driver");
    let mut cargo = Command::new(env!("CARGO"));
    cargo
        .args(["build", "--release", "--locked", "--manifest-path"])
        .arg(example.join("Cargo.toml"));
    // Flags of the outer build, such as a sanitizer's, must not apply.
    cargo
        .arg("--target-dir")
        .arg(&target)
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_ENCODED_RUSTFLAGS");
    let built = cargo.output().expect("cargo");
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    let driver = |path: PathBuf| Driver {
        name: path.file_name().unwrap().to_str().unwrap().to_owned(),
        path: path.to_str().expect("UTF-8").to_owned(),
    };
    [driver(target.join("release/libpercpu_rust.so")), driver(example.join("percpu_rust.sys"))]
}

#[test]
fn one_implementation_builds_as_a_windows_and_as_a_native_driver() {
    for driver in both() {
        let events = Run::new("1+1").driver(&driver.path).ends_well();
        let said = [
            "processor 0 is coming",
            "processor 0 is here",
            "processor 1 is coming",
            "processor 1 is here",
            "unloading with 2 blocks",
        ];
        assert_eq!(printed(&events, &driver.name), said, "{}: R3, A1, A5, L2", driver.name);
        freed_everything(&events, &driver.name);

        // The blocks are the driver itself, processor 0's, the table, and processor 1's. Whichever allocation
        // fails, nothing crashes.
        for fails in 1..=3 {
            let failing = driver.with(&format!("alloc-fail={fails}"));
            let output = Run::new("1+1").driver(&failing).output();
            let said = stderr(&output);
            assert!(!output.status.success(), "{failing}: R4");
            let why = "DriverEntry returned STATUS_INSUFFICIENT_RESOURCES (0xC000009A)";
            assert!(said.contains(why), "{failing}: L1, R4: {said}");
        }
        let refusing = Run::new("1+1").driver(&driver.with("alloc-fail=4")).ends_well();
        let refused = of(&refusing, "refused");
        assert_eq!(refused.len(), 1, "{}: {refusing:#?}", driver.name);
        assert_eq!(refused[0]["driver"], driver.name, "A2: no memory is a veto by name");
        assert_eq!(refused[0]["status"], "0xC000009A", "A2: STATUS_INSUFFICIENT_RESOURCES");
        freed_everything(&refusing, &driver.name);
    }
}
