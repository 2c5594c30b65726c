//! [`Table`]: a value for each CPU that has joined, and a spare one for all others.

use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::{self, NonNull};
use std::sync::{Arc, Weak};

use crate::cpu;
use crate::domain::{Waiting, domain};
use crate::memory::Slot;
use crate::retired::Retired;
use crate::sync::{
    AtomicPtr, AtomicU8, AtomicU64, Condvar, Mutex, MutexGuard, Ordering, lock, wait,
};
use crate::thread;

/// What becomes of a table's values, and who hears of threads that find none. `()` drops the values and ignores such threads.
pub trait Owner<T>: Send + Sync + 'static {
    /// A value has left the table, and nobody reads it any more. `index` and `cpu` are those with which it was published.
    ///
    /// A panic is caught and ignored. See [`Table`] for the thread that calls this.
    fn freed(&self, index: u32, cpu: u32, value: T, spare: &T) {
        let _ = (index, cpu, value, spare);
    }

    /// A thread on this CPU found no value for it. Called once for each CPU, and again after a value has been published for it.
    ///
    /// It is called by [`Table::local`], so it should be short and must not wait.
    fn missed(&self, cpu: u32) {
        let _ = cpu;
    }
}

impl<T> Owner<T> for () {}

/// A value for each CPU that has joined, and a spare one for all others.
///
/// Each value is in memory of its own, at least 128 bytes from the next one, and on the NUMA node of its CPU where the machine has
/// several.
///
/// All methods may be called from any thread, but not from a signal handler.
///
/// # Where values are dropped
/// A value that left the table is passed to [`Owner::freed`] by one of these threads:
/// - the one that called [`retire`](Self::retire), if nobody reads the value,
/// - the one whose last guard ends, of any table, if it was the last that could have been reading the value,
/// - the one that drops the table.
///
/// Values that are still in the table when it is dropped are dropped with it. When the drop returns, all of them have been dropped,
/// and `freed` is not running on another thread. Only the spare value may be dropped a moment later, by a thread that was just looking for
/// values to free.
///
/// # Guards that are never dropped
/// A thread that forgets a guard (`std::mem::forget`) counts as reading for ever. A value that leaves any table of the process after that
/// is freed when its table is dropped, not before.
///
/// # Forked processes
/// In a process that was forked, tables can be read as before. Values that leave a table there are freed when the table is dropped. As
/// with every lock, a table that another thread was changing at the moment of the fork cannot be changed in the forked process.
///
/// ```
/// use std::sync::atomic::{AtomicU64, Ordering};
///
/// use hotadd_percpu::{Owner, Table};
///
/// /// Nothing that was counted on a CPU is lost when the CPU leaves.
/// struct Sum;
///
/// impl Owner<AtomicU64> for Sum {
///     fn freed(&self, _: u32, _: u32, left: AtomicU64, spare: &AtomicU64) {
///         spare.fetch_add(left.into_inner(), Ordering::Relaxed);
///     }
/// }
///
/// let table = Table::new(2, AtomicU64::new(0), Sum);
/// table.publish(0, 0, AtomicU64::new(0))?;
/// table.publish(1, 1, AtomicU64::new(0))?;
/// table.local().fetch_add(1, Ordering::Relaxed); // of this thread's CPU, or the spare one on a CPU from 2 on
/// table.retire(0);
/// table.retire(1);
/// assert_eq!(table.spare().load(Ordering::Relaxed), 1);
/// # Ok::<(), hotadd_percpu::PublishError>(())
/// ```
pub struct Table<T: Send + Sync + 'static> {
    shared: Arc<Shared<T>>,
}

struct Shared<T> {
    /// The slot of each CPU, for readers. Null, or the same pointer as in `slots`.
    cpus: Box<[AtomicPtr<Slot<T>>]>,
    /// All slots, by index. Null, or a slot that belongs to this table.
    slots: Box<[AtomicPtr<Slot<T>>]>,
    spare: Apart<T>,
    spare_uses: AtomicU64,
    /// Whether a miss was told, for each CPU.
    told: Box<[AtomicU8]>,
    owner: Box<dyn Owner<T>>,
    /// `slots` and `cpus` are changed only under this lock.
    retired: Mutex<Retired<T>>,
    /// Signals that no thread frees values any more.
    idle: Condvar,
    /// For the domain's list.
    this: Weak<Self>,
}

/// Keeps its value apart from the table's other fields, which every thread reads.
#[repr(align(128))]
struct Apart<T>(T);

