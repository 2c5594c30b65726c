//! A program that keeps a count, a table and workers for each processor, while processors join and leave. Another thread moves the
//! counting threads from one processor to the next all the time, also in the middle of an addition.
//!
//! It reads commands from a pipe, one a line: `add N` and `remove N` change the partition, `report` prints what was counted, `end`
//! stops all threads and prints the final counts. After each command it prints a line that begins with `done K.`, where K is the
//! number of the command.

use std::error::Error;
use std::fs::OpenOptions;
use std::io::{BufRead, BufReader};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};

use hotadd::hardware::{Hotplug, HotplugOptions};
use hotadd::{Counter, HardwareId, Partition, PerProcessor, State};

use crate::busy;
use crate::jobs::Jobs;
use crate::mover::{Avoiding, Moves};

/// The number of threads that count.
const COUNTING: usize = 3;

/// How many additions a thread makes before it looks whether it shall end.
const BATCH: u64 = 200;

/// What all threads count on.
pub(crate) struct Counts {
    counter: Counter,
    table: PerProcessor<Value>,
    lives: Arc<Lives>,
    stop: AtomicBool,
}

/// The value of a processor. Each has another number.
struct Value {
    count: AtomicU64,
    number: u64,
    lives: Arc<Lives>,
}

/// How many values were made, were merged into the spare value, and were dropped.
#[derive(Default)]
struct Lives {
    made: AtomicU64,
    freed: AtomicU64,
    dropped: AtomicU64,
}

impl Drop for Value {
    fn drop(&mut self) {
        self.lives.dropped.fetch_add(1, Ordering::Relaxed);
    }
}

impl Counts {
    fn new(partition: &Partition) -> Result<Self, hotadd::Error> {
        let lives: Arc<Lives> = Arc::default();
        let of_freed = Arc::clone(&lives);
        let table = PerProcessor::builder(partition, "table")
            .freed(move |_, left: Value, spare| {
                spare.count.fetch_add(left.count.load(Ordering::Relaxed), Ordering::Relaxed);
                of_freed.freed.fetch_add(1, Ordering::Relaxed);
            })
            .build({
                let lives = Arc::clone(&lives);
                move |_| {
                    let number = lives.made.fetch_add(1, Ordering::Relaxed);
                    Ok(Value { count: AtomicU64::new(0), number, lives: Arc::clone(&lives) })
                }
            })?;
        let counter = Counter::new(partition, "counter")?;
        Ok(Self { counter, table, lives, stop: AtomicBool::new(false) })
    }

    /// Adds to the counter and to the table, so many times.
    pub(crate) fn add(&self, times: u64) {
        for _ in 0..times {
            self.counter.add(1);
            self.table.local().count.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Counts until the end. Returns how often.
    fn count(&self) -> u64 {
        let mut counted = 0;
        while !self.is_stopped() {
            self.add(BATCH);
            counted += BATCH;
        }
        counted
    }

    fn say(&self) -> String {
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let Lives { made, freed, dropped } = &*self.lives;
        format!(
            "counter={} table={} made={} freed={} dropped={} spare={},{}",
            self.counter.sum(),
            self.table.sum(|value| of(&value.count)),
            of(made),
            of(freed),
            of(dropped),
            self.counter.spare_uses(),
            self.table.spare_uses(),
        )
    }
}

/// The partition over the machine's processors, or over those of this process.
fn partition(over: &str) -> Result<Partition, Box<dyn Error>> {
    match over {
        "machine" => Ok(Partition::from_hardware(Arc::new(Hotplug::new(HotplugOptions::new())?))?),
        "process" => Ok(Partition::process()?),
        _ => Err("usage: lab-holder data ORDERS machine|process".into()),
    }
}

pub(crate) fn run(orders: &str, over: &str) -> Result<(), Box<dyn Error>> {
    let partition = partition(over)?;
    let _observation = partition.observe(crate::say)?;
    let counts = Arc::new(Counts::new(&partition)?);
    let jobs = Jobs::begin(&partition, &counts)?;
    // Registered last: in AddComplete the workers have been told.
    let place = {
        let (partition, counts) = (partition.clone(), Arc::clone(&counts));
        move |processor: hotadd::Processor, state: State| {
            let value = counts.table.get(processor.index).map(|value| value.number);
            let value = value.map_or_else(|| "none".to_owned(), |number| number.to_string());
            println!(
                "{state:?} {} value={value} {:?}",
                processor.id,
                partition.topology(processor.id)
            );
        }
    };
    let registration = partition.register("places", move |notice: &hotadd::Notice| {
        place(notice.processor(), notice.state());
        Ok(())
    })?;
    let Threads { moves, counting, mover } = begin(&partition, &counts)?;
    // Over the machine, the kernel itself moves threads away from a processor that it stops, also in the middle of an addition.
    let avoiding = (over == "process").then(|| partition.register("moves", Avoiding(moves)));
    let avoiding = avoiding.transpose()?;

    // Opened for writing too, so that reading does not end when a writer closes the pipe.
    let orders = BufReader::new(OpenOptions::new().read(true).write(true).open(orders)?);
    let source = hotadd_percpu::cpu::source();
    println!("up: {} active: {} source: {source:?}", std::process::id(), busy::set(&partition));
    for (nth, line) in orders.lines().enumerate() {
        let line = line?;
        let change = match line.split_once(' ').unwrap_or((&line, "")) {
            ("add", id) => partition.add(HardwareId(id.parse()?)),
            ("remove", id) => partition.remove(HardwareId(id.parse()?)),
            ("report", _) => {
                println!(
                    "done {nth}. {} {} set={}",
                    counts.say(),
                    jobs.say(),
                    busy::set(&partition)
                );
                continue;
            }
            _ => break,
        };
        let error = change.err().map(|error| format!("error: {line}: {error}"));
        println!("done {nth}. {}", error.unwrap_or_default());
    }

    // It waits for the mover, which ends.
    drop(avoiding);
    counts.stop.store(true, Ordering::Relaxed);
    let moves = mover.join().map_err(|_| "the mover panicked")?;
    let mut counted = 0;
    for thread in counting {
        counted += thread.join().map_err(|_| "a counting thread panicked")?;
    }
    let (said, by_jobs) = jobs.end()?;
    drop(registration);
    println!("end counted={} moves={moves} {} {said}", counted + by_jobs, counts.say());
    Ok(())
}

/// The threads that count, and the one that moves them. They return how often they did.
struct Threads {
    moves: Arc<Moves>,
    counting: Vec<JoinHandle<u64>>,
    mover: JoinHandle<u64>,
}

/// Starts the threads.
fn begin(partition: &Partition, counts: &Arc<Counts>) -> Result<Threads, Box<dyn Error>> {
    let (sender, ids) = mpsc::channel();
    let mut counting = Vec::new();
    for _ in 0..COUNTING {
        let (counts, sender) = (Arc::clone(counts), sender.clone());
        let count = move || {
            busy::be_nice();
            let _ = sender.send(rustix::thread::gettid());
            drop(sender);
            counts.count()
        };
        counting.push(thread::Builder::new().name("count".into()).spawn(count)?);
    }
    drop(sender);
    let ids: Vec<_> = ids.into_iter().map(|id| id.as_raw_nonzero().get()).collect();
    let moves: Arc<Moves> = Arc::default();
    let mover = {
        let (moves, partition, counts) =
            (Arc::clone(&moves), partition.clone(), Arc::clone(counts));
        move || moves.run(&partition, &counts, &ids)
    };
    let mover = thread::Builder::new().name("move".into()).spawn(mover)?;
    Ok(Threads { moves, counting, mover })
}
