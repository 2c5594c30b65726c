//! Variables that drivers read: the number of processors, and the version of the system.

use crate::ground::counts::KeNumberProcessors;
use crate::ground::declare::data;
use crate::ground::export::Pointer;

/// The Windows version as a build number: a free build.
#[unsafe(no_mangle)]
pub(crate) static NtBuildNumber: u32 = 0xf000_0000 | crate::kernel::rtl::version::BUILD;

/// There is no kernel debugger.
#[unsafe(no_mangle)]
pub(crate) static KdDebuggerEnabled: u8 = 0;

/// There is no kernel debugger.
#[unsafe(no_mangle)]
pub(crate) static KdDebuggerNotPresent: u8 = 1;

/// The system did not start in safe mode.
#[unsafe(no_mangle)]
pub(crate) static InitSafeBootMode: Pointer<u32> = Pointer(&raw const safe_mode::InitSafeBootMode);

/// The variable to which it points: drivers read `*InitSafeBootMode`.
#[expect(non_upper_case_globals, reason = "the documentation's name")]
pub(super) mod safe_mode {
    pub(super) static InitSafeBootMode: u32 = 0;

    crate::ground::declare::data!(InitSafeBootMode as super::InitSafeBootMode);
}

data!(KeNumberProcessors, NtBuildNumber, KdDebuggerEnabled, KdDebuggerNotPresent);
