//! `hotadd_per_processor_...`: a block of memory for each processor, made before the processor joins.
//!
//! A block lives as long as its table, so a plain pointer to it is right: nothing has to wait until nobody reads it. This is the
//! difference to `hotadd::PerProcessor`, which frees a value when its processor leaves.

#![expect(unreachable_pub, reason = "the names are exported, the module is not")]

use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::ffi::{c_char, c_void};
use std::ptr::{self, NonNull};
use std::sync::Arc;
use std::sync::atomic::{AtomicPtr, AtomicU64, Ordering};

use hotadd::{Driver, Notice, Processor, Registration, Removal, State, Status, Veto};
use hotadd_percpu::cpu;

use crate::callee::{Data, Inside, entered, inside};
use crate::dispatch::{deregister, request};
use crate::failure::{Failure, text, told, value_or};
use crate::forked;
use crate::notice::{self, CNotice};
use crate::partition::{CPartition, PARTITIONS};

/// Makes a block out of zeros. The index is `u32::MAX` and the notice NULL for the spare block.
type Init = unsafe extern "C" fn(*mut c_void, u32, *mut CNotice, *mut c_void) -> i32;
/// The end of a block.
type Fini = unsafe extern "C" fn(*mut c_void, u32, *mut c_void);

/// Blocks begin on cache lines of their own. Two, because processors fetch them in pairs.
const APART: usize = 128;
/// The largest alignment, and the largest block.
const PAGE: usize = 4096;
const LARGEST: usize = 1 << 30;

/// More than Linux has processors on any machine.
const IDS: usize = 1 << 13;

/// The index of the spare block.
const SPARE: u32 = u32::MAX;

/// The table as C sees it.
#[derive(Debug)]
pub struct Table {
    blocks: Arc<Blocks>,
    registration: Registration,
}

#[derive(Debug)]
struct Blocks {
    layout: Layout,
    init: Option<Init>,
    fini: Option<Fini>,
    data: Data,
    /// By hardware id, for processors of this machine: the block of a processor that is in the set or about to be. NULL for others.
    here: Box<[AtomicPtr<c_void>]>,
    /// By index: every block that was made.
    made: Box<[AtomicPtr<c_void>]>,
    spare: AtomicPtr<c_void>,
    spare_uses: AtomicU64,
}

fn nulls(length: usize) -> Box<[AtomicPtr<c_void>]> {
    (0..length).map(|_| AtomicPtr::default()).collect()
}

impl Blocks {
    /// Makes a block.
    fn make(&self, index: u32, notice: *mut CNotice) -> Result<NonNull<c_void>, Status> {
        // SAFETY: the layout has a size that is not 0.
        let block = unsafe { alloc_zeroed(self.layout) };
        let block = NonNull::new(block.cast()).ok_or(Status::INSUFFICIENT_RESOURCES)?;
        let Some(init) = self.init else { return Ok(block) };
        // SAFETY: the program promised such a function, which takes a block of this size.
        let status = unsafe { init(block.as_ptr(), index, notice, self.data.get()) };
        let status = Status::from_raw(status.cast_unsigned());
        if status.is_error() {
            self.release(block);
            return Err(status);
        }
        Ok(block)
    }

    fn release(&self, block: NonNull<c_void>) {
        // SAFETY: it was allocated with this layout, and nothing uses it any more.
        unsafe { dealloc(block.as_ptr().cast(), self.layout) };
    }

    /// Makes the block of a processor that is about to join, unless there is one.
    fn prepare(&self, notice: &Notice) -> Result<(), Veto> {
        let processor = notice.processor();
        // It is below the maximum of the partition, for which there is room.
        let slot = &self.made[processor.index.as_usize()];
        // Acquire: another thread may have made it, at an earlier add.
        let mut block = slot.load(Ordering::Acquire);
        if block.is_null() {
            let mut made = Ok(NonNull::dangling());
            let answer = entered(Inside::Transaction, || {
                notice::during(notice, None, |notice| {
                    made = self.make(processor.index.get(), notice);
                })
            });
            // The callback may refuse by the notice, with a reason, and by its result.
            match (answer, made) {
                (Ok(()), Ok(made)) => block = made.as_ptr(),
                (Err(veto), Ok(made)) => {
                    self.end(made, processor.index.get());
                    return Err(veto);
                }
                (Err(veto), Err(_)) => return Err(veto),
                (Ok(()), Err(status)) => return Err(status.into()),
            }
            // Release: a thread that finds the block finds what `init` wrote.
            slot.store(block, Ordering::Release);
        }
        self.place(processor, block);
        Ok(())
    }

