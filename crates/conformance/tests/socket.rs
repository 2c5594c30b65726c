//! The table with every party behind a connection of its own, and the requests made over another.

mod common;

use std::sync::Arc;

use hotadd::{HardwareId, Partition};
use hotadd_conformance::{OnPartition, Scenario, Setup, Subject, run};
use hotadd_service::{Access, Service};

#[test]
fn the_table_holds_for_parties_behind_sockets() {
    let report = run("socket", |scenario| Some(subject(scenario)));
    report.check();
}

fn subject(scenario: &Scenario) -> (Box<dyn Subject>, Vec<HardwareId>) {
    let (hardware, ids) = common::hardware(scenario, |n| n);
    let setup = common::setup(hardware);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let service =
        Service::with_access(&setup.partition, "table", Access::own(), Arc::new(|_: &str| ()));
    let service = service.expect("a service");
    let path = folder.path().join("run").join("table");
    service.open(&path).expect("the folder is new");
    let connect = move || {
        // The service and its folder live as long as the subject.
        let _ = (&service, &folder);
        Partition::connect(&path).expect("the service listens")
    };
    (Box::new(OnPartition::new(Setup { connect: Box::new(connect), apart: true, ..setup })), ids)
}
