//! The cost of reading the active set, compared with asking the standard library.
#![expect(clippy::unwrap_used, reason = "a bench that cannot go on stops")]

use std::hint::black_box;
use std::sync::atomic::{AtomicBool, Ordering};

use criterion::Criterion;
use hotadd::Partition;
use hotadd::hardware::Simulated;

fn main() {
    // Loom's primitives work only inside its models.
    if cfg!(hotadd_loom) {
        return;
    }
    let mut criterion = Criterion::default().configure_from_args();
    let partition = Partition::simulated(&Simulated::new(2_048, 0).unwrap()).unwrap();
    let mut group = criterion.benchmark_group("active_set");
    group.bench_function("count", |b| b.iter(|| black_box(&partition).count()));
    group.bench_function("epoch", |b| b.iter(|| black_box(&partition).epoch()));
    group.bench_function("active", |b| b.iter(|| black_box(&partition).active()));
    group.bench_function("read", |b| b.iter(|| black_box(&partition).read().count()));
    group.bench_function("active().to_vec()", |b| b.iter(|| partition.active().to_vec()));
    group.bench_function("available_parallelism", |b| b.iter(std::thread::available_parallelism));
    while_another_reads(
        || partition.active().count(),
        || {
            group.bench_function("active, two threads", |b| b.iter(|| partition.active().count()));
        },
    );
    while_another_reads(
        || partition.read().count(),
        || {
            group.bench_function("read, two threads", |b| b.iter(|| partition.read().count()));
        },
    );
    group.finish();
    criterion.final_summary();
}

/// Measures while another thread only reads.
fn while_another_reads(read: impl Fn() -> u32 + Sync, measure: impl FnOnce()) {
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                black_box(read());
            }
        });
        measure();
        over.store(true, Ordering::Relaxed);
    });
}