    /// Sets what threads find that are on this processor. Release: as for `made`.
    fn place(&self, processor: Processor, block: *mut c_void) {
        if let Some(here) = self.here.get(processor.id.0 as usize) {
            here.store(block, Ordering::Release);
        }
    }

    /// The end of a block that `init` has made.
    fn end(&self, block: NonNull<c_void>, index: u32) {
        if let Some(fini) = self.fini {
            // SAFETY: the program promised such a function, which takes a block of this size.
            unsafe { fini(block.as_ptr(), index, self.data.get()) };
        }
        self.release(block);
    }

    fn local(&self) -> *mut c_void {
        let id = cpu::current().map_or(usize::MAX, |id| id as usize);
        // Acquire: what `init` wrote is seen.
        let block = self.here.get(id).map_or(ptr::null_mut(), |here| here.load(Ordering::Acquire));
        if block.is_null() { self.spare() } else { block }
    }

    #[cold]
    fn spare(&self) -> *mut c_void {
        // Relaxed: a count that orders nothing.
        self.spare_uses.fetch_add(1, Ordering::Relaxed);
        // Relaxed: set before the table was given to another thread.
        self.spare.load(Ordering::Relaxed)
    }
}

impl Drop for Blocks {
    fn drop(&mut self) {
        for (index, slot) in (0_u32..).zip(&self.made) {
            if let Some(block) = NonNull::new(slot.load(Ordering::Acquire)) {
                self.end(block, index);
            }
        }
        if let Some(spare) = NonNull::new(self.spare.load(Ordering::Acquire)) {
            self.end(spare, SPARE);
        }
    }
}

/// The table as a party.
struct Party(Arc<Blocks>);

impl Driver for Party {
    fn add_start(&mut self, notice: &Notice) -> Result<(), Veto> {
        self.0.prepare(notice)
    }

    fn add_failure(&mut self, notice: &Notice) {
        // In a replay the table is given up, and no thread has it yet.
        self.0.place(notice.processor(), ptr::null_mut());
    }

    fn removal(&mut self) -> Option<&mut dyn Removal> {
        Some(self)
    }
}

impl Removal for Party {
    fn remove_start(&mut self, _: &Notice) -> Result<(), Veto> {
        Ok(())
    }

    fn remove_complete(&mut self, notice: &Notice) {
        debug_assert_eq!(notice.state(), State::RemoveComplete);
        self.0.place(notice.processor(), ptr::null_mut());
    }
}

fn layout(size: usize, align: usize) -> Result<Layout, Failure> {
    let right =
        (1..=LARGEST).contains(&size) && align <= PAGE && (align == 0 || align.is_power_of_two());
    let layout =
        right.then(|| Layout::from_size_align(size.next_multiple_of(APART), align.max(APART)));
    layout.and_then(Result::ok).ok_or_else(|| {
        let message =
            "a block has 1 byte to 1 GiB, and its alignment is 0 or a power of two up to 4,096";
        Failure::invalid(message)
    })
}

/// The table behind a pointer of C.
///
/// # Safety
/// `table` is NULL, or comes from `hotadd_per_processor_new` and was not freed.
unsafe fn open<'a>(table: *const Table) -> Result<&'a Table, Failure> {
    // SAFETY: the caller's promise. A table is only read.
    unsafe { table.as_ref() }
        .ok_or_else(|| Failure::new(Status::INVALID_HANDLE, "the table is NULL"))
}

