//! `MmGetSystemRoutineAddress`: every export by name, in the caller's convention.

use std::ffi::c_void;
use std::ptr;

use crate::ground::abi::Abi;
use crate::ground::declare::sizes;
use crate::ground::export::{Export, What};
use crate::ground::foreign::In;
use crate::ground::types::UnicodeString;
use crate::kernel::exports;

/// The address of a function or variable; null if none has this name.
///
/// # Safety
/// Its argument is what the public documentation of this function asks for.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn MmGetSystemRoutineAddress(
    name: In<UnicodeString>,
) -> *const c_void {
    find(name, Abi::SysV)
}

/// The twin that a `.sys` calls.
unsafe extern "win64" fn win64(name: In<UnicodeString>) -> *const c_void {
    find(name, Abi::Win64)
}

fn find(name: In<UnicodeString>, abi: Abi) -> *const c_void {
    let name = String::from_utf16_lossy(&name.get().units());
    exports::find_for(&name, abi).map_or(ptr::null(), |export| export.address(abi))
}

/// The exports of this file.
pub(crate) static EXPORTS: &[Export] = &[Export {
    name: "MmGetSystemRoutineAddress",
    what: What::Function {
        win64: win64 as *const c_void,
        sysv: MmGetSystemRoutineAddress as *const c_void,
    },
    sizes: sizes!(In<UnicodeString>; *const c_void),
}];
