//! The table of all exports, and the services that the kernel passes to the loaders.

use std::collections::HashMap;
use std::ffi::c_void;
use std::sync::OnceLock;

use crate::ground::abi::Abi;
use crate::ground::export::Export;
use crate::ground::services::Services;
use crate::kernel::io::calling;
use crate::kernel::ke::irql;
use crate::kernel::seh::{Replaced, memory, raising};
use crate::kernel::{ex, io, ke, mm, ob, ps, rtl, seh};

/// The exports of all folders.
pub(crate) fn exports() -> impl Iterator<Item = &'static Export> {
    let folders = [
        seh::TABLES,
        ke::TABLES,
        ex::TABLES,
        rtl::TABLES,
        io::TABLES,
        ps::TABLES,
        ob::TABLES,
        mm::TABLES,
    ];
    folders.into_iter().flatten().copied().flatten()
}

/// Finds an export by its name alone. Windows distributes exports over `ntoskrnl.exe`, `hal.dll` and others, and
/// moves them between these files.
pub(crate) fn find(name: &str) -> Option<&'static Export> {
    static BY_NAME: OnceLock<HashMap<&'static str, &'static Export>> = OnceLock::new();
    let all = BY_NAME.get_or_init(|| exports().map(|export| (export.name, export)).collect());
    all.get(name).copied()
}

/// The export to which an import of this name is bound in an image of this convention.
pub(crate) fn find_for(name: &str, abi: Abi) -> Option<Export> {
    BY_ADDRESS.get_or_init(by_address);
    let replaced = [memory::FUNCTIONS, raising::FUNCTIONS];
    let mut replaced = replaced.iter().filter(|_| abi == Abi::Win64);
    replaced.find_map(|table| table.find(name)).or_else(|| find(name).copied())
}

/// Addresses of what drivers receive, in order, each with its first name. A verifier asks for each call of a driver.
static BY_ADDRESS: OnceLock<Vec<(usize, &'static str)>> = OnceLock::new();

/// All exports by address.
fn by_address() -> Vec<(usize, &'static str)> {
    let replaced = [memory::FUNCTIONS, raising::FUNCTIONS];
    let replaced = replaced.iter().flat_map(Replaced::all);
    let both = |export: &'static Export| {
        [Abi::Win64, Abi::SysV].map(|abi| (export.address(abi) as usize, export.name))
    };
    let mut all: Vec<_> = replaced.chain(exports().flat_map(both)).collect();
    // Stable, so that the first of several names at an address stays.
    all.sort_by_key(|(address, _)| *address);
    all.dedup_by_key(|(address, _)| *address);
    all
}

/// The name of the export at an address. May be called from a signal handler: the table was made when the first driver was bound.
fn name_at(address: usize) -> Option<&'static str> {
    let all = BY_ADDRESS.get()?;
    let at = all.binary_search_by_key(&address, |(address, _)| *address).ok()?;
    Some(all[at].1)
}

/// The function that answers requests for which a driver has none.
fn refuse(abi: Abi) -> *const c_void {
    match abi {
        Abi::Win64 => calling::refuse_win64 as *const c_void,
        Abi::SysV => calling::refuse_sysv as *const c_void,
    }
}

/// The kernel's services for an image.
pub(crate) static SERVICES: Services =
    Services { find: find_for, name_at, dispatch: seh::dispatch, refuse, write_irql: irql::write };
