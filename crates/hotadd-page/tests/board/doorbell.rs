//! An agent cannot make the partition wait when it rings.

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use rustix::fs::{OFlags, fcntl_setfl};

use super::{board, call};

#[test]
fn an_agent_cannot_block_the_partition_by_its_doorbell() {
    let (partition, agent) = board();
    // An eventfd would share these flags and this counter with the partition.
    fcntl_setfl(agent.doorbell(), OFlags::empty()).unwrap();
    let _ = rustix::io::write(agent.doorbell(), &(u64::MAX - 1).to_ne_bytes());
    let (tell, told) = mpsc::channel();
    thread::spawn(move || {
        partition.post(&call(1)).unwrap();
        tell.send(()).unwrap();
        partition
    });
    told.recv_timeout(Duration::from_secs(5)).expect("the partition rings without waiting");
}

#[test]
fn an_agent_that_does_not_read_or_has_closed_its_doorbell_does_no_harm() {
    let (partition, mut agent) = board();
    for serial in 1..2_000 {
        let entry = partition.post(&call(serial)).unwrap();
        agent.agree(entry);
    }
    rustix::net::shutdown(agent.doorbell(), rustix::net::Shutdown::Both).unwrap();
    partition.post(&call(2_000)).unwrap();
    assert!(agent.next().unwrap().is_err(), "it has not kept up");
}
