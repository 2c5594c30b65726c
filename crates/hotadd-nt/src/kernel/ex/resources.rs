//! Resources (`ERESOURCE`): locks for one exclusively or for many, which their holders may acquire again.
//!
//! The object says who has it exclusively, or how often it is shared; which thread shares it how often, the threads know
//! themselves. All changes are made under one lock: resources are held for long and changed rarely.

use std::mem::offset_of;
use std::sync::atomic::{AtomicU16, AtomicU32, AtomicUsize, Ordering};

use parking_lot::{Condvar, Mutex};

use crate::ground::caller;
use crate::ground::export::nt;
use crate::ground::foreign::Shared;
use crate::ground::thread::{self, Held, Own};
use crate::ground::types::{Boolean, NtStatus};
use crate::kernel::ke::{irql, regions};

/// `ERESOURCE`.
#[repr(C)]
pub(crate) struct Resource {
    _list: [AtomicUsize; 2],
    _table: AtomicUsize,
    _active: AtomicU16,
    _flags: AtomicU16,
    _waiters: [AtomicUsize; 2],
    /// Who has it exclusively, or 0, and how many times.
    owner: AtomicUsize,
    times: AtomicU32,
    _padding: AtomicU32,
    /// How often it is shared.
    shares: AtomicU32,
    contention: AtomicU32,
    shared_waiters: AtomicU32,
    pub(crate) exclusive_waiters: AtomicU32,
    _rest: [AtomicUsize; 3],
}

const _: () = assert!(size_of::<Resource>() == 0x68);
const _: () = assert!(offset_of!(Resource, owner) == 0x30);
const _: () = assert!(offset_of!(Resource, exclusive_waiters) == 0x4c);

/// What somebody does who wants to share it while others wait to have it exclusively.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Manners {
    /// Waits behind them, unless he shares it already.
    Usual,
    /// Goes first.
    Starve,
    /// Waits behind them.
    Wait,
}

