//! Registering with a replay, an agreed add, and a vetoed add that is unwound: against DPDK's lcores and their callbacks.

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use crate::drivers::{Counted, Idle, Refusing, deregister, names, partition, register, spare};
use crate::effort::{Effort, alternate, float, median, nanos};
use crate::machine::pinned;
use crate::peer::{DPDK, Peer};
use crate::plot::{Plot, Series};
use crate::report::{Section, Table, met, time, times};

/// Numbers of callbacks.
const CALLBACKS: [usize; 4] = [1, 10, 100, 1_000];
/// Numbers of processors. DPDK has at most 128 lcores, so it can add one to at most 127.
const PROCESSORS: [usize; 4] = [1, 8, 32, 127];

/// What both do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operation {
    Register,
    Add,
    Veto,
}

const OPERATIONS: [Operation; 3] = [Operation::Register, Operation::Add, Operation::Veto];

impl Operation {
    const fn name(self) -> &'static str {
        match self {
            Self::Register => "register with replay",
            Self::Add => "agreed add",
            Self::Veto => "veto by the last, unwound",
        }
    }

    /// The word for the C program.
    const fn word(self) -> &'static str {
        match self {
            Self::Register => "register",
            Self::Add => "add",
            Self::Veto => "veto",
        }
    }

    /// How many are timed in a row. About as many calls in each.
    fn batch(self, callbacks: usize, processors: usize) -> usize {
        let calls = if self == Self::Register { callbacks * processors } else { callbacks };
        (20_000 / calls).clamp(3, 200)
    }
}

/// The times of one operation at one size, in nanoseconds, and how often callbacks were called in it.
#[derive(Clone, Copy, Debug)]
struct Cell {
    operation: Operation,
    callbacks: usize,
    processors: usize,
    dpdk: Option<f64>,
    dpdk_calls: Option<f64>,
    hotadd: Option<f64>,
    hotadd_calls: f64,
}

impl Cell {
    fn faster(&self) -> Option<f64> {
        Some(self.dpdk? / self.hotadd?)
    }
}

pub(crate) fn section(effort: Effort) -> Section {
    let cells = pinned(|processor| {
        let mut dpdk = DPDK.start(processor);
        let mut cells = Vec::new();
        for operation in OPERATIONS {
            for callbacks in effort.sizes(&CALLBACKS) {
                for processors in effort.sizes(&PROCESSORS) {
                    cells.push(cell(effort, dpdk.as_mut(), operation, callbacks, processors));
                }
            }
        }
        cells
    });
    Section {
        name: "transactions",
        lead: String::new(),
        tables: vec![whole(&cells), slopes(&cells), targets(&cells)],
        plots: OPERATIONS.map(|operation| plot(&cells, operation)).into(),
    }
}

/// Measures one cell, the programs alternately.
fn cell(
    effort: Effort,
    mut dpdk: Option<&mut Peer>,
    operation: Operation,
    callbacks: usize,
    processors: usize,
) -> Cell {
    let batch = if effort == Effort::Once { 1 } else { operation.batch(callbacks, processors) };
    let request = format!("{} {callbacks} {processors} {batch}", operation.word());
    let mut dpdk_calls = None;
    let asks = || {
        let answer = dpdk.as_mut()?.ask(&request)?;
        dpdk_calls = answer.get(1).copied();
        answer.first().copied()
    };
    let ours = hotadd(operation, callbacks, processors, batch);
    let medians = alternate(effort.rounds(10), &mut [Box::new(asks), ours]);
    let hotadd_calls = count(operation, callbacks, processors);
    let (dpdk, hotadd) = (medians[0], medians[1]);
    Cell { operation, callbacks, processors, dpdk, dpdk_calls, hotadd, hotadd_calls }
}

