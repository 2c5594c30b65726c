//! Reaching the data of the processor that the thread is on, and counting on all processors at once.

use std::cell::Cell;
use std::hint::black_box;
use std::sync::Barrier;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use crossbeam_utils::CachePadded;
use crossbeam_utils::sync::ShardedLock;
use hotadd::{Counter, Partition, PerProcessor, ProcessorIndex};
use thread_local::ThreadLocal;

use crate::effort::{Action, Effort, alternate, each, float, per};
use crate::getcpu::processor;
use crate::machine::{pin, pinned, processors};
use crate::peer::URCU;
use crate::plot::{Plot, Series};
use crate::report::{Section, Table, met, time, times};

thread_local! {
    static OWN: Cell<u64> = const { Cell::new(0) };
}

/// A slot for each possible processor, found by `sched_getcpu`.
fn slots() -> Vec<CachePadded<AtomicU64>> {
    (0..1_024).map(|_| CachePadded::default()).collect()
}

/// Reaching one's own slot, on one thread without contention.
pub(crate) fn reaching(effort: Effort) -> Section {
    let calls = if effort == Effort::Once { 2 } else { 20_000 };
    let medians = pinned(|on| {
        let (slots, own) = (slots(), ThreadLocal::<AtomicU64>::new());
        let sharded = ShardedLock::new(0_u64);
        let mut urcu = URCU.start(on);
        let partition = Partition::watch_process().expect("a partition of this process");
        let blocks = PerProcessor::new(&partition, "blocks", |_| Ok(AtomicU64::new(0)));
        let blocks = blocks.expect("a block for each");
        let first = ProcessorIndex::new(0).expect("a partition has a first processor");
        own.get_or_default();
        let mut actions: Vec<Action<'_>> = vec![
            Box::new(|| {
                Some(each(calls, || OWN.with(|cell| _ = black_box(black_box(cell).get()))))
            }),
            Box::new(|| {
                Some(each(calls, || {
                    _ = black_box(black_box(&own).get_or_default().load(Ordering::Relaxed));
                }))
            }),
            Box::new(|| {
                Some(each(calls, || _ = black_box(slots[processor()].load(Ordering::Relaxed))))
            }),
            Box::new(|| {
                Some(each(calls, || _ = black_box(*sharded.read().expect("not poisoned"))))
            }),
            Box::new(|| urcu.as_mut()?.ask(&format!("lookup {calls}"))?.first().copied()),
            Box::new(|| {
                Some(each(calls, || {
                    let own = black_box(&blocks).get(black_box(first)).expect("active");
                    _ = black_box(own.load(Ordering::Relaxed));
                }))
            }),
            Box::new(|| {
                Some(each(calls, || {
                    let own = black_box(&blocks).local();
                    _ = black_box(own.load(Ordering::Relaxed));
                }))
            }),
        ];
        alternate(effort.rounds(200), &mut actions)
    });
    let names = [
        "`thread_local!`",
        "crate `thread_local`, `get_or_default`",
        "`sched_getcpu` as index of a table",
        "crossbeam `ShardedLock`, `read`",
        "liburcu, `get_call_rcu_data`",
        "hotadd, `PerProcessor::get`",
        "hotadd, `PerProcessor::local`",
    ];
    let mut table = Table::new(&[
        "reach one's data and read it",
        "time",
        "times `thread_local!`",
        "a slot for",
        "follows a processor that joins",
    ]);
    let says = [
        ("a thread", "-"),
        ("a thread", "-"),
        ("a processor", "no: a table for all that are possible"),
        ("a thread, 8 in all", "-"),
        ("a processor", "no: a worker for all that are configured"),
        ("a processor", "yes"),
        ("a processor", "yes"),
    ];
    for ((name, time_), (slot, follows)) in names.iter().zip(&medians).zip(says) {
        table.row([
            (*name).to_owned(),
            time(*time_),
            times(*time_, medians[0]),
            slot.to_owned(),
            follows.to_owned(),
        ]);
    }
    let local = medians[6];
    let ratio = local.zip(medians[0]).map(|(local, own)| local / own);
    let mut targets = Table::new(&["target", "measured", "limit", ""]);
    let mut target = |name: &str, measured: String, limit: &str, is_met| {
        targets.row([name.to_owned(), measured, limit.to_owned(), met(is_met).to_owned()]);
    };
    target("`local`", time(local), "<= 2 ns", local.map(|local| local <= 2.0));
    target(
        "`local`, times `thread_local!`",
        times(local, medians[0]),
        "<= 1.5",
        ratio.map(|ratio| ratio <= 1.5),
    );
    Section { name: "reaching", lead: String::new(), tables: vec![table, targets], plots: vec![] }
}

