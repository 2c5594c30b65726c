//! The sample driver as a `.sys`, built with Microsoft's convention: its queries, actions and output.

#![cfg(all(target_os = "linux", target_arch = "x86_64"))]

mod common;

use std::path::Path;

use hotadd::hardware::Simulated;
use hotadd::{Errno, HardwareId, Partition};
use hotadd_nt::{File, Options};

#[test]
fn the_sample_prints_the_processors_of_two_groups() {
    let hardware = Simulated::new(64, 2).unwrap();
    let (partition, said) = common::world(false, || Partition::simulated(&hardware).unwrap());
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("samples/fixtures/percpu.sys");
    let driver = File::read(&path).unwrap().load(Options::default()).unwrap().begin().unwrap();
    let loaded = said.printed();
    assert_eq!(loaded.last().unwrap(), "percpu: loaded, for up to 66 processors\n");
    assert!(loaded.contains(&"percpu: processor 63 (group 0, number 63): start\n".to_owned()));

    partition.add(HardwareId(64)).unwrap();
    assert_eq!(
        said.printed(),
        [
            "percpu: processor 64 (group 1, number 0): start\n",
            "percpu: processor 64 (group 1, number 0): complete\n",
            "percpu: processor 64: the DPC ran on processor 64\n",
        ]
    );

    hardware.fail_start(HardwareId(65), Errno::EIO);
    partition.add(HardwareId(65)).unwrap_err();
    assert_eq!(
        said.printed(),
        [
            "percpu: processor 65 (group 1, number 1): start\n",
            "percpu: processor 65 (group 1, number 1): failure, 0xc0000185\n",
        ],
        "the fifth argument came on the stack"
    );

    let left = driver.unload().unwrap_or_else(|(_, stays)| panic!("{stays}"));
    let memory = left.pool.total.blocks;
    assert_eq!(
        (left.registrations, &left.others[..], memory),
        (0, &[][..], 0),
        "it has cleaned up"
    );
    assert_eq!(said.printed(), ["percpu: unloaded\n"]);
    assert_eq!(said.breaches(), [""; 0]);
}
