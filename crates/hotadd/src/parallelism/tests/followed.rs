//! A rayon pool and a budget whose number is limited by a quota, in folders in place of `/proc` and `/sys`.

use std::path::Path;
use std::sync::mpsc::{self, Receiver};

use hotadd_core::HardwareId;

use super::Root;
use super::changing::{PATIENCE, simulated};
use crate::Observation;
use crate::parallelism::Parallelism;
use crate::parallelism::current::Confined;
use crate::partition::Partition;

const QUOTA: &str = "cg/app/cpu.max";

fn root(quota: &str) -> Root {
    let root = Root::v2("/app");
    root.file(QUOTA, quota);
    root
}

fn number(partition: &Partition, root: &Path) -> Parallelism {
    Parallelism::new(partition, Some(Confined::new(root.to_owned(), None)))
}

/// The numbers of later changes. They are told after the pool or the budget has its new size, as callbacks are called in order.
fn changes(parallelism: &Parallelism) -> (Observation, Receiver<usize>) {
    let (to, told) = mpsc::channel();
    let told_later = parallelism.on_change(move |limits| {
        let _ = to.send(limits.number.get());
    });
    (told_later, told)
}

#[cfg(feature = "rayon")]
mod pool {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use rayon::ThreadPoolBuilder;

    use super::*;
    use crate::Batch;
    use crate::rayon::Pool;

    /// A pool of the cgroups of this root, built by these options.
    fn pool(
        partition: &Partition,
        root: &Root,
        options: impl FnMut() -> ThreadPoolBuilder + Send + 'static,
    ) -> Pool {
        let (of, path) = (partition.clone(), root.path());
        Pool::of(partition, "pool", move || number(&of, &path), options).unwrap()
    }

    #[test]
    fn a_pool_has_no_more_threads_than_the_quota_pays_for_and_is_replaced_when_the_quota_changes() {
        let (_hardware, partition) = simulated(4, 0);
        let root = root("200000 100000");
        let pool = pool(&partition, &root, ThreadPoolBuilder::new);
        assert_eq!(pool.size(), 2, "{:?}", pool.parallelism());
        let (_told_later, told) = changes(pool.parallelism());
        for (quota, size) in [("350000 100000", 3), ("max 100000", 4), ("100000 100000", 1)] {
            root.change(QUOTA, quota);
            assert_eq!(told.recv_timeout(PATIENCE), Ok(size), "the quota is {quota}");
            assert_eq!(pool.size(), size, "the quota is {quota}");
        }
        assert_eq!(pool.last_error(), None);
    }

    #[test]
    fn a3_only_the_pool_that_the_quota_allows_is_prepared_before_processors_join() {
        let (_hardware, partition) = simulated(2, 3);
        let root = root("300000 100000");
        let built = Arc::new(AtomicUsize::new(0));
        let counts = Arc::clone(&built);
        let pool = pool(&partition, &root, move || {
            counts.fetch_add(1, Ordering::Relaxed);
            ThreadPoolBuilder::new()
        });
        assert_eq!(pool.size(), 2, "{:?}", pool.parallelism());
        let results = partition.add_batch(&[HardwareId(2), HardwareId(3)], Batch::Atomic);
        assert!(results.iter().all(|(_, result)| result.is_ok()), "{results:?}");
        assert_eq!((pool.size(), built.load(Ordering::Relaxed)), (3, 2), "(size, pools built)");
        partition.add(HardwareId(4)).unwrap();
        let built = built.load(Ordering::Relaxed);
        assert_eq!((pool.size(), built), (3, 2), "the quota is used up, so nothing is built");
    }

    #[test]
    fn a_pool_that_cannot_be_built_for_a_new_quota_leaves_the_present_one_and_an_error() {
        let (_hardware, partition) = simulated(4, 0);
        let root = root("200000 100000");
        let mut built = 0;
        let options = move || {
            built += 1;
            // No address space is as large as the stacks of the second pool.
            ThreadPoolBuilder::new().stack_size(if built == 2 { 1 << 50 } else { 1 << 20 })
        };
        let pool = pool(&partition, &root, options);
        let (_told_later, told) = changes(pool.parallelism());
        root.change(QUOTA, "300000 100000");
        assert_eq!(told.recv_timeout(PATIENCE), Ok(3));
        assert_eq!((pool.size(), pool.install(rayon::current_num_threads)), (2, 2));
        let error = pool.last_error().expect("the failure is kept");
        let says = "a pool of 3 threads could not be built, and the one of 2 threads stays: ";
        assert!(error.starts_with(says), "{error}");
        root.change(QUOTA, "400000 100000");
        assert_eq!(told.recv_timeout(PATIENCE), Ok(4));
        assert_eq!((pool.size(), pool.last_error()), (4, None), "the next change succeeds");
    }
}

#[cfg(feature = "tokio")]
#[test]
fn a_budget_has_permits_for_the_processors_that_the_quota_pays_for() {
    use crate::tokio::{Budget, Permits};

    let (_hardware, partition) = simulated(4, 1);
    let root = root("200000 100000");
    let parallelism = number(&partition, &root.path());
    let budget = Budget::of(&partition, "budget", parallelism, Permits::new(3, 100)).unwrap();
    let (_told_later, told) = changes(budget.parallelism());
    let held: Vec<_> = std::iter::from_fn(|| budget.try_acquire()).collect();
    assert_eq!((budget.size(), held.len()), (6, 6));
    partition.add(HardwareId(4)).unwrap();
    assert_eq!(budget.size(), 6, "the quota decides, not the set");
    root.change(QUOTA, "100000 100000");
    assert_eq!(told.recv_timeout(PATIENCE), Ok(1));
    assert_eq!((budget.size(), budget.available()), (3, 0), "no permit that is held is revoked");
    drop(held);
    assert_eq!((budget.size(), budget.available()), (3, 3));
    root.change(QUOTA, "max 100000");
    assert_eq!(told.recv_timeout(PATIENCE), Ok(5));
    assert_eq!((budget.size(), budget.available()), (15, 15));
}
