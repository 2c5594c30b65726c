//! The table on the simulated hardware, which can run every scenario, under two sets of hardware ids.

mod common;

use std::path::Path;
use std::{env, fs};

use hotadd_conformance::{FILES, run};

#[test]
fn the_table_holds_on_a_simulated_partition() {
    let report = run("simulated", |scenario| Some(common::simulated(scenario, |n| n)));
    if env::var("HOTADD_TABLE").is_ok_and(|what| what == "write") {
        for (file, _) in FILES {
            let scenarios = report.found.iter().filter(|s| s.file == file).map(ToString::to_string);
            let text = scenarios.collect::<Vec<_>>().join("\n");
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("table").join(file);
            fs::write(path, text).expect("the table can be written");
        }
    }
    report.check();
    assert!(report.not_run.is_empty(), "a simulation can run every scenario: {:?}", report.not_run);
}

#[test]
fn the_table_holds_whatever_the_hardware_ids_are() {
    run("simulated, sparse", |scenario| Some(common::simulated(scenario, |n| 7 + 100 * n))).check();
}
