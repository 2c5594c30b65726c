//! How the cost grows with the number of drivers, of processors, and of threads that read.

use std::hint::black_box;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use hotadd::hardware::Simulated;
use hotadd::{HardwareId, MAX_PROCESSORS, Partition, PerProcessor, ProcessorIndex};
use rustix::time::{ClockId, clock_gettime};

use crate::drivers::{Idle, Refusing, deregister, names, partition, register, spare};
use crate::effort::{Action, Effort, alternate, each, float, median, nanos, per};
use crate::machine::pinned;
use crate::plot::{Plot, Series};
use crate::report::{Section, Table, time};
use crate::transactions::thousands;

/// The last is the most that a partition admits (R7).
const DRIVERS: [usize; 6] = [1, 10, 100, 1_000, 10_000, 65_536];
const PROCESSORS: [usize; 6] = [1, 8, 64, 256, 1_024, MAX_PROCESSORS as usize];
const READERS: [usize; 7] = [1, 2, 4, 8, 16, 32, 64];

/// Which of the three is varied, and what is drawn of it.
struct Curve {
    file: &'static str,
    title: &'static str,
    /// What is varied.
    of: &'static str,
    sizes: Vec<usize>,
    names: &'static [&'static str],
}

pub(crate) fn section(effort: Effort) -> Section {
    let curves = [
        (
            Curve {
                file: "growth-drivers",
                title: "hotadd: growth with the number of drivers",
                of: "drivers",
                sizes: effort.sizes(&DRIVERS),
                names: &["agreed add", "veto by the last, unwound", "register one more"],
            },
            with_drivers as fn(Effort, usize) -> Vec<Option<f64>>,
        ),
        (
            Curve {
                file: "growth-processors",
                title: "hotadd: growth with the number of processors",
                of: "processors",
                sizes: effort.sizes(&PROCESSORS),
                names: &[
                    "register with replay",
                    "agreed add, 1 driver",
                    "veto, 1 driver",
                    "`count()`",
                    "`read()`",
                    "`PerProcessor::get`",
                    "`PerProcessor::local`",
                ],
            },
            with_processors,
        ),
        (
            Curve {
                file: "growth-readers",
                title: "hotadd: growth with the number of threads that read",
                of: "threads",
                sizes: effort.sizes(&READERS),
                names: &["`count()`", "`read()`", "`PerProcessor::get`", "`PerProcessor::local`"],
            },
            with_readers,
        ),
    ];
    let (mut tables, mut plots) = (Vec::new(), Vec::new());
    for (curve, measure) in curves {
        let series = curve.measure(effort, measure);
        tables.push(curve.table(&series));
        plots.push(curve.plot(series));
    }
    Section { name: "growth", lead: String::new(), tables, plots }
}

impl Curve {
    fn measure(
        &self,
        effort: Effort,
        measure: fn(Effort, usize) -> Vec<Option<f64>>,
    ) -> Vec<Series> {
        let named = |name: &&str| Series { name: (*name).to_owned(), points: Vec::new() };
        let mut series: Vec<_> = self.names.iter().map(named).collect();
        for &size in &self.sizes {
            for (series, time) in series.iter_mut().zip(measure(effort, size)) {
                series.points.extend(time.map(|time| (float(size), time)));
            }
        }
        series
    }

    fn table(&self, series: &[Series]) -> Table {
        let sizes: Vec<_> = self.sizes.iter().map(|size| thousands(*size)).collect();
        let first = format!("by {}", self.of);
        let mut head = vec![first.as_str()];
        head.extend(sizes.iter().map(String::as_str));
        head.extend(["slope of the last step", "steepest"]);
        let mut table = Table::new(&head);
        for series in series {
            let exponents = series.exponents();
            let steepest = exponents.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let slope =
                |exponent: Option<f64>| exponent.map_or("-".to_owned(), |e| format!("{e:.2}"));
            let times = series.points.iter().map(|point| time(Some(point.1)));
            let ends =
                [slope(exponents.last().copied()), slope(exponents.first().map(|_| steepest))];
            table.row([series.name.clone()].into_iter().chain(times).chain(ends));
        }
        table
    }

