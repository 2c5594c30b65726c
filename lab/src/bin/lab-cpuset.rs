//! A cpuset in a guest: executes commands line by line, and reports the results. Its driver refuses processor 3.
//!
//! `lab-cpuset ORDERS KIND START PARENT [NAME]` makes NAME in PARENT, or adopts PARENT. Commands are written to the pipe ORDERS:
//! `add N`, `remove N`, `take PID`, `close` and `end`.

use std::error::Error;
use std::fs;
use std::sync::Arc;
use std::time::Duration;

use hotadd::hardware::{Cpuset, CpusetKind, CpusetOptions};
use hotadd::{Event, EventKind, HardwareId, Notice, Partition, State, Status, Veto};

fn main() {
    if let Err(error) = govern() {
        println!("error: {error}");
        std::process::exit(1);
    }
}

fn govern() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [orders, kind, start, parent, rest @ ..] = &args[..] else {
        return Err("usage: lab-cpuset ORDERS KIND START PARENT [NAME]".into());
    };
    let kinds = [CpusetKind::Member, CpusetKind::Root, CpusetKind::Isolated];
    let kind = kinds.into_iter().find(|known| known.name() == kind).ok_or("no such kind")?;
    let options = CpusetOptions::new().kind(kind).start_on(start.parse()?);
    // Changes that the kernel does not report must be found soon.
    let options = options.poll(Duration::from_millis(200));
    let cpuset = Arc::new(match rest.first() {
        Some(name) => Cpuset::create(parent, name, &options)?,
        None => Cpuset::adopt(parent, &options)?,
    });
    let partition = Partition::from_hardware(Arc::clone(&cpuset) as _)?;
    let _observation = partition.observe(say)?;
    let _registration = partition.register("three", |notice: &Notice| {
        if notice.state() == State::AddStart && notice.processor().id == HardwareId(3) {
            return Err(Veto::new(Status::INSUFFICIENT_RESOURCES, "not three"));
        }
        Ok(())
    })?;
    println!("up: {}", cpuset.path().display());
    loop {
        for line in fs::read_to_string(orders)?.lines() {
            let (word, number) = line.split_once(' ').unwrap_or((line, "0"));
            let number: u32 = number.parse()?;
            // The observer reports the result.
            match word {
                "add" => drop(partition.add(HardwareId(number))),
                "remove" => drop(partition.remove(HardwareId(number))),
                "take" => cpuset.take_in(number)?,
                "close" => match cpuset.close() {
                    Ok(()) => println!("closed"),
                    Err(error) => println!("open: {error}"),
                },
                // A process that ends does not wait for its watcher, which may be the last to drop the hardware.
                _ => return Ok(cpuset.close()?),
            }
        }
    }
}

/// Prints one line for each change of the set, for each refusal, and for each problem found.
fn say(event: &Event) {
    let reason = event.reason.as_deref().unwrap_or_default();
    let id = event.id.map(|id| id.to_string()).unwrap_or_default();
    match event.kind {
        EventKind::Joined if event.agreed => println!("{id} joined"),
        EventKind::Joined => println!("{id} joined without agreement"),
        EventKind::Left if event.surprise => println!("{id} vanished"),
        EventKind::Left => println!("{id} left"),
        EventKind::Refused | EventKind::RemoveRefused => println!("{id} refused: {reason}"),
        EventKind::Breach => println!("found: {reason}"),
        _ => {}
    }
}