/// What counts: the function returns the time of one of so many counts in a row. The loop is inside, so that no call through a pointer
/// is measured.
type Count<'a> = (&'static str, Box<dyn Fn(usize) -> f64 + Sync + 'a>);

/// Counting on one processor, and on all at once.
pub(crate) fn counting(effort: Effort) -> Section {
    let all = processors();
    let numbers = powers(all.len());
    let calls = if effort == Effort::Once { 2 } else { 200_000 };
    let atomic = CachePadded::new(AtomicU64::new(0));
    let (slots, own) = (slots(), ThreadLocal::<CachePadded<AtomicU64>>::new());
    let relaxed = Ordering::Relaxed;
    let partition = Partition::watch_process().expect("a partition of this process");
    let counter = Counter::new(&partition, "counter").expect("a count for each");
    let ways: Vec<Count<'_>> = vec![
        ("one shared atomic", Box::new(|calls| each(calls, || _ = atomic.fetch_add(1, relaxed)))),
        (
            "`thread_local!` cell",
            Box::new(|calls| each(calls, || OWN.with(|cell| black_box(cell).set(cell.get() + 1)))),
        ),
        (
            "crate `thread_local`, an atomic each",
            Box::new(|calls| each(calls, || _ = own.get_or_default().fetch_add(1, relaxed))),
        ),
        (
            "`sched_getcpu` as index, an atomic each",
            Box::new(|calls| each(calls, || _ = slots[processor()].fetch_add(1, relaxed))),
        ),
        ("hotadd, `Counter::add`", Box::new(|calls| each(calls, || counter.add(1)))),
    ];
    let mut series: Vec<Series> = ways
        .iter()
        .map(|(name, _)| Series { name: name.replace('`', ""), points: Vec::new() })
        .collect();
    for &threads in &numbers {
        let mut actions: Vec<Action<'_>> = ways
            .iter()
            .map(|(_, count)| {
                Box::new(|| Some(together(&all[..threads], calls, count))) as Action<'_>
            })
            .collect();
        let medians = alternate(effort.rounds(40), &mut actions);
        for (series, median) in series.iter_mut().zip(medians) {
            series.points.extend(median.map(|time| (float(threads), time)));
        }
    }
    let most = all.len();
    let mut table = Table::new(&[
        "count one",
        "on 1 processor",
        "on all, each",
        "times as fast as the atomic, on all",
    ]);
    let last = |series: &Series| series.points.last().map(|point| point.1);
    let atomic = last(&series[0]);
    for ((name, _), series) in ways.iter().zip(&series) {
        let first = series.points.first().map(|point| point.1);
        table.row([
            (*name).to_owned(),
            time(first),
            time(last(series)),
            times(atomic, last(series)),
        ]);
    }
    let faster = atomic.zip(series.last().and_then(last)).map(|(atomic, ours)| atomic / ours);
    let mut target = Table::new(&["target", "measured", "limit", ""]);
    target.row([
        "`Counter::add` on all, times as fast as the atomic".to_owned(),
        times(faster, Some(1.0)),
        ">= 5".to_owned(),
        met(faster.map(|faster| faster >= 5.0)).to_owned(),
    ]);
    Section {
        name: "counting",
        lead: format!("All are {most} processors."),
        tables: vec![table, target],
        plots: vec![Plot {
            file: "peers-counting",
            title: "Counting one, on several processors at once".to_owned(),
            x: "threads, each on a processor of its own",
            series,
        }],
    }
}

/// 1, 2, 4 and so on, and the last.
fn powers(last: usize) -> Vec<usize> {
    let mut powers: Vec<_> = (0..).map(|n| 1 << n).take_while(|n| *n < last).collect();
    powers.push(last);
    powers
}

/// A thread on each of these processors calls the function so often. The time of one call, as each thread sees it.
fn together(processors: &[usize], calls: usize, count: &(dyn Fn(usize) -> f64 + Sync)) -> f64 {
    let start = Barrier::new(processors.len());
    let times: Vec<f64> = thread::scope(|scope| {
        let threads: Vec<_> = processors
            .iter()
            .map(|processor| {
                let start = &start;
                scope.spawn(move || {
                    pin(&[*processor]);
                    start.wait();
                    count(calls)
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().expect("it only counts")).collect()
    });
    per(times.iter().sum(), times.len())
}