/// Makes a block for each processor.
///
/// # Safety
/// `name` is a C string, or NULL. `init` and `fini` are NULL, or may be called with blocks of this size and `data`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hotadd_per_processor_new(
    partition: *mut CPartition,
    name: *const c_char,
    size: usize,
    align: usize,
    init: Option<Init>,
    fini: Option<Fini>,
    data: *mut c_void,
) -> *mut Table {
    let made = forked::check().and_then(|()| {
        let member = PARTITIONS.get(partition)?;
        // SAFETY: the caller's promise.
        let name = unsafe { text(name) }?;
        let blocks = Blocks {
            layout: layout(size, align)?,
            init,
            fini,
            data: Data::new(data),
            here: nulls(if member.real { IDS } else { 0 }),
            made: nulls(member.partition.read().maximum() as usize),
            spare: AtomicPtr::default(),
            spare_uses: AtomicU64::new(0),
        };
        let spare = entered(Inside::Transaction, || blocks.make(SPARE, ptr::null_mut()));
        let spare = spare.map_err(|status| {
            Failure::new(status, "there is no spare block: init refused, or memory is exhausted")
        })?;
        blocks.spare.store(spare.as_ptr(), Ordering::Relaxed);
        let blocks = Arc::new(blocks);
        let party = Party(Arc::clone(&blocks));
        let registered =
            request("registering", || Ok(member.partition.registration(name).register(party)?));
        Ok(Box::into_raw(Box::new(Table { blocks, registration: registered? })))
    });
    value_or(made, ptr::null_mut())
}

/// Ends a table and all of its blocks.
///
/// # Safety
/// `table` is NULL, or comes from `hotadd_per_processor_new`, was not freed, and is not used any more, nor its blocks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hotadd_per_processor_free(table: *mut Table) -> i32 {
    if table.is_null() {
        return 0;
    }
    let allowed = forked::check().and_then(|()| {
        let message = "a table cannot be freed from inside a callback, because the blocks are freed with it (D3)";
        let inside = inside().is_some();
        if inside { Err(Failure::new(Status::POSSIBLE_DEADLOCK, message)) } else { Ok(()) }
    });
    told(allowed.map(|()| {
        // SAFETY: the caller's promise: this is the box of `hotadd_per_processor_new`, for the last time.
        let table = unsafe { Box::from_raw(table) };
        let Table { blocks, registration } = *table;
        // It fails if the party had ended. Then there is nothing to do.
        let _ = deregister(registration);
        drop(blocks);
    }))
}

/// The block of the processor that this thread is on, or the spare block. NULL if the table is NULL.
///
/// # Safety
/// `table` is NULL, or a table that was not freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hotadd_per_processor_local(table: *const Table) -> *mut c_void {
    // SAFETY: the caller's promise.
    let table = unsafe { open(table) };
    value_or(table.map(|table| table.blocks.local()), ptr::null_mut())
}

/// The block of an index, or of the spare. NULL if there is none, or on an error.
///
/// # Safety
/// `table` is NULL, or a table that was not freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hotadd_per_processor_at(table: *const Table, index: u32) -> *mut c_void {
    // SAFETY: the caller's promise.
    let table = unsafe { open(table) };
    let block = table.map(|table| match index {
        SPARE => table.blocks.spare.load(Ordering::Relaxed),
        // Acquire: what `init` wrote is seen.
        index => table
            .blocks
            .made
            .get(index as usize)
            .map_or(ptr::null_mut(), |made| made.load(Ordering::Acquire)),
    });
    value_or(block, ptr::null_mut())
}

/// How often the spare block was given. 0 if the table is NULL.
///
/// # Safety
/// `table` is NULL, or a table that was not freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hotadd_per_processor_spare_uses(table: *const Table) -> u64 {
    // SAFETY: the caller's promise.
    let table = unsafe { open(table) };
    // Relaxed: a count that orders nothing.
    value_or(table.map(|table| table.blocks.spare_uses.load(Ordering::Relaxed)), 0)
}