    /// The legend gives the slope of the last step.
    fn plot(&self, mut series: Vec<Series>) -> Plot {
        for series in &mut series {
            let slope = series.exponents().last().map(|slope| format!(" ({slope:.2})"));
            series.name = series.name.replace('`', "") + &slope.unwrap_or_default();
        }
        Plot { file: self.file, title: self.title.to_owned(), x: self.of, series }
    }
}

/// An agreed add, a vetoed add, and registering one more, with so many drivers and one processor.
fn with_drivers(effort: Effort, drivers: usize) -> Vec<Option<f64>> {
    let partition = partition(1);
    let id = spare(&partition);
    // The last of them refuses if it is told to.
    let names = names(drivers);
    let others = register(&partition, &names[1..], Idle::default);
    let agreeing = partition.register("last", Idle::default()).expect("it agrees");
    let batch = if effort == Effort::Once { 1 } else { (50_000 / drivers).clamp(1, 200) };
    let rounds = effort.rounds(30);
    let mut add: Vec<Action<'_>> = vec![Box::new(|| {
        let once = |_| {
            let began = Instant::now();
            black_box(partition.add(id).expect("all agree"));
            let took = nanos(began);
            partition.remove(id).expect("nothing keeps it");
            took
        };
        median((0..batch).map(once).collect())
    })];
    let added = alternate(rounds, &mut add)[0];
    drop(add);
    drop(agreeing);
    let one_more = || {
        let began = Instant::now();
        let registration = partition.register("one more", Idle::default());
        let took = nanos(began);
        drop(registration.expect("fewer than the limit"));
        took
    };
    let registered = median((0..rounds * batch.min(20)).map(|_| one_more()).collect());
    let _last = partition.register("last", Refusing(id)).expect("it agrees to the others");
    let vetoed = || {
        let began = Instant::now();
        black_box(partition.add(id).expect_err("the last refuses"));
        nanos(began)
    };
    let vetoed = median((0..rounds * batch).map(|_| vetoed()).collect());
    deregister(others);
    vec![added, vetoed, registered]
}

/// A registration with replay, an add, a veto and reads, with so many processors, of which one is added.
fn with_processors(effort: Effort, processors: usize) -> Vec<Option<f64>> {
    let active = u32::try_from(processors).expect("at most 2,048");
    let full = Partition::simulated(&Simulated::new(active, 0).expect("at most 2,048"))
        .expect("simulated");
    // The last processor of so many joins. With one processor, it is the second: a partition cannot be empty.
    let growing = partition(processors.max(2) - 1);
    let refusing = partition(processors.max(2) - 1);
    let (id, refused) = (spare(&growing), spare(&refusing));
    let _one = growing.register("one", Idle::default()).expect("it agrees");
    let _last = refusing.register("last", Refusing(refused)).expect("it agrees to the others");
    let blocks =
        PerProcessor::new(&full, "blocks", |_| Ok(AtomicU64::new(0))).expect("a block for each");
    let index = ProcessorIndex::new(active - 1).expect("active");
    let batch = if effort == Effort::Once { 1 } else { 50 };
    let calls = batch * 200;
    let mut actions: Vec<Action<'_>> = vec![
        Box::new(|| {
            let once = |_| {
                let began = Instant::now();
                let registration = full.register("one", Idle::default());
                let took = nanos(began);
                drop(registration.expect("it agrees"));
                took
            };
            median((0..batch).map(once).collect())
        }),
        Box::new(|| median((0..batch).map(|_| add(&growing, id)).collect())),
        Box::new(|| {
            let once = |_| {
                let began = Instant::now();
                black_box(refusing.add(refused).expect_err("the last refuses"));
                nanos(began)
            };
            median((0..batch).map(once).collect())
        }),
        Box::new(|| Some(each(calls, || _ = black_box(black_box(&full).count())))),
        Box::new(|| Some(each(calls, || _ = black_box(black_box(&full).read().count())))),
        Box::new(|| {
            Some(each(calls, || {
                let one = blocks.get(black_box(index)).expect("active");
                _ = black_box(one.load(Ordering::Relaxed));
            }))
        }),
        Box::new(|| {
            // On the first processor, which every one of these partitions has.
            pinned(|_| Some(each(calls, || _ = black_box(blocks.local().load(Ordering::Relaxed)))))
        }),
    ];
    alternate(effort.rounds(30), &mut actions)
}

