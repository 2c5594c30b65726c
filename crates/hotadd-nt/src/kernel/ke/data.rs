//! Variables that drivers read: the number of processors, and the version of the system.

use crate::ground::counts::KeNumberProcessors;
use crate::ground::export::data;

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
pub(crate) static InitSafeBootMode: u32 = 0;

data!(KeNumberProcessors, NtBuildNumber, KdDebuggerEnabled, KdDebuggerNotPresent, InitSafeBootMode);
