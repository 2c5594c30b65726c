//! A program that uses `Partition::process()` in a guest. Its busy threads check all the time whether the processor that they run
//! on has joined, and whether the program's table has a slot for it.
//!
//! `lab-holder ORDERS [THREADS [PIN]]` reads commands from the pipe ORDERS, one a line: `report NAME` prints what the threads
//! have counted since the last report, `refuse N` and `agree` change the driver's answer, `end` ends the program. The first
//! thread sets its own mask to PIN. `lab-holder widen PID LIST` and `lab-holder set TID LIST` act as another program: they set
//! the masks of all threads of a process, or of one thread. `lab-holder look TIMES PID...` prints where processes run.
//!
//! `lab-holder data ORDERS machine|process` is another program: it keeps data and workers for each processor (`data.rs`).

mod busy;
mod data;
mod jobs;
mod look;
mod masks;
mod mover;
mod tally;

use std::error::Error;
use std::fs::OpenOptions;
use std::io::{BufRead, BufReader};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use hotadd::{Event, EventKind, HardwareId, Notice, Partition, PerProcessor, State, Status, Veto};

use busy::{Shared, bit};

fn main() {
    if let Err(error) = run() {
        println!("error: {error}");
        std::process::exit(1);
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args[..] {
        ["widen", process, list] => masks::set_all(process.parse()?, &list.parse()?),
        ["set", thread, list] => masks::set_one(Some(thread.parse()?), &list.parse()?),
        ["look", times, ref processes @ ..] => look::look(times.parse()?, processes),
        ["data", orders, over] => data::run(orders, over),
        [orders] => hold(orders, 6, None),
        [orders, threads] => hold(orders, threads.parse()?, None),
        [orders, threads, pin] => hold(orders, threads.parse()?, Some(pin)),
        [] => Err("usage: lab-holder ORDERS [THREADS [PIN]]".into()),
        _ => Err("usage: lab-holder widen PID LIST, lab-holder set TID LIST".into()),
    }
}

fn hold(orders: &str, threads: usize, pin: Option<&str>) -> Result<(), Box<dyn Error>> {
    let pin = pin.map(str::parse).transpose()?;
    let shared: Arc<OnceLock<Shared>> = Arc::default();
    let begin = |pin| busy::begin(Arc::clone(&shared), pin);
    // Half of the threads exist before the partition, as in a program that makes its partition late.
    let early: Result<Vec<_>, _> = (0..threads / 2).map(|_| begin(None)).collect();
    let mut all = early?;

    let partition = Partition::process()?;
    let _observation = partition.observe(say)?;
    let table = PerProcessor::new(&partition, "table", |_| Ok(AtomicU64::new(0)))?;
    let agreed: Arc<AtomicU64> = Arc::default();
    let refused: Arc<AtomicU64> = Arc::default();
    // This driver is asked last: when it agrees, all have agreed.
    let last = {
        let (agreed, refused) = (Arc::clone(&agreed), Arc::clone(&refused));
        move |notice: &Notice| answer(notice, &agreed, &refused)
    };
    let _registration = partition.register("last", last)?;
    let there = Shared { partition: partition.clone(), table, agreed };
    shared.set(there).map_err(|_| "made twice")?;
    let late: Result<Vec<_>, _> = (all.len()..threads).map(|_| begin(None)).collect();
    all.extend(late?);
    if let Some(pin) = pin {
        all.push(begin(Some(pin))?);
    }
    // Opened for writing too, so that reading does not end when a writer closes the pipe.
    let orders = BufReader::new(OpenOptions::new().read(true).write(true).open(orders)?);
    println!("up: {} active: {}", std::process::id(), busy::set(&partition));
    for line in orders.lines() {
        let line = line?;
        match line.split_once(' ').unwrap_or((&line, "")) {
            ("report", name) => {
                let (tally, set) = (tally::take(&all), busy::set(&partition));
                println!("report {name} {tally} set={set} count={}", partition.count());
            }
            ("refuse", id) => {
                refused.fetch_or(bit(id.parse()?), Ordering::SeqCst);
            }
            ("agree", _) => refused.store(0, Ordering::SeqCst),
            _ => return Ok(()),
        }
    }
    Ok(())
}

/// The last driver's answer. A processor that it has agreed to is marked until the outcome is known.
fn answer(notice: &Notice, agreed: &AtomicU64, refused: &AtomicU64) -> Result<(), Veto> {
    let id = notice.processor().id;
    let bit = bit(id.0);
    match notice.state() {
        State::AddStart if refused.load(Ordering::SeqCst) & bit != 0 => {
            return Err(Veto::new(Status::INSUFFICIENT_RESOURCES, format!("{id} is not allowed")));
        }
        State::AddStart => {
            agreed.fetch_or(bit, Ordering::SeqCst);
        }
        _ => {
            agreed.fetch_and(!bit, Ordering::SeqCst);
        }
    }
    Ok(())
}

/// Prints one line for each change of the set, for each refusal, and for each problem found, with the time in microseconds.
fn say(event: &Event) {
    let reason = event.reason.as_deref().unwrap_or_default();
    let id = event.id.map(|id: HardwareId| id.to_string()).unwrap_or_default();
    let at = tally::now_us();
    match event.kind {
        EventKind::Joined if event.agreed => println!("{id} joined @{at}"),
        EventKind::Joined => println!("{id} joined without agreement @{at}"),
        EventKind::Left if event.surprise => println!("{id} vanished @{at}"),
        EventKind::Left => println!("{id} left @{at}"),
        EventKind::Refused | EventKind::RemoveRefused => {
            let by = event.party.as_ref().map(|party| &*party.name).unwrap_or_default();
            println!("{id} refused: {by}: {reason} @{at}");
        }
        EventKind::Appeared => println!("{id} appeared @{at}"),
        EventKind::Breach => println!("found: {reason} @{at}"),
        _ => {}
    }
}
