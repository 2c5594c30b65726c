//! Which public types may be sent and shared between threads, and moved while pinned. A private field must not change this unnoticed.
#![cfg(not(hotadd_loom))]

use hotadd::hardware::{
    Affinity, AffinityError, Cpuset, CpusetError, CpusetKind, CpusetOptions, Door, Hotplug,
    HotplugError, HotplugOptions, Intruders, Mask, NotAdmitted, Nudge, Simulated, Survey, Tree,
    Watching,
};
use hotadd::ownership::Untrusted;
use hotadd::{
    Action, ActiveSet, ActiveSetGuard, Adder, Answer, Attempt, Batch, Change, Counter, CpuList,
    CpuListError, Epoch, Errno, Error, Event, EventKind, Follow, HardwareId, L3, Level, LimitKind,
    Limits, Missing, Notice, Observation, Occasion, PageError, Parallelism, Partition, PartyId,
    PartyInfo, PerProcessor, PerProcessorBuilder, PlatformError, Processor, ProcessorIndex,
    ProcessorNumber, PublishedPage, Quota, Registration, RegistrationBuilder, Rehearsal, Rejected,
    Rejection, RequiredParty, Sample, SetPage, Shape, ShapeError, Snapshot, Standing, State,
    Status, Topology, ValueGuard, Veto, Workers, WorkersBuilder, WorkersReport, WouldDeadlock,
};
use static_assertions::{assert_impl_all, assert_not_impl_any};

/// Compiles only if the types may be used from any thread, and moved while pinned.
macro_rules! free {
    ($($type:ty),* $(,)?) => { $(assert_impl_all!($type: Send, Sync, Unpin);)* };
}

free!(
    Partition,
    Registration,
    RegistrationBuilder<'static>,
    RequiredParty,
    Attempt,
    Observation,
    Adder,
    Sample
);
free!(Counter, PerProcessor<u64>, PerProcessorBuilder<'static, u64>);
free!(
    ActiveSet,
    ActiveSetGuard,
    CpuList,
    Notice,
    PartyInfo,
    Veto,
    Status,
    Errno,
    PlatformError,
    CpuListError
);
free!(
    Processor,
    ProcessorIndex,
    ProcessorNumber,
    HardwareId,
    PartyId,
    Level,
    Epoch,
    Standing,
    State
);
free!(Action, Answer, Batch, Change, Event, EventKind, Follow, Missing, Occasion, Rehearsal);
free!(L3, Shape, ShapeError, Topology, LimitKind, Limits, Parallelism, Quota);
free!(PageError, PublishedPage, SetPage, Snapshot);
free!(Workers, WorkersBuilder<'static>, WorkersReport, Rejected<u64>, Rejection, WouldDeadlock);
#[cfg(feature = "rayon")]
free!(hotadd::rayon::Pool);
#[cfg(feature = "tokio")]
free!(hotadd::tokio::Budget, hotadd::tokio::Permit);
free!(
    Affinity,
    AffinityError,
    Cpuset,
    CpusetError,
    CpusetKind,
    CpusetOptions,
    Door,
    Hotplug,
    HotplugError,
    HotplugOptions
);
free!(Untrusted);
free!(Intruders, Mask, NotAdmitted, Nudge, Simulated, Survey, Tree, Watching);
// `?` converts it like any other error.
free!(Error);

// A read is counted in memory of the thread that began it.
assert_not_impl_any!(ValueGuard<'static, u64>: Send);

#[test]
fn every_public_type_stands_here() {
    let (_, assertions) =
        include_str!("auto_traits.rs").split_once("macro_rules!").expect("it is there");
    let public = include_str!("../../../docs/public-api.txt").lines().filter_map(|line| {
        let (path, item) = line.split_once(": ")?;
        let is_type = item.contains("pub struct ") || item.contains("pub enum ");
        path.rsplit("::").next().filter(|_| is_type && path.starts_with("hotadd::"))
    });
    let public: Vec<_> = public.collect();
    assert!(public.len() > 60, "only {public:?} were found");
    for name in public {
        let mut words = assertions.split(|sign: char| !sign.is_alphanumeric());
        assert!(words.any(|word| word == name), "nothing is said about {name}");
    }
}

#[test]
fn errors_convert_into_boxes_with_the_question_mark() {
    fn fails() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        Err(Error::InsideCallback("adding"))?;
        Ok(())
    }
    assert!(fails().is_err());
}
