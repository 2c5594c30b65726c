//! Messages about a driver's file.

use std::fs;

use crate::built::Form;
use crate::common::{output, stderr, stdout};

#[test]
fn a_file_that_is_not_a_driver_is_refused_and_described() {
    let folder = tempfile::tempdir().unwrap();
    let text = folder.path().join("text.sys");
    fs::write(&text, "not a driver").unwrap();
    let absent = folder.path().join("absent.so");
    for (path, why) in [
        (text.to_str().unwrap(), "text.sys is not loaded: not a driver: a text file"),
        (absent.to_str().unwrap(), "absent.so is not loaded: it cannot be read: No such file"),
    ] {
        let output = output(&["run", "--simulate", "1+0", "--driver", path]);
        assert_eq!(output.status.code(), Some(1));
        assert!(stderr(&output).contains(why), "{}", stderr(&output));
    }
}

#[test]
fn a_file_name_that_begins_like_an_option_is_accepted() {
    let output = output(&["run", "--simulate", "1+0", "--driver=--time-limit.sys"]);
    assert_eq!(output.status.code(), Some(1));
    let why = "--time-limit.sys is not loaded: it cannot be read: No such file";
    assert!(stderr(&output).contains(why), "{}", stderr(&output));
}

#[test]
fn a_driver_is_inspected_without_being_loaded() {
    for form in Form::ALL {
        let percpu = form.sample("percpu");
        let output = output(&["inspect", &percpu.path]);
        let said = stdout(&output);
        assert!(output.status.success(), "{said}{}", stderr(&output));
        let lines: Vec<&str> = said.lines().collect();
        assert!(lines[0].starts_with(&format!("{}: a ", percpu.name)), "{said}");
        let register = lines.iter().find(|line| line.contains("KeRegisterProcessorChangeCallback"));
        let register = register.unwrap_or_else(|| panic!("it imports that: {said}"));
        assert!(!register.contains("not provided"), "{register}");
        assert!(said.contains("it can be loaded"), "{said}");
    }
}

#[test]
fn inspect_lists_imports_that_are_not_provided() {
    for form in Form::ALL {
        let import = form.fault("import");
        let output = output(&["inspect", "--json", &import.path]);
        assert!(output.status.success(), "it can be loaded without --strict");
        let seen: serde_json::Value = serde_json::from_str(&stdout(&output)).unwrap();
        let imports = seen["imports"].as_array().unwrap();
        let missing: Vec<_> = imports.iter().filter(|import| import["provided"] == false).collect();
        assert_eq!(missing.len(), 1, "{seen}");
        assert_eq!(missing[0]["name"], "KeNobodyProvidesThis");
        assert_eq!((&seen["loadable"], &seen["signed"]), (&true.into(), &false.into()));
        assert!(seen["size"].as_u64().unwrap() > 1000 && seen["entry"].as_u64().unwrap() > 0);
        let sections = seen["sections"].as_array().unwrap();
        assert!(sections.iter().any(|section| section["name"] == ".text"), "{seen}");
    }
}

#[test]
fn inspect_of_a_file_that_is_not_a_driver_exits_with_1() {
    let output = output(&["inspect", concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(stdout(&output), "Cargo.toml: not a driver: a text file\n");
    let json = crate::common::output(&[
        "inspect",
        "--json",
        concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"),
    ]);
    let seen: serde_json::Value = serde_json::from_str(&stdout(&json)).unwrap();
    assert_eq!(
        (&seen["loadable"], &seen["reason"]),
        (&false.into(), &"not a driver: a text file".into())
    );
    assert_eq!(crate::common::output(&["inspect"]).status.code(), Some(2));
}