nt! {
    /// Makes a resource that nobody holds.
    fn ExInitializeResourceLite(resource: Shared<Resource>) -> NtStatus { initialize(resource.get()) }

    /// Makes it again what it was at first.
    fn ExReinitializeResourceLite(resource: Shared<Resource>) -> NtStatus {
        check_free("ExReinitializeResourceLite", resource.get());
        initialize(resource.get())
    }

    /// Says that it is not used any more.
    fn ExDeleteResourceLite(resource: Shared<Resource>) -> NtStatus {
        check_free("ExDeleteResourceLite", resource.get());
        initialize(resource.get())
    }

    /// Acquires it for oneself, waiting if wanted. Returns whether it did.
    fn ExAcquireResourceExclusiveLite(resource: Shared<Resource>, wait: Boolean) -> Boolean {
        Boolean::from(exclusive("ExAcquireResourceExclusiveLite", resource.get(), wait != 0))
    }

    /// Acquires it together with others, waiting if wanted. Returns whether it did.
    fn ExAcquireResourceSharedLite(resource: Shared<Resource>, wait: Boolean) -> Boolean {
        Boolean::from(shared("ExAcquireResourceSharedLite", resource.get(), wait != 0, Manners::Usual))
    }

    /// Acquires it together with others, before those who want it for themselves. Returns whether it did.
    fn ExAcquireSharedStarveExclusive(resource: Shared<Resource>, wait: Boolean) -> Boolean {
        Boolean::from(shared("ExAcquireSharedStarveExclusive", resource.get(), wait != 0, Manners::Starve))
    }

    /// Acquires it together with others, behind those who want it for themselves. Returns whether it did.
    fn ExAcquireSharedWaitForExclusive(resource: Shared<Resource>, wait: Boolean) -> Boolean {
        Boolean::from(shared("ExAcquireSharedWaitForExclusive", resource.get(), wait != 0, Manners::Wait))
    }

    /// Enters a critical region and acquires it for oneself. Returns the resource.
    fn ExEnterCriticalRegionAndAcquireResourceExclusive(resource: Shared<Resource>) -> *const Resource {
        regions::enter();
        exclusive("ExEnterCriticalRegionAndAcquireResourceExclusive", resource.get(), true);
        resource.get()
    }

    /// Enters a critical region and acquires it together with others. Returns the resource.
    fn ExEnterCriticalRegionAndAcquireResourceShared(resource: Shared<Resource>) -> *const Resource {
        const NAME: &str = "ExEnterCriticalRegionAndAcquireResourceShared";
        regions::enter();
        shared(NAME, resource.get(), true, Manners::Usual);
        resource.get()
    }

    /// Releases it.
    fn ExReleaseResourceLite(resource: Shared<Resource>) {
        release("ExReleaseResourceLite", resource.get());
    }

    /// Releases it for a thread, which must be the calling one.
    fn ExReleaseResourceForThreadLite(resource: Shared<Resource>, thread: usize) {
        release_for("ExReleaseResourceForThreadLite", resource.get(), thread);
    }

    /// Releases it and leaves the critical region.
    fn ExReleaseResourceAndLeaveCriticalRegion(resource: Shared<Resource>) {
        release("ExReleaseResourceAndLeaveCriticalRegion", resource.get());
        regions::leave("ExReleaseResourceAndLeaveCriticalRegion");
    }

    /// Shares with others from now on what one had for oneself.
    fn ExConvertExclusiveToSharedLite(resource: Shared<Resource>) { convert(resource.get()) }

    /// Whether the calling thread has it for itself.
    fn ExIsResourceAcquiredExclusiveLite(resource: Shared<Resource>) -> Boolean {
        Boolean::from(resource.get().owner.load(Ordering::Relaxed) == thread::own().id())
    }

    /// How often the calling thread has acquired it, in either way.
    fn ExIsResourceAcquiredSharedLite(resource: Shared<Resource>) -> u32 { times(resource.get()) }

    /// How many wait to have it for themselves.
    fn ExGetExclusiveWaiterCount(resource: Shared<Resource>) -> u32 {
        resource.get().exclusive_waiters.load(Ordering::Relaxed)
    }

    /// How many wait to share it.
    fn ExGetSharedWaiterCount(resource: Shared<Resource>) -> u32 {
        resource.get().shared_waiters.load(Ordering::Relaxed)
    }
}

/// The lock of all resources, and where those wait who cannot have theirs.
static ALL: Mutex<()> = Mutex::new(());
static FREED: Condvar = Condvar::new();

fn address(resource: &Resource) -> usize {
    std::ptr::from_ref(resource) as usize
}

fn initialize(resource: &Resource) -> NtStatus {
    let _all = ALL.lock();
    resource.owner.store(0, Ordering::Relaxed);
    let Resource { times, shares, contention, shared_waiters, exclusive_waiters, .. } = resource;
    for number in [times, shares, contention, shared_waiters, exclusive_waiters] {
        number.store(0, Ordering::Relaxed);
    }
    0
}

fn check_free(function: &str, resource: &Resource) {
    let owned = resource.owner.load(Ordering::Relaxed) != 0;
    if owned || resource.shares.load(Ordering::Relaxed) != 0 {
        caller::fault(format!(
            "calls {function} for the resource at {:#x}, which somebody holds",
            address(resource)
        ));
    }
}