/// Why a table did not take a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PublishError {
    /// The index is not below the number of slots that the table was made with.
    #[error(
        "the table has {slots} slots, and none with index {index}: make it with as many as there can be"
    )]
    OutOfRange {
        /// The index.
        index: u32,
        /// The number of slots.
        slots: usize,
    },
    /// The index, or the CPU, has a value already.
    #[error("slot {index} or CPU {cpu} has a value already: retire it first")]
    Occupied {
        /// The index.
        index: u32,
        /// The CPU.
        cpu: u32,
    },
    /// There is no memory for the value.
    #[error("no memory for the value of CPU {cpu}")]
    NoMemory {
        /// The CPU.
        cpu: u32,
    },
}

/// A value of a [`Table`] that is being read. While it exists, the value is not freed.
///
/// It is for short reads: while a thread has one, every value that leaves any table of the process waits. It stays on its thread.
///
/// ```compile_fail,E0277
/// # fn f(table: &'static hotadd_percpu::Table<u64>) {
/// let guard = table.local();
/// std::thread::spawn(move || *guard);
/// # }
/// ```
/// It does not outlive its table:
/// ```compile_fail,E0505
/// # fn f(table: hotadd_percpu::Table<u64>) {
/// let guard = table.local();
/// drop(table);
/// let _ = *guard;
/// # }
/// ```
#[must_use = "a guard that is dropped at once reads nothing"]
pub struct ValueGuard<'a, T> {
    value: &'a T,
    _reading: Reading,
}

/// A read of this thread. Not `Send`: it is counted in memory of the thread.
struct Reading(PhantomData<*const ()>);

impl Reading {
    #[inline]
    fn begin() -> Self {
        thread::enter();
        Self(PhantomData)
    }
}

impl Drop for Reading {
    #[inline]
    fn drop(&mut self) {
        thread::exit();
    }
}

impl<T> Deref for ValueGuard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        self.value
    }
}

impl<T: fmt::Debug> fmt::Debug for ValueGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        T::fmt(self, f)
    }
}

