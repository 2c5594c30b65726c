//! Which public types may be sent and shared between threads, and moved while pinned. A private field must not change this unnoticed.
#![cfg(not(hotadd_loom))]

use hotadd::hardware::{Affinity, Cpuset, Hotplug, Mask, Nudge, Simulated, Watching};
use hotadd::{
    ActiveSet, ActiveSetGuard, Adder, Batch, Change, Counter, CpuList, Error, Event, Missing,
    Notice, Observation, Partition, PartyInfo, PerProcessor, Registration, Rehearsal,
    RequiredParty, Sample, Veto, Workers, WorkersBuilder, WorkersReport,
};

/// Compiles only if all types have the traits.
macro_rules! are {
    ($bounds:path: $($type:ty),* $(,)?) => {
        const _: () = {
            const fn has<T: $bounds>() {}
            $(has::<$type>();)*
        };
    };
}

/// May be used from any thread, and moved.
trait Free: Send + Sync + Unpin + 'static {}
impl<T: Send + Sync + Unpin + 'static> Free for T {}

are!(Free: Partition, Registration, Observation, Adder, RequiredParty, PerProcessor<u64>, Counter, Sample);
are!(Free: ActiveSet, ActiveSetGuard, Batch, Change, CpuList, Event, Missing, Notice, PartyInfo, Rehearsal, Veto);
are!(Free: Workers, WorkersBuilder<'static>, WorkersReport);
#[cfg(feature = "rayon")]
are!(Free: hotadd::rayon::Pool);
#[cfg(feature = "tokio")]
are!(Free: hotadd::tokio::Budget, hotadd::tokio::Permit);
are!(Free: Affinity, Cpuset, Hotplug, Mask, Nudge, Simulated, Watching);
// `?` converts it like any other error.
are!(Free: Error);

#[test]
fn errors_convert_into_boxes_with_the_question_mark() {
    fn fails() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        Err(Error::InsideCallback("adding"))?;
        Ok(())
    }
    assert!(fails().is_err());
}
