//! The cost of an agreed add and of a replay, compared with the bare calls that they make.
//!
//! The bench `targets` prints their ratios, alternating in one run.
#![expect(clippy::unwrap_used, reason = "a bench that cannot go on stops")]

mod common;

use std::hint::black_box;
use std::time::{Duration, Instant};

use common::{Idle, bare_add, bare_replay, boxed, partition, register};
use criterion::{BatchSize, BenchmarkId, Criterion};
use hotadd::MAX_PROCESSORS;

fn main() {
    // Loom's primitives work only inside its models.
    if cfg!(hotadd_loom) {
        return;
    }
    let mut criterion = Criterion::default().configure_from_args();
    add(&mut criterion);
    replay(&mut criterion);
    criterion.final_summary();
}

/// Adds the last processor of a partition, which then has 2 or 2,048, and removes it again with the clock stopped.
fn add(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("add");
    for drivers in [1, 100, 10_000] {
        let mut bare = boxed::<Idle>(drivers);
        let processor = partition(1, 0).active().to_vec()[0];
        group.bench_function(BenchmarkId::new("bare calls", drivers), |b| {
            b.iter(|| bare_add(black_box(&mut bare), black_box(processor)));
        });
        for active in [1, MAX_PROCESSORS - 1] {
            let partition = partition(active, 1);
            let id = partition.candidates().unwrap()[0];
            let registrations = register::<Idle>(&partition, drivers);
            let name = format!("partition of {active}");
            group.bench_function(BenchmarkId::new(name, drivers), |b| {
                b.iter_custom(|times| {
                    let mut took = Duration::ZERO;
                    for _ in 0..times {
                        let began = Instant::now();
                        black_box(partition.add(id)).unwrap();
                        took += began.elapsed();
                        partition.remove(id).unwrap();
                    }
                    took
                });
            });
            drop(registrations);
        }
    }
    group.finish();
}

/// Registers a driver with a replay of every active processor. Deregistering is not timed.
fn replay(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("register");
    for active in [1, MAX_PROCESSORS] {
        let partition = partition(active, 0);
        let processors = partition.active().to_vec();
        group.bench_function(BenchmarkId::new("bare calls", active), |b| {
            b.iter_with_large_drop(|| bare_replay(black_box(&processors)));
        });
        group.bench_function(BenchmarkId::new("partition", active), |b| {
            b.iter_batched(
                || (),
                |()| partition.register("driver-00000", Idle::default()).unwrap(),
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}