impl<T: Send + Sync + 'static> Table<T> {
    /// Makes a table with this many slots, which are empty. They have indexes from 0 on.
    pub fn new(slots: usize, spare: T, owner: impl Owner<T>) -> Self {
        fn empty<P>(count: usize) -> Box<[AtomicPtr<P>]> {
            (0..count).map(|_| AtomicPtr::new(ptr::null_mut())).collect()
        }
        let cpus = cpu::possible();
        let shared = Arc::new_cyclic(|this| Shared {
            cpus: empty(cpus),
            slots: empty(slots),
            spare: Apart(spare),
            spare_uses: AtomicU64::new(0),
            told: (0..cpus).map(|_| AtomicU8::new(0)).collect(),
            owner: Box::new(owner),
            retired: Mutex::new(Retired::new()),
            idle: Condvar::new(),
            this: Weak::clone(this),
        });
        Self { shared }
    }

    /// Puts the value of a CPU into the table. From now on, threads on the CPU find it. A CPU that cannot exist on this machine has a
    /// value that only its index finds.
    ///
    /// # Errors
    /// [`PublishError`]. The value is dropped.
    pub fn publish(&self, index: u32, cpu: u32, value: T) -> Result<(), PublishError> {
        let shared = &*self.shared;
        let slots = shared.slots.len();
        let out_of_range = PublishError::OutOfRange { index, slots };
        let slot = shared.slots.get(index as usize).ok_or(out_of_range)?;
        let of_cpu = shared.cpus.get(cpu as usize);
        let _changing = shared.change();
        // Relaxed: changed only under the lock.
        let is_empty = |slot: &AtomicPtr<Slot<T>>| slot.load(Ordering::Relaxed).is_null();
        if !is_empty(slot) || !of_cpu.is_none_or(is_empty) {
            return Err(PublishError::Occupied { index, cpu });
        }
        let made = Slot::make(index, cpu, value).map_err(|_| PublishError::NoMemory { cpu })?;
        // Release, twice: a reader that finds the pointer finds the value.
        slot.store(made.as_ptr(), Ordering::Release);
        if let Some(of_cpu) = of_cpu {
            of_cpu.store(made.as_ptr(), Ordering::Release);
            // Relaxed: a flag about reports, which orders nothing.
            shared.told[cpu as usize].store(0, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Takes a value out of the table. It is freed when nobody reads it. Returns whether there was one.
    #[expect(clippy::must_use_candidate, reason = "what it does matters, not the result")]
    pub fn retire(&self, index: u32) -> bool {
        let shared = &*self.shared;
        let Some(slot) = shared.slots.get(index as usize) else { return false };
        let mut retired = shared.change();
        // Relaxed: this thread frees the value, or another one that takes the lock later. Readers are found by the domain, whose heavy
        // barrier orders these stores before its look at them.
        let Some(taken) = NonNull::new(slot.swap(ptr::null_mut(), Ordering::Relaxed)) else {
            return false;
        };
        // SAFETY: a slot in the table is whole, and is freed only after it was removed, which happened just now, under the lock.
        let cpu = unsafe { taken.as_ref() }.cpu;
        if let Some(of_cpu) = shared.cpus.get(cpu as usize) {
            of_cpu.store(ptr::null_mut(), Ordering::Relaxed);
        }
        retired.push(taken);
        shared.free_unread(retired);
        true
    }

    /// Whether values that left the table are still read, as far as is known.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        self.shared.change().is_waiting()
    }

    /// The value of the CPU that this thread is on, or the spare one if that CPU has none or is not known.
    ///
    /// The thread may move to another CPU at any time. Then the value is that of the previous one, and other threads may use it too.
    #[inline]
    pub fn local(&self) -> ValueGuard<'_, T> {
        let reading = Reading::begin();
        let cpu = cpu::fast();
        // Acquire: pairs with the Release of `publish`.
        let found = self.shared.cpus.get(cpu as usize).map(|slot| slot.load(Ordering::Acquire));
        let value = match found.and_then(NonNull::new) {
            // SAFETY: the slot was in the table after this read had begun, so the value is not freed before the read ends. It ends with
            // the guard, of which the reference is a part.
            Some(slot) => unsafe { &slot.as_ref().value },
            None => self.shared.local_without_help(cpu),
        };
        ValueGuard { value, _reading: reading }
    }

    /// The value with this index. `None` if the slot is empty or does not exist.
    #[must_use]
    #[inline]
    pub fn get(&self, index: u32) -> Option<ValueGuard<'_, T>> {
        let slot = self.shared.slots.get(index as usize)?;
        let reading = Reading::begin();
        // Acquire: pairs with the Release of `publish`.
        let slot = NonNull::new(slot.load(Ordering::Acquire))?;
        // SAFETY: the slot was in the table after this read had begun, so the value is not freed before the read ends. It ends with the
        // guard, of which the reference is a part.
        Some(ValueGuard { value: unsafe { &slot.as_ref().value }, _reading: reading })
    }

    /// The values in the table with their indexes, ascending, without the spare one.
    ///
    /// Each slot is visited once. So a value that is in the table all the time is found exactly once, and one that comes or leaves
    /// meanwhile at most once. If a slot is emptied and filled again meanwhile, one of its values is found, or none.
    pub fn iter(&self) -> impl Iterator<Item = (u32, ValueGuard<'_, T>)> {
        (0_u32..).take(self.shared.slots.len()).filter_map(|index| Some((index, self.get(index)?)))
    }

    /// The spare value. It lives as long as the table.
    #[must_use]
    pub fn spare(&self) -> &T {
        &self.shared.spare.0
    }

    /// A guard of the spare value, for code that treats all values alike.
    pub fn spare_guard(&self) -> ValueGuard<'_, T> {
        ValueGuard { value: self.spare(), _reading: Reading::begin() }
    }

    /// How often [`local`](Self::local) gave the spare value.
    #[must_use]
    pub fn spare_uses(&self) -> u64 {
        // Relaxed: a statistic.
        self.shared.spare_uses.load(Ordering::Relaxed)
    }

    /// The value of this CPU, without counting a read.
    ///
    /// # Safety
    /// No value is ever retired from this table.
    #[inline]
    pub(crate) unsafe fn permanent(&self, cpu: u32) -> Option<&T> {
        // Acquire: pairs with the Release of `publish`.
        let slot = self.shared.cpus.get(cpu as usize)?.load(Ordering::Acquire);
        // SAFETY: a slot in the table is whole, and the caller promises that it stays there until the table is dropped.
        NonNull::new(slot).map(|slot| unsafe { &slot.as_ref().value })
    }

    /// The value of this thread's CPU or the spare one, without counting a read. For CPUs of which [`permanent`](Self::permanent) finds
    /// none.
    ///
    /// # Safety
    /// As [`permanent`](Self::permanent).
    pub(crate) unsafe fn permanent_without_help(&self, cpu: u32) -> &T {
        self.shared.local_without_help(cpu)
    }
}

