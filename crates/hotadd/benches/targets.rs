//! The targets of `docs/performance.md`, measured as alternating pairs in one run, with their ratios.
//!
//! `cargo bench -p hotadd --bench targets` prints the table. It reports and does not judge: the exit code is always 0.
#![expect(clippy::unwrap_used, reason = "a bench that cannot go on stops")]

mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::hint::black_box;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use common::{Boxed, Idle, bare_add, bare_replay, boxed, partition, register};
use hotadd::{Driver, MAX_PROCESSORS, Notice, Veto};

const DRIVERS: usize = 10_000;

/// The system's allocator, with a count of the allocated bytes.
struct InUse;

static BYTES: AtomicUsize = AtomicUsize::new(0);

#[global_allocator]
static ALLOCATOR: InUse = InUse;

// SAFETY: every call is passed unchanged to the system's allocator, and its result is returned; counting does
// not allocate.
unsafe impl GlobalAlloc for InUse {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        BYTES.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller keeps the promises of this very method.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        BYTES.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller passes a block of this allocator with its layout. Every block of it came from the system's allocator,
        // with the same layout, because `alloc` and the other methods, which use `alloc`, pass requests on unchanged.
        unsafe { System.dealloc(block, layout) }
    }
}

/// The smallest driver that does something: it writes to its state, which must be fetched from memory first.
#[derive(Default)]
struct Counting {
    asked: u32,
    told: u32,
}

impl Driver for Counting {
    fn add_start(&mut self, _: &Notice) -> Result<(), Veto> {
        self.asked += 1;
        Ok(())
    }

    fn add_complete(&mut self, _: &Notice) {
        self.told += 1;
    }
}

/// One line of the table.
struct Line {
    target: &'static str,
    measured: String,
    ratio: f64,
    limit: &'static str,
    /// `None` if there is no limit.
    met: Option<bool>,
}

fn main() {
    // Loom's primitives work only inside its models.
    if cfg!(hotadd_loom) {
        return;
    }
    // Without this argument `cargo test` only checks that the benches run once.
    let timed = std::env::args().any(|a| a == "--bench");
    let rounds = u32::from(timed);
    let lines = [
        add::<Idle>("T1 add, 10,000 no-op drivers", rounds * 2_000),
        Line {
            limit: "none set",
            met: None,
            ..add::<Counting>("   the same, drivers that count", rounds * 2_000)
        },
        count(rounds * 2_000),
        replay(rounds * 20_000),
        memory(),
    ];
    if !timed {
        return;
    }
    println!("{:<38} {:<46} {:>10}  {:<22} met", "target", "measured (medians)", "ratio", "limit");
    for Line { target, measured, ratio, limit, met } in lines {
        let met = match met {
            Some(true) => "met",
            Some(false) => "MISSED",
            None => "-",
        };
        println!("{target:<38} {measured:<46} {ratio:>10.2}  {limit:<22} {met}");
    }
}

/// T1: an agreed add over no-op drivers, each of a new processor, and the bare calls.
fn add<D: Driver + Send + Default + 'static>(target: &'static str, rounds: u32) -> Line {
    let partition = partition(1, rounds + WARM_UP);
    let registrations = register::<D>(&partition, DRIVERS);
    let mut drivers: Vec<Boxed> = boxed::<D>(DRIVERS);
    let mut spare = partition.candidates().unwrap().into_iter();
    let processor = partition.active().to_vec()[0];
    let (bare, add) = medians(
        rounds,
        || assert!(bare_add(black_box(&mut drivers), black_box(processor))),
        || spare.next().unwrap(),
        |id| _ = black_box(partition.add(id).unwrap()),
    );
    drop(registrations);
    let ratio = quotient(add, bare);
    Line {
        target,
        measured: format!("{}, bare calls {}", micros(add), micros(bare)),
        ratio,
        limit: "<= 1.5",
        met: Some(ratio <= 1.5),
    }
}

/// T2: reading the count, and asking the standard library.
fn count(rounds: u32) -> Line {
    const READS: u32 = 1_000;
    let partition = partition(MAX_PROCESSORS, 0);
    let (std, reads) = medians(
        rounds,
        || _ = black_box(std::thread::available_parallelism()),
        || (),
        |()| {
            for _ in 0..READS {
                black_box(black_box(&partition).count());
            }
        },
    );
    let nanos = reads.as_secs_f64() * 1e9 / f64::from(READS);
    let ratio = quotient(std, reads) * f64::from(READS);
    Line {
        target: "T2 count, of 2,048 processors",
        measured: format!("{nanos:.2} ns, available_parallelism {}", micros(std)),
        ratio,
        limit: ">= 1,000, count <= 2 ns",
        met: Some(ratio >= 1_000.0 && nanos <= 2.0),
    }
}

/// T3: registering a driver with a replay of 2,048 active processors, and the bare calls.
fn replay(rounds: u32) -> Line {
    let partition = partition(MAX_PROCESSORS, 0);
    let processors = partition.active().to_vec();
    let (bare, register) = medians(
        rounds,
        || _ = black_box(bare_replay(black_box(&processors))),
        || (),
        |()| partition.register("driver-00000", Idle::default()).unwrap(),
    );
    let ratio = quotient(register, bare);
    Line {
        target: "T3 register, over 2,048 processors",
        measured: format!("{}, bare calls {}", micros(register), micros(bare)),
        ratio,
        limit: "<= 1.5",
        met: Some(ratio <= 1.5),
    }
}

/// T4: the memory of a registration, besides the driver: the registry's entry, its allocations, and the handle.
fn memory() -> Line {
    let partition = partition(1, 0);
    let names: Vec<String> = (0..DRIVERS).map(|n| format!("driver-{n:05}")).collect();
    let before = BYTES.load(Ordering::Relaxed);
    let mut handles = Vec::with_capacity(DRIVERS);
    for name in &names {
        handles.push(partition.register(name, Idle::default()).unwrap());
    }
    let after = BYTES.load(Ordering::Relaxed);
    drop(handles);
    #[expect(clippy::cast_precision_loss, reason = "some megabytes")]
    let bytes = (after - before) as f64 / DRIVERS as f64 - size_of::<Idle>() as f64;
    Line {
        target: "T4 memory, for each of 10,000 drivers",
        measured: format!("{bytes:.1} bytes, name of 12 bytes"),
        ratio: bytes / 128.0,
        limit: "<= 128 bytes",
        met: Some(bytes <= 128.0),
    }
}

const WARM_UP: u32 = 20;

/// The median times of two actions, alternating: `a`, and `b` with the input that `prepare` makes for it. The
/// result of `b` is dropped after its clock has stopped.
fn medians<P, R>(
    rounds: u32,
    mut a: impl FnMut(),
    mut prepare: impl FnMut() -> P,
    mut b: impl FnMut(P) -> R,
) -> (Duration, Duration) {
    let mut times = (Vec::new(), Vec::new());
    for _ in 0..WARM_UP + rounds {
        let prepared = prepare();
        let began = Instant::now();
        a();
        times.0.push(began.elapsed());
        let began = Instant::now();
        let result = b(prepared);
        times.1.push(began.elapsed());
        drop(result);
    }
    let median = |mut times: Vec<Duration>| {
        if rounds > 0 {
            times.drain(..WARM_UP as usize);
        }
        times.sort_unstable();
        times[times.len() / 2]
    };
    (median(times.0), median(times.1))
}

fn quotient(a: Duration, b: Duration) -> f64 {
    a.as_secs_f64() / b.as_secs_f64()
}

fn micros(time: Duration) -> String {
    format!("{:.2} µs", time.as_secs_f64() * 1e6)
}
