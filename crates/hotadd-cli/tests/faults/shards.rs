//! Runs all cases in several processes at once, because a case mostly waits. Each process counts its own resources.

use std::collections::BTreeSet;
use std::io::Read;
use std::process::{Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Instant;

use hotadd_service::children::{Children, Ending, Offspring};

use crate::case::LONG;
use crate::choice;
use crate::healthy::{Fixture, Operator};
use crate::left::Held;
use crate::strike;

/// The number of processes. It does not divide the number of faults times standings, so that the slow cases
/// of the whole product are spread over all.
const SHARDS: usize = 10;

/// The environment variable that tells a process of this binary which shard it runs.
const SHARD: &str = "HOTADD_TEST_SHARD";

/// Printed before each case that a process has run.
const RAN: &str = "ran: ";

/// Runs all cases, each in one of the processes.
pub(crate) fn all() {
    let began = Instant::now();
    let cases = choice::cases();
    let shards: Vec<_> =
        (0..SHARDS).map(|shard| thread::spawn(move || listen(start(shard)))).collect();
    let mut ran = BTreeSet::new();
    let mut failed = Vec::new();
    let mut again = 0;
    for (shard, heard) in shards.into_iter().enumerate() {
        let (said, ending) = heard.join().unwrap();
        // The harness prints the name of a test without a line end.
        let lines = said.lines().filter_map(|line| Some(line.split_once(RAN)?.1.to_owned()));
        ran.extend(lines);
        again += said.matches(strike::AGAIN).count();
        if ending != Some(Ending::Exited(0)) {
            failed.push(format!("shard {shard}, {ending:?}:\n{said}"));
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    let all: BTreeSet<String> = cases.iter().map(ToString::to_string).collect();
    assert_eq!(all.len(), cases.len(), "the names of the cases are unique");
    assert_eq!(ran, all, "every case has run");
    let took = began.elapsed().as_secs_f64();
    println!("{} cases in {took:.1} s; tried again, as this machine is busy: {again}", ran.len());
}

/// Runs the cases of this process's shard.
pub(crate) fn run_shard() {
    let Ok(shard) = std::env::var(SHARD) else { return };
    let shard: usize = shard.parse().unwrap();
    let current = watch();
    // The first fixture starts the thread that waits for children and opens the pipe for tokio's signals. Both stay.
    let Held { descriptors, threads, children } = Held::at_rest();
    drop(Fixture::new(Operator::NamesNobody));
    let bare = Held { descriptors: descriptors + 2, threads: threads + 1, children };
    bare.comes_back("a healthy stage leaves nothing behind");
    for case in choice::cases().iter().skip(shard).step_by(SHARDS) {
        current.send(case.to_string()).unwrap();
        strike::run(case);
        println!("{RAN}{case}");
    }
}

/// Ends this process with the name of the case if one takes so long that it must have blocked.
fn watch() -> Sender<String> {
    let (sender, names) = channel::<String>();
    thread::spawn(move || {
        let mut current = "before the first case".to_owned();
        loop {
            match names.recv_timeout(4 * LONG) {
                Ok(name) => current = name,
                Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) => {
                    eprintln!("{current}: the case has blocked");
                    std::process::abort();
                }
            }
        }
    });
    sender
}

fn start(shard: usize) -> Offspring {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["shard", "--exact", "--nocapture", "--test-threads=1"]);
    command.env(SHARD, shard.to_string()).stdin(Stdio::null()).stdout(Stdio::piped());
    // Other tests of this process have children too.
    Children::get().spawn(command).unwrap()
}

/// The output of a shard and how it ended.
fn listen(mut shard: Offspring) -> (String, Option<Ending>) {
    let mut said = String::new();
    shard.stdout.take().unwrap().read_to_string(&mut said).unwrap();
    (said, shard.wait_timeout(LONG))
}