/// The same for hotadd: the median of a batch. Undoing a change is not timed.
fn hotadd<'a>(
    operation: Operation,
    callbacks: usize,
    processors: usize,
    batch: usize,
) -> Box<dyn FnMut() -> Option<f64> + 'a> {
    let partition = partition(processors);
    let names = names(callbacks);
    let id = spare(&partition);
    match operation {
        Operation::Register => Box::new(move || {
            let once = |_| {
                let began = Instant::now();
                let registrations = register(&partition, &names, Idle::default);
                let took = nanos(began);
                deregister(registrations);
                took
            };
            median((0..batch).map(once).collect())
        }),
        Operation::Add => {
            let registrations = register(&partition, &names, Idle::default);
            Box::new(move || {
                let once = |_| {
                    let began = Instant::now();
                    black_box(partition.add(id).expect("all agree"));
                    let took = nanos(began);
                    partition.remove(id).expect("nothing keeps it");
                    took
                };
                black_box(&registrations);
                median((0..batch).map(once).collect())
            })
        }
        Operation::Veto => {
            let mut registrations = register(&partition, &names[1..], Idle::default);
            registrations
                .push(partition.register("last", Refusing(id)).expect("it agrees to the others"));
            Box::new(move || {
                let once = |_| {
                    let began = Instant::now();
                    black_box(partition.add(id).expect_err("the last refuses"));
                    nanos(began)
                };
                black_box(&registrations);
                median((0..batch).map(once).collect())
            })
        }
    }
}

/// How often hotadd calls drivers in one operation.
fn count(operation: Operation, callbacks: usize, processors: usize) -> f64 {
    let partition = partition(processors);
    let calls = Arc::new(AtomicU64::new(0));
    let id = spare(&partition);
    let last = if operation == Operation::Veto { Some(id) } else { None };
    let mut registrations =
        register(&partition, &names(callbacks - 1), || Counted(Arc::clone(&calls), None));
    let driver = Counted(Arc::clone(&calls), last);
    registrations.push(partition.register("last", driver).expect("it agrees to the others"));
    if operation != Operation::Register {
        calls.store(0, Ordering::Relaxed);
        let added = partition.add(id).is_ok();
        assert_eq!(added, operation == Operation::Add, "only a veto keeps it out");
    }
    float(usize::try_from(calls.load(Ordering::Relaxed)).expect("few"))
}

fn find(
    cells: &[Cell],
    operation: Operation,
    callbacks: usize,
    processors: usize,
) -> Option<&Cell> {
    let is = |cell: &&Cell| {
        (cell.operation, cell.callbacks, cell.processors) == (operation, callbacks, processors)
    };
    cells.iter().find(is)
}

/// Whole times, for the fewest and the most processors.
fn whole(cells: &[Cell]) -> Table {
    let (few, many) = (PROCESSORS[0], PROCESSORS[3]);
    let head = |what: &str, processors| {
        format!("{what}, {processors} processor{}", if processors == 1 { "" } else { "s" })
    };
    let heads =
        [few, many].map(|n| [head("DPDK", n), head("hotadd", n), "times as fast".to_owned()]);
    let mut all = vec!["operation"];
    all.extend(heads.iter().flatten().map(String::as_str));
    let mut table = Table::new(&all);
    for operation in OPERATIONS {
        for callbacks in CALLBACKS {
            let ends = [few, many].map(|processors| find(cells, operation, callbacks, processors));
            let cells = ends.iter().flat_map(|cell| {
                let (dpdk, hotadd) =
                    (cell.and_then(|cell| cell.dpdk), cell.and_then(|cell| cell.hotadd));
                [time(dpdk), time(hotadd), times(dpdk, hotadd)]
            });
            let s = if callbacks == 1 { "" } else { "s" };
            let name = format!("{}, {} callback{s}", operation.name(), thousands(callbacks));
            table.row([name].into_iter().chain(cells));
        }
    }
    table
}

