//! Resources (`ERESOURCE`): recursive locks, held exclusively or shared.
//!
//! The object stores its exclusive owner, or the number of shared holds. Each thread records which it shares and how
//! often. All changes are made under one lock: resources are held for long and changed rarely.

use std::mem::offset_of;
use std::sync::atomic::{AtomicU16, AtomicU32, AtomicUsize, Ordering};

use parking_lot::{Condvar, Mutex};

use crate::ground::caller;
use crate::ground::declare::nt;
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
    /// The exclusive owner, or 0, and how many times it has acquired it.
    owner: AtomicUsize,
    times: AtomicU32,
    _padding: AtomicU32,
    /// The number of shared holds.
    shares: AtomicU32,
    contention: AtomicU32,
    shared_waiters: AtomicU32,
    pub(crate) exclusive_waiters: AtomicU32,
    _rest: [AtomicUsize; 3],
}

const _: () = assert!(size_of::<Resource>() == 0x68);
const _: () = assert!(offset_of!(Resource, owner) == 0x30);
const _: () = assert!(offset_of!(Resource, exclusive_waiters) == 0x4c);

/// How a thread that wants to share a resource treats threads that wait for exclusive access.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Manners {
    /// Waits after them, unless the thread shares it already.
    Usual,
    /// Goes before them.
    Starve,
    /// Waits after them.
    Wait,
}

nt! {
    /// Initialises a resource that is free.
    fn ExInitializeResourceLite(resource: Shared<Resource>) -> NtStatus { initialize(resource.get()) }

    /// Reinitialises a resource.
    fn ExReinitializeResourceLite(resource: Shared<Resource>) -> NtStatus {
        check_free("ExReinitializeResourceLite", resource.get());
        initialize(resource.get())
    }

    /// Ends the use of a resource.
    fn ExDeleteResourceLite(resource: Shared<Resource>) -> NtStatus {
        check_free("ExDeleteResourceLite", resource.get());
        initialize(resource.get())
    }

    /// Acquires it exclusively, and waits if requested. Returns whether it did.
    fn ExAcquireResourceExclusiveLite(resource: Shared<Resource>, wait: Boolean) -> Boolean {
        Boolean::from(exclusive("ExAcquireResourceExclusiveLite", resource.get(), wait != 0))
    }

    /// Acquires it shared, and waits if requested. Returns whether it did.
    fn ExAcquireResourceSharedLite(resource: Shared<Resource>, wait: Boolean) -> Boolean {
        Boolean::from(shared("ExAcquireResourceSharedLite", resource.get(), wait != 0, Manners::Usual))
    }

    /// Acquires it shared, before threads that wait for exclusive access. Returns whether it did.
    fn ExAcquireSharedStarveExclusive(resource: Shared<Resource>, wait: Boolean) -> Boolean {
        Boolean::from(shared("ExAcquireSharedStarveExclusive", resource.get(), wait != 0, Manners::Starve))
    }

    /// Acquires it shared, after threads that wait for exclusive access. Returns whether it did.
    fn ExAcquireSharedWaitForExclusive(resource: Shared<Resource>, wait: Boolean) -> Boolean {
        Boolean::from(shared("ExAcquireSharedWaitForExclusive", resource.get(), wait != 0, Manners::Wait))
    }

    /// Enters a critical region and acquires it exclusively. Returns the resource.
    fn ExEnterCriticalRegionAndAcquireResourceExclusive(resource: Shared<Resource>) -> *const Resource {
        regions::enter();
        exclusive("ExEnterCriticalRegionAndAcquireResourceExclusive", resource.get(), true);
        resource.get()
    }

    /// Enters a critical region and acquires it shared. Returns the resource.
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

    /// Converts an exclusive hold to a shared one.
    fn ExConvertExclusiveToSharedLite(resource: Shared<Resource>) { convert(resource.get()) }

    /// Whether the calling thread holds it exclusively.
    fn ExIsResourceAcquiredExclusiveLite(resource: Shared<Resource>) -> Boolean {
        Boolean::from(resource.get().owner.load(Ordering::Relaxed) == thread::own().id())
    }

    /// How often the calling thread has acquired it, exclusively or shared.
    fn ExIsResourceAcquiredSharedLite(resource: Shared<Resource>) -> u32 { times(resource.get()) }

    /// How many threads wait for exclusive access.
    fn ExGetExclusiveWaiterCount(resource: Shared<Resource>) -> u32 {
        resource.get().exclusive_waiters.load(Ordering::Relaxed)
    }

    /// How many threads wait for shared access.
    fn ExGetSharedWaiterCount(resource: Shared<Resource>) -> u32 {
        resource.get().shared_waiters.load(Ordering::Relaxed)
    }
}

/// The lock of all resources, and the condition on which threads wait for them.
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
            "calls {function} for the resource at {:#x}, which is held",
            address(resource)
        ));
    }
}

fn enter(function: &'static str) -> &'static Own {
    irql::at_most(function, irql::APC);
    regions::expect(function);
    thread::own()
}

/// Waits under the lock until `can` returns true. Returns `false` if the resource is not free and the caller must not
/// wait.
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
        // Sharing threads enter together, and the last thread that wanted exclusive access may have kept them out.
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
            "calls {function} for the resource at {:#x}, which this thread holds shared: on Windows this \
             would deadlock",
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
        caller::fault(format!("calls {function} for another thread, which is not supported"));
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
