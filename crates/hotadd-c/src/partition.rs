//! `hotadd_partition_...`: partitions of this process, of another one, and simulated ones.

#![expect(unreachable_pub, reason = "the names are exported, the module is not")]

use std::ffi::{c_char, c_int};
use std::ptr;
use std::sync::Arc;

use hotadd::hardware::Simulated;
use hotadd::{Partition, ProcessorIndex};

use crate::dispatch::request;
use crate::failure::{Failure, text, told, value_or};
use crate::handles::Table;
use crate::member::Member;
use crate::{forked, program};

/// The partition as C sees it. There is no such structure: a pointer to one is a handle.
#[derive(Debug)]
#[repr(C)]
pub struct CPartition([u8; 0]);

pub(crate) static PARTITIONS: Table<Member> = Table::new("partition");

/// Writes the first `length` ids, and returns how many there are.
///
/// # Safety
/// `to` has room for `length` numbers, or is NULL.
pub(crate) unsafe fn write_ids(ids: &[u32], to: *mut u32, length: usize) -> usize {
    if !to.is_null() {
        // SAFETY: not NULL, and so there is room by the caller's promise. `ids` is the library's own.
        unsafe { ptr::copy_nonoverlapping(ids.as_ptr(), to, ids.len().min(length)) };
    }
    ids.len()
}

/// Writes an epoch, if it is wanted.
///
/// # Safety
/// `to` may be written, or is NULL.
pub(crate) unsafe fn write_epoch(epoch: hotadd::Epoch, to: *mut u64) {
    if !to.is_null() {
        // SAFETY: not NULL, and so it may be written by the caller's promise.
        unsafe { to.write(epoch.0) };
    }
}

fn member(partition: *const CPartition) -> Result<Arc<Member>, Failure> {
    forked::check()?;
    PARTITIONS.get(partition)
}

/// Makes a partition, and gives it a handle.
fn make(member: impl FnOnce() -> Result<Arc<Member>, Failure>) -> *mut CPartition {
    let made = forked::check().and_then(|()| member()).and_then(|made| PARTITIONS.insert(made));
    value_or(made, ptr::null_mut())
}

/// The partition of this process, which has these processors, or all if `cpus` is NULL.
///
/// # Safety
/// `cpus` is a C string, or NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hotadd_partition_process(cpus: *const c_char) -> *mut CPartition {
    // SAFETY: the caller's promise, for a text that is not NULL.
    let cpus = (!cpus.is_null()).then(|| unsafe { text(cpus) }).transpose();
    make(|| program::process(cpus?))
}

/// The partition that another process provides under this name or path.
///
/// # Safety
/// `name` is a C string, or NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hotadd_partition_connect(name: *const c_char) -> *mut CPartition {
    // SAFETY: the caller's promise.
    let name = unsafe { text(name) };
    make(|| request("connecting", || Ok(Arc::new(Member::connected(name?)?))))
}

/// A partition of simulated processors.
#[unsafe(no_mangle)]
pub extern "C" fn hotadd_partition_simulated(active: u32, spare: u32) -> *mut CPartition {
    make(|| {
        let hardware = Simulated::new(active, spare);
        let hardware = hardware.map_err(|error| Failure::invalid(error.to_string()))?;
        Ok(Arc::new(Member::local(Partition::simulated(&hardware)?)?))
    })
}

/// Gives up a handle of a partition.
#[unsafe(no_mangle)]
pub extern "C" fn hotadd_partition_close(partition: *mut CPartition) -> i32 {
    if partition.is_null() {
        return 0;
    }
    let closed = forked::check().and_then(|()| PARTITIONS.remove(partition));
    told(closed.map(drop))
}

/// Adds the processor that Linux calls `cpuID`.
#[unsafe(no_mangle)]
pub extern "C" fn hotadd_partition_add(partition: *mut CPartition, id: u32) -> i32 {
    told(member(partition).and_then(|member| member.add(id)))
}

/// Removes the processor that Linux calls `cpuID`.
#[unsafe(no_mangle)]
pub extern "C" fn hotadd_partition_remove(partition: *mut CPartition, id: u32) -> i32 {
    told(member(partition).and_then(|member| member.remove(id)))
}

/// Writes the ids of the processors that could be added now, and returns their number; `usize::MAX` on an error.
///
/// # Safety
/// `ids` has room for `length` numbers, or is NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hotadd_partition_candidates(
    partition: *mut CPartition,
    ids: *mut u32,
    length: usize,
) -> usize {
    let found = member(partition).and_then(|member| member.candidates());
    // SAFETY: the caller's promise.
    value_or(found.map(|found| unsafe { write_ids(&found, ids, length) }), usize::MAX)
}

/// The number of active processors and the epoch that belongs to it. 0 on an error.
///
/// # Safety
/// `epoch` may be written, or is NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hotadd_partition_count(
    partition: *const CPartition,
    epoch: *mut u64,
) -> u32 {
    let count = member(partition).map(|member| {
        let active = member.partition.read();
        // SAFETY: the caller's promise.
        unsafe { write_epoch(active.epoch(), epoch) };
        active.count()
    });
    value_or(count, 0)
}

/// Writes the ids of the active processors, and returns their number; `usize::MAX` on an error.
///
/// # Safety
/// `ids` has room for `length` numbers, or is NULL. `epoch` may be written, or is NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hotadd_partition_members(
    partition: *const CPartition,
    ids: *mut u32,
    length: usize,
    epoch: *mut u64,
) -> usize {
    let members = member(partition).map(|member| {
        let active = member.partition.read();
        let found: Vec<u32> = active.iter().map(|processor| processor.id.0).collect();
        // SAFETY: the caller's promise.
        unsafe { write_epoch(active.epoch(), epoch) };
        found
    });
    // SAFETY: the caller's promise.
    value_or(members.map(|found| unsafe { write_ids(&found, ids, length) }), usize::MAX)
}

/// The index of the processor that this thread runs on. `u32::MAX` if it is not in the set, or on an error.
#[unsafe(no_mangle)]
pub extern "C" fn hotadd_partition_current(partition: *const CPartition) -> u32 {
    let current = member(partition).map(|member| member.current());
    value_or(current, None).map_or(u32::MAX, ProcessorIndex::get)
}

/// Whether the partition can be reached: 1 or 0. -1 on an error.
#[unsafe(no_mangle)]
pub extern "C" fn hotadd_partition_is_connected(partition: *const CPartition) -> c_int {
    value_or(member(partition).map(|member| c_int::from(member.partition.is_connected())), -1)
}
