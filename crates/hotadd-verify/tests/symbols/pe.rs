//! Windows drivers: with a PDB, and with the DWARF of mingw-w64.

use std::fs;

use hotadd_verify::symbols::Symbols;

use crate::built::{Built, CALL, all, at, call, marks, named};

#[test]
fn a_driver_with_its_pdb_has_functions_files_and_lines() {
    let built = Built::new();
    let driver = built.sys("-g -gcodeview", "");
    assert_eq!(Symbols::open(&driver).note(), None);
    assert_eq!(marks(&driver), all());
    assert_eq!(call(&driver), at("DriverEntry", "percpu.c", CALL));
}

#[test]
fn a_pdb_is_found_by_its_recorded_name() {
    let built = Built::new();
    let driver = built.sys("-g -gcodeview", "/pdb:other.pdb /pdbaltpath:C:\\build\\other.pdb");
    assert_eq!(marks(&driver), all());
    // A recorded folder is not looked into.
    fs::create_dir(built.path("elsewhere")).unwrap();
    fs::rename(built.path("other.pdb"), built.path("elsewhere/other.pdb")).unwrap();
    let note = Symbols::open(&driver).note().unwrap().to_owned();
    assert_eq!(note, "there is no other.pdb in the folder of percpu.sys");
    assert_eq!(marks(&driver), [None, None, None]);
}

#[test]
fn a_pdb_of_another_build_is_not_used() {
    let built = Built::new();
    let driver = built.sys("-g -gcodeview", "");
    fs::rename(built.path("percpu.pdb"), built.path("kept.pdb")).unwrap();
    built.sys("-g -gcodeview -O2 -DOTHER", "/base:0x150000000");
    let other = fs::read(built.path("percpu.pdb")).unwrap();
    let driver_again = built.sys("-g -gcodeview", "");
    assert_eq!(driver, driver_again);
    fs::write(built.path("percpu.pdb"), other).unwrap();
    let note = Symbols::open(&driver).note().unwrap().to_owned();
    assert_eq!(note, "percpu.pdb is of another build");
    assert_eq!(marks(&driver), [None, None, None]);
}

#[test]
fn public_symbols_alone_have_the_functions() {
    let built = Built::new();
    let driver = built.sys("", "");
    let [_, _, entry] = marks(&driver);
    assert_eq!(entry, named("DriverEntry"));
}

#[test]
fn a_driver_of_mingw_has_functions_files_and_lines() {
    let built = Built::new();
    let driver = built.mingw("-g");
    assert_eq!(Symbols::open(&driver).note(), None);
    assert_eq!(marks(&driver), all());
    assert_eq!(call(&driver), at("DriverEntry", "percpu.c", CALL));
}

#[test]
fn a_driver_of_mingw_without_debugging_information_has_functions() {
    let built = Built::new();
    let driver = built.mingw("");
    assert_eq!(marks(&driver), [named("start"), named("start"), named("DriverEntry")]);
    built.run("x86_64-w64-mingw32-strip percpu.sys");
    assert_eq!(marks(&driver), [None, None, None]);
}
