//! The cost of a per-CPU value, compared with thread-locals and atomics in the same run.
//!
//! `cargo bench -p hotadd-percpu --bench percpu` prints two tables. It reports and does not judge: the exit code is always 0.
#![expect(clippy::unwrap_used, reason = "a bench that cannot go on stops")]

use std::cell::Cell;
use std::hint::black_box;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use hotadd_percpu::{Counters, Table, cpu};

thread_local! {
    static PLAIN: Cell<u64> = const { Cell::new(0) };
}

/// A word that shares its cache line with nothing.
#[derive(Default)]
#[repr(align(128))]
struct Apart(AtomicU64);

/// Rounds of each measurement, in turn with the others. The fastest counts: noise only adds. A round is shorter than a time slice.
const ROUNDS: usize = 2_000;

fn main() {
    // Loom's primitives work only inside its models.
    if cfg!(hotadd_loom) {
        return;
    }
    // Without this argument `cargo test` only checks that the benches run once.
    let timed = std::env::args().any(|a| a == "--bench");
    let (rounds, times) = if timed { (ROUNDS, 8_000) } else { (1, 10) };
    let cpus = u32::try_from(cpu::possible()).unwrap();
    let table = Table::new(cpus as usize, Apart::default(), ());
    let counters = [(); 4].map(|()| Counters::new(cpus as usize, ()));
    let four: [Apart; 4] = Default::default();
    for cpu in 0..cpus {
        table.publish(cpu, cpu, Apart::default()).unwrap();
        counters.iter().for_each(|one| one.publish(cpu, cpu).unwrap());
    }
    let array: Vec<Apart> = (0..cpus).map(|_| Apart::default()).collect();
    let one = Apart::default();

    if timed {
        println!("CPU number from {:?}", cpu::source());
    }
    // Without `black_box` the compiler keeps the cell in a register.
    let cell = || {
        PLAIN.with(|cell| {
            let cell = black_box(cell);
            cell.set(cell.get() + 1);
        });
    };
    let alone: [(&str, &dyn Fn(u64) -> Duration); 12] = [
        ("thread_local! Cell, +1", &|n| time(n, cell)),
        ("cpu::current()", &|n| time(n, || black_box(cpu::current().unwrap_or(0)))),
        ("sched_getcpu()", &|n| time(n, || black_box(getcpu()))),
        ("Table::local(), load", &|n| time(n, || table.local().0.load(Ordering::Relaxed))),
        ("Table::local(), load and store", &|n| time(n, || bump(&table.local().0))),
        ("Table::local(), fetch_add", &|n| {
            time(n, || table.local().0.fetch_add(1, Ordering::Relaxed))
        }),
        ("array[sched_getcpu()], fetch_add", &|n| {
            time(n, || array[getcpu()].0.fetch_add(1, Ordering::Relaxed))
        }),
        ("array[cpu::current()], fetch_add", &|n| {
            time(n, || at_cpu(&array).fetch_add(1, Ordering::Relaxed))
        }),
        ("own cache line, fetch_add", &|n| time(n, || one.0.fetch_add(1, Ordering::Relaxed))),
        ("Counters::add(1)", &|n| time(n, || counters[0].add(black_box(1)))),
        // An addition to the word that was just written waits for that. Programs seldom add to the same word back to back.
        ("four words in turn, fetch_add", &|n| {
            time_four(n, |at| _ = four[at].0.fetch_add(1, Ordering::Relaxed))
        }),
        ("four Counters in turn, add(1)", &|n| time_four(n, |at| counters[at].add(black_box(1)))),
    ];
    let figures = fastest(rounds, &alone, |(_, measure)| nanos(measure(times), times));
    if timed {
        print("one thread", "ratio", &figures, |ns, base| ns / base);
    }

    let threads = std::thread::available_parallelism().unwrap().get();
    let all: [(&str, &(dyn Fn() + Sync)); 4] = [
        ("one shared atomic, fetch_add", &|| _ = one.0.fetch_add(1, Ordering::Relaxed)),
        ("thread_local! Cell, +1", &cell),
        ("Table::local(), fetch_add", &|| _ = table.local().0.fetch_add(1, Ordering::Relaxed)),
        ("Counters::add(1)", &|| counters[0].add(1)),
    ];
    let count = |(_, count): &(_, &(dyn Fn() + Sync))| together(threads, times, *count);
    let figures = fastest(rounds, &all, |one| nanos(count(one), times));
    if timed {
        print(&format!("{threads} threads"), "speed-up", &figures, |ns, base| base / ns);
    }
    black_box((counters[0].sum(), PLAIN.with(Cell::get)));
}

/// The fastest round of each measurement.
fn fastest<'a, M>(
    rounds: usize,
    all: &[(&'a str, M)],
    measure: impl Fn(&(&'a str, M)) -> f64,
) -> Vec<(&'a str, f64)> {
    let mut fastest: Vec<_> = all.iter().map(|(what, _)| (*what, f64::INFINITY)).collect();
    for _ in 0..rounds {
        for ((_, least), one) in fastest.iter_mut().zip(all) {
            *least = least.min(measure(one));
        }
    }
    fastest
}

fn print(title: &str, compared: &str, figures: &[(&str, f64)], compare: impl Fn(f64, f64) -> f64) {
    println!("\n{title:<36} {:>8} {compared:>8}", "ns");
    for (what, ns) in figures {
        println!("{what:<36} {ns:>8.2} {:>8.2}", compare(*ns, figures[0].1));
    }
}

fn getcpu() -> usize {
    // SAFETY: sched_getcpu takes nothing.
    usize::try_from(unsafe { libc::sched_getcpu() }).unwrap_or(0)
}

fn at_cpu(array: &[Apart]) -> &AtomicU64 {
    &array[cpu::current().unwrap_or(0) as usize].0
}

fn bump(word: &AtomicU64) {
    word.store(word.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
}

fn time<R>(times: u64, what: impl Fn() -> R) -> Duration {
    let began = Instant::now();
    for _ in 0..times {
        black_box(what());
    }
    began.elapsed()
}

/// As `time`, with four places in turn.
fn time_four(times: u64, what: impl Fn(usize)) -> Duration {
    let began = Instant::now();
    for _ in 0..times / 4 {
        (0..4).for_each(&what);
    }
    began.elapsed()
}

/// The time from the first thread's beginning to the last one's end. All begin at once.
fn together(threads: usize, times: u64, what: &(dyn Fn() + Sync)) -> Duration {
    let ready = AtomicUsize::new(0);
    let run = || {
        ready.fetch_add(1, Ordering::SeqCst);
        while ready.load(Ordering::SeqCst) < threads {
            std::hint::spin_loop();
        }
        let began = Instant::now();
        for _ in 0..times {
            what();
        }
        (began, Instant::now())
    };
    std::thread::scope(|scope| {
        let running: Vec<_> = (0..threads).map(|_| scope.spawn(run)).collect();
        let (began, ended): (Vec<_>, Vec<_>) =
            running.into_iter().map(|one| one.join().unwrap()).unzip();
        *ended.iter().max().unwrap() - *began.iter().min().unwrap()
    })
}

fn nanos(took: Duration, times: u64) -> f64 {
    took.as_secs_f64() * 1e9 / f64::from(u32::try_from(times).unwrap())
}
