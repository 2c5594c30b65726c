//! Every interleaving of the seqlock and of the board: run with `RUSTFLAGS="--cfg hotadd_loom"`, as `./test` does.
#![cfg(hotadd_loom)]

mod board;

use hotadd_page::seqlock;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicU32, Ordering};
use loom::thread;

#[test]
fn q1_a_copy_is_of_one_change_and_never_older_than_the_summary_before_it() {
    let mut model = loom::model::Builder::new();
    // Without a bound it takes minutes. Each wrong order that was tried is found with it.
    model.preemption_bound = Some(3);
    model.check(|| {
        let page = Arc::new([(); 3].map(|()| AtomicU32::new(0)));
        let writer = {
            let page = Arc::clone(&page);
            thread::spawn(move || {
                let [sequence, one, summary] = &*page;
                for epoch in 1..=2 {
                    seqlock::write(sequence, || {
                        one.store(epoch, Ordering::Relaxed);
                        summary.store(epoch, Ordering::Relaxed);
                    });
                }
            })
        };
        let [sequence, one, summary] = &*page;
        let before = summary.load(Ordering::Acquire);
        let copied = seqlock::read(sequence, || {
            (one.load(Ordering::Relaxed), summary.load(Ordering::Relaxed))
        });
        if let Some((one, summary)) = copied {
            assert_eq!(one, summary, "all words of one change");
            assert!(one >= before, "not older than the summary that was read before");
        }
        writer.join().unwrap();
    });
}