impl<T: Send + Sync + 'static> Shared<T> {
    fn change(&self) -> MutexGuard<'_, Retired<T>> {
        lock(&self.retired)
    }

    /// Finds the value when the fast way has not: the CPU is not known, or has no value. Must be called inside of a read, or for a table
    /// from which nothing is retired.
    #[cold]
    #[inline(never)]
    fn local_without_help(&self, fast: u32) -> &T {
        let found = if (fast as usize) < self.cpus.len() { Some(fast) } else { cpu::current() };
        let slot = found.and_then(|cpu| self.cpus.get(cpu as usize));
        // Acquire: pairs with the Release of `publish`.
        if let Some(slot) = slot.and_then(|slot| NonNull::new(slot.load(Ordering::Acquire))) {
            // SAFETY: the caller is inside of a read that began before the slot was loaded, so the value is not freed before that read ends; or
            // nothing is retired from this table, and the value lives as long as the table.
            return unsafe { &slot.as_ref().value };
        }
        // Relaxed, both: a statistic, and a flag about reports.
        self.spare_uses.fetch_add(1, Ordering::Relaxed);
        let told = found.and_then(|cpu| Some((cpu, self.told.get(cpu as usize)?)));
        if let Some((cpu, told)) = told
            && told.load(Ordering::Relaxed) == 0
            && told.swap(1, Ordering::Relaxed) == 0
        {
            self.owner.missed(cpu);
        }
        &self.spare.0
    }

    /// Frees the values that nobody reads. If some are left, the last of their readers comes back.
    fn free_unread<'a>(&'a self, mut retired: MutexGuard<'a, Retired<T>>) {
        if !retired.is_waiting() {
            return;
        }
        // The table is in the list before the domain looks at the readers: see `domain.rs`.
        let this: Weak<dyn Waiting> = Weak::<Self>::clone(&self.this);
        domain().wait(Weak::clone(&this));
        retired.sift(domain());
        if !retired.is_waiting() {
            domain().done(&this);
        }
        if !retired.begin_freeing() {
            return;
        }
        while let Some(slot) = retired.next() {
            drop(retired);
            self.free(slot);
            retired = self.change();
        }
        self.idle.notify_all();
    }

    /// Frees a value that nobody reads and nobody finds.
    fn free(&self, slot: NonNull<Slot<T>>) {
        // SAFETY: the slot came out of `retired`, so it was removed from the table, and nobody else takes it. It has no readers: the
        // domain found none, or the table is being dropped, which no reference to a value survives.
        let Slot { value, index, cpu, .. } = unsafe { Slot::take(slot) };
        contained(|| self.owner.freed(index, cpu, value, &self.spare.0));
    }

    /// Frees everything but the spare value.
    fn close(&self) {
        let mut retired = self.change();
        let this_thread = std::thread::current().id();
        // If this thread frees, the table is being dropped from inside of `freed`.
        while retired.freeing().is_some_and(|freeing| freeing != this_thread) {
            retired = wait(&self.idle, retired);
        }
        let all = retired.all();
        let this: Weak<dyn Waiting> = Weak::<Self>::clone(&self.this);
        domain().done(&this);
        drop(retired);
        all.into_iter().for_each(|slot| self.free(slot));
        for slot in &self.slots {
            let Some(slot) = NonNull::new(slot.swap(ptr::null_mut(), Ordering::Relaxed)) else {
                continue;
            };
            // SAFETY: the slot was in the table, which is being dropped: nobody has a reference to it.
            let Slot { value, .. } = unsafe { Slot::take(slot) };
            contained(|| drop(value));
        }
    }
}

/// Runs foreign code. A panic would end a thread that has nothing to do with it.
fn contained(what: impl FnOnce()) {
    let _ = catch_unwind(AssertUnwindSafe(what)).map_err(std::mem::forget);
}

impl<T: Send + Sync + 'static> Waiting for Shared<T> {
    fn retry(&self) {
        self.free_unread(self.change());
    }
}

impl<T: Send + Sync + 'static> Drop for Table<T> {
    fn drop(&mut self) {
        self.shared.close();
    }
}

impl<T: fmt::Debug + Send + Sync + 'static> fmt::Debug for Table<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).entry(&"spare", self.spare()).finish()
    }
}