/// The time of an add. The processor is removed again.
fn add(partition: &Partition, id: HardwareId) -> f64 {
    let began = Instant::now();
    black_box(partition.add(id).expect("all agree"));
    let took = nanos(began);
    partition.remove(id).expect("nothing keeps it");
    took
}

/// Reads by so many threads at once, in processor time of one call. More threads than processors take turns on them.
fn with_readers(effort: Effort, threads: usize) -> Vec<Option<f64>> {
    let partition = partition(MAX_PROCESSORS as usize - 1);
    let blocks = PerProcessor::new(&partition, "blocks", |_| Ok(AtomicU64::new(0)))
        .expect("a block for each");
    let number = AtomicUsize::new(0);
    let mut actions: Vec<Action<'_>> = vec![
        Box::new(|| at_once(effort, threads, || || _ = black_box(black_box(&partition).count()))),
        Box::new(|| {
            at_once(effort, threads, || || _ = black_box(black_box(&partition).read().count()))
        }),
        Box::new(|| {
            at_once(effort, threads, || {
                let next = number.fetch_add(1, Ordering::Relaxed);
                let next = ProcessorIndex::new(u32::try_from(next % 1_024).expect("small"));
                let (index, blocks) = (next.expect("below 2,047"), &blocks);
                move || {
                    let one = blocks.get(black_box(index)).expect("active");
                    _ = black_box(one.load(Ordering::Relaxed));
                }
            })
        }),
        Box::new(|| {
            at_once(effort, threads, || {
                || _ = black_box(black_box(&blocks).local().load(Ordering::Relaxed))
            })
        }),
    ];
    alternate(effort.rounds(5), &mut actions)
}

/// The processor time of one call, if so many threads make it at once. `reader` makes the function of one thread.
fn at_once<F: FnMut() + Send>(
    effort: Effort,
    threads: usize,
    reader: impl Fn() -> F,
) -> Option<f64> {
    const CALLS: usize = 1_000;
    let over = AtomicBool::new(false);
    // Each thread gets several turns.
    let while_reading = match effort {
        Effort::Once => Duration::ZERO,
        Effort::Quick | Effort::Full => Duration::from_millis(20 + 10 * threads as u64),
    };
    let times: Vec<f64> = thread::scope(|scope| {
        let threads: Vec<_> = (0..threads)
            .map(|_| {
                let (mut read, over) = (reader(), &over);
                scope.spawn(move || {
                    let (began, mut calls) = (used(), 0);
                    loop {
                        for _ in 0..CALLS {
                            read();
                        }
                        calls += CALLS;
                        if over.load(Ordering::Relaxed) {
                            return per(used() - began, calls);
                        }
                    }
                })
            })
            .collect();
        sleep(while_reading);
        over.store(true, Ordering::Relaxed);
        threads.into_iter().map(|thread| thread.join().expect("it only reads")).collect()
    });
    median(times)
}

/// The processor time of this thread, in nanoseconds.
fn used() -> f64 {
    let used = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(used.tv_sec.unsigned_abs(), u32::try_from(used.tv_nsec).unwrap_or(0))
        .as_secs_f64()
        * 1e9
}