fn enter(function: &'static str) -> &'static Own {
    irql::at_most(function, irql::APC);
    regions::expect(function);
    thread::own()
}

/// Waits, under the lock, until `can` says that it can be had. `false` if it is not to be waited for.
fn until(
    function: &'static str,
    resource: &Resource,
    waiters: &AtomicU32,
    wait: bool,
    can: impl Fn() -> bool,
    take: impl FnOnce(),
) -> bool {
    let mut all = ALL.lock();
    if !can() {
        if !wait {
            return false;
        }
        resource.contention.fetch_add(1, Ordering::Relaxed);
        waiters.fetch_add(1, Ordering::Relaxed);
        thread::waiting(function, || {
            while !can() {
                FREED.wait(&mut all);
            }
        });
        waiters.fetch_sub(1, Ordering::Relaxed);
        // Those who share go in together, and the last who wanted it exclusively may have kept them out.
        FREED.notify_all();
    }
    take();
    true
}

fn exclusive(function: &'static str, resource: &Resource, wait: bool) -> bool {
    let own = enter(function);
    let is_owner = resource.owner.load(Ordering::Relaxed) == own.id();
    if wait && !is_owner && own.holds(Held::ResourceShared, address(resource)) != 0 {
        caller::fault(format!(
            "calls {function} for the resource at {:#x}, which this thread shares: on Windows it would wait for itself",
            address(resource)
        ));
    }
    let free = || {
        let nobody = resource.owner.load(Ordering::Relaxed) == 0;
        is_owner || (nobody && resource.shares.load(Ordering::Relaxed) == 0)
    };
    let take = || {
        resource.owner.store(own.id(), Ordering::Relaxed);
        resource.times.fetch_add(1, Ordering::Relaxed);
        own.acquired(Held::ResourceExclusive, address(resource));
    };
    until(function, resource, &resource.exclusive_waiters, wait, free, take)
}

fn shared(function: &'static str, resource: &Resource, wait: bool, manners: Manners) -> bool {
    let own = enter(function);
    if resource.owner.load(Ordering::Relaxed) == own.id() {
        return exclusive(function, resource, wait);
    }
    let shares = own.holds(Held::ResourceShared, address(resource)) != 0;
    let first = manners == Manners::Starve || (manners == Manners::Usual && shares);
    let free = || {
        let nobody = resource.owner.load(Ordering::Relaxed) == 0;
        nobody && (first || resource.exclusive_waiters.load(Ordering::Relaxed) == 0)
    };
    let take = || {
        resource.shares.fetch_add(1, Ordering::Relaxed);
        own.acquired(Held::ResourceShared, address(resource));
    };
    until(function, resource, &resource.shared_waiters, wait, free, take)
}

fn release(function: &str, resource: &Resource) {
    let own = thread::own();
    let _all = ALL.lock();
    if own.released(Held::ResourceExclusive, address(resource)) {
        if resource.times.fetch_sub(1, Ordering::Relaxed) == 1 {
            resource.owner.store(0, Ordering::Relaxed);
            FREED.notify_all();
        }
    } else if own.released(Held::ResourceShared, address(resource)) {
        if resource.shares.fetch_sub(1, Ordering::Relaxed) == 1 {
            FREED.notify_all();
        }
    } else {
        caller::fault(format!(
            "calls {function} for the resource at {:#x}, which this thread does not hold (RESOURCE_NOT_OWNED)",
            address(resource)
        ));
    }
}

fn release_for(function: &str, resource: &Resource, thread: usize) {
    if thread != thread::own().id() {
        caller::fault(format!("calls {function} for another thread, which is not provided"));
    }
    release(function, resource);
}

fn convert(resource: &Resource) {
    const NAME: &str = "ExConvertExclusiveToSharedLite";
    let own = thread::own();
    let _all = ALL.lock();
    if resource.owner.load(Ordering::Relaxed) != own.id() {
        caller::fault(format!("calls {NAME} for a resource that this thread does not own"));
    }
    while own.released(Held::ResourceExclusive, address(resource)) {
        own.acquired(Held::ResourceShared, address(resource));
    }
    resource.shares.store(resource.times.swap(0, Ordering::Relaxed), Ordering::Relaxed);
    resource.owner.store(0, Ordering::Relaxed);
    FREED.notify_all();
}

fn times(resource: &Resource) -> u32 {
    let own = thread::own();
    let held = [Held::ResourceExclusive, Held::ResourceShared];
    let times: usize = held.into_iter().map(|what| own.holds(what, address(resource))).sum();
    u32::try_from(times).unwrap_or(u32::MAX)
}