/// What each further callback or processor costs: the slope between the smallest and the largest size, which has no fixed cost in
/// it.
fn slopes(cells: &[Cell]) -> Table {
    let mut table = Table::new(&[
        "a further one costs",
        "DPDK",
        "calls",
        "hotadd",
        "calls",
        "times as fast",
        "by call: DPDK",
        "hotadd",
    ]);
    let ends = [
        ("callback in an agreed add", Operation::Add, (1, 1), (1_000, 1)),
        ("callback in a vetoed add", Operation::Veto, (1, 1), (1_000, 1)),
        ("processor in a replay", Operation::Register, (1, 1), (1, 127)),
    ];
    for (name, operation, from, to) in ends {
        let from = find(cells, operation, from.0, from.1);
        let to = find(cells, operation, to.0, to.1);
        let rise = |of: fn(&Cell) -> Option<f64>| Some(of(to?)? - of(from?)?);
        let more =
            (|| Some(float(to?.callbacks * to?.processors - from?.callbacks * from?.processors)))();
        let dpdk = rise(|c| c.dpdk).zip(more).map(|(rise, more)| rise / more);
        let hotadd = rise(|c| c.hotadd).zip(more).map(|(rise, more)| rise / more);
        let dpdk_calls = rise(|c| c.dpdk_calls).zip(more).map(|(rise, more)| rise / more);
        let hotadd_calls = rise(|c| Some(c.hotadd_calls)).zip(more).map(|(rise, more)| rise / more);
        let number =
            |calls: Option<f64>| calls.map_or("missing".to_owned(), |calls| format!("{calls:.0}"));
        let by_call = |a: Option<f64>, b: Option<f64>| time(a.zip(b).map(|(a, b)| a / b));
        table.row([
            name.to_owned(),
            time(dpdk),
            number(dpdk_calls),
            time(hotadd),
            number(hotadd_calls),
            times(dpdk, hotadd),
            by_call(dpdk, dpdk_calls),
            by_call(hotadd, hotadd_calls),
        ]);
    }
    table
}

fn targets(cells: &[Cell]) -> Table {
    let mut table = Table::new(&["times as fast as DPDK", "least", "at", "limit", ""]);
    for operation in OPERATIONS {
        for (sizes, limit) in [("every size", 1.0), ("1,000 callbacks", 3.0)] {
            let counts = |cell: &&Cell| {
                cell.operation == operation && (limit < 3.0 || cell.callbacks == 1_000)
            };
            let fastest =
                cells.iter().filter(counts).filter_map(|cell| Some((cell.faster()?, cell)));
            let least = fastest.min_by(|a, b| a.0.total_cmp(&b.0));
            let at = |cell: &Cell| {
                format!("{} callbacks, {} processors", thousands(cell.callbacks), cell.processors)
            };
            table.row([
                format!("{}, {sizes}", operation.name()),
                times(least.map(|(least, _)| least), Some(1.0)),
                least.map_or("missing".to_owned(), |(_, cell)| at(cell)),
                format!(">= {limit}"),
                met(least.map(|(least, _)| least >= limit)).to_owned(),
            ]);
        }
    }
    table
}

fn plot(cells: &[Cell], operation: Operation) -> Plot {
    let mut series = Vec::new();
    for (name, of) in [("DPDK", (|c| c.dpdk) as fn(&Cell) -> Option<f64>), ("hotadd", |c| c.hotadd)]
    {
        for processors in [PROCESSORS[0], PROCESSORS[3]] {
            let point = |callbacks| {
                let time = of(find(cells, operation, callbacks, processors)?)?;
                Some((float(callbacks), time))
            };
            let points: Vec<_> = CALLBACKS.into_iter().filter_map(point).collect();
            let s = if processors == 1 { "" } else { "s" };
            series.push(Series { name: format!("{name}, {processors} processor{s}"), points });
        }
    }
    Plot {
        file: match operation {
            Operation::Register => "peers-register",
            Operation::Add => "peers-add",
            Operation::Veto => "peers-veto",
        },
        title: format!("hotadd and DPDK: {}", operation.name()),
        x: "callbacks",
        series,
    }
}

/// With a comma.
pub(crate) fn thousands(number: usize) -> String {
    match (number / 1_000, number % 1_000) {
        (0, rest) => rest.to_string(),
        (thousands, rest) => format!("{thousands},{rest:03}"),
    }
}
